"""Reconnecting by looks: hand-made scenes, a slow twin, invariants, and looks gathered while tracking."""

import numpy as np
import pytest

from retrace.configs import InputError, load_preset
from retrace.tracker.data import Detections, Tracks
from retrace.tracker.offline.linking import rename
from retrace.tracker.offline.passes import OfflineConfig
from retrace.tracker.offline.reconnect import (
    PAIRS,
    Looks,
    LooksSoFar,
    ReconnectConfig,
    at_edge,
    find_reconnections,
)
from tests.tracker.offline.slow_links import pairs, slow_best
from tests.tracker.offline.tables import random_table, table

FPS = 10
SIZE = (200, 300)  # height, width
RULE = ReconnectConfig(gap=5, distance=0.4, edge=1)


def stands(i, frames, x=100.0, class_id=1):
    """Rows of a box of 20 x 40 px whose left edge is at x."""
    return [(k, i, x, 80, x + 20, 120, 0.9, class_id) for k in frames]


def looks(**vectors):
    """Of ids named i1, i2 ..."""
    return Looks.of(np.array([int(i[1:]) for i in vectors]), np.array([*vectors.values()], float))


HE, SHE, HE_AGAIN = (1, 0), (0, 1), (0.8, 0.6)  # cosine distances: 1, and 0.2 from the first to the last


def scene(gap=20, x=100.0, class_id=1):
    """1 for ten frames, 2 on the other side all the time, and 3 ``gap`` frames after 1."""
    return table(
        stands(1, range(10)) + stands(2, range(80), 200) + stands(3, range(9 + gap, 20 + gap), x, class_id)
    )


def found(rows, seen, **limits):
    return find_reconnections(rows, FPS, RULE.model_copy(update=limits), seen, SIZE)


def test_distances_are_in_units_of_people_seen_at_once():
    """1 and 2 are there together, 1 apart; 3 and 2 too, 1 - 0.6 apart: "different" is 0.7. From 1 to 3: 0.2 / 0.7."""
    links = found(scene(), looks(i1=HE, i2=SHE, i3=HE_AGAIN))
    assert pairs(links) == [(1, 3)]
    assert links.cost == pytest.approx(0.2 / 0.7)
    assert pairs(found(scene(), looks(i1=HE, i2=SHE, i3=HE_AGAIN), distance=0.29)) == [(1, 3)]
    assert pairs(found(scene(), looks(i1=HE, i2=SHE, i3=HE_AGAIN), distance=0.28)) == []


def test_length_of_a_vector_does_not_matter():
    links = found(scene(), looks(i1=(5, 0), i2=(0, 0.1), i3=(8, 6)))
    assert links.cost == pytest.approx(0.2 / 0.7)


@pytest.mark.parametrize(
    ("gap", "limit", "joined"), [(20, 2.0, True), (20, 1.9, False), (0, 5, False), (1, 5, True)]
)
def test_the_gap_is_seconds_and_people_seen_together_are_two(gap, limit, joined):
    assert (len(found(scene(gap), looks(i1=HE, i2=SHE, i3=HE), gap=limit).cost) == 1) == joined


def test_other_classes_are_others():
    seen = looks(i1=HE, i2=SHE, i3=HE)
    assert len(found(scene(class_id=1), seen).cost) == 1
    assert len(found(scene(class_id=2), seen).cost) == 0


@pytest.mark.parametrize(("x", "joined"), [(20, True), (19, False), (-3, False), (260, True), (261, False)])
def test_who_comes_in_at_the_edge_is_another(x, joined):
    """The box is 20 px wide, the picture 300: at least 20 px must be left on either side."""
    assert (len(found(scene(x=x), looks(i1=HE, i2=SHE, i3=HE)).cost) == 1) == joined
    assert len(found(scene(x=x), looks(i1=HE, i2=SHE, i3=HE), edge=None).cost) == 1


def test_who_leaves_at_the_edge_is_another():
    rows = stands(1, range(9)) + stands(1, [9], 5) + stands(2, range(80), 200) + stands(3, range(29, 40))
    seen = looks(i1=HE, i2=SHE, i3=HE)
    assert len(found(table(rows), seen).cost) == 0
    assert len(found(table(rows), seen, edge=0.2).cost) == 1


def test_every_edge_counts():
    boxes = np.array(
        [[20, 20, 40, 60], [19, 20, 39, 60], [20, 19, 40, 60], [261, 50, 281, 90], [50, 141, 70, 181]]
    )
    assert at_edge(boxes, SIZE, 1).tolist() == [False, True, True, True, True]
    assert not at_edge(boxes, SIZE, None).any()
    assert at_edge(np.zeros((0, 4)), SIZE, 1).tolist() == []


def test_where_nothing_is_known_nobody_is_joined():
    everybody = {"i1": HE, "i2": SHE, "i3": HE}
    for missing in everybody:
        some = {name: vector for name, vector in everybody.items() if name != missing}
        # without 2 nobody is there beside anybody, so there is no unit
        assert len(found(scene(), looks(**some)).cost) == 0
        assert len(found(scene(), looks(**some, **{missing: (0, 0)})).cost) == 0
    same = looks(i1=HE, i2=HE, i3=HE)  # a network that tells nobody apart
    assert len(found(scene(), same).cost) == 0
    assert len(found(table([]), same).cost) == 0
    assert len(found(scene(), Looks.of(np.zeros(0, int), np.zeros((0, 4)))).cost) == 0
    assert len(found(scene(), Looks.of(np.array([7]), np.ones((1, 2)))).cost) == 0  # of somebody else


def test_the_assignment_is_global():
    """5 is nearest to 2, and all that 1 can be; 6 can be 2 only: 1-5 and 2-6, though 2-5 is the best pair.

    1 and 2 are there together, and 5 and 6: "different" is (1 - cos 40 + 1 - cos 30) / 2 = 0.184. In units of it 1-5
    costs 0.73, 2-6 0.33, 2-5 0.08 and 1-6 2.7."""
    angle = np.radians([0, 40, 30, 60])  # of 1, 2, 5, 6
    vectors = dict(zip(("i1", "i2", "i5", "i6"), np.stack((np.cos(angle), np.sin(angle)), 1), strict=True))
    rows = (
        stands(1, range(10))
        + stands(2, range(10), 200)
        + stands(5, range(15, 20))
        + stands(6, range(15, 20), 200)
    )
    assert pairs(found(table(rows), looks(**vectors), distance=1.5)) == [(1, 5), (2, 6)]


def slow_cost(one, two, a, b, rule, unit):
    """Of joining two tracklets {frame: box} that look like a and b; None: not to be joined."""
    gap = min(two) - max(one)
    if not 0 < gap <= rule.gap * FPS or a is None or b is None:
        return None
    for x1, y1, x2, y2 in (one[max(one)], two[min(two)]):
        if min(x1, y1, SIZE[1] - x2, SIZE[0] - y2) < rule.edge * (x2 - x1):
            return None
    apart = (1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)) / unit
    return apart if apart < rule.distance else None


@pytest.mark.parametrize("seed", range(20))
def test_equals_its_slow_twin(seed, monkeypatch):
    if seed % 2:
        monkeypatch.setattr("retrace.tracker.offline.reconnect.PAIRS", 3)
    rng = np.random.default_rng(seed)
    rows, vectors = random_table(seed, ids=8, frames=60, area=200), rng.normal(size=(8, 3)) + 0.7
    rule = RULE.model_copy(update={"distance": 0.8, "edge": 0.3})
    known = {i: vectors[i] for i in np.unique(rows.id).tolist() if i != 5}
    tracks = {}
    for k, i, box in zip(rows.frame.tolist(), rows.id.tolist(), rows.xyxy.tolist(), strict=True):
        tracks.setdefault(i, {})[k] = box
    apart = [
        1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        for i, a in known.items()
        for j, b in known.items()
        if i < j and max(min(tracks[i]), min(tracks[j])) <= min(max(tracks[i]), max(tracks[j]))
    ]
    unit = np.mean(apart)
    cost = {
        (i, j): slow_cost(tracks[i], tracks[j], known.get(i), known.get(j), rule, unit)
        for i in tracks
        for j in tracks
    }
    links = find_reconnections(
        rows, FPS, rule, Looks.of(np.array([*known]), np.array([*known.values()])), SIZE
    )
    assert set(pairs(links)) == slow_best(cost, rule.distance)
    assert links.cost == pytest.approx([cost[pair] for pair in pairs(links)], abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_invariants(seed):
    """No id twice in a frame, and the order of rows does not matter."""
    rows, rng = random_table(seed, ids=60, frames=90, area=150), np.random.default_rng(seed)
    seen = Looks.of(np.arange(60), rng.normal(size=(60, 4)))
    links = found(rows, seen, distance=0.8, edge=0)
    joined = rename(rows, links)
    assert len(links.cost) > 3
    assert len(np.unique(np.stack((joined.frame, joined.id)), axis=1).T) == len(rows)
    assert pairs(found(rows.take(rng.permutation(len(rows))), seen, distance=0.8, edge=0)) == pairs(links)
    assert len(seen.joined(links)) == 60 - len(links.cost)
    assert PAIRS > 1


def test_looks_add_up():
    seen = Looks.of(np.array([4, 2, 4, 9]), np.array([[1.0, 0], [0, 1], [0, 2], [0, 0]]))
    assert seen.id.tolist() == [2, 4]
    assert seen.total.tolist() == [[0, 1], [1, 2]]
    assert seen.count.tolist() == [1, 2]
    np.testing.assert_allclose(seen.directions(np.array([9, 4, 2])), [[0, 0], [5**-0.5, 2 * 5**-0.5], [0, 1]])
    with pytest.raises(InputError, match="must be finite"):
        Looks.of(np.array([1]), np.array([[np.nan, 1]]))


def tracks(ids, rows, score=0.9):
    n = len(ids)
    score = np.broadcast_to(np.float32(score), n)
    return Tracks(np.array(ids), np.ones((n, 4), np.float32), score, np.zeros(n, np.int32), np.array(rows))


def test_looks_are_gathered_from_what_was_matched():
    """Of four boxes the second has no size and is dropped; the detector's rows stay 0, 2, 3."""
    boxes = np.array([[0, 0, 5, 9], [1, 1, 1, 1], [9, 0, 14, 9], [20, 0, 25, 9]], float)
    frame = Detections(boxes, np.full(4, 0.9), embedding=np.eye(4))
    so_far = LooksSoFar(0.5)
    assert len(so_far.looks()) == 0
    so_far.take(tracks([3, 7], [3, 0]), frame)
    so_far.take(tracks([3, 7, 400], [2, -1, 0], [0.9, 0.9, 0.4]), frame)  # 7 is guessed at, 400 scores low
    so_far.take(tracks([3], [0]), frame.with_embedding(None))
    so_far.take(tracks([900], [0]), frame.with_embedding(np.zeros((3, 4))))  # nothing is known of it
    seen = so_far.looks()
    assert seen.id.tolist() == [3, 7]
    assert seen.total.tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]
    assert seen.count.tolist() == [2, 1]


def test_looks_go_on_where_they_were_kept():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 3, 5))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    boxes = np.array([[0, 0, 5, 9], [9, 0, 14, 9], [20, 0, 25, 9]], float)
    whole, part = LooksSoFar(0.5), LooksSoFar(0.5)
    part.load_state_dict(LooksSoFar(0.5).state_dict())  # nothing yet is a state too
    for k, some in enumerate(vectors):
        shown = (
            tracks([k // 4, k // 4 + 1, k // 4 + 9], [2, 0, 1]),
            Detections(boxes, np.ones(3), embedding=some),
        )
        whole.take(*shown)
        part.take(*shown)
        if k % 7 == 3:
            state = {key: value.copy() for key, value in part.state_dict().items()}
            part = LooksSoFar(0.5)
            part.load_state_dict(state)
    for key, value in whole.state_dict().items():
        np.testing.assert_array_equal(part.state_dict()[key], value)


@pytest.mark.parametrize("value", ["gap=0", "distance=0", "edge=-1", "edge=x"])
def test_limits_are_checked(value):
    key, text = value.split("=")
    with pytest.raises(InputError, match=key):
        load_preset("default", OfflineConfig, "offline", {f"reconnect.{key}": text})
