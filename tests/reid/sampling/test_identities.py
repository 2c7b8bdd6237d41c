"""Batches of P identities with K images: what is dealt, how often, and that a seed decides it."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrace.configs import InputError
from retrace.reid.sampling.identities import identity_batches


def first(labels: np.ndarray, p: int, k: int, count: int, seed: int = 1) -> list[np.ndarray]:
    return list(itertools.islice(identity_batches(labels, p, k, seed), count))


def of_sizes(sizes: list[int], seed: int = 0) -> np.ndarray:
    """Labels 10, 20, ... with so many images each, in random order."""
    return np.random.default_rng(seed).permutation(np.repeat(10 * (1 + np.arange(len(sizes))), sizes))


def batches_in_a_pass(hands: list[int], p: int) -> int:
    """The most batches of P different identities that so many hands allow (a batch takes one hand of each)."""
    count = 0
    while sum(min(n, count + 1) for n in hands) >= p * (count + 1):
        count += 1
    return count


def test_a_pass_by_hand() -> None:
    labels = np.array([7, 7, 7, 7, 3, 3, 9])  # K = 2: two hands of 7, one of 3, one of 9 (its image twice)
    for seed in range(5):
        one, two = first(labels, 2, 2, 2, seed)
        # 7 has most hands left, so it comes first
        assert {7} < set(labels[one])
        assert {7} < set(labels[two])
        assert sorted([*one, *two]) == [0, 1, 2, 3, 4, 5, 6, 6]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 13), min_size=2, max_size=9),
    st.integers(2, 5),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_a_pass_deals_out_every_image(sizes: list[int], p: int, k: int, seed: int) -> None:
    p = min(p, len(sizes))
    labels = of_sizes(sizes)
    hands = [-(-n // k) for n in sizes]
    batches = first(labels, p, k, batches_in_a_pass(hands, p), seed)
    for batch in batches:
        assert batch.dtype == np.int64
        people = labels[batch].reshape(p, k)
        assert (people == people[:, :1]).all()  # images of an identity side by side
        assert len(set(people[:, 0])) == p
    dealt = Counter(np.concatenate(batches).tolist())
    unfinished = 0
    for number, (size, whole) in enumerate(zip(sizes, hands, strict=True)):
        rows = np.flatnonzero(labels == 10 * (number + 1))
        times = [dealt[row] for row in rows]
        got = sum(times) // k
        assert got <= whole
        unfinished += got < whole
        if got == whole:
            assert min(times) >= 1
            # the hand that was not full takes each once more
            assert max(times) <= (2 if 2 * size >= k else k)
    assert unfinished < p  # the documented rest


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 13), st.integers(2, 6), st.integers(0, 99))
def test_the_hand_that_is_not_full_takes_other_images_first(size: int, k: int, seed: int) -> None:
    labels = of_sizes([size, size])
    for batch in first(labels, 2, k, -(-size // k), seed):
        for hand in batch.reshape(2, k):
            assert len(set(hand.tolist())) == min(k, size)  # twice in one hand only if there are too few


def test_an_identity_with_one_image_has_it_k_times() -> None:
    (batch,) = first(np.array([4, 5, 5, 5]), 2, 3, 1)
    assert sorted(batch.tolist()) == [0, 0, 0, 1, 2, 3]


def test_a_seed_gives_the_same_batches_and_passes_differ() -> None:
    labels = of_sizes([4] * 6)
    one, same, other = first(labels, 3, 2, 8), first(labels, 3, 2, 8), first(labels, 3, 2, 8, seed=2)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[:4], one[4:])  # 12 hands in 4 batches, then the next pass
    assert sorted(np.concatenate(one[:4])) == sorted(np.concatenate(one[4:])) == list(range(24))


def test_nothing_of_numpy_s_global_state_is_used() -> None:
    labels, before = of_sizes([3] * 4), np.random.get_state()[1].copy()  # type: ignore[union-attr]  # noqa: NPY002
    first(labels, 2, 2, 3)
    assert np.array_equal(np.random.get_state()[1], before)  # type: ignore[arg-type]  # noqa: NPY002


@pytest.mark.parametrize("labels", [[], [1, 1, 1], [1, 2, 2]])
def test_too_few_identities_are_refused(labels: list[int]) -> None:
    count = len(set(labels))
    with pytest.raises(InputError, match=f"batch.identities=3: the training set has only {count} identities"):
        first(np.array(labels, np.int64), 3, 2, 1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 13), min_size=2, max_size=12),
    st.integers(2, 5),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_a_spread_pass_deals_whole_hands_of_different_people(
    sizes: list[int], p: int, k: int, seed: int
) -> None:
    p = min(p, len(sizes))
    labels = of_sizes(sizes)
    batches = list(itertools.islice(identity_batches(labels, p, k, seed, "spread"), 6))
    for batch in batches:
        people = labels[batch].reshape(p, k)
        assert (people == people[:, :1]).all()
        assert len(set(people[:, 0])) == p
    again = list(itertools.islice(identity_batches(labels, p, k, seed, "spread"), 6))
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_spread_mixes_sources_where_largest_sorts_them() -> None:
    """30 people with 24 images and 60 with 4, K = 4: 180 hands and 60; 24 batches of 10 hold 2.5 of the small."""
    labels = np.repeat(np.arange(90), [24] * 30 + [4] * 60)

    def small(order: str) -> list[int]:
        made = itertools.islice(identity_batches(labels, 10, 4, 0, order), 24)
        return [len({person for person in labels[rows] if person >= 30}) for rows in made]

    assert small("largest")[:12] == [0] * 12
    spread = small("spread")
    assert 0.6 * 60 <= sum(spread) <= 60
    assert max(spread[:12]) <= 7
    assert sum(spread[:8]) == pytest.approx(20, abs=8)


def test_a_batch_of_one_source_and_their_shares() -> None:
    """Cameras 1-2, 2-3 and 3-1 hang together, 7 and 8 too, 5 is alone; their batches come by their share."""
    seen = [[1, 2], [2, 3], [3, 1], [1, 1]] * 5 + [[7, 8]] * 10 + [[5, 5]] * 5
    labels = np.repeat(np.arange(len(seen)), 2)
    cameras = np.concatenate(seen)
    batches = list(itertools.islice(identity_batches(labels, 5, 2, 3, "source", cameras), 7))
    source = {1: "a", 2: "a", 3: "a", 7: "b", 8: "b", 5: "c"}
    found = [{source[c] for c in cameras[rows].tolist()} for rows in batches]
    assert all(len(each) == 1 for each in found)
    assert Counter(s for each in found for s in each) == {"a": 4, "b": 2, "c": 1}
    assert sorted(np.concatenate(batches)) == list(range(len(labels)))  # each image once
    with pytest.raises(InputError, match="a source has only 5 identities"):
        next(identity_batches(labels, 6, 2, 3, "source", cameras))
