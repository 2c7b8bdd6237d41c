"""Where a run stands, kept on disk, so that one that was stopped can go on with the same bytes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.configs.files import atomic_write, writing
from retrace.configs.reading import read_npz
from retrace.tracker import Tracker
from retrace.tracker.camera.warps import Camera
from retrace.tracker.data import Detections, Step
from retrace.tracker.offline.reconnect import LooksSoFar

EVERY = 10.0  # s of wall time
EVERY_LIVE = 2.0  # what comes between it and a kill is lost: nobody can look again
UNLIKE = 0.01  # share by which a rate may differ from the stated one: the clock's grain
FEW = 10  # frames, of which no rate is measured
KEPT = ("next_frame", "digest", "positions", "frames", "corrupt", "dropped", "began", "ended", "clock")


def checkpoint_of(out: Path, name: str) -> Path:
    """Where the run of a source keeps where it stands."""
    return out / f"{name}.checkpoint.npz"


@dataclass(slots=True)
class RunState:
    """What a checkpoint keeps: the tracker's state, and beside it that of everything else with a memory."""

    tracker: Tracker
    camera: Camera | None = None
    looks: LooksSoFar | None = None
    alike: Any = None  # what counts how alike people look
    memory: Any = None  # what goes to an identity memory
    network: Any = None  # an embedder that goes by what it has seen of the video
    detector: Any = None  # one that does
    sparing: Any = None  # what counts the crops that are left out

    def _beside(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"camera_": self.camera, "ledger_": self.tracker.ledger}
        parts |= {"looks_": self.looks, "alike_": self.alike, "memory_": self.memory}
        parts |= {"network_": self.network, "detector_": self.detector, "sparing_": self.sparing}
        return {prefix: part for prefix, part in parts.items() if part}

    def state_dict(self) -> dict[str, Any]:
        state = self.tracker.state_dict()
        for prefix, part in self._beside().items():
            state |= {prefix + name: value for name, value in part.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for prefix, part in self._beside().items():
            own = {name.removeprefix(prefix): state.pop(name) for name in [*state] if name.startswith(prefix)}
            part.load_state_dict(own)
        self.tracker.load_state_dict(state)


class Checkpoint:
    """``SEQUENCE.checkpoint.npz``: the tracker's state, the next frame, how much of each text file is good."""

    def __init__(self, path: Path, fingerprint: dict[str, object], live: bool = False) -> None:
        """
        Args:
            path: the file.
            fingerprint: all that the result depends on; a run with another one may not go on from here.
            live: whether the source is.
        """
        self.path = path
        self.next_frame = 0
        self.digest = ""  # chained sha256 of the detections so far
        self.positions: dict[str, int] = {}  # bytes of each text sink
        self.frames = 0  # done so far
        self.corrupt: list[int] = []  # numbers of frames that could not be read
        self.dropped = 0  # boxes of no size
        self.began: tuple[int, float] | None = None  # number and time (s) of the first frame
        self.ended = (0, 0.0)  # of the last
        self.clock = 0.0  # s of the epoch, when this was kept of a live source
        self._fingerprint = json.dumps(fingerprint, sort_keys=True)
        self._saved, self._live = time.monotonic(), live

    def took(self, step: Step) -> None:
        """Note a frame that is done."""
        self.next_frame = step.frame.index + 1
        self.ended = (step.frame.index, step.frame.time)
        self.began = self.began or self.ended
        self.digest = chained_hash(self.digest, step.detections)
        self.frames += 1
        self.dropped += step.detections.dropped

    def measured_rate(self, stated: float) -> float:
        """Frames/s: as stated, unless the frames' times say something that is more than ``UNLIKE`` away."""
        frames, seconds = (
            end - begin for begin, end in zip(self.began or self.ended, self.ended, strict=True)
        )
        measured = frames / seconds if frames >= FEW and seconds > 0 else stated
        return stated if abs(measured / stated - 1) <= UNLIKE else measured

    def due(self) -> bool:
        return time.monotonic() - self._saved >= (EVERY_LIVE if self._live else EVERY)

    def save(self, state: RunState, positions: dict[str, int]) -> None:
        """Keep the present; written beside and renamed, so there is always a whole one."""
        self.positions, self.clock = positions, time.time() if self._live else 0.0
        meta = {name: getattr(self, name) for name in KEPT}
        arrays: dict[str, Any] = state.state_dict()
        arrays |= {"meta": np.array(json.dumps(meta)), "fingerprint": np.array(self._fingerprint)}
        with writing(self.path), atomic_write(self.path, "wb") as file:
            np.savez(file, checksum=_checksum(arrays), **arrays)
        self._saved = time.monotonic()

    def restore(self, state: RunState) -> bool:
        """Go back to what was kept; False: nothing was.

        Raises:
            InputError: the file is damaged, or the run that left it was another one.
        """
        if not self.path.is_file():
            return False
        arrays = self._read()
        meta, fingerprint = json.loads(str(arrays.pop("meta"))), str(arrays.pop("fingerprint"))
        if fingerprint != self._fingerprint:
            changed = _differences(json.loads(fingerprint), json.loads(self._fingerprint))
            raise InputError(
                f"{self.path}: left by a run with another {changed}; run as before, or without `resume`"
            )
        try:
            state.load_state_dict(arrays)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise InputError(
                f"{self.path}: left by another version ({one_line(error)}); delete it to begin anew"
            ) from None
        for name in KEPT:
            setattr(self, name, meta[name])
        return True

    def _read(self) -> dict[str, np.ndarray]:
        """The file's arrays, which are what was written."""
        try:
            arrays, _ = read_npz(self.path, "checkpoint")
            told = str(arrays.pop("checksum"))
        except (InputError, KeyError) as error:
            raise InputError(f"{self.path}: damaged ({one_line(error)}); delete it to begin anew") from None
        if told != _checksum(arrays):
            raise InputError(f"{self.path}: damaged (its checksum differs); delete it to begin anew")
        return arrays

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    def blind_for(self) -> float:
        """s of the wall clock since this was kept, in which a live source went on unseen."""
        return max(0.0, time.time() - self.clock)


def kept_at(path: Path) -> tuple[int, float] | None:
    """How many frames a checkpoint has done, and its source's rate, frames/s; None: there is none that can be read."""
    try:
        arrays, _ = read_npz(path, "checkpoint")
        return int(json.loads(str(arrays["meta"]))["next_frame"]), float(arrays["fps"])
    except (InputError, KeyError, ValueError, TypeError):
        return None


def chained_hash(digest: str, detections: Detections) -> str:
    """sha256 over the hash of the frames before and this frame's boxes, scores and classes."""
    block = hashlib.sha256(digest.encode())
    for array in (detections.xyxy, detections.score, detections.class_id):
        block.update(np.ascontiguousarray(array).tobytes())
    return block.hexdigest()


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _differences(before: dict[str, object], now: dict[str, object]) -> str:
    return ", ".join(sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k)))
