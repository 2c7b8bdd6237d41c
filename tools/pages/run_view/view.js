"use strict";
// The page of a run. Data from the run is text everywhere: textContent and canvas, never markup.

const $ = (id) => document.getElementById(id);
const api = (path) => `api/${encodeURIComponent(state.name)}/${path}`;
const ROW = 22, LEFT = 130, TRAIL = 1.5;
const state = {
  name: "", about: null, frame: 0, chosen: [], zoom: 1, people: [],
  count: 0, frames: null, ids: null, xyxy: null, flags: null, start: null,
};

// ---- data

async function load(name) {
  state.name = name;
  const [about, boxes] = await Promise.all([ask("about").then((r) => r.json()), ask("boxes").then((r) => r.arrayBuffer())]);
  unpack(boxes);
  const video = about.video && (!state.about || state.about.name !== name || !state.about.video);
  state.about = about;
  state.people = gather();
  state.chosen = state.chosen.filter((id) => state.people.some((p) => p.id === id));
  $("summary").textContent = about.summary;
  list($("missing"), about.missing, (item, text) => { item.textContent = text; });
  $("corrected").href = api("corrected.txt");
  if (video) $("video").src = api("video");
  $("prepare").hidden = about.video;
  $("prepare").textContent = about.proxy === "making" ? "Being made …" : about.proxy === "none" ? "Make the video playable here" : about.proxy;
  if (about.proxy === "making") setTimeout(() => load(name), 700);
  fitScreen();
  showEdits();
  extend();
  draw();
}

async function ask(path, options) {
  const answer = await fetch(api(path), options);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

function unpack(buffer) {
  const view = new DataView(buffer), n = view.getUint32(4, true);
  let at = 8;
  const take = (Kind, length) => { const found = new Kind(buffer.slice(at, at + length * Kind.BYTES_PER_ELEMENT)); at += length * Kind.BYTES_PER_ELEMENT; return found; };
  Object.assign(state, { count: n, frames: take(Uint32Array, n), ids: take(Uint32Array, n), xyxy: take(Float32Array, 4 * n), flags: take(Uint8Array, n) });
  const last = n ? state.frames[n - 1] : 0;
  state.start = new Uint32Array(last + 2);
  for (let row = 0, frame = 0; frame < state.start.length; frame++) {
    while (row < n && state.frames[row] < frame) row++;
    state.start[frame] = row;
  }
}

const rowsOf = (frame) => frame + 1 < state.start.length ? [state.start[frame], state.start[frame + 1]] : [state.count, state.count];
const lastFrame = () => Math.max(state.about.frames, state.start.length - 1, 1) - 1;

function gather() {
  const found = new Map();
  for (let row = 0; row < state.count; row++) {
    const id = state.ids[row], frame = state.frames[row];
    let person = found.get(id);
    if (!person) found.set(id, person = { id, begin: frame, end: frame, boxes: 0, bars: [], rows: [] });
    const bar = person.bars[person.bars.length - 1];
    if (bar && frame - bar[1] <= 1) bar[1] = frame; else person.bars.push([frame, frame]);
    person.end = frame; person.boxes++; person.rows.push(row);
  }
  return sorted([...found.values()]);
}

function sorted(people) {
  const by = $("sort").value;
  const key = { begin: (p) => p.begin, seconds: (p) => -p.boxes, id: (p) => p.id }[by];
  return people.sort((a, b) => key(a) - key(b) || a.id - b.id);
}

const nameOf = (id) => state.about.names[id] ? `${id} ${state.about.names[id]}` : String(id);
const colourOf = (id, light) => `hsl(${(id * 137.508) % 360} 85% ${light ?? 42 + (id * 29) % 26}%)`;
const clock = (frame) => { const s = frame / state.about.fps; return `${Math.floor(s / 60)}:${(s % 60).toFixed(2).padStart(5, "0")}`; };

// ---- the picture

function fitScreen() {
  const [high, wide] = state.about.size || [9, 16]; // the timeline stays in sight
  $("screen").style.aspectRatio = `${wide} / ${high}`;
  $("screen").style.maxWidth = `${58 * wide / high}vh`;
}

function draw() {
  drawOverlay();
  drawRows();
  $("where").textContent = `frame ${state.frame}, ${clock(state.frame)}`;
  const [one, other] = state.chosen, person = state.people.find((p) => p.id === one);
  $("who").textContent = one === undefined ? "Nobody chosen" : nameOf(one) + (other === undefined ? "" : ` and ${nameOf(other)}`);
  if (person) {
    const gaps = person.bars.length - 1, sure = state.about.sure.includes(one) ? ", marked as sure" : "";
    $("facts").textContent = `${clock(person.begin)} to ${clock(person.end)}, seen for ${(person.boxes / state.about.fps).toFixed(1)} s, ${gaps} gap${gaps === 1 ? "" : "s"}${sure}`;
  }
}

function drawOverlay() {
  const canvas = $("overlay"), box = canvas.getBoundingClientRect(), dense = window.devicePixelRatio || 1;
  canvas.width = Math.round(box.width * dense); canvas.height = Math.round(box.height * dense);
  const c = canvas.getContext("2d"), size = state.about.size || [$("video").videoHeight || 1, $("video").videoWidth || 1];
  const sx = canvas.width / size[1], sy = canvas.height / size[0];
  state.scale = [sx / dense, sy / dense];
  c.lineWidth = 2 * dense; c.font = `${13 * dense}px system-ui, sans-serif`; c.textBaseline = "bottom";
  if ($("show-trails").checked) drawTrails(c, sx, sy);
  const [from, to] = rowsOf(state.frame);
  for (let row = from; row < to; row++) {
    const id = state.ids[row], predicted = state.flags[row] & 1;
    if (predicted && !$("show-predicted").checked) continue;
    const [x1, y1, x2, y2] = state.xyxy.subarray(4 * row, 4 * row + 4);
    c.strokeStyle = colourOf(id); c.setLineDash(predicted ? [6 * dense, 4 * dense] : []);
    c.lineWidth = (state.chosen.includes(id) ? 4 : 2) * dense;
    if ($("show-boxes").checked) c.strokeRect(x1 * sx, y1 * sy, (x2 - x1) * sx, (y2 - y1) * sy);
    if ($("show-ids").checked) {
      const text = nameOf(id), wide = c.measureText(text).width + 6 * dense;
      c.fillStyle = "rgba(0,0,0,.72)"; c.fillRect(x1 * sx, y1 * sy - 17 * dense, wide, 17 * dense);
      c.fillStyle = "#fff"; c.fillText(text, x1 * sx + 3 * dense, y1 * sy - 1 * dense);
    }
  }
  canvas.dataset.frame = state.frame;
}

function drawTrails(c, sx, sy) {
  c.setLineDash([]);
  const first = Math.max(0, state.frame - Math.round(TRAIL * state.about.fps)), last = new Map();
  for (let frame = first; frame <= state.frame; frame++) {
    const [from, to] = rowsOf(frame);
    for (let row = from; row < to; row++) {
      const id = state.ids[row], x = (state.xyxy[4 * row] + state.xyxy[4 * row + 2]) / 2 * sx, y = state.xyxy[4 * row + 3] * sy, before = last.get(id);
      if (before) {
        c.globalAlpha = .15 + .75 * (frame - first) / (state.frame - first + 1);
        c.strokeStyle = colourOf(id); c.beginPath(); c.moveTo(...before); c.lineTo(x, y); c.stroke();
      }
      last.set(id, [x, y]);
    }
  }
  c.globalAlpha = 1;
}

// A frame is shown between k / fps and (k + 1) / fps: seeking to its middle cannot miss it.
const timeOf = (frame) => (frame + .5) / state.about.fps;
function goTo(frame) {
  state.frame = Math.min(Math.max(0, frame), lastFrame());
  if (state.about.video) { $("video").pause(); $("video").currentTime = timeOf(state.frame); }
  draw();
}

function follow() {
  const video = $("video");
  if (video.requestVideoFrameCallback) {
    const shown = (_, about) => { state.frame = Math.floor(about.mediaTime * state.about.fps + 1e-3); draw(); video.requestVideoFrameCallback(shown); };
    video.requestVideoFrameCallback(shown);
  } else {
    const shown = () => { state.frame = Math.floor(video.currentTime * state.about.fps + 1e-3); draw(); };
    video.addEventListener("seeked", shown); video.addEventListener("timeupdate", shown);
  }
  video.addEventListener("play", () => { $("play").textContent = "Pause"; });
  video.addEventListener("pause", () => { $("play").textContent = "Play"; });
  video.addEventListener("loadeddata", () => goTo(state.frame));
}

function play() {
  const video = $("video");
  if (!state.about.video) return;
  video.playbackRate = Number($("speed").value);
  if (video.paused) video.play(); else video.pause();
}

function pick(event) {
  const box = $("overlay").getBoundingClientRect();
  const x = (event.clientX - box.left) / state.scale[0], y = (event.clientY - box.top) / state.scale[1];
  const [from, to] = rowsOf(state.frame);
  let best = null, least = Infinity;
  for (let row = from; row < to; row++) {
    const [x1, y1, x2, y2] = state.xyxy.subarray(4 * row, 4 * row + 4), area = (x2 - x1) * (y2 - y1);
    if (x >= x1 && x <= x2 && y >= y1 && y <= y2 && area < least) { best = state.ids[row]; least = area; }
  }
  if (best !== null) choose(best, event.shiftKey);
}

function choose(id, second) {
  state.chosen = second && state.chosen.length && state.chosen[0] !== id ? [state.chosen[0], id] : [id];
  $("name").value = state.about.names[state.chosen[0]] || "";
  draw();
}

// ---- the timeline

const pixels = () => Math.max($("timeline").clientWidth - LEFT - 10, 100) * state.zoom;
const xOf = (frame) => LEFT + frame / (lastFrame() + 1) * pixels();

function extend() {
  $("extent").style.width = `${LEFT + pixels()}px`;
  $("extent").style.height = `${state.people.length * ROW + 24}px`;
  $("count").textContent = `${state.people.length} identities`;
}

function drawRows() {
  const place = $("timeline"), canvas = $("rows"), dense = window.devicePixelRatio || 1, wide = place.clientWidth, high = place.clientHeight;
  if (canvas.width !== wide * dense || canvas.height !== high * dense) {
    canvas.width = wide * dense; canvas.height = high * dense; canvas.style.width = `${wide}px`; canvas.style.height = `${high}px`;
  }
  const c = canvas.getContext("2d"), style = getComputedStyle(document.body), left = place.scrollLeft, top = place.scrollTop;
  c.setTransform(dense, 0, 0, dense, 0, 0); c.clearRect(0, 0, wide, high);
  c.font = "13px system-ui, sans-serif"; c.textBaseline = "middle";
  const first = Math.floor(top / ROW), last = Math.min(state.people.length, Math.ceil((top + high) / ROW));
  for (let k = first; k < last; k++) {
    const person = state.people[k], y = k * ROW - top;
    c.fillStyle = colourOf(person.id);
    for (const [from, to] of person.bars) {
      const x = xOf(from) - left;
      c.fillRect(Math.max(x, LEFT), y + 4, Math.max(Math.min(xOf(to + 1) - left, wide) - Math.max(x, LEFT), 1.5), ROW - 8);
    }
    c.fillStyle = style.backgroundColor; c.fillRect(0, y, LEFT - 2, ROW);
    c.fillStyle = style.color;
    if (state.chosen.includes(person.id)) { c.strokeStyle = style.color; c.strokeRect(1, y + 1, wide - 2, ROW - 2); }
    c.fillText((state.about.sure.includes(person.id) ? "✓ " : "") + nameOf(person.id), 8, y + ROW / 2, LEFT - 14);
  }
  const head = xOf(state.frame + .5) - left;
  if (head >= LEFT) { c.fillStyle = style.color; c.fillRect(head - 1, 0, 2, high); }
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

// ---- edits

const counted = () => { // as tracker/offline/edits.py counts them
  const alive = state.about.edits.map(() => true);
  for (let k = alive.length - 1; k >= 0; k--) if (alive[k] && state.about.edits[k].op === "undo") alive[state.about.edits[k].of] = false;
  return alive;
};

function showEdits() {
  const alive = counted(), unfit = new Set(state.about.unfit.map((one) => one.edit));
  list($("edits"), state.about.edits, (item, edit, k) => {
    const { op, ...rest } = edit;
    item.textContent = `${op} ${Object.entries(rest).map(([key, value]) => `${key} ${value}`).join(", ")}`;
    if (!alive[k]) item.className = "undone"; else if (unfit.has(k)) item.className = "unfit";
  });
}

async function edit(what) {
  const [id, other] = state.chosen, frame = state.frame;
  const used = new Set([...state.people.map((p) => p.id), ...state.about.edits.flatMap((e) => [e.id, e.other, e.new].filter(Number))]);
  const made = {
    merge: () => other && { op: "merge", id, other },
    split: () => id && { op: "split", id, frame, new: Math.max(0, ...used) + 1 },
    swap: () => other && { op: "swap", id, other, frame },
    delete: () => id && { op: "delete", id },
    sure: () => id && { op: "sure", id, sure: !state.about.sure.includes(id) },
    name: () => id && { op: "name", id, name: $("name").value },
    undo: () => undoOf((e) => e.op !== "undo"),
    redo: () => undoOf((e) => e.op === "undo"),
  }[what]();
  if (!made) { $("said").textContent = what === "undo" || what === "redo" ? `Nothing to ${what}` : "Choose a person first; for two, click the second one with Shift"; return; }
  try {
    await ask("edits", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ edit: made, known: state.about.edits.length }) });
    $("said").textContent = `${what}: done`;
  } catch (error) {
    $("said").textContent = error.message;
  }
  await load(state.name);
}

function undoOf(fits) { // the newest edit that counts, or the newest undo that does
  const alive = counted();
  for (let k = alive.length - 1; k >= 0; k--) if (alive[k] && fits(state.about.edits[k])) return { op: "undo", of: k };
  return null;
}

function list(place, values, fill) {
  place.replaceChildren(...values.map((value, k) => { const item = document.createElement("li"); fill(item, value, k); return item; }));
}

// ---- hands

function keys(event) {
  if (event.target.tagName === "INPUT" && event.target.type !== "checkbox" || event.target.tagName === "SELECT") return;
  const step = { ",": -1, ".": 1, ArrowLeft: -1, ArrowRight: 1, PageUp: -Math.round(state.about.fps), PageDown: Math.round(state.about.fps) }[event.key];
  const at = state.people.findIndex((p) => p.id === state.chosen[0]);
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) edit("undo");
  else if (event.key === "y" && (event.ctrlKey || event.metaKey)) edit("redo");
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (step) goTo(state.frame + step);
  else if (event.key === " " && event.target.tagName !== "BUTTON") play();
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const next = state.people[Math.min(Math.max(at + (event.key === "ArrowDown" ? 1 : -1), 0), state.people.length - 1)];
    if (next) { choose(next.id, event.shiftKey); $("timeline").scrollTop = Math.max(0, (state.people.indexOf(next) - 5) * ROW); }
  } else if (event.key === "Enter" && event.target.id === "timeline" && at >= 0) goTo(state.people[at].begin);
  else if (event.key === "+") zoom(1.5);
  else if (event.key === "-") zoom(1 / 1.5);
  else return;
  event.preventDefault();
}

async function begin() {
  const run = await (await fetch("api/run")).json();
  list($("sequence"), [], () => {});
  for (const name of run.sequences) $("sequence").add(new Option(name, name));
  $("sequence").onchange = () => { state.about = null; state.chosen = []; state.frame = 0; load($("sequence").value); };
  $("overlay").onclick = pick;
  $("rows").onclick = clickRows;
  $("timeline").onscroll = drawRows;
  $("play").onclick = play;
  $("back").onclick = () => goTo(state.frame - 1);
  $("forward").onclick = () => goTo(state.frame + 1);
  $("speed").onchange = () => { $("video").playbackRate = Number($("speed").value); };
  $("sort").onchange = () => { sorted(state.people); draw(); };
  $("wider").onclick = () => zoom(1.5);
  $("narrower").onclick = () => zoom(1 / 1.5);
  $("prepare").onclick = async () => { await ask("prepare", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" }); load(state.name); };
  for (const id of ["show-boxes", "show-ids", "show-trails", "show-predicted"]) $(id).onchange = draw;
  for (const button of document.querySelectorAll("[data-do]")) button.onclick = () => edit(button.dataset.do);
  document.addEventListener("keydown", keys);
  new ResizeObserver(() => { if (state.about) { extend(); draw(); } }).observe($("screen"));
  window.addEventListener("resize", () => { if (state.about) { extend(); draw(); } });
  follow();
  await load(run.sequences[0]);
  document.body.dataset.ready = "yes";
}

begin().catch((error) => { $("summary").textContent = error.message; });
