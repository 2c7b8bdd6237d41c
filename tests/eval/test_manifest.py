"""Which results may share a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs import InputError
from eval.manifest import facts, files_hash, read_manifest, unlike


def run(**hashes: str | None) -> dict:
    """What tools/track.py writes, as far as it matters here."""
    return {
        "online": True,
        "post_processing": [],
        "sequences": {name: {"detections_sha256": value} for name, value in hashes.items()},
    }


def test_facts_of_a_tracking_run() -> None:
    assert facts(run(A="x", B=None)) == {"online": True, "post_processing": [], "detections": {"A": "x"}}
    assert "detections" not in facts(run(A=None))


def test_alike_and_unlike() -> None:
    assert unlike(run(A="x", B="y"), run(A="x", C="z")) == ""
    assert unlike(run(A="x"), run(A="y")) == "detections of A"
    assert unlike(run(A="x"), run(A="x") | {"online": False}) == "online true against false"
    assert "post_processing [] against" in unlike(run(), run() | {"post_processing": ["gsi"]})
    assert "detections" in unlike({"detections": "a"}, {"detections": "b"})


def test_the_unknown_speaks_against_nothing() -> None:
    assert (
        unlike(None, run(A="x"))
        == unlike({}, {"online": True})
        == unlike({"online": None}, {"online": True})
        == ""
    )


def test_reading(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    (tmp_path / "run.json").write_text(json.dumps({"online": True}))
    assert read_manifest(tmp_path) == {"online": True}
    for text in ("{", "[1]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(InputError, match=r"manifest\.json"):
            read_manifest(tmp_path)


def test_hash_depends_on_content_only_and_on_order_of_names(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    one = files_hash([a, b])
    assert files_hash([b, a]) == one
    a.write_text("3")
    assert files_hash([a, b]) != one
