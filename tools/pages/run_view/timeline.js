"use strict";
// Everybody over time: a row a person, a bar an unbroken stay, marks where something happened. Only what is in sight is drawn.

const ROW = 30;
let LEFT = 150; // px of the names
const MARKS = { // colour, sign, what it means
  switch: ["#d4351c", "▲", "may have changed"], truth: ["#8f00d6", "▼", "changed, by the truth"], double: ["#777", "✕", "dropped as a double"],
  born: ["#0a7d33", "▸", "born"], lost: ["#777", "▪", "lost"], found: ["#0a7d33", "●", "found again"], merged: ["#b3007a", "✚", "merged"], miss: ["#8f00d6", "—", "missed, by the truth"], edit: ["#0a5fd0", "◆", "edited"],
};
const faces = new Map(); // crop -> its picture

const pixels = () => Math.max($("timeline").clientWidth - LEFT - 12, 100) * state.zoom;
const xOf = (frame) => LEFT + frame / (lastFrame() + 1) * pixels();

function sortPeople() {
  const near = new Map(((state.persons.get(state.chosen[0]) || {}).near || []).map(([id, distance]) => [id, distance]));
  const like = (p) => p.id === state.chosen[0] ? -1 : near.get(p.id) ?? 2;
  const key = { begin: (p) => p.begin, seconds: (p) => -p.boxes, id: (p) => p.id, like }[$("sort").value];
  state.people.sort((a, b) => key(a) - key(b) || a.id - b.id);
}

function extend() {
  LEFT = $("timeline").clientWidth < 600 ? 84 : 150;
  $("extent").style.width = `${LEFT + pixels()}px`;
  $("extent").style.height = `${Math.max(state.people.length * ROW, 1)}px`;
  $("count").textContent = `${state.people.length} identities`;
}

function gatherMarks() { // by identity: [frame, kind, last frame]
  const marks = new Map(), put = (id, mark) => { if (!marks.has(id)) marks.set(id, []); marks.get(id).push(mark); };
  for (const person of state.people) {
    person.bars.forEach(([begin, end], k) => { put(person.id, [begin, k ? "found" : "born"]); if (end < lastFrame()) put(person.id, [end, "lost"]); });
  }
  for (const event of state.events) for (const id of new Set([event.id, event.other])) if (id) put(id, [event.frame, event.kind]);
  for (const { frame, after } of state.scores?.switches || []) put(after, [frame, "truth"]);
  for (const { first, last, id } of state.scores?.misses || []) if (id) put(id, [first, "miss", last]);
  const alive = counted();
  state.about.edits.forEach((edit, k) => { if (alive[k] && edit.op !== "undo" && "frame" in edit) for (const id of [edit.id, edit.new, edit.other]) if (id) put(id, [edit.frame, "edit"]); });
  state.marks = marks;
  const kinds = new Set([...marks.values()].flat().map(([, kind]) => kind));
  fill("legend", [...kinds].map((kind) => make("span", { className: "key" }, make("b", { textContent: MARKS[kind][1], style: `color:${MARKS[kind][0]}` }), ` ${MARKS[kind][2]}`)));
}

function drawRows() {
  const place = $("timeline"), canvas = $("rows"), dense = window.devicePixelRatio || 1, wide = place.clientWidth, high = place.clientHeight;
  if (!wide || !state.boxes) return;
  if (canvas.width !== Math.round(wide * dense) || canvas.height !== Math.round(high * dense)) {
    canvas.width = Math.round(wide * dense); canvas.height = Math.round(high * dense); canvas.style.width = `${wide}px`; canvas.style.height = `${high}px`;
  }
  const c = canvas.getContext("2d"), style = getComputedStyle(document.body), left = place.scrollLeft, top = place.scrollTop;
  const ground = style.backgroundColor, ink = style.color;
  c.setTransform(dense, 0, 0, dense, 0, 0); c.clearRect(0, 0, wide, high); c.textBaseline = "middle";
  const first = Math.floor(top / ROW), last = Math.min(state.people.length, Math.ceil((top + high) / ROW));
  for (let k = first; k < last; k++) drawRow(c, state.people[k], k * ROW - top, left, wide, ground, ink);
  const head = xOf(state.frame + .5) - left;
  if (head >= LEFT) { c.fillStyle = ink; c.fillRect(head - 1, 0, 2, high); }
}

function drawRow(c, person, y, left, wide, ground, ink) {
  c.fillStyle = colourOf(person.id);
  for (const [from, to] of person.bars) {
    const x = Math.max(xOf(from) - left, LEFT), end = Math.min(xOf(to + 1) - left, wide);
    if (end > LEFT && x < wide) c.fillRect(x, y + 7, Math.max(end - x, 1.5), ROW - 14);
  }
  c.font = "12px system-ui, sans-serif";
  for (const [frame, kind, until] of state.marks.get(person.id) || []) {
    const x = xOf(frame + .5) - left;
    if (x < LEFT || x > wide) continue;
    c.fillStyle = MARKS[kind][0];
    if (until) { c.fillRect(x, y + ROW - 6, Math.max(2, xOf(until + 1) - left - x), 3); continue; }
    c.strokeStyle = ground; c.lineWidth = 3; c.textAlign = "center"; c.strokeText(MARKS[kind][1], x, y + ROW / 2); c.fillText(MARKS[kind][1], x, y + ROW / 2); c.textAlign = "left";
  }
  c.fillStyle = ground; c.fillRect(0, y, LEFT - 2, ROW);
  const face = faceOf(person.id);
  if (face) c.drawImage(face, 4, y + 1, Math.min(26, (ROW - 2) * face.naturalWidth / face.naturalHeight), ROW - 2);
  c.fillStyle = ink; c.font = "13px system-ui, sans-serif";
  c.fillText((state.about.sure.includes(person.id) ? "✓ " : "") + nameOf(person.id), 34, y + ROW / 2, LEFT - 40);
  if (state.chosen.includes(person.id)) { c.strokeStyle = ink; c.lineWidth = 1.5; c.strokeRect(1, y + 1, wide - 2, ROW - 2); }
}

function faceOf(id) { // the middle crop; null until it has come
  const told = state.persons.get(id);
  if (!told || !told.crops.length || !state.about.video) return null;
  const src = cropOf(told.crops[told.crops.length >> 1]);
  let face = faces.get(src);
  if (!face) {
    face = image(src, "", { onload: () => requestAnimationFrame(drawRows), onerror: () => { if (!face.src) faces.delete(src); } });
    faces.set(src, face);
    if (faces.size > 3000) faces.delete(faces.keys().next().value);
  }
  return face.complete && face.naturalWidth ? face : null;
}

function clickRows(event) {
  const box = $("timeline").getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top + $("timeline").scrollTop;
  const person = state.people[Math.floor(y / ROW)];
  if (person) choose(person.id, event.shiftKey);
  if (x > LEFT) goTo(Math.floor((x + $("timeline").scrollLeft - LEFT) / pixels() * (lastFrame() + 1)));
  else if (person) goTo(person.begin);
}

function zoom(by) {
  const place = $("timeline"), at = state.frame;
  state.zoom = Math.min(Math.max(state.zoom * by, 1), 400);
  extend();
  place.scrollLeft = xOf(at) - place.clientWidth / 2;
  draw();
}

function moveChoice(by, second) { // to the next row
  const at = state.people.findIndex((p) => p.id === state.chosen[state.chosen.length - 1]);
  const next = state.people[Math.min(Math.max(at + by, 0), state.people.length - 1)];
  if (!next) return;
  choose(next.id, second);
  const place = $("timeline"), y = state.people.indexOf(next) * ROW;
  if (y < place.scrollTop || y + ROW > place.scrollTop + place.clientHeight) place.scrollTop = Math.max(0, y - 4 * ROW);
}
