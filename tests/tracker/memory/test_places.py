"""People known by where they stand: two cameras over one ground, by hand and beside the obvious way."""

from __future__ import annotations

import itertools
from pathlib import Path as File

import numpy as np
import pytest

from retrace.configs import InputError, load_preset
from retrace.tracker.memory import Memory, Tracklet
from retrace.tracker.memory.editing import undo_all_merges
from retrace.tracker.memory.places import LONGEST, Path, apart
from retrace.tracker.site import Ground, SiteConfig
from tests.tracker.memory.passersby import vector_of

SITE = load_preset("default", SiteConfig, "site")
D, HEIGHT = 16, 50.0  # numbers of a vector; px of every box
PLANES = {  # pixels -> metres; the second camera looks from the other side and is tilted
    "left": np.array([[0.02, 0, 0], [0, 0.02, 0], [0, 0, 1.0]]),
    "right": np.linalg.inv(np.array([[-40.0, 3, 700], [2, -45, 600], [0.001, 0.02, 1]])),
}


def walk(camera: str, ground: np.ndarray, time: np.ndarray) -> np.ndarray:
    """(M, 4) what a camera sees of somebody at ``ground`` (M, 2), metres."""
    seen = np.concatenate([ground, np.ones((len(ground), 1))], axis=1) @ np.linalg.inv(PLANES[camera]).T
    return np.column_stack([time, seen[:, :2] / seen[:, 2:], np.full(len(time), HEIGHT)])


def line(start: tuple[float, float], step: tuple[float, float], time: np.ndarray) -> np.ndarray:
    return np.array(start) + (time - 100.0)[:, None] * np.array(step)


def tracklet(camera: str, track: int, ground: np.ndarray, time: np.ndarray, **other: object) -> Tracklet:
    given: dict = {
        "camera": camera, "source": camera, "track": track, "begin": float(time[0]), "end": float(time[-1]),
        "boxes": 0, "vector": np.zeros(D, np.float32), "apart": frozenset(), "path": walk(camera, ground, time),
    }  # fmt: skip
    return Tracklet(**{**given, **other})


def memory(folder: File) -> Memory:
    found = Memory(folder / "m.db", "net", D)
    found.set_ground(Ground(tuple(PLANES), np.stack([*PLANES.values()])))
    return found


TIME = np.arange(100.0, 110.0, 0.5)
HERE, THERE = line((4, 5), (0.3, 0.1), TIME), line((9, 5), (-0.3, 0.1), TIME)


def test_the_same_place_is_no_distance() -> None:
    one, other = (Path(walk(name, HERE, TIME), plane) for name, plane in PLANES.items())
    total, moments = apart(one, other, 2.0)
    assert moments == len(TIME)
    assert total == pytest.approx(0, abs=1e-6)
    flipped = Path(other.place, -other.plane)  # the sign of a homography means nothing
    assert apart(one, flipped, 2.0)[0] == pytest.approx(0, abs=1e-6)


def test_one_metre_by_hand() -> None:
    """In the left picture a metre is 50 px, one body height; the right one's own measure is in the mean."""
    one = Path(walk("left", HERE, TIME), PLANES["left"])
    beside = Path(walk("left", HERE + np.array([1.0, 0.0]), TIME), PLANES["left"])
    assert apart(one, beside, 5.0) == (pytest.approx(len(TIME) * 1.0), len(TIME))
    assert apart(one, beside, 0.5) == (pytest.approx(len(TIME) * 0.5), len(TIME))


@pytest.mark.parametrize("shift", [0.0, 0.2, 7.3, 50.0])
def test_equal_to_the_obvious_way(shift: float) -> None:
    """Moment by moment, in between two places of the other, if they are no more than LONGEST apart."""
    time = np.delete(TIME, [4, 5, 6, 7, 8]) + shift  # a hole of 3 s
    one, other = (
        Path(walk("left", HERE, TIME), PLANES["left"]),
        Path(walk("right", THERE[: len(time)], time), PLANES["right"]),
    )
    total = moments = 0
    for t, x, y, _ in one.place:
        for k, (a, b) in enumerate(itertools.pairwise(other.place)):
            share = (t - a[0]) / (b[0] - a[0])
            inside = a[0] < t <= b[0] or (k == 0 and t == a[0])
            if inside and (b[0] - a[0] <= LONGEST or share == 1):
                u, v, h = ((1 - share) * a + share * b)[1:]
                there = one.plane @ (x, y, 1), other.plane @ (u, v, 1)
                seen = np.linalg.inv(one.plane) @ there[1], np.linalg.inv(other.plane) @ there[0]
                miss = np.hypot(*(seen[0][:2] / seen[0][2] - (x, y))) / HEIGHT
                miss += np.hypot(*(seen[1][:2] / seen[1][2] - (u, v))) / h
                total, moments = total + min(miss / 2, 2.0), moments + 1
                break
    assert apart(one, other, 2.0) == (pytest.approx(total), moments)


def test_two_views_of_one_place_are_one_person(tmp_path: File) -> None:
    """No looks at all: two people in two cameras, in one window; then a third camera's worth of time later."""
    found = memory(tmp_path).add([
        tracklet("left", 1, HERE, TIME, apart=frozenset({2})), tracklet("left", 2, THERE, TIME, apart=frozenset({1})),
        tracklet("right", 7, THERE, TIME, apart=frozenset({8})), tracklet("right", 8, HERE, TIME, apart=frozenset({7})),
    ])  # fmt: skip
    assert [one.person for one in found] == [1, 2, 2, 1]
    assert "stood where he did: 0.00 body heights apart over 20 moments" in found[2].reason
    with Memory(tmp_path / "m.db") as again:
        kinds = again.store.read("SELECT kind, COUNT(*) FROM link GROUP BY kind ORDER BY kind")
        assert kinds == [("cannot", 2), ("must", 2)]


def test_a_later_view_joins_also_when_it_comes_late(tmp_path: File) -> None:
    """The second camera's recording is read after the first one's: its tracklets are late, and by place no less his."""
    made = memory(tmp_path)
    made.add([tracklet("left", 1, HERE, TIME)])
    later = np.arange(500.0, 510.0, 0.5)
    made.add([tracklet("left", 2, HERE, later)])
    found = made.add([tracklet("right", 1, HERE, TIME)])[0]
    assert (found.person, found.new) == (1, False)
    with Memory(tmp_path / "m.db") as again:  # paths and ground are in the file
        assert again.add([tracklet("right", 2, HERE, later)])[0].person == 2


def test_who_stands_elsewhere_or_at_another_time_is_somebody_else(tmp_path: File) -> None:
    made = memory(tmp_path)
    made.add([tracklet("left", 1, HERE, TIME)])
    others = [
        tracklet("right", 1, HERE + np.array([0.0, 3.0]), TIME),  # three body heights away
        tracklet("right", 2, HERE, TIME + 30.0),  # half a minute later
        tracklet("right", 3, HERE[:2], TIME[:2]),  # half a second is too little to tell
        tracklet("right", 4, HERE, TIME, path=None),
    ]
    assert [one.person for one in made.add(others)] == [2, 3, 4, 5]


def test_cannot_links_stay(tmp_path: File) -> None:
    """Two boxes beside each other in the right camera are two people, even at one place of the left one's only one."""
    made = memory(tmp_path)
    made.add([tracklet("left", 1, HERE, TIME)])
    close = HERE + np.array([0.2, 0.0])
    found = made.add([
        tracklet("right", 1, HERE, TIME, apart=frozenset({2})), tracklet("right", 2, close, TIME, apart=frozenset({1})),
    ])  # fmt: skip
    assert [one.person for one in found] == [1, 2]


def test_a_third_view_makes_two_people_one(tmp_path: File) -> None:
    """He left the left picture and came back to it, and has two ids; the right one saw him all the time. The older id
    stays, the log says why, and undoing it gives the partition before."""
    made = memory(tmp_path)
    early, late = slice(0, 8), slice(12, 20)
    for track, part in ((1, early), (2, late)):
        made.add([tracklet("left", track, HERE[part], TIME[part])])
    before = made.store.partition()[0]
    found = made.add([tracklet("right", 1, HERE, TIME)])[0]
    assert found.person == 1
    member, alias = made.store.partition()
    assert (set(member.values()), alias) == ({1}, {2: 1})
    assert "stood where both did" in made.store.read("SELECT evidence FROM log WHERE op = 'merge'")[0][0]
    arrays = made.people
    with Memory(tmp_path / "m.db") as again:
        assert again.people.alive == arrays.alive == 1
    assert undo_all_merges(made, at=999.0) == 1
    now = made.store.partition()[0]
    assert {one: now[one] for one in before} == before


def test_two_who_were_seen_together_are_not_made_one(tmp_path: File) -> None:
    """Both left tracklets stood close to the right one, but beside each other: it joins the nearer, no merge."""
    made = memory(tmp_path)
    made.add([tracklet("left", 1, HERE, TIME, apart=frozenset({2}))])
    made.add([tracklet("left", 2, HERE + np.array([0.3, 0.0]), TIME + 0.01, apart=frozenset({1}))])
    found = made.add([tracklet("right", 1, HERE, TIME)])[0]
    assert (found.person, found.maybe) == (1, 2)
    assert made.store.read("SELECT a, b FROM log WHERE op = 'suggest'") == [(2, 1)]
    assert made.store.read("SELECT 1 FROM log WHERE op = 'merge'") == []


def test_looks_speak_for_all_views(tmp_path: File) -> None:
    """One view knows him again by looks, the other has none: both are the person of before. Not if the other view saw
    that person beside him."""
    rng = np.random.default_rng(0)
    looks = {
        "boxes": 9,
        "vector": np.concatenate([vector_of(1, rng)[:D]]) / np.linalg.norm(vector_of(1, rng)[:D]),
    }
    for beside in (False, True):
        made = Memory(tmp_path / f"{beside}.db", "net", D)
        made.set_ground(Ground(tuple(PLANES), np.stack([*PLANES.values()])))
        own = looks["vector"] / np.linalg.norm(looks["vector"])
        before = tracklet("right", 5, THERE, TIME - 60 + 60 * beside, boxes=9, vector=own)
        assert made.add([before])[0].person == 1
        one = tracklet("left", 1, HERE, TIME, boxes=9, vector=own)
        other = tracklet("right", 6, HERE, TIME, apart=frozenset({5} if beside else ()))
        found = made.add([one, other])
        assert found[0].person == found[1].person
        assert found[0].new == beside


def test_deleting_a_person_deletes_where_he_stood(tmp_path: File) -> None:
    from retrace.tracker.memory.editing import delete

    made = memory(tmp_path)
    made.add([tracklet("left", 1, HERE, TIME)])
    delete(made, 1)
    assert made.store.read("SELECT COUNT(*) FROM path") == [(0,)]


def test_paths_that_are_none(tmp_path: File) -> None:
    for path in (np.zeros((3, 3)), np.full((2, 4), np.nan)):
        with pytest.raises(InputError, match="its path has shape"):
            memory(tmp_path).add([tracklet("left", 1, HERE, TIME, path=path)])
