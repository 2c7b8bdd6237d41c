"""Offline passes over a whole sequence's result: link, reconnect, interpolate, smooth, remove what is short.

They look into the future, so what they made is never compared with what a tracker reported frame by frame.
Every pass is a pure function MotTable -> MotTable; :func:`improve` runs them one after the other. They need boxes
only, and ``reconnect`` what people look like; camera motion was tried and left out: LOG.md.
"""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from retrace.configs import InputError
from retrace.configs.loader import Strict
from retrace.tracker.config import Seconds
from retrace.tracker.data import MotTable
from retrace.tracker.offline.linking import LinkConfig, Links, find_links, none_linked, rename
from retrace.tracker.offline.reconnect import Looks, ReconnectConfig, find_reconnections

# lengths of the kernel beside a window of a long track; what lies farther moves a box by < 0.01 px
MARGIN = 8
TAU = 10.0  # frames, of GSI's formula
Pass = Literal["link", "reconnect", "interpolate", "smooth", "remove_short"]


class Interpolate(Strict):
    gap: Seconds  # from one box of a track to its next; what is longer stays open


class Smooth(Strict):
    length: Annotated[Seconds, Field(gt=0)] | Literal["gsi"]  # of the kernel; gsi: by the paper's formula
    # variance of a box's error over the movement's
    noise: Annotated[float, Field(ge=1e-6, allow_inf_nan=False)]


class RemoveShort(Strict):
    seconds: Seconds  # tracks that last less, from the first box to the last, go


class OfflineConfig(Strict):
    """Which passes, in which order, and what each is told."""

    source: str = ""  # the papers and where each value comes from
    passes: Annotated[tuple[Pass, ...], Field(min_length=1)]
    link: LinkConfig
    reconnect: ReconnectConfig
    interpolate: Interpolate
    smooth: Smooth
    remove_short: RemoveShort

    def describe(self) -> list[dict[str, Any]]:
        """The passes that are run, each with what it is told, for a manifest."""
        return [{"pass": name, **getattr(self, name).model_dump()} for name in self.passes]


def improve(
    table: MotTable,
    fps: float,
    config: OfflineConfig,
    looks: Looks | None = None,
    size: tuple[int, int] | None = None,
) -> MotTable:
    """Run the passes of ``config`` in its order.

    Args:
        table: a whole sequence's result; any order.
        fps: frames a second.
        config: the passes.
        looks: what the ids look like, for ``reconnect``, which does nothing without.
        size: px, (height, width) of the picture; ``reconnect`` needs it with looks.

    Returns:
        The table, sorted by frame, then id.

    Raises:
        InputError: fps not above 0, an id twice in a frame, looks without a size.
    """
    if not 0 < fps < np.inf:
        raise InputError(f"fps must be a number above 0, got {fps}")
    table = by_frame(table)
    refuse_repeated_ids(table)
    for name in config.passes:
        if name in ("link", "reconnect"):
            links = who_is_who(name, table, fps, config, looks, size)
            table, looks = rename(table, links), looks.joined(links) if looks else None
        elif name == "interpolate":
            table = interpolate(table, config.interpolate.gap * fps)
        elif name == "smooth":
            length = config.smooth.length
            table = smooth(table, None if length == "gsi" else length * fps, config.smooth.noise)
        else:
            table = remove_short(table, config.remove_short.seconds * fps)
    return table


def who_is_who(
    name: Pass,
    table: MotTable,
    fps: float,
    config: OfflineConfig,
    looks: Looks | None,
    size: tuple[int, int] | None,
) -> Links:
    """What ``link`` or ``reconnect`` finds, see :func:`improve`.

    Raises:
        InputError: ``reconnect`` looks at the picture's edge and its size is not known.
    """
    if name == "link":
        return find_links(table, fps, config.link)
    if not looks:
        return none_linked()
    if size is None and config.reconnect.edge is not None:
        raise InputError("reconnect must know the size of the picture, to see who leaves it; leave it out")
    return find_reconnections(table, fps, config.reconnect, looks, size or (0, 0))


def refuse_repeated_ids(table: MotTable) -> None:
    """InputError for a table (sorted by frame, id) in which a frame has an id twice."""
    twice = np.flatnonzero((np.diff(table.frame) == 0) & (np.diff(table.id) == 0))
    if len(twice):
        frame, i = int(table.frame[twice[0]]), int(table.id[twice[0]])
        raise InputError(f"frame {frame + 1}: expected each id once, id {i} comes twice")


def interpolate(table: MotTable, gap: float) -> MotTable:
    """Fill the gaps of every track by straight lines between the boxes on either side.

    Args:
        table: no id twice in a frame.
        gap: frames from one box to the next; longer gaps stay open. 1 is no gap.

    Returns:
        The table, sorted by frame, then id. The boxes that were there are as they were. A new one's score and
        visibility lie on the line too, so that a filter by score treats it as its neighbours; its class is the
        earlier's.
    """
    t = by_track(table)
    step = np.diff(t.frame)
    inside = (np.diff(t.id) == 0) & (step > 1) & (step <= gap + 1e-9)
    missing = np.where(inside, step - 1, 0)
    left = np.repeat(np.arange(len(step)), missing)  # row before each new box
    k = np.arange(len(left)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    share = k / step[left]

    def between(values: np.ndarray) -> np.ndarray:
        part = share if values.ndim == 1 else share[:, None]
        return values[left] + (values[left + 1] - values[left]) * part

    new = MotTable(
        t.frame[left] + k,
        t.id[left],
        between(t.xyxy),
        between(t.score),
        t.class_id[left],
        between(t.visibility),
    )
    both = (np.concatenate((getattr(t, f.name), getattr(new, f.name))) for f in fields(MotTable))
    return by_frame(MotTable(*both))


def smooth(table: MotTable, length: float | None, noise: float) -> MotTable:
    """Every track's centre and size as a Gaussian process of time; frames, ids and scores stay.

    GSI (StrongSORT, Du 2023, arXiv 2202.13514, sec. 3.5): y = f(t) + e, f with the kernel
    exp(-(t - t')^2 / (2 length^2)), e white noise; the boxes become K (K + noise I)^-1 y. Gaps should have been
    filled before. Two differences: y is taken relative to the track's own straight line, so that nobody is drawn
    towards 0, and a track much longer than the kernel is solved in windows that overlap (MARGIN).

    Args:
        table: no id twice in a frame.
        length: of the kernel, frames; None: :func:`gsi_length`.
        noise: variance of e over that of f.

    Returns:
        The table, sorted by frame, then id.
    """
    t = by_track(table)
    half = (t.xyxy[:, 2:] - t.xyxy[:, :2]) / 2
    values = np.hstack((t.xyxy[:, :2] + half, half))
    begin = np.flatnonzero(np.diff(t.id, prepend=t.id[:1] - 1, append=t.id[-1:] + 1))
    for a, b in pairwise(begin.tolist()):  # a few hundred small systems; no hot path
        if b - a > 2:
            values[a:b] = smooth_track(t.frame[a:b], values[a:b], length or gsi_length(b - a), noise)
    size = np.maximum(values[:, 2:], half * 0.1)  # a wild swing must not turn a box inside out
    return by_frame(replace(t, xyxy=np.hstack((values[:, :2] - size, values[:, :2] + size))))


def gsi_length(boxes: int) -> float:
    """The kernel's length in frames for a track of so many boxes: tau ln(tau^3 / boxes) in [1 / tau, tau^2].

    StrongSORT, sec. 3.5; the limits are its code's. From tau^3 boxes on nothing is smoothed.
    """
    return float(np.clip(TAU * np.log(TAU**3 / boxes), 1 / TAU, TAU**2))


def smooth_track(frame: np.ndarray, values: np.ndarray, length: float, noise: float) -> np.ndarray:
    """The Gaussian process of one track, at its own frames: (n,), (n, 4) -> (n, 4)."""
    from scipy.linalg import cho_factor, cho_solve  # late: they take a while, and few runs smooth

    x = frame - frame.mean()
    line = np.stack((np.ones(len(x)), x), 1)
    trend = line @ np.linalg.lstsq(line, values, rcond=None)[0]
    rest, out = values - trend, np.empty_like(values)
    margin = MARGIN * length
    core = max(margin, 64)  # frames that one window settles
    edges = np.searchsorted(frame, np.arange(frame[0], frame[-1] + core, core))
    for a, b in pairwise([*edges.tolist(), len(frame)]):
        if a == b:
            continue
        around = slice(*np.searchsorted(frame, (frame[a] - margin, frame[b - 1] + margin + 1)))
        t = frame[around] / length
        kernel = np.exp(-0.5 * (t[:, None] - t) ** 2) + noise * np.eye(len(t))
        weights = cho_solve(cho_factor(kernel, overwrite_a=True, check_finite=False), rest[around])
        # K (K + noise I)^-1 y = y - noise (K + noise I)^-1 y
        out[a:b] = rest[a:b] - noise * weights[a - around.start : b - around.start]
    return trend + out


def remove_short(table: MotTable, frames: float) -> MotTable:
    """Without the tracks that last less than so many frames, first box to last; order stays."""
    _, row = np.unique(table.id, return_inverse=True)
    first, last = np.full(len(table), np.iinfo(np.int64).max), np.full(len(table), -1)
    np.minimum.at(first, row, table.frame)
    np.maximum.at(last, row, table.frame)
    return table.take((last - first + 1 >= frames - 1e-9)[row])


def by_track(table: MotTable) -> MotTable:
    """Sorted by id, then frame."""
    return table.take(np.lexsort((table.frame, table.id)))


def by_frame(table: MotTable) -> MotTable:
    """Sorted by frame, then id."""
    return table.take(np.lexsort((table.id, table.frame)))
