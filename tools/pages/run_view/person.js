"use strict";
// The chosen person: crops over time, who looks alike, and why a box is theirs.

const LIKELY = .5; // from which somebody is probably the same

function choose(id, second) {
  state.chosen = second && state.chosen.length && state.chosen[0] !== id ? [state.chosen[0], id] : [id];
  showPerson();
  if ($("sort").value === "like" && !second) { sortPeople(); $("timeline").scrollTop = 0; }
  draw();
  remember();
}

function showPerson() {
  const [one, other] = state.chosen, person = personOf(one), told = state.persons.get(one);
  $("who").textContent = one === undefined ? "Nobody chosen" : nameOf(one) + (other === undefined ? "" : ` and ${nameOf(other)}`);
  if ($("name").dataset.of !== String(one)) { $("name").value = state.about.names[one] || ""; $("name").dataset.of = one; } // what is being typed stays
  document.querySelector("[data-do=sure]").textContent = state.about.sure.includes(one) ? "Not sure after all" : "Mark as sure";
  fill("crops", []); fill("near", []); fill("moment", []);
  $("facts").textContent = person ? factsOf(person, told) : "Click a box or a row. Hold Shift for a second one.";
  if (!told) return;
  if (state.about.video) fill("crops", told.crops.map((crop) => button("", () => goTo(crop[0]), { title: `frame ${crop[0]}`, className: "crop" })));
  [...$("crops").children].forEach((place, k) => place.append(image(cropOf(told.crops[k]), `frame ${told.crops[k][0]}`)));
  if (told.near) showNear(told.near);
}

function factsOf(person, told) {
  const gaps = person.bars.length - 1, seconds = (person.boxes / state.about.fps).toFixed(1);
  const way = told ? `, a way of ${Math.round(told.path)} px${told.speed === null ? "" : ` at ${told.speed} body heights a second`}` : "";
  return `${clock(person.begin)} to ${clock(person.end)}, seen for ${seconds} s${way}, ${gaps} gap${gaps === 1 ? "" : "s"}${state.about.sure.includes(person.id) ? ", marked as sure" : ""}`;
}

function showNear(near) {
  const shown = near.filter(([id]) => personOf(id)).slice(0, 5);
  if (!shown.length) { fill("near", [make("p", { textContent: "Looks like nobody who was not there at the same time." })]); return; }
  fill("near", [make("h3", { textContent: "Looks like" }), make("ol", { className: "list" }, ...shown.map(([id, distance, probability]) => {
    const words = `${probability >= LIKELY ? "probably the same person" : "somebody else, likely"} (${Math.round(100 * probability)} %, distance ${distance.toFixed(2)})`;
    const crops = (state.persons.get(id) || { crops: [] }).crops;
    return make("li", {}, button("", () => { choose(id, true); }, { title: "choose as the second one" }), crops.length && state.about.video ? image(cropOf(crops[crops.length >> 1]), "") : null, make("span", { textContent: `${nameOf(id)}: ${words}` }));
  }))]);
  for (const place of $("near").querySelectorAll("li")) place.firstChild.append(...[...place.childNodes].slice(1));
}

async function why() {
  const [id] = state.chosen, frame = state.frame;
  if (!id) { $("said").textContent = "Choose a person first"; return; }
  const told = await get(`${base()}/moment?frame=${frame}&id=${id}`).catch((error) => ({ lines: [error.message], pairs: [] }));
  const faceOf = (who) => { const { crops } = state.persons.get(who) || { crops: [] }; return crops.length && state.about.video ? image(cropOf(crops[crops.length >> 1]), "") : null; };
  const about = (pair, text, whose) => make("li", { className: pair.joined ? "joined" : "" },
    faceOf(whose), state.about.video ? image(cropOf([frame, ...pair.box]), "") : null,
    make("span", { textContent: `${text}: cost ${pair.sum}, limit ${pair.limit}. ${pair.joined ? "Joined." : pair.refusal ? `Not possible: ${pair.refusal}.` : "Possible."} It ${pair.fate}.` }));
  fill("moment", [
    make("h3", { textContent: `Frame ${frame}` }),
    make("ul", { className: "told" }, ...told.lines.map((line) => make("li", { textContent: line.trim() }))),
    told.pairs.length ? make("h3", { textContent: "What was in question" }) : null,
    make("ol", { className: "list pairs" }, ...told.pairs.map((pair) => about(pair, `Detection ${pair.detection}, stage ${pair.stage}`, id)),
      ...(told.rivals || []).map((pair) => about(pair, `${pair.id || "Somebody without an id"} for the same detection, stage ${pair.stage}`, pair.id))),
  ].filter(Boolean));
}
