"""Jobs in other processes: each opens the networks that jobs name once, and the results are the same bytes."""

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid import Embedder
from retrace.tools.runs.models import Models
from retrace.tracker.ahead import Ahead
from retrace.tracker.data import Frame
from retrace.tracker.detection import Detector
from retrace.tracker.memory import Memory
from retrace.tracker.run import Job, open_job, open_job_source, track_source
from retrace.tracker.run.opened import BATCH
from tests.reid.resealed import CARD, changed, resealed
from tests.small_video import make_video, squares, write_boxes
from tests.tools.forked import CONTEXT, begin_server


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    det = str(write_boxes(tmp_path / "det.txt"))
    videos = [make_video(tmp_path / f"{name}.mp4", length=12) for name in "ab"]
    return [Job(video, tmp_path / "pool", detections=det) for video in videos]


def test_jobs_travel_to_processes(jobs: list[Job], tmp_path: Path) -> None:
    begin_server()
    with ProcessPoolExecutor(1, CONTEXT) as pool:
        told = [pool.submit(Models().track, job).result() for job in jobs]
    assert [one.name for one in told] == ["a", "b"]
    assert all(one.stages["embed"] > 0 for one in told)
    here = Models()
    for job in jobs:
        here.track(Job(job.source, tmp_path / "here", detections=job.detections))
    for name in ("a.txt", "b.txt"):
        assert (tmp_path / "pool" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_networks_are_opened_once(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def count(job: Job, threads: int | None = None) -> Detector:
        opened.append(job.classes)
        return Detector("a network", squares)

    monkeypatch.setattr("retrace.tools.runs.models.open_job_detector", count)
    models = Models()
    assert models.appearance(jobs[0]) is models.appearance(jobs[1])
    one = models.detector(Job("a.mp4", "o", detector="x.onnx"))
    assert models.detector(Job("b.mp4", "o", detector="x.onnx")) is one
    assert models.detector(Job("b.mp4", "o", detector="x.onnx", classes="person")) is not one
    assert opened == [None, "person"]
    seen = one(Frame(3, 0.1, None))
    np.testing.assert_array_equal(seen.xyxy, squares(Frame(3, 0.1, None)).xyxy)


def test_a_detector_that_watches_its_video_is_no_others(jobs: list[Job]) -> None:
    models = Models()
    job = Job("a.mp4", "o", detector="hog")
    assert models.detector(job).memory is not models.detector(job).memory


def test_an_embedder_says_of_itself_what_is_said_of_it_here(jobs: list[Job], tmp_path: Path) -> None:
    """Which weights a memory, a checkpoint and run.json go by does not depend on who opened them."""
    job = replace(jobs[0], out=str(tmp_path / "o"), memory=str(tmp_path / "people.db"))
    embedder = Embedder.from_weights("auto")
    handed_in = open_job(job, embed=embedder)
    assert handed_in.looks == open_job(job, embed=Models().appearance(job)).looks != ""
    assert handed_in.fingerprint()["files"].items() >= embedder.hashes.items()  # type: ignore[attr-defined]
    report = track_source(job, embed=embedder)
    assert any("of 2 people" in note for note in report.notes)
    Models().track(replace(job, source=jobs[1].source))  # the same memory: the same weights
    with Memory(job.memory or "") as memory:
        assert memory.people.size == 4


def test_weights_that_nobody_would_use() -> None:
    models = Models()
    assert models.appearance(Job("a", "o", tracker="sort")).embed is None
    assert models.appearance(Job("a", "o", reid="none")).description == "off, as asked"
    with pytest.raises(InputError, match=r"`reid` x\.onnx: tracker 'sort' does not compare appearance"):
        models.appearance(Job("a", "o", tracker="sort", reid="x.onnx"))
    with pytest.raises(InputError, match="`reid_norm` frame: nobody looks at appearance here"):
        models.appearance(Job("a", "o", tracker="sort", reid_norm="frame"))
    with pytest.raises(InputError, match="`reid_uncalibrated`: nobody looks at appearance here"):
        models.appearance(Job("a", "o", reid="none", reid_uncalibrated=True))


def test_weights_with_a_damaged_card(tmp_path: Path) -> None:
    """Refused in the words of a job, and opened when asked."""
    pytest.importorskip("onnx")
    (tmp_path / "whole").mkdir()
    reid = str(changed(resealed(tmp_path / "whole" / "w.onnx"), tmp_path, CARD))
    models = Models()
    with pytest.raises(InputError, match=r"its card does not match .*\(`reid_uncalibrated`\)"):
        models.appearance(Job("a", "o", reid=reid))
    looks = models.appearance(Job("a", "o", reid=reid, reid_uncalibrated=True))
    assert looks.description.endswith("; without its calibration, as asked")


def test_a_files_frames_are_looked_at_by_several_threads_with_one_each(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which threads a network gets, and how far is looked ahead, by what may be called at the same time."""
    asked: list[int | None] = []

    def opened(job: Job, threads: int | None = None) -> Detector:
        asked.append(threads)
        return Detector("a network", squares, callers=callers)

    monkeypatch.setattr("retrace.tools.runs.models.open_job_detector", opened)
    monkeypatch.setattr("retrace.tracker.run.opened.cores", lambda: 3)
    source = open_job_source(jobs[0])
    live = replace(source, live=True)
    for callers, place, threads, told, ahead in [  # noqa: B007  # `opened` sees it
        (math.inf, source, None, [1], Ahead(3, BATCH)),
        (math.inf, source, 2, [1], Ahead(2, BATCH)),
        (1, source, None, [1, None], Ahead(1, BATCH)),
        (0, source, None, [1], Ahead()),
        (math.inf, live, None, [None], Ahead()),
    ]:
        asked.clear()
        job, models = Job(jobs[0].source, str(tmp_path / "o"), threads=threads), Models()
        detector, appearance = models.of(job, place)
        assert asked == told
        assert open_job(job, source=place, detect=detector, embed=appearance).ahead == ahead
