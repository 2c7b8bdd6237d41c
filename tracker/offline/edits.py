"""Corrections by hand: a list of edits that only grows, and what a result looks like with them.

The result itself is never touched: ``apply(edits, table)`` makes the corrected one, so an undo is one more line.

An edit notes where the identities that it names were (:func:`placed`). When tracking was run again, their numbers say
nothing any more: whoever is in that place is meant. An edit that fits nobody is listed, not guessed at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from retrace.configs.errors import InputError
from retrace.configs.files import append_line, reading, writing
from retrace.configs.loader import Strict
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import MotTable

Id = Annotated[int, Field(ge=1, le=2**53)]
FrameIndex = Annotated[int, Field(ge=0, le=10**8)]
NewId = Annotated[int, Field(ge=1, le=2**32 - 1)]  # the page counts so far
Pixels = Annotated[float, Field(allow_inf_nan=False)]
Corners = tuple[Pixels, Pixels, Pixels, Pixels]
# px: what is drawn lies in a picture, or just outside
Near = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
SAME_PLACE = 0.5  # IoU from which a box of another result is the one that an edit was about


class Seen(Strict):
    """Where an identity was when an edit named it."""

    id: Id
    frame: FrameIndex
    xyxy: Corners


class _Edit(Strict):
    result: Annotated[str, Field(max_length=64)] | None = None  # the result it was made on, by its hash
    seen: Annotated[tuple[Seen, ...], Field(max_length=2)] | None = None


class Merge(_Edit):
    """``other`` is ``id``. Where both have a box in a frame, the other's goes."""

    op: Literal["merge"]
    id: Id
    other: Id


class Split(_Edit):
    """From ``frame`` on, ``id`` is somebody else: ``new``."""

    op: Literal["split"]
    id: Id
    frame: FrameIndex
    new: NewId


class Swap(_Edit):
    """From ``frame`` on, ``id`` and ``other`` are each other."""

    op: Literal["swap"]
    id: Id
    other: Id
    frame: FrameIndex


class Delete(_Edit):
    """``id`` is nobody; with frames only from ``first`` to ``last``."""

    op: Literal["delete"]
    id: Id
    first: FrameIndex | None = None
    last: FrameIndex | None = None


class Box(_Edit):
    """A box that was missed, or a better place for one."""

    op: Literal["box"]
    id: NewId
    frame: FrameIndex
    xyxy: tuple[Near, Near, Near, Near]


class Name(_Edit):
    """What people call ``id``; "" takes the name away."""

    op: Literal["name"]
    id: Id
    name: Annotated[str, Field(max_length=100)]


class Sure(_Edit):
    """Somebody has looked at ``id`` and it is right."""

    op: Literal["sure"]
    id: Id
    sure: bool = True


class Undo(_Edit):
    """Edit number ``of`` does not count; an undo of that undo brings it back."""

    op: Literal["undo"]
    of: Annotated[int, Field(ge=0)]


Edit = Annotated[Merge | Split | Swap | Delete | Box | Name | Sure | Undo, Field(discriminator="op")]
EDIT: TypeAdapter[Any] = TypeAdapter(Edit)
DRAWN = 1.0  # in the column that carries rows through the edits (visibility): a box drawn by hand


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """A result with its edits."""

    table: MotTable
    names: dict[int, str]  # what people are called
    sure: set[int]  # identities that somebody has checked
    unfit: list[tuple[int, str]]  # number of each edit that does not fit any more, and why
    origin: np.ndarray  # (R,) int64, the row of the result that each box is, -1: drawn by hand


def parse_edit(raw: object, where: str = "edit") -> Any:
    """One edit of plain values.

    Raises:
        InputError: no edit; the message says what is wrong with it.
    """
    try:
        return EDIT.validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {place + ': ' if place else ''}{first['msg'][:200]}") from None


def read_edits(path: str | Path) -> list[Any]:
    """The edits in a file of JSON lines; none where there is no file. A last line that broke off does not count.

    Raises:
        InputError: a line that is no edit, with its number.
    """
    path = Path(path)
    if not path.is_file():
        return []
    with reading(path, refusal=UnicodeError):
        lines = path.read_text(encoding="utf-8").split("\n")
    found = []
    for number, line in enumerate(lines[:-1], 1):  # what ends without a line end was never acknowledged
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{path}, line {number}: no JSON; mend or remove the line") from None
        found.append(parse_edit(raw, f"{path}, line {number}"))
    return found


def append_edit(path: str | Path, edit: Any, expected: int | None = None) -> int:
    """One more line, on the disk before this returns; its number, from 0.

    Args:
        expected: how many edits the writer knows of; more have come: refused, so that nobody mends what he has not
            seen.

    Raises:
        InputError: others have edited meanwhile, or the file cannot be written.
    """
    path = Path(path)
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            _lock(file)
            whole = file.read()
            count = whole.count(b"\n")
            if expected is not None and count != expected:
                raise InputError(f"{path}: {count} edits there, {expected} known here; load them first")
            append_line(file, edit.model_dump_json(exclude_none=True))
    return count


def _lock(file: Any) -> None:
    """One writer at a time, where the system has locks."""
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def counted(edits: Sequence[Any]) -> list[tuple[int, Any]]:
    """The edits that count, with their numbers: an undo takes away the edit that it names, an undo of an undo
    brings it back."""
    alive = _alive(edits)
    return [(k, edit) for k, edit in enumerate(edits) if alive[k] and edit.op != "undo"]


def _alive(edits: Sequence[Any]) -> list[bool]:
    alive = [True] * len(edits)
    for number in range(len(edits) - 1, -1, -1):
        edit = edits[number]
        if alive[number] and edit.op == "undo" and edit.of < number:
            alive[edit.of] = False
    return alive


def refusal(edit: Any, edits: Sequence[Any], table: MotTable, frames: int) -> str:
    """Why a new edit would do nothing, or nothing that can be shown; "": it fits.

    Args:
        edit: the new one.
        edits: those before it.
        table: the result, corrected by them.
        frames: of the run.
    """
    if edit.op == "undo":
        alive = _alive(edits)
        if edit.of >= len(edits):
            return f"there is no edit {edit.of}"
        return "" if alive[edit.of] else f"edit {edit.of} does not count as it is"
    beyond = max(getattr(edit, key, None) or 0 for key in ("frame", "first", "last"))
    if beyond >= frames:
        return f"there is no frame {beyond}; the last one is {frames - 1}"
    return "".join(why for _, why in apply([edit], table).unfit)


def apply(edits: Sequence[Any], table: MotTable, result: str | None = None) -> Corrected:
    """The corrected result.

    Args:
        edits: in the order in which they were made, undos included.
        table: the tracker's result.
        result: its hash; edits that were made on another one are carried over by place. None: taken as they are.
    """
    names: dict[int, str] = {}
    sure: set[int] = set()
    unfit: list[tuple[int, str]] = []
    visibility, table = table.visibility, replace(table, visibility=np.arange(len(table)) + DRAWN + 1.0)
    moved: dict[tuple[str, int], int] = {}
    for number, edit in counted(edits):
        if result is not None and edit.result not in (None, result):
            edit, why = _carried_over(edit, table, moved)
            if why:
                unfit.append((number, why))
                continue
        wanted = {edit.id, edit.other} if edit.op in ("merge", "swap") else {edit.id}
        missing = sorted(wanted - set(np.unique(table.id[np.isin(table.id, [*wanted])]).tolist()))
        if missing and edit.op != "box":
            unfit.append((number, f"nobody has the id {missing[0]}"))
        elif edit.op == "name":
            names[edit.id] = edit.name
        elif edit.op == "sure":
            (sure.add if edit.sure else sure.discard)(edit.id)
        else:
            table, why = CHANGES[edit.op](table, edit)
            if why:
                unfit.append((number, why))
            elif edit.op == "merge" and not names.get(edit.id):
                names[edit.id] = names.get(edit.other, "")
    origin = table.visibility.astype(np.int64) - int(DRAWN) - 1
    seen = np.where(origin >= 0, visibility[origin], 1.0) if len(visibility) else np.ones(len(origin))
    here = set(np.unique(table.id).tolist())
    called = {k: v for k, v in names.items() if v and k in here}
    return Corrected(replace(table, visibility=seen), called, sure & here, unfit, origin)


def placed(edit: Any, table: MotTable, result: str) -> Any:
    """The edit with where its identities are in the result as it is corrected so far: in its own frame, where they
    are there, else where they are largest."""
    if edit.op == "undo":
        return edit
    found = []
    for one in [edit.id, edit.other] if edit.op in ("merge", "swap") else [edit.id]:
        rows = (table.id == one).nonzero()[0]
        if not len(rows):
            continue
        size = np.prod(table.xyxy[rows, 2:] - table.xyxy[rows, :2], axis=1)
        here = table.frame[rows] == getattr(edit, "frame", -1)
        best = rows[np.lexsort((size, here))[-1]]
        corners = tuple(table.xyxy[best].round(2).tolist())
        found.append(Seen(id=one, frame=int(table.frame[best]), xyxy=corners))
    return edit.model_copy(update={"result": result, "seen": tuple(found) or None})


def _carried_over(edit: Any, table: MotTable, moved: dict[tuple[str, int], int]) -> tuple[Any, str]:
    """The edit in the numbers of another result, or why it fits nobody there.

    Args:
        moved: by result and number what identities that edits made are called here; grows.
    """
    names = {}
    for was in edit.seen or ():
        rows = (table.frame == was.frame).nonzero()[0]
        overlap = iou_matrix(np.array([was.xyxy]), table.xyxy[rows])[0]
        if not len(rows) or overlap.max() < SAME_PLACE:
            return edit, f"nobody is where {was.id} was in frame {was.frame}"
        names[was.id] = int(table.id[rows[overlap.argmax()]])
    for field in ("id", "other", "new"):
        number = getattr(edit, field, None)
        if number is None or number in names:
            continue
        if edit.op == "box" or field == "new":  # somebody whom the edit makes: a number that nobody has
            taken = max([*moved.values(), int(table.id.max(initial=0))])
            names[number] = moved.setdefault((edit.result, number), max(number, taken + 1))
        else:
            return edit, f"the edit does not say where {number} was, and tracking was run again"
    if edit.op in ("merge", "swap") and names[edit.id] == names[edit.other]:
        return edit, f"both are {names[edit.id]} now"
    told = {field: names[getattr(edit, field)] for field in ("id", "other", "new") if hasattr(edit, field)}
    return edit.model_copy(update=told), ""


def _merge(table: MotTable, edit: Merge) -> tuple[MotTable, str]:
    if edit.id == edit.other:
        return table, "one identity already"
    both = np.isin(table.frame, table.frame[table.id == edit.id]) & (table.id == edit.other)
    return _relabelled(table.take(~both), table.id[~both] == edit.other, edit.id), ""


def _split(table: MotTable, edit: Split) -> tuple[MotTable, str]:
    if (table.id == edit.new).any():
        return table, f"somebody has the id {edit.new} already"
    later = (table.id == edit.id) & (table.frame >= edit.frame)
    if not later.any() or later.sum() == (table.id == edit.id).sum():
        return table, f"{edit.id} has no boxes on both sides of frame {edit.frame}"
    return _relabelled(table, later, edit.new), ""


def _swap(table: MotTable, edit: Swap) -> tuple[MotTable, str]:
    later = table.frame >= edit.frame
    if edit.id == edit.other:
        return table, "one identity already"
    if not np.isin(table.id[later], (edit.id, edit.other)).any():
        return table, f"neither {edit.id} nor {edit.other} has boxes from frame {edit.frame} on"
    ids = table.id.copy()
    ids[later & (table.id == edit.id)] = edit.other
    ids[later & (table.id == edit.other)] = edit.id
    return _sorted(replace(table, id=ids)), ""


def _delete(table: MotTable, edit: Delete) -> tuple[MotTable, str]:
    gone = table.id == edit.id
    if edit.first is not None:
        gone &= table.frame >= edit.first
    if edit.last is not None:
        gone &= table.frame <= edit.last
    if not gone.any():
        return table, f"{edit.id} has no boxes there"
    return table.take(~gone), ""


def _box(table: MotTable, edit: Box) -> tuple[MotTable, str]:
    x1, y1, x2, y2 = edit.xyxy
    if not (x2 > x1 and y2 > y1):
        return table, "a box of no size"
    kept = table.take(~((table.id == edit.id) & (table.frame == edit.frame)))
    mine = table.class_id[table.id == edit.id]
    columns = {
        "frame": np.append(kept.frame, edit.frame),
        "id": np.append(kept.id, edit.id),
        "xyxy": np.concatenate((kept.xyxy, np.array([edit.xyxy], kept.xyxy.dtype))),
        "score": np.append(kept.score, 1.0),
        "class_id": np.append(kept.class_id, mine[0] if len(mine) else -1),
        "visibility": np.append(kept.visibility, 1.0),
    }
    return _sorted(MotTable(**columns)), ""


CHANGES: dict[str, Any] = {"merge": _merge, "split": _split, "swap": _swap, "delete": _delete, "box": _box}


def _relabelled(table: MotTable, rows: np.ndarray, new: int) -> MotTable:
    return _sorted(replace(table, id=np.where(rows, new, table.id)))


def _sorted(table: MotTable) -> MotTable:
    return table.take(np.lexsort((table.id, table.frame)))
