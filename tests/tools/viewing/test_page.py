"""The page of a run: its data, its server, and the page in a browser."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.viewing.run_folder import RunFolder, make_proxy, packed
from retrace.tools.viewing.server import make_app
from retrace.tools.view_run import main
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results
from retrace.tracker.sources import open_source
from tests.browser import browser

pytest.importorskip("starlette")
LENGTH = 60


def write_video(path: Path, length: int = LENGTH, fps: float = 25) -> Path:
    """A picture of 16 bright or dark squares a frame: the frame's number in bits."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(fps))
        stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
        for number in range(length):
            image = np.full((160, 320, 3), 90, np.uint8)
            for bit in range(10):
                image[60:92, 32 * bit : 32 * bit + 32] = 255 if number >> bit & 1 else 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two people who walk, 1 to the right and 2 to the left; 2 is only predicted in frames 10 to 19."""
    write_video(tmp_path / "clip.mp4")
    folder = tmp_path / "run"
    folder.mkdir()
    rows, steps = [], []
    for k in range(LENGTH):
        rows.append(f"{k + 1},1,{10 + 4 * k},20,20,40,0.9,-1,-1,-1")
        rows.append(f"{k + 1},2,{280 - 4 * k},100,20,40,0.9,-1,-1,-1")
        tracks = [{"id": 1, "det_index": 0}, {"id": 2, "det_index": -1 if 10 <= k < 20 else 1}]
        steps.append(json.dumps({"frame": k, "tracks": tracks}))
    (folder / "clip.txt").write_text("\n".join(rows) + "\n")
    (folder / "clip.jsonl").write_text("\n".join(steps) + "\n")
    record = {"complete": True, "fps": 25.0, "size": [160, 320], "frames": LENGTH}
    told = {"arguments": [str(tmp_path / "clip.mp4"), "--out", str(folder)], "sequences": {"clip": record}}
    (folder / "run.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def ask(run: Path) -> Any:
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    return TestClient(make_app(RunFolder(run), ["testserver"]))


def edit(ask: Any, what: dict[str, Any], known: int) -> Any:
    return ask.post("/api/clip/edits", json={"edit": what, "known": known})


def test_boxes_are_packed() -> None:
    table = MotTable(
        np.array([3, 1]),
        np.array([7, 9]),
        np.array([[1, 2, 3, 4], [5, 6, 7, 8.0]]),
        np.ones(2),
        np.ones(2),
        np.ones(2),
    )
    found = packed(table, {(3, 7)})
    assert found[:8] == b"RTV1" + struct.pack("<I", 2)
    assert np.frombuffer(found, "<u4", 4, 8).tolist() == [1, 3, 9, 7]
    assert np.frombuffer(found, "<f4", 8, 24).tolist() == [5, 6, 7, 8, 1, 2, 3, 4]
    assert found[56:] == b"\x00\x01"


def test_a_copy_has_the_same_frames(run: Path) -> None:
    place = RunFolder(run).place("clip")
    make_proxy(place)
    numbers = []
    for frame in open_source(place.proxy).frames():
        assert frame.image is not None
        bits = [int(frame.image[76, 32 * bit + 16].mean() > 128) for bit in range(10)]
        numbers.append(sum(bit << k for k, bit in enumerate(bits)))
    assert numbers == list(range(LENGTH))
    assert not [*run.glob("*.partial")]


def test_what_the_page_is_told(ask: Any) -> None:
    told = ask.get("/api/clip/about").json()
    assert told["summary"] == "2 people, at most 2 at once"
    assert told["frames"] == LENGTH
    assert [line.split(":")[0] for line in told["missing"]] == [
        "Why somebody was lost or switched is not known"
    ]
    found = ask.get("/api/clip/boxes").content
    assert sum(found[-2 * LENGTH :]) == 10  # predicted


def test_edits_leave_the_result_alone(ask: Any, run: Path) -> None:
    before = (run / "clip.txt").read_bytes()
    assert edit(ask, {"op": "delete", "id": 2}, 0).json() == {"number": 0}
    assert edit(ask, {"op": "name", "id": 1, "name": "<b>x</b>"}, 1).json() == {"number": 1}
    told = ask.get("/api/clip/about").json()
    assert (told["names"], told["summary"]) == ({"1": "<b>x</b>"}, "1 person, at most 1 at once")
    answer = ask.get("/api/clip/corrected.txt")
    (run / "corrected.txt").write_bytes(answer.content)
    assert set(read_results(run / "corrected.txt").id.tolist()) == {1}
    assert (run / "clip.txt").read_bytes() == before
    edit(ask, {"op": "undo", "of": 0}, 2)
    (run / "corrected.txt").write_bytes(ask.get("/api/clip/corrected.txt").content)
    for name in ("frame", "id", "xyxy"):
        ours, theirs = (getattr(read_results(run / file), name) for file in ("corrected.txt", "clip.txt"))
        np.testing.assert_array_equal(ours, theirs)


def test_two_tabs_do_not_lose_each_others_edits(ask: Any) -> None:
    edit(ask, {"op": "sure", "id": 1}, 0)
    refused = edit(ask, {"op": "sure", "id": 2}, 0)
    assert refused.status_code == 400
    assert "1 edits there, 0 known here" in refused.text
    assert edit(ask, {"op": "sure", "id": 2}, 1).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fview_run.py",
        "/static/index.html",
        "/api/..%2f..%2fclip/about",
        "/api/other/about",
        "/run.json",
    ],
)
def test_nothing_else_is_served(ask: Any, path: str) -> None:
    assert ask.get(path).status_code in (400, 404)


def test_strangers_are_refused(run: Path) -> None:
    from starlette.testclient import TestClient

    app = make_app(RunFolder(run), ["127.0.0.1"], token="secret")
    ask = TestClient(app, base_url="http://127.0.0.1")
    assert ask.get("/").status_code == ask.get("/api/run").status_code == 403
    assert ask.get("/?token=secret").status_code == 200
    assert ask.get("/api/run").status_code == 200  # by the cookie
    assert TestClient(app, base_url="http://evil.example").get("/?token=secret").status_code == 400
    form = ask.post("/api/clip/edits", data={"edit": "x"})
    assert form.status_code == 415


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"[]", 400), (b'{"edit": {}, "known": 0}', 400), (b"[" * 20000, 413)]
)
def test_bodies_that_are_none(ask: Any, body: bytes, status: int) -> None:
    answer = ask.post("/api/clip/edits", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert "\n" not in answer.text


def test_a_run_that_is_half_there(run: Path) -> None:
    told = json.loads((run / "run.json").read_text())
    told["arguments"] = ["/gone/clip.mp4"]
    told["sequences"]["clip"]["complete"] = False
    (run / "run.json").write_text(json.dumps(told))
    (run / "clip.txt").rename(run / "clip.txt.partial")
    (run / "clip.jsonl").write_text("broken")
    about = RunFolder(run).place("clip").about()
    said = " ".join(about["missing"])
    assert "was stopped" in said
    assert "/gone/clip.mp4" in said
    assert about["summary"] == "2 people, at most 2 at once"
    with pytest.raises(InputError, match="source is not there"):
        make_proxy(RunFolder(run).place("clip"))


@pytest.mark.parametrize("text", [None, "[]", "{}", '{"sequences": []}', "\xff"])
def test_folders_that_are_no_runs(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        main([str(tmp_path)])


# -- in a browser


@pytest.fixture
def address(run: Path) -> Iterator[str]:
    import uvicorn

    make_proxy(RunFolder(run).place("clip"))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    app = make_app(RunFolder(run), ["127.0.0.1"])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)


def until(driver: Any, script: str, seconds: float = 20) -> Any:
    """What a script gives, once it gives something true."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        found = driver.execute_script(f"return {script}")
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{script} stayed false")


READ_NUMBER = """
const c = document.createElement("canvas"), v = document.getElementById("video");
c.width = 320; c.height = 160;
const g = c.getContext("2d"); g.drawImage(v, 0, 0, 320, 160);
let n = 0;
for (let bit = 0; bit < 10; bit++) n += (g.getImageData(32 * bit + 16, 76, 1, 1).data[0] > 128) << bit;
return [n, state.frame, Number(document.getElementById("overlay").dataset.frame)];
"""


def test_the_page(address: str, run: Path) -> None:
    """First picture, overlay of the shown frame, choosing, every edit with undo, names as text, reload keeps state."""
    with browser() as driver:
        driver.get(address)
        until(
            driver,
            "document.body.dataset.ready === 'yes' && document.getElementById('video').readyState >= 2",
        )
        for frame in (0, 7, 31, 59, 12):
            driver.execute_script(f"goTo({frame})")
            until(driver, "!document.getElementById('video').seeking")
            time.sleep(0.15)
            assert driver.execute_script(READ_NUMBER) == [frame, frame, frame]

        def press(what: str) -> None:
            before = driver.execute_script("return state.about.edits.length")
            driver.execute_script(f"document.querySelector('[data-do={what}]').click()")
            until(driver, f"state.about.edits.length === {before + 1}")

        def count() -> int:
            return int(driver.execute_script("return new Set(state.ids).size"))

        driver.execute_script("choose(1); choose(2, true)")
        for what, left in (("merge", 1), ("undo", 2), ("redo", 1), ("undo", 2)):
            press(what)
            assert count() == left, what
        driver.execute_script("goTo(30); choose(2)")
        for what, left in (("split", 3), ("undo", 2), ("delete", 1), ("undo", 2), ("sure", 2)):
            press(what)
            assert count() == left, what
            driver.execute_script("choose(2)")
        driver.execute_script(
            "choose(1); document.getElementById('name').value = '<img src=x onerror=alert(1)>'"
        )
        press("name")
        assert driver.execute_script("return document.querySelectorAll('aside img').length") == 0
        assert "onerror" in driver.find_element("id", "who").text
        edits = driver.execute_script("return state.about.edits.length")
        driver.refresh()
        until(driver, "document.body.dataset.ready === 'yes'")
        assert driver.execute_script("return state.about.edits.length") == edits == 10
        assert not [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]


@pytest.mark.parametrize("width", [1440, 768, 500])
def test_it_fits_the_window(address: str, width: int) -> None:
    with browser(width, 900) as driver:
        driver.get(address)
        until(driver, "document.body.dataset.ready === 'yes'")
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        shown = driver.execute_script(
            "return document.getElementById('overlay').getBoundingClientRect().width"
        )
        assert shown > 200


def test_by_keyboard_alone(address: str) -> None:
    from selenium.webdriver.common.keys import Keys

    with browser() as driver:
        driver.get(address)
        until(
            driver,
            "document.body.dataset.ready === 'yes' && document.getElementById('video').readyState >= 2",
        )
        body = driver.find_element("tag name", "body")
        body.send_keys(".", ".", ".", ",")
        until(driver, "state.frame === 2")
        body.send_keys(Keys.ARROW_DOWN)
        assert driver.execute_script("return state.chosen.length") == 1
        body.send_keys("+")
        assert driver.execute_script("return state.zoom") == 1.5
