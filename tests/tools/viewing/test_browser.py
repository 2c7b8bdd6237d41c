"""The page in a browser: the shown frame and its boxes, every edit by mouse and by key, and the exported folder."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.tools.viewing.board import Board
from retrace.tools.viewing.export import export
from retrace.tools.viewing.run_folder import Runs
from retrace.tools.viewing.video import make_proxy
from retrace.tracker.memory import Memory
from tests.browser import Browser
from tests.tools.viewing.made_run import make_run, write_truth, write_video
from tests.tools.viewing.serving import opened, served, until, whole
from tests.tracker.memory.passersby import D, tracklet

pytest.importorskip("starlette")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = make_run(tmp_path / "run", write_video(tmp_path / "clip.mp4"))
    make_proxy(Runs([made]).place("run", "clip"))
    return made


def complaints(driver: Any) -> list[str]:
    return [line["message"] for line in driver.get_log("browser") if line["level"] == "SEVERE"]


READ = """
const c = document.createElement("canvas"), v = document.getElementById("video");
c.width = 320; c.height = 160;
const g = c.getContext("2d"); g.drawImage(v, 0, 0, 320, 160);
let n = 0;
for (let bit = 0; bit < 10; bit++) n += (g.getImageData(32 * bit + 16, 76, 1, 1).data[0] > 128) << bit;
return [n, state.frame, Number(document.getElementById("overlay").dataset.frame)];
"""
PLAY = f"""
const done = arguments[0], seen = [], read = () => {{ {READ} }}, video = document.getElementById("video");
const each = () => {{
  seen.push(read());
  if (video.ended || seen.length >= 8) {{ video.pause(); done(seen); }} else video.requestVideoFrameCallback(each);
}};
video.requestVideoFrameCallback(each); video.playbackRate = .1; video.play();
video.addEventListener("ended", () => done(seen));
"""
VARIABLE = np.cumsum([0, *([0.04, 0.05, 0.11] * 20)])[:60].tolist()


@pytest.mark.parametrize(
    ("fps", "times"),
    [(Fraction(25), None), (Fraction(30_000, 1001), None), (Fraction(25), VARIABLE)],
    ids=["25", "29.97", "variable"],
)
@pytest.mark.parametrize("copied", [True, False], ids=["a copy", "the source"])
def test_boxes_belong_to_the_shown_frame(
    tmp_path: Path,
    fps: Fraction,
    times: list[float] | None,
    copied: bool,
    browser: Browser,
) -> None:
    """After seeks and while it plays, the number in the picture is that of the frame whose boxes are drawn."""
    made = make_run(
        tmp_path / "run", write_video(tmp_path / "clip.mp4", fps=fps, times=times), fps=float(fps)
    )
    board = Board(Runs([made]))
    place = board.runs.place("run", "clip")
    if copied:
        make_proxy(place)
    with served(board) as address, browser() as driver:
        opened(driver, address)
        until(driver, "document.getElementById('video').readyState >= 2")
        assert place.proxy.is_file() == copied
        for frame in (0, 7, 31, 59, 12):
            driver.execute_script(f"goTo({frame})")
            until(driver, "!document.getElementById('video').seeking")
            time.sleep(0.2)
            assert driver.execute_script(READ) == [frame, frame, frame]
        driver.execute_script("goTo(0)")
        until(driver, "!document.getElementById('video').seeking")
        seen = driver.execute_async_script(PLAY)
        assert len({row[0] for row in seen}) >= 4
        # a busy machine calls back when the next one is shown
        ahead = np.array([row[0] - row[2] for row in seen])
        assert set(ahead.tolist()) <= {0, 1}
        assert (ahead == 0).mean() > 0.5
        until(driver, "document.getElementById('video').paused")
        time.sleep(0.5)
        number, _, drawn = driver.execute_script(READ)
        assert number == drawn
        assert not complaints(driver)


def test_every_edit_with_undo_and_reload(run: Path, browser: Browser) -> None:
    with served(Board(Runs([run]))) as address, browser() as driver:
        opened(driver, address)

        def press(what: str) -> None:
            before = driver.execute_script("return state.about.edits.length")
            driver.execute_script(f"document.querySelector('[data-do={what}]').click()")
            until(driver, f"state.about.edits.length === {before + 1}")

        def looks() -> tuple[int, int]:
            """Identities and boxes."""
            count, boxes = driver.execute_script("return [new Set(state.boxes.ids).size, state.boxes.count]")
            return count, boxes

        driver.execute_script("choose(1); choose(2, true)")
        for what, left in (("merge", (1, 60)), ("undo", (2, 120)), ("redo", (1, 60)), ("undo", (2, 120))):
            press(what)
            assert looks() == left, what
        driver.execute_script("document.querySelector('[data-do=redo]').click()")  # what was undone last ...
        until(driver, "state.about.edits.length === 5")
        press("undo")
        driver.execute_script("goTo(30); choose(2)")
        for what, left in (
            ("split", (3, 120)),
            ("undo", (2, 120)),
            ("delete", (1, 60)),
            ("undo", (2, 120)),
            ("cut", (2, 90)),
            ("undo", (2, 120)),
        ):
            press(what)
            assert looks() == left, what
            driver.execute_script("choose(2)")
        driver.execute_script("choose(1); choose(2, true)")
        press("swap")
        place = "[...cornersOf(state.boxes, rowOf(state.boxes, 1, 40))][1]"
        assert driver.execute_script(f"return {place}") == 100
        press("undo")
        assert driver.execute_script(f"return {place}") == 20
        press("sure")
        assert driver.execute_script("return state.about.sure") == [1]
        press("undo")
        driver.execute_script(
            "choose(1); document.getElementById('name').value = '<img src=x onerror=alert(1)>'"
        )
        press("name")
        assert driver.execute_script("return document.querySelectorAll('#who img, #edits img').length") == 0
        assert "onerror" in driver.find_element("id", "who").text
        # nothing: a new edit came after
        driver.execute_script("document.querySelector('[data-do=redo]').click()")
        until(driver, "document.getElementById('said').textContent === 'Nothing to redo'")
        driver.execute_script("goTo(33); choose(2); document.getElementById('for-edits-tab').click()")
        edits = driver.execute_script("return state.about.edits.length")
        until(driver, "location.hash.includes('/33/2/edits-tab')")
        driver.refresh()
        whole(driver)
        assert driver.execute_script(
            "return [state.about.edits.length, state.frame, state.chosen[0], state.tab]"
        ) == [
            edits,
            33,
            2,
            "edits-tab",
        ]
        assert not complaints(driver)


def test_two_tabs(run: Path, browser: Browser) -> None:
    """The second one is told, sees what the first one did, and can go on."""
    with served(Board(Runs([run]))) as address, browser() as driver:
        opened(driver, address)
        first = driver.current_window_handle
        driver.switch_to.new_window("tab")
        opened(driver, address)
        driver.execute_script("choose(1); edit('sure')")
        until(driver, "state.about.edits.length === 1")
        driver.switch_to.window(first)
        driver.execute_script("choose(2); edit('delete')")
        until(driver, "document.getElementById('said').textContent.includes('1 edits there, 0 known here')")
        until(driver, "state.about.edits.length === 1")
        driver.execute_script("choose(2); edit('delete')")
        until(driver, "state.about.edits.length === 2")
        assert driver.execute_script("return [state.about.sure, state.boxes.count]") == [[1], 60]


def test_by_keyboard_alone(run: Path, browser: Browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    with served(Board(Runs([run]))) as address, browser() as driver:
        opened(driver, address)
        until(driver, "document.getElementById('video').readyState >= 2")

        def press(*keys: str) -> None:
            ActionChains(driver).send_keys(*keys).perform()

        press(".", ".", ".", ",")
        until(driver, "state.frame === 2")
        press(Keys.PAGE_DOWN)
        until(driver, "state.frame === 27")
        press(Keys.ARROW_DOWN)
        assert driver.execute_script("return state.chosen") == [1]
        ActionChains(driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_DOWN).key_up(Keys.SHIFT).perform()
        assert driver.execute_script("return state.chosen") == [1, 2]
        press("m")
        until(driver, "state.about.edits.length === 1 && state.boxes.count === 60")
        ActionChains(driver).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
        until(driver, "state.about.edits.length === 2 && state.boxes.count === 120")
        press(
            Keys.ESCAPE,
            "b",
            Keys.ARROW_LEFT,
            Keys.ENTER,
            Keys.ARROW_RIGHT,
            Keys.ARROW_RIGHT,
            Keys.ARROW_DOWN,
            Keys.ENTER,
        )
        until(driver, "state.about.edits.length === 3 && state.boxes.count === 121")
        box = driver.execute_script("return state.about.edits[2]")
        x1, y1, x2, y2 = box["xyxy"]
        assert (box["op"], box["id"], box["frame"]) == ("box", 3, 27)
        assert x2 - x1 == pytest.approx(2 * (y2 - y1), abs=0.3)
        assert (x1 + x2) / 2 == pytest.approx(160, abs=0.3)
        press("+")
        assert driver.execute_script("return state.zoom") == 1.5
        driver.execute_script("document.getElementById('for-timeline-tab').focus()")
        press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        until(driver, "document.getElementById('sentences').textContent.includes('3 people')")
        driver.execute_script("document.getElementById('draw-line').click()")
        press(Keys.ARROW_UP, Keys.ENTER, *[Keys.ARROW_DOWN] * 9, Keys.ENTER)
        until(driver, "document.getElementById('regions').textContent.includes('0 ')")
        assert (run / "clip.regions.yaml").read_text().startswith("lines:\n- name: line 1\n")
        reached = driver.execute_script("""
            return [...document.querySelectorAll('button, select, input, a')]
                .filter((one) => one.offsetParent && one.tabIndex < 0 && one.role !== 'tab').map((one) => one.id)""")
        assert reached == []
        assert not complaints(driver)


def test_by_mouse(run: Path, browser: Browser) -> None:
    """A click chooses the smallest box there, a drag draws one; neither does the other."""
    from selenium.webdriver.common.action_chains import ActionChains

    with served(Board(Runs([run]))) as address, browser() as driver:
        opened(driver, address)
        overlay = driver.find_element("id", "overlay")
        driver.execute_script("goTo(0)")
        scale = driver.execute_script("return state.px")

        def at(x: float, y: float) -> tuple[int, int]:
            return round((x - 160) / scale), round((y - 80) / scale)

        ActionChains(driver).move_to_element_with_offset(overlay, *at(290, 120)).click().perform()
        assert driver.execute_script("return state.chosen") == [2]
        driver.execute_script("goTo(5); document.getElementById('draw-box').click()")
        moves = ActionChains(driver).move_to_element_with_offset(overlay, *at(100, 20)).click_and_hold()
        moves.move_to_element_with_offset(overlay, *at(130, 90)).release().perform()
        until(driver, "state.about.edits.length === 1")
        told = driver.execute_script("return state.about.edits[0]")
        assert told["id"] == 2
        np.testing.assert_allclose(told["xyxy"], [100, 20, 130, 90], atol=1.5)
        assert driver.execute_script("return [state.chosen, state.boxes.count]") == [[2], 120]


def test_every_edit_has_a_key(run: Path, browser: Browser) -> None:
    """Delete, delete from here, mark, rename; a key that would do nothing writes nothing and says why."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    with served(Board(Runs([run]))) as address, browser() as driver:
        opened(driver, address)

        def press(*keys: str, shift: bool = False) -> None:
            hand = ActionChains(driver)
            (
                hand.key_down(Keys.SHIFT).send_keys(*keys).key_up(Keys.SHIFT)
                if shift
                else hand.send_keys(*keys)
            ).perform()

        def edited(count: int) -> dict[str, Any]:
            until(driver, f"state.about.edits.length === {count}")
            return driver.execute_script("return state.about.edits.at(-1)")

        press(Keys.ARROW_DOWN, "s")  # in frame 0
        until(
            driver,
            "document.getElementById('said').textContent.includes('no boxes on both sides of frame 0')",
        )
        press("v")
        assert edited(1) == {"op": "sure", "id": 1, "sure": True}
        press("r", "red coat", Keys.ENTER, Keys.ESCAPE)
        assert edited(2) == {"op": "name", "id": 1, "name": "red coat"}
        driver.execute_script("goTo(30)")
        press(Keys.DELETE, shift=True)
        assert edited(3) == {"op": "delete", "id": 1, "first": 30}
        press(Keys.DELETE)
        assert edited(4) == {"op": "delete", "id": 1}
        until(driver, "state.boxes.count === 60")
        assert "1 is called red coat" in driver.execute_script("return $('edits').textContent")


def test_two_are_chosen_without_a_keyboard(run: Path, browser: Browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    with served(Board(Runs([run]))) as address, browser() as driver:
        opened(driver, address)
        until(driver, "document.getElementById('video').readyState >= 2")
        driver.execute_script("$('rows').scrollIntoView()")
        left, top = driver.execute_script(
            "const b = $('rows').getBoundingClientRect(); return [b.left, b.top]"
        )
        for y in (15, 45):
            hand = ActionBuilder(driver)
            hand.pointer_action.move_to_location(round(left + 60), round(top + y)).click()
            hand.perform()
            driver.execute_script("if (state.chosen.length === 1) $('second').checked = true")
        assert driver.execute_script("return [state.chosen, $('second').checked]") == [[1, 2], False]
        driver.find_element("css selector", "[data-do=merge]").click()
        until(driver, "state.about.edits.length === 1")
        # it plays; the button that was clicked is not pressed again
        ActionChains(driver).send_keys(" ").perform()
        until(driver, "!$('video').paused || state.frame > 0")
        assert driver.execute_script("return state.about.edits.length") == 1


def test_what_is_missing_leaves_the_rest(run: Path, tmp_path: Path, browser: Browser) -> None:
    """A run without its video plays all the same, one without a result is told of, and hides the other."""
    told = json.loads((run / "run.json").read_text())
    told["sequences"]["gone"] = {}
    told["arguments"] = ["/gone/clip.mp4"]
    (run / "run.json").write_text(json.dumps(told))
    (run / "clip.view.mp4").unlink()
    (run / "clip.mp4").unlink(missing_ok=True)
    with served(Board(Runs([run]))) as address, browser() as driver:
        opened(driver, address)
        assert "/gone/clip.mp4" in driver.find_element("id", "missing").text
        driver.find_element("id", "play").click()
        until(driver, "state.frame > 3")
        driver.find_element("id", "play").click()
        assert driver.find_element("id", "play").text == "Play"
        driver.execute_script(
            "openTab('edits-tab'); document.querySelector('#corrected li:last-child a').click()"
        )
        until(driver, "$('corrected-said').textContent.includes('the video is not there any more')")
        driver.execute_script("openSequence('run', 'gone')")
        until(driver, "$('summary').textContent.includes('gone.txt: no such result')")
        assert not driver.find_element("id", "overlay").is_displayed()
        driver.execute_script("openSequence('run', 'clip')")
        whole(driver)
        assert driver.find_element("id", "overlay").is_displayed()


def test_another_run_is_chosen_while_the_first_one_loads(run: Path, tmp_path: Path, browser: Browser) -> None:
    """What comes late of the one does not get into the other."""
    other = make_run(tmp_path / "other", write_video(tmp_path / "clip.mp4"), 30)
    (other / "clip.looks.npz").unlink()
    slow = """
        const at_once = window.get; window.slowly = true;
        window.get = async (path, bytes) => {
          const told = await at_once(path, bytes);
          if (path.startsWith('api/run/') && window.slowly) await new Promise((go) => setTimeout(go, 700));
          return told;
        };"""
    with served(Board(Runs([run, other]))) as address, browser() as driver:
        opened(driver, address)
        driver.execute_script(slow)
        for wait in (0, 900, 1800):  # in `load`, and on the way through `more`
            driver.execute_script("openSequence('other', 'clip'); window.slowly = true")
            whole(driver)
            driver.execute_async_script(f"openSequence('run', 'clip'); setTimeout(arguments[0], {wait})")
            driver.execute_script("document.body.dataset.whole = ''; openSequence('other', 'clip')")
            whole(driver)
            time.sleep(2.5)
            found = driver.execute_script(
                "return [state.run, state.about.frames, state.boxes.count, 'near' in state.persons.get(1)]"
            )
            assert found == ["other", 30, 60, False], wait
        assert not complaints(driver)


def test_the_timeline_follows_the_scheme(run: Path, browser: Browser) -> None:
    pixel = "return [...$('rows').getContext('2d').getImageData(100, 20, 1, 1).data].slice(0, 3)"
    with served(Board(Runs([run]))) as address, browser() as driver:
        seen = []
        for scheme in ("light", "dark"):
            told = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", told)
            if scheme == "light":
                opened(driver, address)
            time.sleep(0.5)
            seen.append(driver.execute_script(pixel))
        assert seen == [[255, 255, 255], [15, 18, 22]]
        kinds = driver.execute_script("return state.marks.get(1).map(([frame, kind]) => [frame, kind])")
        assert kinds == [[0, "born"]]


@pytest.mark.parametrize("width", [1440, 768, 500])
def test_it_fits_the_window(run: Path, width: int, browser: Browser) -> None:
    with served(Board(Runs([run]))) as address, browser(width, 900) as driver:
        opened(driver, address)
        for tab in driver.execute_script("return panels().map((panel) => panel.id)"):
            driver.execute_script(f"openTab('{tab}')")
            time.sleep(0.1)
            assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth"), tab
        overlay = "document.getElementById('overlay').getBoundingClientRect()"
        assert driver.execute_script(f"return {overlay}.width") > 200


CONTRAST = """
const linear = (v) => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const c = parse(getComputedStyle(node).backgroundColor);
    if (c.length < 4 || c[3] > .6) return c.slice(0, 3);
  }
  return [255, 255, 255];
};
const low = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  if (!own || !node.offsetParent || node.closest(".key b")) continue;
  const [dark, bright] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => a - b);
  const ratio = (bright + .05) / (dark + .05);
  if (ratio < 4.5) low.push(`${node.tagName} ${node.id} ${node.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
}
return low;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(run: Path, scheme: str, browser: Browser) -> None:
    """WCAG AA: 4.5 to 1."""
    with served(Board(Runs([run]))) as address, browser() as driver:
        told = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", told)
        opened(driver, address)
        driver.execute_script("choose(1); document.getElementById('help').click()")
        for tab in driver.execute_script("return panels().map((panel) => panel.id)"):
            driver.execute_script(f"openTab('{tab}')")
            time.sleep(0.2)
            assert driver.execute_script(CONTRAST) == [], tab


def test_scores_and_two_runs_beside_each_other(tmp_path: Path, browser: Browser) -> None:
    video = write_video(tmp_path / "clip.mp4")
    runs = Runs([make_run(tmp_path / "a", video, swap=30), make_run(tmp_path / "b", video)])
    make_proxy(runs.place("a", "clip"))
    with served(Board(runs, write_truth(tmp_path / "gt.txt"))) as address, browser() as driver:
        opened(driver, address)
        driver.execute_script("openTab('scores-tab')")
        until(driver, "document.getElementById('metrics').textContent.includes('IDSW')")
        assert driver.execute_script("return state.marks.get(1).filter(([, kind]) => kind === 'truth')") == [
            [30, "truth"]
        ]
        driver.execute_script("goTo(30); choose(1); choose(2, true); edit('swap')")
        until(driver, "state.scores && state.scores.after.IDSW === 0 && state.scores.before.IDSW === 2")
        driver.execute_script("edit('undo')")
        whole(driver)
        driver.execute_script("openTab('compare-tab'); compareWith(JSON.stringify(['b', 'clip']))")
        until(driver, "document.querySelectorAll('#differences li').length === 4")
        driver.execute_script("document.querySelector('#differences button').click()")
        assert driver.execute_script("return state.frame") == 30
        assert driver.execute_script("return document.getElementById('other').width") > 100
        driver.execute_script("openTab('runs-tab')")
        assert driver.execute_script("return document.querySelectorAll('#runs tr').length") == 4
        assert not complaints(driver)


def test_the_exported_folder_needs_no_server(run: Path, tmp_path: Path, browser: Browser) -> None:
    board = Board(Runs([run]), write_truth(tmp_path / "gt.txt"))
    (run / "clip.edits.jsonl").write_text('{"op":"name","id":1,"name":"</script><b>red"}\n')
    page = export(board, tmp_path / "a page")
    told = (tmp_path / "a page" / "answers.js").read_text()
    assert "</script>" not in told
    assert (
        json.loads(told.removeprefix("window.ANSWERS = ").rstrip(";\n"))["api/run/clip/about"]["frames"] == 60
    )
    with browser() as driver:
        opened(driver, page.as_uri())
        until(driver, "document.getElementById('video').readyState >= 2")
        driver.execute_script("goTo(31); choose(1)")
        until(driver, "!document.getElementById('video').seeking")
        assert driver.execute_script("return document.getElementById('overlay').dataset.frame") == "31"
        until(driver, "document.querySelectorAll('#crops img').length === 8")
        until(driver, "[...document.querySelectorAll('#crops img')].every((one) => one.naturalWidth > 0)")
        assert "</script><b>red" in driver.find_element("id", "who").text
        assert (
            driver.execute_script(
                "return [...document.querySelectorAll('.writes')].some((one) => one.offsetParent)"
            )
            is False
        )
        for tab in ("totals-tab", "scores-tab", "edits-tab", "events-tab"):
            driver.execute_script(f"openTab('{tab}')")
        until(driver, "document.getElementById('metrics').textContent.includes('HOTA')")
        driver.find_element("tag name", "body").send_keys("m", "b")
        assert driver.execute_script("return [pen.kind, state.about.edits.length]") == [None, 1]
        assert not complaints(driver)


def test_people_over_cameras_are_mended(run: Path, tmp_path: Path, browser: Browser) -> None:
    memory = tmp_path / "people.db"
    with Memory(memory, "net-1", D) as made:
        for begin, person in ((0.0, 1), (10.0, 2), (20.0, 1)):
            made.add([tracklet(person, begin, camera="a", source="a")])
    rows = "document.querySelectorAll('#people > li').length"
    with served(Board(Runs([run]), memory=memory)) as address, browser() as driver:
        opened(driver, address)
        driver.execute_script("openTab('people-tab')")
        until(driver, f"{rows} === 2")
        tick = "document.querySelectorAll('#people > li > label input')[%d].click()"
        driver.execute_script(tick % 0)
        until(driver, "document.querySelectorAll('#people .visits input').length === 2")
        driver.execute_script("document.querySelector('#people .visits input').click()")
        driver.find_element("id", "split-visits").click()
        until(driver, f"{rows} === 3")
        driver.find_element("css selector", "#people-log button").click()
        until(driver, f"{rows} === 2")
        driver.execute_script(tick % 1)
        driver.find_element("id", "merge-people").click()
        until(driver, f"{rows} === 1")
        assert "is" in driver.find_element("id", "people-said").text
        assert not complaints(driver)
