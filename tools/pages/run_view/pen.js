"use strict";
// Drawing on the picture, by mouse or keys: a box or a line takes two points, a zone three or more and Finish.

const pen = { kind: null, points: [], at: [0, 0], done: null };
const NEEDS = { box: 2, line: 2, zone: 0 };

function takePen(kind, done) {
  const [high, wide] = pictureSize();
  Object.assign(pen, { kind, points: [], at: [wide / 2, high / 2], done });
  $("said").textContent = kind === "zone"
    ? "Click the corners, or move with the arrow keys and press Enter; F finishes, Escape leaves."
    : "Click two points or drag; or move with the arrow keys and press Enter twice. Escape leaves.";
  $("overlay").style.touchAction = "none"; // a finger draws, and does not scroll
  $("overlay").focus({ preventScroll: true });
  draw();
}

function dropPen() { pen.kind = null; pen.points = []; $("overlay").style.touchAction = ""; draw(); }

function placePoint(point) {
  pen.points.push(point.map((x) => Math.round(10 * x) / 10));
  if (NEEDS[pen.kind] && pen.points.length === NEEDS[pen.kind]) finishPen(); else draw();
}

function finishPen() {
  const { kind, points, done } = pen;
  if (kind === "zone" && points.length < 3) { $("said").textContent = "A zone has three corners or more."; return; }
  dropPen();
  done(points);
}

function drawPen(c, px) {
  if (!pen.kind) return;
  const points = [...pen.points, pen.at], [a, b] = [points[0], pen.at];
  c.strokeStyle = "#fff"; c.lineWidth = 2 * px; c.setLineDash([5 * px, 3 * px]); c.beginPath();
  if (pen.kind === "box" && points.length > 1) c.rect(Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
  else points.forEach((point, k) => c[k ? "lineTo" : "moveTo"](...point));
  c.stroke(); c.setLineDash([]); c.beginPath();
  c.moveTo(pen.at[0] - 9 * px, pen.at[1]); c.lineTo(pen.at[0] + 9 * px, pen.at[1]); c.moveTo(pen.at[0], pen.at[1] - 9 * px); c.lineTo(pen.at[0], pen.at[1] + 9 * px);
  c.stroke();
}

function penKey(event) { // whether the key was for the pen
  if (!pen.kind) return false;
  const by = (event.shiftKey ? 1 : 8) * state.px, way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
  if (way) { const [high, wide] = pictureSize(); pen.at = [Math.min(Math.max(0, pen.at[0] + way[0]), wide), Math.min(Math.max(0, pen.at[1] + way[1]), high)]; draw(); }
  else if (event.key === "Enter") placePoint([...pen.at]);
  else if (event.key === "Escape") dropPen();
  else if (event.key.toLowerCase() === "f" && pen.kind === "zone") finishPen();
  else return false;
  return true;
}

function penMouse() {
  const canvas = $("overlay");
  let begun = null;
  canvas.addEventListener("pointerdown", (event) => { begun = pen.kind ? pointOf(event) : null; if (begun && !pen.points.length) placePoint(begun); else if (begun) { placePoint(begun); begun = null; } });
  canvas.addEventListener("pointermove", (event) => { if (pen.kind) { pen.at = pointOf(event); draw(); } });
  canvas.addEventListener("pointerup", (event) => {
    const point = pointOf(event);
    if (begun && pen.kind && NEEDS[pen.kind] && Math.hypot(point[0] - begun[0], point[1] - begun[1]) > 6 * state.px) placePoint(point);
    begun = null;
  });
  let penned = false; // a click that drew something chooses nobody
  canvas.addEventListener("pointerdown", () => { penned = Boolean(pen.kind); }, true);
  canvas.addEventListener("click", (event) => { if (!penned && !pen.kind) pick(event); });
}
