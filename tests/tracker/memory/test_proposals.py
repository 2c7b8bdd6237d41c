"""Everybody compared again: what is suggested, what never is, and that nobody is renamed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retrace.tracker.memory import Memory
from retrace.tracker.memory.editing import merge, reject, suggestions, undo
from retrace.tracker.memory.evidence import appearance_ratio
from retrace.tracker.memory.proposals import Proposal, joined, now_and_then, propose
from tests.tracker.memory.passersby import D, day, tracklet


def pieces(folder: Path, visits: list[tuple[int, float]], **other: object) -> Memory:
    """A memory in which every visit (person, time) became a person of its own, as if it had been too careful."""
    with Memory(folder / "m.db", "net-1", D, accept=0.9999999999) as careful:
        for person, begin in visits:
            assert careful.add([tracklet(person, begin, **other)])[0].new
        careful.store.db.execute("DELETE FROM log WHERE op = 'suggest'")
    return Memory(folder / "m.db", "net-1", D)


def test_who_is_one_after_all_is_suggested_and_nobody_is_renamed(tmp_path: Path) -> None:
    """Visits of 1, 2, 1, 3, 1: ids 1 to 5, of which 1, 3 and 5 are one person; two joins make them one."""
    memory = pieces(tmp_path, [(p, 100.0 * (k + 1)) for k, p in enumerate((1, 2, 1, 3, 1))])
    before = json.dumps(memory.store.partition())
    found = propose(memory)
    assert len(found) == 2
    assert {one.older for one in found} | {one.younger for one in found} == {1, 3, 5}
    assert all(one.older < one.younger and 0.5 <= one.probability <= 1 for one in found)
    assert json.dumps(memory.store.partition()) == before  # to the byte
    assert {(one.older, one.younger) for one in suggestions(memory.store)} == {
        (one.older, one.younger) for one in found
    }
    assert propose(memory) == []  # nothing new
    for one in found:
        merge(memory, one.older, one.younger, at=900.0)
    assert suggestions(memory.store) == []
    assert sorted({*memory.store.partition()[0].values()}) == [1, 2, 4]


def test_who_was_seen_together_is_never_one(tmp_path: Path) -> None:
    """Twins in one frame; a third visit of one of them may be either's, and is joined to one only."""
    with Memory(tmp_path / "m.db", "net-1", D, accept=0.9999999999) as careful:
        twins = [tracklet(1, 10.0, track=k, apart=frozenset({3 - k})) for k in (1, 2)]
        careful.add([*twins, tracklet(1, 50.0, track=9)])
        careful.store.db.execute("DELETE FROM log WHERE op = 'suggest'")
    found = propose(Memory(tmp_path / "m.db", "net-1", D))
    assert len(found) == 1
    assert found[0].younger == 3


def test_who_was_refused_is_not_suggested_again(tmp_path: Path) -> None:
    pieces(tmp_path, [(1, 100.0), (1, 200.0)])
    memory = Memory(tmp_path / "m.db", "net-1", D, centre_half=None)  # of one person, all would be common
    assert [(one.older, one.younger) for one in propose(memory)] == [(1, 2)]
    operation = reject(memory, 2, 1, at=300.0)
    assert suggestions(memory.store) == []
    assert propose(memory) == []
    assert memory.add([tracklet(1, 400.0)])[0].maybe == 2  # like both: the log says so
    assert suggestions(memory.store) == []  # but they are surely two
    undo(memory, operation, at=500.0)
    assert (1, 2) in {(one.older, one.younger) for one in suggestions(memory.store)}


def slow_joined(memory: Memory) -> list[tuple[int, int]]:
    """Average linkage over all people, no shortcut: which two groups are joined, by their least members."""
    people, config = memory.people, memory.config
    groups = [[row] for row in range(people.count)]
    found = []
    while True:
        best = (-np.inf, 0, 0)
        for i in range(len(groups)):
            for j in range(i):
                never = any(b in memory.apart.persons.get(a, ()) for a in groups[i] for b in groups[j])
                one, other = (people.total[g].astype(np.float64).sum(0) for g in (groups[i], groups[j]))
                cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
                same = any(
                    people.been[a, c] and people.been[b, c]
                    for a in groups[i] for b in groups[j] for c in range(len(people.cameras))
                )  # fmt: skip
                views = ((people.counts[g] > 0).any(0).sum() for g in (groups[i], groups[j]))
                distance, here = np.array([[1 - cosine]]), np.array([[same]])
                ratio = appearance_ratio(distance, here, memory.unit(), config, *views)[0, 0]
                if not never:
                    best = max(best, (float(ratio), -i, -j))
        odds = np.exp(best[0]) * memory.returning() / people.alive / (1 - memory.returning())
        if not odds >= config.accept / (1 - config.accept):
            return sorted(found)
        i, j = -best[1], -best[2]
        found.append(tuple(sorted((min(groups[i]), min(groups[j])))))
        groups[j] += groups.pop(i)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_slow_twin(tmp_path: Path, seed: int) -> None:
    with Memory(tmp_path / "m.db", "net-1", D, accept=0.9999999999) as careful:
        for _, one in day(seed, visits=24):
            careful.add([one])
    memory = Memory(tmp_path / "m.db", "net-1", D)
    found, slow = joined(memory), slow_joined(memory)
    assert len(found) == len(slow) > 5

    def groups(pairs: list[tuple[int, int]]) -> list[int]:
        group = [*range(memory.people.count)]
        for a, b in pairs:
            low, high = sorted((group[a], group[b]))
            group = [low if each == high else each for each in group]
        return group

    assert groups([(a, b) for a, b, _ in found]) == groups(slow)


def test_now_and_then(tmp_path: Path) -> None:
    """At once, then when a quarter more has come: 4 tracklets, then 5 are no more than 4 x 1.25, then 6."""
    memory = pieces(tmp_path, [(p, 100.0 * p) for p in (1, 2, 3, 4)])
    careful = memory.config.model_copy(update={"accept": 0.9999999999})
    assert now_and_then(memory) == []
    for k, due in ((1, False), (2, True)):
        kind, memory.config = memory.config, careful
        memory.add([tracklet(1, 1000.0 * k)])
        memory.store.db.execute("DELETE FROM log WHERE op = 'suggest'")
        memory.config = kind
        assert bool(now_and_then(memory)) == due
    memory.config = memory.config.model_copy(update={"recluster": None})
    memory.add([tracklet(p, 9000.0 + p) for p in range(5, 30)])
    assert now_and_then(memory) == []


def test_nobody_is_nobody(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.db", "net-1", D)
    assert propose(memory) == []
    memory.add([tracklet(1, 100.0, boxes=0, vector=np.zeros(D, np.float32))])
    assert propose(memory) == []
    assert Proposal(1, 2, 0.5).older == 1
