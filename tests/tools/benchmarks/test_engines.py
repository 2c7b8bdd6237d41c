"""`bench.py engines`, a small run: the gallery is what it says, and the figures are there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks import engines
from retrace.tools.benchmarks.engines import made_up, measure, views


def test_views_of_a_person_are_alike_and_those_of_others_are_not() -> None:
    person = np.repeat(np.arange(60), 10)
    vector = views(person, 512, 0, (1,))
    cosine, same = vector @ vector.T, person[:, None] == person
    assert cosine[same & ~np.eye(600, dtype=bool)].mean() == pytest.approx(1 / (1 + 0.7**2), abs=0.02)
    assert abs(cosine[~same].mean()) < 0.01
    assert cosine[~same].std() == pytest.approx(1 / np.sqrt(2 * engines.DIRECTIONS), abs=0.01)
    again = views(np.array([8]), 512, 0, (2,))  # another view of somebody who is there
    assert person[(again @ vector.T).argmax()] == 8


def test_blocks_hold_everybody_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BLOCK", 40)
    ids = np.concatenate([rows.id for rows in made_up(101, 8, 0)])
    np.testing.assert_array_equal(ids, np.arange(1, 102))


def test_a_row_an_engine(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    out = tmp_path / "engines.json"
    words = [
        "--vectors",
        "300,500",
        "--dimension",
        "16",
        "--searches",
        "9",
        "--engines",
        "exact,flat,hnsw:64",
    ]
    assert bench.main(["engines", *words, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["engines"]
    assert [(row["engine"], row["vectors"]) for row in rows] == [
        (name, count) for count in (300, 500) for name in ("exact", "flat", "hnsw:64")
    ]
    assert [row["recall"] for row in rows if row["engine"] != "hnsw:64"] == [1.0] * 4
    assert all(row["recall"] > 0.9 and row["ms"] >= 0 for row in rows)


def test_a_gallery_of_a_features_file(tmp_path: Path) -> None:
    vector = 3 * views(np.arange(20) // 4, 16, 0, (1,))  # of any length
    sides = {f"{side}_features": vector[part] for side, part in (("query", [0, 5]), ("gallery", slice(20)))}
    ids = {f"{side}_ids": np.ones(count, int) for side, count in (("query", 2), ("gallery", 20))}
    cameras = {name.replace("ids", "cameras"): value for name, value in ids.items()}
    np.savez(tmp_path / "f.npz", **sides, **ids, **cameras)
    given = {"vectors": [1], "engines": ["exact"], "dimension": 1, "searches": 9, "seed": 0, "say": str}
    (row,) = measure(**given, features=str(tmp_path / "f.npz"))["engines"]  # type: ignore[arg-type]
    assert (row["vectors"], row["recall"]) == (20, 1.0)
    with pytest.raises(InputError, match="must be positive"):
        measure(**{**given, "vectors": [0]})  # type: ignore[arg-type]
