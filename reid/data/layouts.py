"""How ReID sets lie on disk: a folder -> rows (path, id, camera) of train, query and gallery.

Here: what every reader shares, and the sets whose file names say who and where (Market-1501 and what copies it, LTCC,
GRID, names that begin with ``pid_camid``). `reid.data.known` reads the sets that say it with folders, and
`reid.data.listed` those that name their images in a file. Only names are read, no pixels. Nothing is left out
uncounted, and no number is taken for a camera that could as well be something else.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from retrace.configs import InputError
from retrace.configs.errors import system_reason
from retrace.configs.files import IMAGE_ENDINGS

PARTS = ("train", "query", "gallery")
FOLDERS = {  # what the parts are called, best first; train_all is train and val of one re-pack together
    "train": ("bounding_box_train", "train_all", "train"),
    "query": ("query", "probe"),
    "gallery": ("bounding_box_test", "gallery", "test"),
}
UNREAD = (".heic", ".heif", ".jp2", ".jxl", ".psd", ".raw", ".svg", ".tga")  # pictures that we cannot decode
# 0002_c1s1_000451_03.jpg, 0002_c1_f0046182.jpg, 0001_c1_1.png
MARKET_NAME = re.compile(r"(-1|\d{1,9})_c(\d{1,9})")
LTCC_NAME = re.compile(r"(\d{1,9})_\d+_c(\d{1,9})_\d+\.")  # 094_1_c9_015833.png: 1 is the clothes
GRID_NAME = re.compile(r"(\d{4})_([1-8])_\d+(?:_\d+){4}\.")  # 0001_1_25004_107_32_106_221.jpeg
PLAIN_NAME = re.compile(r"(-1|\d{1,9})_(\d{1,9})(?=[_.])")  # 12_3_whatever.jpg
CAMERA_PART = re.compile(r"[_-](?:c|cam|camera)[_-]?\d", re.IGNORECASE)
# 0000_000_01_0303morning_0008_0.jpg: 01 is the camera
MSMT_NAME = re.compile(r"\d+_\d+_(\d{1,9})_\d{4}[a-z]+")
PEEK = 50  # files that tell a layout
DEEP = 8  # folders in folders that are looked into
Row = tuple[Path, int, int]  # path, id (as in `ReidImages`), camera


@dataclass(slots=True)
class FoundImages:
    """What a reader found."""

    rows: dict[str, list[Row]] = field(default_factory=dict)  # by part
    # what should be an image of the set; why not
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # files that are no images, by ending
    notes: list[str] = field(default_factory=list)
    one_numbering: bool = True  # an id means the same person in every part

    def add(self, part: str, file: Path, person: int, camera: int) -> None:
        """A row; one whose file is not there is skipped."""
        if os.path.isfile(file):
            self.rows.setdefault(part, []).append((file, person, camera))
        else:
            self.skipped.append((file, "is listed, but not there"))

    def count_from_one(self) -> None:
        """Where 0 is asked for or trained on it is a person, no distractor: then every id goes up by one.

        Junk (-1) beside it says that the set has the convention of Market-1501, where 0 is nobody.
        """
        asked = [row[1] for part in ("train", "query") for row in self.rows.get(part, ())]
        if 0 in asked and -1 not in asked:
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


def images_below(folder: Path, found: FoundImages | None = None) -> Iterator[Path]:
    """The images of a folder and its sub folders, links followed, in order of their paths.

    What is passed by goes into ``found``: links to nothing, pipes, folders that cannot be read or were read already,
    files that are no images.
    """
    found = found or FoundImages()
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        found.skipped.append((Path(error.filename or folder), f"cannot be read ({system_reason(error)})"))

    for place, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        facts = os.stat(place)
        if (facts.st_dev, facts.st_ino) in seen:  # two links to one folder, or a link back to where it lies
            found.skipped.append((Path(place), "leads to a folder that was read already"))
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        below = sorted(name for name in folders if name[0] != ".")
        if len(Path(place).parts) - len(folder.parts) >= DEEP and below:
            found.skipped.append((Path(place, below[0]), f"lies deeper than {DEEP} folders"))
            below = []
        folders[:] = below
        for name in sorted(names):
            ending = os.path.splitext(name)[1].lower()
            path = Path(place, name)
            if name[0] == ".":
                found.others["hidden"] += 1
            elif ending in UNREAD:
                found.skipped.append((path, f"{ending} is a kind of image that is not read here"))
            elif ending not in IMAGE_ENDINGS:
                found.others[ending or "no ending"] += 1
            elif not os.path.isfile(path):
                kind = "a link to nothing" if os.path.islink(path) else "no plain file"
                found.skipped.append((path, f"is {kind}"))
            else:
                yield path


def names_match(folder: Path, pattern: re.Pattern[str]) -> bool:
    """Whether the first images of any part folder are named so."""
    places = part_folders(folder).values()
    return any(pattern.match(file.name) for place in places for file in islice(images_below(place), PEEK))


def is_market(folder: Path) -> bool:
    return names_match(folder, MARKET_NAME)


def is_ltcc(folder: Path) -> bool:
    return names_match(folder, LTCC_NAME)


def is_grid(folder: Path) -> bool:
    return names_match(folder, GRID_NAME)


def is_plain(folder: Path) -> bool:
    return names_match(folder, PLAIN_NAME) and not names_match(folder, MSMT_NAME)


def _read_named(folder: Path, pattern: re.Pattern[str], example: str) -> FoundImages:
    """Part folders of images whose names begin with id and camera, the two groups of ``pattern``."""
    found = FoundImages()
    for part, place in part_folders(folder).items():
        rows = []
        for file in images_below(place, found):
            match = pattern.match(file.name)
            if match:
                rows.append((file, int(match[1]), int(match[2])))
            else:
                found.skipped.append((file, f"expected a name like {example}"))
        if rows:
            found.rows[part] = rows
        else:
            found.notes.append(f"{place.name}/ holds no image named like {example}")
    found.count_from_one()
    return found


def read_market(folder: Path, split: int) -> FoundImages:
    return _read_named(folder, MARKET_NAME, "0002_c1s1_000451_03.jpg")


def read_ltcc(folder: Path, split: int) -> FoundImages:
    """PERSON_CLOTHES_cCAMERA_FRAME.png (Qian et al. 2020)."""
    found = _read_named(folder, LTCC_NAME, "094_1_c9_015833.png (id, clothes, camera, frame)")
    found.notes.append("LTCC's standard protocol: clothes are not looked at, the same ones may match")
    return found


def read_grid(folder: Path, split: int) -> FoundImages:
    """PERSON_CAMERA_FRAME_X_Y_W_H.jpeg in probe/ and gallery/, 0000 in the gallery nobody (Loy et al. 2013)."""
    return _read_named(folder, GRID_NAME, "0001_1_25004_107_32_106_221.jpeg (id, camera, frame, box)")


def read_plain(folder: Path, split: int) -> FoundImages:
    """ID_CAMERA_anything; refused where the name has a second part that could be the camera.

    Raises:
        InputError: such names.
    """
    found = _read_named(folder, PLAIN_NAME, "12_3_anything.jpg (id, camera)")
    for rows in found.rows.values():
        for file, _, camera in rows:
            odd = CAMERA_PART.search(file.name)
            if odd:
                raise InputError(
                    f"{file}: ambiguous name: the camera could be its second number, {camera} (which may as well be "
                    f"clothes, a sequence or a frame), or {odd[0][1:]}...; say it with a CSV of path,id,camera,split"
                )
    return found


def few(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths[:6]) + (", ..." if len(paths) > 6 else "")
