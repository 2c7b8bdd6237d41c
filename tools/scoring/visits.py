"""Visits of known people, as a stream for an identity memory: from ReID images whose names tell times, from a memory
whose tracklets somebody has named, from tracking results beside their ground truth."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from retrace.configs.errors import InputError
from retrace.configs.files import reading
from retrace.eval.ranking.features import Features
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import MotTable
from retrace.tracker.memory import Memory, Tracklet
from retrace.tracker.memory.fitting import LabelledPictures, visits_of
from retrace.tracker.mot_file import read_ground_truth, read_results, read_sequence_info

NAME = re.compile(r"(-?\d+)_c(\d+)s(\d+)_(\d+)_")  # Market-1501: person, camera, recording, frame
RATE = 25.0  # frames/s of these
APART = 1e5  # s between two recordings whose clocks nobody knows
GAP = 10.0  # s without a picture: another visit
IOU = 0.5  # from which a box of a result shows a true person


@dataclass(frozen=True, slots=True, eq=False)
class KnownVisits:
    """V visits by their end."""

    person: np.ndarray  # (V,) int64, who it is
    camera: np.ndarray  # (V,) int64
    begin: np.ndarray  # (V,) s
    end: np.ndarray  # (V,) s
    weight: np.ndarray  # (V,) pictures or boxes
    tracklets: tuple[Tracklet, ...]  # (V,) as a memory is told of them
    photo: np.ndarray  # (V, D) float32 unit, of one picture of each; (V, 0): not known

    def __len__(self) -> int:
        return len(self.person)

    def take(self, rows: np.ndarray) -> KnownVisits:
        """Those of a mask or of indices in rising order."""
        arrays = ("person", "camera", "begin", "end", "weight", "photo")
        chosen = tuple(self.tracklets[int(k)] for k in np.arange(len(self))[rows])
        return replace(self, tracklets=chosen, **{name: getattr(self, name)[rows] for name in arrays})


def visits_of_images(
    features: Features, recordings: tuple[int, ...] | None = None, one_clock: tuple[int, ...] = ()
) -> KnownVisits:
    """Pictures of one person in one camera with less than ``GAP`` s between two are one visit, its vector their mean.

    Args:
        features: of query and gallery, with the paths of Market-1501's names.
        recordings: only these (the s1 of a name); None: all, each as if on another day.
        one_clock: recordings in which all cameras go by one clock; in the others each goes by its own.

    Raises:
        InputError: names without times, no such recording.
    """
    sides = (features.query, features.gallery)
    if any(side.paths is None for side in sides):
        raise InputError(f"{features.name}: does not say which images these are")
    names = [Path(path).name for side in sides for path in side.paths or ()]
    found = [NAME.match(name) for name in names]
    if None in found:
        raise InputError(
            f"{names[found.index(None)]}: its name does not tell the time; expected those of Market-1501, "
            "0002_c1s1_000451_03.jpg: person, camera, recording, frame"
        )
    told = np.array([[int(part) for part in one.groups()] for one in found if one], np.int64).reshape(-1, 4)
    vector = np.concatenate([side.features for side in sides])
    keep = told[:, 0] > 0  # no junk, no distractors
    _check_recordings(features.name, recordings or (), np.unique(told[keep, 2]).tolist(), "`recordings`")
    if recordings is not None:
        keep &= np.isin(told[:, 2], recordings)
    _check_recordings(features.name, one_clock, np.unique(told[keep, 2]).tolist(), "`one_clock`")
    if not keep.any():
        raise InputError(f"{features.name}: no people in it")
    person, camera, recording, frame = told[keep].T
    order = np.lexsort((frame, camera, recording, person))
    person, camera, recording, time = person[order], camera[order], recording[order], frame[order] / RATE
    return _group(vector[keep][order], person, camera, recording, time, one_clock)


def shuffled_visits(features: Features, seed: int) -> KnownVisits:
    """Two visits of each person in each camera, each the mean of half of the pictures there, in no order, and so far
    apart that times say nothing: for data sets that tell no time.

    Raises:
        InputError: nobody is named; a seed that is none.
    """
    if seed < 0:
        raise InputError(f"`shuffled` {seed}: expected a seed of 0 or more")
    sides = (features.query, features.gallery)
    looks = LabelledPictures(
        *(np.concatenate([getattr(s, n) for s in sides]) for n in ("features", "ids", "cameras"))
    )
    vector, person, camera = visits_of(looks)
    if not len(person):
        raise InputError(f"{features.name}: no people in it")
    order = np.random.default_rng(seed).permutation(len(person))
    vector, person, camera = vector[order].astype(np.float32), person[order], camera[order]
    begin = 100.0 * np.arange(len(person))
    tracklets = tuple(
        Tracklet(
            f"c{camera[k]}", f"c{camera[k]}", k, begin[k], begin[k] + 5, 5, vector[k], frozenset(),
            clock=f"c{camera[k]}",
        )
        for k in range(len(person))
    )  # fmt: skip
    return KnownVisits(
        person, camera, begin, begin + 5, np.ones(len(person)), tracklets, np.zeros((len(person), 0))
    )


def _check_recordings(origin: str, named: tuple[int, ...], there: list[int], what: str) -> None:
    """Raises InputError for a recording of which nothing is looked at."""
    for one in named:
        if one not in there:
            found = ", ".join(map(str, there)) or "none"
            raise InputError(f"{what} {one}: no people of that recording in {origin}; there are {found}")


def _group(
    vector: np.ndarray,
    person: np.ndarray,
    camera: np.ndarray,
    recording: np.ndarray,
    time: np.ndarray,
    one_clock: tuple[int, ...],
) -> KnownVisits:
    """Pictures by person, recording, camera and time -> visits."""
    same = np.ones(len(person), bool)
    for each in (person, recording, camera):
        same[1:] &= np.diff(each) == 0
    same[1:] &= np.diff(time) <= GAP
    same[0] = False
    first = (~same).nonzero()[0]
    count = np.diff(np.append(first, len(same)))
    mean = np.add.reduceat(vector.astype(np.float64), first)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    begin, end = (time[rows] + APART * recording[first] for rows in (first, first + count - 1))
    order = np.lexsort((person[first], end))
    rows, tracklets = first[order], []
    beside = _beside(camera[rows] + 1000 * recording[rows], begin[order], end[order])
    for k, (row, one) in enumerate(zip(rows, order, strict=True)):
        where = f"c{camera[row]}", f"c{camera[row]}s{recording[row]}"
        when = float(begin[one]), float(end[one])
        boxes = max(int(count[one]), 2)  # a picture a second stands for several boxes
        clock = f"s{recording[row]}" if recording[row] in one_clock else where[1]
        vector_of = mean[one].astype(np.float32)
        tracklets.append(Tracklet(*where, k, *when, boxes, vector_of, beside[k], clock=clock))
    return KnownVisits(
        person[rows], camera[rows], begin[order], end[order], count[order].astype(float), tuple(tracklets),
        vector[rows + count[order] // 2].astype(np.float32),
    )  # fmt: skip


def _beside(place: np.ndarray, begin: np.ndarray, end: np.ndarray) -> list[frozenset[int]]:
    """Of each visit those that were in the same place at the same time; all (V,)."""
    found = []
    for k in range(len(place)):  # over visits
        here = (place == place[k]) & (begin <= end[k]) & (end >= begin[k])
        found.append(frozenset(here.nonzero()[0].tolist()) - {k})
    return found


def visits_of_memory(path: Path, truth: Path) -> KnownVisits:
    """The tracklets of a memory whose people a CSV file tells: columns ``tracklet`` and ``person``.

    Raises:
        InputError: no such memory, another file, a tracklet that is not there.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such memory")
    who = _named(truth)
    with Memory(path) as memory:
        people, store = memory.people, memory.store
        unknown = [one for one in who if one not in people.row_of_tracklet]
        if unknown:
            raise InputError(f"{truth}: there is no tracklet {unknown[0]} in {path}")
        rows = np.array(sorted(people.row_of_tracklet[one] for one in who), np.int64)
        rows = rows[np.lexsort((rows, people.end_of[rows]))]
        track = dict(store.read("SELECT id, track FROM tracklet"))
        boxes = dict(store.read("SELECT id, boxes FROM tracklet"))
        source = dict(store.read("SELECT id, source FROM tracklet"))
        apart: dict[int, set[int]] = {}
        for a, b in store.read("SELECT a, b FROM link WHERE kind = 'cannot' AND reason = 'seen together'"):
            apart.setdefault(a, set()).add(track[b])
            apart.setdefault(b, set()).add(track[a])
        tracklets = []
        for row in rows:
            one = int(people.tracklet[row])
            when = float(people.begin_of[row]), float(people.end_of[row])
            where = people.cameras[people.camera_of[row]], source[one]
            beside = frozenset(apart.get(one, ()))
            tracklets.append(
                Tracklet(*where, track[one], *when, boxes[one], people.vectors[row].copy(), beside)
            )
        number = {name: k for k, name in enumerate(sorted({*who.values()}))}
        return KnownVisits(
            np.array([number[who[int(people.tracklet[row])]] for row in rows]), people.camera_of[rows].copy(),
            people.begin_of[rows].copy(), people.end_of[rows].copy(),
            np.array([max(one.boxes, 1) for one in tracklets], float), tuple(tracklets), people.vectors[rows].copy(),
        )  # fmt: skip


def _named(truth: Path) -> dict[int, str]:
    """tracklet -> person."""
    with reading(truth, "expected text", UnicodeDecodeError):
        rows = [*csv.DictReader(truth.read_text(encoding="utf-8").splitlines())]
    if not rows or not {"tracklet", "person"} <= {*rows[0]}:
        raise InputError(f"{truth}: expected the columns tracklet and person, and a row a tracklet")
    wrong = [row for row in rows if not (row["tracklet"] or "").isdecimal() or not row["person"]]
    if wrong:
        raise InputError(
            f"{truth}: {wrong[0]['tracklet']!r}, {wrong[0]['person']!r} is no tracklet with its person"
        )
    return {int(row["tracklet"]): row["person"] for row in rows}


@dataclass(frozen=True, slots=True, eq=False)
class FoundVisits:
    """V visits of true people, and what a result calls them."""

    person: np.ndarray  # (V,) int64
    identity: np.ndarray  # (V,) int64, of most of its boxes
    camera: np.ndarray  # (V,) int64
    begin: np.ndarray  # (V,) s
    end: np.ndarray  # (V,) s
    weight: np.ndarray  # (V,) boxes that the result found
    unseen: int  # visits of which it found no box: they are not among the V


def visits_of_results(
    truth: dict[str, MotTable], result: dict[str, MotTable], fps: float, gap: float
) -> FoundVisits:
    """A person's boxes with less than ``gap`` s between two are one visit.

    Args:
        truth: by camera, ids of people.
        result: by camera, ids that mean the same in all.
        fps: frames/s of all.
    """
    rows: list[tuple[int, int, int, float, float, int]] = []
    unseen = 0
    for number, (name, true) in enumerate(truth.items()):
        named = _matched(true, result[name])
        for person in np.unique(true.id):
            mine = (true.id == person).nonzero()[0]
            mine = mine[np.argsort(true.frame[mine])]
            for part in np.split(mine, (np.diff(true.frame[mine]) > gap * fps).nonzero()[0] + 1):
                ids, count = np.unique(named[part][named[part] >= 0], return_counts=True)
                when = true.frame[part[0]] / fps, true.frame[part[-1]] / fps
                if len(ids):
                    rows.append((int(person), int(ids[count.argmax()]), number, *when, int(count.sum())))
                unseen += not len(ids)
    table = np.array(rows, float).reshape(-1, 6)
    person, identity, camera = table[:, :3].T.astype(np.int64)
    return FoundVisits(person, identity, camera, table[:, 3], table[:, 4], table[:, 5], unseen)


def _matched(true: MotTable, result: MotTable) -> np.ndarray:
    """(N,) the id that the result gives each true box, -1: none; one to one in each frame."""
    found = np.full(len(true.id), -1)
    for frame in np.unique(true.frame):
        a, b = (true.frame == frame).nonzero()[0], (result.frame == frame).nonzero()[0]
        overlap = iou_matrix(true.xyxy[a], result.xyxy[b])
        i, j = linear_sum_assignment(np.where(overlap >= IOU, overlap, 0), maximize=True)
        good = overlap[i, j] >= IOU
        found[a[i[good]]] = result.id[b[j[good]]]
    return found


def read_results_and_truth(
    truth: Path, results: Path
) -> tuple[dict[str, MotTable], dict[str, MotTable], float]:
    """Ground truth and results by camera, and frames/s.

    Raises:
        InputError: no ground truth, a camera without a result, rates that differ.
    """
    folders = {place.name: place for place in sorted(truth.glob("*")) if (place / "gt" / "gt.txt").is_file()}
    if not folders:
        raise InputError(f"{truth}: expected CAMERA/gt/gt.txt in it")
    rates = {name: read_sequence_info(place).fps for name, place in folders.items()}
    if len({*rates.values()}) > 1:
        raise InputError(f"{truth}: cameras of several frame rates ({rates}) have no common frames")
    read = {name: read_results(results / f"{name}.txt") for name in folders}
    true = {name: read_ground_truth(place / "gt" / "gt.txt") for name, place in folders.items()}
    return true, read, rates[min(rates)]
