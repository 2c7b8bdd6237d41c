"""People cut out of MOTChallenge ground truth or results: the crops, and the list that says whose they are."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.configs.files import atomic_folder
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import (
    SequenceInfo,
    as_ground_truth,
    read_ground_truth,
    read_sequence_info,
)
from retrace.tracker.outputs.crop_choice import PARTS, CropFilter, Crops, choose
from retrace.tracker.run.manifest import expect_to_reach, results_of
from retrace.tracker.sources import Source, open_source

DETECTOR = re.compile(r"-(DPM|FRCNN|SDP)$")  # MOT17 has every sequence three times
QUALITY = 95  # of the JPEGs
COLUMNS = ("path", "id", "camera", "split", "frame", "visibility")
Bar = Callable[[str, int], AbstractContextManager[Callable[[int, int], None]]]  # title, total: done, total


def no_bar(title: str, total: int) -> AbstractContextManager[Callable[[int, int], None]]:
    return nullcontext(lambda done, total: None)


def cut_crops(
    sequences: Iterable[str | Path],
    out: str | Path,
    wish: CropFilter | None = None,
    video: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
    bar: Bar = no_bar,
) -> None:
    """Write the crops and OUT/images.csv, which names them; tools/mot_crops.py tells the rules.

    Args:
        sequences: sequence folders (gt/gt.txt, seqinfo.ini), folders of them, or a tracker's results, NAME.txt.
        out: must not be there yet; it appears when all is written.
        wish: which boxes; default: as the class has it.
        video: frames of a sequence without img1/, and of results, by name.
        say: told a line a sequence.
        bar: (title, total) -> a context that gives a function (done, total).

    Raises:
        InputError: something is missing or not as it should be, or no crop is left.
    """
    wish, out = wish or CropFilter(), Path(out)
    if out.exists():
        raise InputError(f"`out` {out}: is already there; remove it, or choose another name")
    opened = open_sequences(sequence_folders(sequences), video or {}, say)
    with atomic_folder(out) as partial:
        rows = [
            row for folder, source in opened for row in cut_sequence(folder, source, wish, partial, say, bar)
        ]
        if not rows:
            raise InputError(
                f"no crop is left of {len(opened)} sequence(s); "
                "try a smaller `min_height`, `min_visibility` or `every`"
            )
        with open(partial / "images.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        about = {"sequences": [folder.name for folder, _ in opened], **asdict(wish)}
        (partial / "crops.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def sequence_folders(given: Iterable[str | Path]) -> list[Path]:
    """The sequence folders that are given or lie in a given folder, and the results, by name; one of MOT17's copies.

    Raises:
        InputError: a folder that is none or holds none, two of one name.
    """
    found: dict[str, Path] = {}
    for folder in map(Path, given):
        if folder.is_file():
            if found.setdefault(folder.stem, folder).resolve() != folder.resolve():
                raise InputError(f"{found[folder.stem]} and {folder}: two sequences of one name; rename one")
            continue
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder; expected a MOTChallenge sequence, a folder of them, or results as a file"
            )
        inside = [folder] if (folder / "gt").is_dir() else sorted(folder.iterdir())
        inside = [place for place in inside if (place / "gt" / "gt.txt").is_file()]
        if not inside:
            raise InputError(f"{folder}: no gt/gt.txt in it, nor in its sub folders")
        for place in inside:
            name = DETECTOR.sub("", place.resolve().name)
            known = found.setdefault(name, place)
            if known.resolve() != place.resolve() and known.resolve().name == place.resolve().name:
                raise InputError(f"{known} and {place}: two sequences of one name; rename one")
    return [found[name] for name in sorted(found)]


def open_sequences(
    folders: list[Path], files: Mapping[str, str], say: Callable[[str], None]
) -> list[tuple[Path, Source]]:
    """Sequences and their frames; those without frames are left out, with a line.

    Raises:
        InputError: none has frames, or a file of frames is for no sequence or no file.
    """
    names = [_name(folder) for folder in folders]
    for name in files:
        if name not in names:
            raise InputError(f"`video` {name}: no such sequence; {nearest(name, names)}")
    opened, bare = [], []
    for folder, name in zip(folders, names, strict=True):
        if folder.is_file() and name not in files:
            raise InputError(f"{folder}: results hold no pictures; give them: `video` {name}=FILE")
        source = open_source(files.get(name, folder))
        if source.live:
            raise InputError(f"`video` {name}={files[name]}: expected a file or folder, not a live stream")
        if source.has_images:
            opened.append((folder, source))
        else:
            bare.append(name)
    if not opened:
        raise InputError(f"{bare[0]}: no img1/ with its frames; give them: `video` {bare[0]}=FILE")
    for name in bare:
        say(f"{name}: left out, no img1/ with its frames, and no video of it")
    return opened


def cut_sequence(
    folder: Path, source: Source, wish: CropFilter, out: Path, say: Callable[[str], None], bar: Bar
) -> list[tuple]:
    """Write the crops of one sequence into ``out``; the rows of images.csv.

    Raises:
        InputError: ground truth or a picture that cannot be read, results of another video, a crop that cannot be
            written.
    """
    table, info = _table(folder, source)
    name = DETECTOR.sub("", _name(folder))
    crops, frames = choose(table, info, wish), int(table.frame.max(initial=-1)) + 1
    rows = []
    for k, image in _images(crops, source, info, folder, frames, bar):
        part, person = PARTS[crops.part[k]], int(crops.id[k])
        path = Path(part, name, f"{person:06d}_{crops.frame[k] + 1:06d}.jpg")
        camera = name if part == "train" else f"{name}/{'late' if crops.late[k] else 'early'}"
        _write(out / path, image)
        seen = f"{crops.visibility[k]:.2f}"
        rows.append((path.as_posix(), f"{name}/{person}", camera, part, int(crops.frame[k]) + 1, seen))
    count = Counter(row[3] for row in rows)
    people = {
        side: len({row[1] for row in rows if (row[3] == "train") == (side == "train")}) for side in PARTS[:2]
    }
    line = f"{name}: train {count['train']} crops of {people['train']} people, query {count['query']} and "
    line += f"gallery {count['gallery']} of {people['query']}"
    lost = len(crops.frame) - len(rows)
    say(line + (f"; {lost} crops lost, their frames cannot be read" if lost else ""))
    return sorted(rows, key=lambda row: (PARTS.index(row[3]), row[0]))


def _name(place: Path) -> str:
    """Of a sequence folder, or of results."""
    return place.stem if place.is_file() else place.resolve().name


def _table(place: Path, source: Source) -> tuple[MotTable, SequenceInfo]:
    """The people of a sequence folder, or of results beside their video."""
    if not place.is_file():
        return read_ground_truth(place / "gt" / "gt.txt"), read_sequence_info(place)
    table = as_ground_truth(results_of(source, place))
    height, width = source.size or (0, 0)
    length = max(source.length or 0, int(table.frame.max(initial=-1)) + 1)  # a container's may be an estimate
    return table, SequenceInfo(place.stem, source.fps, length, width, height)


def _images(
    crops: Crops, source: Source, info: SequenceInfo, place: Path, frames: int, bar: Bar
) -> Iterator[tuple[int, np.ndarray]]:
    """The pixels of each crop whose frame can be read: its number and (h, w, 3) uint8 BGR.

    Raises:
        InputError: frames of another size, or, of results, fewer than ``frames``, to which they go on.
    """
    if not len(crops.frame):
        return
    name, read = DETECTOR.sub("", _name(place)), 0
    # whether results are of this video is told at its end
    total = frames if place.is_file() else int(crops.frame[-1]) + 1
    cuts = np.searchsorted(crops.frame, np.arange(total + 1))
    with bar(name, total) as done:
        for frame in source.frames():
            if frame.index >= len(cuts) - 1:
                break
            read = frame.index + 1
            done(read, total)
            rows = range(cuts[frame.index], cuts[frame.index + 1])
            if not rows or frame.image is None:
                continue
            height, width = frame.image.shape[:2]
            if (height, width) != (info.height, info.width):
                raise InputError(
                    f"{name}: frame {frame.index + 1} is {width}x{height}, seqinfo.ini says "
                    f"{info.width}x{info.height}; are these the sequence's frames?"
                )
            for k in rows:
                x1, y1, x2, y2 = crops.xyxy[k]
                yield k, frame.image[y1:y2, x1:x2]
    if place.is_file():  # a sequence whose last pictures are broken is no other sequence
        expect_to_reach(source, read, place, total)


def _write(path: Path, image: np.ndarray) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    path.write_bytes(data.tobytes())  # unlike cv2.imwrite it says what went wrong
