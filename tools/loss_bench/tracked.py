"""What a tracker makes of each trained network: IDF1 and HOTA on a video with given boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from retrace.eval.mot import evaluate
from retrace.reid.embedder import Embedder
from retrace.tools.loss_bench.jobs import FINAL, Result, add_result, read_results
from retrace.tools.loss_bench.trained import KEPT
from retrace.tools.tuning.clips import find_clips, load_clip
from retrace.tracker import Tracker
from retrace.tracker.data import MotTable
from retrace.tracker.pipeline import run
from retrace.tracker.sources import open_source

SEQUENCE, BOXES, BENCHMARK, PRESET = "PETS09-S2L1", "det_nanodet/det.txt", "MOT15", "default"


def track_all(results: Path, work: Path, sequences: Path, video: Path, tell: Callable[[str], None]) -> int:
    """Every final whose network is still there and that no tracker has used; a line each. How many were done.

    Args:
        results: the file of lines.
        work: its networks lie in the folder `KEPT`.
        sequences: folder with PETS09-S2L1: ground truth and boxes.
        video: its pictures; frame i is ground truth's frame i + 1.
    """
    found = read_results(results)
    done = {one["key"] for one in found}
    count = 0
    for one in found:
        key = f"{one['key']}/track"
        network = work / KEPT / f"{one['key'].replace('/', '-').replace(' ', '')}.safetensors"
        if one["stage"] != FINAL or key in done or not network.is_file():
            continue
        row = track(network, sequences, video)
        told: Result = {
            "key": key,
            **{k: one[k] for k in ("regime", "entrant", "setting", "seed", "length")},
            **row,
        }
        add_result(results, told | {"stage": "track"})
        tell(f"{key}: IDF1 {100 * told['IDF1']:.1f}, HOTA {100 * told['HOTA']:.1f}")
        count += 1
    return count


def track(network: Path, sequences: Path, video: Path) -> dict[str, float]:
    """Follow everybody by the preset `PRESET`, its vectors from ``network``, boxes and truth of `SEQUENCE`."""
    files = find_clips(sequences, BOXES, "none", names=[SEQUENCE])[0]
    clip = load_clip(files, BENCHMARK)
    embedder = Embedder.from_weights(network, "cpu", threads=1)
    tracker = Tracker.from_config(PRESET, clip.fps)
    steps = run(open_source(video), lambda frame: clip.frames[frame.index], tracker, embed=embedder)
    result = MotTable.of(steps, as_file=True)
    row = evaluate(clip.truth, result, files.sequence.length, BENCHMARK).row()
    return {name: round(float(row[name]), 6) for name in ("IDF1", "HOTA", "IDSW")}
