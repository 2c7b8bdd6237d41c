"""Tracking results of several synchronised cameras as one struct of arrays, and who is seen at the same moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from retrace.configs import InputError
from retrace.tracker.data import MotTable

MOST = 50_000_000  # pairs of boxes of one moment: above, compare fewer frames


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """R boxes of T tracklets in C cameras, by frame, then camera.

    Example:
        >>> from retrace.tracker.mot_file import read_results
        >>> from retrace.tracker.site import Sightings
        >>> seen = Sightings.of({name: read_results(f"runs/site/{name}.txt") for name in ("cam1", "cam2")})
        >>> len(seen), seen.cameras, seen.home.tolist()  # boxes, and the camera of each tracklet
        (1440, ('cam1', 'cam2'), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
        >>> first = seen.take(seen.frame == 0)
        >>> first.foot.shape, first.height.shape  # all twelve are seen at once; px
        ((12, 2), (12,))
    """

    cameras: tuple[str, ...]
    camera: np.ndarray  # (R,) int64, into cameras
    tracklet: np.ndarray  # (R,) int64 in 0..T-1, never of two cameras
    frame: np.ndarray  # (R,) int64, 0-based, the same moment in all cameras
    xyxy: np.ndarray  # (R, 4) float64, px
    whole: np.ndarray  # (R,) bool; False: the box ends at the picture's lower edge, so the feet are not in it
    home: np.ndarray  # (T,) int64, the camera of each tracklet

    @classmethod
    def of(cls, tables: Mapping[str, MotTable], heights: Mapping[str, int] | None = None) -> Sightings:
        """Everybody's boxes; one id of one camera is one tracklet, numbered by camera, then id.

        Args:
            tables: by camera's name; what the ids of two cameras have in common means nothing.
            heights: px of the pictures, where known: boxes that end at the lower edge do not say where feet are.

        Raises:
            InputError: fewer than two cameras, a box without height, an id twice in one frame.
        """
        if len(tables) < 2:
            raise InputError(f"expected two cameras or more, got {len(tables)}")
        pieces, home, start = [], [], 0
        for number, (name, table) in enumerate(tables.items()):
            flat = ~(table.xyxy[:, 3] > table.xyxy[:, 1])
            if flat.any():
                raise InputError(f"camera {name}: a box of frame {table.frame[flat][0]} has no height")
            ids, inverse = np.unique(table.id, return_inverse=True)
            twice = np.unique(np.stack([table.frame, inverse]), axis=1).shape[1] < len(table)
            if twice:
                raise InputError(f"camera {name}: an id has two boxes in one frame")
            edge = np.inf if heights is None or name not in heights else heights[name] - 1.0
            whole = table.xyxy[:, 3] < edge
            count = len(table)
            pieces.append(
                (np.full(count, number), inverse + start, table.frame, table.xyxy.astype(float), whole)
            )
            home.append(np.full(len(ids), number))
            start += len(ids)
        camera, tracklet, frame, xyxy, sure = (np.concatenate(part) for part in zip(*pieces, strict=True))
        order = np.lexsort((tracklet, frame))
        return cls(
            tuple(tables),
            camera[order],
            tracklet[order],
            frame[order],
            xyxy[order],
            sure[order],
            np.concatenate(home),
        )

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def foot(self) -> np.ndarray:
        """(R, 2) float64 px, the middle of each box's lower side."""
        return np.stack([(self.xyxy[:, 0] + self.xyxy[:, 2]) / 2, self.xyxy[:, 3]], axis=1)

    @property
    def height(self) -> np.ndarray:
        """(R,) float64 px, of each box."""
        return self.xyxy[:, 3] - self.xyxy[:, 1]

    def take(self, rows: np.ndarray) -> Sightings:
        """The given boxes (mask, or indices in rising order); all tracklets stay.

        Raises:
            IndexError: a box that is not there, as from NumPy.
        """
        return replace(
            self,
            camera=self.camera[rows],
            tracklet=self.tracklet[rows],
            frame=self.frame[rows],
            xyxy=self.xyxy[rows],
            whole=self.whole[rows],
        )


def meetings(s: Sightings) -> tuple[np.ndarray, np.ndarray]:
    """(P,), (P,) rows of two boxes of one moment in two cameras, feet in both pictures; the first has the lower camera.

    Raises:
        InputError: more than ``MOST`` pairs.
    """
    first, second = _of_one_frame(s.frame)
    keep = (s.camera[first] != s.camera[second]) & s.whole[first] & s.whole[second]
    return first[keep], second[keep]


def apart(s: Sightings) -> np.ndarray:
    """(K, 2) int64, pairs of tracklets that cannot be one person: once seen at the same moment in one camera.

    Raises:
        InputError: more pairs of one moment than fit into memory.
    """
    first, second = _of_one_frame(s.frame)
    same = s.camera[first] == s.camera[second]
    pairs = np.stack([s.tracklet[first[same]], s.tracklet[second[same]]], axis=1)
    return np.unique(pairs, axis=0)


def _of_one_frame(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of rows of one frame, the lower row first; ``frame`` (R,) is sorted."""
    # rows of the frame behind each
    later = np.searchsorted(frame, frame, side="right") - np.arange(len(frame)) - 1
    total = int(later.sum())
    if total > MOST:
        raise InputError(f"{total} pairs of boxes of one moment, expected at most {MOST}; raise `every`")
    first = np.repeat(np.arange(len(frame)), later)
    place = np.arange(total) - np.repeat(np.cumsum(later) - later, later)
    return first, first + 1 + place
