"""How ReID sets lie on disk: a folder -> rows (path, id, camera) of train, query and gallery.

Market-1501 and what copies it (CUHK03-NP, DukeMTMC names, re-packs with other folder names),
the flat CUHK03 folder, and names that begin with ``pid_camid``; `reid.listed` reads the sets that name their
images in a file. Only names are read here, no pixels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

PARTS = ("train", "query", "gallery")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm")
FOLDERS = {  # what the parts are called, best first; train_all is train and val of one re-pack together
    "train": ("bounding_box_train", "train_all", "train"),
    "query": ("query", "probe"),
    "gallery": ("bounding_box_test", "gallery", "test"),
}
MARKET_NAME = re.compile(
    r"(-1|\d{1,9})_c(\d{1,9})"
)  # 0002_c1s1_000451_03.jpg, 0002_c1_f0046182.jpg, 0001_c1_1.png
PLAIN_NAME = re.compile(r"(-1|\d{1,9})_(\d{1,9})(?=[_.])")  # 12_3_whatever.jpg
MSMT_NAME = re.compile(
    r"\d+_\d+_(\d{1,9})_\d{4}[a-z]+"
)  # 0000_000_01_0303morning_0008_0.jpg: 01 is the camera
CUHK03_NAME = re.compile(r"(\d{4})_(\d{2})\.\w+$")  # 0000_07.jpg: images 0-4 of a person from camera A, 5-9 B
PEEK = 50  # files that tell a layout
Row = tuple[Path, int, int]  # path, id (as in `ReidImages`), camera


@dataclass(slots=True)
class Found:
    """What a reader found."""

    rows: dict[str, list[Row]] = field(default_factory=dict)  # by part
    skipped: list[str] = field(default_factory=list)  # a line for every file that cannot be used
    notes: list[str] = field(default_factory=list)
    one_numbering: bool = True  # an id means the same person in every part

    def add(self, part: str, file: Path, person: int, camera: int) -> None:
        """A row; one whose file is not there is skipped."""
        if os.path.isfile(file):
            self.rows.setdefault(part, []).append((file, person, camera))
        else:
            self.skipped.append(f"{file}: is listed, but not there")

    def count_from_one(self) -> None:
        """Where 0 is asked for or trained on it is a person, no distractor: then every id goes up by one."""
        if any(row[1] == 0 for part in ("train", "query") for row in self.rows.get(part, ())):
            self.notes.append("ids begin at 0: raised by 1, since 0 stands for distractors")
            self.rows = {
                part: [(file, person + (person >= 0), camera) for file, person, camera in rows]
                for part, rows in self.rows.items()
            }


def part_folders(folder: Path) -> dict[str, Path]:
    """The sub folders that hold train, query and gallery."""
    found = {}
    for part, names in FOLDERS.items():
        name = next((name for name in names if (folder / name).is_dir()), None)
        if name is not None:
            found[part] = folder / name
    return found


def image_files(folder: Path) -> Iterator[Path]:
    """The images of a folder and its sub folders, in order of their paths; hidden ones are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            if name.lower().endswith(ENDINGS) and name[0] != ".":
                yield Path(place, name)


def names_match(folder: Path, pattern: re.Pattern[str]) -> bool:
    """Whether the first images of any part folder are named so."""
    places = part_folders(folder).values()
    return any(pattern.match(file.name) for place in places for file in islice(image_files(place), PEEK))


def is_market(folder: Path) -> bool:
    return names_match(folder, MARKET_NAME)


def is_plain(folder: Path) -> bool:
    return names_match(folder, PLAIN_NAME) and not names_match(folder, MSMT_NAME)


def _read_named(folder: Path, pattern: re.Pattern[str], example: str) -> Found:
    """Part folders of images whose names begin with id and camera, the two groups of ``pattern``."""
    found = Found()
    for part, place in part_folders(folder).items():
        rows = []
        for file in image_files(place):
            match = pattern.match(file.name)
            if match:
                rows.append((file, int(match[1]), int(match[2])))
            else:
                found.skipped.append(f"{file}: expected a name like {example}")
        if rows:
            found.rows[part] = rows
        else:
            found.notes.append(f"{place.name}/ holds no image named like {example}")
    return found


def read_market(folder: Path, split: int) -> Found:
    return _read_named(folder, MARKET_NAME, "0002_c1s1_000451_03.jpg")


def read_plain(folder: Path, split: int) -> Found:
    found = _read_named(folder, PLAIN_NAME, "12_3_anything.jpg (id, camera)")
    found.count_from_one()
    return found


def is_cuhk03(folder: Path) -> bool:
    return folder.is_dir() and any(map(CUHK03_NAME.match, os.listdir(folder)))


def read_cuhk03(folder: Path, split: int) -> Found:
    """A flat folder of ``pid_idx.jpg``: query = camera A (idx 0-4), gallery = camera B (idx 5-9)."""
    found = Found()
    for file in image_files(folder):
        match = CUHK03_NAME.match(file.name)
        if match is None:
            found.skipped.append(f"{file}: expected a name like 0012_07.jpg (id, image)")
            continue
        camera = int(int(match[2]) >= 5)
        found.add(PARTS[1 + camera], file, int(match[1]) + 1, camera)
    return found


def few(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths[:6]) + (", ..." if len(paths) > 6 else "")
