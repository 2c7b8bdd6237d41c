"""`bench.py pipeline` on a small clip: every side gives the same bytes, and the costs are those `capacity.py` reads."""

import json
import sys
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks import pipeline, pipeline_peers
from retrace.tools.benchmarks.capacity import read_costs
from retrace.tools.benchmarks.pipeline import HEADS, PipelineSetup
from retrace.tools.benchmarks.processes import measure_processes
from retrace.tracker.detection.boxes_file import Detector
from tests.served import SECRETS, served
from tests.small_video import make_video, squares
from tests.tools.forked import forked_workers


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip, and a detector that sees its squares."""
    found = Detector("squares", squares, callers=9)
    monkeypatch.setattr(pipeline, "open_detector", lambda name, threads=None: found)
    return make_video(tmp_path / "clip.mp4", length=10)


def test_the_tool(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    """HOG on a small clip, by processes as fresh as users have them; what fails comes from any."""
    clip = make_video(tmp_path / "clip.mp4", length=4)
    rows = measure_processes(str(clip), "hog", "none", 4, workers=[1, 2], copies=1, planned_ms=50.0)
    assert [row["workers"] for row in rows] == [1, 2]
    assert rows[0]["x first"] == 1.0
    assert all(row["CPU s"] > 0 and row["MB, the largest worker"] > 50 for row in rows)
    assert all(row["x planned"] == pytest.approx(row["CPU ms a frame"] / 50, abs=0.01) for row in rows)
    forked_workers(monkeypatch)
    with pytest.raises(InputError, match=r"nowhere\.mp4"):
        measure_processes(str(tmp_path / "nowhere.mp4"), "hog", "none", 4, workers=[1], copies=1)
