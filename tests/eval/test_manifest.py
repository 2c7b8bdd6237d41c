"""Which results may share a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.eval.manifest import facts, files_hash, read_manifest, unchecked, unlike


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
    assert unlike(run(A="x"), run(A="y")) == "detections of A: x against y"
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


def test_detector_and_a_submission_s_parameters() -> None:
    yolo, hog = ({"sequences": {"A": {"detector": name}}} for name in ("yolo", "hog"))
    assert unlike(yolo, hog) == "detector of A: yolo against hog"
    assert unlike({"parameters": yolo, "detections": None}, hog) == "detector of A: yolo against hog"
    assert facts({"parameters": yolo, "detections": "file hash"})["detections"] == "file hash"


def test_hashes_of_two_kinds_are_not_compared_and_that_is_said() -> None:
    assert unlike({"detections": "a"}, run(A="x")) == ""
    assert unchecked({"detections": "a"}, run(A="x")).endswith(
        "detector, detections, online, post_processing"
    )
    full = run(A="x") | {"detector": "d"}
    assert unchecked(full, full) == ""
    assert unchecked(None, full).startswith("no manifest: not checked")


def test_manifest_beside_a_folder_and_an_archive(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.manifest.json").write_text('{"online": true}')
    assert read_manifest(tmp_path / "mine") == read_manifest(tmp_path / "mine.zip") == {"online": True}
    (tmp_path / "mine" / "run.json").write_text('{"online": false}')
    assert read_manifest(tmp_path / "mine") == {"online": False}


def test_equal_boxes_are_alike_whatever_the_detector_is_called() -> None:
    here, there = (
        {"sequences": {"A": {"detector": f"detections of {place}", "detections_sha256": "x"}}}
        for place in ("here", "there")
    )
    assert unlike(here, there) == ""
