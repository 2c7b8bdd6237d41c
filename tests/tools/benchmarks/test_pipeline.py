"""`bench.py pipeline` on a small clip: every side gives the same bytes, and the costs are those `capacity.py` reads."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks import pipeline, pipeline_peers, processes, resident
from retrace.tools.benchmarks.capacity import read_costs
from retrace.tools.benchmarks.pipeline import HEADS, PipelineSetup
from retrace.tools.benchmarks.processes import measure_processes
from retrace.tracker.detection.boxes_file import Detector
from tests.served import SECRETS, served
from tests.small_video import make_video, squares
from tests.tools.forked import CONTEXT, begin_server, forked_workers


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip, and a detector that sees its squares."""
    found = Detector("squares", squares, callers=9)
    monkeypatch.setattr(pipeline, "open_detector", lambda name, threads=None: found)
    return make_video(tmp_path / "clip.mp4", length=10)


def peak_of_a_forked_process(go: Callable[..., object], *given: object) -> float:
    """`test_resident.py` has fresh processes; here it is enough that another one can do what it is given."""
    begin_server()
    with ProcessPoolExecutor(1, CONTEXT) as pool:
        return pool.submit(resident._go, go, given).result()


def test_the_tool(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "peak_of_a_fresh_process", peak_of_a_forked_process)
    out = tmp_path / "costs.json"
    with served(clip) as address:
        what = ["--video", address, "--frames", 10, "--rounds", 1, "--threads", 2, "--json", out]
        assert bench.main(["pipeline", "--detector", "hog", *map(str, what)]) == 0
    assert not any(secret in out.read_text() for secret in SECRETS)
    told = json.loads(out.read_text())
    assert [row["side"] for row in told["pipeline"]][-1] == "2 ahead, one core each"
    assert told["pipeline"][0]["x first"] == 1.0
    assert all(row["embed ms"] > 0 for row in told["pipeline"])
    costs = read_costs(out)
    assert costs.size == (96, 192)
    assert costs.people == pytest.approx(2, abs=0.3)  # both squares, but for the first frames
    assert costs.embed_ms_a_person > 0
    assert costs.bytes_a_box > 20
    assert "same bytes" in capsys.readouterr().out


def test_other_bytes_are_a_fault_that_is_told(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def differs(side: PipelineSetup, *_: object) -> None:
        side.wall.append(1.0)
        side.cpu.append(1.0)
        side.sha256 = side.name

    monkeypatch.setattr(pipeline, "_go", differs)
    with pytest.raises(InputError, match="other bytes than one after the other, all cores a run"):
        pipeline.measure(str(clip), "hog", frames=3, rounds=1)


def test_a_peer_is_a_row_and_one_that_cannot_be_run_says_why(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = '{"wall": 2.0, "cpu": 3.0, "memory": 450.2, "how": "in a way", "version": "1.2", "boxes": 5}'
    monkeypatch.setenv("BENCH_WORK", str(clip.parent))
    monkeypatch.setattr(pipeline_peers.sys, "executable", sys.executable)
    monkeypatch.setattr(
        pipeline_peers,
        "SCRIPTS",
        {"good": f"print('noise'); print('{printed}')", "bad": "raise OSError('no net')"},
    )
    monkeypatch.setattr(pipeline, "SCRIPTS", pipeline_peers.SCRIPTS)
    # ours, measured by test_the_tool
    monkeypatch.setattr(pipeline, "peak_of_a_fresh_process", lambda *_: 0.0)
    found = pipeline.measure(str(clip), "hog", reid="none", frames=10, rounds=2, threads=1, peers=True)
    good, bad = found["pipeline"][-2:]
    assert good["side"] == "good 1.2, in a way"
    assert (good["frames/s"], good["CPU ms a frame"], good["MB"]) == (5.0, 300.0, 450)
    assert bad["side"] == "bad: OSError: no net"
    assert all(bad[head] == "" for head in HEADS)


def test_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOG on a small clip, by two processes as fresh as users have them; what fails comes from any."""
    clip = make_video(tmp_path / "clip.mp4", length=4)
    (row,) = measure_processes(str(clip), "hog", "none", 4, workers=[2], copies=1)
    assert (row["workers"], row["x first"]) == (2, 1.0)
    assert row["CPU s"] > 0
    assert row["MB, the largest worker"] > 50
    forked_workers(monkeypatch)
    with pytest.raises(InputError, match=r"nowhere\.mp4"):
        measure_processes(str(tmp_path / "nowhere.mp4"), "hog", "none", 4, workers=[1], copies=1)


def test_what_is_told_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four copies of five frames: .2 CPU s of a worker's start are no frame's, so 1.6 s are of 4 x 4 frames."""

    def tracked(
        video: str, detector: str, reid: str, frames: int, workers: int, copies: int
    ) -> processes._Run:
        assert copies == 4
        cpu = 0.2 * workers + (0.0 if frames == 1 else 1.6)
        return processes._Run(
            4 / workers, cpu, 3.0, 80.0 + workers, {"same" if video == "v.mp4" else str(workers)}
        )

    monkeypatch.setattr(processes, "_track", tracked)
    rows = measure_processes("v.mp4", "hog", "none", 5, workers=[1, 2], planned_ms=50.0)
    assert [row["workers"] for row in rows] == [1, 2]
    assert [row["x first"] for row in rows] == [1.0, 2.0]
    assert [row["frames/s"] for row in rows] == [5.0, 10.0]
    assert [row["MB, the largest worker"] for row in rows] == [81, 82]
    assert [(row["CPU ms a frame"], row["x planned"]) for row in rows] == [(100.0, 2.0)] * 2
    assert "CPU ms a frame" not in measure_processes("v.mp4", "hog", "none", 5, workers=[1])[0]
    with pytest.raises(InputError, match="other bytes by other workers"):
        measure_processes("other.mp4", "hog", "none", 5, workers=[1, 2])
