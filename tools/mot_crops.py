"""Cut people out of MOTChallenge ground truth: a ReID set of your own video.

    python tools/mot_crops.py MOT17/train --out crops
    python tools/mot_crops.py MOT15/train/PETS09-S2L1 --video PETS09-S2L1=vtest.avi --out crops

Writes OUT/images.csv (path,id,camera,split,frame,visibility), which train_reid.py and eval_reid.py read with
--data OUT, and the crops it names. A person is SEQUENCE/ID; the three detector copies of a MOT17 sequence count
once. Left out: whatever is no pedestrian or not to be considered, and what the filters below say.

Every sequence is split in time, at --cut of its length, and no person is on both sides:
  train            people first seen before the cut, up to the cut (later images of them are dropped);
                   camera = SEQUENCE
  query, gallery   people first seen after it. Nobody is seen by two cameras here, so the two halves of each
                   person's time in the picture, at least --gap seconds apart, stand for two: camera =
                   SEQUENCE/early and SEQUENCE/late. The middle image of each half is a query, the others are
                   gallery; who is too short for two halves is gallery only, somebody to be confused with.
That asks "is it the same person, a while later, in the same view?": easier than a set of several real
cameras, and what a tracker needs. Somebody who leaves and comes back under a new id counts as two people, and
may then be on both sides of the cut (PETS09-S2L1 has that): where it matters, test on another sequence.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, guarded, say, write_json

if TYPE_CHECKING:
    import numpy as np

    from retrace.tracker.mot_file import SequenceInfo
    from retrace.tracker.outputs.crop_choice import Crops, Wish
    from retrace.tracker.sources import Source

DETECTOR = re.compile(r"-(DPM|FRCNN|SDP)$")  # MOT17 has every sequence three times
QUALITY = 95  # of the JPEGs
COLUMNS = ("path", "id", "camera", "split", "frame", "visibility")


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="mot_crops.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "sequence", nargs="+", help="sequence folder (gt/gt.txt, seqinfo.ini), or a folder of them"
    )
    p.add_argument("--out", required=True, metavar="DIR", help="must not be there yet")
    p.add_argument(
        "--video",
        action="append",
        default=[],
        metavar="SEQUENCE=FILE",
        help="frames, where there is no img1/",
    )
    p.add_argument("--min-visibility", type=float, default=0.3, metavar="SHARE", help="default: 0.3")
    p.add_argument("--min-height", type=float, default=48, metavar="PX", help="default: 48")
    p.add_argument("--every", type=int, default=5, metavar="FRAMES", help="one frame in so many; default: 5")
    p.add_argument("--cut", type=float, default=0.5, metavar="SHARE", help="for training, 0..1; default: 0.5")
    p.add_argument("--gap", type=float, default=1.0, metavar="SECONDS", help="default: 1")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    wish = check(args)
    from retrace.configs import InputError
    from retrace.configs.files import writing

    out = Path(args.out)
    if out.exists():
        raise InputError(f"--out {out}: is already there; remove it, or choose another name")
    sequences = open_sequences(find_sequences(args.sequence), videos(args.video))
    partial = out.with_name(out.name + ".partial")
    try:
        with writing(out):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            rows = [
                row for folder, source in sequences for row in cut_sequence(folder, source, wish, partial)
            ]
            if not rows:
                raise InputError(
                    f"no crop is left of {len(sequences)} sequence(s); "
                    "try a smaller --min-height, --min-visibility or --every"
                )
            with open(partial / "images.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([COLUMNS, *rows])
            names = [folder.name for folder, _ in sequences]
            write_json(partial / "crops.json", {"sequences": names, **asdict(wish)})
            os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    from retrace.reid.data.sets import read_reid_set

    for note in read_reid_set(out, "csv").notes:
        say(note)
    return OK


def check(args: argparse.Namespace) -> Wish:
    """The filters, each in its range."""
    from retrace.configs import InputError
    from retrace.tracker.outputs.crop_choice import Wish

    for name, low, high in (
        ("min_visibility", 0, 1), ("min_height", 0, 1e5), ("every", 1, 1e9), ("cut", 0, 1), ("gap", 0, 1e9),
    ):  # fmt: skip
        value = getattr(args, name)
        if not low <= value <= high:
            raise InputError(f"--{name.replace('_', '-')} {value}: expected a number in {low:g}..{high:g}")
    return Wish(args.min_visibility, args.min_height, args.every, args.cut, args.gap)


def videos(pairs: list[str]) -> dict[str, str]:
    """--video SEQUENCE=FILE, by sequence."""
    from retrace.configs import InputError

    found = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not (name and equals and file):
            raise InputError(f"--video {pair}: expected SEQUENCE=FILE")
        if name in found:
            raise InputError(f"--video {pair}: {name} has a video already")
        found[name] = file
    return found


def find_sequences(given: list[str]) -> list[Path]:
    """The sequence folders that are given or lie in a given folder, by name; one of MOT17's copies."""
    from retrace.configs import InputError

    found: dict[str, Path] = {}
    for folder in map(Path, given):
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder; expected a MOTChallenge sequence, or a folder of them"
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


def open_sequences(folders: list[Path], files: dict[str, str]) -> list[tuple[Path, Source]]:
    """Sequences and their frames; those without frames are left out, with a line."""
    from retrace.configs import InputError
    from retrace.configs.errors import nearest
    from retrace.tracker.sources import open_source

    names = [folder.resolve().name for folder in folders]
    for name in files:
        if name not in names:
            raise InputError(f"--video {name}: no such sequence; {nearest(name, names)}")
    opened, bare = [], []
    for folder, name in zip(folders, names, strict=True):
        source = open_source(files.get(name, folder))
        if source.live:
            raise InputError(f"--video {name}={files[name]}: expected a file or folder, not a live stream")
        if source.has_images:
            opened.append((folder, source))
        else:
            bare.append(name)
    if not opened:
        raise InputError(f"{bare[0]}: no img1/ with its frames; give them: --video {bare[0]}=FILE")
    for name in bare:
        say(f"{name}: left out, no img1/ with its frames (or --video {name}=FILE)")
    return opened


def cut_sequence(folder: Path, source: Source, wish: Wish, out: Path) -> list[tuple]:
    """Write the crops of one sequence into ``out``; the rows of images.csv."""
    from retrace.tracker.mot_file import read_ground_truth, read_sequence_info
    from retrace.tracker.outputs.crop_choice import PARTS, choose

    info = read_sequence_info(folder)
    name = DETECTOR.sub("", folder.resolve().name)
    crops = choose(read_ground_truth(folder / "gt" / "gt.txt"), info, wish)
    rows = []
    for k, image in _images(crops, source, info, name):
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


def _images(crops: Crops, source: Source, info: SequenceInfo, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """The pixels of each crop whose frame can be read: its number and (h, w, 3) uint8 BGR."""
    import numpy as np

    from retrace.configs import InputError
    from retrace.tools.terminal.progress import bar

    if not len(crops.frame):
        return
    cuts = np.searchsorted(crops.frame, np.arange(crops.frame[-1] + 2))
    total = int(crops.frame[-1]) + 1
    with bar(name, total) as done:
        for frame in source.frames():
            if frame.index >= len(cuts) - 1:
                break
            done(frame.index + 1, total)
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


def _write(path: Path, image: np.ndarray) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    path.write_bytes(data.tobytes())  # unlike cv2.imwrite it says what went wrong


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
