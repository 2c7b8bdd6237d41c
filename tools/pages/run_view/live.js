"use strict";
// A run that goes on: the latest picture with its tracks, and the result as it grows.

let source = null;

function goLive() {
  if (source) source.close();
  source = null; state.live = null;
  if (EXPORTED || !state.about.growing) return;
  source = new EventSource(`${base()}/live`);
  source.addEventListener("grown", () => load(true));
  source.addEventListener("done", () => { source.close(); state.live = null; state.anew = true; load(); });
  source.addEventListener("picture", (event) => {
    const told = JSON.parse(event.data), picture = new Image();
    picture.onload = () => {
      state.live = { picture, frame: told.frame, boxes: boxesOf(told), follow: state.live ? state.live.follow : true, size: told.size, late: Date.now() - told.at };
      if (!state.about.size) { state.about.size = told.size; fitScreen(); }
      if (state.live.follow) { $("summary").textContent = `live, frame ${told.frame}`; draw(); }
    };
    picture.src = `data:image/jpeg;base64,${told.jpeg}`;
  });
}

function boxesOf({ frame, tracks }) { // as `unpack` makes them, of one frame
  const count = tracks.length, start = new Uint32Array(frame + 2);
  start[frame + 1] = count;
  return {
    count, start, frames: new Uint32Array(count).fill(frame), ids: Uint32Array.from(tracks, (t) => t.id),
    xyxy: Float32Array.from(tracks.flatMap((t) => t.xyxy)), flags: Uint8Array.from(tracks, (t) => t.predicted ? 1 : 0),
  };
}

function drawLive(c) {
  const [high, wide] = pictureSize();
  if (state.live.follow) c.drawImage(state.live.picture, 0, 0, wide, high);
}
