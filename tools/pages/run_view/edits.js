"use strict";
// The hand that corrects. Every edit is a line on the disk before the page shows it; the boxes come back corrected.

// Which edits count, as tracker/offline/edits.py has it: an undo takes an edit away, an undo of an undo brings it back.
function counted() {
  const edits = state.about.edits, alive = edits.map(() => true);
  for (let k = edits.length - 1; k >= 0; k--) if (alive[k] && edits[k].op === "undo" && edits[k].of < k) alive[edits[k].of] = false;
  return alive;
}

function newest(undoing) { // the undo that undoes, or that redoes: what was undone last, unless something new came after it
  const edits = state.about.edits, alive = counted();
  const takesAway = (k) => edits[k].op === "undo" && !takesAway(edits[k].of);
  const real = edits.findLastIndex((one, k) => alive[k] && one.op !== "undo"), taken = edits.findLastIndex((_, k) => alive[k] && takesAway(k));
  const of = undoing ? real : taken > real ? taken : -1;
  return of < 0 ? null : { op: "undo", of };
}

const freshId = () => Math.max(0, ...state.people.map((p) => p.id), ...state.about.edits.flatMap((e) => [e.id, e.other, e.new].filter(Number))) + 1;

function edit(what) {
  const [id, other] = state.chosen, frame = state.frame;
  const made = {
    merge: () => other && { op: "merge", id, other },
    split: () => id && { op: "split", id, frame, new: freshId() },
    swap: () => other && { op: "swap", id, other, frame },
    delete: () => id && { op: "delete", id },
    cut: () => id && { op: "delete", id, first: frame },
    sure: () => id && { op: "sure", id, sure: !state.about.sure.includes(id) },
    name: () => id && { op: "name", id, name: $("name").value },
    undo: () => newest(true),
    redo: () => newest(false),
  }[what]();
  if (made) return send(made, what === "split" ? `split: ${id} is ${made.new} from frame ${frame} on` : what);
  $("said").textContent = what === "undo" || what === "redo" ? `Nothing to ${what}` : "Choose a person first; for two, choose the second one with Shift";
}

async function send(made, what) {
  try {
    await post(`${base()}/edits`, { edit: made, known: state.about.edits.length });
    $("said").textContent = `${what}: done`;
  } catch (error) {
    $("said").textContent = error.message;
  }
  $("name").dataset.of = "";
  await load();
  const unfit = state.about.unfit.find((one) => one.edit === state.about.edits.length - 1);
  if (unfit) $("said").textContent = `${what}: does not fit, ${unfit.why}`;
}

function drawBox() { // for the chosen one, or somebody new
  const id = state.chosen[0] || freshId(), frame = state.frame;
  takePen("box", ([a, b]) => {
    const xyxy = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
    return send({ op: "box", id, frame, xyxy }, `box of ${id}`).then(() => { if (personOf(id)) choose(id); });
  });
  $("said").textContent = `${state.chosen[0] ? `A box of ${nameOf(id)} (Escape first, for somebody new).` : "A box of somebody new."} ${$("said").textContent}`;
}

function editInWords(edit) {
  const { op, id, other, frame, first, last } = edit, undone = state.about.edits[edit.of];
  return {
    merge: () => `merge ${other} into ${id}`, split: () => `split ${id}: from frame ${frame} on it is ${edit.new}`, swap: () => `swap ${id} and ${other} from frame ${frame} on`,
    delete: () => `delete ${id}${first === undefined ? "" : ` from frame ${first} on`}${last === undefined ? "" : ` up to frame ${last}`}`,
    box: () => `box of ${id} in frame ${frame}`, name: () => edit.name ? `${id} is called ${edit.name}` : `${id} has no name`,
    sure: () => `${id} is ${edit.sure ? "" : "not "}sure`, undo: () => undone?.op === "undo" ? `redo ${undone.of}` : `undo ${edit.of}`,
  }[op]();
}

function showEdits() {
  const alive = counted(), unfit = new Map(state.about.unfit.map((one) => [one.edit, one.why]));
  fill("edits", state.about.edits.map((edit, k) => {
    const item = make("li", { textContent: editInWords(edit), className: alive[k] ? "" : "undone" });
    if (alive[k] && unfit.has(k)) item.append(make("em", { textContent: ` does not fit: ${unfit.get(k)}` }));
    return item;
  }));
  const kinds = { mot: "MOT text", csv: "CSV", jsonl: "JSON lines", coco: "COCO with videos (JSON)", cvat: "CVAT for video (XML)", zip: "MOT zip, for CVAT", gt: "ground truth, for eval_mot.py and mot_crops.py", video: "mp4, drawn" };
  fill("corrected", Object.entries(kinds).map(([kind, text]) => make("li", {}, make("a", { href: `${base()}/corrected/${kind}`, textContent: text, download: "", onclick: (event) => { event.preventDefault(); fetchCorrected(kind, text); } }))));
}

async function fetchCorrected(kind, text) { // by hand, so that the page can say that it is being written, or why it cannot be
  $("corrected-said").textContent = `${text}: being written ...`;
  try {
    const answer = await fetch(`${base()}/corrected/${kind}`);
    if (!answer.ok) throw new Error(await answer.text());
    const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") || "")?.[1] || `corrected.${kind}`;
    const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    $("corrected-said").textContent = `${text}: written, and downloaded as ${name}`;
  } catch (error) {
    $("corrected-said").textContent = `${text}: ${error.message}`;
  }
}
