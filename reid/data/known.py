"""ReID sets that say who and where with folders, or by a convention of their own: each by its name.

Sources: the papers and read-me files of the sets (CUHK01: Li 2012; CUHK03: Li 2014; VIPeR: Gray 2007; PRID 2011:
Hirzer 2011; PRCC: Yang 2019; Occluded-REID, Partial-REID: Zhuo 2018, Zheng 2015).
"""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

from retrace.reid.data.layouts import (
    MSMT_NAME,
    PARTS,
    PEEK,
    FoundImages,
    images_below,
    names_match,
    part_folders,
)

CUHK03_NAME = re.compile(r"(\d{4})_(\d{2})\.\w+$")  # 0000_07.jpg: images 0-4 of a person from camera A, 5-9 B
# 0001003.png: image 3 of 1; 1 and 2 by camera A, 3 and 4 by B
CUHK01_NAME = re.compile(r"(\d{4})(00[1-4])\.\w+$")
PRID_BOTH = 200  # people of PRID 2011 that both cameras saw: 1 to 200
WHOLE, HIDDEN = ("whole_body_images",), ("occluded_body_images", "partial_body_images")
PRCC_CAMERAS = {"A": 1, "B": 2, "C": 3}


def is_cuhk03(folder: Path) -> bool:
    return folder.is_dir() and any(map(CUHK03_NAME.match, os.listdir(folder)))


def read_cuhk03(folder: Path, split: int) -> FoundImages:
    """A flat folder of ``pid_idx.jpg``: query = camera A (idx 0-4), gallery = camera B (idx 5-9)."""
    return _flat(folder, CUHK03_NAME, "0012_07.jpg (id, image)", last_of_a=4, start=1)


def is_cuhk01(folder: Path) -> bool:
    names = [name for name in os.listdir(folder) if name[0].isdigit()] if folder.is_dir() else []
    return bool(names) and all(map(CUHK01_NAME.match, names))


def read_cuhk01(folder: Path, split: int) -> FoundImages:
    """A flat folder of 7 digits: query = camera A (images 1 and 2), gallery = camera B (3 and 4)."""
    return _flat(folder, CUHK01_NAME, "0001003.png (id, image)", last_of_a=2, start=0)


def _flat(folder: Path, pattern: re.Pattern[str], example: str, last_of_a: int, start: int) -> FoundImages:
    found = FoundImages()
    for file in images_below(folder, found):
        match = pattern.match(file.name)
        if match is None:
            found.skipped.append((file, f"expected a name like {example}"))
            continue
        camera = int(int(match[2]) > last_of_a)
        found.add(PARTS[1 + camera], file, int(match[1]) + start, camera)
    found.count_from_one()
    return found


def is_viper(folder: Path) -> bool:
    return _two_cameras(folder) and not _person_folders(folder / "cam_a")


def read_viper(folder: Path, split: int) -> FoundImages:
    """cam_a/ (query) and cam_b/ (gallery) of names ID_ANGLE.bmp; ids count from 0."""
    found = FoundImages()
    for camera, (part, name) in enumerate((("query", "cam_a"), ("gallery", "cam_b"))):
        for file in images_below(folder / name, found):
            _add_numbered(found, part, file, file.name, camera, "000_45.bmp (id, angle)")
    found.count_from_one()
    return found


def is_prid(folder: Path) -> bool:
    return _two_cameras(folder / "single_shot") or _two_cameras(folder / "multi_shot")


def read_prid(folder: Path, split: int) -> FoundImages:
    """single_shot/ (else multi_shot/): people 1 to 200 of cam_a are asked for among all of cam_b.

    Other people of cam_b are distractors; those of cam_a have no match and are left out, with a note.
    """
    found, left = FoundImages(), 0
    place = folder / ("single_shot" if _two_cameras(folder / "single_shot") else "multi_shot")
    for camera, (part, name) in enumerate((("query", "cam_a"), ("gallery", "cam_b"))):
        for file in images_below(place / name, found):
            told = file.parent.name if place.name == "multi_shot" else file.name
            match = re.match(r"person_(\d+)", told)
            if match is None:
                found.skipped.append((file, "expected person_0001"))
                continue
            person = int(match[1])
            if person > PRID_BOTH and part == "query":
                left += 1
            else:
                found.add(part, file, person if person <= PRID_BOTH else 0, camera)
    found.notes.append(
        f"PRID 2011, {place.name}: people above {PRID_BOTH} were seen by one camera: distractors in the "
        f"gallery, {left} images of them left out of the query"
    )
    return found


def is_prcc(folder: Path) -> bool:
    return (_prcc(folder) / "test" / "A").is_dir() and (_prcc(folder) / "test" / "C").is_dir()


def read_prcc(folder: Path, split: int) -> FoundImages:
    """rgb/train/ID/ of names A_..., B_..., C_... and rgb/test/{A,B,C}/ID/.

    Gallery: camera A; query: camera C, where clothes have changed. B (the same clothes) is left out, with a note.
    """
    found, place, unused = FoundImages(), _prcc(folder), 0
    for file in images_below(place / "train", found):
        camera = PRCC_CAMERAS.get(file.name[0])
        if camera is None or not file.parent.name.isdecimal():
            found.skipped.append((file, "expected ID/A_cropped_rgb001.jpg"))
        else:
            found.add("train", file, int(file.parent.name), camera)
    for name, part in (("C", "query"), ("A", "gallery")):
        for file in images_below(place / "test" / name, found):
            if file.parent.name.isdecimal():
                found.add(part, file, int(file.parent.name), PRCC_CAMERAS[name])
            else:
                found.skipped.append((file, f"expected test/{name}/ID/"))
    if (place / "test" / "B").is_dir():
        unused = sum(1 for _ in images_below(place / "test" / "B"))
    found.notes.append(f"PRCC, clothes changed: query is camera C, gallery camera A; {unused} of B left out")
    return found


def is_occluded(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in WHOLE) and any(
        (folder / name).is_dir() for name in HIDDEN
    )


def read_occluded(folder: Path, split: int) -> FoundImages:
    """Occluded-REID and Partial-REID: hidden bodies are asked for among whole ones; names or folders begin with the id.

    Cameras are not told: hidden and whole count as one each, so that nothing is dropped.
    """
    found = FoundImages()
    for camera, (part, names) in enumerate((("query", HIDDEN), ("gallery", WHOLE))):
        place = next(folder / name for name in names if (folder / name).is_dir())
        for file in images_below(place, found):
            _add_numbered(found, part, file, file.name, camera, "001_01.tif (id, image)")
    found.count_from_one()
    found.notes.append("cameras are not told: query counts as one, gallery as another")
    return found


def is_folders(folder: Path) -> bool:
    """Part folders whose images all lie in folders, a folder a person."""
    places = part_folders(folder).values()
    msmt = names_match(folder, MSMT_NAME)  # without its lists
    return bool(places) and not msmt and all(_person_folders(place) for place in places)


def read_folders(folder: Path, split: int) -> FoundImages:
    """part/PERSON/image: the folder's name is the identity, which any file name may lie in.

    Cameras are not told: query counts as one, gallery as another, so that nothing is dropped.
    """
    found = FoundImages()
    files = {part: list(images_below(place, found)) for part, place in part_folders(folder).items()}
    places = part_folders(folder)
    names = {file.relative_to(places[part]).parts[0] for part in files for file in files[part]}
    numbers = {name: number for number, name in enumerate(sorted(names), 1)}
    if all(re.fullmatch(r"-1|\d{1,9}", name) for name in names):
        numbers = {name: int(name) for name in names}
    for part, images in files.items():
        for file in images:
            inside = file.relative_to(places[part])
            if len(inside.parts) < 2:
                found.skipped.append((file, "lies in no folder of a person"))
            else:
                found.add(part, file, numbers[inside.parts[0]], int(part == "gallery"))
    found.count_from_one()
    told = "cameras are not told: " + (
        "query counts as one, gallery as another" if "query" in files else "all count as one"
    )
    found.notes.append(f"a folder a person; {told}")
    return found


def _add_numbered(found: FoundImages, part: str, file: Path, told: str, camera: int, example: str) -> None:
    match = re.match(r"(\d{1,9})(?=[_.])", told)
    if match is None:
        found.skipped.append((file, f"expected a name like {example}"))
    else:
        found.add(part, file, int(match[1]), camera)


def _two_cameras(folder: Path) -> bool:
    return (folder / "cam_a").is_dir() and (folder / "cam_b").is_dir()


def _person_folders(place: Path) -> bool:
    first = [file.relative_to(place) for file in islice(images_below(place), PEEK)]
    return bool(first) and all(len(file.parts) > 1 for file in first)


def _prcc(folder: Path) -> Path:
    return folder / "rgb" if (folder / "rgb").is_dir() else folder
