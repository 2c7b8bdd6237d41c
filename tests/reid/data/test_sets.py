"""Names of files -> identities and cameras, for every layout; counts; and what to say of a wrong folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.data import sets as data
from retrace.reid.data.sets import ReidImages, has_match, read_reid_set
from tests.reid.data.names_only import rows, sizes, touch
from tests.reid.mini_market import write_mini_market

PARTS = ("train", "query", "gallery")


MARKET = {
    "train": ["0002_c1s1_000451_03.jpg", "0002_c3s1_000551_00.jpg"],
    "query": ["0003_c1s1_000001_00.jpg"],
    "gallery": [
        "-1_c2s1_000401_03.jpg",
        "0000_c6s3_094992_01.jpg",
        "0003_c2s1_000002_01.jpg",
        "Thumbs.db",
    ],
}


def market(folder: Path, train: str, query: str, gallery: str) -> Path:
    for name, part in ((train, "train"), (query, "query"), (gallery, "gallery")):
        touch(folder / name, *MARKET[part])
    return folder


# ---- Market-1501 and its copies


@pytest.mark.parametrize(
    "names",
    [
        ("bounding_box_train", "query", "bounding_box_test"),
        ("train", "query", "gallery"),
        ("train_all", "probe", "test"),
    ],
)
@pytest.mark.parametrize("nested", ["", "Market-1501-v15.09.15"])
def test_market_and_its_re_packs(tmp_path: Path, names: tuple[str, str, str], nested: str) -> None:
    market(tmp_path / nested, *names)
    touch(tmp_path, "readme.txt")
    found = read_reid_set(tmp_path)
    assert rows(found.train) == [("0002_c1s1_000451_03.jpg", 2, 1), ("0002_c3s1_000551_00.jpg", 2, 3)]
    assert rows(found.query) == [("0003_c1s1_000001_00.jpg", 3, 1)]
    assert rows(found.gallery) == [
        ("-1_c2s1_000401_03.jpg", -1, 2),
        ("0000_c6s3_094992_01.jpg", 0, 6),
        ("0003_c2s1_000002_01.jpg", 3, 2),
    ]
    assert found.gallery is not None
    assert found.gallery.paths[0] == tmp_path / nested / names[2] / "-1_c2s1_000401_03.jpg"


def test_png_re_pack_with_a_folder_a_person(tmp_path: Path) -> None:
    touch(tmp_path, "train/0002/0002_c1s1_000451_03.PNG", "train/0007/0007_c2s1_000451_03.png")
    touch(tmp_path, "train/.hidden/0009_c1s1_000451_03.png", "train/0007/._0007_c2s1_000451_03.png")
    assert rows(read_reid_set(tmp_path).train) == [
        ("0002_c1s1_000451_03.PNG", 2, 1),
        ("0007_c2s1_000451_03.png", 7, 2),
    ]


@pytest.mark.parametrize(
    ("name", "person", "camera"),
    [("0044_c5_f0046182.jpg", 44, 5), ("0001_c1_1.png", 1, 1), ("1500_c6s3_086542_09.jpg.jpg", 1500, 6)],
    ids=["DukeMTMC", "CUHK03-NP", "market"],
)
def test_other_names(tmp_path: Path, name: str, person: int, camera: int) -> None:
    touch(tmp_path / "bounding_box_train", name)
    assert rows(read_reid_set(tmp_path).train) == [(name, person, camera)]


def test_only_query_and_gallery(tmp_path: Path) -> None:
    touch(tmp_path / "query", *MARKET["query"])
    touch(tmp_path / "bounding_box_test", *MARKET["gallery"])
    assert sizes(read_reid_set(tmp_path)) == [None, 1, 3]
    assert sizes(read_reid_set(tmp_path, parts=["gallery"])) == [None, None, 3]
    with pytest.raises(InputError, match=r"no images for train \(there is only query, gallery\)"):
        read_reid_set(tmp_path, need=["train"])
    with pytest.raises(InputError, match=r"no images for train \(there is none of train\)"):
        read_reid_set(tmp_path, parts=["train"])


def test_junk_and_distractors_are_nobody_to_train_on_or_ask_for(tmp_path: Path) -> None:
    market(tmp_path, "train", "query", "test")
    touch(tmp_path, "train/0000_c1s1_000001_00.jpg", "train/-1_c1s1_000001_00.jpg")
    found = read_reid_set(tmp_path)
    assert sizes(found) == [2, 1, 3]
    assert "train: 2 distractor or junk images left out" in found.notes


def test_mini_market(tmp_path: Path) -> None:
    """8 * 3 * 4 = 96; 8 * 3 = 24; 96 - 24 + 3 junk + 4 distractors = 79."""
    write_mini_market(tmp_path)
    found = read_reid_set(tmp_path)
    assert sizes(found) == [96, 24, 79]
    assert found.train is not None
    assert found.query is not None
    assert found.gallery is not None
    assert np.unique(found.train.ids).tolist() == [*range(1, 9)]
    assert np.unique(found.gallery.ids).tolist() == [-1, 0, *range(9, 17)]
    assert has_match(found.query, found.gallery).all()
    assert "gallery: 79 images, 8 people, 3 cameras, of them 4 distractors and 3 junk" in found.notes


def test_the_split_at_hand(shared: Path) -> None:
    found = read_reid_set(shared / "market1501-split")
    assert sizes(found) == [8723, 439, 1318]
    assert found.train is not None
    assert found.gallery is not None
    assert len(np.unique(found.train.ids)) == 501
    assert np.unique(found.train.cameras).tolist() == [1, 2, 3, 4, 5, 6]
    assert len(np.unique(found.gallery.ids)) == 100
    assert found.name == "market1501-split"
    assert "not the official Market-1501" in found.notes[0]
    assert "train 8,723 of 12,936 images, 501 of 751 people" in found.notes[0]


# ---- CUHK03


def test_cuhk03_folder(tmp_path: Path) -> None:
    touch(tmp_path, "0000_00.jpg", "0000_04.jpg", "0000_05.jpg", "0012_09.jpg", "notes.txt", "cover.jpg")
    found = read_reid_set(tmp_path)
    assert found.train is None
    assert rows(found.query) == [("0000_00.jpg", 1, 0), ("0000_04.jpg", 1, 0)]
    assert rows(found.gallery) == [("0000_05.jpg", 1, 1), ("0012_09.jpg", 13, 1)]
    assert "1 files left out (1 expected a name like 0012_07.jpg (id, image)):" in found.notes
    assert any("cover.jpg: expected a name like 0012_07.jpg" in note for note in found.notes)


def test_cuhk03_at_hand(shared: Path) -> None:
    """938 images of 100 people."""
    found = read_reid_set(shared / "cuhk03-detected-val")
    assert sizes(found) == [None, 451, 487]
    assert found.query is not None
    assert found.gallery is not None
    assert len(np.unique(found.query.ids)) == 100
    assert has_match(found.query, found.gallery).all()


def cuhk03_json(folder: Path) -> Path:
    """Two splits; paths of another machine."""
    names = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_002_2_07.png"]
    touch(folder / "images_detected", *names)
    entries = [[f"/elsewhere/images_detected/{name}", k // 2, k % 2] for k, name in enumerate(names)]
    splits = [
        {"train": entries[:2], "query": entries[2:3], "gallery": entries[3:], "num_train_pids": 1},
        {"train": entries[2:], "query": entries[:1], "gallery": entries[1:2], "num_train_pids": 1},
    ]
    (folder / "splits_classic_detected.json").write_text(json.dumps(splits))
    return folder


def test_cuhk03_splits(tmp_path: Path) -> None:
    cuhk03_json(tmp_path)
    found = read_reid_set(tmp_path)
    assert rows(found.train) == [("1_001_1_01.png", 1, 0), ("1_001_2_06.png", 1, 1)]
    assert rows(found.query) == [("1_002_1_01.png", 2, 0)]
    other = read_reid_set(tmp_path / "splits_classic_detected.json", split=1)
    assert rows(other.query) == [("1_001_1_01.png", 1, 0)]
    with pytest.raises(InputError, match="has 2 splits, counted from 0; there is no 2"):
        read_reid_set(tmp_path, split=2)
    (tmp_path / "splits_new_labeled.json").write_text("[]")
    with pytest.raises(InputError, match=r"holds 2 protocols \(splits_classic_detected.json, splits_new_lab"):
        read_reid_set(tmp_path)
    for text in ("{", "[[]]", '[{"train": []}]', '[{"train": [[1]], "query": [], "gallery": []}]'):
        (tmp_path / "splits_new_labeled.json").write_text(text)
        with pytest.raises(InputError, match=r"expected a list of \{train, query, gallery\}"):
            read_reid_set(tmp_path / "splits_new_labeled.json")


# ---- MSMT17

MSMT = {
    "list_train.txt": ["0000/0000_000_01_0303morning_0008_0.jpg 0", "0001/0001_000_15_0303noon_0008_0.jpg 1"],
    "list_val.txt": ["0000/0000_001_07_0303afternoon_0009_1.jpg 0"],
    "list_query.txt": ["0000/0000_000_02_0303morning_0010_0.jpg 0"],
    "list_gallery.txt": ["0000/0000_001_03_0303morning_0011_0.jpg 0"],
}


def msmt17(folder: Path, train: str, test: str) -> Path:
    for name, lines in MSMT.items():
        touch(folder, name).joinpath(name).write_text("\n".join(lines) + "\n")
        place = train if name in ("list_train.txt", "list_val.txt") else test
        touch(folder / place, *(line.split()[0] for line in lines))
    return folder


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_msmt17(tmp_path: Path, train: str, test: str) -> None:
    """The third field of a name is the camera; train and val are one; ids count from 0, each half its own."""
    found = read_reid_set(msmt17(tmp_path / "MSMT17", train, test))
    assert [row[1:] for row in rows(found.train)] == [(1, 1), (2, 15), (1, 7)]
    assert rows(found.query) == [("0000_000_02_0303morning_0010_0.jpg", 1, 2)]
    assert rows(found.gallery) == [("0000_001_03_0303morning_0011_0.jpg", 1, 3)]
    assert "not the official MSMT17" in found.notes[0]
    assert not any("no honest test" in note for note in found.notes)  # id 1 of test is somebody else


def test_msmt17_with_a_file_missing(tmp_path: Path) -> None:
    msmt17(tmp_path, "train", "test")
    (tmp_path / "train/0001/0001_000_15_0303noon_0008_0.jpg").unlink()
    found = read_reid_set(tmp_path)
    assert sizes(found) == [2, 1, 1]
    assert any(
        note.endswith("0001_000_15_0303noon_0008_0.jpg: is listed, but not there") for note in found.notes
    )
    with pytest.raises(InputError, match=r"is listed, but not there \(1 such files\)"):
        read_reid_set(tmp_path, strict=True)


@pytest.mark.parametrize(
    "line", ["0000/0000_000_01_0303morning_0008_0.jpg", "a.jpg 3", "0000_000_01_0303morning.jpg x"]
)
def test_msmt17_with_a_bad_line(tmp_path: Path, line: str) -> None:
    msmt17(tmp_path, "train", "test")
    (tmp_path / "list_query.txt").write_text(f"{MSMT['list_query.txt'][0]}\n\n{line}\n")
    with pytest.raises(InputError, match=r"list_query\.txt, line 3: expected 'PATH ID'"):
        read_reid_set(tmp_path)


def test_msmt17_without_images(tmp_path: Path) -> None:
    touch(tmp_path, "list_train.txt")
    with pytest.raises(
        InputError, match="its images are missing; expected train/ or mask_train_v2/ beside it"
    ):
        read_reid_set(tmp_path)


# ---- one's own: names


def test_plain_names(tmp_path: Path) -> None:
    touch(tmp_path, "train/12_3_whatever.jpg", "train/12_4.png", "query/5_1_a.jpg", "gallery/5_2_a.jpg")
    touch(tmp_path, "gallery/0_2_x.jpg", "gallery/-1_2_x.jpg")
    found = read_reid_set(tmp_path)
    assert rows(found.train) == [("12_3_whatever.jpg", 12, 3), ("12_4.png", 12, 4)]
    assert rows(found.gallery) == [("-1_2_x.jpg", -1, 2), ("0_2_x.jpg", 0, 2), ("5_2_a.jpg", 5, 2)]


def test_plain_names_that_count_from_0(tmp_path: Path) -> None:
    """Nobody trains on or asks for a distractor, so 0 is a person there; junk stays junk."""
    touch(tmp_path, "train/3_1_a.jpg", "query/0_1_a.jpg", "gallery/0_2_a.jpg", "gallery/-1_2_x.jpg")
    found = read_reid_set(tmp_path, parts=["gallery"])
    assert rows(found.gallery) == [("-1_2_x.jpg", -1, 2), ("0_2_a.jpg", 1, 2)]
    assert any("ids begin at 0: raised by 1" in note for note in found.notes)


# ---- one's own: CSV


def csv_set(folder: Path, text: str, *names: str) -> Path:
    touch(folder, *names, "images.csv").joinpath("images.csv").write_text(text)
    return folder


def test_csv_with_numbers(tmp_path: Path) -> None:
    lines = ["train,4,2,a.jpg,x", "query,5,1,sub/b.jpg,", "gallery,0,1,c.jpg,", "gallery,-1,3,d.jpg,"]
    text = "\n".join(["split,id,camera,path,more", *lines, "", ""])
    csv_set(tmp_path, text, "a.jpg", "sub/b.jpg", "c.jpg", "d.jpg")
    for place in (tmp_path, tmp_path / "images.csv"):
        found = read_reid_set(place)
        assert rows(found.train) == [("a.jpg", 4, 2)]
        assert rows(found.query) == [("b.jpg", 5, 1)]
        assert rows(found.gallery) == [("c.jpg", 0, 1), ("d.jpg", -1, 3)]


def test_csv_with_names_and_without_split(tmp_path: Path) -> None:
    """Names are numbered from 1 in sorted order; 0 and -1 keep their meaning."""
    csv_set(
        tmp_path,
        "path,id,camera\nb.jpg,zoe,hall\na.jpg,adam,door\nc.jpg,zoe,door\n",
        "a.jpg",
        "b.jpg",
        "c.jpg",
    )
    found = read_reid_set(tmp_path)
    assert rows(found.train) == [("b.jpg", 2, 2), ("a.jpg", 1, 1), ("c.jpg", 2, 1)]
    csv_set(tmp_path, "path,id,camera,split\na.jpg,0,x,gallery\nb.jpg,-1,x,gallery\nc.jpg,eve,x,gallery\n")
    assert [row[1] for row in rows(read_reid_set(tmp_path).gallery)] == [0, -1, 1]


def test_csv_that_counts_from_0(tmp_path: Path) -> None:
    csv_set(tmp_path, "path,id,camera\na.jpg,0,0\nb.jpg,1,0\n", "a.jpg", "b.jpg")
    assert [row[1:] for row in rows(read_reid_set(tmp_path).train)] == [(1, 0), (2, 0)]


def test_csv_with_a_missing_file(tmp_path: Path) -> None:
    csv_set(tmp_path, "path,id,camera\na.jpg,1,1\nb.jpg,2,1\n", "a.jpg")
    found = read_reid_set(tmp_path)
    assert sizes(found) == [1, None, None]
    assert any(note.endswith("b.jpg: is listed, but not there") for note in found.notes)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"no images for train .*a\.jpg: is listed, but not there"):
        read_reid_set(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,1", "line 2: expected 4 columns, got 2"),
        (
            "a.jpg,1,1,test",
            "expected a path, an id, a camera and a split of train, query, gallery, got 'a.jpg,1,1,test'",
        ),
        ("a.jpg,,1,train", "line 2: expected a path, an id"),
    ],
)
def test_csv_with_a_bad_line(tmp_path: Path, line: str, message: str) -> None:
    csv_set(tmp_path, f"path,id,camera,split\n{line}\n", "a.jpg")
    with pytest.raises(InputError, match=re.escape(message)):
        read_reid_set(tmp_path)


def test_csv_that_is_not_ours(tmp_path: Path) -> None:
    csv_set(tmp_path, "path,person\na.jpg,1\n", "a.jpg")
    with pytest.raises(InputError, match=r"looked for .* a CSV file with the columns path,id,camera"):
        read_reid_set(tmp_path)
    (tmp_path / "images.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"images\.csv: not a text file"):
        read_reid_set(tmp_path)


# ---- counts and warnings


def small_official(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Market-1501 were the one of `MARKET`: 2, 1 and 3 images, one of them junk."""
    counts = {"train": (2, 1), "query": (1, 1), "gallery": (3, 1)}
    monkeypatch.setitem(data.OFFICIAL, "Market-1501", counts)
    monkeypatch.setitem(data.OFFICIAL, "Market-1501 without junk", counts | {"gallery": (2, 1)})


def test_official_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_official(monkeypatch)
    market(tmp_path / "x", "train", "query", "test")
    found = read_reid_set(tmp_path / "x")
    assert (found.name, found.notes[0]) == ("Market-1501", "Market-1501: complete, as published")
    (tmp_path / "x/test/-1_c2s1_000401_03.jpg").unlink()
    found = read_reid_set(tmp_path / "x")
    assert found.name == "Market-1501"
    assert (
        found.notes[0] == "Market-1501 without junk: complete, as published (scores are the same with junk)"
    )
    (tmp_path / "x/test/0000_c6s3_094992_01.jpg").unlink()
    found = read_reid_set(tmp_path / "x")
    assert found.name == "x"
    assert found.notes[0] == (
        "x: not the official Market-1501, do not compare scores: gallery 1 of 3 images, 1 of 1 people"
    )
    assert read_reid_set(tmp_path / "x", parts=["train", "query"]).name == "Market-1501"


def test_official_figures() -> None:
    """13,115 true + 2,798 distractors + 3,819 junk."""
    assert data.OFFICIAL["Market-1501"]["gallery"][0] == 13115 + 2798 + 3819
    assert data.OFFICIAL["Market-1501 without junk"]["gallery"][0] == 13115 + 2798


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["train/1_1_a.jpg", "train/1_2_a.jpg", "train/2_1_a.jpg"], "train: 1 people have one image only"),
        (["train/1_1_a.jpg", "train/1_1_b.jpg"], "train: one camera only"),
        (
            ["query/1_1_a.jpg", "gallery/1_1_b.jpg"],
            "no query has a match by another camera: rank-k and mAP are und",
        ),
        (
            ["query/1_1_a.jpg", "query/2_1_a.jpg", "gallery/1_2_b.jpg"],
            "1 of 2 queries have no match by another",
        ),
        (
            ["train/1_1_a.jpg", "query/1_2_a.jpg", "gallery/2_1_a.jpg"],
            "1 people are in train and in query or gal",
        ),
    ],
)
def test_warnings(tmp_path: Path, names: list[str], note: str) -> None:
    notes = read_reid_set(touch(tmp_path, *names)).notes
    assert [line for line in notes if line.startswith(note)], notes


def test_queries_of_one_a_camera_are_no_frames(tmp_path: Path) -> None:
    """As Market-1501's: three cameras, one query of each; the gallery has them twice."""
    cameras = [f"{{}}/{person}_{camera}_{{}}.jpg" for person in (1, 2) for camera in (1, 2, 3)]
    names = [name.format("query", "a") for name in cameras]
    names += [name.format("gallery", k) for name in cameras for k in "bc"]
    assert not any("hardly" in note for note in read_reid_set(touch(tmp_path / "a", *names)).notes)
    once = [name for name in names if not name.endswith("c.jpg")]
    (note,) = (note for note in read_reid_set(touch(tmp_path / "b", *once)).notes if "hardly" in note)
    assert note.startswith("as many cameras as images a person (query 3, gallery 3): ")


def test_a_good_set_has_no_warnings(tmp_path: Path) -> None:
    names = [
        f"{part}_{c}_{k}.jpg"
        for part in ("train/1", "train/2", "query/3", "gallery/3")
        for c in (1, 2)
        for k in "ab"
    ]
    assert read_reid_set(touch(tmp_path, *names)).notes == (
        f"{tmp_path.name}: a set without official counts",
        "train: 8 images, 2 people, 2 cameras",
        "query: 4 images, 1 people, 2 cameras",
        "gallery: 4 images, 1 people, 2 cameras",
    )


def test_files_that_cannot_be_used_are_counted_and_named(tmp_path: Path) -> None:
    market(tmp_path, "train", "query", "test")
    touch(tmp_path / "train", *(f"photo{k:02}.jpg" for k in range(data.NAMED + 3)))
    notes = read_reid_set(tmp_path).notes
    assert "23 files left out (23 expected a name like 0002_c1s1_000451_03.jpg):" in notes
    assert sum("photo" in note for note in notes) == data.NAMED
    assert "  ... and 3 more" in notes
    with pytest.raises(InputError, match=r"photo00\.jpg: expected a name like 0002_c1s1.*\(23 such files\)"):
        read_reid_set(tmp_path, strict=True)


def test_has_match_equals_the_slow_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        sizes_ = random.integers(0, 8, 2)
        query, gallery = (
            ReidImages(
                tuple(Path("x") for _ in range(n)), random.integers(low, 4, n), random.integers(0, 3, n)
            )
            for n, low in zip(sizes_, (1, -1), strict=True)
        )
        slow = [
            any(i == j and c != d for j, d in zip(gallery.ids, gallery.cameras, strict=True))
            for i, c in zip(query.ids, query.cameras, strict=True)
        ]
        assert has_match(query, gallery).tolist() == slow


def test_take() -> None:
    images = ReidImages((Path("a"), Path("b"), Path("c")), np.array([1, 2, 3]), np.array([0, 1, 0]))
    for choice in (np.array([2, 0]), np.array([False, True, False]), np.zeros(0, np.int64)):
        taken = images.take(choice)
        assert taken.ids.tolist() == images.ids[choice].tolist()
        assert [str(path) for path in taken.paths] == ["abc"[i - 1] for i in taken.ids]


# ---- wrong folders


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "found an empty folder"),
        (["a.txt", ".hidden", "b.txt"], r"found 2 entries \(a.txt, b.txt\)"),
        (["cuhk-03.mat"], "a .mat of CUHK03 must be unpacked first"),
        (["train/0000/0000_000_01_0303morning_0008_0.jpg"], "MSMT17's images: put its list_train.txt"),
        (["a/query/1_c1.jpg", "b/query/1_c1.jpg"], r"holds 2 data sets \(a, b\); give one of them"),
        (
            ["query/"],
            r"found 1 entries \(query\); looked for train/, query/, gallery/ .*; a CSV file .*; and csv, msmt17",
        ),
    ],
)
def test_not_a_reid_set(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            touch(tmp_path, name)
    with pytest.raises(InputError, match=message) as caught:
        read_reid_set(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_part_instead_of_the_set(tmp_path: Path) -> None:
    market(tmp_path, "bounding_box_train", "query", "bounding_box_test")
    with pytest.raises(InputError, match=rf"is it the folder above, {re.escape(str(tmp_path))}\?"):
        read_reid_set(tmp_path / "query")


def test_what_the_caller_can_get_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; expected a ReID data set"):
        read_reid_set(tmp_path / "nowhere")
    with pytest.raises(InputError, match="unknown layout 'markt'; did you mean 'market'"):
        read_reid_set(tmp_path, "markt")
    for wrong in (["tets"], []):
        with pytest.raises(InputError, match="parts must be some of train, query, gallery"):
            read_reid_set(tmp_path, parts=wrong)
    market(tmp_path, "train", "query", "test")
    with pytest.raises(
        InputError, match=r"found 3 entries .*; looked for MSMT17's list_train\.txt, list_query\.txt"
    ):
        read_reid_set(tmp_path, "msmt17")
    with pytest.raises(InputError, match="found a file"):
        read_reid_set(tmp_path / "train" / MARKET["train"][0])
