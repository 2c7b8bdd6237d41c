"""The page as one static folder, to open from the disk or to send: the same page, whose answers lie beside it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from retrace.configs.errors import InputError
from retrace.configs.files import atomic_folder
from retrace.tools.viewing.board import Board
from retrace.tools.viewing.place import Place
from retrace.tools.viewing.server import page_files
from retrace.tools.viewing.video import FrameReader, crop, make_proxy, shown_file, times

ASKED = ("about", "boxes", "predicted", "times", "persons", "events", "totals")
MOMENTS = 300  # that are told of: those of the events
MARK = b"<!-- answers -->"  # in index.html, where the script with the answers goes


def export(board: Board, folder: Path, say: Callable[[str], None] = lambda line: None) -> Path:
    """Write ``folder/index.html`` and what it needs; read-only, without a server and without the network.

    Args:
        board: what is shown.
        folder: must not be there yet, or be an earlier export; it appears when all is written.
        say: told a line a sequence.

    Raises:
        InputError: the folder is something else, or cannot be written.
    """
    if folder.exists() and not (folder / "answers.js").is_file():
        raise InputError(f"{folder}: is already there, and no export; name another folder")
    with atomic_folder(folder, replace=True) as partial:
        (partial / "static").mkdir()
        _write(board, partial, say)
    return folder / "index.html"


def _write(board: Board, out: Path, say: Callable[[str], None]) -> None:
    for name, content in page_files().items():
        if name == "index.html":
            content = content.replace(MARK, b'<script src="answers.js"></script>')
        (out if name == "index.html" else out / "static").joinpath(name).write_bytes(content)
    answers: dict[str, Any] = {"api/runs": board.overall()}
    for run, found in board.runs.runs.items():
        for name, place in found.places.items():
            say(f"{name}: {_sequence(board, place, out, run, answers)}")
    if board.memory is not None:
        from retrace.tools.viewing.people import face, people

        answers["api/people"] = told = people(board.memory)
        for person in told["people"]:
            for visit in person["visits"]:
                image = face(board.memory, visit["tracklet"])
                if image is not None:
                    _file(out / "api" / "people" / f"{visit['tracklet']}.jpg", image)
    with open(out / "answers.js", "w", encoding="utf-8") as file:
        file.write("window.ANSWERS = ")
        text = json.dumps(answers, separators=(",", ":"), allow_nan=False)
        file.write(text.replace("</", "<\\/") + ";\n")


def _sequence(board: Board, place: Place, out: Path, run: str, answers: dict[str, Any]) -> str:
    """Everything of one sequence, answers by the address that the page asks for; in words what is missing."""
    base, folder = f"api/{_quoted(run)}/{_quoted(place.name)}", out / "api" / run / place.name
    if shown_file(place) is None:
        with suppress(InputError):  # the page says what is missing
            make_proxy(place)
    shown = shown_file(place)
    if shown is not None:
        folder.mkdir(parents=True)
        shutil.copyfile(shown, folder / "video.mp4")  # browsers look into it, whatever its ending
    for what in ASKED:
        _ask(board, place, what, {}, base, answers)
    if answers[f"{base}/about"].get("truth"):
        _ask(board, place, "scores", {}, base, answers)
    told = answers[f"{base}/events"]
    for event in told[:MOMENTS] if isinstance(told, list) else ():  # a broken ledger tells none
        for person in {event["id"], event["other"]} - {0}:
            _ask(board, place, "moment", {"frame": str(event["frame"]), "id": str(person)}, base, answers)
    people = answers[f"{base}/persons"]
    if not isinstance(people, list):
        return str(people["refused"])
    return f"{len(people)} people, {_crops(place, people, folder)} crops" + (
        "" if shown is not None else ", without the video"
    )


def _ask(
    board: Board, place: Place, what: str, query: dict[str, str], base: str, answers: dict[str, Any]
) -> None:
    words = "&".join(f"{key}={value}" for key, value in query.items())
    key = f"{base}/{what}" + (f"?{words}" if words else "")
    try:
        found = board.answer(place, what, query)
    except InputError as error:
        found = {"refused": str(error)}
    answers[key] = {"bytes": base64.b64encode(found).decode()} if isinstance(found, bytes) else found


def _crops(place: Place, people: list[dict[str, Any]], folder: Path) -> int:
    """The crops that the page shows of everybody, cut frame by frame."""
    stamps, shown = times(place), shown_file(place)
    if stamps is None or shown is None:
        return 0
    wanted: dict[int, set[tuple[int, int, int, int]]] = {}
    for person in people:
        for frame, x1, y1, x2, y2 in person["crops"]:
            wanted.setdefault(frame, set()).add((x1, y1, x2, y2))
    count, read = 0, FrameReader(shown)
    for frame in sorted(wanted):
        image = read(float(stamps[frame])) if frame < len(stamps) else None
        if image is None:
            continue
        for x1, y1, x2, y2 in sorted(wanted[frame]):
            cut = crop(image, (x1, y1, x2, y2), place.size)
            if cut is not None:
                _file(folder / "crop" / str(frame) / f"{x1}_{y1}_{x2}_{y2}.jpg", cut)
                count += 1
    return count


def _file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _quoted(name: str) -> str:
    return quote(name, safe="!~*'()")  # as encodeURIComponent
