"""A hand in the memory: merge, split, reject, undo, name, pin, forget, delete. Each is one transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.tracker.memory.config import MemoryConfig
from retrace.tracker.memory.memory import Memory
from retrace.tracker.memory.store import Store, canonical, from_blob
from retrace.tracker.memory.ways import BINS

FARTHEST = 1e10  # s that a clock may be off: three hundred years


def merge(memory: Memory, a: int, b: int, at: float, by: str = "user", **evidence: Any) -> int:
    """Two people are one: the older id stays, the younger leads to it. Returns the operation, to undo it by.

    Raises:
        InputError: no such person, the same one twice, or they were seen at the same moment in one camera.
    """
    with _editing(memory) as store:
        a, b = sorted((known(store, a), known(store, b)))
        if a == b:
            raise InputError(f"person {a} is one person already")
        member, _ = store.partition()
        if apart := _between(store, member, a, b):
            raise InputError(f"people {a} and {b} are not one: {_why(apart, member)}")
        operation = store.operation()
        store.append(operation, at, by, "merge", a, b, **evidence)
        one, other = (min(t for t, person in member.items() if person == who) for who in (a, b))
        link = (min(one, other), max(one, other), f"operation {operation}")
        store.db.execute("INSERT OR IGNORE INTO link VALUES ('must', ?, ?, ?)", link)
    return operation


def split(memory: Memory, tracklets: list[int], at: float, by: str = "user") -> tuple[int, int]:
    """These tracklets of one person are somebody else: a new person, kept apart from the old one's tracklets.

    Returns:
        the new person, and the operation to undo.

    Raises:
        InputError: no such tracklet, tracklets of several people, or all that the person has.
    """
    with _editing(memory) as store:
        member, _ = store.partition()
        unknown = [tracklet for tracklet in tracklets if tracklet not in member]
        if unknown or not tracklets:
            raise InputError(
                f"no tracklet {unknown[0]} in this memory" if unknown else "name the tracklets to split"
            )
        owners = {member[tracklet] for tracklet in tracklets}
        if len(owners) > 1:
            raise InputError(f"the tracklets belong to {len(owners)} people; split one at a time")
        rest = [other for other, person in member.items() if person in owners and other not in set(tracklets)]
        if not rest:
            raise InputError(f"person {owners.pop()} has no other tracklets: there is nothing to split from")
        operation, person = store.operation(), store.new_person(at)
        for tracklet in sorted({*tracklets}):
            store.append(operation, at, by, "assign", tracklet, person, reason="split by hand")
        _keep_apart(store, operation, tracklets, rest)
    return person, operation


def reject(memory: Memory, a: int, b: int, at: float, by: str = "user") -> int:
    """Two people are not one: nothing joins them, and nobody suggests it again. Returns the operation, to undo it by.

    Raises:
        InputError: no such person, they are one, or they are kept apart already.
    """
    with _editing(memory) as store:
        a, b = sorted((known(store, a), known(store, b)))
        if a == b:
            raise InputError(f"person {a} is one person already; split off the tracklets that are not")
        operation, member = store.operation(), store.partition()[0]
        one, other = ([t for t, person in member.items() if person == who] for who in (a, b))
        apart = _between(store, member, a, b)
        if _by_hand(apart) or len(apart) == len(one) * len(other) > 0:
            raise InputError(f"people {a} and {b} are kept apart already: {_why(apart, member)}")
        store.append(operation, at, by, "reject", a, b)
        _keep_apart(store, operation, one, other)
    return operation


def _keep_apart(store: Store, operation: int, one: list[int], other: list[int]) -> None:
    """No tracklet of ``one`` is the person of any of ``other``, as long as the operation stands."""
    pairs = [(min(t, o), max(t, o), f"operation {operation}") for t in one for o in other]
    store.db.executemany("INSERT OR IGNORE INTO link VALUES ('cannot', ?, ?, ?)", pairs)


def _between(store: Store, member: Mapping[int, int], a: int, b: int) -> list[tuple[int, int, str]]:
    """What keeps two people apart: (tracklet, tracklet, reason)."""
    return [link for link in store.apart() if {member.get(link[0]), member.get(link[1])} == {a, b}]


def _by_hand(apart: list[tuple[int, int, str]]) -> list[int]:
    """The operations among the reasons."""
    return sorted({int(why.removeprefix("operation ")) for *_, why in apart if why.startswith("operation ")})


def _why(apart: list[tuple[int, int, str]], member: Mapping[int, int]) -> str:
    """What keeps two people apart, and what to do if that is wrong. Who was seen together is told first: no undoing
    helps there."""
    seen = [(a, b) for a, b, why in apart if not why.startswith("operation ")]
    if not seen:
        numbers = _by_hand(apart)
        names = f"operation{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        return f"by {names}; undo {'them' if len(numbers) > 1 else 'it'} if that is wrong"
    more = f" (and {len(seen) - 1} more pairs)" if len(seen) > 1 else ""
    said = f"tracklets {seen[0][0]} and {seen[0][1]}{more} were seen together"
    count = Counter(member.values())
    loose = " or ".join(f"{t} off person {member[t]}" for t in seen[0] if count[member[t]] > 1)
    return f"{said}; " + (f"split {loose} if it is not theirs" if loose else "they are two")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Two people who may be one, and still are two."""

    older: int
    younger: int
    evidence: dict[str, Any]  # as the log has it, the newest


def suggestions(store: Store) -> list[Suggestion]:
    """What the log suggests and nobody has settled: not of people who are one by now, are gone, or are surely two."""
    member, alias = store.partition()
    there = {*member.values()}
    two = {tuple(sorted((member[a], member[b]))) for a, b, _ in store.apart() if a in member and b in member}
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for a, b, text in store.read("SELECT a, b, evidence FROM log WHERE op = 'suggest' ORDER BY seq"):
        pair = canonical(a, alias), canonical(b, alias)
        one, other = min(pair), max(pair)
        if one != other and {one, other} <= there and (one, other) not in two:
            found[one, other] = json.loads(text)
    return [Suggestion(*pair, evidence) for pair, evidence in found.items()]


def undo(memory: Memory, operation: int, at: float, by: str = "user") -> int:
    """Take back a merge, a split, a refusal, or an undo. Returns the operation, which can be undone itself.

    Tracklets that would be a deleted person's again stay whose they are. Who was split off is nobody then; his name
    waits for an undo of this.

    Raises:
        InputError: no such operation, one that was taken back already, a tracker's own assignment (split it), or
            tracklets would be one person that are surely two.
    """
    with _editing(memory) as store:
        ops = {op for (op,) in store.read("SELECT op FROM log WHERE operation = ?", (operation,))}
        first = store.read("SELECT by FROM log WHERE operation = ? LIMIT 1", (operation,))
        if not ops & {"merge", "assign", "undo", "reject"}:
            raise InputError(f"no operation {operation} that could be undone; `log` lists them")
        if "assign" in ops and first[0][0] != "user":
            raise InputError(
                f"operation {operation} is where its tracklet was first put; split it off instead"
            )
        if operation in store.undone():
            raise InputError(f"operation {operation} was undone already")
        made, before, broken = store.operation(), store.partition()[0], _broken(store)
        store.append(made, at, by, "undo", operation, None)
        there = {person for (person,) in store.read("SELECT id FROM person")}
        for tracklet, person in store.partition()[0].items():
            if person not in there:
                why = f"person {person} was deleted"
                store.append(made, at, by, "assign", tracklet, before[tracklet], reason=why)
        if wrong := sorted(_broken(store) - broken):
            raise InputError(f"operation {operation} cannot be undone now: {_both(wrong[0], before)}")
    return made


def _broken(store: Store) -> set[tuple[int, int, str]]:
    """What keeps tracklets apart that are one person all the same."""
    member = store.partition()[0]
    return {link for link in store.apart() if member[link[0]] == member[link[1]]}


def _both(link: tuple[int, int, str], member: Mapping[int, int]) -> str:
    """Why an undo is refused that would leave the two tracklets one person and two at once."""
    a, b, why = link
    if member[a] == member[b]:
        return f"tracklets {a} and {b} would be two, and are one person; undo first what has made them one"
    more = f"kept apart by {why}; undo that first" if why.startswith("operation ") else why
    return f"tracklets {a} and {b} would be one person, and are {member[a]} and {member[b]}: {more}"


def undo_all_merges(memory: Memory, at: float, by: str = "user") -> int:
    """The partition as if nobody had ever been merged. Returns how many merges were taken back."""
    done = memory.store.undone()
    merges = [op for (op,) in memory.store.read("SELECT operation FROM log WHERE op = 'merge' ORDER BY seq")]
    for operation in (op for op in reversed(merges) if op not in done):
        undo(memory, operation, at, by)
    return len([op for op in merges if op not in done])


def pin(memory: Memory, person: int, pinned: bool = True) -> None:
    """A pinned person is never forgotten by a limit. Unpinned are all who were merged into them, too."""
    with _editing(memory) as store:
        person = known(store, person)
        everybody = [person] if pinned else [person, *merged_into(store, person)]
        rows = [(int(pinned), one) for one in everybody]
        store.db.executemany("UPDATE person SET pinned = ? WHERE id = ?", rows)


def name(memory: Memory, person: int, text: str) -> None:
    """What people call this person."""
    if not text.strip() or len(text) > 200 or not text.strip().isprintable():
        raise InputError("a name has 1 to 200 characters that can be printed")
    with _editing(memory) as store:
        store.db.execute("UPDATE person SET name = ? WHERE id = ?", (text.strip(), known(store, person)))


def delete(memory: Memory, person: int) -> dict[str, int]:
    """Everything about one person goes: tracklets, vectors, crops, rows of the log, and who was merged into them. Ids
    are never given again.

    Returns:
        how many rows of each table are gone.

    Raises:
        InputError: no such person, or one who is part of another: what was meant cannot be told, or be undone.
    """
    with _editing(memory) as store:
        if (whole := known(store, person)) != person:
            raise InputError(f"person {person} is part of person {whole}: {_parting(store, person, whole)}")
        counts = _remove(store, {person})
    memory.leave_no_vectors()
    return counts


def _parting(store: Store, person: int, whole: int) -> str:
    """What to do about somebody who is part of another and shall be deleted."""
    undone = store.undone()
    rows = store.read(
        "SELECT operation FROM log WHERE op = 'merge' AND ? IN (a, b) ORDER BY seq DESC", (person,)
    )
    operation = next(one for (one,) in rows if one not in undone)
    return f"delete {whole} for both, or undo operation {operation} first"


def forget(memory: Memory, now: float, by: str = "user") -> dict[str, int]:
    """Apply the limits of the memory's config: the oldest unpinned people go, those before them keep a mean vector
    only, rich ones a bank beside it. Returns counts: people forgotten, tracklets whose vectors (and pictures) were
    folded into their person's mean; the log says them too."""
    config, folded = memory.config, 0
    with _editing(memory) as store:
        member, _ = store.partition()
        pinned = {person for person, (_, pin) in store.called().items() if pin}
        seen: dict[int, float] = {}
        ends = store.read("SELECT id, end + clock FROM tracklet JOIN camera ON number = camera")
        for tracklet, end in ends:
            if tracklet in member:
                seen[member[tracklet]] = max(seen.get(member[tracklet], -np.inf), end)
        order = sorted((end, person) for person, end in seen.items() if person not in pinned)
        too_many = len(seen) - config.most_people if config.most_people is not None else 0
        gone = {
            person
            for place, (end, person) in enumerate(order)
            if place < too_many or (config.forget_after is not None and now - end > config.forget_after)
        }
        _remove(store, gone)
        whole = len(order) if config.most_with_vectors is None else config.most_with_vectors
        reduced = {
            person
            for place, (end, person) in enumerate(reversed(order))
            if place >= whole or (config.reduce_after is not None and now - end > config.reduce_after)
        }
        folded = _fold(store, config, reduced - gone)
        if gone or folded:
            store.append(store.operation(), now, by, "forget", len(gone), folded)
    if gone or folded:
        memory.leave_no_vectors()
    return {"people": len(gone), "folded": folded}


def tidy(memory: Memory) -> dict[str, int]:
    """:func:`forget`, where a limit is passed by a tenth; for those who add without end. Returns its counts."""
    config, people = memory.config, memory.people
    now, (then, before) = people.now(config.clock_jump), memory.tidied
    counts = [most for most in (config.most_people, config.most_with_vectors) if most is not None]
    many = any(people.count - max(before, most) > most / 10 for most in counts)
    ages = [age for age in (config.forget_after, config.reduce_after) if age is not None]
    old = any(now - then > age / 10 for age in ages)
    rich = False
    if (
        config.most_tracklets is not None
        and people.members[: people.count].max(initial=0) > config.most_tracklets
    ):
        here = people.known[: people.size] & (people.person_of[: people.size] >= 0)
        rich = np.bincount(people.person_of[: people.size][here]).max(initial=0) > 1.1 * config.most_tracklets
    if not (many or old or rich):
        return {"people": 0, "folded": 0}
    done = forget(memory, now, by="limits")
    memory.refresh()
    memory.tidied = now, memory.people.count
    return done


class _editing:
    """A transaction after which the memory's arrays are read again."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._writing = memory, memory.store.writing()

    def __enter__(self) -> Store:
        self._memory.stale = True
        self._writing.__enter__()
        return self._memory.store

    def __exit__(self, *error: Any) -> None:
        self._writing.__exit__(*error)


def known(store: Store, person: int) -> int:
    """The person's id, or that of the one it was merged into; whoever has tracklets."""
    member, alias = store.partition()
    whole = alias.get(person, person)
    if whole not in member.values():
        had = {member[t] for (t,) in store.read("SELECT a FROM log WHERE op = 'assign' AND b = ?", (person,))}
        of = f"; what it had is of {', '.join(map(str, sorted(had)))} (`log` says why)" if had else ""
        raise InputError(f"{store.path}: nobody there has the id {person}{of}")
    return whole


def merged_into(store: Store, person: int) -> list[int]:
    """Ids of those who are part of this person."""
    return sorted(younger for younger, older in store.partition()[1].items() if older == person)


def _remove(store: Store, people: set[int]) -> dict[str, int]:
    """All rows about these people, those who were merged into them, and those whom no undo could bring back."""
    member, alias = store.partition()
    mine = [(tracklet,) for tracklet, owner in member.items() if owner in people]
    told = store.read("SELECT a, b FROM log WHERE op = 'assign'")
    stay = {*member.values(), *(alias.get(b, b) for a, b in told if member[a] not in people)} - people
    ids = [one for one in store.read("SELECT id FROM person") if alias.get(one[0], one[0]) not in stay]
    store.db.execute("CREATE TEMP TABLE gone (kind TEXT, id INTEGER, PRIMARY KEY (kind, id)) WITHOUT ROWID")
    store.db.executemany("INSERT INTO gone VALUES ('tracklet', ?)", mine)
    store.db.executemany("INSERT INTO gone VALUES ('person', ?)", ids)
    tracklets, persons = (f"(SELECT id FROM gone WHERE kind = '{kind}')" for kind in ("tracklet", "person"))
    rejected = f"op = 'reject' AND (a IN {persons} OR b IN {persons})"
    passed_on = store.read(f"SELECT DISTINCT operation, at, by FROM log WHERE {rejected}")
    counts = {"tracklets": len(mine), "people": len(ids), "log": 0}
    for table, which in (
        ("tracklet", f"id IN {tracklets}"),
        ("path", f"tracklet IN {tracklets}"),
        ("log", f"op = 'assign' AND a IN {tracklets}"),
        ("link", f"a IN {tracklets} OR b IN {tracklets}"),
        ("log", f"op IN ('merge', 'suggest', 'reject') AND (a IN {persons} OR b IN {persons})"),
        ("person", f"id IN {persons}"),
    ):
        changed = store.db.execute(f"DELETE FROM {table} WHERE {which}").rowcount
        counts["log"] += changed if table == "log" else 0
    store.db.execute("DROP TABLE gone")
    for operation, at, by in passed_on:
        _pass_on(store, operation, at, by, member)
    orphans = "DELETE FROM log WHERE op = 'undo' AND a NOT IN (SELECT operation FROM log)"
    while changed := store.db.execute(orphans).rowcount:  # an undo of an undo, too
        counts["log"] += changed
    return counts


def _pass_on(store: Store, operation: int, at: float, by: str, member: Mapping[int, int]) -> None:
    """A refusal of which one person is gone still keeps tracklets apart that have become others': it stands in their
    names now, so that the log says it and it can be undone."""
    links = store.read("SELECT a, b FROM link WHERE reason = ?", (f"operation {operation}",))
    pairs = {tuple(sorted((member[a], member[b]))) for a, b in links if member[a] != member[b]}
    said = {*store.read("SELECT a, b FROM log WHERE op = 'reject' AND operation = ?", (operation,))}
    for a, b in sorted(pairs - said):
        store.append(operation, at, by, "reject", a, b)


def _fold(store: Store, config: MemoryConfig, reduced: set[int]) -> int:
    """Vectors of people with more than ``most_tracklets`` go into the mean, but for the ``bank`` most diverse; of those
    who are ``reduced`` all do. Those of too few boxes go nowhere."""
    most, bank, least = config.most_tracklets, config.bank, config.least_boxes
    member, assigned = store.partition()[0], store.assigned()
    of: dict[int, list[int]] = {}
    for (tracklet,) in store.read("SELECT id FROM tracklet WHERE vector IS NOT NULL ORDER BY id"):
        if tracklet in member:
            of.setdefault(member[tracklet], []).append(tracklet)
    folded = 0
    for owner, mine in of.items():
        if owner not in reduced and (most is None or len(mine) <= most):
            continue
        query = "SELECT vector, boxes FROM tracklet WHERE id = ?"
        told = [store.read(query, (tracklet,))[0] for tracklet in mine]
        vectors = np.stack([from_blob(blob) * (boxes >= least) for blob, boxes in told])
        enough = np.array([boxes >= least for _, boxes in told]).nonzero()[0]
        keep = set() if owner in reduced else {*enough[diverse(vectors[enough], bank)].tolist()}
        out = [k for k in range(len(mine)) if k not in keep]
        for person in sorted({assigned[mine[k]] for k in out}):  # each part of who was merged keeps its own
            his = [k for k in out if assigned[mine[k]] == person]
            before, count = store.read("SELECT total, folded FROM person WHERE id = ?", (person,))[0]
            total = np.zeros(store.dimension, np.float32) if before is None else np.frombuffer(before, "<f4")
            total = total + vectors[his].sum(0)
            spoke = sum(told[k][1] >= least for k in his)
            values = (total.astype("<f4").tobytes(), count + spoke, person)
            store.db.execute("UPDATE person SET total = ?, folded = ? WHERE id = ?", values)
        gone = [(mine[k],) for k in out]
        store.db.executemany("UPDATE tracklet SET vector = NULL, crop = NULL WHERE id = ?", gone)
        store.db.executemany("DELETE FROM path WHERE tracklet = ?", gone)
        folded += len(out)
    return folded


def diverse(vectors: np.ndarray, count: int) -> np.ndarray:
    """Rows of (N, D) unit vectors that cover the rest best: farthest-first (Gonzalez 1985), from the one nearest to
    the mean."""
    if not len(vectors):
        return np.zeros(0, np.int64)
    nearest = vectors @ vectors.mean(0)
    chosen = [int(nearest.argmax())]
    far = 1.0 - vectors @ vectors[chosen[0]]
    while len(chosen) < min(count, len(vectors)):
        chosen.append(int(far.argmax()))
        far = np.minimum(far, 1.0 - vectors @ vectors[chosen[-1]])
    return np.sort(np.array(chosen))


def set_clocks(memory: Memory, told: Mapping[str, float]) -> None:
    """Seconds to be added to cameras' times from now on, also to what is remembered. What was learned of ways to and
    from cameras whose clock changes is forgotten, as it was learned by the wrong one; who is who stays.

    Raises:
        InputError: no such camera, a time that is none.
    """
    with _editing(memory) as store:
        number = dict(store.read("SELECT name, number FROM camera"))
        for name, clock in told.items():
            if name not in number:
                raise InputError(f"no camera {name!r} in this memory; it knows {', '.join(number) or 'none'}")
            if not abs(clock) <= FARTHEST:
                raise InputError(f"the clock of {name} cannot be {clock} s off")
        was = dict(store.read("SELECT name, clock FROM camera"))
        changed = [number[name] for name, clock in told.items() if abs(clock - was[name]) > 1e-9]
        rows = [(float(clock), name) for name, clock in told.items()]
        store.db.executemany("UPDATE camera SET clock = ? WHERE name = ?", rows)
        for stop, blob in store.read("SELECT stop, counts FROM transit"):
            counts = np.frombuffer(blob, "<f8").reshape(2, -1, BINS).copy()
            here = [k for k in changed if k < counts.shape[1]]
            counts[:, here] = 0
            counts[:, :] = 0 if stop in changed else counts
            values = (counts.astype("<f8").tobytes(), stop)
            store.db.execute("UPDATE transit SET counts = ? WHERE stop = ?", values)
