"use strict";
// Loading, keys, and the beginning.

const SHORT = 20000; // frames up to which a video is made playable without being asked
const KEYS = [
  [", .", "a frame back, on"], ["Page Up, Page Down", "a second back, on"], ["Space", "play or pause"], ["Up, Down", "the person before, after; Shift for a second one"],
  ["Enter", "where the chosen one begins"], ["+ -", "zoom the timeline"], ["M S X", "merge both, split here, swap both from here"], ["B", "draw a box"],
  ["Delete, Shift+Delete", "delete, delete from here on"], ["V", "mark as sure"], ["R", "rename; Enter keeps the name"],
  ["W", "why is this box theirs?"], ["Ctrl+Z, Ctrl+Y", "undo, redo"], ["N P", "the event after, before"], ["Escape", "leave the pen, choose nobody"],
];

async function load(again) { // again: the run has grown, nothing else has changed
  const first = !state.about || state.anew, here = base(), left = () => here !== base(); // for another run, meanwhile
  const [about, buffer] = await Promise.all([get(`${base()}/about`), get(`${base()}/boxes`, true)]);
  if (left()) return;
  const video = about.video && (first || !state.about?.video);
  const times = first || video ? new Float64Array(await get(`${base()}/times`, true)) : state.times;
  if (first && !about.video && about.proxy === "none" && about.source && about.frames <= SHORT && !about.growing && !EXPORTED) {
    about.proxy = (await post(`${base()}/prepare`, {}).catch((error) => ({ proxy: error.message }))).proxy;
  }
  if (left()) return;
  const boxes = unpack(buffer);
  Object.assign(state, { about, boxes, times, people: gather(boxes), anew: false }); // from here on all at once
  state.chosen = state.chosen.filter(personOf);
  state.frame = Math.min(state.frame, lastFrame());
  if (!state.live || !state.live.follow) $("summary").textContent = about.summary;
  fill("missing", about.missing.map((text) => make("li", { textContent: text })));
  if (video) { sought = state.frame; $("video").src = EXPORTED ? `${base()}/video.mp4` : `${base()}/video`; }
  const making = about.proxy.startsWith("making");
  $("prepare").hidden = about.video || Boolean(EXPORTED) || about.growing || !about.source;
  $("prepare").textContent = making ? `Being made: ${about.proxy.slice(7) || "it begins"}` : about.proxy === "none" ? "Make the video playable here" : about.proxy;
  if (making && !again) setTimeout(waitForVideo, 700);
  gatherMarks(); sortPeople(); fitScreen(); showEdits(); showPerson(); extend(); draw();
  if (first) goLive();
  document.body.dataset.ready = "yes";
  if (!again) more();
}

async function waitForVideo() {
  const here = base(), about = await get(`${here}/about`);
  if (here !== base()) return;
  if (about.proxy.startsWith("making")) { $("prepare").textContent = `Being made: ${about.proxy.slice(7)}`; setTimeout(waitForVideo, 700); } else load();
}

async function more() { // what the first picture does not wait for
  Object.assign(state, { totals: null, scores: null });
  const boxes = state.boxes, here = base(), soft = (path, bytes) => get(`${here}/${path}`, bytes).catch(() => null);
  const flags = await soft("predicted", true);
  if (boxes !== state.boxes) return; // somebody has edited meanwhile
  if (flags && flags.byteLength === boxes.count) boxes.flags = new Uint8Array(flags);
  const persons = await soft("persons") || [];
  if (boxes !== state.boxes) return;
  state.persons = new Map(persons.map((person) => [person.id, person]));
  let trouble = "";
  const events = await get(`${here}/events`).catch((error) => { trouble = error.message; return []; });
  if (boxes !== state.boxes) return;
  state.events = events;
  if (trouble) $("missing").append(make("li", { textContent: trouble }));
  await wantScores().catch(() => null);
  if (shows("heat")) await wantTotals().catch(() => null);
  if (boxes !== state.boxes) return;
  gatherMarks(); sortPeople(); showPerson(); draw();
  if (state.tab && state.tab !== "timeline-tab") openTab(state.tab);
  document.body.dataset.whole = String(state.about.edits.length);
}

const EMPTIED = ["missing", "crops", "near", "moment", "events", "edits", "sentences", "regions", "metrics", "wrong", "differences"];

async function openSequence(run, name) {
  for (const place of EMPTIED) fill(place, []); // nothing of the other run stays
  Object.assign(state, { run, name, about: null, boxes: null, people: [], chosen: [], frame: 0, live: null, loose: null, other: null, persons: new Map(), events: [], scores: null, totals: null, zoom: 1 });
  $("video").removeAttribute("src"); $("video").load();
  $("beside").hidden = true;
  $("sequence").value = JSON.stringify([run, name]);
  document.body.classList.remove("nothing");
  try { await load(); remember(); } catch (error) { showNothing(error.message); }
}

function showNothing(why) { // of a run that cannot be shown at all; another one can be chosen
  document.body.classList.add("nothing");
  $("summary").textContent = why;
  fill("missing", []);
}

// ---- where one was, in the address: a reload comes back to it

const remember = (() => {
  let waiting = 0;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => history.replaceState(null, "", `#${[state.run, state.name, state.frame, state.chosen.join("+"), state.tab || ""].map(quote).join("/")}`), 200);
  };
})();

function remembered() {
  const [run, name, frame, chosen, tab] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const row = state.all.rows.find((one) => one.run === run && one.name === name);
  return { ...(row || state.all.rows[0]), at: row ? Number(frame) || 0 : 0, chosen: row ? (chosen || "").split("+").map(Number).filter(Boolean) : [], tab: panels().some((panel) => panel.id === tab) ? tab : "timeline-tab" };
}

// ---- hands

function nextEvent(way) {
  const frames = [...state.marks.values()].flat().filter(([, kind]) => kind !== "born" && kind !== "lost").map(([frame]) => frame).sort((a, b) => way * (a - b));
  const next = frames.find((frame) => way * (frame - state.frame) > 0);
  if (next !== undefined) goTo(next);
}

function keys(event) {
  if (!state.boxes || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (penKey(event)) { event.preventDefault(); return; }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, command = event.ctrlKey || event.metaKey;
  const step = { ",": -1, ".": 1, ArrowLeft: -1, ArrowRight: 1, PageUp: -Math.round(state.about.fps), PageDown: Math.round(state.about.fps) }[key];
  const write = (what) => { if (!EXPORTED) what(); };
  const does = {
    m: () => write(() => edit("merge")), s: () => write(() => edit("split")), x: () => write(() => edit("swap")), b: () => write(drawBox), w: why,
    Delete: () => write(() => edit(event.shiftKey ? "cut" : "delete")), v: () => write(() => edit("sure")), r: () => write(() => $("name").focus()),
    n: () => nextEvent(1), p: () => nextEvent(-1), "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "?": help,
    ArrowDown: () => moveChoice(1, event.shiftKey), ArrowUp: () => moveChoice(-1, event.shiftKey), Escape: () => { state.chosen = []; showPerson(); draw(); },
  }[key];
  if (command && key === "z") write(() => edit("undo"));
  else if (command && key === "y") write(() => edit("redo"));
  else if (command || event.altKey) return;
  else if (step) goTo(state.frame + step);
  else if (key === " " && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY" && event.target.type !== "checkbox") play();
  else if (key === "Enter" && (event.target.id === "timeline" || event.target === document.body)) { const person = personOf(state.chosen[0]); if (person) goTo(person.begin); }
  else if (does) does();
  else return;
  event.preventDefault();
}

function help() {
  $("keys").hidden = !$("keys").hidden;
  $("help").setAttribute("aria-expanded", String(!$("keys").hidden));
}

function hands() {
  const on = (id, what, does) => { $(id)[what] = does; };
  on("sequence", "onchange", () => openSequence(...JSON.parse($("sequence").value)));
  on("rows", "onclick", clickRows); on("timeline", "onscroll", () => requestAnimationFrame(drawRows));
  on("play", "onclick", play); on("back", "onclick", () => goTo(state.frame - 1)); on("forward", "onclick", () => goTo(state.frame + 1));
  on("speed", "onchange", () => { $("video").playbackRate = Number($("speed").value); });
  on("goto", "onchange", () => { if (/^\d+$/.test($("goto").value)) goTo(Number($("goto").value)); });
  on("sort", "onchange", () => { sortPeople(); draw(); });
  on("wider", "onclick", () => zoom(1.5)); on("narrower", "onclick", () => zoom(1 / 1.5));
  on("prepare", "onclick", async () => { await post(`${base()}/prepare`, {}); waitForVideo(); });
  on("why", "onclick", why); on("help", "onclick", help);
  on("draw-box", "onclick", drawBox); on("draw-line", "onclick", () => drawRegion("line")); on("draw-zone", "onclick", () => drawRegion("zone"));
  on("against", "onchange", () => compareWith($("against").value));
  for (const box of document.querySelectorAll("[data-show]")) box.onchange = draw;
  document.querySelector("[data-show=loose]").onchange = wantLoose;
  document.querySelector("[data-show=heat]").onchange = () => wantTotals().then(draw);
  for (const one of document.querySelectorAll("[data-do]")) one.onclick = () => edit(one.dataset.do);
  $("name").onkeydown = (event) => { if (event.key === "Enter") edit("name"); else if (event.key === "Escape") $("name").blur(); };
  $("person-name").onkeydown = (event) => { if (event.key === "Enter") $("name-person").click(); };
  document.addEventListener("keydown", keys);
  // A button that the mouse has pressed does not keep the space bar, which plays.
  document.addEventListener("click", (event) => { if (event.detail && document.activeElement.matches("button, [type=checkbox]")) document.activeElement.blur(); });
  const refit = () => { if (state.about && state.boxes) { extend(); draw(); } };
  new ResizeObserver(refit).observe($("screen"));
  new ResizeObserver(() => { $("person").style.maxHeight = innerWidth > 900 ? `${Math.max($("stage").offsetHeight, 330)}px` : ""; }).observe($("stage"));
  window.addEventListener("resize", refit);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (state.boxes) draw(); if (state.tab === "totals-tab" && state.totals) drawChart(state.totals); });
  penMouse(); follow();
}

async function begin() {
  state.all = await get("api/runs");
  fill("keys", KEYS.flatMap(([key, text]) => [make("dt", { textContent: key }), make("dd", { textContent: text })]));
  fill("sequence", state.all.rows.map((row) => new Option(state.all.rows.length > 1 ? `${row.run}: ${row.name}` : row.name, JSON.stringify([row.run, row.name]))));
  if (EXPORTED) for (const place of document.querySelectorAll(".writes")) place.hidden = true;
  makeTabs(); showRuns(); hands();
  $("for-people-tab").hidden = !state.all.memory;
  mendPeople();
  $("for-runs-tab").hidden = state.all.rows.length < 2 && !state.all.left_out.length;
  $("for-compare-tab").hidden = state.all.rows.length < 2 || Boolean(EXPORTED);
  const to = remembered();
  Object.assign(state, { run: to.run, name: to.name, chosen: to.chosen, frame: to.at });
  $("sequence").value = JSON.stringify([to.run, to.name]);
  openTab("timeline-tab");
  await load();
  openTab(to.tab);
}

begin().catch((error) => showNothing(error.message));
