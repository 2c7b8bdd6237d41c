"""One sequence of a run as the page shows it: its files, read once until they change, and what is missing of them."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.files import file_hash
from retrace.tracker.data import MotTable
from retrace.tracker.ledger.by_identity import History, read_history
from retrace.tracker.ledger.file import LedgerFile
from retrace.tracker.mot_file import read_results
from retrace.tracker.offline.edits import Corrected, append_edit, apply, placed, read_edits, refusal
from retrace.tracker.offline.files import read_looks
from retrace.tracker.offline.reconnect import Looks
from retrace.tracker.run.manifest import rate_of, size_of

# the tracker's own ids, where NAME.txt has those of people or of passes
ENDINGS = (
    ".tracks.txt",
    ".online.txt",
)
MOST_FRAMES = 2 * 10**7  # that are believed: a week of 30 a second
Value = TypeVar("Value")


class FileCache:
    """What was made of files, made again once one of them has changed."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[object, Any]] = {}
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def __call__(self, key: str, files: Sequence[Path], make: Callable[[], Value]) -> Value:
        now = tuple(map(stamp, files))
        with self._locks[key]:
            known = self._found.get(key)
            if known is None or known[0] != now:
                known = self._found[key] = (now, make())
            return known[1]


class Place:
    """One sequence of a run.

    Args:
        folder: of the run.
        name: of the sequence.
        record: what run.json says of it; empty while it is tracked.
        source: the video, as it was given to track.py; None: unknown.
        weights: of the looks, where run.json names them.
    """

    def __init__(
        self, folder: Path, name: str, record: dict[str, Any], source: str | None, weights: Path | None = None
    ) -> None:
        self.folder, self.name, self.record, self.source, self.weights = folder, name, record, source, weights
        self.kept = FileCache()

    # -- where things lie

    def beside(self, ending: str) -> Path:
        return self.folder / f"{self.name}{ending}"

    @property
    def edits_file(self) -> Path:
        return self.beside(".edits.jsonl")

    @property
    def proxy(self) -> Path:
        """Where a copy of the video lies that browsers play."""
        return self.beside(".view.mp4")

    @property
    def result_file(self) -> Path:
        """The tracker's result; what there is of it while it is tracked, or of one that was stopped."""
        whole, grown = self.beside(".txt"), self.beside(".txt.partial")
        return whole if whole.is_file() or not grown.is_file() else grown

    @property
    def growing(self) -> bool:
        """Whether it is still being tracked, or was stopped."""
        return self.result_file.name.endswith(".partial")

    # -- what they say

    @property
    def fps(self) -> float:
        return rate_of(self.record, "measured_fps") or rate_of(self.record) or 30.0

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) px."""
        return size_of(self.record)

    @property
    def class_names(self) -> dict[int, str]:
        """What the detector's classes are called, by number from 0; empty where all are people."""
        told = self.record.get("classes")
        return {int(k): str(v) for k, v in told.items() if str(k).isdigit()} if isinstance(told, dict) else {}

    @property
    def frames(self) -> int:
        told = self.record.get("frames")
        return max(
            told if isinstance(told, int) and told <= MOST_FRAMES else 0,
            int(self.table().frame.max(initial=-1)) + 1,
        )

    def table(self) -> MotTable:
        """The tracker's result.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        path = self.result_file
        if not path.is_file():
            raise InputError(f"{path}: no such result; run track.py again")
        if not path.name.endswith(".partial"):
            return self.kept("table", [path], lambda: read_results(path))
        return self.kept("table", [path], lambda: _grown(path))

    def result_hash(self) -> str:
        """Of the result as the tracker wrote it: edits say on which one they were made."""
        path = self.result_file
        return self.kept("hash", [path], lambda: file_hash(path)[:16])

    def edits(self) -> list[Any]:
        """Of the file beside the result; none where it is broken, which :meth:`missing` says."""
        return self._edits()[0]

    def _edits(self) -> tuple[list[Any], str]:
        def read() -> tuple[list[Any], str]:
            try:
                return read_edits(self.edits_file), ""
            except InputError as error:
                return [], str(error)

        return self.kept("edits", [self.edits_file], read)

    def corrected(self) -> Corrected:
        """The result with the edits that lie beside it."""
        files = [self.result_file, self.edits_file]
        return self.kept("corrected", files, lambda: apply(self.edits(), self.table(), self.result_hash()))

    def edit(self, edit: Any, known: int) -> int:
        """Append an edit, which notes where it was made; its number.

        Args:
            known: how many edits the one who made it has seen.

        Raises:
            InputError: it would do nothing, others have edited meanwhile, or it cannot be written.
        """
        table, edits = self.corrected().table, self.edits()
        why = refusal(edit, edits, table, self.frames) if known == len(edits) else ""
        if why:
            raise InputError(f"{edit.op} does not fit: {why}")
        told = placed(edit, table, self.result_hash())
        return append_edit(self.edits_file, told, known)

    def tracker_ids(self) -> np.ndarray:
        """(R,) int64, what the tracker itself called the boxes of :meth:`table`; 0: none of its own."""
        own = next((self.beside(e) for e in ENDINGS if self.beside(e).is_file()), None)
        if own is None or self.growing:
            return self.table().id
        return self.kept("own", [own, self.result_file], lambda: _same_boxes(self.table(), read_results(own)))

    def corrected_tracker_ids(self) -> np.ndarray:
        """(R,) the same of the corrected boxes."""
        origin, own = self.corrected().origin, self.tracker_ids()
        return np.where(origin >= 0, own[origin], 0) if len(own) else np.zeros(len(origin), np.int64)

    def today(self, frame: int, tracker_id: int) -> int:
        """What the one whom the tracker called so in a frame, or last before it, is called now; 0: nobody."""
        table, own = self.corrected().table, self.corrected_tracker_ids()
        rows = ((own == tracker_id) & (table.frame <= frame)).nonzero()[0]
        return int(table.id[rows[-1]]) if len(rows) else 0

    def predicted(self) -> np.ndarray:
        """(R,) bool, which corrected boxes were only predicted; none where no JSON lines were saved."""
        keys, table = self._predicted()[0], self.corrected().table
        return np.isin(_key(table.frame, self.corrected_tracker_ids()), keys)

    def _predicted(self) -> tuple[np.ndarray, str]:
        path = self.beside(".jsonl")
        return self.kept("predicted", [path], lambda: _predicted(path))

    def ledger(self) -> History | None:
        """Of the file beside the result; None: there is none.

        Raises:
            InputError: it is broken.
        """
        path = self.beside(".ledger.jsonl")

        def read() -> tuple[History | None, str]:
            try:
                return read_history(LedgerFile(path)), ""
            except InputError as error:
                return None, str(error)

        told, trouble = self.kept("ledger", [path], read) if path.is_file() else (None, "")
        if trouble:
            raise InputError(f"The ledger is broken, so reasons are not shown: {trouble}")
        return told

    def looks(self) -> Looks | None:
        """Everybody's looks by the tracker's ids; None: there are none, or they are broken, which :meth:`missing`
        says."""
        return self._looks()[0]

    def _looks(self) -> tuple[Looks | None, str]:
        path = self.beside(".looks.npz")

        def read() -> tuple[Looks | None, str]:
            try:
                return read_looks(path), ""
            except InputError as error:
                return None, str(error)

        return self.kept("looks", [path], read) if path.is_file() else (None, "")

    def missing(self) -> list[str]:
        """What the page cannot show, and how to get it."""
        said = []
        if self._edits()[1]:
            said.append(f"Edits are not applied: {self._edits()[1]}")
        unfit = len(self.corrected().unfit)
        if unfit:
            said.append(
                f"{unfit} edit{'s do' if unfit > 1 else ' does'} not fit this result: the Edits say why."
            )
        if self.growing:
            said.append(
                "This run is not finished: what there is of it is shown. If it was stopped, "
                "`track.py --resume` goes on."
            )
        if self.source is None or not Path(self.source).exists():
            gone = f"The video is not at {self.source} any more" if self.source else "No video is known"
            back = " Put it there again, or into the run's folder." if self.source else ""
            said.append(f"{gone}: boxes are shown without it.{back}")
        if self.beside(".jsonl").is_file() and self._predicted()[1]:
            said.append(f"Predicted boxes look like seen ones: {self._predicted()[1]}")
        elif not self.beside(".jsonl").is_file():
            said.append("Predicted boxes look like seen ones: `track.py --save mot,jsonl` tells them apart.")
        if not self.beside(".ledger.jsonl").is_file():
            said.append(
                "Why somebody was lost or switched is not known: `track.py --save mot,ledger` keeps it."
            )
        if self._looks()[1]:
            said.append(f"Looks are broken, so likeness is not shown: {self._looks()[1]}")
        elif not self.beside(".looks.npz").is_file():
            said.append("Who looks like whom is not known: `track.py --save mot,looks` keeps it.")
        return said


def stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None: there is none."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size


def _grown(path: Path) -> MotTable:
    """A result that grows: its last line may be half there, and none may be there at all."""
    import tempfile

    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    if not whole:
        nothing = np.zeros(0, np.int64)
        return MotTable(nothing, nothing, np.zeros((0, 4)), np.zeros(0), nothing, np.zeros(0))
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(whole)
        file.flush()
        return read_results(file.name)


def _same_boxes(table: MotTable, own: MotTable) -> np.ndarray:
    """(R,) the ids that ``own`` has for the boxes of ``table``: equal frame and corners, to 0.01 px; else 0."""
    keys = [
        np.concatenate((one.frame[:, None], np.rint(100 * one.xyxy).astype(np.int64)), axis=1)
        for one in (table, own)
    ]
    known = {tuple(key): person for key, person in zip(keys[1].tolist(), own.id.tolist(), strict=True)}
    return np.array([known.get(tuple(key), 0) for key in keys[0].tolist()], np.int64)


def _predicted(path: Path) -> tuple[np.ndarray, str]:
    """Keys of the boxes that JSON lines tell to be predicted; none where they cannot be read, and why."""
    frames, ids, number = [], [], 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):  # noqa: B007
                if not line.endswith("}\n"):
                    raise ValueError
                if '"det_index":-1' not in line.replace(" ", ""):
                    continue
                step = json.loads(line)
                gone = [track["id"] for track in step["tracks"] if track["det_index"] < 0]
                frames += [step["frame"]] * len(gone)
                ids += gone
    except FileNotFoundError:
        return np.zeros(0, np.int64), ""
    except (OSError, ValueError, KeyError, TypeError):
        return np.zeros(0, np.int64), f"{path}, line {number} is broken"
    return _key(np.array(frames, np.int64), np.array(ids, np.int64)), ""


def _key(frame: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return frame.astype(np.int64) << 32 | ids.astype(np.int64)
