"""A run that somebody looks on at: pictures only then, and the page that shows them."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.tools.viewing import live
from retrace.tools.viewing.board import Board
from retrace.tools.viewing.run_folder import Runs
from retrace.tracker.data import Detections, Frame, Step, Tracks
from retrace.tracker.outputs.live import LivePicture, encoded, onlooker_file, picture_file
from tests.browser import Browser


def step(number: int) -> Step:
    image = np.full((60, 120, 3), 90, np.uint8)
    tracks = Tracks(
        np.array([7]), np.array([[1, 2, 30, 40]], np.float32), np.ones(1), np.zeros(1), np.array([-1])
    )
    return Step(Frame(number, number / 10, image), Detections.empty(), tracks)


def test_nothing_is_written_while_nobody_looks_on(tmp_path: Path) -> None:
    with LivePicture(tmp_path, "v") as picture:
        for number in range(5):
            picture.take(step(number))
    assert not [*tmp_path.iterdir()]


def test_an_onlooker_gets_the_newest(tmp_path: Path) -> None:
    onlooker_file(tmp_path, "v").touch()
    path = picture_file(tmp_path, "v")
    with LivePicture(tmp_path, "v") as picture:
        picture.take(step(3))
        for _ in range(200):
            if path.is_file():
                break
            threading.Event().wait(0.05)
        told = live.read_picture(path)
    assert told is not None
    assert told["frame"] == 3
    assert told["size"] == [60, 120]
    assert told["tracks"] == [{"id": 7, "xyxy": [1, 2, 30, 40], "predicted": True}]
    assert not [*tmp_path.iterdir()]  # gone with the run


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    for content in (b"", b"[]\n", b"{\n"):
        (tmp_path / "a").write_bytes(content)
        assert live.read_picture(tmp_path / "a") is None
    assert live.read_picture(tmp_path / "b") is None


def test_events_until_the_run_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "GROWN", 0.0)
    grown = tmp_path / "v.txt.partial"
    grown.write_text("1,1,2,2,9,9,1,-1,-1,-1\n")
    place = Runs([tmp_path]).place(tmp_path.name, "v")

    async def told() -> list[tuple[str, Any]]:
        found = []
        async for text in live.events(place):
            if text.startswith(":"):
                assert not onlooker_file(tmp_path, "v").exists()
                picture_file(tmp_path, "v").write_bytes(encoded(step(4), 0.0))
                continue
            kind, data = (line.partition(": ")[2] for line in text.splitlines()[:2])
            found.append((kind, json.loads(data)))
            if kind == "picture":
                assert onlooker_file(tmp_path, "v").exists()
                with grown.open("a") as file:
                    file.write("2,1,2,2,9,9,1,-1,-1,-1\n2,")  # a line that is being written
            if kind == "grown":
                assert Board(Runs([tmp_path])).answer(place, "about", {})["frames"] == 2
                grown.rename(tmp_path / "v.txt")
        return found

    found = asyncio.run(asyncio.wait_for(told(), 30))
    assert [kind for kind, _ in found] == ["picture", "grown", "done"]
    assert found[0][1]["frame"] == 4


def test_the_page_follows(tmp_path: Path, browser: Browser) -> None:
    """A picture and its boxes as they come, then the whole result."""
    from tests.tools.viewing.serving import served, until

    pytest.importorskip("starlette")
    run = tmp_path / "run"
    run.mkdir()
    grown = run / "v.txt.partial"
    grown.write_text("1,7,2,2,9,9,1,-1,-1,-1\n")
    picture = picture_file(run, "v")
    with served(Board(Runs([run]))) as address, browser() as driver:
        driver.get(address)
        until(driver, "document.body.dataset.ready === 'yes'")
        for number in (3, 4):
            picture.with_suffix(".next").write_bytes(encoded(step(number), 0.0))
            picture.with_suffix(".next").rename(picture)
            until(driver, f"state.live && state.live.frame === {number}")
        assert driver.execute_script("return [...state.live.boxes.ids]") == [7]
        assert "live, frame 4" in driver.find_element("id", "summary").text
        with grown.open("a") as file:
            file.write("2,7,2,2,9,9,1,-1,-1,-1\n2,8,2,2,9,9,1,-1,-1,-1\n")
        until(driver, "state.boxes.count === 3")
        grown.rename(run / "v.txt")
        until(driver, "!state.live && !state.about.growing")
        assert "2 people" in driver.find_element("id", "summary").text
