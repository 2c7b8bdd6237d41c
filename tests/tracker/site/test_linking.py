"""Who is who over cameras: by hand, beside the obvious way, and learned from people who walk."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError, load_preset
from retrace.tracker.data import MotTable
from retrace.tracker.site import Ground, Sightings, SiteConfig, learn_ground, link
from retrace.tracker.site.files import link_tables
from retrace.tracker.site.linking import agglomerate
from retrace.tracker.site.sightings import apart, meetings
from tests.tracker.site.walkers import paths, site, to_ground, view

CONFIG = load_preset("default", SiteConfig, "site", {"limit": 0.6, "far": 2.0, "doubt": 2.0})


def table(rows: list[tuple[int, int, float]]) -> MotTable:
    """(frame, id, x) -> boxes 10 px wide and 20 high."""
    frame, ids, x = (np.array(column) for column in zip(*sorted(rows), strict=True))
    one = np.ones(len(frame))
    xyxy = np.stack([x, 0 * x, x + 10, 0 * x + 20], axis=1).astype(float)
    return MotTable(frame, ids, xyxy, one, one.astype(np.int64), one)


def test_sightings_and_meetings_by_hand() -> None:
    s = Sightings.of({"a": table([(0, 7, 0), (0, 9, 50), (1, 7, 5)]), "b": table([(0, 7, 3), (2, 7, 5)])})
    assert s.home.tolist() == [0, 0, 1]
    assert s.tracklet.tolist() == [0, 1, 2, 0, 2]
    assert s.foot[0].tolist() == [5, 20]
    first, second = meetings(s)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (1, 2)]
    assert apart(s).tolist() == [[0, 1]]


def test_feet_that_are_cut_off_say_nothing() -> None:
    two = {"a": table([(0, 1, 0)]), "b": table([(0, 1, 0)])}
    assert len(meetings(Sightings.of(two, {"a": 22}))[0]) == 1
    assert len(meetings(Sightings.of(two, {"a": 21}))[0]) == 0  # the box ends at the last row, 20


Pairs = dict[tuple[int, int], tuple[int, float]]  # (i, j): moments, mean distance


def arrays(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs, sums, counts."""
    count, mean = np.array([*pairs.values()], float).reshape(-1, 2).T
    return np.array([*pairs], np.int64).reshape(-1, 2), count * mean, count


def sightings_of(size: int) -> Sightings:
    """Tracklet k is first seen in frame k."""
    k = np.arange(size)
    return Sightings(("a", "b"), k % 2, k, k, np.zeros((size, 4)), np.ones(size, bool), k % 2)


def joined(pairs: Pairs, cannot: list[tuple[int, int]], size: int = 4) -> list[int]:
    never = np.array(cannot, np.int64).reshape(-1, 2)
    return agglomerate(sightings_of(size), *arrays(pairs), never, CONFIG).tolist()


def test_by_hand() -> None:
    """18 moments at 0.2 with 2 at 2.0 beforehand: (3.6 + 4) / 20 = 0.38, nearer than 0.6. 2 moments: 4.4 / 4 = 1.1."""
    assert joined({(0, 1): (18, 0.2)}, []) == [1, 1, 2, 3]
    assert joined({(0, 1): (2, 0.2)}, []) == [1, 2, 3, 4]
    assert joined({(0, 1): (18, 0.2)}, [(0, 1)]) == [1, 2, 3, 4]


def test_a_group_is_judged_whole() -> None:
    """0-1 are near (.38); 2 is near 1 (.40 with doubt), far from 0 for as long: (4 + 18 x .22 + 18 x 2) / 38 = 1.2."""
    near = {(0, 1): (18, 0.2), (1, 2): (18, 0.22)}
    assert joined(near, []) == [1, 1, 1, 2]
    assert joined(near | {(0, 2): (18, 2.0)}, []) == [1, 1, 2, 3]
    assert joined(near, [(0, 2)]) == [1, 1, 2, 3]


def slow(pairs: Pairs, cannot: set[tuple[int, int]], size: int) -> list[int]:
    """All groups compared anew after every join."""
    groups = [{k} for k in range(size)]
    while True:
        best, who = CONFIG.limit, None
        for a, b in itertools.combinations(range(len(groups)), 2):
            ends = [(min(i, j), max(i, j)) for i in groups[a] for j in groups[b]]
            seen = [pairs[e] for e in ends if e in pairs]
            mean = (sum(n * d for n, d in seen) + CONFIG.doubt * CONFIG.far) / (
                sum(n for n, _ in seen) + CONFIG.doubt
            )
            if mean < best and not cannot & set(ends):
                best, who = mean, (a, b)
        if who is None:
            break
        groups[who[0]] |= groups.pop(who[1])
    order = sorted(groups, key=min)
    return [next(n for n, group in enumerate(order, 1) if k in group) for k in range(size)]


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_the_obvious_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = 14
    every = [*itertools.combinations(range(size), 2)]
    pairs = {e: (int(rng.integers(1, 40)), float(rng.uniform(0, 1.2))) for e in every if rng.random() < 0.35}
    cannot = {e for e in every if rng.random() < 0.1}
    assert joined(pairs, sorted(cannot), size) == slow(pairs, cannot, size)


def local(tables: dict[str, MotTable], seed: int = 3) -> dict[str, MotTable]:
    """Ids that mean nothing to other cameras."""
    rng = np.random.default_rng(seed)
    names = {c: rng.permutation(50) + 1 for c in tables}
    moved = {c: replace(t, id=names[c][t.id]) for c, t in tables.items()}
    return {c: t.take(np.lexsort((t.id, t.frame))) for c, t in moved.items()}


def people_of(tables: dict[str, MotTable], linked: dict[str, MotTable]) -> set[tuple[int, int]]:
    """(true person, id) pairs that share a box."""
    found = set()
    for name, truth in tables.items():
        boxes = {(f, *b): k for f, k, b in zip(truth.frame, truth.id, truth.xyxy.tolist(), strict=True)}
        rows = zip(linked[name].frame, linked[name].id, linked[name].xyxy.tolist(), strict=True)
        found |= {(int(boxes[(f, *b)]), int(k)) for f, k, b in rows}
    return found


def test_known_homographies() -> None:
    truth = site(noise=1.0)
    ground = Ground(("cam1", "cam2", "cam3"), np.array([to_ground(k) for k in range(3)]))
    linked = link_tables(local(truth), CONFIG, ground=ground)
    assert len(people_of(truth, linked.tables)) == linked.people == 6
    assert linked.tracklets == 18


@pytest.mark.parametrize("seed", range(3))
def test_the_ground_is_learned_without_labels(seed: int) -> None:
    truth = site(noise=1.0, seed=seed)
    linked = link_tables(local(truth), CONFIG, learn_frames=80)
    assert linked.learned
    assert len(people_of(truth, linked.tables)) == linked.people == 6


def test_what_was_learned_is_the_truth() -> None:
    """Without noise, cam1 -> cam2 is what the pinhole model says, with labels and without."""
    truth = site()
    s = Sightings.of(truth)
    wanted = np.linalg.inv(to_ground(1)) @ to_ground(0)
    for person in (None, np.tile(np.arange(6), 3)):
        ground = learn_ground(s, CONFIG, person)
        found = np.linalg.inv(ground.plane[1]) @ ground.plane[0]
        assert found / found[2, 2] == pytest.approx(wanted / wanted[2, 2], rel=1e-3, abs=1e-5)


def test_same_input_same_ids() -> None:
    tables = local(site(noise=1.0))
    a, b = (link_tables(tables, CONFIG).tables for _ in range(2))
    assert all((a[name].id == b[name].id).all() for name in a)


def test_nobody_is_twice_in_a_frame_of_one_camera() -> None:
    linked = link_tables(local(site(people=9, noise=4.0)), CONFIG).tables
    for one in linked.values():
        assert len(np.unique(np.stack([one.frame, one.id]), axis=1).T) == len(one)


def test_who_leaves_one_camera_is_kept_by_another() -> None:
    """cam1 loses everybody halfway: its tracklets before and after are one person through cam2."""
    truth = site(noise=1.0)
    cut = local(truth)
    half = cut["cam1"].frame
    broken = replace(cut["cam1"], id=cut["cam1"].id + 100 * (half > 60)).take((half < 55) | (half > 65))
    order = np.lexsort((broken.id, broken.frame))
    linked = link_tables({**cut, "cam1": broken.take(order)}, CONFIG)
    assert linked.tracklets == 24
    assert linked.people == 6


def test_too_little_to_learn_from() -> None:
    def fails(tables: dict[str, MotTable], said: str = "too few people") -> None:
        with pytest.raises(InputError, match=said):
            link_tables(tables, CONFIG)

    walks = paths(6, 60, 0)
    fails({"cam1": view(walks[:2], 0), "cam2": view(walks[:2], 1)})  # two people: nobody is left to agree
    away = view(walks, 1)
    fails({"cam1": view(walks, 0), "cam2": replace(away, frame=away.frame + 1000)})  # never at one moment
    mirrored = away.xyxy[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [640, 0, 640, 0]
    fails({"cam1": view(walks, 0), "cam2": replace(away, xyxy=mirrored)})
    queue = np.repeat(np.linspace(-2, 2, 60)[None, :, None], 6, 0) * [1.0, 0] + np.arange(6)[
        :, None, None
    ] * [0.5, 0]
    fails({"cam1": view(queue, 0), "cam2": view(queue, 1)})  # all on one line
    fails({"cam1": view(walks, 0)}, "two cameras")
    fails({"cam1": view(walks, 0), "cam2": away.take(slice(0, 0))})


def test_arguments_that_contradict_each_other() -> None:
    ground = Ground(("cam1", "cam2"), np.array([to_ground(0), to_ground(1)]))
    two = site(cameras=2)
    with pytest.raises(InputError, match="learn_frames"):
        link_tables(two, CONFIG, ground=ground, learn_frames=5)
    with pytest.raises(InputError, match="expected 1 or more"):
        link_tables(two, CONFIG, learn_frames=0)
    with pytest.raises(InputError, match="cam3"):
        link_tables(site(), CONFIG, ground=ground)


def test_boxes_that_are_refused() -> None:
    two = site(cameras=2)
    twice = replace(two["cam1"], id=np.ones_like(two["cam1"].id))
    with pytest.raises(InputError, match="camera cam1: an id has two boxes"):
        Sightings.of({**two, "cam1": twice})
    flat = replace(two["cam2"], xyxy=two["cam2"].xyxy[:, [0, 1, 2, 1]])
    with pytest.raises(InputError, match="camera cam2: a box of frame 0 has no height"):
        Sightings.of({**two, "cam2": flat})


def test_nobody_meets_nobody() -> None:
    ground = Ground(("cam1", "cam2"), np.array([to_ground(0), to_ground(1)]))
    two = site(cameras=2, people=2, frames=10)
    later = replace(two["cam2"], frame=two["cam2"].frame + 10)
    assert link(Sightings.of({**two, "cam2": later}), ground, CONFIG).tolist() == [1, 2, 3, 4]
    empty = {name: one.take(slice(0, 0)) for name, one in two.items()}
    assert link(Sightings.of(empty), ground, CONFIG).tolist() == []


def test_pets_without_looks(shared: Path) -> None:
    """Five views, ids of ground truth made local, the ground learned without labels on the first quarter: IDF1 of the
    rest, one bijection over all cameras (LOG.md)."""
    from retrace.eval.mot.cameras import evaluate_cameras
    from retrace.tracker.mot_file import read_ground_truth

    folder = shared / "data" / "multicam-gt" if (shared / "data").is_dir() else shared / "multicam-gt"
    truth = {
        f"cam{k}": read_ground_truth(folder / "PETS09-S2L1" / f"cam{k}" / "gt" / "gt.txt")
        for k in range(1, 6)
    }
    linked = link_tables(local(truth), load_preset("default", SiteConfig, "site"), learn_frames=198).tables
    rest = {
        name: (one.take(one.frame >= 198), linked[name].take(linked[name].frame >= 198))
        for name, one in truth.items()
    }
    assert evaluate_cameras(rest).row()["MTMC IDF1"] > 0.95
