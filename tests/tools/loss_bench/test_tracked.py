"""Tracking with each network: boxes cut once give what the embedder in the loop gives; who is tracked, and once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from retrace.configs import InputError
from retrace.eval.mot import evaluate
from retrace.tools.loss_bench import tracked
from retrace.tools.loss_bench.entrants import read_bench
from retrace.tools.loss_bench.jobs import finals, read_bench_results
from retrace.tools.loss_bench.work import Places
from retrace.tracker import Tracker
from retrace.tracker.data import MotTable
from retrace.tracker.pipeline import run
from retrace.tracker.sources import open_source
from tests.small_video import FPS, LENGTH, SQUARES, boxes, make_video, write_boxes
from tests.tools.loss_bench.results_by_hand import final

BENCH = read_bench()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """video.mp4 and the sequence folder PETS09-S2L1, of two squares."""
    root = tmp_path_factory.mktemp("street")
    make_video(root / "video.mp4")
    sequence = root / tracked.SEQUENCE
    (sequence / "gt").mkdir(parents=True)
    (sequence / "det_nanodet").mkdir()
    write_boxes(sequence / tracked.BOXES)
    (sequence / "seqinfo.ini").write_text(
        f"[Sequence]\nname={tracked.SEQUENCE}\nimDir=img1\nframeRate={FPS}\nseqLength={LENGTH}\nimWidth=192\n"
        "imHeight=96\nimExt=.jpg\n"
    )
    truth = [
        f"{k + 1},{p + 1},{x},{y},{w},{h},1,1,1\n"
        for k in range(LENGTH)
        for p, (x, y, w, h) in enumerate(boxes(k))
    ]
    (sequence / "gt/gt.txt").write_text("".join(truth))
    return root


@pytest.fixture(scope="module")
def street(folder: Path) -> tracked.Street:
    return tracked.read_street(folder, folder / "video.mp4")


def colours(crops: list[np.ndarray]) -> np.ndarray:
    """(N, 3) unit rows."""
    found = np.array([crop.reshape(-1, 3).mean(0) for crop in crops], np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_every_box_is_cut_out_once(street: tracked.Street) -> None:
    assert len(street.crops) == 2 * LENGTH
    for k, crop in enumerate(street.crops):
        assert crop.shape == (50, 24, 3)
        if k < 8:  # before they meet
            middle = crop[20:30, 8:16].reshape(-1, 3).mean(0)
            assert abs(middle - SQUARES[k % 2][2]).max() < 25


def test_boxes_that_leave_the_picture_are_cut_to_it() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    (found,) = tracked.cut(image, np.array([[3.2, -5.0, 99.0, 2.1]]))
    np.testing.assert_array_equal(found, image[0:3, 3:6])


def test_a_tracker_with_cut_boxes_gives_what_one_with_the_network_gives(
    folder: Path, street: tracked.Street
) -> None:
    """The slow twin: pictures decoded, boxes embedded frame by frame."""

    def embed(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        return colours(tracked.cut(image, xyxy))

    source = open_source(folder / "video.mp4")
    steps = run(
        source, lambda f: street.clip.frames[f.index], Tracker.from_config("default", FPS), embed=embed
    )
    row = evaluate(street.clip.truth, MotTable.of(steps, as_file=True), LENGTH, "MOT15").row()
    found = tracked.follow(street, colours(street.crops))
    assert found == {name: pytest.approx(float(row[name]), abs=1e-6) for name in tracked.FIGURES}
    assert found["IDF1"] > 0.9
    assert tracked.follow(street, None)["IDF1"] > 0.5


def test_a_video_that_ends_early_is_refused(folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "short.mp4", length=7)
    with pytest.raises(InputError, match="7 frames, the boxes of PETS09-S2L1 are of 30"):
        tracked.read_street(folder, tmp_path / "short.mp4")


def test_each_final_with_a_network_is_tracked_once_seed_by_seed(
    street: tracked.Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [final(name, seed, 0.5) for name in ("ce", "ce_triplet", "triplet") for seed in (2, 1)]
    lines[-1]["failed"] = "not finite"  # triplet, seed 1
    lines.append(final("ce", 3, 0.5))  # its network is gone
    places = Places(tmp_path / "r.jsonl", tmp_path / "work", *[tmp_path] * 3)
    places.results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for job in tracked.left("frozen", [], places):
        assert job.regime == "reference"
    kept = places.work / tracked.KEPT
    kept.mkdir(parents=True)
    for line in lines[:-1]:
        (kept / f"{line['key'].replace('/', '-').replace(' ', '')}.safetensors").touch()
    monkeypatch.setattr(tracked.StreetEmbedder, "of", lambda self, job: colours(street.crops))
    names = list(BENCH.taking_part("finetune"))
    told: list[str] = []
    done = tracked.track_all(BENCH, "finetune", names, places, street, most=4, tell=told.append)
    assert done == 4
    assert [line.partition("/final")[0] for line in told] == [
        "reference/nobody looks",
        "reference/frozen network",
        "finetune/ce_triplet",
        "finetune/ce",
    ]
    assert tracked.track_all(BENCH, "finetune", names, places, street, tell=told.append) == 3
    assert tracked.track_all(BENCH, "finetune", names, places, street, tell=told.append) == 0
    results = read_bench_results(places.results)
    assert len(results) == len(lines) + 7
    rows = finals(BENCH, "finetune", results, published=True)
    assert "track" in rows["ce"][0]
    assert [("track" in one) for one in rows["ce"]] == [True, True, False]
    assert rows["ce"][0]["track"]["IDF1"] > 0.9
