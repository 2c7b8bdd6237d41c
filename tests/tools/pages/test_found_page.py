"""The page of a search: well-formed, whole, its pictures beside it; what is doubtful is called so. No browser here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.pages.found_page import Asked, write_page
from retrace.tracker.memory import Memory
from retrace.tracker.memory.editing import name
from retrace.tracker.memory.search import Found, Visit, search
from tests.tools.pages.elements import Page
from tests.tracker.memory.passersby import D, tracklet, vector_of


def jpeg(grey: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((64, 32, 3), grey, np.uint8))[1])


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Memory, Path]:
    """Three people, of whom 1 came three times, once without a picture; and a photo."""
    memory = Memory(tmp_path / "people.db", "net <1>", D)
    for k, person in enumerate((1, 2, 1, 3, 1)):
        crop = None if k == 2 else jpeg(40 * k)
        camera = "door <b>" if person == 1 else "hall"
        memory.add([tracklet(person, 100.0 * (k + 1), camera=camera, crop=crop)])
    name(memory, 1, 'red & "tall"')
    photo = tmp_path / "who?.png"
    cv2.imwrite(str(photo), np.full((700, 350, 3), 90, np.uint8))
    return memory, photo


def test_a_person_with_every_visit_in_order(asked: tuple[Memory, Path], tmp_path: Path) -> None:
    memory, photo = asked
    found = search(memory, vector_of(1, np.random.default_rng(5)))
    page = Page(write_page(tmp_path / "page", memory, Asked([photo], 0.05), found))
    (card,) = page.all("article")
    assert 'Person 1, red & "tall" ' in page.all("h2", card)[0]["text"]
    visits = [one["text"] for one in page.all("li", card)]
    assert ["0:01:40.0" in visits[0], "0:03:20.0" in visits[1], "0:05:00.0" in visits[1]] == [
        True,
        False,
        True,
    ]
    assert "no picture kept" in visits[1]
    assert "door <b>" in visits[0]
    assert len([one for one in page.all("li", card) if "best" in one["class"]]) == 1
    assert len(page.all("i", card)) == 3
    for image in page.all("img"):
        assert (tmp_path / "page" / image["src"]).is_file()
        assert image["alt"]
    (verdict,) = [p["text"] for p in page.all("p") if p.get("class") == "verdict"]
    assert verdict.startswith("1 person of 3 may be meant. Somebody else, or nobody who is known here: ")
    facts = page.all("dl")[0]["text"]
    assert "people.db: 3 people, 5 visits" in facts
    assert "net <1>" in facts
    assert cv2.imread(str(tmp_path / "page" / "images" / "a0.jpg")).shape[0] == 320
    assert "<script" not in page.text
    assert "http" not in page.text


def test_nobody_is_called_nobody(asked: tuple[Memory, Path], tmp_path: Path) -> None:
    memory, photo = asked
    stranger = vector_of(4711, np.random.default_rng(5))
    told = Asked([photo], 0.5, since=60.0, cameras=["hall"])
    below = search(memory, stranger, 0.0, 3, since=60.0, cameras=["hall"])
    page = Page(write_page(tmp_path / "page", memory, told, search(memory, stranger, 0.5), below))
    assert "Nobody: among 3 people nobody is as likely as 50.0 %." in page.text
    assert [one["class"] for one in page.all("article")] == ["query unsure"] * 2
    assert all("not accepted" in one["text"] for one in page.all("h2", page.all("main")[0]))
    assert "0:01:00.0 to the end" in page.all("dl")[0]["text"]
    again = Page(write_page(tmp_path / "page", memory, told, []))
    assert not again.all("article")
    assert [file.name for file in (tmp_path / "page" / "images").iterdir()] == ["a0.jpg"]  # old ones are gone


def test_probabilities_are_not_rounded_to_certainty(asked: tuple[Memory, Path], tmp_path: Path) -> None:
    memory, photo = asked
    visit = Visit(1, "door <b>", 100.0, 103.0, 0.8)
    found = [Found(1, 0.99996, (visit,)), Found(2, 0.00003, (visit,))]
    page = Page(write_page(tmp_path / "page", memory, Asked([photo], 0.0), found))
    assert [one["text"] for one in page.all("span") if one["class"] == "badge"] == [
        "over 99.9 %",
        "under 0.1 %",
    ]


def test_what_cannot_be_written_or_read(asked: tuple[Memory, Path], tmp_path: Path) -> None:
    memory, photo = asked
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_page(tmp_path / "file", memory, Asked([photo], 0.05), [])
    with pytest.raises(InputError, match="is it still there"):
        write_page(tmp_path / "page", memory, Asked([tmp_path / "gone.jpg"], 0.05), [])
    assert not (tmp_path / "page").exists()
