"""The memory on the command line: what is printed, mended, searched."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid import Embedder
from retrace.tools.memory import main as memory
from retrace.tools.runs.memories import clock, weights_name
from retrace.tools.search import main as search
from retrace.tools.viewing.people import people as on_the_page
from retrace.tracker.memory import Memory
from retrace.tracker.memory.editing import delete
from retrace.tracker.memory.engines.hnsw import Hnsw
from retrace.tracker.memory.store import Store
from tests.conftest import ROOT
from tests.reid.networks_by_hand import channel_means
from tests.tracker.memory.passersby import D, day, tracklet

COLOURS = {"red": (40, 40, 220), "green": (40, 220, 40), "blue": (220, 40, 40)}


def picture(path: Path, colour: str, size: tuple[int, int] = (64, 32)) -> Path:
    cv2.imwrite(str(path), np.full((*size, 3), COLOURS[colour], np.uint8))
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Two people: 1 came three times, 2 twice."""
    with Memory(tmp_path / "people.db", "net", D) as made:
        for k, person in enumerate((1, 2, 1, 2, 1)):
            made.add([tracklet(person, 100.0 * (k + 1), camera="door" if person == 1 else "hall")])
    return tmp_path / "people.db"


@pytest.fixture
def colourful(tmp_path: Path) -> tuple[Path, str]:
    """A memory of people of one colour each, seen by a network that sees colours; and that network."""
    network = str(channel_means(tmp_path / "mean.onnx", ["B", 3, 8, 4]))
    embed = Embedder.from_weights(network, device="cpu")
    with Memory(tmp_path / "c.db", weights_name(Path(network)), 3, returning=0.5) as made:
        for k, (name, colour) in enumerate(COLOURS.items()):
            crop = np.full((64, 32, 3), colour, np.uint8)
            vector = embed(crop, np.array([[0, 0, 32, 64]]))[0]
            jpeg = bytes(cv2.imencode(".jpg", crop)[1])
            made.add([tracklet(k, 100.0 * (k + 1), vector=vector, camera=name, crop=jpeg)])
        assert made.people.count == 3
    return tmp_path / "c.db", network


def said(capsys: pytest.CaptureFixture[str], path: Path, *words: object) -> list[str]:
    assert memory([str(path), *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


def test_who_is_there(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, people, "list") == [
        "1: 3 visits, door, 0:01:40.0 to 0:08:23.0",
        "2: 2 visits, hall, 0:03:20.0 to 0:06:43.0",
    ]
    shown = said(capsys, people, "show", 1)
    assert shown[0] == "person 1: 3 visits"
    assert "like nobody" in shown[1]
    assert re.search(r"by looks \(\d+\.\d %, distance 0\.\d\d\)$", shown[2])
    assert json.loads("\n".join(said(capsys, people, "export", 2)))["tracklets"][0]["camera"] == "hall"


def test_mending_and_taking_back(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (merged,) = said(capsys, people, "merge", 2, 1)
    operation = merged.removeprefix("merged: operation ")
    assert said(capsys, people, "list")[0].startswith("1: 5 visits")
    said(capsys, people, "undo", operation)
    assert len(said(capsys, people, "list")) == 2
    (split,) = said(capsys, people, "split", 5)
    assert split.startswith("they are person 3 now")
    assert said(capsys, people, "name", 3, "red coat") == ["person 3 is 'red coat'"]
    assert said(capsys, people, "pin", 3) == ["person 3 is pinned: never forgotten"]
    assert said(capsys, people, "list")[2].startswith("3 'red coat' (pinned): 1 visit")
    assert re.search(
        r"tracklet 5 is person 3 \(20.*UTC, user; reason split by hand",
        "\n".join(said(capsys, people, "log")),
    )
    assert said(capsys, people, "delete", 3)[0].startswith("1 tracklet, 1 id, ")
    assert len(said(capsys, people, "list")) == 2
    assert said(capsys, people, "undo-merges") == ["0 merges undone"]
    nothing = "people forgotten: 0, tracklets reduced to their person's mean: 0"
    assert said(capsys, people, "forget") == [nothing]
    assert said(capsys, people, "forget", "--set", "most_people=1")[0].startswith("people forgotten: 1, ")
    assert len(said(capsys, people, "list")) == 1


def test_everything_about_one_person_in_a_folder(
    colourful: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON with boxes and links, pictures, vectors; who was folded is in the mean."""
    path, _ = colourful
    out = tmp_path / "person 2"
    (line,) = said(capsys, path, "export", 2, "--out", out)
    told = json.loads((out / "person.json").read_text())
    assert told == json.loads("\n".join(said(capsys, path, "export", 2)))
    mine = [one["tracklet"] for one in told["tracklets"]]
    assert line == f"{out}: {len(mine)} tracklets, {len(mine)} pictures, {len(mine)} vectors"
    assert {file.name for file in out.iterdir()} == {
        "person.json",
        "vectors.npz",
        *(f"{one}.jpg" for one in mine),
    }
    with np.load(out / "vectors.npz") as kept:
        assert kept["tracklet"].tolist() == mine
        np.testing.assert_allclose(np.linalg.norm(kept["vector"], axis=1), 1, atol=2e-3)
        mean = kept["vector"].sum(0)
        np.testing.assert_allclose(kept["mean"], mean / np.linalg.norm(mean), atol=2e-3)
    with pytest.raises(InputError, match="is there already; name a new folder"):
        memory([str(path), "export", "2", "--out", str(out)])
    said(capsys, path, "forget", "--set", "reduce_after=0.001")
    said(capsys, path, "export", 2, "--out", tmp_path / "later")
    with np.load(tmp_path / "later" / "vectors.npz") as left:
        assert len(left["tracklet"]) < len(mine)
        np.testing.assert_allclose(left["mean"], mean / np.linalg.norm(mean), atol=5e-3)


def test_links_of_a_person(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a hand has tied stands in the export, as long as it stands."""

    def links(person: int) -> list[tuple[str, str]]:
        told = json.loads("\n".join(said(capsys, people, "export", person)))
        return [(link["kind"], link["reason"]) for link in told["links"]]

    (merged,) = said(capsys, people, "merge", 2, 1)
    operation = merged.removeprefix("merged: operation ")
    assert links(1) == [("must", f"operation {operation}")]
    said(capsys, people, "undo", operation)
    assert links(1) == []
    said(capsys, people, "reject", 1, 2)
    assert {kind for kind, _ in links(1)} == {"cannot"}


def test_what_is_deleted_leaves_the_index_too(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The graph's file beside the memory goes with the first deletion, or follows where the engine is named; of a
    server its user is told."""
    pytest.importorskip("faiss")
    cache = people.with_name(people.name + ".hnsw")
    with Memory(people, engine="hnsw") as opened:
        assert opened.engine is not None  # asked for, so it is in step
    assert cache.is_file()
    said(capsys, people, "delete", 2)
    assert not cache.exists()


def test_what_is_deleted_where_the_graph_is_open_is_not_in_its_file(
    people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of many, and the last one."""
    pytest.importorskip("faiss")
    cache = people.with_name(people.name + ".hnsw")
    member = Store(people, readonly=True).partition()[0]
    of = {who: [t for t, person in member.items() if person == who] for who in set(member.values())}
    vectors = {
        who: [
            Store(people, readonly=True).read("SELECT vector FROM tracklet WHERE id = ?", (t,))[0][0]
            for t in mine
        ]
        for who, mine in of.items()
    }
    with Memory(people, engine="hnsw") as opened:
        assert opened.engine is not None
    assert all(vector in cache.read_bytes() for mine in vectors.values() for vector in mine)
    for who, mine in vectors.items():
        with Memory(people, engine="hnsw") as opened:
            delete(opened, who)
        assert not any(vector in cache.read_bytes() for vector in mine)


def test_of_another_engine_the_graph_goes_too(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    cache = people.with_name(people.name + ".hnsw")
    with Memory(people, engine="hnsw") as opened:
        assert opened.engine is not None
    said(capsys, people, "delete", 2, "--engine", "exact")  # another one
    assert not cache.exists()
    said(capsys, people, "forget", "--engine", "hnsw", "--set", "reduce_after=0.001")
    assert not cache.exists() or Hnsw(D, cache).held()[0].size == 0
    with Memory(people) as opened, opened.store.writing():
        opened.store.db.execute("INSERT INTO meta VALUES ('server:qdrant', '')")
    told = said(capsys, people, "delete", 1)
    assert (
        told[1]
        == "its vectors may still be in qdrant: give --engine qdrant:ADDRESS, here or in the next search"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show"], "expected show PERSON, got show alone"),
        (["merge", "1", "x"], "'x' is no id"),
        (["merge", "1", "²"], "is no id"),
        (["merge", "1", "9"], "nobody there has the id 9"),
        (["split"], "expected split TRACKLET ..., got split alone"),
        (["engine"], "expected engine NAME, got engine alone"),
        (["list", "all"], "expected list, got list all"),
        (["clocks", "keap"], "expected clocks .keep., got clocks keap"),
        (["engine", "ivf"], "engine ivf: .*known: auto, exact"),
        (["shwo", "1"], "invalid choice"),
        (["undo", "9" * 30], "is no id"),
        (["export", "1", "--out", ""], "--out ''"),
        (["list", "--set", "bank=3"], "--set does nothing for list: it is for forget and recluster"),
        (
            ["export", "1", "--engine", "flat"],
            "--engine does nothing for export: it is for delete and forget",
        ),
        (["forget", "--set", "forget_aftre=3"], "forget_aftre"),
        (["delete", "1", "--engine", "ivf"], "engine ivf: "),
    ],
)
def test_mistakes(people: Path, words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        memory([str(people), *words])


def test_a_memory_is_not_made_by_looking(tmp_path: Path) -> None:
    for tool, words in ((memory, ["list"]), (search, ["photo.jpg"])):
        with pytest.raises(InputError, match=r"none\.db: no such memory"):
            tool([str(tmp_path / "none.db"), *words])
    assert not [*tmp_path.iterdir()]


def test_a_photo_is_found(
    colourful: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, network = colourful
    photo = picture(tmp_path / "p.png", "green")
    sheet, table, numbers = tmp_path / "s.png", tmp_path / "t.csv", tmp_path / "j.json"
    words = [
        str(path),
        str(photo),
        "--reid",
        network,
        "--sheet",
        str(sheet),
        "--csv",
        str(table),
        "--json",
        str(numbers),
    ]
    assert search(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("person 2: ")
    assert "green, 0:03:20.0 to 0:03:23.0" in out[1]
    assert json.loads(numbers.read_text())[0]["person"] == 2
    assert table.read_text().splitlines()[1].startswith("2,")
    drawn = cv2.imread(str(sheet))
    # the crop, beside the number
    assert np.abs(drawn[100, 96 + 48].astype(int) - COLOURS["green"]).max() < 12
    assert search([str(path), str(photo), "--reid", network, "--cameras", "red", "--least", "0.5"]) == 0
    assert capsys.readouterr().out.startswith("nobody among 3 people is as likely as 0.5")


def test_a_page_of_what_was_found(
    colourful: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By another engine the same; and where nobody is likely enough, the page says nobody."""
    path, network = colourful
    words = [str(path), str(picture(tmp_path / "p.png", "green")), "--reid", network]
    assert search(words) == 0
    told = capsys.readouterr().out
    assert search([*words, "--engine", "exact", "--html", str(tmp_path / "page")]) == 0
    assert capsys.readouterr().out == told + f"  {tmp_path / 'page' / 'index.html'}\n"
    assert "Person 2" in (tmp_path / "page" / "index.html").read_text()
    never = ["--cameras", "red", "--least", "0.5", "--html", str(tmp_path / "page")]
    assert search([*words, *never]) == 0
    text = (tmp_path / "page" / "index.html").read_text()
    assert (
        "Nobody: among 3 people nobody is as likely as 50.0 %. The most alike, who were not accepted:" in text
    )
    with pytest.raises(InputError, match=r"engine ivf: .*known: auto, exact"):
        search([*words, "--engine", "ivf"])


def test_an_engine_is_measured_on_the_memory(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = said(capsys, people, "engine", "exact")
    assert first == (
        "exact: 5 vectors; of the nearest of 5 of them, themselves not counted, 1.0000 found, of the ten nearest 1.0000"
    )
    assert second.endswith(" ms")
    pytest.importorskip("faiss")
    assert "1.0000 found" in said(capsys, people, "engine", "hnsw")[0]
    assert [path.name for path in people.parent.iterdir()] == [people.name]  # no index is left


def test_who_may_be_one_is_suggested_until_it_is_settled(
    people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Memory(people, accept=0.9999999999) as careful:
        assert careful.add([tracklet(1, 900.0, camera="door")])[0].new
        careful.store.db.execute("DELETE FROM log WHERE op = 'suggest'")
    assert said(capsys, people, "suggestions") == ["nothing"]
    (line,) = said(capsys, people, "recluster")
    assert line.startswith("person 3 may be person 1: ")
    assert said(capsys, people, "recluster") == ["no two people here are likely to be one"]
    assert len(said(capsys, people, "list")) == 3  # nobody is renamed
    (line,) = said(capsys, people, "suggestions")
    assert line.startswith("person 3 may be person 1 (posterior 0.")
    operation = said(capsys, people, "reject", 3, 1)[0].removeprefix("they stay two: operation ")
    assert said(capsys, people, "suggestions") == ["nothing"]
    assert "person 3 is not person 1 (" in said(capsys, people, "log")[-1]
    said(capsys, people, "undo", operation)
    said(capsys, people, "merge", 1, 3)
    assert said(capsys, people, "suggestions") == ["nothing"]


def test_times_are_by_the_corrected_clock(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page and `search.py` tell them so, too."""
    assert said(capsys, people, "clock", "hall", 60) == ["hall: clock +60 s"]
    assert said(capsys, people, "list")[1] == "2: 2 visits, hall, 0:04:20.0 to 0:07:43.0"
    assert "hall, 0:04:20.0 to" in said(capsys, people, "show", 2)[1]
    assert json.loads("\n".join(said(capsys, people, "export", 2)))["tracklets"][0]["begin"] == 260.0
    assert on_the_page(people)["people"][1]["visits"][0]["begin"] == 260.0
    with pytest.raises(InputError, match="cannot be 1e\\+308 s off"):
        memory([str(people), "clock", "hall", "1e308"])


def test_live_cameras_tell_the_date() -> None:
    """1,000,000,000 s after the epoch was 2001-09-09 01:46:40 UTC; a recording's clock begins at 0."""
    assert clock(1e9 + 0.26) == "2001-09-09 01:46:40.3 UTC"
    assert clock(86400.0) == "24:00:00.0"


def test_photos_are_not_overwritten(colourful: tuple[Path, str], tmp_path: Path) -> None:
    path, network = colourful
    photo = picture(tmp_path / "p.png", "green")
    before = photo.read_bytes()
    for option in ("--sheet", "--csv", "--json"):
        with pytest.raises(InputError, match=f"{option} name the same file"):
            search([str(path), str(photo), "--reid", network, option, str(photo)])
    assert photo.read_bytes() == before


def test_a_database_of_another_program(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("CREATE TABLE meta (a, b)")
    with pytest.raises(InputError, match="is not an identity memory; name another file"):
        memory([str(tmp_path / "x.db"), "list"])
    with pytest.raises(InputError, match="FILE is empty: expected a memory"):
        memory(["", "list"])


def test_whose_split_was_undone_is_nobody(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = said(capsys, people, "list")
    operation = said(capsys, people, "split", 5, 5)[0].rpartition(" ")[2]
    said(capsys, people, "name", 3, "red coat")
    said(capsys, people, "undo", operation)
    assert said(capsys, people, "list") == before
    for words in (["show", "3"], ["name", "3", "x"], ["merge", "1", "3"], ["delete", "3"]):
        with pytest.raises(InputError, match="nobody there has the id 3; what it had is of 1"):
            memory([str(people), *words])


def test_who_was_merged_is_told_by_name(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, people, "name", 2, "red coat")
    operation = said(capsys, people, "merge", 1, 2)[0].rpartition(" ")[2]
    assert said(capsys, people, "list")[0].startswith("1 'red coat': 5 visits")
    assert said(capsys, people, "show", 2)[0] == "person 1, merged from 2 'red coat': 5 visits"
    with pytest.raises(
        InputError, match=f"2 is part of person 1: delete 1 for both, or undo operation {operation}"
    ):
        memory([str(people), "delete", "2"])


def test_photos_that_are_none(colourful: tuple[Path, str], tmp_path: Path) -> None:
    path, network = colourful
    (tmp_path / "text.jpg").write_text("no picture")
    for photo, message in (
        (tmp_path / "text.jpg", "none that can be read"),
        (tmp_path / "nowhere.jpg", "no such picture"),
        (tmp_path, "no such picture"),
    ):
        with pytest.raises(InputError, match=message):
            search([str(path), str(photo), "--reid", network])
    wide = picture(tmp_path / "wide.png", "red", (128, 256))
    with pytest.raises(InputError, match="nobody found in the picture"):
        search([str(path), str(wide), "--reid", network, "--detector", "hog"])


def test_other_weights_are_refused(people: Path, colourful: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vectors of two networks do not compare"):
        search([str(people), str(picture(tmp_path / "p.png", "red")), "--reid", colourful[1]])


def test_a_day_reads_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Memory(tmp_path / "m.db", "net", D) as made:
        for _, one in day(0):
            made.add([one])
    assert len(said(capsys, tmp_path / "m.db", "log")) >= 60
    assert said(capsys, tmp_path / "m.db", "suggestions")


def test_clock() -> None:
    assert [clock(s) for s in (0, 61.25, 3600, 86399.96, -1.5)] == [
        "0:00:00.0",
        "0:01:01.2",
        "1:00:00.0",
        "24:00:00.0",
        "-0:00:01.5",
    ]


@pytest.mark.parametrize("tool", ["memory", "search"])
def test_help_is_light(tool: str) -> None:
    probe = (
        f"import sys, retrace.tools.{tool} as t; t.parser().format_help();"
        "print(*{'numpy', 'sqlite3'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()
