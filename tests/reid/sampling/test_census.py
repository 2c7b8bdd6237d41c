"""The census against loops, and the batches made from it."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.sampling.census import Census, class_levels, renumbered, take_census
from retrace.reid.sampling.neighbours import (
    cluster_batches,
    neighbour_batches,
    random_batches,
    together_batches,
    with_neighbours,
)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_means_spreads_and_distances_are_those_of_the_pairs() -> None:
    random = np.random.default_rng(0)
    labels = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    f = unit(random.normal(size=(10, 5)))
    found = take_census(f, labels)
    for c in range(1, 4):
        own = [f[i] for i in np.flatnonzero(labels == c)]
        pairs = [((a - b) ** 2).sum() for a, b in itertools.combinations(own, 2)]
        assert found.spread[c] == pytest.approx(np.mean(pairs), rel=1e-5)
    assert found.spread[0] == pytest.approx(found.spread[1:].mean(), rel=1e-5)  # one image: as the others
    for p, q in itertools.combinations(range(4), 2):
        pairs = [((a - b) ** 2).sum() for a in f[labels == p] for b in f[labels == q]]
        assert found.distances[p, q] == pytest.approx(np.mean(pairs), rel=1e-5)


def slow_levels(distances: np.ndarray, thresholds: list[float]) -> np.ndarray:
    """Join whatever is below the threshold, level by level."""
    count = len(distances)
    answer = np.full((count, count), thresholds[-1])
    for threshold in reversed(thresholds):
        group = list(range(count))
        for p, q in itertools.combinations(range(count), 2):
            if distances[p, q] < threshold:
                group = [group[p] if g == group[q] else g for g in group]
        for p, q in itertools.product(range(count), repeat=2):
            if group[p] == group[q]:
                answer[p, q] = threshold
    return answer


def test_the_class_tree_by_hand() -> None:
    """Spreads .2, .3, .4; distances .5 (0, 1), 1.2, 1.3: 0 and 1 join at level 1 of 16, 2 at level 4."""
    distances = np.array([[0, 0.5, 1.2], [0.5, 0, 1.3], [1.2, 1.3, 0]])
    spread = np.array([0.2, 0.3, 0.4])
    levels = class_levels(distances, spread, 16, "sphere")
    margin = 0.1 + levels - spread[:, None]
    assert levels[0, 1] == pytest.approx(0.53125)
    assert margin[0, 1] == pytest.approx(0.43125)
    assert margin[1, 0] == pytest.approx(0.33125)
    assert margin[0, 2] == pytest.approx(1.125)
    assert margin[2, 0] == pytest.approx(0.925)


@pytest.mark.parametrize("top", ["sphere", "max"])
@pytest.mark.parametrize("seed", range(5))
def test_the_class_tree_by_loops(seed: int, top: str) -> None:
    random = np.random.default_rng(seed)
    means = random.normal(size=(9, 3)) / 3
    distances = 2 - 2 * means @ means.T
    spread = random.uniform(0.1, 0.8, 9)
    last = 4 if top == "sphere" else max(distances[~np.eye(9, dtype=bool)].max(), spread.mean())
    thresholds = [spread.mean() + k * (last - spread.mean()) / 6 for k in range(7)]
    np.testing.assert_allclose(class_levels(distances, spread, 6, top), slow_levels(distances, thresholds))


def circle(count: int = 12, each: int = 5) -> tuple[Census, np.ndarray]:
    """Class means on a circle: the neighbours of c are c - 1 and c + 1."""
    angles = 2 * np.pi * np.arange(count) / count
    labels = np.repeat(np.arange(count), each)
    return take_census(unit(np.stack([np.cos(angles), np.sin(angles)], 1))[labels], labels), labels


def test_a_batch_holds_the_neighbours_of_its_anchor() -> None:
    census, labels = circle()
    batches = itertools.islice(neighbour_batches(labels, 3, 4, 1, census, anchors=1), 24)
    anchors = []
    for rows in batches:
        people = labels[rows].reshape(3, 4)
        assert (people == people[:, :1]).all()
        assert all(len(set(hand)) == 4 for hand in rows.reshape(3, 4))
        anchor = people[0, 0]
        assert {*people[1:, 0]} == {(anchor - 1) % 12, (anchor + 1) % 12}
        anchors.append(int(anchor))
    assert Counter(anchors) == dict.fromkeys(range(12), 2)  # each once a pass


def test_several_anchors_never_take_somebody_twice() -> None:
    census, labels = circle()
    for rows in itertools.islice(neighbour_batches(labels, 8, 2, 1, census, anchors=4), 6):
        assert len({*labels[rows]}) == 8
    nearest = np.array([[1, 2, 3], [0, 2, 3], [1, 3, 0], [2, 1, 0]])
    assert with_neighbours(np.array([0, 1]), nearest, 4) == [0, 1, 2, 3]


def test_a_person_with_few_images_is_drawn_with_replacement() -> None:
    census, labels = circle(each=2)
    rows = next(neighbour_batches(labels, 4, 4, 0, census, anchors=2))
    assert Counter(labels[rows].tolist()) == dict.fromkeys({*labels[rows]}, 4)


def test_batches_come_from_one_cluster_of_images() -> None:
    """Two clusters by the sign of the first number; person 3 has a single image in the second."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 6)
    side = np.where(np.arange(48) % 2, 1, -1)
    side[18:24] = -1
    side[23] = 1
    f = unit(np.stack([side, 0.1 * random.normal(size=48)], 1))
    census = take_census(f, labels, clusters=2)
    assert len({*census.clusters}) == 2
    seen = set()
    for rows in itertools.islice(cluster_batches(labels, 4, 2, 3, census), 40):
        assert len({*side[rows]}) == 1
        seen.add(int(side[rows[0]]))
        assert 23 not in rows
    assert seen == {-1, 1}


def test_random_batches_deal_out_every_image_once() -> None:
    rows = np.concatenate(list(itertools.islice(random_batches(np.zeros(12, int), 4, 0), 6)))
    assert Counter(rows.tolist()) == dict.fromkeys(range(12), 2)
    with pytest.raises(InputError, match="a batch of 4 images: the training set has only 3"):
        next(random_batches(np.zeros(3, int), 4, 0))


def test_the_seed_decides() -> None:
    census, labels = circle()

    def first(seed: int) -> list[int]:
        return next(neighbour_batches(labels, 4, 2, seed, census, anchors=2)).tolist()

    assert first(1) == first(1) != first(2)


def test_a_census_of_one_identity_and_too_few_people_are_refused() -> None:
    with pytest.raises(InputError, match="a census needs at least 2 identities, got 1"):
        take_census(np.ones((3, 2), np.float32), np.zeros(3, int))
    census, labels = circle()
    with pytest.raises(InputError, match=r"batch\.identities=13: the training set has only 12 identities"):
        next(neighbour_batches(labels, 13, 2, 0, census))


def test_clusters_keep_their_numbers() -> None:
    """Called 2, 0, 1 now, but the same images; one image changed its cluster."""
    before = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    assert renumbered(np.array([2, 2, 2, 0, 0, 1, 1, 0]), before, 3).tolist() == [0, 0, 0, 1, 1, 2, 2, 1]
    random = np.random.default_rng(0)
    f, labels = unit(random.normal(size=(60, 4))), np.arange(60) // 6
    first = take_census(f, labels, 0, clusters=3)
    second = take_census(f, labels, 7, clusters=3, before=first)
    alone = take_census(f, labels, 7, clusters=3)
    assert (second.clusters == first.clusters).mean() >= (alone.clusters == first.clusters).mean()
    names = {(a, b) for a, b in zip(alone.clusters.tolist(), second.clusters.tolist(), strict=True)}
    assert len(names) == 3, "only the numbers differ"


def test_batches_of_people_who_are_seen_together() -> None:
    """Tracks 0, 1, 2 in frames 0 to 3 of camera 0; 3, 4 in camera 1; 5 alone in frame 9 of camera 0."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5])
    cameras = np.array([0] * 9 + [1] * 5 + [0])
    frames = np.array([0, 1, 2, 3, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 9])
    batches = together_batches(labels, 3, 2, 0, cameras, frames)
    for rows in itertools.islice(batches, 40):
        assert rows.shape == (6,)
        assert (labels[rows[::2]] == labels[rows[1::2]]).all(), "images of a track side by side"
        assert len(set(labels[rows])) == 3
        moments = Counter((cameras[r], frames[r]) for r in rows[::2])
        assert len(moments) <= 3
    first, again = (
        list(itertools.islice(together_batches(labels, 3, 2, 0, cameras, frames), 9)) for _ in range(2)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    # At two to a batch every batch from a moment of two or more is of that moment alone.
    alone = list(itertools.islice(together_batches(labels, 2, 2, 1, cameras, frames), 40))
    share = np.mean([len({(cameras[r], frames[r]) for r in rows[::2]}) == 1 for rows in alone])
    assert share > 0.5
    with pytest.raises(InputError, match="no label column 'frame'"):
        next(together_batches(labels, 3, 2, 0, cameras, None))
    with pytest.raises(InputError, match="only 6 identities"):
        next(together_batches(labels, 7, 2, 0, cameras, frames))
