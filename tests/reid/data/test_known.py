"""Sets by their own conventions, names that could mean two things, and files that must not vanish uncounted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.data.sets import LAYOUTS, read_reid_set
from tests.reid.data.names_only import rows, sizes, touch

Names = list[str]
KNOWN: dict[str, tuple[str, Names, list, list, list]] = {  # layout, files, rows of train, query, gallery
    "LTCC": (
        "ltcc",
        ["train/000_1_c9_015833.png", "query/094_2_c3_000001.png", "test/094_1_c7_000002.png"],
        [("000_1_c9_015833.png", 1, 9)],  # 0 is a person of LTCC's training: all ids are raised
        [("094_2_c3_000001.png", 95, 3)],
        [("094_1_c7_000002.png", 95, 7)],
    ),
    "GRID": (
        "grid",
        ["probe/0001_1_25004_107_32_106_221.jpeg", "gallery/0001_5_25136_92_52_79_206.jpeg",
         "gallery/0000_6_1_2_3_4_5.jpeg"],
        [],
        [("0001_1_25004_107_32_106_221.jpeg", 1, 1)],
        [("0000_6_1_2_3_4_5.jpeg", 0, 6), ("0001_5_25136_92_52_79_206.jpeg", 1, 5)],
    ),
    "VIPeR": (
        "viper",
        ["cam_a/000_45.bmp", "cam_a/873_0.bmp", "cam_b/000_90.bmp", "cam_b/873_180.bmp"],
        [],
        [("000_45.bmp", 1, 0), ("873_0.bmp", 874, 0)],
        [("000_90.bmp", 1, 1), ("873_180.bmp", 874, 1)],
    ),
    "PRID": (
        "prid",
        ["single_shot/cam_a/person_0001.png", "single_shot/cam_a/person_0201.png",
         "single_shot/cam_b/person_0001.png", "single_shot/cam_b/person_0749.png"],
        [],
        [("person_0001.png", 1, 0)],
        [("person_0001.png", 1, 1), ("person_0749.png", 0, 1)],
    ),
    "PRID, several shots": (
        "prid",
        ["multi_shot/cam_a/person_0002/0001.png", "multi_shot/cam_b/person_0002/0003.png"],
        [],
        [("0001.png", 2, 0)],
        [("0003.png", 2, 1)],
    ),
    "PRCC": (
        "prcc",
        ["rgb/train/003/A_cropped_rgb001.jpg", "rgb/train/003/C_cropped_rgb001.jpg",
         "rgb/test/A/074/cropped_rgb001.jpg", "rgb/test/B/074/cropped_rgb001.jpg", "rgb/test/C/074/cropped_rgb009.jpg"],
        [("A_cropped_rgb001.jpg", 3, 1), ("C_cropped_rgb001.jpg", 3, 3)],
        [("cropped_rgb009.jpg", 74, 3)],
        [("cropped_rgb001.jpg", 74, 1)],
    ),
    "Occluded-REID": (
        "occluded-reid",
        ["occluded_body_images/001/001_01.tif", "whole_body_images/001/001_02.tif"],
        [],
        [("001_01.tif", 1, 0)],
        [("001_02.tif", 1, 1)],
    ),
    "CUHK01": (
        "cuhk01",
        ["0001001.png", "0001002.png", "0001003.png", "0971004.png"],
        [],
        [("0001001.png", 1, 0), ("0001002.png", 1, 0)],
        [("0001003.png", 1, 1), ("0971004.png", 971, 1)],
    ),
    "a folder a person": (
        "folders",
        ["train/anna/IMG 1.jpg", "train/bo/x.webp", "query/bo/a.jpg", "gallery/anna/b.jfif", "gallery/bo/c.tif"],
        [("IMG 1.jpg", 1, 0), ("x.webp", 2, 0)],
        [("a.jpg", 2, 0)],
        [("b.jfif", 1, 1), ("c.tif", 2, 1)],
    ),
    "a folder a person, numbers": (
        "folders",
        ["train/0007/a.jpg", "train/0012/b.jpg"],
        [("a.jpg", 7, 0), ("b.jpg", 12, 0)],
        [],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_known_sets(tmp_path: Path, case: str) -> None:
    layout, names, *want = KNOWN[case]
    touch(tmp_path, *names)
    found = read_reid_set(tmp_path)
    for part, expected in zip((found.train, found.query, found.gallery), want, strict=True):
        assert ([] if part is None else rows(part)) == expected
    again = read_reid_set(tmp_path, layout)
    assert sizes(again) == sizes(found)
    others = [name for name, kind in LAYOUTS.items() if kind.fits(tmp_path)]
    assert others[0] == layout


def test_what_a_known_set_leaves_out_is_said(tmp_path: Path) -> None:
    touch(tmp_path, *KNOWN["PRID"][1])
    assert any("1 images of them left out of the query" in note for note in read_reid_set(tmp_path).notes)
    touch(tmp_path / "b", *KNOWN["PRCC"][1])
    assert any("1 of B left out" in note for note in read_reid_set(tmp_path / "b").notes)


# ---- names that could mean two things


def test_a_second_number_beside_a_camera_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "query/12_3_cam2_x.jpg", "gallery/12_3_cam1_x.jpg")
    with pytest.raises(
        InputError, match=r"ambiguous name: .* second number, 3 .*, or cam2\.\.\.; say it with a CSV"
    ):
        read_reid_set(tmp_path)


def test_as_many_cameras_as_images_are_a_warning(tmp_path: Path) -> None:
    """faults/reid/second-number-is-a-frame: three images a person, three 'cameras' a person."""
    for part, frames in (("query", range(3)), ("gallery", range(3, 6))):
        touch(tmp_path / part, *(f"{person}_{frame}.jpg" for person in (1, 2) for frame in frames))
    notes = read_reid_set(tmp_path).notes
    assert sum("as many cameras as images a person (query 3, gallery 3)" in note for note in notes) == 1
    touch(tmp_path / "b", *(f"query/{p}_{c}_{k}.jpg" for p in (1, 2) for c in (1, 2) for k in (1, 2)))
    assert not any("as many cameras" in note for note in read_reid_set(tmp_path / "b").notes)


def test_market_names_that_count_from_0(tmp_path: Path) -> None:
    """faults/reid/market-names-ids-from-0: person 0 was a distractor."""
    touch(tmp_path / "query", "0000_c1s1_000001_00.jpg", "0001_c1s1_000001_00.jpg")
    touch(tmp_path / "bounding_box_test", "0000_c2s1_000001_00.jpg", "0001_c2s1_000001_00.jpg")
    found = read_reid_set(tmp_path)
    assert [row[1] for row in rows(found.query)] == [row[1] for row in rows(found.gallery)] == [1, 2]
    assert any("ids begin at 0: raised by 1" in note for note in found.notes)


# ---- nothing vanishes


def test_every_kind_of_image_is_read(tmp_path: Path) -> None:
    endings = ["avif", "bmp", "gif", "jfif", "jpe", "jpeg", "JPG", "pgm", "png", "ppm", "tif", "TIFF", "webp"]
    touch(tmp_path / "train", *(f"{k:04d}_c1s1_1.{ending}" for k, ending in enumerate(endings, 1)))
    assert sizes(read_reid_set(tmp_path)) == [len(endings), None, None]


def test_what_is_no_image_is_counted_by_reason(tmp_path: Path) -> None:
    train = tmp_path / "train"
    touch(
        train,
        "0001_c1s1_1.jpg",
        "0002_c1s1_1.heic",
        "0003_c1s1_1.jp2",
        "Thumbs.db",
        "a.txt",
        "b.txt",
        ".DS_Store",
    )
    os.symlink("/nowhere/gone.jpg", train / "0004_c1s1_1.jpg")
    os.mkfifo(train / "0005_c1s1_1.jpg")  # reading it would wait for ever
    (train / "0006_c1s1_1.jpg").mkdir()
    found = read_reid_set(tmp_path)
    assert sizes(found) == [1, None, None]
    text = "\n".join(found.notes)
    assert "4 files left out (1 .heic is a kind of image that is not read here, 1 .jp2 is" in text
    assert "1 is a link to nothing" in text
    assert "1 is no plain file" in text
    assert "left out: 4 files that are no images (2 .txt, 1 " in text
    with pytest.raises(InputError, match=r"4 such files"):
        read_reid_set(tmp_path, strict=True)


def test_folders_behind_links_are_read_once(tmp_path: Path) -> None:
    """faults/reid/symlinked-person-folders: half of the people were gone without a word."""
    real = touch(tmp_path / "real", "0003/0003_c1s1_1.jpg", "0004/0004_c2s1_1.jpg")
    train = touch(tmp_path / "set/train", "0001/0001_c1s1_1.jpg")
    for name in ("0003", "0004"):
        os.symlink(real / name, train / name)
    os.symlink(real / "0003", train / "again")
    os.symlink(train, train / "0001" / "loop")
    found = read_reid_set(tmp_path / "set")
    assert sorted(row[1] for row in rows(found.train)) == [1, 3, 4]
    assert any("2 leads to a folder that was read already" in note for note in found.notes)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "train", "0001_c1s1_1.jpg", "shut/0002_c1s1_1.jpg")
    scan = os.scandir

    def refuse(path: str) -> object:  # the administrator, who may run tests, is refused nothing
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert any("1 cannot be read (Permission denied)" in note for note in read_reid_set(tmp_path).notes)


# ---- labels


def csv(folder: Path, *lines: str) -> Path:
    touch(folder, *(line.split(",")[0] for line in lines))
    (folder / "images.csv").write_text("\n".join(["path,id,camera,split", *lines]) + "\n")
    return folder


def test_labels_that_pandas_wrote_as_floats(tmp_path: Path) -> None:
    """faults/reid/csv-float-ids-junk: junk and distractors had become people."""
    found = read_reid_set(
        csv(
            tmp_path,
            "a.jpg,1.0,1.0,query",
            "b.jpg,1.0,2.0,gallery",
            "c.jpg,-1.0,2.0,gallery",
            "d.jpg,0.0,1.0,gallery",
        )
    )
    assert rows(found.query) == [("a.jpg", 1, 1)]
    assert rows(found.gallery) == [("b.jpg", 1, 2), ("c.jpg", -1, 2), ("d.jpg", 0, 1)]


def test_a_label_spelled_two_ways_is_one_and_said(tmp_path: Path) -> None:
    found = read_reid_set(csv(tmp_path, "a.jpg,0001,1,train", "b.jpg,1,1,train", "c.jpg,staff,2,train"))
    first, second, third = (row[1] for row in rows(found.train))
    assert first == second != third
    assert any("ids: 1 labels are spelled in more than one way" in note for note in found.notes)


@pytest.mark.parametrize("label", ["1.5", "-2", "nan", "-1.5", ".5"])
def test_labels_that_are_no_label_are_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(InputError, match=r"images\.csv: ids has '.*' \(data row 2\); expected whole numbers"):
        read_reid_set(csv(tmp_path, "a.jpg,1,1,train", f"b.jpg,{label},1,train"))


# ---- the inputs that went wrong


@pytest.mark.parametrize(
    ("fault", "folder", "want", "note"),
    [
        ("ltcc-clothes-as-camera", "LTCC_ReID", None, "3 cameras"),
        ("second-number-is-a-frame", "set", None, "as many cameras as images a person"),
        ("market-names-ids-from-0", "set", None, "ids begin at 0: raised by 1"),
        ("tif-silently-dropped", "mixed", [16, None, None], "4 people"),
        ("tif-silently-dropped", "occluded", None, "query"),
        ("csv-float-ids-junk", "floats.csv", None, "4 junk"),
    ],
)  # fmt: skip
def test_shared_faults(shared: Path, fault: str, folder: str, want: list | None, note: str) -> None:
    found = read_reid_set(shared.parent / "faults/reid" / fault / folder)
    assert want is None or sizes(found) == want
    assert any(note in line for line in found.notes)


def test_links_of_the_shared_faults(shared: Path, tmp_path: Path) -> None:
    faults = shared.parent / "faults/reid"
    shutil.copytree(faults / "symlinked-person-folders", tmp_path / "a")
    train = tmp_path / "a/set/bounding_box_train"
    os.chmod(train, 0o755)
    for name in ("0003", "0004"):
        os.symlink(f"../../real/{name}", train / name)
    found = read_reid_set(tmp_path / "a/set")
    assert sizes(found) == [16, None, None]
    assert found.train is not None
    assert len(np.unique(found.train.ids)) == 4
    shutil.copytree(faults / "dangling-image-link", tmp_path / "b")
    train = tmp_path / "b/set/bounding_box_train"
    os.chmod(train, 0o755)
    os.symlink("/nowhere/gone.jpg", train / "0001_c1s1_000009_00.jpg")
    assert any("1 is a link to nothing" in note for note in read_reid_set(tmp_path / "b/set").notes)
