"""A long video in parts: where it is cut, who is who across a cut, and the whole against a run in one piece."""

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.runs.runner import open_run, track_all
from retrace.tools.runs.split import across, by_appearance, choose_cuts, join, same_people
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results
from retrace.tracker.offline.linking import Links
from retrace.tracker.offline.reconnect import Looks
from retrace.tracker.run import Job
from tests.tools.forked import forked_workers
from tests.tools.run_track import fails
from tests.tools.runs.sequences import sequence


def table(*rows: tuple[int, int, float]) -> MotTable:
    """Rows of (frame, id, left): boxes 20 x 50."""
    frame, ids, left = (np.array(column) for column in zip(*rows, strict=True))
    xyxy = np.stack((left, np.full(len(left), 20), left + 20, np.full(len(left), 70)), axis=1).astype(float)
    ones = np.ones(len(rows))
    return MotTable(frame.astype(np.int64), ids.astype(np.int64), xyxy, ones, ones.astype(np.int64), ones)


def walk(who: int, frames: range, left: float, speed: float = 1.0) -> list[tuple[int, int, float]]:
    return [(k, who, left + speed * k) for k in frames]


def test_cuts_lie_where_few_people_are() -> None:
    """100 frames in 2: within 12.5 of the middle frame 45 and 60 show 1; 45 is nearer. With 3 parts, 60 near 67."""
    at, people = np.array([30, 40, 45, 50, 60]), np.array([0, 2, 1, 3, 1])
    assert choose_cuts(at, people, 100, 2) == [45]
    assert choose_cuts(at, people, 100, 3) == [30, 60]
    assert choose_cuts(at[:0], people[:0], 90, 3) == [30, 60]


def test_same_people_share_most_boxes() -> None:
    """1 and 7 share frames 0 to 3; 2 shares one frame of its 4 with 7 and none with 8: too few."""
    before = table(*walk(1, range(4), 10), *walk(2, range(4), 300))
    after = table(*walk(7, range(4), 12), *walk(8, range(4), 600))
    links = same_people(before, after)
    assert (links.earlier.tolist(), links.later.tolist()) == ([1], [7])
    before = table(*walk(1, range(6), 10))
    after = table(*walk(7, range(2), 10), *walk(8, range(2, 6), 10))  # two ids for one person: who has more
    assert same_people(before, after).later.tolist() == [8]


def test_only_links_across_a_cut_count() -> None:
    """Cut at 10: 1 -> 3 crosses it, 3 -> 4 lies behind it; who begins before it has been judged."""
    rows = table(
        *walk(1, range(5), 0),
        *walk(2, range(6, 12), 0),
        *walk(3, range(10, 14), 0),
        *walk(4, range(15, 20), 0),
    )
    links = Links(np.array([1, 1, 3]), np.array([2, 3, 4]), np.zeros(3))
    found = across(links, rows, [10])
    assert (found.earlier.tolist(), found.later.tolist()) == ([1], [3])


def test_ids_by_appearance_and_their_looks() -> None:
    rows = table(*walk(9, range(2), 0), *walk(4, range(1, 3), 90))
    looks = Looks(np.array([4, 5, 9]), np.array([[4.0], [5.0], [9.0]]), np.array([1, 1, 1]))
    renamed, known = by_appearance(rows, looks)
    assert renamed.id.tolist() == [1, 1, 2, 2]
    assert known is not None
    assert (known.id.tolist(), known.total[:, 0].tolist()) == ([1, 2], [9.0, 4.0])


def test_parts_become_one_table() -> None:
    """Cut at 20, 2 frames of overlap. 1 walks through, called 1 in the second part too; 2 is hidden from 17 to 22 and
    comes back where it was going, as 2 there; 3 comes at 22."""
    first = table(*walk(1, range(22), 10), *walk(2, range(17), 200, 2.0))
    second = table(
        *walk(1, range(18, 40), 10), *walk(2, range(23, 40), 200, 2.0), *walk(3, range(22, 40), 600)
    )
    whole, looks, note = join([first, second], [None, None], [20], 2, 10.0, (480, 800), 30.0)
    seen = [*walk(2, range(17), 200, 2.0), *walk(2, range(23, 40), 200, 2.0)]
    want = table(*walk(1, range(40), 10), *seen, *walk(3, range(22, 40), 600))
    order = np.lexsort((want.id, want.frame))
    assert whole.frame.tolist() == want.frame[order].tolist()
    assert whole.id.tolist() == want.id[order].tolist()
    assert (whole.xyxy == want.xyxy[order]).all()
    assert looks is None
    assert note == "split at frame 21: 1 people joined by their boxes, 1 by motion, 0 by looks"


def test_looks_join_who_was_hidden_at_a_cut() -> None:
    """2 comes back somewhere else; 1 and it are there at the same time, so how alike strangers are is known."""
    first = table(*walk(1, range(25), 100), *walk(2, range(12), 400))
    second = table(*walk(5, range(15, 40), 100), *walk(6, range(25, 40), 550, 0.0))
    vectors = {1: [1.0, 0.0], 2: [0.0, 1.0]}
    looks = [Looks.of(np.array(ids), np.array([vectors[k] for k in (1, 2)])) for ids in ([1, 2], [5, 6])]
    whole, known, note = join([first, second], looks, [20], 5, 10.0, (480, 800), 30.0)
    assert {*whole.id.tolist()} == {1, 2}
    assert known is not None
    assert known.count.tolist() == [2, 2]
    assert note.endswith("0 by motion, 1 by looks")


def people(folder: Path, length: int = 400) -> Path:
    """Four people at different times, nobody from 180 to 219."""
    sequence(folder, length)
    when = (
        (range(180), 10, 0.5),
        (range(50, 150), 120, -0.5),
        (range(220, 400), 40, 0.3),
        (range(300, 360), 150, 0),
    )
    rows = [
        (k, f"{k + 1},-1,{left + speed * (k - there.start):.2f},20,24,50,0.9\n")
        for there, left, speed in when for k in there if k < length
    ]  # fmt: skip
    (folder / "det" / "det.txt").write_text("".join(line for _, line in sorted(rows)))
    return folder


def test_a_split_run_beside_one_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut where nobody is: the same bytes, tables of answers too."""
    forked_workers(monkeypatch)
    folder = people(tmp_path / "one")
    job = Job(folder, tmp_path / "whole", reid="none", save=("csv", "persons"))
    track_all(open_run([job], quiet=True))
    run = open_run(
        [Job(folder, tmp_path / "parts", reid="none", save=("csv", "persons"))],
        quiet=True,
        workers=2,
        parts=2,
    )
    track_all(run)
    report = run.reports["one"]
    assert run.whole
    assert (report.frames, report.tracks, report.record["split"]) == (400, 4, [200])
    for name in ("one.txt", "one.csv", "one.persons.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert {p.name for p in (tmp_path / "parts").iterdir()} == {
        "run.json",
        "one.txt",
        "one.csv",
        "one.persons.csv",
    }


def test_a_part_begins_where_it_is_told_to(tmp_path: Path) -> None:
    folder = people(tmp_path / "one")
    run = open_run([Job(folder, tmp_path / "o", reid="none", first=230, length=250)], quiet=True)
    track_all(run)
    rows = read_results(tmp_path / "o" / "one.txt")
    assert (rows.frame.min(), rows.frame.max(), run.reports["one"].frames) == (230, 249, 20)
    with pytest.raises(InputError, match="`first` must be at least 0 and below `length`, got 9"):
        Job(folder, tmp_path / "o", first=9, length=9)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--split", "4"), "one: 400 frames are enough for 3 parts of 12 s; make --split smaller"),
        (("--split", "0"), "--split must be at least 1 part, got 0"),
        (
            ("--split", "2", "--save", "jsonl,ledger"),
            "--split joins tables: leave jsonl, ledger out of --save",
        ),
    ],
)
def test_mistakes(
    more: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in fails(capsys, people(tmp_path / "one"), "--reid", "none", "--out", tmp_path / "o", *more)
