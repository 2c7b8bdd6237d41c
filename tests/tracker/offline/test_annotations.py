"""Tracks of other tools, read: what was written comes back, and what is broken is one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import MotTable
from retrace.tracker.offline.annotations import read_annotations
from retrace.tracker.outputs.exchange import coco_json, cvat_xml
from retrace.tracker.outputs.mot_zip import mot_zip

BOX = {"id": 1, "image_id": 5, "category_id": 1, "track_id": 3, "bbox": [1, 2, 30, 40]}
COCO = {"videos": [{"name": "v"}], "images": [{"id": 5, "frame_id": 2}], "annotations": [BOX]}


def tracks(kind: int) -> MotTable:
    """Person 1 in frames 0 to 2, person 2 in 1 and, after a gap, in 4."""
    frame, person = np.array([0, 1, 1, 2, 4]), np.array([1, 1, 2, 1, 2])
    box = np.stack((10.0 * frame, 5.0 * person, 10.0 * frame + 20, 5.0 * person + 50), axis=1)
    return MotTable(frame, person, box, np.ones(5), np.full(5, kind), np.ones(5))


@pytest.mark.parametrize("kind", ["coco", "cvat", "zip"])
def test_what_is_written_comes_back(tmp_path: Path, kind: str) -> None:
    size, table = (480, 640), tracks(1 if kind == "zip" else 0)
    path = tmp_path / {"coco": "a.json", "cvat": "a.xml", "zip": "a.zip"}[kind]
    if kind == "coco":
        coco_json(path, table, "clip", 6, size, 25.0)
    elif kind == "cvat":
        cvat_xml(path, table, "clip", 6, size)
    else:
        mot_zip(path, table, "clip", 6, size, 25.0)
    found = read_annotations(path)
    for name in ("frame", "id", "xyxy"):
        np.testing.assert_array_equal(getattr(found.table, name), getattr(table, name))
    assert (found.table.class_id == 1).all()
    assert (found.name, found.size, found.length) == ("clip", size, 6)
    assert found.fps == (None if kind == "cvat" else 25.0)


def test_between_key_frames_a_box_moves_evenly(tmp_path: Path) -> None:
    """Key frames 0 and 4, then outside at 6: at 2 it is half way, from 4 on it stands still, at 6 it is gone."""
    place = 'xtl="{0}" ytl="0" xbr="{1}" ybr="40"'
    boxes = "".join(
        f'<box frame="{frame}" outside="{gone}" {place.format(x, x + 10)}/>'
        for frame, gone, x in ((0, 0, 0), (4, 0, 80), (6, 1, 80))
    )
    path = tmp_path / "a.xml"
    path.write_text(f'<annotations><track id="0" label="person">{boxes}</track></annotations>')
    found = read_annotations(path).table
    assert found.frame.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.xyxy[:, 0].tolist() == [0, 20, 40, 60, 80, 80]
    assert found.id.tolist() == [1] * 6  # CVAT counts from 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.avi", "", "expected COCO"),
        ("a.json", "[]", "expected JSON with an object"),
        ("a.json", "{}", "not readable as tracks"),
        ("a.json", json.dumps({**COCO, "annotations": []}), "holds no tracks"),
        ("a.json", json.dumps({**COCO, "annotations": [BOX, BOX]}), "twice in it"),
        ("a.json", json.dumps({**COCO, "annotations": [{**BOX, "bbox": [1, 2, 0, 4]}]}), "no size"),
        ("a.json", json.dumps({**COCO, "annotations": [{**BOX, "image_id": 9}]}), "not readable as tracks"),
        ("a.json", json.dumps({**COCO, "annotations": [{**BOX, "track_id": None}]}), "neither track_id"),
        ("a.json", json.dumps({**COCO, "videos": [{}, {}]}), "2 videos"),
        ("a.xml", "<annotations>", "not readable as XML"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "definitions of its own"),
        ("a.xml", "<annotations/>", "holds no tracks"),
        (
            "a.xml",
            '<annotations><track id="1"><box frame="x"/></track></annotations>',
            "not readable as tracks",
        ),
        ("a.zip", "no zip", "not readable as a zip"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as told:
        read_annotations(tmp_path / name)
    assert "\n" not in str(told.value)


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../gt.txt", "1,1,1,1,1,1,1\n")
    with pytest.raises(InputError, match=r"0 files gt/gt\.txt"):
        read_annotations(tmp_path / "a.zip")
