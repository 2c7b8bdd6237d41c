"""What the README says can be typed is typed."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import av
import cv2
import pytest

import retrace
from retrace.tracker.mot_file import read_results
from tests.conftest import ROOT
from tests.reid.mini_market import write_mini_market
from tests.small_video import LENGTH, boxes, make_video, squares, write_boxes

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]
TOOLS = [line for line in COMMANDS if line.startswith("python tools/")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with every file that the README's commands name."""
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("readme")
    make_video(folder / "video.mp4")
    sequence = folder / "MOT17-02-FRCNN"
    for part in ("det", "gt"):
        (sequence / part).mkdir(parents=True)
    write_boxes(sequence / "det" / "det.txt")
    gt = [
        f"{k + 1},{i},{x},{y},{w},{h},1,1,1"
        for k in range(LENGTH)
        for i, (x, y, w, h) in enumerate(boxes(k), 1)
    ]
    (sequence / "gt" / "gt.txt").write_text("\n".join(gt) + "\n")
    (sequence / "seqinfo.ini").write_text(
        f"[Sequence]\nname=MOT17-02-FRCNN\nframeRate=10\nseqLength={LENGTH}\nimWidth=192\nimHeight=96\n"
    )
    shutil.copytree(sequence, folder / "gt" / "MOT17-02-FRCNN")
    shutil.copytree(sequence, folder / "MOT17-train" / "MOT17-02-FRCNN")
    shutil.copytree(sequence, folder / "MOT17-train" / "MOT17-04-FRCNN")
    (folder / "runs" / "test").mkdir(parents=True)
    for number in ("01", "03", "06", "07", "08", "12", "14"):
        (folder / "runs" / "test" / f"MOT17-{number}.txt").write_text("1,1,5,5,20,50,0.9,-1,-1,-1\n")
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["images"], ["out"], axes=[2, 3], keepdims=0)],
        "mean_colour",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 64, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    onnx.save(model, folder / "osnet.onnx")
    write_boxes(folder / "boxes.txt")
    picture = cv2.imread(str(ROOT / "docs" / "tracked.jpg"))
    cv2.imwrite(str(folder / "photo.jpg"), picture[:128, :64])
    (folder / "regions.yaml").write_text("lines: [{name: door, points: [[90, 0], [90, 96]]}]\n")
    for name in ("Market-1501", "my-people"):
        write_mini_market(folder / name, ids=16)  # as many people as the preset's batch
    return folder


@pytest.mark.parametrize("line", TOOLS)
def test_commands_run_in_order(line, place, monkeypatch):
    monkeypatch.setenv("RETRACE_CACHE", str(place / "cache"))  # no YOLO there: HOG
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    words = [re.sub(r"^epochs=\d+$", "epochs=1", word) for word in shlex.split(line, comments=True)]
    command = [sys.executable, str(ROOT / words[1]), *words[2:]]
    if "eval_mot" in line:  # results of the sequence that the commands before have tracked, and no others
        for other in (place / "runs" / "track").glob("video.txt"):
            other.unlink()
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_commands():
    assert len(TOOLS) >= 5


@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("make ")])
def test_make_targets_exist(line):
    dry = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr


PYTHON = [text for kind, text in BLOCKS if kind == "python"]


def typed(code: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the code prints in that folder, where no weights but the shipped ones are to be had."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("RETRACE_CACHE", str(place / "cache"))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    exec(compile(code, "README.md", "exec"), {})
    return capsys.readouterr().out


def test_the_tracker_alone(place, monkeypatch, capsys) -> None:
    (code,) = (text for text in PYTHON if "tracker.update" in text)
    assert "[1]" in typed(code, place, monkeypatch, capsys)


def test_from_a_video_to_a_score(place, monkeypatch, capsys) -> None:
    """Nobody looks like a person in that video, so the detector is one that sees the squares."""
    (code,) = (text for text in PYTHON if "VideoSink" in text)
    statements = [line for line in code.splitlines() if line.strip() and "import" not in line]
    assert len(statements) <= 10
    monkeypatch.setattr(retrace, "open_detector", lambda spec: squares)
    assert float(typed(code, place, monkeypatch, capsys)) > 0.9
    assert len(read_results(place / "tracked.txt")) > LENGTH
    with av.open(str(place / "tracked.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == LENGTH


def test_a_training(place, monkeypatch, capsys, tmp_path) -> None:
    """As the commands do, into another folder."""
    (code,) = (text for text in PYTHON if "import fit" in text)
    shutil.copytree(place / "Market-1501", tmp_path / "Market-1501")
    code = code.replace('"epochs": 10', '"epochs": 1')
    assert "iteration" in typed(code, tmp_path, monkeypatch, capsys)
    assert (tmp_path / "osnet_mine.onnx").is_file()


def test_every_python_block_is_run() -> None:
    assert len(PYTHON) == 3


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
