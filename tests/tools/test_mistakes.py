"""Mistakes that were once a traceback, a hang, or an option without effect: one line that says the word."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path

import pytest

from tests.tools import odd
from tests.tools.called import called, refused

TRACK = "track VIDEO --detections DET --camera none --out OUT "
EVAL = "eval_reid --weights ONNX --data MARKET "
PAY = "does_reid_pay VIDEO --detections DET --reid ONNX --gt SEQUENCES/one/gt/gt.txt "
PAY_ONE = "does_reid_pay VIDEO --reid ONNX --gt SEQUENCES/one/gt/gt.txt --detections "
ADAPT_ONE = "adapt_reid VIDEO --out OUT --gap 0.1 --gt "
TUNE = "tune --data SEQUENCES --tracker sort --trials 1 --jobs 1 --out OUT "
CALIBRATE = "calibrate --data SEQUENCES --out OUT/a.yaml --detections "
OFFLINE = "offline --results RESULTS --out OUT --fps 10 --vectors "
HEADROOM = "eval_mot --gt SEQUENCES --results RESULTS --headroom --detections "
SEARCH = "search PEOPLE IMAGE --reid ONNX "
CAPACITY = "capacity --costs COSTS --cameras 3 "


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    pytest.importorskip("torch")
    return odd.make_place(tmp_path_factory.mktemp("odd"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (TRACK + "--reid none --runtime openvino", "--runtime openvino: no network is used here"),
        (EVAL + "--runtime tensorflow", "--runtime must be one of auto, torch, onnxruntime"),
        (EVAL + "--backend torch", "unrecognized arguments: --backend torch"),
        (TRACK + "--reid none --cluster local --workers 3", "leave --workers out"),
        (TRACK + "--reid ONNX --memory m.db --memory-camera ' '", "--memory-camera is empty"),
        (TRACK + "--reid ONNX --memory m.db --memory-start nan", "--memory-start must be a number"),
        ("count RESULTS/one.txt --fps 10 --out OUT --minute 1e-300", "more than 10,000,000 bins"),
        ("count RESULTS/one.txt --fps 10 --json RESULTS/one.txt", "name the same file"),
        ("memory PEOPLE name 1 'a\nb'", "characters that can be printed"),
        ("memory PEOPLE name 1 \udcff", "characters that can be printed"),
        ("memory EMPTY list", "is empty; tracking with `memory` makes one"),
        ("memory PEOPLE forget --set accept", "--set accept: expected key=value"),
        ("search EMPTY IMAGE --reid ONNX", "is empty; tracking with `memory` makes one"),
        (SEARCH + "--since nan", "--since is nan"),
        ("count RESULTS/one.txt", "a text file does not know its frame rate; give --fps"),
        (SEARCH + "--cameras ''", "--cameras '': a name is empty"),
        (SEARCH + "--csv same --json same", "--csv and --json name the same file"),
        (SEARCH + "--csv PEOPLE", "MEMORY and --csv name the same file"),
        ("eval_mot --gt SEQUENCES --results RESULTS --cameras", "unrecognized arguments: --cameras"),
        (HEADROOM + "DET", "is one file for 2 sequences"),
        (HEADROOM + "det/none.txt", "no detections of one"),
        (HEADROOM + "det/det.txt --detections-file x", "--detections-file does nothing where"),
        (HEADROOM + "SEQUENCES --detections-file x.txt", "sequences/one/x.txt"),
        (CAPACITY + "--machines 3", "--machines does nothing without --simulate"),
        (CAPACITY + "--repair-s 3", "--repair-s does nothing without --simulate"),
        (CAPACITY + "--simulate nan", "--simulate must be a number"),
        (CAPACITY + "--simulate 5 --fail-days 0", "--fail-days must be a number"),
        (CAPACITY + "--simulate 5 --machines 0", "--machines 0: expected a whole number from 1"),
        (CAPACITY + "--memory-gb 1e-300", "--memory-gb must be a positive number"),
        (PAY + "--gaps 1e300", "--gaps 1e300: expected seconds above 0 (5s) or whole frames (30f), up to"),
        (PAY + "--plot p.png", "expected a name that ends in .svg"),
        ("does_reid_pay VIDEO SEQUENCES/one --detections DET", "one file for 2 sources"),
        ("adapt_reid VIDEO VIDEO --out OUT", "two videos are called alike"),
        ("adapt_reid VIDEO SEQUENCES/one --out OUT --detections DET", "one file for 2 videos"),
        ("adapt_reid VIDEO --out OUT --cut nan", "--cut nan: expected a share"),
        ("adapt_reid VIDEO --out OUT --set foo=1", "unknown key 'foo'"),
        (PAY_ONE + "'{sequence}.txt'", "--detections {sequence}.txt: write {name} instead of {sequence}"),
        (ADAPT_ONE + "'{sequence}.txt'", "--gt {sequence}.txt: write {name} instead of {sequence}"),
        (TUNE + "--detections '{sequence}.txt'", "--detections {sequence}.txt: write {name} instead of {sequence}"),
        (TUNE + "--camera 'x/{sequence}'", "--camera x/{sequence}: write {name} instead of {sequence}"),
        (CALIBRATE + "'d/{sequence}.npz'", "--detections d/{sequence}.npz: write {name} instead of {sequence}"),
        (OFFLINE + "'v/{sequence}.npz'", "--vectors v/{sequence}.npz: write {name} instead of {sequence}"),
        ("calibrate_reid --weights ONNX --data MARKET --json FOLDER", "is a folder"),
        ("bench_losses run --hours nan", "--hours must be a number"),
        ("bench_losses run --jobs 0", "--jobs 0"),
        ("bench_losses steps --entrants tripet", "unknown 'tripet'"),
        ("bench_losses report --out OUT --results LINES", "line 1 is no result"),
        ("view_run RESULTS --save ''", "--save '': expected a name"),
        ("view_run RESULTS --export ''", "--export '': expected a name"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    place: dict[str, str],
    call: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETRACE_OFFLINE", "1")
    (tmp_path / "lines").write_text('{"key": "x"}\n')
    tool, *argv = odd.placed(shlex.split(call), {**place, "OUT": "out", "LINES": "lines"})
    assert said in refused(called(capsys, tool, *argv))
    assert not Path("out").exists() or not any(Path("out").iterdir())
    assert not Path(place["EMPTY"]).stat().st_size


def test_detections_inside_each_folder_and_in_one_of_their_own_score_alike(
    place: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their headroom: `det/det.txt` of each sequence, DIR/SEQUENCE/det/det.txt, DIR/SEQUENCE.txt."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_bytes(Path(place["DET"]).read_bytes())
    told = []
    for given in ("det/det.txt", place["SEQUENCES"], tmp_path):
        folders = ("--gt", place["SEQUENCES"], "--results", place["RESULTS"])
        done = called(capsys, "eval_mot", *folders, "--headroom", "--detections", given)
        assert done.code == 0, done.err
        told.append([line.split() for line in done.out.splitlines() if line.startswith("all boxes")])
    assert len(told[0]) == 1
    assert told[0] == told[1] == told[2]


def test_names_of_save_may_have_spaces(
    place: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ("--detections", place["DET"], "--reid", "none", "--camera", "none", "--out", tmp_path)
    assert called(capsys, "track", place["VIDEO"], *what, "--save", "mot, csv").code == 0
    assert (tmp_path / "video.csv").is_file()


def test_a_tool_that_hangs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alarm that a tool could take for what the user got wrong would hide every hang."""
    from retrace.tools import memory

    monkeypatch.setattr(odd, "SECONDS", 0.2)
    monkeypatch.setattr(memory, "main", lambda argv: signal.pause())
    assert "still busy after 0.2 s" in str(odd.fault("memory", []))
