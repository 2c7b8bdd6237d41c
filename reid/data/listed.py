"""ReID sets whose images are named in a file: MSMT17's lists, CUHK03's splits as JSON, a CSV of one's own."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.files import reading
from retrace.reid.data.layouts import MSMT_NAME, PARTS, FoundImages, few

MSMT_LISTS = {  # 32,621 training images are train and val together
    "train": ("list_train.txt", "list_val.txt"),
    "query": ("list_query.txt",),
    "gallery": ("list_gallery.txt",),
}
LARGEST = 10**9  # a label's number: more are names
CSV_COLUMNS = ("path", "id", "camera")


def is_msmt17(folder: Path) -> bool:
    return any((folder / name).is_file() for names in MSMT_LISTS.values() for name in names)


def read_msmt17(folder: Path, split: int) -> FoundImages:
    """Lists of ``path id``, beside train/ and test/ (V1) or mask_train_v2/ and mask_test_v2/ (V2).

    Raises:
        InputError: a list without its images, a line that is none, a file that cannot be read.
    """
    found = FoundImages(one_numbering=False)  # train and test count from 0 each
    for part, names in MSMT_LISTS.items():
        half = "train" if part == "train" else "test"
        places = [folder / half, folder / f"mask_{half}_v2"]
        lists = [folder / name for name in names if (folder / name).is_file()]
        place = next((place for place in places if place.is_dir()), None)
        if lists and place is None:
            raise InputError(
                f"{lists[0]}: its images are missing; expected {half}/ or mask_{half}_v2/ beside it"
            )
        for file in lists:
            assert place is not None
            _read_msmt_list(file, place, part, found)
    return found


def _read_msmt_list(file: Path, place: Path, part: str, found: FoundImages) -> None:
    for number, line in enumerate(text_of(file).splitlines(), 1):
        if not line.strip():
            continue
        path, _, person = line.strip().rpartition(" ")
        match = MSMT_NAME.match(Path(path).name)
        if not match or not re.fullmatch(r"\d{1,9}", person, re.ASCII):
            raise InputError(
                f"{file}, line {number}: expected 'PATH ID' with a path like "
                f"0000/0000_000_01_0303morning_0008_0.jpg, got {line[:80]!r}"
            )
        found.add(part, place / path, int(person) + 1, int(match[1]))


def _split_files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder] if folder.suffix.lower() == ".json" else []
    return sorted(folder.glob("splits_*.json"))


def is_cuhk03_json(folder: Path) -> bool:
    return bool(_split_files(folder))


def read_cuhk03_json(folder: Path, split: int) -> FoundImages:
    """CUHK03 as extracted for torchreid: splits_KIND.json, a list of {train, query, gallery: [[path, id, camera]]}.

    The classic protocol has 20 splits. The images lie where the file says, or beside it, in images_detected/
    or images_labeled/.

    Raises:
        InputError: several protocols, no such split, a file that is no such JSON.
    """
    files = _split_files(folder)
    if len(files) > 1:
        raise InputError(f"{folder}: holds {len(files)} protocols ({few(files)}); give one of these files")
    file = files[0]
    try:
        splits: Any = json.loads(text_of(file))
        chosen = splits[split]
        triples = {part: [(str(p), _whole(i), _whole(c)) for p, i, c in chosen[part]] for part in PARTS}
    except IndexError:
        raise InputError(f"{file}: has {len(splits)} splits, counted from 0; there is no {split}") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise InputError(
            f"{file}: expected a list of {{train, query, gallery}}, each of [path, id, camera]"
        ) from None
    found = FoundImages(one_numbering=False)  # training ids are numbered anew
    kind = "images_labeled" if "label" in file.stem else "images_detected"
    for part, rows in triples.items():
        for path, person, camera in rows:
            # Such a file is written with the absolute paths of the machine it was made on.
            given = file.parent / path
            near = file.parent / kind / Path(path).name
            found.add(part, given if os.path.isfile(given) else near, person + 1, camera)
    return found


def _whole(value: Any) -> int:
    number = int(value)
    if not -1 <= number < LARGEST:
        raise ValueError(f"{number} is no label")
    return number


def csv_file(folder: Path) -> Path | None:
    """The one CSV file of a folder that has our columns.

    Raises:
        InputError: there are several.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.csv"))
    good = [file for file in files if file.suffix.lower() == ".csv" and _has_columns(file)]
    if len(good) > 1:
        raise InputError(f"{folder}: holds {len(good)} CSV files of images ({few(good)}); give one of them")
    return good[0] if good else None


def _has_columns(file: Path) -> bool:
    try:
        header = next(csv.reader(io.StringIO(text_of(file), newline="")), [])
    except csv.Error:
        return False
    return {*CSV_COLUMNS} <= {name.strip() for name in header}


def is_csv(folder: Path) -> bool:
    return csv_file(folder) is not None


def read_csv(folder: Path, split: int) -> FoundImages:
    """Columns path (from the file's folder), id, camera[, split: train, query or gallery]; without it, train.

    Ids and cameras are whole numbers (id 0: distractor, -1: junk), or names, which are numbered from 1.

    Raises:
        InputError: no CSV, or a line that does not fit the header.
    """
    file = csv_file(folder)
    assert file is not None
    try:
        lines = list(csv.reader(io.StringIO(text_of(file), newline="")))
    except csv.Error as error:
        raise InputError(f"{file}: not readable as CSV: {error}") from None
    header = [name.strip() for name in lines[0]]
    columns = [header.index(name) for name in CSV_COLUMNS]
    which = header.index("split") if "split" in header else None
    cells: list[tuple[str, str, str, str]] = []
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        if len(line) != len(header):
            raise InputError(f"{file}, line {number}: expected {len(header)} columns, got {len(line)}")
        part = "train" if which is None else line[which].strip()
        path, person, camera = (line[k].strip() for k in columns)
        if part not in PARTS or not (path and person and camera):
            raise InputError(
                f"{file}, line {number}: expected a path, an id, a camera and a split of {', '.join(PARTS)}, "
                f"got {','.join(line)[:80]!r}"
            )
        cells.append((part, path, person, camera))
    found = FoundImages()
    numbers = []
    for name, column in (("ids", 2), ("cameras", 3)):
        labels, note = _numbers(file, name, [row[column] for row in cells])
        numbers.append(labels)
        found.notes += note
    for part, path, person, camera in cells:
        found.add(part, file.parent / path, numbers[0][person], numbers[1][camera])
    found.count_from_one()
    return found


def _numbers(file: Path, name: str, labels: list[str]) -> tuple[dict[str, int], list[str]]:
    """Labels as numbers: their own if all are whole, else from 1 in sorted order (0 and -1 stay); and a note.

    0001, 1 and 1.0 (which pandas makes of whole numbers beside a blank) are one label, whatever the others are.
    """
    plain = {label: _plain(label) for label in dict.fromkeys(labels)}
    broken = next((k for k, label in enumerate(labels) if re.fullmatch(r"-?\d*\.?\d+|nan|NaN", plain[label])
                   and not re.fullmatch(r"-1|\d+", plain[label])), None)  # fmt: skip
    if broken is not None:
        raise InputError(
            f"{file}: {name} has {labels[broken][:40]!r} (data row {broken + 1}); expected whole numbers "
            "from -1, or names"
        )
    twice = len(plain) - len({*plain.values()})
    note = [f"{name}: {twice} labels are spelled in more than one way (0001, 1, 1.0) and taken as one"]
    whole = {label: int(label) for label in {*plain.values()} if re.fullmatch(r"-1|\d{1,9}", label)}
    if len(whole) < len({*plain.values()}):
        names = sorted({*plain.values()} - {"0", "-1"})
        whole = {label: k for label, k in whole.items() if k <= 0} | {
            label: number for number, label in enumerate(names, 1)
        }
    return {label: whole[meant] for label, meant in plain.items()}, note if twice else []


def _plain(label: str) -> str:
    """A whole number without leading zeros and decimals; anything else as it is."""
    match = re.fullmatch(r"(-?)0*(\d+?)(?:\.0*)?", label)
    return label if match is None else ("" if match[2] == "0" else match[1]) + match[2]


def text_of(file: Path) -> str:
    """A text file in UTF-8.

    Raises:
        InputError: it cannot be read, is none, or does not fit into memory.
    """
    try:
        with reading(file):
            return file.read_text(encoding="utf-8-sig")
    except MemoryError:
        raise InputError(f"{file}: does not fit into memory") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: not a text file") from None
