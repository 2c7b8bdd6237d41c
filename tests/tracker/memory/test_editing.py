"""A hand in the memory, in any order, beside a slow obvious twin of the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.runs.memories import people_lines
from retrace.tracker.memory import Memory
from retrace.tracker.memory.editing import delete, forget, merge, name, pin, reject, split, undo
from retrace.tracker.memory.export import export
from tests.tracker.memory.passersby import D, tracklet, vector_of

Listing = dict[int, tuple[list[int], str | None, bool]]  # person -> tracklets, name, pinned


@dataclass
class Twin:
    """What the documents say of hands and their undoing, of people whom nobody deletes."""

    rows: list[tuple[int, str, tuple[int, ...]]] = field(default_factory=list)  # operation, what, about whom
    apart: list[tuple[int, int, int]] = field(default_factory=list)  # tracklet, tracklet, operation
    names: dict[int, str] = field(default_factory=dict)
    pins: set[int] = field(default_factory=set)

    def stands(self, operation: int) -> bool:
        """An operation stands unless an undo of it does."""
        return not any(
            what == "undo" and about == (operation,) and self.stands(number)
            for number, what, about in self.rows
        )

    def owner(self) -> dict[int, int]:
        """Tracklet -> person, before merges."""
        return {about[0]: about[1] for n, what, about in self.rows if what == "assign" and self.stands(n)}

    def whole(self) -> dict[int, int]:
        """Person -> the oldest of those who are one with him."""
        label = {about[1]: about[1] for _, what, about in self.rows if what == "assign"}
        merges = [about for n, what, about in self.rows if what == "merge" and self.stands(n)]
        for _ in merges:
            for a, b in merges:
                label[a] = label[b] = min(label[a], label[b])
        return label

    def listing(self) -> Listing:
        whole, found = self.whole(), {}
        for one, person in sorted(self.owner().items()):
            found.setdefault(whole[person], []).append(one)
        parts = {person: sorted(p for p in whole if whole[p] == person) for person in found}
        called = {p: [self.names[one] for one in parts[p] if one in self.names] for p in found}
        return {p: (found[p], (called[p] or [None])[0], bool(self.pins & {*parts[p]})) for p in sorted(found)}

    def broken(self) -> set[tuple[int, int, int]]:
        """Those kept apart who are one person."""
        member = {t: p for p, (mine, *_) in self.listing().items() for t in mine}
        return {(a, b, n) for a, b, n in self.apart if self.stands(n) and member[a] == member[b]}

    def may_undo(self, number: int) -> bool:
        known = [
            what for n, what, about in self.rows if n == number and (what != "assign" or len(about) == 3)
        ]
        if not known or not self.stands(number):
            return False
        before = self.broken()
        after = Twin([*self.rows, (10**6, "undo", (number,))], self.apart).broken()
        return after <= before


def listing(memory: Memory) -> Listing:
    """The same of a memory; its arrays must say the same."""
    mine: dict[int, list[int]] = {}
    for one, person in memory.store.partition()[0].items():
        mine.setdefault(person, []).append(one)
    called = memory.store.called()
    assert {*called} == {*mine}
    found = {person: (sorted(mine[person]), *called[person]) for person in sorted(mine)}
    memory.refresh()
    people = memory.people
    rows: dict[int, list[int]] = {}
    for row in range(people.size):
        rows.setdefault(int(people.person[people.person_of[row]]), []).append(int(people.tracklet[row]))
    assert {p: sorted(mine) for p, mine in rows.items()} == {p: mine for p, (mine, *_) in found.items()}
    assert people.alive == people.count == len(found)
    return found


def four(folder: Path) -> Memory:
    """Four people who came three times each, in turn."""
    memory = Memory(folder / "m.db", "net", D)
    for k in range(12):
        memory.add([tracklet(k % 4, 100.0 * (k + 1))])
    assert [len(mine) for mine, *_ in listing(memory).values()] == [3] * 4
    return memory


def refused(hand: Callable[..., object], *told: object, **more: object) -> bool:
    line = ""
    try:
        hand(*told, **more)
    except InputError as error:
        line = str(error)
    assert "\n" not in line
    return bool(line)


class Hands:
    """Random operations on a memory and on its twin; either refuses what the other does."""

    def __init__(self, memory: Memory, seed: int) -> None:
        self.memory, self.rng, self.twin = memory, np.random.default_rng(seed), Twin()
        for one, person in memory.store.partition()[0].items():
            self.twin.rows.append((one, "assign", (one, person)))

    def person(self) -> int:
        """Anybody who was ever given an id, or nobody."""
        return int(self.rng.integers(1, len(self.twin.whole()) + 2))

    def step(self, named: bool) -> None:
        kinds = ["merge", "merge", "split", "split", "reject", "undo", "undo", "undo", "pin"]
        kind = str(self.rng.choice([*kinds, "name", "name"] if named else kinds))
        getattr(self, kind)()
        assert listing(self.memory) == self.twin.listing(), kind

    def two(self) -> tuple[int, int, bool]:
        """Two people as they are listed, and whether both are there and not one."""
        a, b = self.person(), self.person()
        whole, there = self.twin.whole(), self.twin.listing()
        one, other = sorted((whole.get(a, a), whole.get(b, b)))
        return a, b, one != other and one in there and other in there

    def merge(self) -> None:
        a, b, fine = self.two()
        whole, there = self.twin.whole(), self.twin.listing()
        one, other = sorted((whole.get(a, a), whole.get(b, b)))
        if fine:
            mine, his = there[one][0], there[other][0]
            fine = not any(
                self.twin.stands(n) and ((x in mine and y in his) or (x in his and y in mine))
                for x, y, n in self.twin.apart
            )
        if not fine:
            assert refused(merge, self.memory, a, b, at=0.0)
            return
        self.twin.rows.append((merge(self.memory, a, b, at=0.0), "merge", (one, other)))

    def reject(self) -> None:
        a, b, fine = self.two()
        whole, there = self.twin.whole(), self.twin.listing()
        if not fine:
            assert refused(reject, self.memory, a, b, at=0.0)
            return
        mine, his = there[whole[a]][0], there[whole[b]][0]
        pairs = {(min(x, y), max(x, y)) for x in mine for y in his}
        if any((x, y) in pairs and self.twin.stands(n) for x, y, n in self.twin.apart):
            assert refused(reject, self.memory, a, b, at=0.0)
            return
        number = reject(self.memory, a, b, at=0.0)
        self.twin.rows.append((number, "reject", ()))
        self.twin.apart += [(x, y, number) for x, y in pairs]

    def split(self) -> None:
        mine = [*self.twin.listing().values()][int(self.rng.integers(len(self.twin.listing())))][0]
        some = [one for one in mine if self.rng.random() < 0.5]
        if not some or some == mine:
            assert refused(split, self.memory, some, at=0.0)
            return
        person, number = split(self.memory, some, at=0.0)
        self.twin.rows += [(number, "assign", (one, person, number)) for one in some]
        self.twin.apart += [(min(x, y), max(x, y), number) for x in some for y in mine if y not in some]

    def undo(self) -> None:
        last = self.twin.rows[-1][0]
        number = int(
            self.rng.integers(1, last + 2) if self.rng.random() < 0.1 else self.rng.integers(13, last + 2)
        )
        if not self.twin.may_undo(number):
            assert refused(undo, self.memory, number, at=0.0)
            return
        self.twin.rows.append((undo(self.memory, number, at=0.0), "undo", (number,)))

    def name(self) -> None:
        person, text = self.person(), f"name {self.rng.integers(100)}"
        whole = self.twin.whole().get(person, person)
        if whole not in self.twin.listing():
            assert refused(name, self.memory, person, text)
            return
        name(self.memory, person, text)
        self.twin.names[whole] = text

    def pin(self) -> None:
        person, on = self.person(), bool(self.rng.random() < 0.5)
        label = self.twin.whole()
        whole = label.get(person, person)
        if whole not in self.twin.listing():
            assert refused(pin, self.memory, person, on)
            return
        pin(self.memory, person, on)
        self.twin.pins = (
            self.twin.pins | {whole} if on else self.twin.pins - {p for p in label if label[p] == whole}
        )


SEEDS = [(0, 120), *(pytest.param(seed, 300, marks=pytest.mark.long) for seed in range(1, 9))]  # operations


@pytest.mark.parametrize(("seed", "operations"), SEEDS)
def test_any_order_of_hands_is_as_the_log_says(tmp_path: Path, seed: int, operations: int) -> None:
    memory = four(tmp_path)
    hands = Hands(memory, seed)
    for _ in range(operations):
        hands.step(named=True)
    kinds = {what for _, what, _ in hands.twin.rows}
    assert kinds == {"assign", "merge", "reject", "undo"}
    with Memory(tmp_path / "m.db") as again:
        assert listing(again) == hands.twin.listing()


@pytest.mark.parametrize(("seed", "operations"), SEEDS)
def test_all_operations_undone_give_back_the_same_bytes(tmp_path: Path, seed: int, operations: int) -> None:
    memory = four(tmp_path)
    for person in (1, 3):
        name(memory, person, f"the {person}.")

    def told() -> bytes:
        called = memory.store.called(), memory.store.partition(), memory.store.apart()
        return json.dumps([people_lines(memory.store), *called]).encode()

    before, hands = told(), Hands(memory, seed)
    hands.twin.names = {1: "the 1.", 3: "the 3."}
    for _ in range(operations // 2):
        hands.step(named=False)
    made = sorted(
        {n for n, what, about in hands.twin.rows if what != "undo" and (what != "assign" or len(about) == 3)}
    )
    left = [n for n in made if hands.twin.stands(n)]
    assert left
    while left:  # in any order, but for who must be apart first
        order = hands.rng.permutation(left).tolist()
        done = [n for n in order if not refused(undo, memory, n, at=0.0)]
        assert done
        left = [n for n in left if n not in done]
    for person in range(1, 5):
        pin(memory, person, False)
    assert told() == before


@pytest.mark.parametrize(("seed", "operations"), SEEDS)
def test_a_deletion_takes_what_is_shown_and_nothing_else(tmp_path: Path, seed: int, operations: int) -> None:
    memory = four(tmp_path)
    rng, deleted = np.random.default_rng(seed), 0
    for k in range(operations):
        if k % 25 == 24:
            memory.add([tracklet(int(rng.integers(100)), 1e4 + 100.0 * k)])
        there, some = listing(memory), int(rng.integers(1, 12 + k // 5))
        other = int(rng.integers(1, 12 + k // 5))
        mine = there[int(rng.choice([*there]))][0]
        half = mine[: int(rng.integers(len(mine) + 1))]
        calls: list[tuple[object, ...]] = [
            (merge, memory, some, other, 0.0),
            (split, memory, half, 0.0),
            (undo, memory, int(rng.integers(1, 40 + 2 * k)), 0.0),
            (reject, memory, some, other, 0.0),
            (name, memory, some, f"name {k}"),
        ]
        refused(*calls[int(rng.choice(5, p=[0.3, 0.2, 0.3, 0.05, 0.15]))])
        there = listing(memory)
        who = some if rng.random() < 0.5 else int(rng.choice([*there]))
        if k % 5 == 4 and who not in there:
            assert refused(delete, memory, who)
            assert listing(memory) == there
        elif k % 10 == 9 and len(there) > 2:
            gone = there.pop(who)
            counts = delete(memory, who)
            assert counts["tracklets"] == len(gone[0])
            assert listing(memory) == there
            left = {one for (one,) in memory.store.read("SELECT id FROM tracklet")}
            assert left == {one for mine, *_ in there.values() for one in mine}
            named = {text for (text,) in memory.store.read("SELECT name FROM person WHERE name IS NOT NULL")}
            assert {a for (a,) in memory.store.read("SELECT a FROM log WHERE op = 'assign'")} == left
            assert gone[1] is None or gone[1] not in named
            deleted += 1
    assert deleted >= 3
    with Memory(tmp_path / "m.db") as again:
        assert listing(again) == listing(memory)


# -- one after the other


def test_who_was_split_off_is_nobody_after_the_undo(tmp_path: Path) -> None:
    """3 is split off 1, named, and taken back: nobody is called 3. An undo of that gives him back, with his name."""
    memory = Memory(tmp_path / "m.db", "net", D)
    one = [memory.add([tracklet(k % 2, 100.0 * (k + 1))])[0].tracklet for k in range(4)]  # 1, 2, 1, 2
    three, operation = split(memory, [one[2]], at=0.0)
    name(memory, three, "red coat")
    before = people_lines(memory.store)
    taken_back = undo(memory, operation, at=0.0)
    assert [line.split(":")[0] for line in people_lines(memory.store)] == ["1", "2"]
    calls: list[Callable[[], object]] = [
        lambda: name(memory, three, "x"),
        lambda: pin(memory, three),
        lambda: export(memory.store, three),
        lambda: merge(memory, 1, three, at=0.0),
        lambda: reject(memory, 2, three, at=0.0),
        lambda: delete(memory, three),
    ]
    for call in calls:
        with pytest.raises(
            InputError, match=r"nobody there has the id 3; what it had is of 1 \(`log` says why\)"
        ):
            call()
    undo(memory, taken_back, at=0.0)
    assert people_lines(memory.store) == before
    undo(memory, operation, at=0.0)
    delete(memory, 1)  # whose was red coat: nothing is left of him
    assert memory.store.read("SELECT id FROM person") == [(2,)]
    assert not memory.store.read("SELECT 1 FROM log WHERE b = ?", (three,))


def test_who_is_part_of_another_cannot_be_deleted_alone(tmp_path: Path) -> None:
    memory = four(tmp_path)
    first, second = merge(memory, 2, 3, at=0.0), merge(memory, 1, 2, at=0.0)
    before = listing(memory)
    for person, operation in ((2, second), (3, first)):
        with pytest.raises(
            InputError,
            match=f"{person} is part of person 1: delete 1 for both, or undo operation {operation} first",
        ):
            delete(memory, person)
    assert listing(memory) == before
    assert delete(memory, 1)["tracklets"] == 9
    assert [*listing(memory)] == [4]


def test_names_and_pins_go_with_who_is_merged(tmp_path: Path) -> None:
    """3 'red coat' is 2, then both are 1; 4 'blue hat' is 1 too: the name of the oldest who has one is told."""
    memory = four(tmp_path)
    name(memory, 3, "red coat")
    name(memory, 4, "blue hat")
    pin(memory, 3)
    before = listing(memory)
    made = [merge(memory, *pair, at=0.0) for pair in ((2, 3), (1, 4), (1, 2))]
    assert listing(memory) == {1: ([*range(1, 13)], "red coat", True)}
    assert export(memory.store, 4)["names"] == {3: "red coat", 4: "blue hat"}
    name(memory, 4, "green shoes")  # of all of them
    assert listing(memory)[1][1] == "green shoes"
    pin(memory, 2, False)
    assert not listing(memory)[1][2]
    for operation in made:
        undo(memory, operation, at=0.0)
    assert {p: row[1] for p, row in listing(memory).items()} == {
        1: "green shoes", 2: None, 3: "red coat", 4: "blue hat",
    }  # fmt: skip
    assert {p: row[0] for p, row in listing(memory).items()} == {p: row[0] for p, row in before.items()}


def test_a_merged_pin_is_not_forgotten(tmp_path: Path) -> None:
    memory = four(tmp_path)
    pin(memory, 2)
    merge(memory, 1, 2, at=0.0)
    limited(memory, most_people=1)
    assert forget(memory, now=1e4) == {"people": 2, "folded": 0}
    assert [*listing(memory)] == [1]


def limited(memory: Memory, **limits: int) -> None:
    memory.config = memory.config.model_copy(update=limits)


def test_a_merge_that_stands_again_joins_again(tmp_path: Path) -> None:
    """4 was 1, was not, is 2; and is 1 again: all three are one."""
    memory = four(tmp_path)
    first = merge(memory, 1, 4, at=0.0)
    taken_back = undo(memory, first, at=0.0)
    second = merge(memory, 2, 4, at=0.0)
    undo(memory, taken_back, at=0.0)
    assert {p: len(mine) for p, (mine, *_) in listing(memory).items()} == {1: 9, 3: 3}
    undo(memory, second, at=0.0)
    assert {p: len(mine) for p, (mine, *_) in listing(memory).items()} == {1: 6, 2: 3, 3: 3}


def test_an_undo_makes_nobody_one_who_is_surely_two(tmp_path: Path) -> None:
    memory = four(tmp_path)
    taken_back = undo(memory, merge(memory, 1, 2, at=0.0), at=0.0)
    apart = reject(memory, 1, 2, at=0.0)
    with pytest.raises(
        InputError, match=f"1 and 2 would be one person, and are 1 and 2: kept apart by operation {apart}"
    ):
        undo(memory, taken_back, at=0.0)
    again = undo(memory, apart, at=0.0)
    undo(memory, taken_back, at=0.0)
    with pytest.raises(
        InputError, match="would be two, and are one person; undo first what has made them one"
    ):
        undo(memory, again, at=0.0)
    assert [len(mine) for mine, *_ in listing(memory).values()] == [6, 3, 3]


def test_folded_looks_are_whose_the_tracklets_are(tmp_path: Path) -> None:
    """Sums of vectors that are gone: of two who are merged, then not; of somebody whose split is taken back."""
    memory = four(tmp_path)
    merge_of = merge(memory, 1, 2, at=0.0)
    limited(memory, most_tracklets=3, bank=1)
    forget(memory, now=1e4)
    memory.refresh()
    members = {
        int(p): int(m)
        for p, m in zip(memory.people.person, memory.people.members[: memory.people.count], strict=False)
    }
    assert [*listing(memory)] == [*members] == [1, 3, 4]
    undo(memory, merge_of, at=0.0)
    assert [*listing(memory)] == [1, 2, 3, 4]
    near = (
        memory.people.directions()
        @ np.stack([vector_of(k, np.random.default_rng(0), 0.0) for k in range(4)]).T
    )
    assert near.argmax(1).tolist() == [0, 1, 2, 3]
    assert (near.max(1) > 0.9).all()
    five, operation = split(memory, listing(memory)[3][0][:1], at=0.0)
    memory.store.db.execute(
        "UPDATE person SET total = ?, folded = 7 WHERE id = ?", (np.full(D, 9, "<f4").tobytes(), five)
    )
    undo(memory, operation, at=0.0)
    assert [*listing(memory)] == [1, 2, 3, 4]
    assert memory.people.total[2].mean() > 8
