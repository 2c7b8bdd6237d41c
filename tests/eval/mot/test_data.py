"""Equality with TrackEval on real ground truth. A sample always, the rest with -m full (minutes)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.eval.mot.oracle import perfect_association
from retrace.eval.mot.preprocess import prepare
from retrace.eval.mot.score import combine, evaluate, score_prepared
from retrace.eval.mot.sequences import find_sequences, read_sequence
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_detections, read_ground_truth, read_sequence_info
from tests.eval import reference
from tests.eval.compare import differences

VAL_HALF = ("MOT17-02-FRCNN", "MOT17-05-FRCNN", "MOT17-10-FRCNN", "MOT17-13-FRCNN")
PUBLISHED = ("FusionSORT", "BoostTrack", "BoostTrackPlus_post", "BoostTrackPlus_post_gbi", "DeepOCSORT")
MOT15 = ("TUD-Campus", "TUD-Stadtmitte", "KITTI-17", "PETS09-S2L1", "ADL-Rundle-6", "Venice-2")
DANCE = ("dancetrack0026", "dancetrack0004", "dancetrack0007", "dancetrack0014", "dancetrack0019")


def sample(names: tuple[str, ...], count: int) -> list[Any]:
    """The first ones run always, the others when all is asked for."""
    return [*names[:count], *(pytest.param(name, marks=pytest.mark.full) for name in names[count:])]


def tracks_from(gt: MotTable, detections: MotTable, length: int, benchmark: str) -> MotTable:
    """A tracker's kind of result: true identities on real detections, with switches and merges."""
    # without a floor every false box is an identity, and TrackEval's table of identities takes gigabytes
    floor = 0.0 if len(detections) < 10_000 else 0.3
    tracks = perfect_association(gt, detections, length, benchmark, floor)
    late = tracks.frame // 40 * (tracks.id % 3 == 0)
    ids = tracks.id + 10_000 * late
    order = np.lexsort((-ids, tracks.frame))  # not in the order of ids
    return replace(tracks, id=ids).take(order)


def check(gt: MotTable, result: MotTable, length: int, benchmark: str) -> None:
    ours = evaluate(gt, result, length, benchmark)
    assert ours.clear.TP > 0
    assert differences(ours, reference.judge(gt, result, length, benchmark)) == []


@pytest.mark.shared
@pytest.mark.parametrize("name", sample(PUBLISHED, 1))
def test_published_results_on_val_half(shared: Path, name: str) -> None:
    results = shared / "results-MOT17-val-half" / name
    ours, theirs = [], {}
    for sequence in find_sequences(shared / "MOT17-val-half", results, "val-half"):
        gt, result = read_sequence(sequence, "MOT17")
        ours.append(evaluate(gt, result, sequence.length, "MOT17"))
        theirs[sequence.name] = reference.judge(gt, result, sequence.length, "MOT17")
        assert differences(ours[-1], theirs[sequence.name]) == []
    assert differences(combine(ours), reference.combine(theirs)) == []


@pytest.mark.shared
def test_val_half_is_cut_from_the_full_ground_truth(shared: Path) -> None:
    results = shared / "results-MOT17-val-half" / "DeepOCSORT"
    cut, full = (
        [
            score_prepared(prepare(*read_sequence(s, "MOT17"), s.length, "MOT17"))
            for s in find_sequences(shared / folder, results, "val-half")
        ]
        for folder in ("MOT17-val-half", "MOT17-train")
    )
    assert [m.row() for m in cut] == [m.row() for m in full]


@pytest.mark.shared
def test_published_numbers(shared: Path) -> None:
    """The table of four sequences that TrackEval gave for Deep OC-SORT: HOTA 52.87, MOTA 64.93, IDF1 65.66."""
    sequences = find_sequences(shared / "MOT17-val-half", shared / "results-MOT17-val-half" / "DeepOCSORT")
    row = combine(
        [score_prepared(prepare(*read_sequence(s, "MOT17"), s.length, "MOT17")) for s in sequences]
    ).row()
    rounded = [round(100 * row[n], 2) for n in ("HOTA", "DetA", "AssA", "MOTA", "IDF1")]
    assert (*rounded, row["IDSW"]) == (52.87, 53.69, 52.47, 64.93, 65.66, 151)


@pytest.mark.shared
@pytest.mark.parametrize("name", sample(("MOT17-05-FRCNN", *VAL_HALF[:1], *VAL_HALF[2:]), 1))
@pytest.mark.parametrize("detections", ["det", "det_yolox"])
def test_full_mot17(shared: Path, name: str, detections: str) -> None:
    folder = shared / "MOT17-train" / name
    gt = read_ground_truth(folder / "gt" / "gt.txt", by_id=False, classed=True)
    length = read_sequence_info(folder).length
    check(
        gt,
        tracks_from(gt, read_detections(folder / detections / "det.txt"), length, "MOT17"),
        length,
        "MOT17",
    )


@pytest.mark.shared
@pytest.mark.parametrize("name", sample(VAL_HALF[1:], 1))
def test_ground_truth_of_every_class_as_result(shared: Path, name: str) -> None:
    """Integer boxes that coincide with distractors and flagged ones: ties everywhere."""
    folder = shared / "MOT17-val-half" / name
    gt = read_ground_truth(folder / "gt" / "gt.txt", by_id=False, classed=True)
    result = replace(gt, class_id=np.ones_like(gt.class_id))
    for benchmark in ("MOT17", "MOT20", "custom"):
        check(gt, result, read_sequence_info(folder).length, benchmark)


@pytest.mark.shared
@pytest.mark.parametrize("name", sample(MOT15, 3))
def test_mot15(shared: Path, name: str) -> None:
    folder = shared / "MOT15-train" / name
    gt = read_ground_truth(folder / "gt" / "gt.txt", by_id=False)
    length = read_sequence_info(folder).length
    detections = read_detections(folder / "det_sort_frcnn" / "det.txt")
    check(gt, tracks_from(gt, detections, length, "MOT15"), length, "MOT15")


@pytest.mark.shared
@pytest.mark.parametrize("name", sample(DANCE, 1))
def test_dancetrack(shared: Path, name: str) -> None:
    folder = shared / "DanceTrack-val" / name
    gt = read_ground_truth(folder / "gt" / "gt.txt", by_id=False, classed=True)
    rng = np.random.default_rng(0)
    kept = gt.take(np.flatnonzero(rng.random(len(gt)) > 0.1))
    moved = replace(kept, xyxy=kept.xyxy + rng.integers(-12, 13, (len(kept), 1)))
    length = read_sequence_info(folder).length
    check(gt, tracks_from(gt, moved, length, "DanceTrack"), length, "DanceTrack")


@pytest.mark.shared
def test_oracle_is_what_trackeval_says_of_it(shared: Path) -> None:
    name = "MOT17-13-FRCNN"
    gt = read_ground_truth(shared / "MOT17-val-half" / name / "gt" / "gt.txt", by_id=False, classed=True)
    boxes = read_detections(shared / "MOT17-train" / name / "det_yolox" / "det.txt")
    boxes = boxes.take(np.flatnonzero(boxes.frame >= 376))
    boxes = replace(boxes, frame=boxes.frame - 376)
    tracks = perfect_association(gt, boxes, 374, "MOT17", 0.6)
    found = evaluate(gt, tracks, 374, "MOT17")
    assert found.clear.IDSW == 0
    assert differences(found, reference.judge(gt, tracks, 374, "MOT17")) == []
