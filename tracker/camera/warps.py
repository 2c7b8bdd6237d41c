"""Cameras: each frame's 2x3 warp from the frame before, px, from a file or estimated from the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.tracker.camera.estimators import METHODS, View, Watch, full_size, reach, view_of
from retrace.tracker.data import Detections, Frame
from retrace.tracker.mot_rows import LARGEST, read_bounded

COLUMNS = 7  # frame, and the warp row-major
MASKED_FROM = 0.3  # score; what a detector is less sure of is not taken for a person here
BLANK = 2.0  # grey levels of standard deviation below which a frame shows nothing
STILL = 0.5  # small px at the farthest corner: below it the camera stands
CALM = 10  # frames without more motion than STILL in all, after which it is only watched
ALARM = 0.35  # px of motion at the watched points that end the watch
AFTER_FALSE_ALARM, HIGHEST_ALARM = 1.5, 1.2  # times that; px at most
RENEW = 300  # frames after which a standing camera is compared all the same
FEW = 40  # watched points below which they are not relied on
GAP, TIMES = 1.0, 5.0  # s, and times the usual step: a longer one between two frames is a reconnect
PATIENCE, LONGEST_REST = 4, 32  # failures in a row before frames are left out; at most so many
# whole numbers of a camera's state
COUNTS = ("frames", "moved", "stood", "compared", "_index", "_watched", "_calm", "_failed", "_rests")
Told = tuple[int, int, np.ndarray]  # the frame asked for before (-1: none), this frame, the warp between them


class FileCamera:
    """Frame -> (2, 3) warp from the frame that was asked for before it, px; frames left out are made up for."""

    def __init__(self, warps: Mapping[int, np.ndarray], description: str = "given warps") -> None:
        """``warps``: frame -> (2, 3) from the frame before; where one is missing the camera stood."""
        self._warps, self.description = warps, description
        self.latest: Told = (-1, -1, np.eye(2, 3))
        self.frames = self.moved = self.stood = 0  # asked for; told to move, told to stand

    def __call__(self, frame: Frame, detections: Detections | None = None) -> np.ndarray:
        last = self.latest[1]
        whole = np.eye(3)
        for index in range(max(frame.index if last < 0 else last + 1, 1), frame.index + 1):
            whole = np.vstack((self._warps[index], (0, 0, 1))) @ whole if index in self._warps else whole
        self.latest = (last, frame.index, whole[:2])
        still = np.array_equal(whole, np.eye(3))
        self.frames, self.moved, self.stood = self.frames + 1, self.moved + (not still), self.stood + still
        return whole[:2]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Where it stands; :meth:`load_state_dict` goes on from there."""
        return {"counts": np.array((self.latest[1], self.frames, self.moved, self.stood))}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        last, self.frames, self.moved, self.stood = state["counts"].tolist()
        self.latest = (-1, last, np.eye(2, 3))


def camera_of(warps: Mapping[int, np.ndarray]) -> FileCamera:
    """A camera that moves as :func:`read_warps` says."""
    return FileCamera(warps)


class EstimatedCamera:
    """Frame and its detections -> (2, 3) warp from the last frame with a picture, px; None: the camera stands.

    The camera is taken to stand until a look at a few steep points says otherwise. Then every frame is compared
    with the one before, until ``CALM`` frames together show less than ``STILL``. While it stands the picture of
    the last comparison is kept: a slow drift adds up until it is noticed, and what is told then is the motion
    since that picture, because the tracker has been told of none meanwhile.

    Frames that are left out or come without a picture are bridged, blank ones passed over. Another size, an
    earlier frame number or a long gap in time (a reconnect) begin anew. Where no estimate is to be had or to be
    believed, the camera is said to stand.
    """

    def __init__(self, method: str = "sparse-flow", *, watch: bool = True) -> None:
        """``method``: of ``METHODS``. ``watch``: False compares every frame, standing camera or not.

        Raises:
            InputError: another method.
        """
        self._estimate, self._watches = METHODS[one_of("method", method, METHODS)], watch
        self.description = f"{method}, estimated from the pictures"
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self.latest = (-1, -1, np.eye(2, 3))  # frame before, frame, warp: what was told last
        # asked for; told to move; seen to stand. The rest are unknown
        self.frames = self.moved = self.stood = 0
        self.compared = 0  # frames that were estimated
        self._view: View | None = None  # the picture that the next one is compared with
        self._size = (0, 0)  # of that frame, (height, width) px
        self._index, self._time = -1, 0.0  # of the last frame with a picture
        self._step = np.inf  # s, the shortest from one frame to the next
        self._watch: Watch | None = None  # while the camera stands
        self._watched, self._alarm = 0, ALARM  # frames since the watch began; what ends it, px
        self._since, self._calm = np.eye(3), 0  # motion over the last calm frames, in small px
        self._failed, self._rests = 0, 0  # estimates in a row that failed; frames to leave out

    def state_dict(self) -> dict[str, np.ndarray]:
        """All it remembers, as arrays: after :meth:`load_state_dict` it goes on as if never interrupted."""
        state = {
            "latest": np.array(self.latest[:2]),
            "latest_warp": self.latest[2],
            "size": np.array(self._size),
            "counts": np.array([getattr(self, name) for name in COUNTS]),
            "seconds": np.array([self._time, self._step, self._alarm]),
            "since": self._since,
        }
        if self._view is not None:
            state |= {"grey": self._view.grey, "free": self._view.free}
        if self._watch is not None:
            state |= {f"watch_{name}": getattr(self._watch, name) for name in ("xy", "value", "slope")}
        return state

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to what :meth:`state_dict` told."""
        before, last = (int(value) for value in state["latest"])
        self.latest = (before, last, state["latest_warp"])
        for name, value in zip(COUNTS, state["counts"].tolist(), strict=True):
            setattr(self, name, value)
        height, width = state["size"].tolist()
        self._size = (height, width)
        self._time, self._step, self._alarm = map(float, state["seconds"])
        self._since = state["since"]
        self._view = View(state["grey"], state["free"]) if "grey" in state else None
        watched = [state[f"watch_{name}"] for name in ("xy", "value", "slope") if f"watch_{name}" in state]
        self._watch = Watch(*watched) if watched else None

    def __call__(self, frame: Frame, detections: Detections | None = None) -> np.ndarray | None:
        """The camera's motion up to this frame; ``detections`` of it are masked out."""
        seen = Detections.empty() if detections is None else detections
        warp = None if frame.image is None else self._see(frame, frame.image, seen)
        self.latest = (self.latest[1], frame.index, np.eye(2, 3) if warp is None else warp)
        self.frames, self.moved = self.frames + 1, self.moved + (warp is not None)
        return warp

    def _see(self, frame: Frame, image: np.ndarray, detections: Detections) -> np.ndarray | None:
        if self._is_elsewhere(frame, image):
            self._view, self._step, self._failed, self._rests = None, np.inf, 0, 0
        elif self._index >= 0:
            self._step = min(self._step, (frame.time - self._time) / (frame.index - self._index))
        self._index, self._time, self._size = frame.index, frame.time, image.shape[:2]
        if self._rests > 0:
            self._rests -= 1
            return None
        if self._view is not None and self._looks_still(image):
            self.stood += 1
            return None
        view = view_of(image, detections.xyxy[detections.score >= MASKED_FROM])
        if view.grey.std() < BLANK:
            return None
        before, self._view = self._view, view
        if before is None:
            self._stand(Watch.over(image, view))
            return None
        self.compared += 1
        small = self._estimate(before, view)
        if small is None:
            self._give_up(image, view)
            return None
        self._failed = 0
        if not self._moves(small, image, view):
            self.stood += 1
            return None
        return full_size(small, view.grey.shape, self._size)

    def _is_elsewhere(self, frame: Frame, image: np.ndarray) -> bool:
        if self._index < 0:
            return False
        if image.shape[:2] != self._size or frame.index <= self._index:
            return True
        step = (frame.time - self._time) / (frame.index - self._index)
        return bool(np.isfinite(self._step)) and step > max(GAP, TIMES * self._step)

    def _looks_still(self, image: np.ndarray) -> bool:
        self._watched += 1
        return self._watch is not None and self._watched <= RENEW and self._watch.motion(image) < self._alarm

    def _moves(self, small: np.ndarray, image: np.ndarray, view: View) -> bool:
        """Whether this motion, (2, 3) in small px, is to be told; goes over from watching to comparing and back."""
        height, width = view.grey.shape
        if self._watch is not None:
            if reach(small, width, height) >= STILL:
                self._watch, self._since, self._calm = None, np.eye(3), 0
                return True
            # a false alarm (light, a crowd) raises the threshold, a mere renewal sets it back
            raised = min(self._alarm * AFTER_FALSE_ALARM, HIGHEST_ALARM)
            self._stand(Watch.over(image, view), raised if self._watched <= RENEW else ALARM)
            return False
        self._since = np.vstack((small, (0, 0, 1))) @ self._since
        self._calm += 1
        if reach(self._since, width, height) >= STILL:
            self._since, self._calm = np.eye(3), 0
        if self._calm >= CALM:
            self._stand(Watch.over(image, view))
        return True

    def _give_up(self, image: np.ndarray, view: View) -> None:
        """No estimate. Where that is how it goes (a bare wall, people everywhere) try less and less often."""
        self._since, self._calm = np.eye(3), 0
        if self._watch is not None:
            self._stand(Watch.over(image, view), min(self._alarm * AFTER_FALSE_ALARM, HIGHEST_ALARM))
            return
        self._failed += 1
        if self._failed >= PATIENCE and self._watches:
            self._rests = min(2 ** (self._failed - PATIENCE), LONGEST_REST)
            self._view = None  # old by then

    def _stand(self, watch: Watch | None, alarm: float = ALARM) -> None:
        """Watch from here on; with too few points to see by, go on comparing."""
        self._watch = watch if watch is not None and self._watches and len(watch.xy) >= FEW else None
        self._watched, self._alarm = 0, alarm


Camera = FileCamera | EstimatedCamera


def shares(camera: Camera) -> dict[str, float]:
    """Of the frames asked for: told to move, seen to stand, and no telling (no picture, no estimate, the first)."""
    frames = max(camera.frames, 1)
    unknown = camera.frames - camera.moved - camera.stood
    counts = {"moving": camera.moved, "still": camera.stood, "unknown": unknown}
    return {name: round(count / frames, 4) for name, count in counts.items()}


def warp_lines(told: Told) -> str:
    """What a camera told last (``camera.latest``) as lines that :func:`read_warps` reads.

    Frames that were left out in between stand still: the one after them has made up for them.
    """
    before, frame, warp = told
    still = "".join(_line(index, np.eye(2, 3)) for index in range(before + 1, frame))
    return still + _line(frame, warp)


def _line(index: int, warp: np.ndarray) -> str:
    return "\t".join((str(index), *map(repr, np.asarray(warp, np.float64).ravel().tolist()))) + "\n"


def read_warps(path: str | Path) -> dict[int, np.ndarray]:
    """A file of warps: a line each, 0-based frame and the 2x3 warp from the frame before, row-major, by blanks.

    Returns:
        frame index -> (2, 3) float64.

    Raises:
        InputError: no such file, or a malformed line, which is named.
    """
    try:
        lines = read_bounded(path, "a text file of camera warps").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; expected camera warps") from None
    warps: dict[int, np.ndarray] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = np.array(line.split(), np.float64)
        except ValueError:
            values = np.zeros(0)
        sound = values.size == COLUMNS and (np.abs(values) <= LARGEST).all()
        sound = sound and values[0] >= 0 and values[0] % 1 == 0
        if not sound or np.linalg.det(values[1:].reshape(2, 3)[:, :2]) == 0:
            raise InputError(
                f"{path}, line {number}: expected a frame (from 0) and an invertible 2x3 warp, {COLUMNS} numbers; "
                f"got {line[:40]!r}"
            )
        if int(values[0]) in warps:
            raise InputError(f"{path}, line {number}: frame {int(values[0])} comes twice")
        warps[int(values[0])] = values[1:].reshape(2, 3)
    return warps
