"""One static page of ranked lists: no server, nothing from elsewhere, readable without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import read_image
from retrace.eval.ranking.features import Features, Side
from retrace.eval.ranking.ranked_lists import (
    JUNK_IMAGE,
    NOTHING,
    RIGHT,
    SAME_CAMERA,
    WRONG,
    RankedLists,
    choose_queries,
    fixed_and_broken,
    rank_lists,
)
from retrace.eval.ranking.tables import NetworkScore, RankingScore
from retrace.eval.report import Section
from retrace.tools.pages.templates import IMAGES, filled, text_of, write_with_pictures
from retrace.tools.terminal.progress import Bar

HEIGHT, WIDEST = 128, 128  # px of a thumbnail
QUALITY = 85  # of its JPEG
MARKS = {  # class, symbol, words
    RIGHT: ("right", "✓", "right"),
    WRONG: ("wrong", "✗", "wrong"),
    SAME_CAMERA: ("unranked", "–", "same camera, not ranked"),
    JUNK_IMAGE: ("unranked", "–", "junk, not ranked"),
}
CHANGES = {"fixed": "fixed", "broken": "broken", "": "same first answer"}


def write_page(folder: Path, score: RankingScore, bar: Bar, top_k: int = 10, html_queries: int = 300) -> None:
    """Write FOLDER/index.html and its thumbnails.

    Args:
        folder: made if it is not there; a page that an earlier run left in it is replaced.
        score: one or two networks on the same images; the second is what the first is compared with. Its tables
            are the page's head.
        bar: (title, total) -> a context that gives a function (done, total).
        top_k: ranked gallery images a query.
        html_queries: at most so many, the hardest.

    Raises:
        InputError: the features do not know their images, an image is not readable, the folder not writable.
    """
    results = score.networks
    features = results[0].features
    _check_paths(features, folder)
    shown = choose_queries(html_queries, *(r.metrics for r in results))
    lists = [
        rank_lists(*r.features.arrays, queries=shown, length=top_k, distances=r.distances) for r in results
    ]
    pictures = _thumbnails(features, lists, bar)  # all of them before an old page is touched
    sizes = {name: width for name, (width, _) in pictures.items()}
    under = ["; ".join(score.notes), *score.under]
    text = _page(results, lists, score.sections, under, sizes)
    write_with_pictures(folder, text, {name: data for name, (_, data) in pictures.items()}, "[qg][0-9]*.jpg")


def _check_paths(features: Features, folder: Path) -> None:
    for name, side in (("query", features.query), ("gallery", features.gallery)):
        if side.paths is None:
            raise InputError(
                f"{folder}: the features file does not say where its images are; it needs {name}_paths, "
                "as `save_features` writes them"
            )


def _thumbnails(features: Features, lists: Sequence[RankedLists], bar: Bar) -> dict[str, tuple[int, bytes]]:
    """Each image that the page shows: name -> width in px and JPEG."""
    rows = np.unique(np.concatenate([np.append(each.gallery, each.hardest) for each in lists]))
    gallery, query = features.gallery.paths or (), features.query.paths or ()
    wanted = {f"g{row}": gallery[row] for row in rows[rows >= 0].tolist()}
    wanted |= {f"q{row}": query[row] for row in lists[0].queries.tolist()}
    found = {}
    with bar("thumbnails", len(wanted)) as advance:
        for name, path in wanted.items():
            found[name] = _thumbnail(path)
            advance(len(found), len(wanted))
    return found


def _thumbnail(path: str) -> tuple[int, bytes]:
    """Width in px, and the JPEG of HEIGHT px."""
    import cv2

    image = read_image(path)
    if image is None:
        raise InputError(f"{path}: not readable as an image, so it cannot be shown; is it still there?")
    width = int(np.clip(round(image.shape[1] * HEIGHT / image.shape[0]), 1, WIDEST))
    small = cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    return width, cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _page(
    results: Sequence[NetworkScore],
    lists: Sequence[RankedLists],
    sections: Sequence[Section],
    under: Sequence[str],
    sizes: dict[str, int],
) -> str:
    data = results[0].features.about.get("data")
    title = (
        "Ranked lists: "
        + " against ".join(r.features.name for r in results)
        + (f" on {data}" if data else "")
    )
    changes = _changes(results)
    return filled(
        "ranked_page.html",
        title=escape(title),
        style=text_of("house.css") + text_of("ranked_page.css"),
        tables="".join(_tables(sections, under)),
        legend=_legend(len(results) > 1),
        which=_which(len(lists[0].queries), results),
        controls=_controls(lists, results, changes),
        queries="".join(
            _query(query, at, results, lists, changes[query], sizes)
            for at, query in enumerate(lists[0].queries.tolist())
        ),
        script=text_of("ranked_page.js"),
    )


def _which(shown: int, results: Sequence[NetworkScore]) -> str:
    """Which queries the page has, and in which order."""
    valid, two = results[0].metrics.valid_queries, len(results) > 1
    which = f"all {valid:,} scored"
    if shown < valid:
        which = f"{shown:,} of {valid:,} scored, the hardest" + (
            " and those fixed or broken ones that changed most" if two else ""
        )
    return f"Queries: {which}; the lowest AP{' by either network' if two else ''} comes first."


def _tables(sections: Sequence[Section], under: Sequence[str]) -> Iterator[str]:
    """The figures in sight, the other tables folded."""
    yield _table(sections[0], under)
    for section in sections[1:]:
        table = _table(section, section.notes, caption=False)
        yield f"<details><summary>{escape(section.title)}</summary>\n{table}</details>\n"


def _table(section: Section, notes: Iterable[str], caption: bool = True) -> str:
    head, *lines = section.texts()
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(c)}</td>" for c in cells)
        + "</tr>\n"
        for name, *cells in lines
    )
    title = "<caption>Figures, fractions in percent</caption>" if caption else ""
    below = "".join(f'<p class="note">{escape(note)}</p>\n' for note in notes)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(section.title)}"><table>{title}'
        f"<thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>\n{below}"
    )


def _legend(two: bool) -> str:
    """What the marks mean; the last two lines only where two networks are compared."""
    lines = text_of("ranked_legend.html").splitlines()
    return "".join(lines if two else lines[:3])


def _changes(results: Sequence[NetworkScore]) -> list[str]:
    """For each query "fixed", "broken" or neither."""
    found = [""] * results[0].metrics.queries
    if len(results) > 1:
        for name, rows in zip(
            ("fixed", "broken"), fixed_and_broken(results[0].metrics, results[1].metrics), strict=True
        ):
            for row in np.flatnonzero(rows):
                found[row] = name
    return found


def _controls(lists: Sequence[RankedLists], results: Sequence[NetworkScore], changes: Sequence[str]) -> str:
    """Filters by style sheet alone; order and search by script, hidden without it."""
    shown = lists[0].queries
    missed = int((results[0].metrics.first_rank[shown] != 1).sum())
    filters = [("all", "all", len(shown)), ("missed", "first answer wrong", missed)]
    if len(results) > 1:
        filters += [(name, name, sum(changes[q] == name for q in shown)) for name in ("fixed", "broken")]
    radios = "".join(
        f'<label><input type="radio" name="show" id="show-{key}"{" checked" * (key == "all")}> '
        f"{words} ({count:,})</label>"
        for key, words, count in filters
    )
    return filled("ranked_controls.html", filters=radios)


def _query(
    query: int,
    at: int,
    results: Sequence[NetworkScore],
    lists: Sequence[RankedLists],
    change: str,
    sizes: dict[str, int],
) -> str:
    m = results[0].metrics
    person, camera = int(m.query_ids[query]), int(m.query_cameras[query])
    kinds = " ".join(
        ["query", *(["missed"] if m.first_rank[query] != 1 else []), *([change] if change else [])]
    )
    badge = f' <span class="badge">{CHANGES[change]}</span>' if change else ""
    blocks = "".join(_list(query, at, r, each, sizes) for r, each in zip(results, lists, strict=True))
    picture = _image(f"q{query}", f"Query: person {person}, camera {camera}", sizes)
    return filled(
        "ranked_query.html",
        kinds=kinds,
        query=query,
        at=at,
        inp=f"{m.inp[query]:.6f}",
        last=-int(lists[0].hardest_rank[at]),
        person=person,
        camera=camera,
        badge=badge,
        picture=picture,
        two=" two" * (len(results) > 1),
        lists=blocks,
    )


def _list(query: int, at: int, result: NetworkScore, lists: RankedLists, sizes: dict[str, int]) -> str:
    """One network's answers to one query, and its last right one if that lies further down."""
    m, gallery = result.metrics, result.features.gallery
    first, last, count = int(m.first_rank[query]), int(lists.hardest_rank[at]), int(m.positives[query])
    facts = f"AP {100 * m.ap[query]:.1f}, INP {100 * m.inp[query]:.1f}; {count} right answer{'s' * (count != 1)}: "
    facts += f"first at rank {first}, last at rank {last}" if count > 1 else f"at rank {first}"
    items = []
    for place in np.flatnonzero(lists.mark[at] != NOTHING).tolist():
        kind, symbol, words = MARKS[int(lists.mark[at, place])]
        rank, row = int(lists.rank[at, place]), int(lists.gallery[at, place])
        if kind == "wrong" and rank > last:
            kind = "wrong past"
        words = f"Rank {rank}, {words}" if rank else words.capitalize()
        far = f", distance {lists.distance[at, place]:.3f}"
        items.append(_answer(kind, f"{symbol} {rank or ''}", words, gallery, row, sizes, far))
    if last > lists.rank[at].max():
        words = f"Hardest right answer, rank {last}"
        row = int(lists.hardest[at])
        items.append(_answer("right hardest", f"{MARKS[RIGHT][1]} {last:,}", words, gallery, row, sizes))
    return (
        f'<section><h3>{escape(result.features.name)}</h3><p class="facts">{facts}</p>'
        f"<ol>{''.join(items)}</ol></section>\n"
    )


def _answer(
    kind: str, mark: str, words: str, gallery: Side, row: int, sizes: dict[str, int], far: str = ""
) -> str:
    """A gallery image with what it is, in sight and in words."""
    person, camera = int(gallery.ids[row]), int(gallery.cameras[row])
    who = f"person {person}" if person > 0 else "distractor" if person == 0 else "junk"
    short = f"{who.removeprefix('person ')} c{camera}"
    if kind == "unranked":  # the person is the query's, or it is junk
        short = f"c{camera}" if person > 0 else "junk"
    picture = _image(f"g{row}", f"{words}: {who}, camera {camera}{far}", sizes)
    return (
        f'<li class="{kind}">{picture}<span class="mark" aria-hidden="true">{mark}</span>'
        f'<span class="who" aria-hidden="true">{short}</span></li>'
    )


def _image(name: str, words: str, sizes: dict[str, int]) -> str:
    return (
        f'<img src="{IMAGES}/{name}.jpg" alt="{escape(words)}" title="{escape(words)}" '
        f'width="{sizes[name]}" height="{HEIGHT}" loading="lazy">'
    )
