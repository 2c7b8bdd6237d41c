"""Everybody in a run: from when to when, the crops to show, and who looks like whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.loader import load_preset
from retrace.tools.viewing.place import Place
from retrace.tracker.analytics import paths
from retrace.tracker.data import MotTable
from retrace.tracker.memory.config import MemoryConfig
from retrace.tracker.memory.evidence import appearance_ratio, posterior
from retrace.tracker.offline.reconnect import Looks

CROPS = 8  # a person, over time
NEAR = 12  # others who look alike, listed of each
RELATION = "later"  # of a calibration: the same camera, later
RETURNING = 0.5  # prior that somebody is among the others at all


def persons(place: Place) -> list[dict[str, Any]]:
    """A row a person, by id: ``id, seconds, path`` (px), ``speed`` (body heights/s), ``crops`` ([frame, x1, y1, x2, y2]
    each, px) and ``near`` ([id, cosine distance, probability] each, nearest first; absent without looks)."""
    files = [place.result_file, place.edits_file, place.beside(".looks.npz")]
    return place.kept("persons", files, lambda: _persons(place))


def _persons(place: Place) -> list[dict[str, Any]]:
    table = place.corrected().table
    way = paths(table, place.fps)
    near = alike(place)
    ids, first = np.unique(way.id, return_index=True)
    told = []
    order = np.lexsort((table.frame, table.id))
    for person, start, stop in zip(ids.tolist(), first, np.append(first, len(way.id))[1:], strict=True):
        speed = way.speed[start:stop]
        row: dict[str, Any] = {
            "id": person,
            "seconds": round((stop - start) / place.fps, 2),
            "path": round(float(way.step[start:stop].sum()), 1),
            "speed": None if np.isnan(speed).all() else round(float(np.nanmean(speed)), 2),
            "crops": crops_of(table, order[start:stop], place.size),
        }
        told.append(row if near is None else {**row, "near": near.get(person, [])})
    return told


def crops_of(table: MotTable, rows: np.ndarray, size: tuple[int, int] | None) -> list[list[int]]:
    """The largest box wholly in the picture of each of ``CROPS`` parts of a person's rows: [frame, x1, y1, x2, y2]."""
    boxes = table.xyxy[rows]
    worth = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    if size is not None:
        inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2] <= size[1]) & (boxes[:, 3] <= size[0])
        worth = np.where(inside, worth, worth * 1e-6)
    found = []
    for part in np.array_split(np.arange(len(rows)), min(CROPS, len(rows))):
        best = part[int(worth[part].argmax())]
        corners = np.rint(boxes[best]).astype(int).tolist()
        found.append([int(table.frame[rows[best]]), *corners])
    return found


def alike(place: Place) -> dict[int, list[list[float]]] | None:
    """Of each person the others who look alike, [id, cosine distance, probability] each, the nearest first; None:
    nobody's looks are known. Who was there at the same time is somebody else, and left out."""
    known = place.looks()
    if known is None:
        return None
    looks = corrected_looks(place, known)
    unit = looks.directions(looks.id)
    apart = 1 - (unit @ unit.T).astype(np.float64)
    beside = seen_beside(place.corrected().table, looks.id)
    ratio = np.where(beside, -np.inf, likelihood_ratio(place, apart, beside))
    found: dict[int, list[list[float]]] = {}
    for k, person in enumerate(looks.id.tolist()):
        others = (~beside[k]).nonzero()[0]
        likely, _ = posterior(ratio[None, k, others], RETURNING, len(others))
        nearest = np.argsort(apart[k, others], kind="stable")[:NEAR]
        found[person] = [
            [int(looks.id[others[j]]), round(float(apart[k, others[j]]), 3), round(float(likely[0, j]), 3)]
            for j in nearest.tolist()
        ]
    return found


def likelihood_ratio(place: Place, apart: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """(K, K) log of how much likelier a distance is for one person than for two: by the calibration of the weights,
    else by the identity memory's maps, in units of the distance of people who were there at the same time."""
    known = calibrated(place)
    if known is not None:
        return known(apart)
    config = load_preset("default", MemoryConfig, "memory")
    strangers = beside & ~np.eye(len(beside), dtype=bool)
    enough = strangers.sum() // 2 >= config.strangers_pairs
    return appearance_ratio(
        apart, np.ones_like(beside), float(apart[strangers].mean()) if enough else config.strangers, config
    )


def corrected_looks(place: Place, looks: Looks) -> Looks:
    """The looks of today's identities from those of the tracker's: each box is worth its tracker identity's mean."""
    own, now = place.corrected_tracker_ids(), place.corrected().table.id
    pair, boxes = np.unique(np.stack((own, now)), axis=1, return_counts=True)
    _, here, there = np.intersect1d(pair[0], looks.id, return_indices=True)
    row = {int(one): int(k) for one, k in zip(pair[0][here], there, strict=True)}
    known = np.array([one in row for one in pair[0].tolist()], bool)
    at = np.array([row[one] for one in pair[0][known].tolist()], np.int64)
    mean = looks.total[at] / looks.count[at][:, None]
    return Looks.of(pair[1][known], mean * boxes[known][:, None], boxes[known])


def seen_beside(table: MotTable, ids: np.ndarray) -> np.ndarray:
    """(K, K) bool: who shares a frame with whom; everybody with himself."""
    from scipy.sparse import csr_array

    rows = np.isin(table.id, ids)
    who = np.searchsorted(ids, table.id[rows])
    shape = (len(ids), int(table.frame.max(initial=0)) + 1)
    there = csr_array((np.ones(len(who), np.int32), (who, table.frame[rows])), shape=shape)
    return (there @ there.T).toarray() > 0 | np.eye(len(ids), dtype=bool)


_ONE = threading.Lock()


def calibrated(place: Place) -> Callable[[np.ndarray], np.ndarray] | None:
    """Distances -> log-likelihood ratios, by the calibration of the weights, suited to how far apart people of one
    frame were in this run; None: they have none, or are gone."""
    weights = place.weights
    if weights is None or not weights.is_file():
        return None

    def made() -> Callable[[np.ndarray], np.ndarray] | None:
        from retrace.reid import Embedder

        try:
            with _ONE:
                card = Embedder.from_weights(weights, device="cpu").calibration
            apart, spread = (place.record.get(f"strangers_{what}") for what in ("apart", "spread"))
            if card is not None and card.strangers is not None and isinstance(apart, float) and apart > 0:
                card = card.suited(apart, spread if isinstance(spread, float) and spread > 0 else None)
            return None if card is None else card.map(RELATION).odds
        except InputError:
            return None

    return place.kept("calibration", [weights], made)
