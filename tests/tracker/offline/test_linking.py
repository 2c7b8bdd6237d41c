"""Tracklet linking: hand-made pairs, a slow twin, invariants."""

import numpy as np
import pytest

from retrace.configs import InputError, load_preset
from retrace.tracker.offline.linking import CHUNK, LinkConfig, Links, chunks, find_links, link, renamed
from retrace.tracker.offline.passes import OfflineConfig
from tests.tracker.offline.slow_links import pairs, slow_best
from tests.tracker.offline.tables import random_table, same, table

FPS = 10
LOOSE = LinkConfig(gap=2, distance=1, size=2, cost=1, window=0.5)


def walker(i, frames, x=0.0, speed=2.0, size=(20, 40), class_id=1):
    """Rows of somebody whose left edge is at x + speed * frame."""
    return [(k, i, x + speed * k, 0, x + speed * k + size[0], size[1], 0.9, class_id) for k in frames]


def with_limits(**limits):
    return LOOSE.model_copy(update=limits)


def test_who_goes_on_where_expected_is_the_same_person():
    """10 frames of gap at 10 fps: 1 s of 2. The later is where it is expected but 8 px to the side of it: it
    misses by 8 / 40 heights, of 1. Equal heights. Cost: (0.5 + 0.2 + 0) / 3."""
    rows = walker(3, range(10)) + walker(7, range(19, 30), x=8)
    links = find_links(table(rows), FPS, LOOSE)
    assert pairs(links) == [(3, 7)]
    assert links.cost[0] == pytest.approx(0.7 / 3)
    joined = link(table(rows), FPS, LOOSE)
    assert set(joined.id) == {3}
    assert len(joined) == 21


def test_size_is_a_ratio_of_heights():
    """Heights 40 and 40 sqrt 2: half of a factor of 2 in logarithms; centres apart by (10 sqrt 2 - 10,
    20 sqrt 2 - 20) px, over the mean height."""
    r = 2**0.5
    rows = walker(1, range(10), speed=0) + walker(2, range(19, 30), speed=0, size=(20 * r, 40 * r))
    miss = np.hypot(10 * r - 10, 20 * r - 20) / (20 + 20 * r)
    assert find_links(table(rows), FPS, LOOSE).cost == pytest.approx((0.5 + miss + 0.5) / 3)


@pytest.mark.parametrize(
    ("limits", "joined"),
    [
        ({"gap": 1.0}, True),  # exactly 10 frames
        ({"gap": 0.9}, False),
        ({"distance": 0.21}, True),
        ({"distance": 0.19}, False),
        ({"cost": 0.24}, True),
        ({"cost": 0.23}, False),
    ],
)
def test_each_limit_holds(limits, joined):
    rows = walker(1, range(10)) + walker(2, range(19, 30), x=8)
    assert len(find_links(table(rows), FPS, with_limits(**limits)).cost) == joined


def test_other_sizes_and_classes_are_other_people():
    first = walker(1, range(10), speed=0)
    tall = walker(2, range(12, 20), speed=0, size=(20, 70))
    assert len(find_links(table(first + tall), FPS, LOOSE).cost) == 1
    assert len(find_links(table(first + tall), FPS, with_limits(size=1.7)).cost) == 0
    other = walker(2, range(12, 20), speed=0, class_id=2)
    assert len(find_links(table(first + other), FPS, LOOSE).cost) == 0


def test_durations_scale_with_the_frame_rate():
    rows = walker(1, range(10), speed=0) + walker(2, range(30, 40), speed=0)  # 21 frames: 2.1 s or 0.7 s
    assert len(find_links(table(rows), 10, LOOSE).cost) == 0
    assert len(find_links(table(rows), 30, LOOSE).cost) == 1


def test_who_is_there_at_the_same_time_is_never_joined():
    rows = walker(1, range(10), speed=0) + walker(2, range(9, 20), speed=0)
    assert len(find_links(table(rows), FPS, LOOSE).cost) == 0
    assert len(find_links(table(walker(1, range(9), speed=0) + rows[10:]), FPS, LOOSE).cost) == 1


def test_chains_are_followed_whatever_the_order_of_ids():
    links = Links(np.array([4, 2, 9]), np.array([2, 7, 1]), np.zeros(3))
    assert renamed(np.array([1, 7, 3, 2, 4, 9]), links).tolist() == [9, 4, 3, 4, 4, 9]
    assert renamed(np.array([7, 5]), links).tolist() == [4, 5]  # who is between them may be missing
    assert renamed(np.zeros(0, np.int64), links).tolist() == []


def test_the_assignment_is_global():
    """2 fits 3 well and 4 badly, 1 fits 3 only: both are joined, though 2-3 is the best pair."""
    rows = walker(1, range(10), x=-10, speed=0) + walker(2, range(10), x=4, speed=0)
    rows += walker(3, range(12, 20), x=0, speed=0) + walker(4, range(12, 20), x=26, speed=0)
    links = find_links(table(rows), FPS, with_limits(distance=0.6))
    assert pairs(links) == [(1, 3), (2, 4)]


def test_a_chain_gets_the_first_id():
    rows = walker(9, range(5), speed=0) + walker(2, range(7, 9), speed=0) + walker(5, range(11, 15), speed=0)
    rows += walker(4, range(20), x=500)
    assert pairs(find_links(table(rows), FPS, LOOSE)) == [(9, 2), (2, 5)]
    joined = link(table(rows), FPS, LOOSE)
    assert set(joined.id) == {4, 9}
    assert (joined.id == 9).sum() == 5 + 2 + 4


def slow_cost(one, two, limits, fps):
    """The cost of joining two tracklets, each {frame: box}, box by box; None: not to be joined."""

    def ends(track, frames):
        """Speed (px a frame) and mean height of these boxes."""
        first, last = np.array(track[frames[0]]), np.array(track[frames[-1]])
        speed = (centre(last) - centre(first)) / max(frames[-1] - frames[0], 1)
        return speed, np.mean([track[k][3] - track[k][1] for k in frames])

    def centre(box):
        return np.array([box[0] + box[2], box[1] + box[3]]) / 2

    reach = max(int(limits.window * fps), 1) + 1
    gap = min(two) - max(one)
    if not 0 < gap <= limits.gap * fps:
        return None
    (v, h), (w, g) = ends(one, sorted(one)[-reach:]), ends(two, sorted(two)[:reach])
    way = centre(two[min(two)]) - centre(one[max(one)])
    miss = (np.linalg.norm(way - v * gap) + np.linalg.norm(way - w * gap)) / (h + g)
    parts = (gap / fps / limits.gap, miss / limits.distance, abs(np.log(h / g)) / np.log(limits.size))
    return None if max(parts) > 1 or np.mean(parts) >= limits.cost else float(np.mean(parts))


def slow_links(rows, limits, fps):
    """The best set of pairs, and the costs of all."""
    tracks = {}
    for k, i, box in zip(rows.frame.tolist(), rows.id.tolist(), rows.xyxy.tolist(), strict=True):
        tracks.setdefault(i, {})[k] = box
    cost = {(a, b): slow_cost(tracks[a], tracks[b], limits, fps) for a in tracks for b in tracks}
    return slow_best(cost, limits.cost), cost


@pytest.mark.parametrize("seed", range(30))
def test_equals_its_slow_twin(seed):
    rows = random_table(seed, ids=7, frames=40, area=120)
    limits = with_limits(distance=2.5, cost=0.7)
    links = find_links(rows, FPS, limits)
    expected, cost = slow_links(rows, limits, FPS)
    assert set(pairs(links)) == expected
    assert links.cost == pytest.approx([cost[pair] for pair in pairs(links)])


def test_the_twin_s_scenes_join_and_refuse():
    found = [
        len(find_links(random_table(seed, 7, 40, 120), FPS, with_limits(distance=2.5, cost=0.7)).cost)
        for seed in range(30)
    ]
    assert min(found) < 3
    assert max(found) > 4


@pytest.mark.parametrize("seed", range(20))
def test_invariants(seed):
    """As many boxes at the same places, no id twice in a frame, whatever the order of rows."""
    rows = random_table(seed, ids=60, frames=90, area=200)
    rng = np.random.default_rng(seed)
    joined = link(rows, FPS, with_limits(distance=3))
    assert len(np.unique(joined.id)) < len(np.unique(rows.id))
    assert len(np.unique(np.stack((joined.frame, joined.id)), axis=1).T) == len(rows)
    key = [np.lexsort((*t.xyxy.T, t.frame)) for t in (rows, joined)]
    for name in ("frame", "xyxy", "score", "class_id"):
        assert (getattr(rows, name)[key[0]] == getattr(joined, name)[key[1]]).all()
    same(joined, link(rows.take(rng.permutation(len(rows))), FPS, with_limits(distance=3)))


def test_nobody():
    assert len(link(table([]), FPS, LOOSE)) == 0
    assert pairs(find_links(table([]), FPS, LOOSE)) == []
    assert pairs(find_links(table(walker(1, [4])), FPS, LOOSE)) == []


def test_many_pairs_are_looked_at_in_parts():
    count = np.array([0, CHUNK // 2, CHUNK // 2, 0, CHUNK, 5, 1, 0])
    parts = [part.tolist() for part in chunks(count, CHUNK)]
    assert [row for part in parts for row in part] == [1, 2, 4, 5, 6]
    assert all(count[part].sum() <= 2 * CHUNK for part in parts)
    assert len(parts) > 1
    assert list(chunks(np.zeros(3, int), CHUNK)) == list(chunks(np.zeros(0, int), CHUNK)) == []


def test_parts_change_nothing(monkeypatch):
    rows = random_table(3, ids=60, frames=90, area=200)
    whole = find_links(rows, FPS, LOOSE)
    monkeypatch.setattr("retrace.tracker.offline.linking.CHUNK", 3)
    parts = find_links(rows, FPS, LOOSE)
    assert pairs(whole) == pairs(parts) != []
    assert (whole.cost == parts.cost).all()


@pytest.mark.parametrize("value", ["size=1", "gap=0", "distance=-1", "cost=2", "window=x"])
def test_limits_are_checked(value):
    key, text = value.split("=")
    with pytest.raises(InputError, match=key):
        load_preset("default", OfflineConfig, "offline", {f"link.{key}": text})
