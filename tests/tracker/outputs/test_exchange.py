"""COCO and CVAT files: what stands in them, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import MotTable
from retrace.tracker.outputs.exchange import coco_json, cvat_xml
from tests.tracker.analytics.slow_answers import made

# somebody in frames 0, 1 and 3, a car in the last frame
ROWS = [(0, 4, 80.0, 100.0), (1, 4, 90.0, 100.0), (3, 4, 95.0, 100.0), (4, 9, 50.0, 100.0)]
NAMES = {0: "person", 2: 'a "car" & <more>'}


def table() -> MotTable:
    found = made(ROWS)
    return MotTable(
        *(getattr(found, n) for n in ("frame", "id", "xyxy", "score")),
        np.array([0, 0, 0, 2]),
        found.visibility,
    )


def test_coco(tmp_path: Path) -> None:
    told = json.loads(coco_json(tmp_path / "c.json", table(), "v", 5, (120, 200), 10.0, NAMES).read_text())
    assert told["videos"] == [{"id": 1, "name": "v", "width": 200, "height": 120, "length": 5, "fps": 10.0}]
    assert told["categories"] == [{"id": 1, "name": "person"}, {"id": 2, "name": 'a "car" & <more>'}]
    assert [i["file_name"] for i in told["images"]] == [f"v/00000{k}.jpg" for k in range(1, 6)]
    assert [i["frame_id"] for i in told["images"]] == [0, 1, 2, 3, 4]
    assert told["tracks"] == [
        {"id": 4, "category_id": 1, "video_id": 1},
        {"id": 9, "category_id": 2, "video_id": 1},
    ]
    first, *_, last = told["annotations"]
    assert first["bbox"] == [60.0, 0.0, 40.0, 100.0]
    assert (first["area"], first["image_id"], first["track_id"], first["instance_id"]) == (4000.0, 1, 4, 4)
    assert (last["image_id"], last["category_id"], last["id"]) == (5, 2, 4)


def test_cvat_ends_whoever_goes(tmp_path: Path) -> None:
    """Outside from the frame after the last box before a gap, and not after the video's last frame."""
    root = ElementTree.parse(cvat_xml(tmp_path / "c.xml", table(), "v", 5, (120, 200), NAMES)).getroot()
    one, two = root.findall("track")
    assert (one.get("label"), two.get("label")) == ("person", 'a "car" & <more>')
    assert [(b.get("frame"), b.get("outside")) for b in one] == [
        ("0", "0"), ("1", "0"), ("2", "1"), ("3", "0"), ("4", "1"),
    ]  # fmt: skip
    assert [(b.get("frame"), b.get("outside")) for b in two] == [("4", "0")]
    assert [one[0].get(k) for k in ("xtl", "ytl", "xbr", "ybr")] == ["60.00", "0.00", "100.00", "100.00"]
    assert root.findtext("meta/task/size") == "5"


def test_nobody(tmp_path: Path) -> None:
    told = json.loads(coco_json(tmp_path / "c.json", made([]), "v", 0, None, 10.0).read_text())
    assert (told["annotations"], told["images"], told["categories"]) == ([], [], [])
    assert (
        ElementTree.parse(cvat_xml(tmp_path / "c.xml", made([]), "v", 0, None)).getroot().find("track")
        is None
    )


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    for write in (
        lambda p: coco_json(p, table(), "v", 5, None, 10.0),
        lambda p: cvat_xml(p, table(), "v", 5, None),
    ):
        with pytest.raises(InputError, match="cannot be written"):
            write(tmp_path / "f" / "x")
