"""The memory itself: who is joined, what survives, what is refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.memory import Memory
from retrace.tracker.memory.editing import (
    delete,
    diverse,
    forget,
    merge,
    name,
    pin,
    reject,
    split,
    tidy,
    undo,
    undo_all_merges,
)
from retrace.tracker.memory.export import export
from retrace.tracker.memory.nearest import Nearest
from retrace.tracker.memory.proposals import propose
from retrace.tracker.memory.search import search
from retrace.tracker.memory.store import Store
from tests.tracker.memory.passersby import D, day, tracklet, vector_of


def opened(folder: Path, **other: object) -> Memory:
    return Memory(folder / "m.db", "net-1", D, **other)  # type: ignore[arg-type]


def filled(folder: Path, seed: int = 0, **other: object) -> tuple[Memory, list[int], list[int]]:
    """A memory after a day, who they were, and who the memory says they are."""
    memory = opened(folder, **other)
    true, told = [], []
    for person, one in day(seed):
        true.append(person)
        told.append(memory.add([one])[0].person)
    return memory, true, told


@pytest.mark.parametrize("seed", range(3))
def test_who_returns_has_the_same_id(tmp_path: Path, seed: int) -> None:
    _, true, told = filled(tmp_path, seed)
    assert len(set(told)) == len(set(true))
    assert len(set(zip(true, told, strict=True))) == len(set(true))


def test_a_window_decides_as_one_by_one_would(tmp_path: Path) -> None:
    """Newcomers who come in several pieces within one window are one person too."""
    rng = np.random.default_rng(1)
    pieces = [tracklet(p, 10.0 + k, rng, camera=f"c{k}", source=f"c{k}") for k in range(3) for p in (1, 2)]
    found = [decision.person for decision in opened(tmp_path).add(pieces)]
    assert found == [1, 2, 1, 2, 1, 2]


def test_two_boxes_in_one_frame_are_two_people(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    rng = np.random.default_rng(0)
    twin = tracklet(1, 10.0, rng, track=7, apart=frozenset({8}))
    other = tracklet(1, 10.5, rng, track=8, apart=frozenset({7}))
    first, second = memory.add([twin, other])
    assert first.person != second.person
    with pytest.raises(InputError, match="seen together"):
        merge(memory, first.person, second.person, at=20.0)


def test_who_was_not_known_again_is_no_rival_of_himself(tmp_path: Path) -> None:
    """Person 1 became two people, as the first look was a poor one: the next visit is still his. Twins who were seen
    beside each other stay two, and whoever fits both is somebody else."""
    rng, own = np.random.default_rng(3), vector_of(1, np.random.default_rng(0), 0.0)

    def like(share: float) -> np.ndarray:
        other = rng.normal(size=D)
        other -= (other @ own) * own
        return (share * own + np.sqrt(1 - share**2) * other / np.linalg.norm(other)).astype(np.float32)

    for case, apart in (("one", frozenset()), ("twins", frozenset({7}))):
        memory = Memory(tmp_path / f"{case}.db", "net-1", D, centre_half=None)  # of two, all would be common
        first, second = memory.add(
            [
                tracklet(1, 100.0, track=7, vector=like(0.9), apart=frozenset()),
                tracklet(1, 101.0, track=8, vector=like(0.9), apart=apart),
            ]
        )
        if first.person == second.person:
            split(memory, [second.tracklet], at=110.0)
            memory.store.db.execute("DELETE FROM link")
            memory.refresh()
        found = memory.add([tracklet(1, 1000.0, vector=like(0.999))])[0]
        assert found.new == (case == "twins"), found
        assert found.maybe is not None


def test_the_same_tracklet_again_keeps_its_person(tmp_path: Path) -> None:
    """And says again why it was put there."""
    memory = opened(tmp_path)
    told = [memory.add([one])[0] for _, one in day(0)]
    assert not any(decision.again for decision in told)
    assert {decision.reason for decision in told} == {"by looks", "like nobody"}
    assert [memory.add([one])[0] for _, one in day(0)] == [replace(one, again=True) for one in told]
    assert len(log_of(memory, "assign")) == len(told)


def test_who_fits_two_people_nearly_equally_is_a_third_who_may_be_either(tmp_path: Path) -> None:
    """Halfway between two people it is neither, and the log says of both that it may be."""
    memory = opened(tmp_path)
    one, other = (vector_of(person, np.random.default_rng(0), 0.0) for person in (1, 2))
    memory.add([tracklet(1, 10.0, vector=one), tracklet(2, 30.0, vector=other)])
    between = (one + other) / np.linalg.norm(one + other)
    found = memory.add([tracklet(3, 50.0, vector=between)])[0]
    assert found.new
    assert found.reason == "like two people nearly equally"
    assert {found.maybe, found.rival} == {1, 2}
    assert sorted((a, b) for _, a, b in log_of(memory, "suggest")) == [(1, 3), (2, 3)]
    assert memory.add([tracklet(3, 50.0, vector=between)])[0] == replace(found, again=True)


@pytest.mark.parametrize(
    ("disjoint", "same"), [(False, True), (True, False), ([["a", "b"]], False), ([["a", "c"]], True)]
)
def test_nobody_is_in_two_disjoint_cameras_at_once(
    tmp_path: Path, disjoint: bool | list[list[str]], same: bool
) -> None:
    """Only where that is told: two cameras may see one place. Clocks that differ by a second do not matter."""
    memory = opened(tmp_path, disjoint=disjoint)
    first = memory.add([tracklet(1, 10.0, camera="a", source="a", end=20.0)])[0]
    at_once = memory.add([tracklet(1, 15.0, camera="b", source="b", end=21.0)])[0]
    assert (at_once.person == first.person) == same
    slow = Memory(tmp_path / "slow.db", "net-1", D, disjoint=disjoint)
    first = slow.add([tracklet(1, 10.0, camera="a", source="a", end=20.0)])[0]
    assert slow.add([tracklet(1, 19.5, camera="b", source="b", end=25.0)])[0].person == first.person


def test_who_was_elsewhere_is_not_proposed(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.add([tracklet(1, 10.0, camera="a", source="a", end=20.0), tracklet(9, 500.0)])
        late = memory.add([tracklet(1, 15.0, camera="b", source="b", end=21.0)])[0]
        assert late.reason == "came late"  # so it is a person of its own
        memory.store.db.execute("DELETE FROM log WHERE op = 'suggest'")
    with opened(tmp_path, disjoint=True) as memory:
        assert propose(memory) == []
    with opened(tmp_path) as memory:
        assert [(one.older, one.younger) for one in propose(memory)] == [(1, 3)]


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    memory, _, _ = filled(tmp_path)
    before, transit = memory.people, memory.ways.transit
    with opened(tmp_path) as again:
        assert again.people.count == before.count
        assert (again.people.person_of[: before.size] == before.person_of[: before.size]).all()
        # float16 on disk
        np.testing.assert_allclose(again.people.directions(), before.directions(), atol=2e-3)
        np.testing.assert_array_equal(again.ways.transit.same, transit.same)
        one = tracklet(3, 9999.0, camera="c0", source="c0", track=99999)
        assert again.add([one])[0].new is False


def test_ids_are_never_given_again(tmp_path: Path) -> None:
    memory, _, told = filled(tmp_path)
    last = max(told)
    delete(memory, last)
    assert memory.add([tracklet(77, 9e5)])[0].person == last + 1


def test_late_ones_only_suggest(tmp_path: Path) -> None:
    memory, _, told = filled(tmp_path)
    found = memory.add([tracklet(day(0)[0][0], 1.0, track=12345, apart=frozenset())])[0]
    assert found.new
    assert found.reason == "came late"
    assert found.maybe == told[0]


def test_too_few_boxes_say_nothing(tmp_path: Path) -> None:
    memory, _, _ = filled(tmp_path)
    found = memory.add([tracklet(0, 9e4, boxes=1)])[0]
    assert found.new
    assert "too few boxes" in found.reason


# -- taking apart


def test_undoing_all_merges_gives_the_partition_before(tmp_path: Path) -> None:
    memory, _, told = filled(tmp_path)
    before = memory.store.partition()
    rng = np.random.default_rng(0)
    people = sorted(set(told))
    done = 0
    for _ in range(40):
        try:
            merge(memory, *map(int, rng.choice(people, 2, replace=False)), at=1e4)
            done += 1
        except InputError:
            continue  # seen together, or one already
    assert done >= 2
    assert memory.store.partition() != before
    assert undo_all_merges(memory, at=2e4) == done
    assert json.dumps(memory.store.partition()) == json.dumps(before)  # to the byte, also their order


def test_a_merge_keeps_the_older_id_and_an_alias(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    a, b = (memory.add([tracklet(p, 100.0 * p)])[0].person for p in (1, 2))
    operation = merge(memory, b, a, at=500.0)
    member, alias = memory.store.partition()
    assert set(member.values()) == {a}
    assert alias == {b: a}
    assert export(memory.store, b)["person"] == a
    taken_back = undo(memory, operation, at=600.0)
    assert set(memory.store.partition()[0].values()) == {a, b}
    undo(memory, taken_back, at=700.0)  # an undo can be undone
    assert set(memory.store.partition()[0].values()) == {a}
    with pytest.raises(InputError, match="undone already"):
        undo(memory, taken_back, at=800.0)


def test_who_was_split_stays_apart(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    found = [memory.add([tracklet(1, 100.0 * k)])[0] for k in range(1, 4)]
    assert len({decision.person for decision in found}) == 1
    new, operation = split(memory, [found[2].tracklet], at=500.0)
    member, _ = memory.store.partition()
    assert member[found[2].tracklet] == new != member[found[0].tracklet]
    with pytest.raises(InputError, match=f"people 1 and 2 are not one: by operation {operation}; undo it if"):
        merge(memory, new, found[0].person, at=600.0)
    taken_back = undo(memory, operation, at=700.0)
    assert len(set(memory.store.partition()[0].values())) == 1
    undo(memory, taken_back, at=800.0)  # and they are kept apart again
    with pytest.raises(InputError, match=f"by operation {operation}"):
        merge(memory, new, found[0].person, at=900.0)


def visits(memory: Memory, *people: int, **other: object) -> list[int]:
    """Tracklets, 100 s apart, and nobody joined by looks: each is a person of its own."""
    return [
        memory.add([tracklet(p, 100.0 * (k + 1), boxes=1, **other)])[0].tracklet for k, p in enumerate(people)
    ]


def log_of(memory: Memory, op: str) -> list[tuple[int, int, int]]:
    return memory.store.read("SELECT operation, a, b FROM log WHERE op = ? ORDER BY seq", (op,))


def test_a_refusal_outlives_a_deleted_person_in_the_names_of_others(tmp_path: Path) -> None:
    """1 and 2 were one when it was said that they are not 3. 1 is gone; what stays is that 2 is not 3."""
    memory = opened(tmp_path)
    visits(memory, 1, 2, 3)
    merged = merge(memory, 1, 2, at=500.0)
    refused = reject(memory, 1, 3, at=600.0)
    undo(memory, merged, at=700.0)
    delete(memory, 1)
    assert log_of(memory, "reject") == [(refused, 2, 3)]  # nothing names person 1 any more
    assert not memory.store.read("SELECT 1 FROM log WHERE op IN ('merge', 'undo')")
    with pytest.raises(InputError, match=f"people 2 and 3 are not one: by operation {refused}"):
        merge(memory, 2, 3, at=800.0)
    undo(memory, refused, at=900.0)
    merge(memory, 2, 3, at=1000.0)


def test_a_refusal_goes_with_the_person_whom_it_was_about(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    visits(memory, 1, 2)
    reject(memory, 1, 2, at=500.0)
    delete(memory, 1)
    assert log_of(memory, "reject") == memory.store.apart() == []


def test_numbers_of_deleted_operations_are_not_given_again(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    visits(memory, 1, 2, 3)
    refused = reject(memory, 1, 3, at=500.0)
    delete(memory, 1)
    assert reject(memory, 2, 3, at=600.0) == refused + 1


def test_a_split_whose_person_is_deleted_can_still_be_undone(tmp_path: Path) -> None:
    """2 was split off 1, and 3 off 1 later; 1 is gone. 2 stays 2, but nothing keeps 2 and 3 apart."""
    memory = opened(tmp_path)
    first, second, third = visits(memory, 1, 2, 3)
    merge(memory, 1, 2, at=500.0)
    merge(memory, 1, 3, at=510.0)
    two, operation = split(memory, [second], at=600.0)
    three, _ = split(memory, [third], at=700.0)
    delete(memory, memory.store.partition()[0][first])
    with pytest.raises(InputError, match=f"by operation {operation}; undo it"):
        merge(memory, two, three, at=800.0)
    undo(memory, operation, at=900.0)
    assert memory.store.partition()[0] == {second: two, third: three}
    assert opened(tmp_path).people.alive == 2  # the file can be read
    merge(memory, two, three, at=1000.0)


def test_a_refusal_is_written_once(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    visits(memory, 1, 2)
    refused = reject(memory, 1, 2, at=500.0)
    with pytest.raises(InputError, match=f"1 and 2 are kept apart already: by operation {refused}; undo it"):
        reject(memory, 2, 1, at=600.0)
    assert len(log_of(memory, "reject")) == 1
    taken_back = undo(memory, refused, at=700.0)
    again = reject(memory, 1, 2, at=800.0)
    undo(memory, taken_back, at=900.0)  # the first stands again, beside the second
    with pytest.raises(InputError, match=f"by operations {refused}, {again}; undo them if"):
        merge(memory, 1, 2, at=1000.0)
    undo(memory, again, at=1100.0)
    with pytest.raises(InputError, match=f"by operation {refused};"):
        merge(memory, 1, 2, at=1200.0)
    undo(memory, refused, at=1300.0)
    merge(memory, 1, 2, at=1400.0)


def test_who_was_seen_together_is_told_what_may_be_split(tmp_path: Path) -> None:
    """Tracklets 1 and 2 in one frame. Nothing can be split off people of one tracklet; of two, it can."""
    memory = opened(tmp_path)
    memory.add([tracklet(k, 10.0, track=k, boxes=1, apart=frozenset({3 - k})) for k in (1, 2)])
    with pytest.raises(InputError, match=r"tracklets 1 and 2 were seen together; they are two$"):
        merge(memory, 1, 2, at=100.0)
    with pytest.raises(InputError, match="kept apart already: tracklets 1 and 2 were seen together"):
        reject(memory, 1, 2, at=100.0)
    merge(memory, 2, memory.add([tracklet(5, 50.0, track=9, boxes=1)])[0].person, at=110.0)
    with pytest.raises(InputError, match=r"were seen together; split 2 off person 2 if it is not theirs$"):
        merge(memory, 1, 2, at=120.0)
    reject(memory, 1, 2, at=130.0)  # also whoever is left of 2 after that
    with pytest.raises(InputError, match="seen together; split 2 off person 2"):  # no undoing would help
        merge(memory, 1, 2, at=140.0)
    split(memory, [2], at=150.0)
    with pytest.raises(InputError, match="people 1 and 2 are not one: by operation"):
        merge(memory, 1, 2, at=160.0)


def test_a_memory_of_the_version_before_is_renewed(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    visits(memory, 1, 2)
    refused = reject(memory, 1, 2, at=500.0)
    before = memory.store.partition(), memory.store.apart()
    memory.store.db.execute("ALTER TABLE link RENAME TO new")
    memory.store.db.execute(
        "CREATE TABLE link (kind TEXT NOT NULL CHECK (kind IN ('must', 'cannot')), a INTEGER NOT NULL, "
        "b INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (kind, a, b)) WITHOUT ROWID"
    )
    memory.store.db.execute("INSERT INTO link SELECT * FROM new")
    memory.store.db.execute("DROP TABLE new")
    memory.store.db.execute("UPDATE meta SET value = '2' WHERE key = 'version'")
    memory.close()
    looking = Store(tmp_path / "m.db", readonly=True)
    assert (looking.partition(), looking.apart()) == before
    assert looking.read("SELECT value FROM meta WHERE key = 'version'") == [("2",)]
    looking.close()
    for _ in range(2):
        with opened(tmp_path) as again:
            assert (again.store.partition(), again.store.apart()) == before
            assert again.store.read("SELECT value FROM meta WHERE key = 'version'") == [("3",)]
    memory = opened(tmp_path)
    undo(memory, undo(memory, refused, at=600.0), at=700.0)
    assert reject(memory, 1, memory.add([tracklet(3, 900.0, boxes=1)])[0].person, at=800.0) > refused


def test_mistakes_of_the_hand(tmp_path: Path) -> None:
    memory, _, told = filled(tmp_path)
    tracklets = [t for t, p in memory.store.partition()[0].items() if p == told[0]]
    for wrong, message in (
        (lambda: merge(memory, 1, 1, 0.0), "one person already"),
        (lambda: merge(memory, 1, 999, 0.0), "nobody there has the id 999"),
        (lambda: split(memory, [], 0.0), "name the tracklets"),
        (lambda: split(memory, [9999], 0.0), "no tracklet 9999"),
        (lambda: split(memory, tracklets, 0.0), "nothing to split from"),
        (lambda: undo(memory, 9999, 0.0), "no operation 9999"),
        (lambda: undo(memory, 1, 0.0), "split it off instead"),
        (lambda: name(memory, 1, " "), "1 to 200 characters"),
    ):
        with pytest.raises(InputError, match=message):
            wrong()


# -- forgetting


def test_the_oldest_are_forgotten_and_the_pinned_stay(tmp_path: Path) -> None:
    memory = opened(tmp_path, most_people=3, forget_after=1000.0)
    found = [memory.add([tracklet(p, 100.0 * p)])[0].person for p in range(1, 7)]
    pin(memory, found[0])
    assert forget(memory, now=700.0)["people"] == 3
    assert set(memory.store.partition()[0].values()) == {found[0], *found[4:]}
    assert forget(memory, now=1e6)["people"] == 2
    assert set(memory.store.partition()[0].values()) == {found[0]}


def test_rich_people_are_reduced_and_still_known(tmp_path: Path) -> None:
    memory = opened(tmp_path, most_tracklets=10, bank=4)
    for k in range(1, 31):
        memory.add([tracklet(1, 100.0 * k), tracklet(2, 100.0 * k + 1)])
    memory.refresh()
    before = memory.people.directions().copy()
    assert forget(memory, now=4000.0) == {"people": 0, "folded": 52}
    found = memory.add([tracklet(1, 5000.0)])[0]
    assert not found.new
    np.testing.assert_allclose(before, opened(tmp_path).people.directions(), atol=0.06)


@pytest.mark.parametrize("limit", [{"reduce_after": 45.0}, {"most_with_vectors": 2}])
@pytest.mark.parametrize("engine", [None, "exact"])
def test_who_was_not_seen_for_long_is_a_mean_that_is_still_known(
    tmp_path: Path, limit: dict[str, float], engine: str | None
) -> None:
    """Of a person who is reduced no vector and no picture is left, and all visits are found. Not so the pinned."""
    memory = opened(tmp_path, engine=engine, **limit)
    for person, begin in ((1, 20.0), (1, 25.0), (2, 40.0), (3, 60.0), (4, 80.0), (5, 100.0)):
        memory.add([tracklet(person, begin, crop=b"picture")])
    pin(memory, 2)
    assert forget(memory, now=109.0) == {"people": 0, "folded": 3}  # both of person 1's, person 3's
    memory.refresh()
    left = memory.store.read(
        "SELECT id FROM tracklet WHERE vector IS NOT NULL AND crop IS NOT NULL ORDER BY id"
    )
    assert [one for (one,) in left] == [3, 5, 6]
    found = search(memory, vector_of(1, np.random.default_rng(5))[None])
    assert [one.person for one in found] == [1]
    assert {visit.tracklet for visit in found[0].visits} == {1, 2}
    assert memory.add([tracklet(1, 300.0)])[0].person == 1


def test_a_folded_visit_that_was_split_off_is_where_it_was_put(tmp_path: Path) -> None:
    """Of its camera nothing is left; whoever opens the file after a visit to a third one has what goes on has."""
    memory = opened(tmp_path, reduce_after=100.0)
    memory.add([tracklet(1, 0.0, camera="a"), tracklet(2, 1000.0, camera="a")])
    forget(memory, now=1003.0)
    memory.add([tracklet(1, 1010.0, camera="b")])
    split(memory, [1], at=1020.0)
    memory.add([tracklet(1, 1030.0, camera="c")])
    again = opened(tmp_path, reduce_after=100.0).people
    assert memory.people.counts[0, :3].tolist() == again.counts[0, :3].tolist() == [0, 2, 1]
    np.testing.assert_array_equal(again.directions(), memory.people.directions())


def test_folding_keeps_the_most_diverse_of_those_that_say_something(tmp_path: Path) -> None:
    """Two visits of one box among 30: they are neither in the bank nor in the mean, and take no place there. A folded
    visit is as similar to a photo as the person's mean."""
    memory = opened(tmp_path, most_tracklets=20, bank=8)
    for k in range(30):
        memory.add([tracklet(1, 100.0 * k, boxes=1 if k in (4, 9) else 5)])
    merge(memory, 1, 2, at=0.0)
    merge(memory, 1, 3, at=0.0)
    assert forget(memory, now=1e4)["folded"] == 22
    memory.refresh()
    left = memory.store.read("SELECT boxes FROM tracklet WHERE vector IS NOT NULL")
    assert left == [(5,)] * 8
    (found,) = search(memory, vector_of(1, np.random.default_rng(5))[None])
    assert len(found.visits) == 30
    assert min(visit.similarity for visit in found.visits) > 0.8


def test_lookalikes_in_two_disjoint_cameras_at_once_are_rivals(tmp_path: Path) -> None:
    """Whoever fits both is neither surely; where the cameras may see one place, they may well be one."""
    for disjoint in (True, False):
        folder = tmp_path / str(disjoint)
        folder.mkdir()
        with opened(folder, centre_half=None, accept=0.9999999) as careful:
            careful.add([tracklet(1, 10.0, camera="a", source="a", end=30.0)])
            careful.add([tracklet(1, 15.0, camera="b", source="b", end=29.0)])
        memory = opened(folder, centre_half=None, disjoint=disjoint)
        assert memory.people.count == 2
        found = memory.add([tracklet(1, 500.0, camera="c", source="c")])[0]
        assert found.new == disjoint
        assert (found.rival is not None) == disjoint


def test_a_file_of_before_gets_the_index_and_does_without_it(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.add([tracklet(1, 10.0)])
    with closing(sqlite3.connect(tmp_path / "m.db")) as db:
        db.execute("DROP INDEX log_assigned")
    with Memory(tmp_path / "m.db") as memory:
        assert memory.store.decided(1)[0]["reason"] == "like nobody"
        assert memory.store.read("SELECT name FROM sqlite_master WHERE name = 'log_assigned'")
    with closing(sqlite3.connect(tmp_path / "m.db")) as db:
        db.execute("DROP INDEX log_assigned")
    with closing(Store(tmp_path / "m.db", readonly=True)) as store:
        assert store.decided(1)[0]["reason"] == "like nobody"


def test_a_memory_that_was_closed_or_is_another_thread_s_is_not_called_damaged(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match="the thread that opened it"):
        pool.submit(memory.ask, []).result()
    memory.close()
    for call in (memory.add, memory.ask, memory.add):
        with pytest.raises(InputError, match="is closed; open it again"):
            call([])


def test_a_tracklet_twice_in_one_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"begins twice at 10\.0 s in one window"):
        opened(tmp_path).add([tracklet(1, 10.0), tracklet(1, 10.0)])


def test_who_is_forgotten_was_reduced_before(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="most_tracklets 8 must be above bank 8"):
        opened(tmp_path, most_tracklets=8, bank=8)
    with pytest.raises(InputError, match="reduce_after 10 must be below forget_after 5"):
        opened(tmp_path, reduce_after=10.0, forget_after=5.0)
    with pytest.raises(InputError, match="most_with_vectors 9 must be below most_people 9"):
        opened(tmp_path, most_with_vectors=9, most_people=9)


def test_limits_hold_while_people_come(tmp_path: Path) -> None:
    """Looked at when passed by a tenth: 11 people of 10 stay, and nothing is older than 1.1 x 1,000 s."""
    memory = opened(tmp_path, most_people=10)
    counts = []
    for k in range(60):
        memory.add([tracklet(k, 100.0 * k)])
        counts.append(memory.people.count)
        tidy(memory)
    assert max(counts) == 12  # the tenth is passed, and it goes back to 10
    assert 10 <= memory.people.count <= 11
    assert ("limits", 2) in memory.store.read("SELECT by, a FROM log WHERE op = 'forget'")
    memory.close()
    memory = opened(tmp_path, forget_after=1000.0)
    for k in range(60, 90):
        memory.add([tracklet(k, 100.0 * k)])
        tidy(memory)
    oldest = memory.people.end_of[: memory.people.size].min()
    assert 100.0 * 89 + 3 - oldest <= 1100.0
    assert memory.store.read("SELECT COUNT(*) FROM tracklet") == [(memory.people.size,)]


@pytest.mark.parametrize("limit", [{"most_people": 20}, {"forget_after": 2000.0}])
@pytest.mark.parametrize("writers", ["opened anew", "two in turn"])
def test_limits_hold_for_who_comes_now_and_then(
    tmp_path: Path, limit: dict[str, float], writers: str
) -> None:
    """A run a day with few people, or two writers who make each other read again: nobody of them sees a tenth come."""
    two = [opened(tmp_path, **limit), opened(tmp_path, **limit)] if writers == "two in turn" else []
    for k in range(60):
        memory = two[k % 2] if two else opened(tmp_path, **limit)
        memory.add([tracklet(k, 100.0 * k)])
        tidy(memory)
        if not two:
            memory.close()
    memory = opened(tmp_path)
    assert memory.people.count <= 23
    assert 100.0 * 59 - memory.people.end_of[: memory.people.size].min() <= 2300.0


def test_a_tenth_is_not_looked_at_twice(tmp_path: Path) -> None:
    """Pinned people stay above the limit; that costs no work at each step."""
    memory = opened(tmp_path, most_people=3)
    for k in range(8):
        pin(memory, memory.add([tracklet(k, 100.0 * k)])[0].person)
    assert tidy(memory) == {"people": 0, "folded": 0}
    assert memory.tidied[1] == 8
    memory.add([tracklet(99, 900.0)])
    assert tidy(memory) == {"people": 1, "folded": 0}  # the unpinned one


def test_rich_people_are_folded_while_they_come(tmp_path: Path) -> None:
    memory = opened(tmp_path, most_tracklets=10, bank=4)
    folded = 0
    for k in range(1, 31):
        memory.add([tracklet(1, 100.0 * k)])
        folded += tidy(memory)["folded"]
        assert memory.people.known[: memory.people.size].sum() <= 11
    assert folded >= 16
    assert len({*memory.store.partition()[0].values()}) == 1


def test_a_deleted_person_is_not_in_the_file(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    gone = memory.add([tracklet(1, 100.0, crop=b"JPEG-of-somebody" * 9)])[0].person
    memory.add([tracklet(2, 200.0)])
    counts = delete(memory, gone)
    assert counts == {"tracklets": 1, "people": 1, "log": 1}
    memory.close()
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"JPEG-of-somebody" not in left


def test_diverse_views_cover() -> None:
    rng = np.random.default_rng(0)
    views = np.stack([vector_of(k % 3, rng, 0.1) for k in range(30)])
    assert {int(k) % 3 for k in diverse(views, 3)} == {0, 1, 2}


# -- clocks


def test_a_clock_that_jumps_ahead_makes_nobody_late(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    memory.add([tracklet(p, 100.0 + p, camera=f"c{p}", source=f"c{p}") for p in range(3)])
    memory.add([tracklet(0, 1e9, camera="c0", source="c0")])  # c0's clock
    for k in range(1, 4):
        found = memory.add([tracklet(p, 200.0 * k, camera=f"c{p}", source=f"c{p}") for p in (1, 2)])
        assert [one.person for one in found] == [2, 3]
        assert {one.reason == "came late" for one in found} == {False}
    assert memory.add([tracklet(1, 500.0, camera="c1", source="c1")])[0].reason == "came late"
    with opened(tmp_path) as again:  # also after opening again
        assert not again.add([tracklet(2, 800.0, camera="c2", source="c2")])[0].new


def test_a_clock_that_jumps_back_only_suggests(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    memory.add([tracklet(1, 5000.0)])
    found = memory.add([tracklet(1, 100.0)])[0]
    assert (found.new, found.maybe, found.reason) == (True, 1, "came late")
    assert memory.store.read("SELECT COUNT(*) FROM tracklet") == [(2,)]  # nothing is lost


def test_out_of_order_within_lateness_is_not_late(tmp_path: Path) -> None:
    """Two cameras, one 8 s behind: the same people in either order."""
    told = []
    for order in ((0, 1), (1, 0)):
        memory = Memory(tmp_path / f"{order}.db", "net-1", D)
        memory.add([tracklet(1, 10.0), tracklet(2, 20.0)])
        two = [tracklet(1, 100.0, camera="a", source="a"), tracklet(2, 108.0, camera="b", source="b")]
        found = {k: memory.add([two[k]])[0] for k in order}
        told.append([found[k].person for k in (0, 1)])
    assert told == [[1, 2], [1, 2]]


def passing(memory: Memory, rounds: int, clock: str) -> None:
    """Eight people go from door a to door b in 20 s, again and again."""
    for k in range(rounds):
        for person in range(8):
            begin = 1000.0 * k + 100.0 * person
            at = {"source": f"a{clock}", "camera": "a", "clock": clock}
            memory.add([tracklet(person, begin, **at)])
            memory.add([tracklet(person, begin + 20.0, **{**at, "source": f"b{clock}", "camera": "b"})])


@pytest.mark.parametrize("clock", ["one", "other"])
def test_times_of_two_clocks_say_nothing_of_each_other(tmp_path: Path, clock: str) -> None:
    """After many ways of 20 s, who comes to b 20 s after somebody left a is likelier he, if one clock says so; by
    another clock it is as if times did not count. The file keeps whose clock it was."""
    passing(opened(tmp_path), 6, "one")
    opened(tmp_path).add([tracklet(3, 9000.0, source="aone", camera="a", clock="one")])
    best = []
    for transit in (True, False):
        with opened(tmp_path, transit=transit) as memory, memory.store.writing():
            row = memory._insert(tracklet(3, 9023.0, source=f"b{clock}", camera="b", clock=clock))
            near = Nearest(memory.people, np.array([row]))
            best.append(memory._candidates([row], near).ratio.max())
            memory.store.db.execute("DELETE FROM tracklet WHERE begin = 9023")
    assert (best[0] > best[1] + 1) == (clock == "one")
    assert (best[0] == best[1]) == (clock == "other")


def test_what_one_clock_says_teaches_nothing_of_two(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    memory.add([tracklet(1, 100.0, source="x", clock="x")])
    assert not memory.add([tracklet(1, 300.0, source="y", clock="y")])[0].new
    assert memory.ways.transit.same.sum() == 0
    assert memory.ways.transit.anybody.sum() == 0
    assert not memory.add([tracklet(1, 500.0, source="y", clock="y")])[0].new
    assert memory.ways.transit.same.sum() == 1


# -- searching


def test_a_photo_finds_its_person_first(tmp_path: Path) -> None:
    memory, true, told = filled(tmp_path)
    rng = np.random.default_rng(5)
    for person in set(true):
        found = search(memory, vector_of(person, rng))
        assert found[0].person == told[true.index(person)]
        assert len(found[0].visits) == true.count(person)
        assert found[0].probability > 0.9
    assert search(memory, vector_of(123456, rng), least=0.5) == []


def test_a_search_knows_what_was_edited(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    a, b = (memory.add([tracklet(p, 100.0 * p)])[0].person for p in (1, 2))
    photo = vector_of(2, np.random.default_rng(5))
    assert search(memory, photo)[0].person == b
    merge(memory, a, b, at=500.0)
    assert search(memory, photo, least=0.0)[0].person == a
    with opened(tmp_path) as other:
        delete(other, a)
    assert search(memory, photo, least=0.0) == []


def test_filters_of_a_search(tmp_path: Path) -> None:
    memory, true, _ = filled(tmp_path)
    photo = vector_of(true[0], np.random.default_rng(5))
    found = search(memory, photo, since=100.0, until=200.0, cameras=["c1"])
    for visit in found[0].visits if found else ():
        assert visit.camera == "c1"
        assert visit.end >= 100
        assert visit.begin <= 200
    for wrong, message in (
        ({"since": 5.0, "until": 1.0}, "nothing lies between"),
        ({"cameras": ["roof"]}, "no camera 'roof'"),
    ):
        with pytest.raises(InputError, match=message):
            search(memory, photo, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="photos must be"):
        search(memory, np.ones(3, np.float32))
    with pytest.raises(InputError, match="norm 1"):
        search(memory, np.ones(D, np.float32))


# -- what goes wrong


def test_vectors_of_two_networks_do_not_compare(tmp_path: Path) -> None:
    opened(tmp_path).close()
    for weights, dimension in (("net-2", D), ("net-1", D + 1)):
        with pytest.raises(InputError, match="was made with net-1"):
            Memory(tmp_path / "m.db", weights, dimension)
    assert Memory(tmp_path / "m.db").store.weights == "net-1"  # whatever it holds


@pytest.mark.parametrize("harm", ["cut", "zeros", "text", "other database", "folder"])
def test_a_file_that_is_no_memory(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "m.db"
    if harm == "folder":
        path.mkdir()
    elif harm == "text":
        path.write_text("not a database, but long enough to be read as one" * 99)
    elif harm == "other database":
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE x (y)")
    else:
        memory, _, _ = filled(tmp_path)
        memory.store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        memory.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:5000] if harm == "cut" else whole[:2000] + bytes(20000) + whole[22000:])
    with pytest.raises(InputError) as told:
        Memory(path, "net-1", D).add([tracklet(1, 1e6)])
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"vector": np.ones(3, np.float32)}, r"shape \(3,\)"),
        ({"vector": np.zeros(D, np.float32)}, "norm 0"),
        ({"vector": np.full(D, np.nan, np.float32)}, "norm nan"),
        ({"end": 1.0}, "begins at 50.0 s and ends at 1.0 s"),
        ({"end": np.inf}, "ends at inf"),
    ],
)
def test_tracklets_that_are_none(tmp_path: Path, other: dict, message: str) -> None:
    memory = opened(tmp_path)
    with pytest.raises(InputError, match=message):
        memory.add([tracklet(2, 40.0), tracklet(1, 50.0, **other)])
    assert memory.store.read("SELECT COUNT(*) FROM tracklet") == [(0,)]  # all or nothing


def test_two_who_write_see_each_other(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    first = one.add([tracklet(1, 100.0)])[0]
    second = other.add([tracklet(1, 200.0)])[0]
    assert second.person == first.person
    assert one.add([tracklet(1, 300.0)])[0].person == first.person


def test_who_writes_for_long_is_named(tmp_path: Path) -> None:
    memory, other = opened(tmp_path), Store(tmp_path / "m.db", "net-1", D)
    memory.store.db.execute("PRAGMA busy_timeout = 50")
    with other.writing(), pytest.raises(InputError, match="another process is writing"):
        memory.add([tracklet(1, 100.0)])
    assert memory.add([tracklet(1, 100.0)])[0].person == 1


def _insert_for_ever(path: Path, told: Path) -> None:
    with Memory(path, "net-1", D) as memory, told.open("a") as file:
        start = int(max(memory.people.newest, 0) // 100) + 1
        for k in range(start, start + 10**6):
            found = memory.add([tracklet(k % 7, 100.0 * k), tracklet(k % 5 + 10, 100.0 * k)])
            file.write("".join(f"{one.tracklet}\n" for one in found))  # one call: whole lines or none
            file.flush()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands for the disk: the step that does not fit is refused in one line, what was
    acknowledged stays, and with room again the same step goes through."""
    memory, true, told = filled(tmp_path)
    before = memory.store.partition()
    ((pages,),) = memory.store.read("PRAGMA page_count")
    memory.store.read(f"PRAGMA max_page_count = {pages}")
    many = [tracklet(true[0], 1e5 + 10 * k, crop=bytes(5000)) for k in range(20)]
    with pytest.raises(InputError, match="the disk is full; nothing of this step was kept"):
        memory.add(many)
    assert memory.store.partition() == before
    with opened(tmp_path) as other:
        assert other.people.size == len(true)
    memory.store.read("PRAGMA max_page_count = 1000000")
    assert {one.person for one in memory.add(many)} == {told[0]}


def test_a_folder_that_takes_no_files(tmp_path: Path) -> None:
    store = opened(tmp_path).store
    with (
        pytest.raises(InputError, match="SQLite writes beside it: copy it into a folder"),
        store._explained(),
    ):
        raise sqlite3.OperationalError("unable to open database file")


@pytest.mark.parametrize(
    ("free", "said"), [(4096, "the disk is full"), (10**9, r"the disk failed .disk I/O error")]
)
def test_a_disk_that_takes_no_side_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, said: str
) -> None:
    """SQLite calls it an I/O error where the file beside its database finds no room."""
    store = opened(tmp_path).store
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=free))
    with pytest.raises(InputError, match=said), store._explained():
        raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, kills: int) -> None:
    """SIGKILL at random moments; each time everything that was said to be there is there, and nothing by half."""
    told, rng = tmp_path / "told", np.random.default_rng(0)
    for _ in range(kills):
        child = multiprocessing.get_context("fork").Process(
            target=_insert_for_ever, args=(tmp_path / "m.db", told)
        )
        before = told.stat().st_size if told.exists() else 0
        child.start()
        begun = time.monotonic()
        while not (told.exists() and told.stat().st_size > before) and time.monotonic() - begun < 60:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.3))
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        said = {int(line) for line in told.read_text().splitlines() if line}
        with opened(tmp_path) as memory:
            there = {number for (number,) in memory.store.read("SELECT id FROM tracklet")}
            member, _ = memory.store.partition()
        assert said
        assert said <= there == set(member)  # and nothing is there half


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE tracklet SET vector = x'00' WHERE id = 3",
        "UPDATE log SET b = 4711 WHERE op = 'assign' AND a = 3",
        "UPDATE tracklet SET camera = 99 WHERE id = 3",
        "UPDATE transit SET counts = x'0011'",
        "DELETE FROM meta WHERE key = 'weights'",
        "UPDATE meta SET value = 'many' WHERE key = 'dimension'",
    ],
)
def test_rows_that_cannot_be(tmp_path: Path, harm: str) -> None:
    memory, _, _ = filled(tmp_path)
    memory.store.db.execute(harm)
    memory.close()
    with pytest.raises(InputError, match=r"m\.db: is damaged") as told:
        opened(tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("noted", ["nothing", "a note", "proposals"])
def test_what_another_process_did_is_not_forgotten_by_a_note(tmp_path: Path, noted: str) -> None:
    """One tracks and one edits: a transaction in between that reads no people must not hide that they changed."""
    one = Memory(tmp_path / "m", "w", D)
    (first,) = one.add([tracklet(1, 0.0)])
    one.add([tracklet(2, 10.0)])
    other = Memory(tmp_path / "m", "w", D)
    delete(other, first.person)
    if noted == "a note":
        with one.store.writing():
            one.store.db.execute("INSERT OR REPLACE INTO meta VALUES ('start:x', '0')")
    elif noted == "proposals":
        propose(one)
    (again,) = one.add([tracklet(1, 100.0)])
    assert again.person not in (first.person, 0)
    for memory in (one, Memory(tmp_path / "m", "w", D)):
        member, _ = memory.store.partition()
        assert again.person in member.values()
        assert first.person not in member.values()


def test_two_write_in_turn_to_new_cameras(tmp_path: Path) -> None:
    """Each notes where its source lies before its first tracklets; both know of the other's people."""
    writers = [Memory(tmp_path / "m", "w", D) for _ in range(2)]
    people = []
    for k in range(6):
        memory, camera = writers[k % 2], f"c{k % 2}"
        with memory.store.writing():
            memory.store.db.execute("INSERT OR REPLACE INTO meta VALUES (?, '0')", (f"start:{camera}",))
        (found,) = memory.add([tracklet(1, 20.0 * k, camera=camera, source=camera)])
        people.append(found.person)
    assert len({*people}) == 1
    assert len(Memory(tmp_path / "m", "w", D).store.read("SELECT * FROM person")) == 1


def test_two_make_one_memory_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find nothing there; the one who comes second opens what the first has made."""
    asked, tables = [], Store._tables

    def overtaken(store: Store) -> set[str]:
        found = tables(store)
        asked.append(found)
        if len(asked) == 1:
            Store(tmp_path / "m", "w", D).close()
        return found

    monkeypatch.setattr(Store, "_tables", overtaken)
    store = Store(tmp_path / "m", "w", D)
    assert not asked[0]
    assert (store.weights, store.dimension) == ("w", D)
    with pytest.raises(InputError, match="was made with w"):
        Store(tmp_path / "m", "other", D)


@pytest.mark.parametrize("half", [None, 2.0])
def test_to_be_asked_is_to_be_told_and_to_forget(tmp_path: Path, half: float | None) -> None:
    """Of one in view it says what it would decide, and the file stays as it is; two in view are two people; a camera
    that is new is no obstacle."""
    memory = opened(tmp_path, centre_half=half)
    for _, one in day(0):
        known = one.camera in memory.people.cameras
        asked = memory.ask([one])[0]
        told = memory.add([one])[0]
        assert asked.new == told.new
        assert asked.person == (0 if told.new else told.person)
        if known and not told.new:
            assert told.distance is not None
            assert asked.distance == pytest.approx(told.distance, abs=1e-3)  # float16 in the file
            # absences count when it is told
            assert asked.probability == pytest.approx(told.probability, abs=0.05)
    before = memory.store.read("SELECT COUNT(*) FROM log")
    person = memory.ask([tracklet(3, 900.0, camera="c0")])[0].person
    twice = memory.ask([tracklet(3, 900.0, camera="c0"), tracklet(3, 900.0, camera="c0", track=5)])
    assert sorted(one.person for one in twice) == [0, person]
    assert memory.ask([tracklet(3, 900.0, camera="never seen")])[0].person == person
    assert memory.ask([]) == []
    assert memory.store.read("SELECT COUNT(*) FROM log") == before
    assert memory.people.cameras == ["c0", "c1", "c2"] or len(memory.people.cameras) == 3
    with pytest.raises(InputError, match="has norm"):
        memory.ask([tracklet(1, 1.0, vector=np.ones(D, np.float32))])


def test_a_memory_of_nobody_knows_nobody(tmp_path: Path) -> None:
    assert [one.new for one in opened(tmp_path).ask([tracklet(1, 1.0)])] == [True]


def test_the_same_weights_under_another_name_are_the_same(tmp_path: Path) -> None:
    for weights in ("a.onnx 12ab", "b.onnx 12ab"):
        with Memory(tmp_path / "m.db", weights, D) as memory:
            assert memory.store.weights == "a.onnx 12ab"
    for weights in ("a.onnx 34cd", "12ab", "a.onnx"):
        with pytest.raises(InputError, match=r"was made with a\.onnx 12ab"):
            Memory(tmp_path / "m.db", weights, D)
