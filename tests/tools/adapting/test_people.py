"""Tracklets that become people: who is one by looks and by who was seen beside whom, and which crops are blurred."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.reid import Embedder
from retrace.tools.adapting.people import Identities, to_people

GREEN, RED = (40, 160, 40), (40, 40, 200)


def write_crops(
    folder: Path, told: list[tuple[str, int, tuple[int, int, int], str]], blurred: set[int]
) -> None:
    """(SEQUENCE/ID, frame, colour, part) of people in stripes of a colour; some of them blurred."""
    rows = []
    for k, (name, frame, colour, part) in enumerate(told):
        sequence, _, number = name.partition("/")
        rng = np.random.default_rng(k)
        image = np.full((128, 64, 3), colour, np.uint8)
        image[::8] = 255
        image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        path = Path(part, sequence, f"{int(number):06d}_{frame:06d}.png")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / path), cv2.GaussianBlur(image, (0, 0), 8) if k in blurred else image)
        rows.append((path.as_posix(), name, sequence, part, frame, "1.00"))
    with open(folder / "images.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "id", "camera", "split", "frame", "visibility"), *rows])


def ids(folder: Path, part: str = "train") -> list[str]:
    with open(folder / "images.csv", newline="", encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file) if row["split"] == part]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.from_weights("fast", device="cpu", threads=1)


def test_who_comes_back_is_one_and_who_is_beside_him_is_not(tmp_path: Path, embedder: Embedder) -> None:
    """Green is 1, then 3, and 4 at another door; red is 2 beside 1. 5 looks like 3 and stands beside him."""
    told = [
        (f"{door}/{who}", frame, colour, "train")
        for door, who, first, colour in (
            ("a", 1, 1, GREEN),
            ("a", 2, 1, RED),
            ("a", 3, 200, GREEN),
            ("b", 4, 1, GREEN),
            ("a", 5, 200, GREEN),
        )
        for frame in range(first, first + 40, 10)
    ]
    told += [("a/9", 900, GREEN, "query"), ("a/9", 990, GREEN, "gallery")]
    write_crops(tmp_path, told, set())
    assert to_people(tmp_path, embedder, {"a": 10.0, "b": 25.0}) == Identities(5, 3, 0)
    found = ids(tmp_path)
    assert len(found) == 20
    assert len({*found}) == 3
    by_track = dict(zip([name for name, *_ in told[:20]], found, strict=True))
    assert by_track["a/2"] == "a/2"
    assert by_track["a/3"] != by_track["a/5"]
    assert {by_track["a/1"], by_track["b/4"]} <= {by_track["a/3"], by_track["a/5"]}
    assert ids(tmp_path, "query") == ids(tmp_path, "gallery") == ["a/9"]


def test_blurred_crops_are_left_out(tmp_path: Path, embedder: Embedder) -> None:
    """Of each tracklet's own: one that is blurred throughout keeps its crops."""
    told = [("a/1", frame, GREEN, "train") for frame in range(0, 50, 10)]
    told += [("a/2", frame, RED, "train") for frame in range(0, 50, 10)]
    write_crops(tmp_path, told, {1, 5, 6, 7, 8, 9})
    assert to_people(tmp_path, embedder, {"a": 10.0}) == Identities(2, 2, 1)
    assert sorted(ids(tmp_path)) == ["a/1"] * 4 + ["a/2"] * 5
