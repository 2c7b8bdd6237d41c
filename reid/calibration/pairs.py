"""Pairs of boxes of which it is known, without labels, whether they show one person or two.

Boxes of one frame that hardly overlap are different people; the beginning and the end of a confident tracklet
are one person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError

APART = 0.2  # IoU from which two boxes of a frame may be one person twice, or hold parts of each other


def overlaps(xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) px -> (N, N) IoU of every box with every other; 0 where one has no area."""
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    union = area[:, None] + area - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def strangers(features: np.ndarray, xyxy: np.ndarray, apart: float = APART) -> np.ndarray:
    """Cosines of the people of one frame who are certainly different.

    Args:
        features: (N, D) unit rows; a row of zeros is a box without appearance and makes no pair.
        xyxy: (N, 4) px.
        apart: boxes that overlap as much (IoU) make no pair.

    Returns:
        (P,) float64 in [-1, 1], pairs (i, j) with i < j in order.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import strangers
        >>> features = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
        >>> xyxy = np.array([[0, 0, 40, 100], [200, 0, 240, 100], [210, 0, 250, 100]])  # the last two overlap
        >>> strangers(features, xyxy).tolist()
        [0.0, 0.6]
    """
    features = np.asarray(features, np.float64)
    known = (features != 0).any(axis=1)
    pair = known[:, None] & known & (overlaps(xyxy) < apart)
    rows, columns = np.nonzero(np.triu(pair, 1))
    return (features @ features.T)[rows, columns]


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Cosine distances of pairs, (P,) float64 in [0, 2], and whether they are one person, (P,) bool.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import LabelledPairs
        >>> pairs = LabelledPairs(np.array([0.1, 0.4, 0.9]), np.array([True, True, False]))
        >>> pairs.distance[pairs.same].tolist(), pairs.distance[~pairs.same].tolist()  # one person, two people
        ([0.1, 0.4], [0.9])
    """

    distance: np.ndarray
    same: np.ndarray


RELATIONS = ("tracklet", "later", "camera")  # within one tracklet; the same camera later; another camera


def labelled_pairs(
    features: np.ndarray,
    ids: np.ndarray,
    cameras: np.ndarray,
    visits: np.ndarray | None = None,
    *,
    most: int = 200_000,
    seed: int = 0,
) -> dict[str, LabelledPairs]:
    """Pairs of labelled images by relation; different people count under the relation of their cameras.

    Args:
        features: (N, D) unit rows.
        ids: (N,) int; below 1 nobody, left out.
        cameras: (N,) int.
        visits: (N,) int, one number a stay in one camera; None: not known, and pairs of one camera are "later".
        most: pairs of a kind; of more so many are drawn.

    Returns:
        By relation; "tracklet" takes the strangers of "later" as its own.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import labelled_pairs
        >>> features = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> found = labelled_pairs(features, ids=np.array([1, 1, 2]), cameras=np.array([1, 2, 2]))
        >>> found["camera"].distance.round(1).tolist(), found["camera"].same.tolist()
        ([0.2, 1.0], [True, False])
    """
    people = np.flatnonzero(np.asarray(ids) > 0)
    features, ids, cameras = np.asarray(features, np.float64)[people], ids[people], cameras[people]
    stays = np.full(len(people), -1) if visits is None else np.asarray(visits)[people]
    rng = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(people), 512):
        rows = np.arange(start, min(start + 512, len(people)))
        distance = 1 - features[rows] @ features.T
        later = np.arange(len(people)) > rows[:, None]
        same = ids[rows][:, None] == ids
        near = cameras[rows][:, None] == cameras
        stay = same & near & (stays[rows][:, None] == stays) & (stays >= 0)
        for name, kind in (
            ("tracklet", stay),
            ("later", same & near & ~stay),
            ("camera", same & ~near),
            ("strangers later", ~same & near),
            ("strangers camera", ~same & ~near),
        ):
            found.setdefault(name, []).append(distance[kind & later])
    drawn = {name: _draw(np.concatenate(parts), most, rng) for name, parts in found.items()}
    return {
        name: _together(drawn[name], drawn["strangers camera" if name == "camera" else "strangers later"])
        for name in RELATIONS
    }


def video_pairs(
    features: np.ndarray,
    tracks: np.ndarray,
    seconds: np.ndarray,
    xyxy: np.ndarray,
    scores: np.ndarray | None = None,
    *,
    gap: float = 1.0,
    least_score: float = 0.6,
    most: int = 20,
) -> LabelledPairs:
    """Pairs of a tracked video that need no labels.

    One person: the first third of a confident tracklet against its last third, at least ``gap`` apart. Confident are
    tracklets of three vectors or more, of boxes apart from all others (IoU below 0.2) and of a score. Two people:
    boxes of one moment that are apart.

    Args:
        features: (N, D) unit rows; rows of zeros are left out.
        tracks: (N,) int, who it is by the tracker.
        seconds: (N,) float; equal seconds are one frame.
        xyxy: (N, 4) px.
        scores: (N,) in [0, 1]; None: all are believed.
        gap: s, what lies between the two images of one person at least: the gaps that the map is wanted for.
        least_score: boxes below make no pair.
        most: pairs of one person that a tracklet gives at most, evenly spread.

    Returns:
        Same pairs first, by tracklet and time, then strangers by time.

    Raises:
        InputError: arrays of unlike length.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import video_pairs
        >>> tracks, seconds = np.repeat([1, 2], 6), np.tile(np.arange(6) / 2, 2)  # two people in six frames
        >>> xyxy = np.array([[0, 0, 40, 100], [200, 0, 240, 100]])[tracks - 1]
        >>> found = video_pairs(np.eye(2)[tracks - 1], tracks, seconds, xyxy)
        >>> found.same.tolist().count(True), found.distance[~found.same].tolist()  # two people in each frame
        (8, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    features = np.asarray(features, np.float64)
    tracks, seconds = np.asarray(tracks), np.asarray(seconds, np.float64)
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    if not len(features) == len(tracks) == len(seconds) == len(boxes):
        raise InputError(
            f"expected N vectors, tracks, seconds and boxes, got {len(features)}, {len(tracks)}, {len(seconds)}, "
            f"{len(boxes)}"
        )
    good = (features != 0).any(axis=1)
    if scores is not None:
        good &= np.asarray(scores) >= least_score
    alone, strange = good.copy(), [np.zeros(0)]
    order = np.argsort(seconds, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(seconds[order])) + 1):
        if len(rows):
            alone[rows] &= (overlaps(boxes[rows]) - np.eye(len(rows)) < APART).all(axis=1)
            strange.append(1 - strangers(np.where(good[rows, None], features[rows], 0), boxes[rows]))
    close = [np.zeros(0)]
    for track in np.unique(tracks[alone]):
        rows = np.flatnonzero(alone & (tracks == track))
        rows = rows[np.argsort(seconds[rows], kind="stable")]
        third = len(rows) // 3
        if third:
            close.append(_ends(features, seconds, rows[:third], rows[-third:], gap, most))
    return _together(np.concatenate(close), np.concatenate(strange))


def _ends(
    features: np.ndarray, seconds: np.ndarray, first: np.ndarray, last: np.ndarray, gap: float, most: int
) -> np.ndarray:
    """Distances between the ends of one tracklet, at most so many, evenly spread."""
    rows, columns = np.nonzero(seconds[last] - seconds[first][:, None] >= gap)
    if len(rows) > most:
        keep = np.linspace(0, len(rows) - 1, most).round().astype(int)
        rows, columns = rows[keep], columns[keep]
    return 1 - (features[first[rows]] * features[last[columns]]).sum(axis=1)


def _draw(values: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return values if len(values) <= most else values[np.sort(rng.choice(len(values), most, replace=False))]


def _together(same: np.ndarray, different: np.ndarray) -> LabelledPairs:
    kinds = np.zeros(len(same) + len(different), bool)
    kinds[: len(same)] = True
    return LabelledPairs(np.concatenate([same, different]), kinds)
