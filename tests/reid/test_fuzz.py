"""Damaged and hostile inputs of every kind: one line of at most 500 characters, or an answer; never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrace.configs import InputError
from retrace.configs.files import read_image
from retrace.reid import Embedder
from retrace.reid.calibration.card import Calibration
from retrace.reid.data.sets import read_reid_set
from retrace.reid.recipe import KEY, Recipe
from retrace.reid.runtime.feed import Feed, settle
from retrace.reid.runtime.onnx_file import read_onnx, verify
from retrace.reid.weights.shipped import shipped_weights

CASES, MANY = 25, 3000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answers(call: Callable[[], object]) -> bool:
    """Whether it answered; else it refused in one short line."""
    try:
        call()
    except InputError as error:
        text = str(error)
        assert "\n" not in text
        assert 0 < len(text) <= 500, len(text)
        return False
    return True


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Flipped bits, zeroed or repeated stretches, a cut end, other bytes in front."""
    broken = bytearray(data)
    kind = rng.integers(6)
    if kind == 0:
        for place in rng.integers(0, len(broken), rng.integers(1, 20)):
            broken[place] ^= 1 << rng.integers(8)
    elif kind == 1:
        start = rng.integers(len(broken))
        broken[start : start + rng.integers(1, 4000)] = b"\0" * rng.integers(1, 4000)
    elif kind == 2:
        del broken[rng.integers(len(broken)) :]
    elif kind == 3:
        start = rng.integers(len(broken))
        broken[start:start] = broken[start : start + rng.integers(1, 200)]
    elif kind == 4:
        broken[:0] = rng.integers(0, 256, rng.integers(1, 50), dtype=np.uint8).tobytes()
    else:
        head = rng.integers(0, min(64, len(broken)), 4)
        for place in head:
            broken[place] = rng.integers(256)
    return bytes(broken)


def shipped() -> Path:
    path = shipped_weights()
    assert path is not None
    return path


# ---- weights


@pytest.mark.parametrize("count", [CASES, pytest.param(MANY, marks=pytest.mark.long)])
def test_damaged_weights(tmp_path: Path, count: int) -> None:
    from retrace.reid.weights.files import load_network, read, save_network

    network, recipe = load_network(shipped().with_suffix(".safetensors"))
    save_network(tmp_path / "whole.safetensors", network, recipe)
    whole = (tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / "a.safetensors"
    for seed in range(count):
        broken = damaged(whole, np.random.default_rng(seed))
        path.write_bytes(broken)
        assert not answers(lambda: read(path)) or broken == whole, seed


@pytest.mark.parametrize("count", [CASES, pytest.param(MANY, marks=pytest.mark.long)])
def test_damaged_checkpoints(tmp_path: Path, count: int) -> None:
    torch = pytest.importorskip("torch")
    from retrace.reid.weights.checkpoints import read_tensors

    torch.save({"state_dict": {"a": torch.ones(50), "b.c": torch.zeros(3, 4)}}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    path = tmp_path / "a.pth"
    for seed in range(4 * count):
        path.write_bytes(damaged(whole, np.random.default_rng(seed)))
        answers(lambda: read_tensors(path))


@pytest.mark.parametrize("count", [4 * CASES, pytest.param(MANY, marks=pytest.mark.long)])
def test_damaged_onnx_files(tmp_path: Path, count: int) -> None:
    whole = shipped().read_bytes()
    path = tmp_path / "a.onnx"
    for seed in range(count):
        path.write_bytes(damaged(whole, np.random.default_rng(seed)))
        read_onnx(path)
        answers(lambda: verify(path))


def test_damage_that_hides_the_operations_does_not_hide_itself(tmp_path: Path) -> None:
    """An operation longer than the file: the checksum is not among them, and says so."""
    whole, path = shipped().read_bytes(), tmp_path / "a.onnx"
    nodes = whole.index(b"\nn\n")  # the first one: 110 bytes, that begin with an input
    path.write_bytes(whole[: nodes + 1] + b"\xff\xff\xff\xff\x07" + whole[nodes + 6 :])
    assert not read_onnx(path).nodes
    with pytest.raises(InputError, match=r"is damaged: its weights or .* do not match the checksum"):
        verify(path)


@given(JSON)
@QUICK
def test_any_json_as_a_recipe(value: Any) -> None:
    answers(lambda: Recipe.from_json(json.dumps(value), "x"))
    whole = json.loads(Recipe().to_json())
    for key in whole:
        answers(lambda key=key: Recipe.from_json(json.dumps(whole | {key: value}), "x"))  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "1" * 10_000, '"' + "x" * 10**6, "{}" * 9, "nul"]
)
def test_texts_that_break_readers_of_json(text: str, tmp_path: Path) -> None:
    assert not answers(lambda: Recipe.from_json(text, "x"))
    (tmp_path / "splits_a.json").write_text(text)
    assert not answers(lambda: read_reid_set(tmp_path))


@given(JSON)
@QUICK
def test_any_json_as_a_calibration(value: Any) -> None:
    answers(lambda: Calibration.from_card(value, "x"))
    whole = {"format": 1, "distance": "cosine", "data": "", "print": [0.1], "relations": {}}
    for key in whole:
        answers(lambda key=key: Calibration.from_card(whole | {key: value}, "x"))  # type: ignore[misc]
    told = {"knots": [0, 1], "log_odds": [1, 0], "same": 1, "different": 1, "source": "a", "thresholds": {}}
    for key in told:
        card = whole | {"relations": {"camera": told | {key: value}}}
        answers(lambda card=card: Calibration.from_card(card, "x"))  # type: ignore[misc]


@given(st.text(max_size=60) | JSON | st.builds(Feed, range=st.floats(), colour=st.text(max_size=3)))
@QUICK
def test_anything_as_an_input(value: Any) -> None:
    answers(lambda: settle(value, Recipe(), None))
    for key in ("range", "mean", "std", "colour", "layout"):
        answers(lambda key=key: settle({key: value}, Recipe(), None))  # type: ignore[misc]
        answers(lambda key=key: settle(f"raw,{key}={value}", Recipe(), None))  # type: ignore[misc]


# ---- data sets


@given(st.text(max_size=200), st.booleans())
@QUICK
def test_any_text_as_a_list(tmp_path: Path, text: str, header: bool) -> None:
    folder = tmp_path / "set"
    folder.mkdir(exist_ok=True)
    for name in ("images.csv", "list_query.txt", "splits_a.json"):
        for old in folder.iterdir():
            old.unlink()
        begin = "path,id,camera\n" if header and name.endswith("csv") else ""
        (folder / name).write_text(begin + text, encoding="utf-8", errors="surrogatepass")
        answers(lambda: read_reid_set(folder))


@given(JSON)
@QUICK
def test_any_json_as_splits(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "splits_a.json"
    for told in (value, [value], [{"train": value, "query": value, "gallery": value}],
                 [{"train": [["a", value, 1]], "query": [], "gallery": []}]):  # fmt: skip
        file.write_text(json.dumps(told))
        answers(lambda: read_reid_set(file))


@given(st.lists(st.text("0123456789_-.cs jpgx²٣", min_size=1, max_size=24), max_size=6))
@QUICK
def test_any_names_of_images(tmp_path: Path, names: list[str]) -> None:
    for part in ("train", "query", "gallery"):
        (tmp_path / part).mkdir(exist_ok=True)
        for old in (tmp_path / part).iterdir():
            old.unlink()
        for name in names:
            if name.strip(".") and "/" not in name:
                (tmp_path / part / f"{name}.jpg").touch()
    answers(lambda: read_reid_set(tmp_path))
    answers(lambda: read_reid_set(tmp_path, "plain", strict=True))


def test_names_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in (b"0001_c1s1_\xff\xe9.jpg", b"\xff.jpg", b"0002_c2s1_1.jpg"):
        (tmp_path / "train").joinpath(os.fsdecode(name)).touch()
    assert answers(lambda: read_reid_set(tmp_path))


@pytest.mark.parametrize("name", ["x" * 256, "y/" * 3000, "a\0b"])
def test_paths_that_no_system_has(name: str, tmp_path: Path) -> None:
    assert not answers(lambda: read_reid_set(tmp_path / name))
    assert not answers(lambda: read_reid_set(name))
    embed = Embedder.from_weights("auto", "cpu", threads=1)
    assert not answers(lambda: embed.folder(tmp_path / name))
    assert not answers(lambda: Embedder.from_weights(tmp_path / name))
    assert read_image(tmp_path / name) is None


def test_what_is_named_like_an_image_and_is_none(tmp_path: Path) -> None:
    """A pipe that nobody writes to, a folder, a link to nothing, a link to itself: nothing hangs."""
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    os.symlink("/nowhere", tmp_path / "c.jpg")
    os.symlink(tmp_path / "d.jpg", tmp_path / "d.jpg")
    for name in "abcd":
        assert read_image(tmp_path / f"{name}.jpg") is None
    assert not answers(lambda: Embedder.from_weights("auto", "cpu", threads=1).folder(tmp_path))


def test_metadata_of_many_names_stay_short(tmp_path: Path) -> None:
    """faults/reid/broken-list-unbounded: 3,000 unfit files are 20 names and a count."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train/0001_c1s1_1.jpg").touch()
    for k in range(3000):
        (tmp_path / f"train/odd{k}.jpg").touch()
    notes = read_reid_set(tmp_path).notes
    assert sum(map(len, notes)) < 6000
    assert any("3,000 files left out" in note for note in notes)


def test_a_key_of_metadata_that_is_not_ours_is_nobody_s(tmp_path: Path) -> None:
    assert KEY == "retrace"
    assert Recipe.from_json("", "x") == Recipe()
