"""The page of ranked lists: well-formed, whole, and its marks are right. No browser here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.features import Features, Side
from retrace.eval.ranking.tables import Wanted, score_features
from retrace.tools.pages import templates
from retrace.tools.pages.ranked_page import write_page
from tests.tools.pages.elements import Page


@contextmanager
def no_bar(title: str, total: int) -> Iterator[Any]:
    yield lambda done, total: None


def angle(*degrees: float) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1).astype(np.float32)


def side(folder: Path, vectors: np.ndarray, ids: list[int], cameras: list[int]) -> Side:
    """With an image file each."""
    paths = []
    for k in range(len(ids)):
        folder.mkdir(exist_ok=True)
        paths.append(str(folder / f"{k}.png"))
        cv2.imwrite(paths[-1], np.full((40, 20 + 10 * k, 3), 10 * k, np.uint8))
    return Side(vectors, np.array(ids), np.array(cameras), tuple(paths))


# Person 7 by camera 1: same camera, wrong, junk, right, distractor, right. Person 3 by camera 2: right at once.
ANGLES, IDS, CAMERAS = (50, 10, 30, 20, 60, 40), [0, 7, -1, 3, 7, 7], [1, 1, 1, 1, 2, 3]


def features(folder: Path, name: str = "<mine>", queries: tuple[float, float] = (0, 20)) -> Features:
    query = side(folder / "query", angle(*queries), [7, 3], [1, 2])
    gallery = side(folder / "gallery", angle(*ANGLES), IDS, CAMERAS)
    return Features(name, query, gallery, ("a note",), {"data": "a & b"})


def write(folder: Path, networks: list[Features], top_k: int = 4, queries: int = 9) -> Page:
    score = score_features(networks, Wanted(intervals=True))
    write_page(folder, score, no_bar, top_k, queries)
    return Page(folder / "index.html")


def answers(page: Page, article: dict[str, Any]) -> list[tuple[str, str]]:
    """(class, alt) of each gallery image of a query."""
    found = []
    for item in page.all("li", article):
        (picture,) = page.all("img", item)
        assert re.search(r", distance \d\.\d{3}$", picture["alt"]) or "Hardest" in picture["alt"]
        found.append((item["class"], picture["alt"].partition(", distance")[0]))
    return found


def test_marks_are_right(tmp_path: Path) -> None:
    page = write(tmp_path / "page", [features(tmp_path)])
    first, second = page.all("article")
    assert page.all("h2", first)[0]["text"] == "Person 7, camera 1"  # the lowest AP first
    assert answers(page, first) == [
        ("unranked", "Same camera, not ranked: person 7, camera 1"),
        ("wrong", "Rank 1, wrong: person 3, camera 1"),
        ("unranked", "Junk, not ranked: junk, camera 1"),
        ("right", "Rank 2, right: person 7, camera 3"),
        ("wrong", "Rank 3, wrong: distractor, camera 1"),
        ("right", "Rank 4, right: person 7, camera 2"),
    ]
    # AP (1/2 + 2/4) / 2, INP 2/4.
    assert page.all("p", first)[0]["text"] == (
        "AP 50.0, INP 50.0; 2 right answers: first at rank 2, last at rank 4"
    )
    assert answers(page, second)[0] == ("right", "Rank 1, right: person 3, camera 1")
    assert {kind for kind, _ in answers(page, second)[1:]} == {"wrong past", "unranked"}
    marks = [e["text"].strip() for e in page.all("span", first) if e.get("class") == "mark"]
    assert marks == ["–", "✗ 1", "–", "✓ 2", "✗ 3", "✓ 4"]  # not by colour alone


def test_the_hardest_right_answer_is_shown_wherever_it_is(tmp_path: Path) -> None:
    page = write(tmp_path / "page", [features(tmp_path)], top_k=2)
    listed = answers(page, page.all("article")[0])
    assert listed[-1] == ("right hardest", "Hardest right answer, rank 4: person 7, camera 2")
    assert [kind for kind, _ in listed].count("right hardest") == 1


def test_every_image_is_there_and_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    page = write(tmp_path / "page", [features(tmp_path)])
    pictures = page.all("img")
    for picture in pictures:
        image = cv2.imread(str(tmp_path / "page" / picture["src"]))
        assert image.shape[:2] == (int(picture["height"]), int(picture["width"]))
        assert picture["alt"]
    # Query 0 is black, 20x40; gallery row 3 is 50x40 of grey 30, so wider than high, and cut to a square at most.
    assert {p["width"] for p in pictures if p["src"] == "images/q0.jpg"} == {"64"}
    assert {p["width"] for p in pictures if p["src"] == "images/g3.jpg"} == {"128"}
    assert abs(int(cv2.imread(str(tmp_path / "page/images/g3.jpg")).mean()) - 30) <= 2
    assert "//" not in page.text.replace("</", "")
    assert str(tmp_path) not in page.text
    assert not [
        e for e in page.found if e["tag"] in ("link", "iframe") or (e["tag"] == "script" and "src" in e)
    ]


def test_the_page_is_accessible(tmp_path: Path) -> None:
    page = write(tmp_path / "page", [features(tmp_path)])
    assert page.found[0]["tag"] == "html"
    assert page.found[0]["lang"] == "en"
    assert page.all("title")[0]["text"] == page.all("h1")[0]["text"] == "Ranked lists: <mine> on a & b"
    ids = [e["id"] for e in page.found if "id" in e]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"].removeprefix("#") in ids
    for field in page.all("input") + page.all("select"):
        assert any(parent["tag"] == "label" for parent in field["inside"])
    for head in page.all("th"):
        assert head["scope"] in ("col", "row")
    levels = [int(e["tag"][1]) for e in page.found if e["tag"] in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_figures_and_tables(tmp_path: Path) -> None:
    page = write(tmp_path / "page", [features(tmp_path)])
    row = [e["text"] for e in page.all("td", page.all("table")[0])]
    trapezoid = (
        (0.25 + 5 / 12) / 2 + 1
    ) / 2  # (1/2 + 0/1) / 2 and (2/4 + 1/3) / 2 of the first, 1 of the second
    assert row[:5] == ["50.00", "100.00", "100.00", "75.00", f"{100 * trapezoid:.2f}"]
    assert [e["text"] for e in page.all("summary")] == ["95% intervals, bootstrap by identity"]
    assert "a note" in page.all("header")[0]["text"]
    assert "protocol: single query" in page.all("header")[0]["text"]


def test_without_a_script_everything_is_in_sight(tmp_path: Path) -> None:
    page = write(tmp_path / "page", [features(tmp_path)])
    assert not [e for e in page.all("article") if "hidden" in e or "style" in e]
    (scripted,) = [e for e in page.found if "hidden" in e]  # what would do nothing without it
    assert scripted["class"] == "scripted"
    for radio in (e for e in page.all("input") if e.get("type") == "radio" and e["id"] != "show-all"):
        assert f"body:has(#{radio['id']}:checked)" in page.text


def test_two_networks_side_by_side(tmp_path: Path) -> None:
    # The other network sees the queries elsewhere: person 7's at 55 degrees (rank 1: a distractor at 50, then
    # right at 60), person 3's at 45 (wrong at rank 1).
    mine, other = features(tmp_path, "mine"), features(tmp_path, "other", (58, 45))
    page = write(tmp_path / "page", [mine, other])
    articles = {a["data-person"]: a for a in page.all("article")}
    assert [e["text"] for e in page.all("h3", articles["7"])] == ["mine", "other"]
    assert "broken" in articles["7"]["class"].split()  # right at once by the other alone
    assert "fixed" in articles["3"]["class"].split()
    assert page.all("h2", articles["3"])[0]["text"] == "Person 3, camera 2 fixed"
    labels = [e["text"].strip() for e in page.all("label")][:4]
    assert labels == ["all (2)", "first answer wrong (1)", "fixed (1)", "broken (1)"]
    assert len(page.all("tr", page.all("table")[0])) == 3


def test_only_so_many_queries(tmp_path: Path) -> None:
    page = write(tmp_path / "page", [features(tmp_path)], queries=1)
    assert [a["data-person"] for a in page.all("article")] == ["7"]
    assert "1 of 2 scored, the hardest" in page.all("header")[0]["text"]


def test_a_page_that_is_there_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "page", [features(tmp_path)])
    (tmp_path / "page/images/g99.jpg").write_text("of an older page")
    (tmp_path / "page/notes.txt").write_text("mine")
    page = write(tmp_path / "page", [features(tmp_path)], queries=1)
    there = {f"images/{p.name}" for p in (tmp_path / "page/images").iterdir()}
    assert there == {e["src"] for e in page.all("img")}
    assert (tmp_path / "page/notes.txt").read_text() == "mine"


def test_an_image_that_is_gone_leaves_the_old_page_alone(tmp_path: Path) -> None:
    write(tmp_path / "page", [features(tmp_path)])
    before = (tmp_path / "page/index.html").read_text()
    broken = features(tmp_path)
    Path(broken.gallery.paths[3]).unlink()  # type: ignore[index]
    with pytest.raises(InputError, match=r"3\.png: not readable as an image"):
        write(tmp_path / "page", [broken])
    assert (tmp_path / "page/index.html").read_text() == before
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "gallery/0.png", [features(tmp_path)])


def test_a_write_that_fails_leaves_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one would show the new pictures."""
    write(tmp_path / "page", [features(tmp_path)])

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(templates, "atomic_write", full)
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "page", [features(tmp_path)])
    assert [p.name for p in (tmp_path / "page").iterdir()] == ["images"]
