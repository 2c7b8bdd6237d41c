"""What everybody looks like in a camera: by hand, beside the obvious way, and what it is worth where cameras differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.tracker.memory import Memory
from retrace.tracker.memory.camera_means import CameraMeans
from retrace.tracker.memory.editing import forget, merge, split
from retrace.tracker.memory.search import search
from tests.tracker.memory.passersby import D, tracklet, vector_of


def test_a_camera_of_few_people_says_little() -> None:
    """Of one person and half = 3 a quarter is taken off; of three, half of their mean."""
    means, eye = CameraMeans(4, 3.0), np.eye(4)
    means.add_camera()
    means.add_camera()
    means.meet(0, eye[0])
    assert means.renew().tolist() == [True, False]
    np.testing.assert_allclose(means.used, [eye[0] / 4, 0 * eye[0]])
    for k in (1, 2):
        means.meet(0, eye[k])
    np.testing.assert_allclose(means.used[0], eye[0] / 4)  # not before it is asked to
    means.renew()
    np.testing.assert_allclose(means.used[0], [1 / 6, 1 / 6, 1 / 6, 0])
    assert not means.renew().any()
    means.meet(1, eye[3])
    np.testing.assert_allclose(means.used[1], 0 * eye[0])
    means.renew()
    # like camera 1's; like camera 0's: .7 / sqrt(3)
    pictures = np.array([[0.1, 0.0, 0.0, 0.2], [0.3, 0.3, 0.1, 0.4]])
    np.testing.assert_allclose(means.nearest(pictures), means.used[[1, 0]])


def test_it_is_renewed_by_tenths() -> None:
    means = CameraMeans(2, 1.0)
    means.add_camera()
    renewed = []
    for k in range(100):
        means.meet(0, np.array([1.0, 0.0]))
        if means.renew()[0]:
            renewed.append(k + 1)
    assert renewed[:12] == [*range(1, 11), 11, 13]
    assert len(renewed) < 35


def test_without_it_vectors_are_as_they_are() -> None:
    means = CameraMeans(2, None)
    means.add_camera()
    means.meet(0, np.array([1.0, 0.0]))
    assert not means.renew().any()
    assert not means.used.any()
    assert not means.nearest(np.ones((3, 2))).any()


CAST = np.random.default_rng(77).normal(size=(2, D)) / np.sqrt(D) * 1.0  # what a camera adds to every vector


def seen(person: int, camera: int, begin: float, rng: np.random.Generator) -> tuple[int, object]:
    own = vector_of(person, rng) + CAST[camera]
    vector = (own / np.linalg.norm(own)).astype(np.float32)
    name = f"c{camera}"
    return person, tracklet(person, begin, camera=name, source=name, vector=vector, clock=name)


def stream(people: int, visits: int) -> list[tuple[int, object]]:
    rng = np.random.default_rng(3)
    return [seen(int(rng.integers(people)), int(rng.integers(2)), 100.0 * k, rng) for k in range(visits)]


def slow_directions(memory: Memory) -> np.ndarray:
    """Every person's sum of vectors, each less what is common to its camera."""
    people, found = memory.people, []
    for person in range(people.count):
        total = np.zeros(D)
        for row in range(people.size):
            if people.person_of[row] == person and people.known[row]:
                total += people.vectors[row] - people.camera_means.used[people.camera_of[row]]
        found.append(total / max(np.linalg.norm(total), 1e-12))
    return np.array(found)


@pytest.mark.parametrize("half", [None, 2.0])
def test_directions_are_those_of_the_slow_twin(tmp_path: Path, half: float | None) -> None:
    """While tracklets come, after a merge, and when the file is opened again."""
    memory = Memory(tmp_path / "m.db", "net", D, centre_half=half)
    for _, one in stream(6, 40):
        memory.add([one])  # type: ignore[list-item]
    np.testing.assert_allclose(memory.people.directions(), slow_directions(memory), atol=1e-5)
    merge(memory, 1, 2, at=0.0)
    memory.refresh()
    np.testing.assert_allclose(memory.people.directions(), slow_directions(memory), atol=1e-5)
    rows = np.arange(memory.people.size)
    less = memory.people.vectors - memory.people.camera_means.used[memory.people.camera_of]
    less = less[: len(rows)] / np.linalg.norm(less[: len(rows)], axis=1, keepdims=True)
    np.testing.assert_allclose(memory.people.directions_of(rows), less, atol=1e-4)


def test_folded_vectors_are_less_it_too(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.db", "net", D, centre_half=2.0, most_tracklets=3, bank=1)
    for _, one in stream(6, 60):
        memory.add([one])  # type: ignore[list-item]
    before = memory.people.directions().copy()
    assert forget(memory, now=1e6)["folded"] > 20
    with Memory(tmp_path / "m.db", "net", D, centre_half=2.0) as again:
        assert (again.people.camera_means.people == memory.people.camera_means.people).all()
        near = (again.people.directions() * before).sum(1)
        assert (near > 0.94).all()  # of each the first visit was in the mean, and now his mean is


def test_people_are_known_in_cameras_unlike_the_training(tmp_path: Path) -> None:
    """A cast that is stronger than what tells people apart: compared as they are, people of one camera are one; less
    what is common, each is one person over both cameras, and a photo from either finds him."""
    purity = {}
    for half in (None, 2.0):
        memory = Memory(tmp_path / f"{half}.db", "net", D, centre_half=half)
        given = stream(20, 240)
        told = [memory.add([one])[0].person for _, one in given]  # type: ignore[list-item]
        true = np.array([person for person, _ in given])
        purity[half] = sum(np.bincount(true[np.array(told) == who]).max() for who in set(told)) / len(told)
        if half is not None:
            who = told[-1]
            _, photo = seen(given[-1][0], 0, 0.0, np.random.default_rng(9))
            found = search(memory, photo.vector[None])  # type: ignore[attr-defined]
            assert found[0].person == who
            assert found[0].probability > 0.9
    assert purity[None] < 0.3
    assert purity[2.0] > 0.95


def test_who_opens_it_anew_each_time_decides_the_same(tmp_path: Path) -> None:
    """Means in use, vectors and sums are those of the file: a run that was stopped tells the same digits."""
    given = stream(12, 90)
    with Memory(tmp_path / "kept.db", "net", D) as memory:
        kept = [memory.add([one])[0] for _, one in given]  # type: ignore[list-item]
    anew = []
    for _, one in given:
        with Memory(tmp_path / "anew.db", "net", D) as memory:
            anew += memory.add([one])  # type: ignore[list-item]
    assert kept == anew
    assert len({one.probability for one in kept}) > 5


def test_the_unit_of_a_file_of_before_is_not_that_of_centred_vectors(tmp_path: Path) -> None:
    """Its sum of strangers' distances is of vectors as they are."""
    path = tmp_path / "m.db"
    with Memory(path, "net", D, centre_half=None) as memory:
        for k in range(20):
            rng = np.random.default_rng(k)
            pair = [seen(person, 0, 100.0 * k, rng)[1] for person in (2 * k + 1, 2 * k + 2)]
            tracks = [one.track for one in pair]  # type: ignore[attr-defined]
            beside = [replace(one, apart=frozenset(tracks), clock="") for one in pair]  # type: ignore[type-var]
            memory.add(beside)  # type: ignore[arg-type]
        # each pair from either side
        assert memory.store.read("SELECT value FROM meta WHERE key = 'strangers_pairs'") == [("40.0",)]
        assert memory._strangers[1] == 40
    with Memory(path, "net", D) as memory:
        assert memory._strangers.tolist() == [0, 0]
        assert memory.unit() == memory.config.strangers
    with Memory(path, "net", D, centre_half=None) as memory:
        assert memory._strangers[1] == 40


def test_a_tracklet_whose_vector_was_folded_is_nobody_when_it_is_split_off(tmp_path: Path) -> None:
    """Its looks stay in the sum of whom it was split off: it must not look like the negative of its camera."""
    memory = Memory(tmp_path / "m.db", "net", D, reduce_after=1.0)
    for _, one in stream(6, 40):
        memory.add([one])  # type: ignore[list-item]
    forget(memory, now=1e6)
    memory.refresh()
    before = memory.people.directions().copy()
    member, _ = memory.store.partition()
    mine = [tracklet for tracklet, person in member.items() if person == 1]
    person, _ = split(memory, mine[:-1], at=0.0)
    memory.refresh()
    row = memory.people.person_row[person]
    assert not memory.people.looks[row]
    assert memory.people.counts[row].sum() == 0
    old = memory.people.person_row[1]
    assert memory.people.counts[old].sum() == pytest.approx(len(mine))
    assert before[old] @ memory.people.mean[old] > 0.95
    for k in range(20):
        photo = np.random.default_rng(k).normal(size=D)
        found = search(memory, (photo / np.linalg.norm(photo))[None].astype(np.float32), least=0.3)
        assert person not in {one.person for one in found}


def test_tracklets_of_too_few_boxes_take_no_share(tmp_path: Path) -> None:
    """Folded with the others of their person, they are in no sum: what is taken off it is by those that are."""
    memory = Memory(tmp_path / "m.db", "net", D, reduce_after=1.0)
    for _, one in stream(6, 40):
        memory.add([one])  # type: ignore[list-item]
    before, member = memory.people.directions().copy(), memory.store.partition()[0]
    for k in range(12):
        few = seen(1, k % 2, 1e5 + 100.0 * k, np.random.default_rng(k))[1]
        told = memory.add([replace(few, boxes=1)])[0]  # type: ignore[type-var]
        merge(memory, 1, told.person, at=0.0)
    forget(memory, now=1e7)
    memory.refresh()
    row = memory.people.person_row[1]
    assert memory.people.counts[row].sum() == pytest.approx(sum(person == 1 for person in member.values()))
    assert before[row] @ memory.people.mean[row] > 0.97


def test_all_that_was_folded_is_split_off(tmp_path: Path) -> None:
    """The sum stays with the person, less what is common to the cameras where he has been."""
    memory = Memory(tmp_path / "m.db", "net", D, most_tracklets=3, bank=1)
    for _, one in stream(3, 40):
        memory.add([one])  # type: ignore[list-item]
    forget(memory, now=1e6)
    memory.refresh()
    before = memory.people.directions().copy()
    gone = memory.store.read("SELECT id FROM tracklet WHERE vector IS NULL")
    member = memory.store.partition()[0]
    split(memory, [one for (one,) in gone if member[one] == 1], at=0.0)
    memory.refresh()
    row = memory.people.person_row[1]
    assert memory.people.counts[row].sum() > 5
    assert before[row] @ memory.people.mean[row] > 0.9


def test_another_clock_makes_nobody_late(tmp_path: Path) -> None:
    """A recording of nobody knows when lies an hour on; who comes live after it is as early as ever."""
    memory = Memory(tmp_path / "m.db", "net", D)
    memory.add([tracklet(1, 1000.0)])
    memory.add([tracklet(2, 5000.0, camera="tape", source="tape", clock="tape")], live=False)
    assert memory.add([tracklet(1, 1040.0)])[0].reason == "by looks"
    assert memory.people.now(3600.0, timed=True) == 1043.0
