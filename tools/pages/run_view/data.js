"use strict";
// What the page knows, and where it asks. Data of a run is text everywhere: textContent and canvas, never markup.

const EXPORTED = window.ANSWERS || null; // a folder without a server: the answers lie beside the page
const $ = (id) => document.getElementById(id);
const state = {
  run: "", name: "", about: null, frame: 0, chosen: [], zoom: 1, all: null,
  boxes: null, times: null, people: [], persons: new Map(), events: [], marks: new Map(), loose: null, totals: null, scores: null,
  other: null, // another run beside this one: { run, name, about, boxes }
};

// ---- asking

const quote = encodeURIComponent;
const base = (run = state.run, name = state.name) => `api/${quote(run)}/${quote(name)}`;

async function get(path, bytes) {
  if (EXPORTED) {
    const found = EXPORTED[path];
    if (found === undefined) throw new Error("This copy of the page does not hold that; the run itself does.");
    if (found.refused) throw new Error(found.refused);
    return bytes ? Uint8Array.from(atob(found.bytes), (c) => c.charCodeAt(0)).buffer : found;
  }
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return bytes ? answer.arrayBuffer() : answer.json();
}

async function post(path, value) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const cropOf = ([frame, ...box]) => `${base()}/crop/${frame}/${box.map(Math.round).join("_")}.jpg`;

// ---- boxes: R rows sorted by frame; `start` says where each frame begins

function unpack(buffer) {
  const count = new DataView(buffer).getUint32(4, true);
  const frames = new Uint32Array(buffer, 8, count), ids = new Uint32Array(buffer, 8 + 4 * count, count);
  const xyxy = new Float32Array(buffer, 8 + 8 * count, 4 * count);
  const start = new Uint32Array((count ? frames[count - 1] : 0) + 2);
  for (let row = 0, frame = 0; frame < start.length; frame++) {
    while (row < count && frames[row] < frame) row++;
    start[frame] = row;
  }
  return { count, frames, ids, xyxy, flags: new Uint8Array(count), start };
}

const rowsOf = (boxes, frame) => frame >= 0 && frame + 1 < boxes.start.length ? [boxes.start[frame], boxes.start[frame + 1]] : [boxes.count, boxes.count];
const cornersOf = (boxes, row) => boxes.xyxy.subarray(4 * row, 4 * row + 4);

function rowOf(boxes, id, frame) { // -1: not there
  const [from, to] = rowsOf(boxes, frame);
  for (let row = from; row < to; row++) if (boxes.ids[row] === id) return row;
  return -1;
}

function gather(boxes) { // one entry an identity; a bar is an unbroken time
  const found = new Map();
  for (let row = 0; row < boxes.count; row++) {
    const id = boxes.ids[row], frame = boxes.frames[row];
    let person = found.get(id);
    if (!person) found.set(id, person = { id, begin: frame, end: frame, boxes: 0, bars: [] });
    const bar = person.bars[person.bars.length - 1];
    if (bar && frame - bar[1] <= 1) bar[1] = frame; else person.bars.push([frame, frame]);
    person.end = frame; person.boxes++;
  }
  return [...found.values()];
}

const personOf = (id) => state.people.find((person) => person.id === id);
const lastFrame = () => Math.max(state.about.frames, state.boxes.start.length - 1, 1) - 1;

// ---- in words

const nameOf = (id) => state.about.names[id] ? `${id} ${state.about.names[id]}` : String(id);
const colourOf = (id, light) => `hsl(${(id * 137.508) % 360} 85% ${light ?? 42 + (id * 29) % 26}%)`;
const secondsOf = (frame) => state.times && frame < state.times.length ? state.times[frame] : frame / state.about.fps;

function clock(frame) {
  const s = secondsOf(frame), hours = Math.floor(s / 3600), minutes = Math.floor(s / 60) % 60;
  return `${hours ? `${hours}:${String(minutes).padStart(2, "0")}` : minutes}:${(s % 60).toFixed(2).padStart(5, "0")}`;
}

// ---- small pieces of the page

function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null));
  return node;
}

const fill = (place, children) => $(place).replaceChildren(...children);
const button = (text, onclick, more) => make("button", { type: "button", textContent: text, onclick, ...more });

// Pictures come two at a time, the last asked for first: a browser has six connections, and the video needs one.
const waiting = [];
let coming = 0;

function image(src, alt, more) {
  const picture = make("img", { alt: "", ...more });
  picture.addEventListener("load", () => { picture.alt = alt; }); // until it has come it is no broken one
  for (const end of ["load", "error"]) picture.addEventListener(end, () => { if (picture.src) { coming--; nextPicture(); } }, { once: true });
  waiting.push([picture, src]);
  while (waiting.length > 80) waiting.shift()[0].dispatchEvent(new Event("error"));
  nextPicture();
  return picture;
}

function nextPicture() {
  while (coming < 2 && waiting.length) { const [picture, src] = waiting.pop(); coming++; picture.src = src; }
}

const goButton = (frame, id, text) => button(text, () => { if (id) choose(id); goTo(frame); });
