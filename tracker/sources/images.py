"""Pictures in a folder: image folders and MOTChallenge sequences, one file a frame."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import IMAGE_ENDINGS, read_image, reading
from retrace.tracker.data import Frame
from retrace.tracker.mot_file import SequenceInfo, read_sequence_info
from retrace.tracker.sources.cv2_log import quiet_cv2
from retrace.tracker.sources.pixels import FULL, Levels, eight_bits, levels_of
from retrace.tracker.sources.source import DEFAULT_FPS, Source

LEVEL_SAMPLES = 16  # deep images that tell the range of a whole folder
NAMED = 3  # files that a message names


@dataclass(frozen=True, slots=True)
class _Files:
    """The images of a source, one place a frame, and how they are read."""

    paths: Sequence[Path | None]  # None: there is no image of that frame
    fps: float
    levels: Levels  # of images of more than eight bits


def folder_source(folder: Path, fps: float | None) -> Source:
    """The MOTChallenge sequence or the images that are in ``folder``.

    Raises:
        InputError: neither is there, none of the images can be read, or the images do not fit
            ``seqinfo.ini``; ``fps`` is given for a sequence, which has its own.
    """
    name = folder.resolve().name or "images"
    sequence = folder if (folder / "seqinfo.ini").is_file() else None
    if sequence is None and folder.resolve().name == "img1" and (folder.parent / "seqinfo.ini").is_file():
        sequence, name = folder.parent, folder.resolve().parent.name
    if sequence is not None:
        if fps is not None:
            raise InputError(f"{sequence}: seqinfo.ini says the rate, so fps does nothing; leave it out")
        return _sequence_source(sequence, name)
    paths, noticed = _images(folder)
    if not paths:
        hint = f"; give {folder / 'img1'}, or add seqinfo.ini" if (folder / "img1").is_dir() else ""
        raise InputError(f"{folder}: no images ({', '.join(IMAGE_ENDINGS)}) and no seqinfo.ini in it{hint}")
    strange = _strange_names(paths)
    if strange:
        noticed.append(
            f"{folder}: {_some(strange)} outside the numbering of the others, taken for frames all the same"
        )
    return _pictured(folder, name, _Files(paths, fps or DEFAULT_FPS, FULL), noticed)


def _sequence_source(folder: Path, name: str) -> Source:
    """``seqinfo.ini`` says length and rate; images are optional, found by the number in their name."""
    info = read_sequence_info(folder)
    images = folder / info.image_folder
    if not images.is_dir():
        size, read = (info.height, info.width), partial(_bare_frames, info.length)
        return Source(name, info.fps, size, info.length, False, read, has_images=False, folder=folder)
    found, noticed = _images(images)
    if not found:
        raise InputError(
            f"{images}: no images in it; fill or remove it (without, frames come from seqinfo.ini)"
        )
    paths, said = place_by_number(images, found, info)
    source = _pictured(images, name, _Files(paths, info.fps, FULL), noticed + said)
    if source.size != (info.height, info.width):
        told = f"{images}: images are {source.size[1]}x{source.size[0]}" if source.size else ""
        source = replace(
            source, noticed=(*source.noticed, f"{told}, seqinfo.ini says {info.width}x{info.height}")
        )
    return replace(source, folder=folder)


def place_by_number(
    folder: Path, found: Sequence[Path], info: SequenceInfo
) -> tuple[list[Path | None], list[str]]:
    """Which image belongs to which frame of a sequence, and what is to be said of it, a line each.

    The number in an image's name is its frame, from 1, or from 0 where there is a 0. Where all numbers lie
    behind the end, or are as many as the frames without a gap, the first one is frame 1. Images without a
    number beside numbered ones are left out; where none has one, they are the frames in their order.

    Raises:
        InputError: the numbers fit neither way.
    """
    numbered = _numbered(found, info.image_ending)
    kept = {*numbered.values()}
    left = [path for path in found if path not in kept]
    said = [f"{folder}: left out {_some(left)} outside the numbering of the others"] if left else []
    low, high, count = min(numbered), max(numbered), len(numbered)
    first, span = min(1, low), high - low + 1
    if high > info.length and low > 1:
        if low <= info.length and not span == count == info.length:
            raise InputError(
                f"{folder}: images are numbered {low}..{high}, but seqLength is {info.length}; correct seqinfo.ini"
                " or rename the images"
            )
        said.append(f"{folder}: images are numbered {low}..{high}, and taken in their order from frame 1")
        if span <= info.length or span == count:
            first = low
        else:  # timestamps, say: too far apart for frame numbers
            numbered, first = dict(enumerate(numbered.values(), 1)), 1
    paths = [numbered.get(number) for number in range(first, first + info.length)]
    behind = [path for number, path in numbered.items() if number >= first + info.length]
    if behind:
        said.append(f"{folder}: left out {_some(behind)}, behind seqLength {info.length}")
    missing = [index for index, path in enumerate(paths) if path is None]
    if missing:
        said.append(f"{folder}: no image of {len(missing)} frames, first of frame {missing[0] + 1}")
    return paths, said


def _numbered(found: Sequence[Path], ending: str = "") -> dict[int, Path]:
    """Images by the number that ends their names, ascending, if most have one after the same beginning.

    Of two with the same number the one with the ``ending`` counts; without numbers they are counted from 1.
    """
    groups: dict[str, dict[int, Path]] = {}
    for path in found:
        if name := re.fullmatch(r"(.*?)([0-9]{1,18})", path.stem):
            group, number = groups.setdefault(name[1].lower(), {}), int(name[2])
            if number not in group or path.suffix == ending:
                group[number] = path
    best = max(groups, key=lambda beginning: (len(groups[beginning]), -len(beginning)), default="")
    numbered = groups.get(best, {})
    if 2 * len(numbered) < len(found):
        return dict(enumerate(found, 1))
    return dict(sorted(numbered.items()))


def _strange_names(paths: Sequence[Path]) -> list[Path]:
    """The few images whose names lack the numbers that nearly all have; none where there is no such rule."""
    kept = {*_numbered(paths).values()}
    strange = [path for path in paths if path not in kept]
    return strange if len(strange) * 10 <= len(paths) else []


def _some(paths: Sequence[Path]) -> str:
    """ "2 images (a.png, b.png)"."""
    names = ", ".join(ascii(path.name)[1:-1][:60] for path in paths[:NAMED])
    return f"{len(paths)} image{'s' * (len(paths) > 1)} ({names}{', ...' * (len(paths) > NAMED)})"


def _pictured(folder: Path, name: str, files: _Files, noticed: list[str]) -> Source:
    """A source of images; the first that can be read tells their size, and some their range if it is deep."""
    present = [path for path in files.paths if path is not None]
    first = next((image for image in map(_read, present) if image is not None), None)
    if first is None:
        raise InputError(f"{folder}: none of its {len(present)} images can be read")
    if first.dtype != np.uint8:
        chosen = present[:: max(1, len(present) // LEVEL_SAMPLES)]
        deep = (image for image in map(_read, chosen) if image is not None and image.dtype != np.uint8)
        low, high = levels_of(deep)
        files = replace(files, levels=(low, high))
        noticed.append(
            f"{folder}: {first.dtype} images, levels {low:.5g}..{high:.5g} are stretched to 0..255"
        )
    read = partial(_frames, files=files)
    size = first.shape[:2]
    return Source(name, files.fps, size, len(files.paths), False, read, noticed=tuple(noticed))


def _frames(source: Source, start: int, *, files: _Files) -> Iterator[Frame]:
    for index in range(start, len(files.paths)):
        path = files.paths[index]
        image = _read(path) if path is not None else None
        if image is not None and image.dtype != np.uint8:
            image = eight_bits(image, files.levels)
        if image is None:
            source.corrupt.append(index)
        else:
            yield Frame(index, index / files.fps, image)


def _bare_frames(length: int, source: Source, start: int) -> Iterator[Frame]:
    for index in range(start, length):
        yield Frame(index, index / source.fps, None)


def _images(folder: Path) -> tuple[list[Path], list[str]]:
    """The image files of a folder in natural order, 2.jpg before 10.jpg, and what was left out, in a line.

    Hidden files are passed over. What is named like an image keeps its place, readable or not.
    """
    with reading(folder):
        names = [path for path in folder.iterdir() if path.name[0] != "."]
    paths = [path for path in names if path.suffix.lower() in IMAGE_ENDINGS]
    others = Counter(
        ascii(path.suffix)[1:-1][:20] or "no ending"
        for path in names
        if path.suffix.lower() not in IMAGE_ENDINGS and not path.is_dir()
    )
    common = sorted(others, key=lambda ending: (-others[ending], ending))
    kinds = ", ".join(f"{others[ending]} {ending}" for ending in common[:NAMED])
    kinds += ", ..." * (len(others) > NAMED)
    said = [f"{folder}: left out {others.total()} files that are no images ({kinds})"] if others else []
    return sorted(paths, key=lambda path: _natural(path.name)), said


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    parts = [p for p in re.split(r"([0-9]{1,18})", name.lower()) if p]
    return [(p[0] not in "0123456789", int(p) if p[0] in "0123456789" else 0, p) for p in parts], name


def _read(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, or (H, W[, 3]) of the file's own type where that has more bits; None: unreadable."""
    with quiet_cv2():
        return read_image(path, deep=True)
