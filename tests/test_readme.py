"""What the README says can be typed is typed."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import av
import pytest

import retrace
from retrace.tracker.mot_file import read_results
from tests.conftest import ROOT
from tests.documents import blocks, furnish, typed, without_downloads
from tests.small_video import LENGTH, squares
from tests.tools.called import called
from tests.tools.script import script

README = (ROOT / "README.md").read_text()
BLOCKS = blocks(ROOT / "README.md")
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]
TOOLS = [line for line in COMMANDS if line.startswith("python tools/")]
# tools that import torch
LEARNING = {"adapt_reid", "calibrate_reid", "does_reid_pay", "eval_reid", "export_reid", "train_reid"}
FIRST = {line.split()[1]: line for line in reversed(TOOLS)}  # by tool, its first command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("readme"))


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    """One process that has imported nothing but what the commands before needed."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("line", TOOLS)
def test_commands_run_in_order(line, place, process, monkeypatch, capsys):
    """As it is typed: a tool's first command in another process, further ones in this, where all is imported; of
    tools for which that takes seconds, the first only says how it is called there."""
    without_downloads(place, monkeypatch)
    words = [re.sub(r"^epochs=\d+$", "epochs=1", word) for word in shlex.split(line, comments=True)]
    words = [re.sub("^20$", "3", word) for word in words] if "--trials" in words else words
    if "adapt_reid" in line:  # as the others that train
        words += ["--set", "epochs=1", "--set", "schedule.warmup=0.5"]
    if "adapt_reid" in line or "--config" in words:  # a quarter of the pixels
        words += ["--set", "size=[64,32]"]
    if "eval_mot" in line:  # results of the sequence that the commands before have tracked, and no others
        for other in (place / "runs" / "track").glob("video.txt"):
            other.unlink()
    here = Path(words[1]).stem in LEARNING
    if line == FIRST[words[1]]:
        command = [str(ROOT / words[1]), *(["--help"] if here else words[2:])]
        code, said = process.submit(script, command, place).result()
        assert code == 0, said
    if here or line != FIRST[words[1]]:
        monkeypatch.chdir(place)
        answer = called(capsys, Path(words[1]).stem, *words[2:])
        assert answer.code == 0, answer.err


def test_there_are_commands():
    assert len(TOOLS) >= 5


@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("make ")])
def test_make_targets_exist(line):
    dry = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr


PYTHON = [text for kind, text in BLOCKS if kind == "python"]


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
    (code,) = (text for text in PYTHON if "done = fit(" in text)
    shutil.copytree(place / "Market-1501", tmp_path / "Market-1501")
    code = code.replace('"epochs": 10', '"epochs": 1, "size": [64, 32]')  # a quarter of the pixels
    assert "iteration" in typed(code, tmp_path, monkeypatch, capsys)
    assert (tmp_path / "osnet_mine.onnx").is_file()


def test_every_python_block_is_run() -> None:
    assert len(PYTHON) == 3


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
