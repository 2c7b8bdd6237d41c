"""Sets of person images: what is in them, read from the layouts in use and checked against official counts.

Sources of the official counts: the papers and read-me files of the sets (Market-1501: Zheng 2015; MSMT17: Wei
2018; DukeMTMC-reID: Zheng 2017; CUHK03-NP: Zhong 2017).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.configs.files import reading
from retrace.reid.data import known, layouts, listed
from retrace.reid.data.layouts import FOLDERS, MSMT_NAME, PARTS, FoundImages, Row, few, names_match

__all__ = ["PARTS", "ReidImages", "ReidSet", "read_reid_set"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to lie on disk."""

    fits: Callable[[Path], bool]  # cheap: is the folder laid out so?
    read: Callable[[Path, int], FoundImages]  # the folder, and which split where there are several
    looks_like: str


LAYOUTS = {  # in the order in which "auto" asks
    "csv": Layout(listed.is_csv, listed.read_csv, "a CSV file with the columns path,id,camera[,split]"),
    "msmt17": Layout(listed.is_msmt17, listed.read_msmt17, "MSMT17's list_train.txt, list_query.txt ..."),
    "cuhk03-json": Layout(listed.is_cuhk03_json, listed.read_cuhk03_json, "CUHK03's splits_*.json"),
    "ltcc": Layout(layouts.is_ltcc, layouts.read_ltcc, "LTCC's names like 094_1_c9_015833.png"),
    "market": Layout(
        layouts.is_market,
        layouts.read_market,
        "train/ (bounding_box_train/), query/, gallery/ (bounding_box_test/, test/) of names like 0002_c1s1_...jpg",
    ),
    "viper": Layout(known.is_viper, known.read_viper, "VIPeR's cam_a/, cam_b/"),
    "prid": Layout(known.is_prid, known.read_prid, "PRID 2011's single_shot/cam_a/ ..."),
    "prcc": Layout(known.is_prcc, known.read_prcc, "PRCC's rgb/train/, rgb/test/A/, rgb/test/C/"),
    "occluded-reid": Layout(
        known.is_occluded,
        known.read_occluded,
        "Occluded-REID's occluded_body_images/, whole_body_images/",
    ),
    "grid": Layout(layouts.is_grid, layouts.read_grid, "GRID's probe/, gallery/"),
    "plain": Layout(
        layouts.is_plain,
        layouts.read_plain,
        "such folders of names like 12_3_...jpg (id, camera)",
    ),
    "folders": Layout(known.is_folders, known.read_folders, "such folders with a folder a person"),
    "cuhk01": Layout(known.is_cuhk01, known.read_cuhk01, "CUHK01's flat folder of names like 0001003.png"),
    "cuhk03": Layout(
        known.is_cuhk03, known.read_cuhk03, "CUHK03's flat folder of names like 0012_07.jpg (id, image)"
    ),
}
SHORTLY = (
    "train/, query/, gallery/ (or Market-1501's folders) of names like 0002_c1s1_...jpg or 12_3_...jpg (id, camera), "
    "or with a folder a person; a CSV file with the columns path,id,camera[,split]"
)
NAMED = 20  # files that a note names one by one
Counts = dict[str, tuple[int, int]]  # part: images, identities
OFFICIAL: dict[str, Counts] = {
    "Market-1501": {"train": (12936, 751), "query": (3368, 750), "gallery": (19732, 750)},
    "Market-1501 without junk": {"train": (12936, 751), "query": (3368, 750), "gallery": (15913, 750)},
    "DukeMTMC-reID": {"train": (16522, 702), "query": (2228, 702), "gallery": (17661, 1110)},
    "CUHK03-NP detected": {"train": (7365, 767), "query": (1400, 700), "gallery": (5332, 700)},
    "CUHK03-NP labeled": {"train": (7368, 767), "query": (1400, 700), "gallery": (5328, 700)},
    "MSMT17": {"train": (32621, 1041), "query": (11659, 3060), "gallery": (82161, 3060)},
}
SIGNS = {  # file names that tell of which official set a Market-like folder is a part
    "Market-1501": re.compile(r"(-1|\d{4})_c\ds\d_\d{6}_\d\d"),
    "DukeMTMC-reID": re.compile(r"\d{4}_c\d_f\d{7}"),
    "CUHK03-NP detected": re.compile(r"\d{4}_c[12]_\d+\.png"),
    "MSMT17": re.compile(r"\d{4}_\d{3}_\d\d_\d{4}[a-z]+"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ReidImages:
    """N images of people.

    Attributes:
        paths: of the files.
        ids: (N,) int64. From 1: an identity as the files name it (layouts that count from 0: plus 1);
            0: a distractor, a gallery image of nobody who is asked for; -1: junk, not ranked at all.
        cameras: (N,) int64, from 0 or 1 as the files say; the same number is the same camera.
    """

    paths: tuple[Path, ...]
    ids: np.ndarray
    cameras: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: np.ndarray) -> ReidImages:
        """The images of an index (n,) or a mask (N,)."""
        index = np.arange(len(self))[rows]
        return ReidImages(tuple(self.paths[k] for k in index), self.ids[index], self.cameras[index])


@dataclass(frozen=True, slots=True, eq=False)
class ReidSet:
    """A data set; a part that was not asked for, or that the folder does not have, is None."""

    name: str  # an official set's only if the counts are; else the folder's
    train: ReidImages | None  # identities only
    query: ReidImages | None  # identities only
    gallery: ReidImages | None
    notes: tuple[str, ...]  # a line each, for a tool to print: counts, what was left out, what is unusual
    place: Path  # its folder or file


def read_reid_set(
    folder: str | Path,
    layout: str = "auto",
    *,
    parts: Sequence[str] = PARTS,
    need: Sequence[str] = (),
    split: int = 0,
    strict: bool = False,
) -> ReidSet:
    """Read the names (not the pixels) of a data set; images come in order of their paths or their list.

    Args:
        folder: of the set, or the folder above it; or a CSV or splits_*.json file.
        layout: "auto", or a key of `LAYOUTS`.
        parts: of train, query, gallery: what to return.
        need: parts without which there is no point.
        split: which one, where the layout has several (CUHK03's classic protocol: 0..19).
        strict: a file that cannot be used is an error, not a note.

    Raises:
        InputError: no such folder, nothing in it that is known, no images, a needed part is missing.
    """
    folder = Path(folder)
    if layout != "auto" and layout not in LAYOUTS:
        raise InputError(f"unknown layout {layout!r}; {nearest(layout, ['auto', *LAYOUTS])}")
    parts = [*parts, *need]
    if not parts or not {*parts} <= {*PARTS}:
        raise InputError(f"parts must be some of {', '.join(PARTS)}, got {', '.join(parts) or 'none'}")
    with reading(folder, inside=True):
        if not folder.exists():
            raise InputError(f"{folder}: no such folder; expected a ReID data set, such as Market-1501")
        kind, place = locate(folder, layout)
        found = LAYOUTS[kind].read(place, split)
    return _finish(place, found, parts, need, strict)


def _finish(
    place: Path, found: FoundImages, parts: Sequence[str], need: Sequence[str], strict: bool
) -> ReidSet:
    """Rows as arrays, checked, with the notes."""
    if found.skipped and strict:
        count, (file, why) = len(found.skipped), found.skipped[0]
        raise InputError(f"{file}: {why} ({count} such files); remove them, or read without strict")
    notes = list(found.notes)
    images: dict[str, ReidImages] = {}
    for part in PARTS:
        if part not in parts or part not in found.rows:
            continue
        read = _arrays(found.rows[part])
        people = read.take(read.ids > 0) if part != "gallery" else read
        if len(people) < len(read):
            notes.append(f"{part}: {len(read) - len(people)} distractor or junk images left out")
        if len(people):
            images[part] = people
    missing = [part for part in (need if images else need or parts) if part not in images]
    if missing:
        first = f"{found.skipped[0][0]}: {found.skipped[0][1]}" if found.skipped else "".join(found.notes[:1])
        reason = f"; {first}" if first else _others_line(found.others, "; there are ")
        has = f"only {', '.join(images)}" if images else "none of " + ", ".join(parts)
        raise InputError(f"{place}: no images for {missing[0]} (there is {has}){reason}")
    name, verdict = _compare(place, images)
    lines = [verdict, *(_count_line(part, part_images) for part, part_images in images.items())]
    others = _others_line(found.others, "left out: ")
    lines += [*notes, *_skipped_lines(found.skipped), *([others] if others else [])]
    lines += _warnings(images, found.one_numbering)
    train, query, gallery = (images.get(part) for part in PARTS)
    return ReidSet(name, train, query, gallery, tuple(lines), place)


def _arrays(rows: list[Row]) -> ReidImages:
    numbers = np.array([row[1:] for row in rows], np.int64).reshape(-1, 2)
    return ReidImages(tuple(row[0] for row in rows), numbers[:, 0].copy(), numbers[:, 1].copy())


def _identities(ids: np.ndarray) -> int:
    return len(np.unique(ids[ids > 0]))


def _compare(place: Path, images: dict[str, ReidImages]) -> tuple[str, str]:
    """The set's name, and how its counts stand to the official ones."""
    counts = {part: (len(found), _identities(found.ids)) for part, found in images.items()}
    own = place.resolve().stem if place.is_file() else place.resolve().name
    first = next(iter(images.values())).paths[0].name
    likely = next((name for name, sign in SIGNS.items() if sign.match(first)), None)
    if likely is None:
        return own, f"{own}: a set without official counts"
    close = [name for name in OFFICIAL if name.startswith(likely.partition(" ")[0])]
    for name in close:
        if all(OFFICIAL[name][part] == count for part, count in counts.items()):
            same = " (scores are the same with junk)" if name.endswith("without junk") else ""
            return name.removesuffix(" without junk"), f"{name}: complete, as published{same}"
    differs = "; ".join(
        f"{part} {count[0]:,} of {OFFICIAL[likely][part][0]:,} images, "
        f"{count[1]:,} of {OFFICIAL[likely][part][1]:,} people"
        for part, count in counts.items()
        if count != OFFICIAL[likely][part]
    )
    return own, f"{own}: not the official {likely.partition(' ')[0]}, do not compare scores: {differs}"


def _count_line(part: str, images: ReidImages) -> str:
    people, cameras = _identities(images.ids), len(np.unique(images.cameras))
    line = f"{part}: {len(images):,} images, {people:,} people, {cameras} camera{'s' * (cameras != 1)}"
    distractors, junk = int((images.ids == 0).sum()), int((images.ids < 0).sum())
    return line + (f", of them {distractors:,} distractors and {junk:,} junk" if distractors or junk else "")


def _skipped_lines(skipped: Sequence[tuple[Path, str]]) -> list[str]:
    """What was left out, by reason with counts, and the first of it by name."""
    if not skipped:
        return []
    reasons = ", ".join(f"{count:,} {why}" for why, count in Counter(why for _, why in skipped).most_common())
    rest = [f"... and {len(skipped) - NAMED:,} more"] if len(skipped) > NAMED else []
    named = [f"{file}: {why}" for file, why in skipped[:NAMED]]
    return [f"{len(skipped):,} files left out ({reasons}):", *(f"  {line}" for line in [*named, *rest])]


def _others_line(others: Counter[str], begin: str) -> str:
    if not others:
        return ""
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(6))
    return f"{begin}{others.total():,} files that are no images ({kinds}{', ...' * (len(others) > 6)})"


def _warnings(images: dict[str, ReidImages], one_numbering: bool) -> list[str]:
    """What makes training or scoring weaker than it looks."""
    lines = []
    train, query, gallery = (images.get(part) for part in PARTS)
    if train is not None:
        single = int((np.unique(train.ids, return_counts=True)[1] == 1).sum())
        if single:
            lines.append(f"train: {single:,} people have one image only, and no positive pair")
        if len(np.unique(train.cameras)) == 1:
            lines.append("train: one camera only; nothing across cameras can be learnt")
    if query is not None and gallery is not None:
        lost = int((~has_match(query, gallery)).sum())
        if lost == len(query):
            lines.append("no query has a match by another camera: rank-k and mAP are undefined")
        elif lost:
            lines.append(f"{lost:,} of {len(query):,} queries have no match by another camera: not scored")
    lines += _hardly_cameras(images)
    if train is not None and one_numbering:
        tested = [part.ids for part in (query, gallery) if part is not None]
        both = _shared(train.ids, tested)
        if both:
            lines.append(f"{both:,} people are in train and in query or gallery: no honest test")
    return lines


def _hardly_cameras(images: dict[str, ReidImages]) -> list[str]:
    """A line where nobody was seen twice by one camera and everybody by three or more: frames, not cameras.

    Queries alone may be one of each camera, as Market-1501's are: what other parts have twice is a camera.
    """
    seen = {part: _images_a_person(found) for part, found in images.items()}
    many = {part: count for part, (count, _) in seen.items() if count >= 3}
    if not many or any(twice for _, twice in seen.values()):
        return []
    told = ", ".join(f"{part} {count:g}" for part, count in many.items())
    return [
        f"as many cameras as images a person ({told}): what the names give as the camera is hardly one (a frame or an "
        "image number?), and then scores across cameras mean nothing"
    ]


def _images_a_person(images: ReidImages) -> tuple[float, bool]:
    """The median of how many there are, 0 of nobody; and whether a camera has anybody twice."""
    people = images.ids > 0
    views = np.unique(np.stack([images.ids[people], images.cameras[people]], 1), axis=0)
    _, seen = np.unique(images.ids[people], return_counts=True)
    return float(np.median(seen)) if len(seen) else 0.0, len(views) < people.sum()


def _shared(ids: np.ndarray, others: Iterable[np.ndarray]) -> int:
    return _identities(np.intersect1d(ids, np.concatenate([np.zeros(0, np.int64), *others])))


def has_match(query: ReidImages, gallery: ReidImages) -> np.ndarray:
    """(Q,) bool: whether the gallery has the query's identity by another camera."""
    cameras, numbers = np.unique(np.concatenate([query.cameras, gallery.cameras]), return_inverse=True)
    views = np.concatenate([query.ids, gallery.ids]) * len(cameras) + numbers  # one number a pair
    seen = np.unique(views[len(query) :])
    people, views_of = np.unique(seen // max(1, len(cameras)), return_counts=True)
    views_of = np.append(views_of, 0)  # of an identity that the gallery does not have
    at = np.searchsorted(people, query.ids)
    at[np.append(people, -2)[at] != query.ids] = len(people)
    return views_of[at] - np.isin(views[: len(query)], seen) > 0


def locate(folder: Path, layout: str) -> tuple[str, Path]:
    """The layout of a set and the folder (or file) that has it: the given one, or the only fitting one in it.

    Raises:
        InputError: there is none, with what was looked for and what was found; or several.
    """
    wanted = LAYOUTS if layout == "auto" else {layout: LAYOUTS[layout]}
    inside = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".") if folder.is_dir() else []
    for places in ([folder], inside):
        fits = [(name, place) for place in places for name, kind in wanted.items() if kind.fits(place)]
        distinct = {place: name for name, place in reversed(fits)}  # the first layout that fits a place
        if len(distinct) > 1:
            names = few(sorted(distinct))
            raise InputError(f"{folder}: holds {len(distinct)} data sets ({names}); give one of them")
        for place, name in distinct.items():
            return name, place
    looked = SHORTLY + f"; and {', '.join(LAYOUTS)}" if layout == "auto" else LAYOUTS[layout].looks_like
    raise InputError(
        f"{folder}: no ReID data set; found {_contents(folder)}{_hint(folder)}; looked for {looked}"
    )


def _contents(folder: Path) -> str:
    if folder.is_file():
        return "a file"
    entries = sorted(entry for entry in folder.iterdir() if entry.name[0] != ".")
    return f"{len(entries)} entries ({few(entries)})" if entries else "an empty folder"


def _hint(folder: Path) -> str:
    """What to do about the mistakes that are easy to make."""
    if any(folder.name in names for names in FOLDERS.values()):
        return f"; is it the folder above, {folder.parent}?"
    if folder.is_dir() and any(folder.glob("*.mat")):
        return (
            "; a .mat of CUHK03 must be unpacked first: its images to images_detected/ and images_labeled/, "
            "its protocol to splits_*.json (or use the CUHK03-NP copy, which has bounding_box_train/)"
        )
    if names_match(folder, MSMT_NAME):
        return "; these are MSMT17's images: put its list_train.txt, list_query.txt, list_gallery.txt beside them"
    return ""
