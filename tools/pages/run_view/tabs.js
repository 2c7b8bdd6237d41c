"use strict";
// The views below the picture. Each is filled when it is opened.

const panels = () => [...document.querySelectorAll("[role=tabpanel]")];

function makeTabs() {
  fill("tabs", panels().map((panel, k) => button(panel.dataset.title, () => openTab(panel.id), { id: `for-${panel.id}`, role: "tab", tabIndex: k ? -1 : 0 })));
  for (const tab of $("tabs").children) tab.setAttribute("aria-controls", tab.id.slice(4));
  $("tabs").onkeydown = (event) => {
    const shown = [...$("tabs").children].filter((tab) => !tab.hidden), at = shown.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (next === undefined || at < 0) return;
    const tab = shown[(next + shown.length) % shown.length];
    tab.focus(); tab.click(); event.preventDefault(); event.stopPropagation();
  };
}

function openTab(id) {
  for (const panel of panels()) {
    panel.hidden = panel.id !== id;
    const tab = $(`for-${panel.id}`);
    tab.setAttribute("aria-selected", String(!panel.hidden)); tab.tabIndex = panel.hidden ? -1 : 0;
  }
  state.tab = id;
  const filler = { "totals-tab": showTotals, "scores-tab": showScores, "compare-tab": showCompare, "people-tab": showPeople, "events-tab": showEvents }[id];
  if (filler && (state.boxes || id === "people-tab")) filler().catch((error) => { $("said").textContent = error.message; });
  if (state.boxes) { extend(); draw(); remember(); }
}

// ---- events

async function showEvents() {
  const kinds = { switch: "may have changed", double: "double", merged: "merged" };
  $("events-about").textContent = `${state.events.length} moments. ${state.about.ledger ? "In the ledger's words ids are the tracker's own, and frames count from 1." : "Without a ledger nobody knows why somebody was lost or changed; `track.py --save mot,ledger` keeps it."}`;
  fill("events", state.events.map((event) => make("li", {}, goButton(event.frame, event.other || event.id, `frame ${event.frame}`), ` ${kinds[event.kind]}: ${event.text}`)));
}

// ---- totals

async function wantTotals() {
  const boxes = state.boxes, told = state.totals || await get(`${base()}/totals`);
  if (boxes === state.boxes) state.totals = told; // else somebody has edited, or gone to another run
  return told;
}

async function showTotals() {
  const here = base(), told = await wantTotals();
  if (here !== base()) return;
  fill("sentences", told.sentences.map((text) => make("li", { textContent: text })));
  drawChart(told);
  const all = [...told.lines, ...told.zones];
  fill("regions", all.map((one) => make("li", {},
    make("input", { value: one.name, ariaLabel: "Name", maxLength: 60, size: 10, readOnly: Boolean(EXPORTED), onchange: (event) => changeRegions((region) => region.name === one.name ? { ...region, name: event.target.value } : region) }),
    one.totals ? ` ${Object.entries(one.totals).map(([way, count]) => `${count} ${way}`).join(", ")} ` : ` ${one.people} people, ${one.visits.length} visits${one.mean === null ? "" : ` of ${one.mean.toFixed(1)} s`} `,
    EXPORTED ? null : button("Remove", () => changeRegions((region) => region.name === one.name ? null : region)),
    make("details", {}, make("summary", { textContent: "one by one" }), make("ol", { className: "list" }, ...one.crossings
      ? one.crossings.map(([seconds, id, way]) => make("li", {}, goButton(frameAt(seconds), id, `${seconds.toFixed(1)} s`), ` ${nameOf(id)} ${way}`))
      : one.visits.map(([begin, end, id]) => make("li", {}, goButton(frameAt(begin), id, `${begin.toFixed(1)} s`), ` ${nameOf(id)} for ${(end - begin).toFixed(1)} s`)))))));
  fill("tables", ["persons", "people", "lines", "zones"].filter((which) => which === "persons" || which === "people" || told[which].length)
    .map((which) => make("li", {}, make("a", { href: `${base()}/table/${which}.csv`, textContent: { persons: "a row a person", people: "people by the minute", lines: "crossings", zones: "visits" }[which], download: "" }))));
}

function drawChart({ people, most, bin }) {
  const canvas = $("chart"), dense = window.devicePixelRatio || 1, wide = canvas.clientWidth || 300, high = 140, top = Math.max(1, ...people);
  canvas.width = wide * dense; canvas.height = high * dense;
  const c = canvas.getContext("2d"), style = getComputedStyle(document.documentElement), step = (wide - 30) / Math.max(1, people.length);
  c.scale(dense, dense); c.font = "12px system-ui, sans-serif";
  people.forEach((count, k) => {
    const height = (value) => value / top * (high - 34);
    c.fillStyle = style.getPropertyValue("--line"); c.fillRect(30 + k * step, high - 18 - height(count), Math.max(1, step - 1), height(count));
    c.fillStyle = style.getPropertyValue("--link"); c.fillRect(30 + k * step, high - 18 - height(most[k]), Math.max(1, step - 1), height(most[k]));
  });
  c.fillStyle = style.getPropertyValue("--ink");
  c.fillText(String(top), 4, 14); c.fillText(`in ${bin} s each: different people (grey), most at once (blue)`, 30, 10); c.fillText("0", 4, high - 18); c.fillText(`${Math.round(people.length * bin)} s`, wide - 34, high - 4);
}

async function changeRegions(change, added) {
  const { lines = [], zones = [] } = state.about.regions, kept = (list) => list.map(change).filter(Boolean);
  const told = { lines: kept(lines), zones: kept(zones) };
  if (added) told[added.points.length > 2 ? "zones" : "lines"].push(added);
  try { await post(`${base()}/regions`, { ...told, known: state.about.regions }); } catch (error) { $("said").textContent = error.message; }
  await load();
}

function drawRegion(kind) {
  takePen(kind, (points) => {
    const used = [...(state.about.regions.lines || []), ...(state.about.regions.zones || [])].map((region) => region.name);
    let number = 1;
    while (used.includes(`${kind} ${number}`)) number++;
    return changeRegions((region) => region, { name: `${kind} ${number}`, points });
  });
}

// ---- scores

async function wantScores() {
  if (state.scores || !state.about.truth) return state.scores;
  const boxes = state.boxes, told = await get(`${base()}/scores`);
  if (boxes === state.boxes) { state.scores = told; gatherMarks(); draw(); }
  return told;
}

async function showScores() {
  const here = base(), told = await wantScores();
  if (here !== base()) return;
  $("scores-about").textContent = told ? `${told.switches.length} switches and ${told.misses.length} times somebody was missed, marked in violet on everybody's row.` : "No ground truth is known: `retrace view RUN --gt FILE` scores the run.";
  if (!told) return;
  const row = (cells, tag) => make("tr", {}, ...cells.map((text, k) => make(k ? tag : "th", { textContent: text })));
  const shown = (name, value) => ["IDSW", "FP", "FN", "MT", "ML", "Frag"].includes(name) ? String(value) : (100 * value).toFixed(1);
  const names = Object.keys(told.before);
  fill("metrics", [row(["", ...names], "th"), row(["before", ...names.map((name) => shown(name, told.before[name]))], "td"), row(["corrected", ...names.map((name) => shown(name, told.after[name]))], "td")]);
  const worst = told.identities.map((one) => ({ ...one, wrong: one.boxes - one.right })).filter((one) => one.wrong).sort((a, b) => b.wrong - a.wrong);
  fill("wrong", worst.slice(0, 200).map((one) => make("li", {}, goButton(personOf(one.id)?.begin ?? 0, one.id, nameOf(one.id)), ` ${one.wrong} of ${one.boxes} boxes are not ${one.person ? `person ${one.person}` : "anybody"}`)));
}

// ---- two runs

async function showCompare() {
  const others = state.all.rows.filter((row) => row.run !== state.run || row.name !== state.name);
  fill("against", [new Option("nothing", ""), ...others.map((row) => new Option(`${row.run}: ${row.name}`, JSON.stringify([row.run, row.name])))]);
  $("against").value = state.other ? JSON.stringify([state.other.run, state.other.name]) : "";
  if (!others.length) $("compare-about").textContent = "One run is here; name a second one: `retrace view RUN_A RUN_B`.";
}

async function compareWith(value) {
  if (!value) { state.other = null; fill("differences", []); $("compare-about").textContent = ""; } else {
    const [run, name] = JSON.parse(value);
    const [about, boxes] = await Promise.all([get(`${base(run, name)}/about`), get(`${base(run, name)}/boxes`, true)]);
    state.other = { run, name, about, boxes: unpack(boxes) };
    $("other-name").textContent = `${run}: ${name}`;
    const told = await get(`${base()}/differences?run=${quote(run)}&name=${quote(name)}`).catch((error) => { $("compare-about").textContent = error.message; return []; });
    if (told.length) $("compare-about").textContent = `${told.length} moments in which they differ.`;
    fill("differences", told.map((one) => make("li", {}, goButton(one.frame, one.id, `frame ${one.frame}`), ` ${one.kind}: ${one.text}`)));
  }
  $("beside").hidden = !state.other;
  fitScreen(); draw();
}

// ---- many videos

function showRuns() {
  fill("left-out", state.all.left_out.map((text) => make("li", { textContent: `left out: ${text}` })));
  const rows = state.all.rows.map((row) => make("tr", {},
    make("td", {}, button(`${row.run}: ${row.name}`, () => openSequence(row.run, row.name))),
    ...[row.people ?? "", row.frames ? `${(row.frames / row.fps).toFixed(1)} s` : "", row.complete ? "" : "not finished", row.edits ? "edited" : ""].map((text) => make("td", { textContent: text }))));
  const people = state.all.rows.reduce((sum, row) => sum + (row.people || 0), 0), seconds = state.all.rows.reduce((sum, row) => sum + (row.frames || 0) / row.fps, 0);
  fill("runs", [make("tr", {}, ...["video", "identities", "length", "", ""].map((text) => make("th", { textContent: text }))), ...rows, make("tr", {}, ...[`${rows.length} videos`, people, `${seconds.toFixed(1)} s`, "", ""].map((text) => make("th", { textContent: text })))]);
}

async function showPeople() {
  const told = await get("api/people");
  const visits = told.people.flatMap((person) => person.visits), begin = Math.min(...visits.map((v) => v.begin)), span = Math.max(...visits.map((v) => v.end)) - begin || 1;
  const ticked = new Set([...document.querySelectorAll("#people > li > label input:checked")].map((box) => Number(box.value)));
  const there = new Map(told.people.map((person) => [person.id, person]));
  const whereOf = (visit) => `${told.cameras[visit.camera]}, ${(visit.begin - begin).toFixed(1)} to ${(visit.end - begin).toFixed(1)} s, ${visit.source}`;
  fill("cameras", told.cameras.map((name, k) => make("span", { className: "key" }, make("b", { textContent: "■", style: `color:${colourOf(k + 1)}` }), ` ${name}`)));
  fill("people", told.people.map((person) => {
    const strip = make("div", { className: "strip" }, ...person.visits.map((visit) => {
      const here = state.all.rows.find((row) => row.name === visit.source);
      return button("", () => here && openSequence(here.run, here.name).then(() => { if (personOf(person.id)) { choose(person.id); goTo(personOf(person.id).begin); } }), {
        title: whereOf(visit),
        style: `left:${100 * (visit.begin - begin) / span}%;width:max(3px,${100 * (visit.end - visit.begin) / span}%);background:${colourOf(visit.camera + 1)}`,
      });
    }));
    const crops = person.visits.filter((visit) => visit.crop).slice(0, 4).map((visit) => image(`api/people/${visit.tracklet}.jpg`, ""));
    const cameras = new Set(person.visits.map((visit) => visit.camera)).size;
    const words = `${person.id}${person.name ? ` ${person.name}` : ""}${person.pinned ? " (pinned)" : ""}: ${person.visits.length} visits, ${cameras} camera${cameras === 1 ? "" : "s"}`;
    const tick = make("input", { type: "checkbox", value: person.id, checked: ticked.has(person.id), disabled: Boolean(EXPORTED), onchange: () => showVisits(there, whereOf) });
    return make("li", {}, make("span", { className: "faces" }, ...crops), make("label", {}, tick, ` ${words}`), strip, make("div", { className: "visits" }));
  }));
  fill("suggestions", told.suggestions.map((one) => make("li", {}, button(`Merge ${one.a} and ${one.b}`, () => mend({ op: "merge", a: one.a, b: one.b })), ` ${one.text}`)));
  fill("people-log", told.log.map((one) => make("li", {}, one.undoable ? button("Undo", () => mend({ op: "undo", operation: one.operation })) : "", ` ${one.operation}: ${one.text}`)));
  showVisits(there, whereOf);
}

const tickedPeople = () => [...document.querySelectorAll("#people > li > label input:checked")].map((box) => Number(box.value));

function showVisits(there, whereOf) { // of the one who is ticked alone, to split some off
  const chosen = tickedPeople();
  for (const row of document.querySelectorAll("#people > li")) {
    const id = Number(row.querySelector("label input").value), mine = chosen.length === 1 && chosen[0] === id ? there.get(id).visits : [];
    row.querySelector(".visits").replaceChildren(...mine.map((visit) => make("label", {}, make("input", { type: "checkbox", value: visit.tracklet }), ` ${whereOf(visit)}`)));
  }
  $("pin-person").textContent = chosen.length === 1 && there.get(chosen[0]).pinned ? "Unpin" : "Pin";
}

async function mend(made) { // people of the memory; the same calls as tools/memory.py
  try {
    $("people-said").textContent = (await post("api/people/edits", made)).said;
  } catch (error) {
    $("people-said").textContent = error.message;
  }
  await showPeople();
}

function mendPeople() {
  const one = (make) => () => { const chosen = tickedPeople(); if (chosen.length === 1) mend(make(chosen[0])); else $("people-said").textContent = "Tick one person."; };
  $("merge-people").onclick = () => { const chosen = tickedPeople(); if (chosen.length === 2) mend({ op: "merge", a: chosen[0], b: chosen[1] }); else $("people-said").textContent = "Tick two people."; };
  $("split-visits").onclick = one(() => ({ op: "split", tracklets: [...document.querySelectorAll("#people .visits input:checked")].map((box) => Number(box.value)) }));
  $("pin-person").onclick = one((person) => ({ op: "pin", person, pinned: $("pin-person").textContent === "Pin" }));
  $("name-person").onclick = one((person) => ({ op: "name", person, name: $("person-name").value }));
}
