"""tools/eval_memory.py: visits from names of images, from a memory, from results; curves and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError, load_preset
from retrace.eval.partition import returns_by_gap
from retrace.eval.ranking.features import Features, Side, save_features
from retrace.tools.eval_memory import main
from retrace.tools.scoring.remembering import GAPS, curve, search_score, step, stricter
from retrace.tools.scoring.visits import (
    APART,
    KnownVisits,
    shuffled_visits,
    visits_of_images,
    visits_of_results,
)
from retrace.tracker.data import MotTable
from retrace.tracker.memory import Memory, MemoryConfig
from tests.tracker.memory.passersby import D, tracklet, vector_of

CONFIG = load_preset("default", MemoryConfig, "memory")


def side(names: list[str]) -> Side:
    person = [int(name.split("_")[0]) for name in names]
    rng = np.random.default_rng(0)
    features = np.array([vector_of(p, rng, 0.1) for p in person])
    cameras = np.array([int(name.split("_c")[1][0]) for name in names])
    return Side(features, np.array(person), cameras, tuple(f"x/{name}" for name in names))


def images(query: list[str], gallery: list[str]) -> Features:
    return Features("by hand", side(query), side(gallery), (), {})


NAMES = [
    "0001_c1s1_000025_00.jpg", "0001_c1s1_000050_00.jpg",  # 1 and 2 s: one visit
    "0001_c1s1_000500_00.jpg",  # 20 s, 18 later: another
    "0001_c2s1_000525_00.jpg", "0002_c2s1_000530_00.jpg",  # beside each other
    "0002_c1s2_000025_00.jpg",  # another recording
    "-1_c1s1_000001_00.jpg", "0000_c1s1_000001_00.jpg",  # junk, a distractor
]  # fmt: skip


def test_images_become_visits() -> None:
    found = visits_of_images(images(NAMES[:3], NAMES[3:]))
    assert found.person.tolist() == [1, 1, 1, 2, 2]
    assert found.camera.tolist() == [1, 1, 2, 2, 1]
    assert (found.begin - APART).tolist()[:4] == pytest.approx([1.0, 20.0, 21.0, 21.2])
    assert (found.end - APART).tolist()[:4] == pytest.approx([2.0, 20.0, 21.0, 21.2])
    assert found.begin[4] == 2 * APART + 1
    assert found.weight.tolist() == [2, 1, 1, 1, 1]
    assert found.tracklets[0].apart == frozenset()
    assert [one.clock for one in found.tracklets] == ["c1s1", "c1s1", "c2s1", "c2s1", "c1s2"]
    agree = visits_of_images(images(NAMES[:3], NAMES[3:]), one_clock=(1,))
    assert [one.clock for one in agree.tracklets] == ["s1", "s1", "s1", "s1", "c1s2"]
    assert len(visits_of_images(images(NAMES[:3], NAMES[3:]), (2,))) == 1
    with pytest.raises(InputError, match="does not tell the time"):
        visits_of_images(images(NAMES[:1], ["0001_c1_1.png"]))
    for some, agree_in, said in (
        ((7,), (), "`recordings` 7: no people of that recording in .*; there are 1, 2"),
        ((1, 7), (), "`recordings` 7"),
        (None, (1, 9), "`one_clock` 9: no people of that recording in .*; there are 1, 2"),
        ((2,), (1,), "`one_clock` 1: no people of that recording in .*; there are 2"),  # left out
    ):
        with pytest.raises(InputError, match=said):
            visits_of_images(images(NAMES[:3], NAMES[3:]), some, agree_in)


def stream(people: int = 12, rounds: int = 5) -> Features:
    """Everybody comes again each 100 s, two cameras in turn."""
    names = [
        f"{p:04}_c{1 + r % 2}s1_{25 * (100 * r + 3 * p + k):06}_00.jpg"
        for r in range(rounds) for p in range(1, people + 1) for k in range(2)
    ]  # fmt: skip
    return images(names[:4], names[4:])


def test_pictures_without_times_become_visits_in_no_order() -> None:
    """Two visits of who has two pictures in a camera, one of who has one; another seed, another order."""
    given = images(NAMES[:3], NAMES[3:])
    found, other = shuffled_visits(given, 0), shuffled_visits(given, 1)
    told = [(1, 1), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert sorted(zip(found.person.tolist(), found.camera.tolist(), strict=True)) == told
    assert sorted(zip(other.person.tolist(), other.camera.tolist(), strict=True)) == told
    assert found.person.tolist() != other.person.tolist()
    assert shuffled_visits(given, 0).person.tolist() == found.person.tolist()
    assert len({one.clock for one in found.tracklets}) == 2
    assert step(found, CONFIG).metrics.purity > 0


def test_the_stricter_the_fewer_are_joined() -> None:
    visits = visits_of_images(stream())
    steps = curve(visits, CONFIG, (-2.0, 0.0, 30.0))
    assert [one.times for one in steps] == [True] * 3 + [False] * 3
    calibrated, deaf = steps[1].metrics, steps[2].metrics
    assert (calibrated.idf1, calibrated.purity, calibrated.return_recall) == (1, 1, 1)
    assert (deaf.return_recall, deaf.stranger_acceptance, deaf.identities) == (0, 0, len(visits))
    assert step(visits, stricter(CONFIG, 0.0)).metrics == calibrated
    found = search_score(visits, CONFIG)
    assert found is not None
    assert (found.queries, found.strangers) == (12, 60)
    assert (found.mAP, found.first, found.fnir[0.1]) == (1, 1, 0)
    assert search_score(replace(visits, photo=np.zeros((len(visits), 0))), CONFIG) is None


def test_returns_by_gap_by_hand() -> None:
    """Person 1 at 0-1, 11-12 (away 10 s, found), 112-113 in another camera (away 100 s, not found)."""
    begin = np.array([0.0, 11, 112, 5])
    rows = returns_by_gap(
        np.array([1, 1, 1, 2]), np.array([7, 7, 8, 9]), np.array([0, 0, 1, 0]), begin, begin + 1, (0.0, 15.0)
    )
    assert [(r.same, r.same_found, r.other, r.other_found) for r in rows] == [
        (0, 0, 0, 0),
        (1, 1, 0, 0),
        (0, 0, 1, 0),
    ]
    assert [r.recall for r in rows[1:]] == [1, 0]
    with pytest.raises(InputError, match="one length"):
        returns_by_gap(np.zeros(2), np.zeros(2), np.zeros(1), np.zeros(2), np.zeros(2), GAPS)


def table(rows: list[tuple[int, int, float]]) -> MotTable:
    frame, who, x = (np.array(column) for column in zip(*rows, strict=True))
    xyxy = np.stack([x, 0 * x, x + 10, 0 * x + 20], axis=1).astype(float)
    return MotTable(frame, who, xyxy, np.ones(len(x)), np.ones(len(x), int), np.ones(len(x)))


def test_results_beside_their_truth() -> None:
    """Person 1 is seen in frames 0-2 and 50-52; the result calls him 5, 5, 6 and then 5. Person 2 it does not see."""
    truth = table([(k, 1, 0.0) for k in (0, 1, 2, 50, 51, 52)] + [(k, 2, 300.0) for k in (0, 1)])
    ids = {0: 5, 1: 5, 2: 6, 50: 5, 51: 5, 52: 5}
    result = table([(k, ids[k], 1.0) for k in ids])
    seen = visits_of_results({"a": truth}, {"a": result}, 10.0, 3.0)
    assert (seen.person.tolist(), seen.identity.tolist()) == ([1, 1], [5, 5])
    assert (seen.begin.tolist(), seen.end.tolist(), seen.weight.tolist()) == ([0, 5.0], [0.2, 5.2], [3, 3])
    assert seen.unseen == 1


def test_the_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_features(tmp_path / "f.npz", stream(4, 3))
    out, plot = tmp_path / "o.json", tmp_path / "p.svg"
    words = [
        "--features",
        str(tmp_path / "f.npz"),
        "--recordings",
        "1",
        "--json",
        str(out),
        "--plot",
        str(plot),
    ]
    assert main(words) == 0
    told = json.loads(out.read_text())
    assert len(told["gate"]) == 20
    assert told["search"]["queries"] == 4
    assert plot.read_text().startswith("<svg")
    shown = capsys.readouterr().out
    assert "over the gate, with times of transit" in shown
    assert "search, where and when" in shown


def test_a_memory_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, truth = tmp_path / "m.db", tmp_path / "truth.csv"
    with Memory(path, "net", D) as memory:
        for k in range(6):
            memory.add([tracklet(k % 2, 100.0 * (k + 1))])
    truth.write_text("tracklet,person\n" + "".join(f"{k + 1},{'ab'[k % 2]}\n" for k in range(6)))
    assert main(["--memory", str(path), "--truth", str(truth)]) == 0
    assert "4 returns, 2 first visits" in capsys.readouterr().out
    for text, message in (("tracklet,person\n9,a\n", "no tracklet 9"), ("a,b\n1,2\n", "expected the columns"),
                          ("tracklet,person\nx,a\n", "is no tracklet")):  # fmt: skip
        truth.write_text(text)
        with pytest.raises(InputError, match=message):
            main(["--memory", str(path), "--truth", str(truth)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected one of"),
        (["--features", "a", "--weights", "b"], "expected one of"),
        (["--weights", "auto"], "--weights and --data go together"),
        (["--results", "r", "--gt", "g", "--plot", "p.svg"], "does nothing without"),
        (["--features", "f", "--gap", "2"], "--gap does nothing"),
        (["--results", "r", "--gt", "g", "--gap", "-1"], "--gap must be positive"),
        (["--memory", "none.db", "--truth", "t"], "no such memory"),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        main(words)


def test_visits_are_taken_by_mask() -> None:
    visits: KnownVisits = visits_of_images(stream(3, 2))
    some = visits.take(visits.person == 2)
    assert {one.track for one in some.tracklets} == {k for k in range(6) if visits.person[k] == 2}
