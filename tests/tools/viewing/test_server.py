"""What the server answers, and whom; what it writes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.view_run import main
from retrace.tools.viewing import reasons
from retrace.tools.viewing.board import Board, packed
from retrace.tools.viewing.export import export
from retrace.tools.viewing.run_folder import RunFolder, Runs, source_of
from retrace.tools.viewing.server import make_app
from retrace.tools.viewing.video import make_proxy, shown_file, times
from retrace.tracker.analytics import read_regions, summarise
from retrace.tracker.data import MotTable
from retrace.tracker.memory import Memory
from retrace.tracker.mot_file import read_results
from retrace.tracker.sources import open_source
from tests.conftest import ROOT
from tests.served import SECRETS, served
from tests.tools.viewing.made_run import LENGTH, make_run, number_in, write_truth, write_video
from tests.tracker.memory.passersby import D, tracklet

pytest.importorskip("starlette")
ONE = "/api/run/clip"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", write_video(tmp_path / "clip.mp4"))


@pytest.fixture
def ask(run: Path) -> Any:
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    truth = write_truth(run.parent / "gt.txt")
    return TestClient(make_app(Board(Runs([run]), truth), ["testserver"]))


def edit(ask: Any, what: dict[str, Any], known: int) -> Any:
    return ask.post(f"{ONE}/edits", json={"edit": what, "known": known})


def test_boxes_are_packed() -> None:
    corners = np.array([[1, 2, 3, 4], [5, 6, 7, 8.0]])
    found = packed(MotTable(np.array([3, 1]), np.array([7, 9]), corners, *(np.ones(2) for _ in range(3))))
    assert found[:8] == b"RTV2\x02\x00\x00\x00"
    assert np.frombuffer(found, "<u4", 4, 8).tolist() == [1, 3, 9, 7]
    assert np.frombuffer(found, "<f4", 8, 24).tolist() == [5, 6, 7, 8, 1, 2, 3, 4]


def test_a_copy_has_the_same_frames(run: Path) -> None:
    place = RunFolder(run).place("clip")
    done: list[int] = []
    make_proxy(place, done.append)
    assert done == list(range(1, LENGTH + 1))
    frames = list(open_source(place.proxy).frames())
    assert [number_in(frame.image) for frame in frames if frame.image is not None] == list(range(LENGTH))
    assert not [*run.glob("*.partial")]


def test_a_copy_keeps_a_variable_rate(tmp_path: Path) -> None:
    times = np.cumsum([0, *([0.04, 0.08, 0.2] * 20)])[:LENGTH].tolist()
    run = make_run(tmp_path / "run", write_video(tmp_path / "clip.mp4", times=times))
    place = RunFolder(run).place("clip")
    make_proxy(place)
    told = np.frombuffer(Board(Runs([run])).answer(place, "times", {}), "<f8")
    np.testing.assert_allclose(told, times, atol=1e-3)


def test_a_variable_rate_in_order_needs_no_copy(run: Path) -> None:
    times = np.cumsum([0, *([0.04, 0.05, 0.11] * 20)])[:LENGTH].tolist()
    place = RunFolder(run).place("clip")
    write_video(Path(str(place.source)), times=times)
    assert shown_file(place) == Path(str(place.source))


def test_a_source_that_browsers_play_needs_no_copy(run: Path) -> None:
    place = RunFolder(run).place("clip")
    assert shown_file(place) == Path(str(place.source))
    told = times(place)
    assert told is not None
    np.testing.assert_allclose(told, np.arange(LENGTH) / 25, atol=1e-9)
    make_proxy(place)
    assert shown_file(place) == place.proxy


def _one_more_frame_than_the_run(path: Path) -> None:
    write_video(path, LENGTH + 1)


def _late(path: Path) -> None:
    write_video(path, times=[1 + k / 25 for k in range(LENGTH)])


def _reordered_at_a_variable_rate(path: Path) -> None:
    times = np.cumsum([0, *([0.04, 0.05, 0.11] * 20)])[:LENGTH].tolist()
    write_video(path, times=times, reordered=True)


def _high_colours(path: Path) -> None:
    write_video(path, form="yuv444p")


def _cut(path: Path) -> None:
    path.write_bytes(write_video(path).read_bytes()[:2000])


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "spoil",
    [_one_more_frame_than_the_run, _late, _reordered_at_a_variable_rate, _high_colours, _cut, _gone],
)
def test_what_browsers_show_otherwise_is_copied(run: Path, spoil: Callable[[Path], object]) -> None:
    place = RunFolder(run).place("clip")
    spoil(Path(str(place.source)))
    assert shown_file(place) is None
    assert times(place) is None


def test_what_the_page_is_told(ask: Any) -> None:
    told = ask.get(f"{ONE}/about").json()
    assert (told["summary"], told["frames"], told["truth"]) == ("2 people, at most 2 at once", LENGTH, True)
    assert [line.split(":")[0] for line in told["missing"]] == [
        "Why somebody was lost or switched is not known"
    ]
    assert len(ask.get(f"{ONE}/boxes").content) == 8 + 24 * 2 * LENGTH
    assert sum(ask.get(f"{ONE}/predicted").content) == 10
    times = np.frombuffer(ask.get(f"{ONE}/times").content, "<f8")
    np.testing.assert_allclose(times, np.arange(LENGTH) / 25)
    (row,) = ask.get("/api/runs").json()["rows"]
    assert (row["run"], row["name"], row["people"], row["edits"]) == ("run", "clip", 2, False)


def test_persons(ask: Any) -> None:
    """Looks (8, 0, 0) and (0, 4, 3): a distance of 1; both are there all the time, so neither is the other."""
    one, _ = ask.get(f"{ONE}/persons").json()
    assert (one["id"], one["seconds"], len(one["crops"]), one["near"]) == (1, 2.4, 8, [])
    assert one["path"] == pytest.approx(4 * (LENGTH - 1), abs=1)
    assert one["crops"][0][1:] == [10 + 4 * one["crops"][0][0], 20, 30 + 4 * one["crops"][0][0], 60]
    edit(ask, {"op": "split", "id": 2, "frame": 30, "new": 3}, 0)
    _, two, _ = ask.get(f"{ONE}/persons").json()
    assert [row[0] for row in two["near"]] == [3]  # 2 and 3 have the looks of the tracker's 2
    assert two["near"][0][1] == 0
    assert two["near"][0][2] > 0.99


def test_edits_leave_the_result_alone(ask: Any, run: Path) -> None:
    before = (run / "clip.txt").read_bytes()
    assert edit(ask, {"op": "delete", "id": 2}, 0).json() == {"number": 0}
    assert edit(ask, {"op": "name", "id": 1, "name": "<b>x</b>"}, 1).json() == {"number": 1}
    told = ask.get(f"{ONE}/about").json()
    assert (told["names"], told["summary"]) == ({"1": "<b>x</b>"}, "1 person, at most 1 at once")
    assert told["edits"][0] == {"op": "delete", "id": 2}
    answer = ask.get(f"{ONE}/corrected/mot")
    (run / "c.txt").write_bytes(answer.content)
    assert set(read_results(run / "c.txt").id.tolist()) == {1}
    assert (run / "clip.txt").read_bytes() == before
    edit(ask, {"op": "undo", "of": 0}, 2)
    (run / "c.txt").write_bytes(ask.get(f"{ONE}/corrected/mot").content)
    for name in ("frame", "id", "xyxy"):
        np.testing.assert_array_equal(
            *(getattr(read_results(run / file), name) for file in ("c.txt", "clip.txt"))
        )


def test_the_corrected_result_says_so(ask: Any, run: Path) -> None:
    edit(ask, {"op": "delete", "id": 2}, 0)
    with (run / "clip.edits.jsonl").open("a") as file:
        file.write('{"op":"merge","id":1,"other":2}\n')  # as after tracking again: 2 is gone
    for kind in ("mot", "csv", "jsonl", "coco", "cvat", "zip", "gt", "video"):
        answer = ask.get(f"{ONE}/corrected/{kind}")
        assert answer.status_code == 200, (kind, answer.text)
    told = json.loads((run / "corrected" / "run.json").read_text())
    record = told["sequences"]["clip"]
    assert told["post_processing"] == ["corrected by hand"]
    assert record["files"] == [
        f"clip{ending}"
        for ending in (".coco.json", ".csv", ".cvat.xml", ".jsonl", ".mp4", ".txt", ".zip", "/gt/gt.txt")
    ]
    by_hand = record["corrected_by_hand"]
    assert by_hand["edits_that_count"] == 1
    assert by_hand["edits_that_do_not_fit"] == ["edit 1: nobody has the id 2"]
    again = RunFolder(run / "corrected").place("clip")  # a run folder itself
    assert again.source == str(run.parent / "clip.mp4")
    assert set(again.table().id.tolist()) == {1}
    assert len((run / "corrected" / "clip.csv").read_text().splitlines()) == 1 + LENGTH
    steps = [json.loads(line) for line in (run / "corrected" / "clip.jsonl").read_text().splitlines()]
    assert [len(step["tracks"]) for step in steps] == [1] * LENGTH
    assert sum(1 for _ in open_source(run / "corrected" / "clip.mp4").frames()) == LENGTH
    archive = zipfile.ZipFile(BytesIO((run / "corrected" / "clip.zip").read_bytes()))
    assert sorted(archive.namelist()) == ["gt/gt.txt", "gt/labels.txt", "seqinfo.ini"]
    assert ask.get(f"{ONE}/corrected/exe").status_code == 400


def test_a_corrected_run_is_ground_truth(ask: Any, run: Path) -> None:
    """The tracker's own result is scored against it: person 2 was deleted, so all of his boxes are wrong."""
    from retrace.eval.mot import score_folder

    edit(ask, {"op": "delete", "id": 2}, 0)
    assert ask.get(f"{ONE}/corrected/gt").status_code == 200
    row = score_folder(run / "corrected", run).combined.row()
    assert (row["TP"], row["FP"], row["FN"], row["IDF1"]) == (LENGTH, LENGTH, 0, pytest.approx(2 / 3))


def test_what_goes_to_another_tool_comes_back(ask: Any, run: Path, tmp_path: Path) -> None:
    edit(ask, {"op": "delete", "id": 2, "first": 30}, 0)
    for kind, name in (("coco", "clip.coco.json"), ("cvat", "clip.cvat.xml"), ("zip", "clip.zip")):
        main([str(run), "--save", kind])
        back = tmp_path / kind
        video = str(run.parent / "clip.mp4")
        main([str(back), "--import", str(run / "corrected" / name), "--video", video, "--save", "mot"])
        found, sent = RunFolder(back).place("clip"), RunFolder(run).place("clip").corrected().table
        np.testing.assert_array_equal(found.table().xyxy, sent.xyxy)
        np.testing.assert_array_equal(found.table().id, sent.id)
        assert (found.fps, found.size, found.source) == (25.0, (160, 320), video)
        with pytest.raises(InputError, match="holds a run already"):
            main([str(back), "--import", str(run / "corrected" / name)])


def test_an_imported_run_holds_no_secret_of_its_video(run: Path, tmp_path: Path) -> None:
    with served(run.parent / "clip.mp4") as address:
        main([str(tmp_path / "back"), "--import", str(run / "clip.txt"), "--video", address, "--save", "mot"])
    for path in filter(Path.is_file, (tmp_path / "back").rglob("*")):
        assert not any(secret.encode() in path.read_bytes() for secret in SECRETS)


def test_two_tabs_do_not_lose_each_others_edits(ask: Any) -> None:
    edit(ask, {"op": "sure", "id": 1}, 0)
    refused = edit(ask, {"op": "sure", "id": 2}, 0)
    assert refused.status_code == 400
    assert "1 edits there, 0 known here" in refused.text
    assert edit(ask, {"op": "sure", "id": 2}, 1).status_code == 200


def test_a_kill_loses_no_edit(run: Path) -> None:
    """The server is killed as soon as it has answered."""
    import re
    import urllib.request

    command = [sys.executable, "-m", "retrace", "view", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout
        found = re.search(r"http://\S+", child.stdout.readline())
        assert found
        body = json.dumps({"edit": {"op": "sure", "id": 2}, "known": 0}).encode()
        asked = urllib.request.Request(
            f"{found[0]}api/run/clip/edits", body, {"Content-Type": "application/json"}
        )
        for _ in range(300):  # until it listens
            try:
                with urllib.request.urlopen(asked, timeout=20) as answer:
                    assert json.load(answer) == {"number": 0}
                break
            except OSError:
                time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
    (kept,) = RunFolder(run).place("clip").edits()
    assert (kept.op, kept.id, kept.result) == ("sure", 2, RunFolder(run).place("clip").result_hash())


def test_edits_live_on_when_tracking_is_run_again(ask: Any, run: Path) -> None:
    """The second run calls 1 and 2 something else, and has nobody where 3 was drawn."""
    edit(ask, {"op": "name", "id": 1, "name": "red coat"}, 0)
    edit(ask, {"op": "split", "id": 2, "frame": 30, "new": 3}, 1)
    edit(ask, {"op": "box", "id": 9, "frame": 5, "xyxy": [200, 5, 220, 15]}, 2)
    edit(ask, {"op": "name", "id": 9, "name": "bird"}, 3)
    rows = [line.split(",") for line in (run / "clip.txt").read_text().splitlines()]
    text = [",".join([row[0], {"1": "7", "2": "3"}[row[1]], *row[2:]]) for row in rows]
    (run / "clip.txt").write_text("\n".join(text) + "\n")
    told = ask.get(f"{ONE}/about").json()
    assert told["names"] == {"7": "red coat", "9": "bird"}  # a box that edits drew is there again
    assert told["unfit"] == []
    place = RunFolder(run).place("clip")
    found = place.corrected().table
    assert sorted({*found.id[found.frame < 30].tolist()}) == [3, 7, 9]
    assert sorted({*found.id[found.frame >= 30].tolist()}) == [7, 8]  # 3 is taken here: the new one is 8
    (run / "clip.txt").write_text("".join(f"{k + 1},1,0,0,9,9,1,-1,-1,-1\n" for k in range(LENGTH)))
    told = ask.get(f"{ONE}/about").json()
    assert told["missing"][0] == "2 edits do not fit this result: the Edits say why."
    unfit = told["unfit"]
    assert [row["edit"] for row in unfit] == [0, 1]
    assert "nobody is where 1 was in frame" in unfit[0]["why"]


def test_lines_and_zones_are_those_of_count(ask: Any, run: Path) -> None:
    drawn = {
        "lines": [{"name": "middle", "points": [[150, 0], [150, 160]]}],
        "zones": [{"name": "left", "points": [[0, 0], [100, 0], [100, 160], [0, 160]]}],
    }
    assert ask.post(f"{ONE}/regions", json=drawn).status_code == 200
    told = ask.get(f"{ONE}/totals").json()
    regions = read_regions(run / "clip.regions.yaml")
    numbers = summarise(read_results(run / "clip.txt"), 25.0, regions)
    assert told["sentences"] == numbers.sentences()
    assert told["lines"][0]["totals"] == {"left": 1, "right": 1}
    assert len(told["zones"][0]["visits"]) == 2
    assert np.sum(told["heat"]) == pytest.approx(2 * LENGTH / 25)
    assert ask.get(f"{ONE}/table/lines.csv").text.splitlines()[0] == "line,time,id,direction,x,y"
    main_table = ask.get(f"{ONE}/table/persons.csv")
    assert len(main_table.text.splitlines()) == 3
    broken = ask.post(
        f"{ONE}/regions", json={"zones": [{"name": "z", "points": [[0, 0], [9, 9], [9, 0], [0, 9]]}]}
    )
    assert broken.status_code == 400
    assert "crosses itself" in broken.text
    twice = [{"name": "a", "points": [[0, 0], [k, 9]]} for k in (8, 9)]
    said = ask.post(f"{ONE}/regions", json={"lines": twice}).text
    assert said == "regions: 'a' names two regions; give each a name of its own"
    late = ask.post(f"{ONE}/regions", json={"lines": [], "known": {"lines": [], "zones": []}})  # another tab
    assert (late.status_code, "changed meanwhile" in late.text) == (400, True)
    assert regions == read_regions(run / "clip.regions.yaml")
    assert ask.post(f"{ONE}/regions", json={}).status_code == 200
    assert not (run / "clip.regions.yaml").exists()


def test_scores_before_and_after(tmp_path: Path) -> None:
    """The tracker swaps the two at frame 30; swapping them back makes it perfect."""
    from starlette.testclient import TestClient

    run = make_run(tmp_path / "run", write_video(tmp_path / "clip.mp4"), swap=30)
    ask = TestClient(make_app(Board(Runs([run]), write_truth(tmp_path / "gt.txt")), ["testserver"]))
    told = ask.get(f"{ONE}/scores").json()
    assert told["before"] == told["after"]
    assert told["before"]["IDSW"] == 2
    assert [(s["frame"], s["person"], s["before"], s["after"]) for s in told["switches"]] == [
        (30, 11, 1, 2),
        (30, 12, 2, 1),
    ]
    assert told["identities"][0] == {"id": 1, "boxes": 60, "right": 30, "person": 11}
    edit(ask, {"op": "swap", "id": 1, "other": 2, "frame": 30}, 0)
    edit(ask, {"op": "delete", "id": 2, "first": 40, "last": 49}, 1)
    told = ask.get(f"{ONE}/scores").json()
    assert (told["before"]["IDSW"], told["after"]["IDSW"], told["after"]["FN"]) == (2, 0, 10)
    assert told["misses"] == [{"person": 12, "first": 40, "last": 49, "id": 2}]
    assert told["identities"][0] == {"id": 1, "boxes": 60, "right": 60, "person": 11}


def test_where_two_runs_differ(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4")
    runs = Runs([make_run(tmp_path / "a", video), make_run(tmp_path / "b", video, swap=30)])
    edits = tmp_path / "b" / "clip.edits.jsonl"
    edits.write_text('{"op":"delete","id":1,"first":45}\n')
    board = Board(runs)
    told = board.answer(runs.place("a", "clip"), "differences", {"run": "b", "name": "clip"})
    assert [(row["frame"], row["kind"], row["id"], row["other"]) for row in told] == [
        (30, "joined", 2, 1),
        (30, "joined", 1, 2),
        (30, "split", 1, 2),
        (30, "split", 2, 1),
        (45, "only here", 2, 0),
    ]


def test_a_folder_of_runs(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", 3)
    (tmp_path / "runs" / "training").mkdir(parents=True)
    (tmp_path / "runs" / "training" / "run.json").write_text('{"epochs": 3}')
    for name in ("a", "b"):
        make_run(tmp_path / "runs" / name, video, 3)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{")
    (tmp_path / "runs" / "new").mkdir()
    (tmp_path / "runs" / "new" / "cam.txt.partial").touch()
    found = Runs([tmp_path / "runs"])
    assert [*found.runs] == ["a", "b", "new"]
    assert [row["people"] for row in found.listed()] == [2, 2, None]
    (said,) = Board(found).overall()["left_out"]
    assert "runs/broken: its run.json is broken" in said


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fview_run.py",
        "/static/index.html",
        "/api/run/..%2f..%2fclip/about",
        "/api/..%2frun/clip/about",
        "/api/run/other/about",
        "/api/run/clip/__init__",
        "/api/run/clip/moment?frame=x&id=1",
        "/api/run/clip/crop/0/1_2_3.jpg",
        "/api/run/clip/crop/9999/1_2_30_40.jpg",  # no such frame
        "/api/run/clip/table/..%2fx.csv",
        "/api/people",
        "/run.json",
    ],
)
def test_nothing_else_is_served(ask: Any, path: str) -> None:
    assert ask.get(path).status_code in (400, 404)


def test_strangers_are_refused(run: Path) -> None:
    from starlette.testclient import TestClient

    app = make_app(Board(Runs([run])), ["127.0.0.1"], token="secret")
    ask = TestClient(app, base_url="http://127.0.0.1")
    for path in ("/", "/api/runs", "/static/data.js", f"{ONE}/boxes", f"{ONE}/live"):
        assert ask.get(path).status_code == 403, path
    assert ask.get("/?token=wröng").status_code == 403
    assert ask.get("/?token=secret").status_code == 200
    assert ask.get("/api/runs").status_code == 200  # by the cookie
    assert [*ask.cookies] == ["retrace-80"]  # of this port: another page's token is another one
    assert TestClient(app, base_url="http://evil.example").get("/?token=secret").status_code == 400
    foreign = ask.get(f"{ONE}/corrected/mot", headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403
    form = ask.post(f"{ONE}/edits", data={"edit": "x"})
    assert form.status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"edit": {}, "known": 0}',
        b"[" * 20_000,
        b"[" * 200_000,
        b'{"edit": {"op": "sure", "id": 1}}',
    ],
)
def test_bodies_that_are_none(ask: Any, body: bytes) -> None:
    for what in ("edits", "regions"):
        answer = ask.post(f"{ONE}/{what}", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, what
        assert "\n" not in answer.text


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"op": "merge", "id": 1, "other": 3}, "merge does not fit: nobody has the id 3"),
        ({"op": "split", "id": 1, "frame": 0, "new": 3}, "1 has no boxes on both sides of frame 0"),
        ({"op": "box", "id": 1, "frame": 10**8, "xyxy": [1, 1, 9, 9]}, f"the last one is {LENGTH - 1}"),
        ({"op": "undo", "of": 7}, "there is no edit 7"),
    ],
)
def test_an_edit_that_would_do_nothing_is_not_written(ask: Any, run: Path, made: Any, said: str) -> None:
    answer = edit(ask, made, 0)
    assert (answer.status_code, said in answer.text) == (400, True), answer.text
    assert not (run / "clip.edits.jsonl").exists()


def test_where_an_edit_was_made_is_noted_here(ask: Any) -> None:
    forged = {"op": "sure", "id": 1, "result": "x"}
    assert "are noted here" in edit(ask, forged, 0).text


def test_a_run_that_is_half_there(run: Path) -> None:
    told = json.loads((run / "run.json").read_text())
    told["arguments"] = ["/gone/clip.mp4"]
    (run / "run.json").write_text(json.dumps(told))
    (run / "clip.txt").rename(run / "clip.txt.partial")
    with (run / "clip.txt.partial").open("a") as file:
        file.write("61,1,3")  # being written
    (run / "clip.jsonl").write_text("broken")
    (run / "clip.looks.npz").write_text("broken")
    (run / "clip.ledger.jsonl").write_text("broken")
    (run / "clip.edits.jsonl").write_text("broken\n")
    board = Board(Runs([run]))
    place = board.runs.place("run", "clip")
    about = board.answer(place, "about", {})
    said = " ".join(about["missing"])
    assert "not finished" in said
    assert "/gone/clip.mp4" in said
    assert "line 1: no JSON; mend or remove the line" in said
    assert about["summary"] == "2 people, at most 2 at once"
    assert "Looks are broken" in said
    assert "clip.jsonl, line 1 is broken" in said
    for what in ("boxes", "predicted", "persons", "totals"):
        board.answer(place, what, {})
    for what in ("events", "loose", "moment"):
        with pytest.raises(InputError, match=r"reasons are not shown: .*clip\.ledger\.jsonl"):
            board.answer(place, what, {"frame": "3", "id": "1"})
    assert (export(board, run.parent / "page")).is_file()
    (run / "clip.ledger.jsonl").unlink()
    assert "No ledger" in board.answer(place, "moment", {"frame": "3", "id": "1"})["lines"][0]
    with pytest.raises(InputError, match="source is not there"):
        make_proxy(place)
    (run / "run.json").unlink()  # a run that has only begun
    assert RunFolder(run).place("clip").growing


@pytest.mark.parametrize("name", ["", "..", "../clip", "/tmp/clip", "a/b"])
def test_names_that_lead_out_of_the_run_are_refused(run: Path, name: str) -> None:
    told = json.loads((run / "run.json").read_text())
    told["sequences"][name] = told["sequences"]["clip"]
    (run / "run.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="expected names of files"):
        Runs([run])


def test_an_export_survives_a_sequence_without_a_result(run: Path, tmp_path: Path) -> None:
    told = json.loads((run / "run.json").read_text())
    told["sequences"] |= {"gone": {"frames": 3}, "huge": {**told["sequences"]["clip"], "frames": 10**13}}
    (run / "run.json").write_text(json.dumps(told))
    (run / "huge.txt").write_bytes((run / "clip.txt").read_bytes())
    said: list[str] = []
    page = export(Board(Runs([run])), tmp_path / "page", said.append)
    assert any(line.startswith("gone: ") and "no such result" in line for line in said)
    assert '"api/run/huge/about":{"name":"huge"' in (page.parent / "answers.js").read_text()


def test_where_the_source_is(tmp_path: Path) -> None:
    """As given; from a folder above the run, for a relative path; moved into the run."""
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    words = ["--detections", "clip.txt", "--memory", "clip.db", "videos/clip.mp4", "--out", "runs/one"]
    assert source_of("clip", words, run) == "videos/clip.mp4"  # gone
    (run / "clip.mp4").touch()
    assert source_of("clip", words, run) == str(run / "clip.mp4")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "clip.mp4").touch()
    assert source_of("clip", words, run) == str(tmp_path / "videos" / "clip.mp4")
    assert source_of("clip", ["--quiet", "clip.mp4", "--show", "x.avi"], run) == str(run / "clip.mp4")
    # that one is drawn upon
    assert source_of("clip", ["--quiet", "clip.mp4"], run, ["clip.mp4"]) == "clip.mp4"
    assert source_of("clip", ["--detections", "clip.npz"], run) is None


@pytest.mark.parametrize("text", [None, "[]", "{}", '{"sequences": []}', "\xff"])
def test_folders_that_are_no_runs(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        main([str(tmp_path)])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "0"], "--port 0"),
        (["--gt", "/no/where"], "no such file"),
        (["--video", "x.mp4"], "goes with --import"),
        (["--export", "x", "--open"], "serve nothing"),
        (["--save", "mot,exe"], "no kind 'exe'"),
    ],
)
def test_options_that_contradict(run: Path, words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        main([str(run), *words])


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A memory of two people who both went through two cameras."""
    path = tmp_path / "people.db"
    with Memory(path, "net-1", D) as memory:
        for begin, person, camera in ((0.0, 1, "a"), (10.0, 2, "a"), (20.0, 1, "b"), (30.0, 2, "b")):
            memory.add([tracklet(person, begin, camera=camera, source=camera)])
    return path


def test_people_of_a_memory_are_mended(run: Path, people: Path) -> None:
    from starlette.testclient import TestClient

    ask = TestClient(make_app(Board(Runs([run]), memory=people), ["testserver"]))

    def told() -> dict[int, list[int]]:
        found = ask.get("/api/people").json()["people"]
        return {row["id"]: [visit["tracklet"] for visit in row["visits"]] for row in found}

    def mend(**made: Any) -> str:
        answer = ask.post("/api/people/edits", json=made)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["said"])

    before = told()
    (a, mine), (b, others) = sorted(before.items())
    assert (len(mine), len(others)) == (2, 2)
    mend(op="merge", a=b, b=a)
    assert told() == {a: sorted(mine + others)}
    (done,) = (row for row in ask.get("/api/people").json()["log"] if row["undoable"])
    assert done["text"] == f"{b} is {a}, by user"
    mend(op="undo", operation=done["operation"])
    assert told() == before
    mend(op="split", tracklets=[mine[1]])
    assert sorted(map(len, told().values())) == [1, 1, 2]
    new, operation = max(told()), ask.get("/api/people").json()["log"][0]["operation"]
    mend(op="name", person=new, name="nobody soon")
    mend(op="undo", operation=operation)
    assert told() == before
    for made in ({"op": "name", "person": new, "name": "x"}, {"op": "merge", "a": a, "b": new}):
        answer = ask.post("/api/people/edits", json=made)
        assert (answer.status_code, f"nobody there has the id {new}" in answer.text) == (400, True)
    mend(op="name", person=b, name="blue hat")
    mend(op="merge", a=a, b=b)
    assert ask.get("/api/people").json()["people"][0]["name"] == "blue hat"
    mend(op="name", person=a, name="red <b>coat")
    mend(op="pin", person=a, pinned=True)
    row = ask.get("/api/people").json()["people"][0]
    assert (row["name"], row["pinned"]) == ("red <b>coat", True)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "expected an edit"),
        ({"op": "delete", "person": 1}, "expected an edit with op merge, split"),
        ({"op": "merge", "a": 1}, "expected whole numbers a, b"),
        ({"op": "merge", "a": 1, "b": True}, "expected whole numbers a, b"),
        ({"op": "merge", "a": 1, "b": 2**70}, "expected whole numbers a, b"),
        ({"op": "merge", "a": 1, "b": 99}, "nobody there has the id 99"),
        ({"op": "split", "tracklets": "1"}, "expected a list"),
        ({"op": "split", "tracklets": []}, "name the tracklets"),
        ({"op": "undo", "operation": 10**6}, "no operation 1000000"),
        ({"op": "name", "person": 1, "name": " "}, "1 to 200"),
        ({"op": "pin", "person": 1}, "pinned true or false"),
    ],
)
def test_people_edits_that_are_none(run: Path, people: Path, made: Any, said: str) -> None:
    from starlette.testclient import TestClient

    before = people.read_bytes()
    ask = TestClient(make_app(Board(Runs([run]), memory=people), ["testserver"]))
    answer = ask.post("/api/people/edits", json=made)
    assert answer.status_code == 400
    assert said in answer.text
    assert people.read_bytes() == before
    assert TestClient(make_app(Board(Runs([run])), ["testserver"])).post(
        "/api/people/edits", json=made
    ).status_code == 400  # fmt: skip


def test_where_the_trackers_identities_were_joined(ask: Any, run: Path) -> None:
    """2 is merged into 1 where it is alone; and the passes afterwards called the tracker's 5 and 6 one 9."""
    own = [line.split(",") for line in (run / "clip.txt").read_text().splitlines()]
    own = [[row[0], {"1": "5" if int(row[0]) <= 20 else "6", "2": "2"}[row[1]], *row[2:]] for row in own]
    (run / "clip.tracks.txt").write_text("\n".join(map(",".join, own)) + "\n")
    told = ask.get(f"{ONE}/events").json()
    assert told == [
        {
            "frame": 20,
            "kind": "merged",
            "id": 1,
            "other": 0,
            "text": "the tracker's id 6 goes on as 1, who was its id 5 before",
        }
    ]
    edit(ask, {"op": "delete", "id": 1, "first": 40}, 0)
    edit(ask, {"op": "merge", "id": 1, "other": 2}, 1)
    assert [(row["frame"], row["text"][:19]) for row in ask.get(f"{ONE}/events").json()] == [
        (20, "the tracker's id 6 "),
        (40, "the tracker's id 2 "),
    ]


def test_ids_of_the_ledger_are_told_by_todays_names() -> None:
    row = {"frame": 3, "kind": "switch", "id": 4, "other": 7, "text": "id 2 -> id 7: close", "own": [2, 7]}
    assert reasons.called(row)["text"] == "id 2 -> id 7: close (id 2 is 4 now)"
    row = {"frame": 3, "kind": "double", "id": 2, "other": 0, "text": "id 2 is a double", "own": [2, 8]}
    assert reasons.called(row)["text"] == "id 2 is a double (id 8 is nobody now)"
    row = {"frame": 3, "kind": "switch", "id": 2, "other": 3, "text": "id 2 -> id 3", "own": [2, 3]}
    assert reasons.called(row) == {"frame": 3, "kind": "switch", "id": 2, "other": 3, "text": "id 2 -> id 3"}


def test_a_port_that_is_taken_is_told_before_an_address(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: Address already in use"):
            main([str(run), "--port", str(port)])
    assert "http" not in capsys.readouterr().out


def test_a_run_in_which_nobody_was_tracked_is_a_page(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", write_video(tmp_path / "clip.mp4"))
    (made / "clip.txt").write_text("")
    board = Board(Runs([made]))
    assert len(board.runs.place("run", "clip").corrected().table) == 0
    assert export(board, tmp_path / "page").is_file()
