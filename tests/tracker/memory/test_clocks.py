"""Clocks that are apart, found from who walked there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.memory import main
from retrace.tracker.memory import Memory
from retrace.tracker.memory.clocks import FEWEST, clocks, passages
from retrace.tracker.memory.editing import set_clocks
from tests.tracker.memory.passersby import D, tracklet

OFF = {"a": 0.0, "b": 40.0, "c": -15.0, "d": 7.0}  # s that each clock is ahead
WAY = {("a", "b"): 20.0, ("b", "c"): 30.0}  # s; nobody goes to d


def walkers(folder: Path, one_way: bool = False, people: int = 12) -> Memory:
    """Everybody walks a, b, c and back, a minute after the one before."""
    memory = Memory(folder / "m.db", "net-1", D, returning=0.5)
    rng = np.random.default_rng(0)
    told = []
    for person in range(people):
        now, walk = 1000.0 + 300 * person, "abc" if one_way else "abcba"
        for k, camera in enumerate(walk):
            if k:
                now += WAY.get((walk[k - 1], camera)) or WAY[camera, walk[k - 1]]
            begin = now + OFF[camera] + rng.normal(0, 0.5)
            one = tracklet(person, begin, rng, camera=camera, source=camera, track=10 * person + k)
            told.append(one)
            now += one.end - one.begin
    told.append(tracklet(99, 1e5, rng, camera="d", source="d"))
    for one in sorted(told, key=lambda one: one.end):
        memory.add([one])
    assert memory.people.count == people + 1
    return memory


def test_there_and_back_by_hand(tmp_path: Path) -> None:
    """From the middle of a visit to a to that of one to b it is 23 s, by clocks that are 40 s apart 63 s there and
    -17 s back: half the difference is 40. From c to b it is 33 s, and b is 55 s ahead."""
    found = {(one.first, one.second): one for one in passages(walkers(tmp_path).people)}
    assert set(found) == {("a", "b"), ("a", "c"), ("c", "b")}  # in the order in which cameras came
    one = found["a", "b"]
    assert (one.count_there, one.count_back) == (12, 12)
    assert one.there == pytest.approx(63, abs=1)
    assert one.back == pytest.approx(-17, abs=1)
    assert one.offset == pytest.approx(40, abs=1)
    assert abs(one.offset - 40) < 4 * one.error < 2
    assert found["c", "b"].offset == pytest.approx(55, abs=1)
    told = clocks([*found.values()], ["a", "b", "c", "d"])
    for camera, clock in told.items():
        assert clock == pytest.approx(-OFF[camera] if camera != "d" else 0, abs=1)


def test_one_way_is_not_enough(tmp_path: Path) -> None:
    found = passages(walkers(tmp_path, one_way=True).people)
    assert all(np.isnan(one.offset) for one in found)
    assert clocks(found, ["a", "b"]) == {"a": 0, "b": 0}
    few = passages(
        walkers(
            tmp_path / "few" if (tmp_path / "few").mkdir() is None else tmp_path, people=FEWEST - 1
        ).people
    )
    assert all(np.isnan(one.offset) for one in few)


def test_clocks_are_kept_and_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = walkers(tmp_path)
    path, before = str(tmp_path / "m.db"), memory.store.partition()
    assert main([path, "clocks"]) == 0
    shown = capsys.readouterr().out
    assert "b is +40." in shown or "b is +39." in shown
    assert "should be" in shown
    assert main([path, "clocks", "keep"]) == 0
    memory.refresh()  # as every step does
    assert memory.store.partition() == before
    for camera in "abc":
        assert memory.people.clock[memory.people.cameras.index(camera)] == pytest.approx(-OFF[camera], abs=1)
    for one in passages(memory.people):
        assert abs(one.offset) < 0.1
    again = tracklet(0, 1000.0 + OFF["a"], camera="a", source="a", track=0)
    assert memory.store.read("SELECT clock FROM camera WHERE name = 'd'") == [(0.0,)]
    assert not memory.ways.transit.same[0].any()  # learned by the wrong clock
    known = memory.store.read("SELECT begin FROM tracklet WHERE track = 0")[0][0]
    same = memory.add([tracklet(0, known, camera="a", source="a", track=0)])[0]
    assert same.again  # what a camera says is what tells a tracklet, not the corrected time
    assert again.camera == "a"
    found = memory.add([tracklet(3, 9000.0 + OFF["b"], camera="b", source="b")])[0]
    row = memory.people.row_of_tracklet[found.tracklet]
    assert memory.people.begin_of[row] == pytest.approx(9000, abs=1)


def test_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walkers(tmp_path).close()
    path = str(tmp_path / "m.db")
    assert main([path, "clock", "b", "-40"]) == 0
    assert main([path, "clocks"]) == 0
    assert "b: clock -40.0 s" in capsys.readouterr().out
    for words, message in (
        (["clock", "roof", "3"], "no camera 'roof'"),
        (["clock", "a", "soon"], "'soon' is no number of seconds"),
        (["clock", "a", "nan"], "cannot be nan s off"),
        (["clocks", "never"], r"expected clocks \[keep\], got clocks never"),
        (["clocks", "keep", "it"], r"expected clocks \[keep\], got clocks keep it"),
    ):
        with pytest.raises(InputError, match=message):
            main([path, *words])
    with Memory(path) as memory, pytest.raises(InputError, match="no camera"):
        set_clocks(memory, {"a": 1.0, "roof": 1.0})
    with Memory(path) as memory:
        assert memory.people.clock[0] == 0  # all or nothing
