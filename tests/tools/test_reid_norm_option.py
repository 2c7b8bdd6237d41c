"""tools/track.py --reid-norm video: each source begins anew, and a stopped run goes on to the same bytes."""

import av
import numpy as np
import pytest

pytest.importorskip("torch")

from retrace.reid.recipe import Recipe
from retrace.tools.terminal.console import OK
from tests.reid.networks_by_hand import little_network, use_network
from tests.small_video import FPS, LENGTH, write_boxes
from tests.tools.run_track import run, stop_at


def noise(path, seed):
    """A video in which every crop is another, and dark or bright by turns: statistics have something to learn."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.height, stream.width = 96, 192
        for _ in range(LENGTH):
            small = rng.integers(0, 256, (12, 24, 3)) // rng.integers(1, 4)
            image = small.astype(np.uint8).repeat(8, 0).repeat(8, 1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    return path


@pytest.fixture
def words(tmp_path, monkeypatch):
    use_network(monkeypatch, little_network, Recipe("little", (16, 8)))
    weights = tmp_path / "little.safetensors"
    weights.touch()
    for name, seed in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        (folder / "det").mkdir(parents=True)
        write_boxes(folder / "det" / "det.txt")
        noise(tmp_path / f"{name}.mp4", seed)
    det = tmp_path / "one/det/det.txt"
    return ("--reid", weights, "--device", "cpu", "--detections", det, "--save", "looks", "--quiet")


def looks(folder, name):
    with np.load(folder / f"{name}.looks.npz") as file:
        return file["total"]


def differ(a, b, least):
    """By more than a rounding; other looks make other tracks, too."""
    return a.shape != b.shape or np.abs(a - b).max() > least


def test_each_source_begins_anew(words, tmp_path, monkeypatch):
    """What was seen in the first must not be in the second's vectors. (One file of boxes serves one source, so
    the finder is told that it serves both.)"""
    monkeypatch.setattr("retrace.tools.runs.runner._own_detections", lambda job, source: None)
    one, two = tmp_path / "one.mp4", tmp_path / "two.mp4"
    for norm, differs in (("video", True), ("stored", False)):
        out = {key: tmp_path / f"{norm}-{key}" for key in ("both", "alone")}
        assert run(one, two, *words, "--reid-norm", norm, "--out", out["both"]) == OK
        assert run(two, *words, "--reid-norm", norm, "--out", out["alone"]) == OK
        np.testing.assert_array_equal(looks(out["both"], "two"), looks(out["alone"], "two"))
        if differs:
            learned = looks(out["alone"], "two")
    assert differ(learned, looks(out["alone"], "two"), 1e-3)  # it is another norm


def test_a_stopped_run_goes_on_with_what_it_had_seen(words, tmp_path, monkeypatch, capsys):
    words = (tmp_path / "one.mp4", *words, "--reid-norm", "video", "--out")
    assert run(*words, tmp_path / "whole") == OK
    stop_at(monkeypatch, 17, *words, tmp_path / "out")
    forgetful = tmp_path / "forgetful"
    forgetful.mkdir()
    for file in (tmp_path / "out").iterdir():
        (forgetful / file.name).write_bytes(file.read_bytes())
    assert run(*words, tmp_path / "out", "--resume") == OK
    for name in ("one.txt", "one.looks.npz"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    # the test can fail: without the statistics the vectors are others
    monkeypatch.setattr("reid.Embedder.load_state_dict", lambda self, state: None)
    assert run(*words, forgetful, "--resume") == OK
    assert differ(looks(forgetful, "one"), looks(tmp_path / "whole", "one"), 1e-4)
