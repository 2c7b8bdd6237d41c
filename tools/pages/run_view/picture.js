"use strict";
// The video and what is drawn over it, in step with the shown frame.

const TRAIL = 1.5; // s
const shows = (what) => document.querySelector(`[data-show=${what}]`).checked;

function fitScreen() { // the timeline stays in sight
  const [high, wide] = pictureSize(), share = state.other ? 2 : 1;
  $("screen").style.aspectRatio = $("other").style.aspectRatio = `${wide} / ${high}`;
  $("stage").style.width = `min(100%, ${56 * share * wide / high}vh)`;
}

const pictureSize = () => state.about.size || [$("video").videoHeight || 9, $("video").videoWidth || 16];

function draw() {
  if (!state.boxes) return; // another run is being loaded
  drawOverlay();
  drawRows();
  $("where").textContent = `frame ${state.frame}, ${clock(state.frame)}`;
}

function sized(canvas) { // px of the screen; c draws in px of the video
  const box = canvas.getBoundingClientRect(), dense = window.devicePixelRatio || 1, [high, wide] = pictureSize();
  canvas.width = Math.round(box.width * dense); canvas.height = Math.round(box.height * dense);
  const c = canvas.getContext("2d");
  c.scale(canvas.width / wide, canvas.height / high);
  return [c, wide / Math.max(1, box.width)]; // the second: px of the video that are one of the screen
}

function drawOverlay() {
  const canvas = $("overlay"), [c, px] = sized(canvas);
  state.px = px;
  if (state.live) drawLive(c);
  if (shows("heat")) drawHeat(c);
  if (shows("loose")) drawLoose(c, px);
  if (shows("path")) drawPath(c, px);
  if (state.live && state.live.follow) drawBoxes(c, px, state.live.boxes, state.live.frame, true); else drawBoxes(c, px, state.boxes, state.frame);
  if (shows("regions")) drawRegions(c, px);
  drawPen(c, px);
  canvas.dataset.frame = state.frame;
  if (state.other) {
    const [d, dot] = sized($("other")), [high, wide] = pictureSize();
    if (state.about.video) d.drawImage($("video"), 0, 0, wide, high);
    drawBoxes(d, dot, state.other.boxes, state.frame);
  }
}

function drawBoxes(c, px, boxes, frame, bare) {
  if (shows("trails") && !bare) drawTrails(c, px, boxes, frame);
  c.font = `${13 * px}px system-ui, sans-serif`; c.textBaseline = "bottom";
  const [from, to] = rowsOf(boxes, frame), mine = boxes === state.boxes;
  for (let row = from; row < to; row++) {
    const id = boxes.ids[row], predicted = boxes.flags[row] & 1, chosen = mine && state.chosen.includes(id);
    if (predicted && !shows("predicted")) continue;
    const [x1, y1, x2, y2] = cornersOf(boxes, row);
    c.strokeStyle = colourOf(id); c.setLineDash(predicted ? [6 * px, 4 * px] : []);
    c.lineWidth = (chosen ? 4 : 2) * px;
    if (shows("boxes")) c.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (shows("ids")) {
      const text = mine ? nameOf(id) : String(id), wide = c.measureText(text).width + 6 * px, y = Math.max(y1, 17 * px);
      c.fillStyle = "rgba(0,0,0,.75)"; c.fillRect(x1, y - 17 * px, wide, 17 * px);
      c.fillStyle = "#fff"; c.fillText(text, x1 + 3 * px, y - px);
    }
  }
  c.setLineDash([]);
}

const footOf = (boxes, row) => [(boxes.xyxy[4 * row] + boxes.xyxy[4 * row + 2]) / 2, boxes.xyxy[4 * row + 3]];

function drawTrails(c, px, boxes, until) {
  const first = Math.max(0, until - Math.round(TRAIL * state.about.fps)), last = new Map();
  c.lineWidth = 2 * px;
  for (let frame = first; frame <= until; frame++) {
    const [from, to] = rowsOf(boxes, frame);
    c.globalAlpha = .15 + .75 * (frame - first) / (until - first + 1);
    for (let row = from; row < to; row++) {
      const id = boxes.ids[row], foot = footOf(boxes, row), before = last.get(id);
      if (before) { c.strokeStyle = colourOf(id); c.beginPath(); c.moveTo(...before); c.lineTo(...foot); c.stroke(); }
      last.set(id, foot);
    }
  }
  c.globalAlpha = 1;
}

function drawPath(c, px) {
  for (const id of state.chosen) {
    const person = personOf(id);
    if (!person) continue;
    c.strokeStyle = colourOf(id); c.lineWidth = 2 * px; c.beginPath();
    for (const [begin, end] of person.bars) {
      for (let frame = begin; frame <= end; frame++) {
        const row = rowOf(state.boxes, id, frame);
        if (row >= 0) c[frame === begin ? "moveTo" : "lineTo"](...footOf(state.boxes, row));
      }
    }
    c.stroke();
  }
}

async function wantLoose() {
  if (!state.loose) {
    const here = base(), told = await get(`${here}/loose`).catch(() => ({ frame: [], xyxy: [], score: [] })), by = new Map();
    if (here !== base()) return;
    told.frame.forEach((frame, k) => { if (!by.has(frame)) by.set(frame, []); by.get(frame).push(k); });
    state.loose = { ...told, by };
  }
  draw();
}

function drawLoose(c, px) {
  if (!state.loose) return;
  c.strokeStyle = "#ddd"; c.fillStyle = "#ddd"; c.lineWidth = px; c.setLineDash([2 * px, 3 * px]); c.font = `${11 * px}px system-ui, sans-serif`;
  for (const k of state.loose.by.get(state.frame) || []) {
    const [x1, y1, x2, y2] = state.loose.xyxy.slice(4 * k, 4 * k + 4);
    c.strokeRect(x1, y1, x2 - x1, y2 - y1); c.fillText(state.loose.score[k].toFixed(2), x1, y2 + 12 * px);
  }
  c.setLineDash([]);
}

function drawHeat(c) {
  if (!state.totals) return;
  const { heat, cell } = state.totals, most = Math.max(...heat.map((row) => Math.max(...row)), 1e-9);
  heat.forEach((row, j) => row.forEach((seconds, i) => {
    if (!seconds) return;
    const share = Math.sqrt(seconds / most);
    c.fillStyle = `hsl(${60 - 60 * share} 100% 50% / ${.15 + .5 * share})`; c.fillRect(i * cell, j * cell, cell, cell);
  }));
}

function drawRegions(c, px) {
  const { lines = [], zones = [] } = state.about.regions;
  c.font = `600 ${13 * px}px system-ui, sans-serif`; c.textBaseline = "bottom"; c.lineWidth = 3 * px;
  for (const region of [...lines, ...zones]) {
    const zone = region.points.length > 2;
    c.strokeStyle = zone ? "#ffd54a" : "#4ae0ff"; c.fillStyle = "rgba(255,213,74,.15)";
    c.beginPath(); region.points.forEach((point, k) => c[k ? "lineTo" : "moveTo"](...point));
    if (zone) { c.closePath(); c.fill(); }
    c.stroke();
    const [x, y] = region.points[0];
    c.lineWidth = 3 * px; c.strokeStyle = "#000"; c.strokeText(region.name, x, y - 4 * px); c.fillStyle = "#fff"; c.fillText(region.name, x, y - 4 * px);
  }
}

// ---- time: frame k is shown from times[k] to times[k + 1]; seeking to the middle cannot miss it

function middleOf(frame) {
  const begin = secondsOf(frame), next = secondsOf(frame + 1);
  return next > begin ? (begin + next) / 2 : begin + .5 / state.about.fps;
}

function frameAt(seconds) {
  const times = state.times;
  if (!times || !times.length) return Math.floor(seconds * state.about.fps + 1e-3);
  let low = 0, high = times.length; // the last one that begins at or before, to half a tick of 1/90000 s
  while (high - low > 1) { const k = (low + high) >> 1; if (times[k] <= seconds + 6e-6) low = k; else high = k; }
  return low;
}

let sought = null; // the frame that a seek is to show: until it does, pictures of before say nothing

function goTo(frame) {
  if (!state.boxes) return;
  if (state.live) state.live.follow = false;
  halt();
  state.frame = sought = Math.min(Math.max(0, Math.round(frame)), lastFrame());
  if (state.about.video) { $("video").pause(); $("video").currentTime = middleOf(state.frame); }
  draw();
  remember();
}

function follow() {
  const video = $("video");
  const at = (seconds) => {
    const frame = frameAt(seconds);
    if (sought !== null && frame !== sought) return;
    sought = null; state.frame = frame; draw();
  };
  if (video.requestVideoFrameCallback) {
    const shown = (_, about) => { at(about.mediaTime); video.requestVideoFrameCallback(shown); };
    video.requestVideoFrameCallback(shown);
  } else {
    for (const what of ["seeked", "timeupdate"]) video.addEventListener(what, () => at(video.currentTime));
  }
  video.addEventListener("play", () => { sought = null; $("play").textContent = "Pause"; });
  video.addEventListener("pause", () => { $("play").textContent = "Play"; remember(); });
  video.addEventListener("loadeddata", () => goTo(state.frame));
  video.addEventListener("error", unplayable);
}

async function unplayable() { // this browser does not play the source itself: a copy it will
  if (EXPORTED || !state.about || !state.about.video || state.about.proxy !== "none") return;
  state.about.video = false;
  await post(`${base()}/prepare`, {}).catch(() => null); // the button tells why
  waitForVideo();
}

function play() {
  const video = $("video");
  if (!state.boxes) return;
  if (!state.about.video) { if (walking) halt(); else walk(); return; }
  video.playbackRate = Number($("speed").value);
  if (video.paused) video.play(); else video.pause();
}

// Without a video the boxes play by the clock.
let walking = 0;

function walk() {
  const from = secondsOf(state.frame < lastFrame() ? state.frame : 0), begun = performance.now();
  const step = (now) => {
    state.frame = Math.min(frameAt(from + Number($("speed").value) * (now - begun) / 1000), lastFrame());
    draw();
    if (state.frame < lastFrame()) walking = requestAnimationFrame(step); else halt();
  };
  walking = requestAnimationFrame(step); $("play").textContent = "Pause";
}

function halt() {
  if (!walking) return;
  cancelAnimationFrame(walking); walking = 0; $("play").textContent = "Play"; remember();
}

// ---- choosing by a click

const pointOf = (event) => { const box = $("overlay").getBoundingClientRect(); return [(event.clientX - box.left) * state.px, (event.clientY - box.top) * state.px]; };

function pick(event) {
  const [x, y] = pointOf(event), [from, to] = rowsOf(state.boxes, state.frame);
  let best = 0, least = Infinity; // the smallest box there
  for (let row = from; row < to; row++) {
    const [x1, y1, x2, y2] = cornersOf(state.boxes, row), area = (x2 - x1) * (y2 - y1);
    if (x >= x1 && x <= x2 && y >= y1 && y <= y2 && area < least) { best = state.boxes.ids[row]; least = area; }
  }
  if (best) choose(best, event.shiftKey);
}
