"""One static page of a search by photo: people, their visits, how likely; or an honest 'nobody'. No server."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import read_image
from retrace.tools.pages.templates import IMAGES, filled, text_of, write_with_pictures
from retrace.tools.runs.memories import clock
from retrace.tracker.memory import Memory
from retrace.tracker.memory.search import Found, Visit

HEIGHT = 320  # px of a photo on the page, at most
SURE = 0.5  # probability from which a person is likelier than not


@dataclass(frozen=True, slots=True)
class Asked:
    """What was searched for."""

    photos: Sequence[Path]
    least: float  # probability below which nobody is named
    since: float | None = None  # s
    until: float | None = None
    cameras: Collection[str] | None = None


def write_page(
    folder: Path, memory: Memory, asked: Asked, found: Sequence[Found], below: Sequence[Found] = ()
) -> Path:
    """Write FOLDER/index.html and its pictures.

    Args:
        folder: made if it is not there; a page that an earlier search left in it is replaced.
        memory: where it was searched.
        asked: the question.
        found: the answer.
        below: the likeliest people who were not likely enough, shown as what they are where nobody was found.

    Raises:
        InputError: a photo that cannot be read, a folder that cannot be written.
    """
    photos = {f"a{k}": _small(path) for k, path in enumerate(asked.photos)}
    people = [*found, *(() if found else below)]
    crops = {f"v{v.tracklet}": _crop(memory, v) for one in people for v in one.visits}
    pictures = {name: data for name, data in (photos | crops).items() if data}
    named = {person: name for person, (name, _) in memory.store.called().items()}
    cards = "".join(_person(one, named.get(one.person), bool(found), pictures) for one in people)
    text = filled(
        "found_page.html",
        title=escape(f"People like {', '.join(path.name for path in asked.photos)}"),
        style=text_of("ranked_page.css") + text_of("found_page.css"),
        photos="".join(_image(name, path.name) for name, path in zip(photos, asked.photos, strict=True)),
        facts="".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in _facts(memory, asked)),
        verdict=escape(_verdict(memory.people.count, asked, found, below)),
        people=cards,
    )
    return write_with_pictures(folder, text, pictures, "[av][0-9]*.jpg")


def _small(path: Path) -> bytes:
    import cv2

    image = read_image(path)
    if image is None:
        raise InputError(f"{path}: not readable as an image, so it cannot be shown; is it still there?")
    scale = min(1.0, HEIGHT / image.shape[0])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def _crop(memory: Memory, visit: Visit) -> bytes | None:
    """The JPEG that was kept of a visit."""
    rows = memory.store.read("SELECT crop FROM tracklet WHERE id = ?", (visit.tracklet,))
    return rows[0][0] if rows else None


def _facts(memory: Memory, asked: Asked) -> list[tuple[str, str]]:
    """What was searched, and how it was narrowed."""
    people = memory.people
    facts = [
        ("memory", f"{memory.store.path.name}: {people.count:,} people, {people.size:,} visits"),
        ("weights", memory.store.weights),
        ("named from", f"a probability of {_percent(asked.least)} on"),
    ]
    if asked.cameras is not None:
        facts.append(("cameras", ", ".join(sorted(asked.cameras))))
    if asked.since is not None or asked.until is not None:
        since = "the beginning" if asked.since is None else clock(asked.since)
        facts.append(("time", f"{since} to {'the end' if asked.until is None else clock(asked.until)}"))
    return facts


def _verdict(people: int, asked: Asked, found: Sequence[Found], below: Sequence[Found]) -> str:
    if found:
        rest = max(0.0, 1 - sum(one.probability for one in found))
        count = f"{len(found)} {'person' if len(found) == 1 else 'people'}"
        return f"{count} of {people:,} may be meant. Somebody else, or nobody who is known here: {_percent(rest)}."
    told = f"Nobody: among {people:,} people nobody is as likely as {_percent(asked.least)}."
    return told + (" The most alike, who were not accepted:" if below else "")


def _person(one: Found, name: str | None, accepted: bool, pictures: Collection[str]) -> str:
    best = one.visits[0]  # the most similar
    visits = sorted(one.visits, key=lambda visit: (visit.begin, visit.tracklet))
    cameras = [*dict.fromkeys(visit.camera for visit in visits)]
    begin, end = visits[0].begin, max(visit.end for visit in visits)
    count = f"{len(visits)} visit{'s' * (len(visits) != 1)}"
    when = f"{count}, {', '.join(cameras)}, {clock(begin)} to {clock(end)}"
    called = f"Person {one.person}" + (f", {name}" if name else "")
    return filled(
        "found_person.html",
        kind="sure" if accepted and one.probability >= SURE else "" if accepted else "unsure",
        person=one.person,
        called=escape(called),
        likely=_percent(one.probability) + ("" if accepted else ", not accepted"),
        picture=_picture(best, f"{called}, the most similar visit", pictures),
        nearest=f"similarity {best.similarity:.2f}",
        facts=escape(when),
        when=escape(when),
        bars="".join(_bar(visit, begin, end, visit is best) for visit in visits),
        visits="".join(_visit(visit, visit is best, pictures) for visit in visits),
    )


def _bar(visit: Visit, begin: float, end: float, best: bool) -> str:
    """A visit on the line of its person's time."""
    whole = max(end - begin, 1e-9)
    left, width = 100 * (visit.begin - begin) / whole, 100 * (visit.end - visit.begin) / whole
    words = escape(f"{visit.camera}, {clock(visit.begin)}")
    kind = ' class="best"' if best else ""
    return f'<i{kind} style="left:min({left:.2f}%, calc(100% - 3px));width:{width:.2f}%" title="{words}"></i>'


def _visit(visit: Visit, best: bool, pictures: Collection[str]) -> str:
    words = f"{visit.camera}, {clock(visit.begin)} to {clock(visit.end)}, similarity {visit.similarity:.2f}"
    return (
        f'<li class="visit{" best" * best}">{_picture(visit, words, pictures)}{escape(visit.camera)}'
        f'<span class="who">{clock(visit.begin)} to {clock(visit.end)}</span>'
        f'<span class="like">similarity {visit.similarity:.2f}</span></li>'
    )


def _picture(visit: Visit, words: str, pictures: Collection[str]) -> str:
    name = f"v{visit.tracklet}"
    return _image(name, words) if name in pictures else '<span class="none">no picture kept</span>'


def _image(name: str, words: str) -> str:
    return f'<img src="{IMAGES}/{name}.jpg" alt="{escape(words)}" title="{escape(words)}" loading="lazy">'


def _percent(share: float) -> str:
    """To a tenth; what is not all is not called all, nor what is something nothing."""
    told = float(np.clip(100 * share, 0, 100))
    if 0 < told < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if 99.9 < told < 100 else f"{told:.1f} %"
