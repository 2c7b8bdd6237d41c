"""Identity memories on the command line: what is printed of them, photos, sheets of what was found."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.files import atomic_write, decode_image, file_hash, writing
from retrace.tracker.memory import Memory
from retrace.tracker.memory.clocks import FEWEST, clocks, passages
from retrace.tracker.memory.editing import set_clocks, suggestions
from retrace.tracker.memory.engines import Exact, Follower, check_engine, open_engine, recall_of, rows_of
from retrace.tracker.memory.export import export, export_folder
from retrace.tracker.memory.proposals import propose
from retrace.tracker.memory.search import Found, is_crop, photo_vectors
from retrace.tracker.memory.store import Store, begun
from retrace.tracker.memory.tracklet import why
from retrace.tracker.run.opened import name_of_weights

if TYPE_CHECKING:
    from retrace.reid import Embedder

TILE = (96, 192)  # (width, height) px, of a crop on a sheet
EPOCH = 1e9  # s; 2001 on the world's clock, which live cameras tell, and 31 years of a recording
MOST = 8  # visits of a person on a sheet


def check_memory(path: str) -> None:
    """Raises InputError where no memory lies; who only looks into one must not make it."""
    if not path:
        raise InputError("FILE is empty: expected a memory; tracking with `memory` makes one")
    place = Path(path)
    if not place.exists() or not begun(place):
        what = "is empty" if place.exists() else "no such memory"
        raise InputError(f"{path}: {what}; tracking with `memory` makes one")


def numbers(words: Sequence[str]) -> list[int]:
    """Ids from the command line."""
    wrong = [word for word in words if not (word.isascii() and word.isdigit() and len(word) < 19)]
    if wrong:
        raise InputError(f"{wrong[0][:40]!r} is no id: expected a whole number")
    return [int(word) for word in words]


def open_embedder(weights: str, device: str = "auto") -> tuple[Embedder, str]:
    """The embedder, and what a memory calls its weights: file name and the first half of its sha256."""
    from retrace.reid import Embedder
    from retrace.reid.embedder import find_weights

    path = find_weights(weights)
    return Embedder.from_weights(path, device=device), weights_name(path)


def weights_name(path: Path) -> str:
    return name_of_weights(path, file_hash(path))


def vectors_of(photos: Sequence[Path], embedder: Embedder, detector: str) -> np.ndarray:
    """(M, D) float32 unit rows, one a photo; the detector is opened where one is no crop."""
    from retrace.configs.files import read_image
    from retrace.tracker.detection import open_detector

    images = []
    for path in photos:
        image = read_image(path) if path.is_file() else None
        if image is None:
            raise InputError(f"{path}: no such picture, or none that can be read")
        images.append(image)
    opened = None if all(map(is_crop, images)) else open_detector(detector)
    return photo_vectors(images, embedder, opened, [str(path) for path in photos])


# -- in words


def engine_lines(memory: Memory, name: str, searches: int = 200) -> list[str]:
    """What an engine finds of the nearest of some of the memory's own vectors, beside comparing all. It leaves no
    file."""
    people, store = memory.people, memory.store
    check_engine(name)
    here = (people.known[: people.size] & (people.person_of[: people.size] >= 0)).nonzero()[0]
    if not len(here):
        return [f"{name}: nothing to search yet"]
    engine = open_engine(name, store.path, store.collection(), store.dimension, len(here))
    Follower(engine).follow(people)
    judge = Exact(memory.store.dimension)
    Follower(judge).follow(people)
    some = here[np.linspace(0, len(here) - 1, min(searches, len(here))).astype(int)]
    times = people.begin_of[some], people.end_of[some]
    rows = rows_of(people.tracklet[some], people.camera_of[some], *times, people.vectors[some])
    found = recall_of(engine, judge, rows)
    engine.close()  # not flushed
    return [
        f"{name}: {found.vectors} vectors; of the nearest of {found.asked} of them, themselves not counted, "
        f"{found.first:.4f} found, of the ten nearest {found.ten:.4f}",
        f"{found.ms:.2f} ms a search, comparing all {found.exact_ms:.2f} ms",
    ]


def people_lines(store: Store) -> list[str]:
    """A line a person: id, name, visits, cameras, from when to when."""
    member, _ = store.partition()
    rows: dict[int, list[tuple[str, float, float]]] = {}
    for tracklet, camera, begin, end in store.read(
        "SELECT t.id, c.name, begin + clock AS b, end + clock FROM tracklet t JOIN camera c ON c.number = t.camera "
        "ORDER BY b"
    ):
        if tracklet in member:
            rows.setdefault(member[tracklet], []).append((camera, begin, end))
    named = store.called()
    lines = []
    for person in sorted(rows):
        name, pinned = named[person]
        seen = rows[person]
        cameras = ", ".join(dict.fromkeys(camera for camera, _, _ in seen))
        called = (f" {name!r}" if name else "") + (" (pinned)" if pinned else "")
        when = f"{clock(seen[0][1])} to {clock(max(end for *_, end in seen))}"
        lines.append(f"{person}{called}: {visits(len(seen))}, {cameras}, {when}")
    return lines or ["nobody yet"]


def visits(count: int) -> str:
    return f"{count} visit{'s' * (count != 1)}"


def deleted_line(counts: Mapping[str, int]) -> str:
    """What `editing.delete` has removed."""
    tracklets, people, rows = (counts[what] for what in ("tracklets", "people", "log"))
    ids = f"{people} id{'s' * (people != 1)}"
    return f"{tracklets} tracklet{'s' * (tracklets != 1)}, {ids}, {rows} row{'s' * (rows != 1)} of the log deleted"


def forgotten_line(counts: Mapping[str, int]) -> str:
    """What `editing.forget` has done."""
    return (
        f"people forgotten: {counts['people']}, tracklets reduced to their person's mean: {counts['folded']}"
    )


def server_lines(memory: Memory) -> list[str]:
    """Where vectors may still be that were deleted here."""
    return [
        f"its vectors may still be in {kind}: give `engine` {kind}:ADDRESS, here or in the next search"
        for kind in memory.servers()
    ]


def exported_line(store: Store, person: int, folder: Path) -> str:
    """Everything about one person into a new folder."""
    counts = export_folder(store, person, folder)
    return f"{folder}: " + ", ".join(f"{n} {what}" for what, n in counts.items())


def person_lines(store: Store, person: int, as_json: bool = False) -> list[str]:
    """Everything about one person; a line a visit, or JSON."""
    told = export(store, person)
    if as_json:
        return [json.dumps(told, indent=2)]
    names = {one: f"{one} {name!r}" for one, name in told["names"].items()}
    merged = ", ".join(names.get(one, str(one)) for one in told["also_known_as"])
    also = f", merged from {merged}" if merged else ""
    reason = {row["a"]: told_of(json.loads(row["evidence"])) for row in told["log"] if row["op"] == "assign"}
    who = names.get(told["person"], told["person"])
    lines = [f"person {who}{also}: {visits(len(told['tracklets']))}"]
    for one in told["tracklets"]:
        lines.append(
            f"  tracklet {one['tracklet']}: {one['camera']}, {clock(one['begin'])} to {clock(one['end'])}, "
            f"track {one['track']} of {one['source']}; {reason.get(one['tracklet'], '')}"
        )
    return lines


def told_of(evidence: Mapping[str, Any]) -> str:
    """Why a tracklet is somebody's, as the log has it."""
    return why(str(evidence.get("reason", "")), evidence.get("posterior", 1.0), evidence.get("distance"))


def suggestion_lines(store: Store) -> list[str]:
    """Who may be one person and is still two, a line a pair."""
    lines = []
    for one in suggestions(store):
        why = ", ".join(f"{key} {value}" for key, value in one.evidence.items())
        lines.append(f"person {one.younger} may be person {one.older} ({why})")
    return lines or ["nothing"]


def recluster_lines(memory: Memory) -> list[str]:
    """What comparing everybody again suggests, a line a pair; it is in the log then."""
    found = propose(memory)
    lines = [f"person {p.younger} may be person {p.older}: {100 * p.probability:.1f} %" for p in found]
    return lines or ["no two people here are likely to be one"]


def log_lines(store: Store) -> list[str]:
    """The log, a line a row."""
    lines = []
    query = "SELECT operation, at, by, op, a, b, evidence FROM log ORDER BY seq"
    for operation, at, by, op, a, b, text in store.read(query):
        known = json.loads(text)
        words = {
            "assign": f"tracklet {a} is person {b}",
            "merge": f"person {b} is person {a}",
            "undo": f"operation {a} undone",
            "suggest": f"person {b} may be person {a}",
            "reject": f"person {b} is not person {a}",
            "forget": f"{a} people forgotten, {b} tracklets reduced to their person's mean",
        }.get(op, op)
        why = ", ".join(f"{key} {value}" for key, value in known.items())
        lines.append(f"{operation}: {words} ({clock(at)}, {by}{'; ' + why if why else ''})")
    return lines or ["nothing yet"]


def clock_lines(memory: Memory, keep: bool) -> list[str]:
    """A line a pair of cameras that people went between, and a line a camera; ``keep``: clocks are corrected by it."""
    found, names = passages(memory.people), memory.people.cameras
    lines = []
    for one in found:
        ways = f"{one.there:.1f} s there ({one.count_there}), {one.back:.1f} s back ({one.count_back})"
        off = f"{one.second} is {one.offset:+.1f} s off {one.first}, give or take {one.error:.1f}"
        known = off if np.isfinite(one.offset) else f"too few both ways to tell, {FEWEST} are needed"
        lines.append(f"{one.first}, {one.second}: {ways}, spread {one.spread:.1f} s; {known}")
    more = clocks(found, names)
    told = {name: float(memory.people.clock[k]) + more[name] for k, name in enumerate(names)}
    if keep:
        set_clocks(memory, told)
    for k, name in enumerate(names):
        now = f"clock {memory.people.clock[k]:+.1f} s"
        lines.append(
            f"{name}: {now}"
            + (f", {'now' if keep else 'should be'} {told[name]:+.1f} s" if more[name] else "")
        )
    return lines or ["nobody yet"]


def seconds(word: str) -> float:
    """A time from the command line."""
    try:
        return float(word)
    except ValueError:
        raise InputError(f"{word[:40]!r} is no number of seconds") from None


def found_lines(found: Sequence[Found]) -> list[str]:
    """People, and their visits."""
    lines = []
    for one in found:
        lines.append(f"person {one.person}: {100 * one.probability:.1f} %")
        for visit in one.visits:
            lines.append(
                f"  {visit.camera}, {clock(visit.begin)} to {clock(visit.end)} (similarity {visit.similarity:.2f})"
            )
    return lines


def clock(seconds: float) -> str:
    """h:mm:ss.s on the memory's clock, or date and time (UTC) where a live camera's clock is told."""
    tenths = round(seconds * 10)
    if seconds >= EPOCH:
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(tenths // 10))}.{tenths % 10} UTC"
    sign, tenths = ("-", -tenths) if tenths < 0 else ("", tenths)
    return f"{sign}{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def as_json(found: Sequence[Found]) -> list[dict[str, Any]]:
    return [
        {
            "person": one.person,
            "probability": round(one.probability, 6),
            "visits": [
                {
                    "tracklet": visit.tracklet,
                    "camera": visit.camera,
                    "begin": round(visit.begin, 3),
                    "end": round(visit.end, 3),
                    "similarity": round(visit.similarity, 4),
                }
                for visit in one.visits
            ],
        }
        for one in found
    ]


def write_csv(path: Path, found: Sequence[Found]) -> Path:
    """A row a visit."""
    with writing(path), atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("person", "probability", "camera", "begin", "end", "similarity", "tracklet"))
        for one in found:
            for visit in one.visits:
                when = (f"{visit.begin:.3f}", f"{visit.end:.3f}", f"{visit.similarity:.4f}", visit.tracklet)
                writer.writerow((one.person, f"{one.probability:.6f}", visit.camera, *when))
    return path


def write_sheet(path: Path, store: Store, found: Sequence[Found]) -> Path:
    """A row a person, a crop a visit, `MOST` at most; grey where no crop was kept."""
    import cv2

    rows = []
    for one in found:
        tiles = [_text_tile(f"{one.person}", f"{100 * one.probability:.0f} %")]
        for visit in one.visits[:MOST]:
            crop = store.read("SELECT crop FROM tracklet WHERE id = ?", (visit.tracklet,))[0][0]
            image = None if crop is None else decode_image(crop)
            tile = np.full((TILE[1], TILE[0], 3), 128, np.uint8) if image is None else cv2.resize(image, TILE)
            when = clock(visit.begin)
            label = f"{visit.camera[:9]} {when[:-2] if visit.begin < EPOCH else when[5:16]}"
            tiles.append(np.concatenate((tile, _label(label))))
        tiles += [np.full_like(tiles[0], 255)] * (MOST + 1 - len(tiles))
        rows.append(np.concatenate(tiles, axis=1))
    whole, data = cv2.imencode(
        path.suffix if path.suffix in (".png", ".jpg") else ".jpg", np.concatenate(rows)
    )
    assert whole
    with writing(path), atomic_write(path, "wb") as file:
        file.write(bytes(data))
    return path


def _label(text: str) -> np.ndarray:
    import cv2

    strip = np.full((18, TILE[0], 3), 255, np.uint8)
    cv2.putText(strip, text, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (40, 40, 40), 1, cv2.LINE_AA)
    return strip


def _text_tile(*lines: str) -> np.ndarray:
    import cv2

    tile = np.full((TILE[1] + 18, TILE[0], 3), 255, np.uint8)
    for k, line in enumerate(lines):
        cv2.putText(tile, line, (8, 60 + 36 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2, cv2.LINE_AA)
    return tile
