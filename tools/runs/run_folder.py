"""A run's folder as the page shows it: what is there, what is missing and how to get it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.tools.runs.manifest import rate_of, size_of
from retrace.tracker.analytics import summarise
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results
from retrace.tracker.offline.edits import Corrected, apply, read_edits

PLAYABLE = {".mp4", ".m4v", ".mov", ".webm"}


@dataclass(frozen=True, slots=True)
class Place:
    """One sequence of a run."""

    folder: Path
    name: str
    record: dict[str, Any]  # what run.json says of it
    source: str | None  # as it was given to track.py

    @property
    def fps(self) -> float:
        return rate_of(self.record) or 30.0

    @property
    def edits_file(self) -> Path:
        return self.folder / f"{self.name}.edits.jsonl"

    @property
    def proxy(self) -> Path:
        """Where a copy lies that browsers play."""
        return self.folder / f"{self.name}.view.mp4"

    def table(self) -> MotTable:
        """The tracker's result; what there is of one that was stopped.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        whole, grown = (self.folder / f"{self.name}{ending}" for ending in (".txt", ".txt.partial"))
        if not whole.is_file() and not grown.is_file():
            raise InputError(f"{whole}: no such result; run track.py again")
        return read_results(whole if whole.is_file() else grown)

    def corrected(self) -> Corrected:
        """With the edits that lie beside it."""
        return apply(read_edits(self.edits_file), self.table())

    def predicted(self) -> set[tuple[int, int]]:
        """(frame, id) of boxes that were only predicted, where JSON lines were saved."""
        path = self.folder / f"{self.name}.jsonl"
        found = set()
        try:
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    step = json.loads(line)
                    found |= {
                        (step["frame"], track["id"]) for track in step["tracks"] if track["det_index"] < 0
                    }
        except (OSError, ValueError, KeyError, TypeError):
            return set()  # the page says that they are not told apart
        return found

    def video(self) -> Path | None:
        """A file that a browser plays with one frame a frame: the proxy, else None."""
        return self.proxy if self.proxy.is_file() else None

    def missing(self) -> list[str]:
        """What the page cannot show, and how to get it."""
        said = []
        if not self.record.get("complete", True):
            said.append("This run was stopped: what there is of it is shown. `track.py --resume` goes on.")
        if self.source is None or not Path(self.source).exists():
            said.append(
                f"The video is not where it was ({self.source or 'unknown'}): boxes are shown without it."
            )
        if not (self.folder / f"{self.name}.jsonl").is_file():
            said.append("Predicted boxes look like seen ones: `track.py --save mot,jsonl` tells them apart.")
        if not (self.folder / f"{self.name}.ledger.jsonl").is_file():
            said.append(
                "Why somebody was lost or switched is not known: `track.py --save mot,ledger` keeps it."
            )
        return said

    def about(self) -> dict[str, Any]:
        """All but the boxes, as plain values."""
        corrected = self.corrected()
        frames = self.record.get("frames")
        told = summarise(corrected.table, self.fps)
        return {
            "name": self.name,
            "fps": self.fps,
            "size": size_of(self.record),
            "frames": (frames if isinstance(frames, int) and frames > 0 else 0)
            or int(corrected.table.frame.max(initial=-1)) + 1,
            "video": self.video() is not None,
            "missing": self.missing(),
            "names": {str(k): v for k, v in corrected.names.items()},
            "sure": sorted(corrected.sure),
            "unfit": [{"edit": number, "why": why} for number, why in corrected.unfit],
            "edits": [edit.model_dump(exclude_none=True) for edit in read_edits(self.edits_file)],
            "summary": str(told),
        }

    def boxes(self) -> bytes:
        """The corrected boxes for the page: see `packed`."""
        return packed(self.corrected().table, self.predicted())


class RunFolder:
    """The folder that track.py wrote.

    Raises:
        InputError: it is none, or its run.json is broken.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            told = json.loads((self.folder / "run.json").read_bytes())
            records = {str(name): dict(record) for name, record in told["sequences"].items()}
        except OSError:
            raise InputError(f"{folder}: no run.json there; name the --out folder of track.py") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{folder}: its run.json is broken; run track.py again") from None
        self._told = told
        self.places = {
            name: Place(self.folder, name, record, self._source(name)) for name, record in records.items()
        }

    def _source(self, name: str) -> str | None:
        """The argument of track.py that has this name."""
        words = self._told.get("arguments")
        for word in words if isinstance(words, list) else []:
            if isinstance(word, str) and not word.startswith("-") and Path(word).stem == name:
                return word
        return None

    @cached_property
    def names(self) -> list[str]:
        return sorted(self.places)

    def place(self, name: str) -> Place:
        """A sequence of the run.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.places:
            raise InputError(f"no sequence {name!r} in this run")
        return self.places[name]


def packed(table: MotTable, predicted: set[tuple[int, int]]) -> bytes:
    """R boxes as bytes that a browser maps without parsing: "RTV1", R uint32; frame uint32 (R,), id uint32 (R,), xyxy
    float32 (R, 4), flags uint8 (R,): 1 if only predicted. Little endian, sorted by frame, then id."""
    order = np.lexsort((table.id, table.frame))
    frame, ids = table.frame[order], table.id[order]
    flags = np.array([(int(f), int(i)) in predicted for f, i in zip(frame, ids, strict=True)], np.uint8)
    if not predicted:
        flags = np.zeros(len(order), np.uint8)
    return b"".join(
        (
            b"RTV1",
            struct.pack("<I", len(order)),
            frame.astype("<u4").tobytes(),
            ids.astype("<u4").tobytes(),
            table.xyxy[order].astype("<f4").tobytes(),
            flags.tobytes(),
        )
    )


def make_proxy(place: Place) -> None:
    """A copy of the source that every browser plays and whose frame k is frame k of the source: H.264, a constant rate.
    Grey frames stand for those that cannot be read.

    Raises:
        InputError: the source is gone or cannot be read, or the run's folder cannot be written.
    """
    from retrace.tracker.outputs.plain_video import write_plain_video
    from retrace.tracker.sources import open_source

    if place.source is None or not Path(place.source).exists():
        raise InputError(f"{place.source or place.name}: the source is not there any more")
    write_plain_video(place.proxy, open_source(place.source), place.fps)
