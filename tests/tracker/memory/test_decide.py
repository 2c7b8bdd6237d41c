"""Posterior and the gated assignment, by hand and beside the obvious way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from retrace.configs import InputError
from retrace.configs.loader import load_preset
from retrace.tracker.memory.config import LikelihoodRatio, MemoryConfig
from retrace.tracker.memory.decide import NEW, Candidates, Round
from retrace.tracker.memory.decide import decide as decide_among
from retrace.tracker.memory.evidence import TRANSIT_BINS, Transit, appearance_ratio, posterior, transit_bin

CONFIG = load_preset("default", MemoryConfig, "memory")


def decide(
    ratio: np.ndarray, *limits: float, ambiguous: float = 2.0, alike: np.ndarray | None = None
) -> Round:
    """Everybody is a candidate."""
    person = np.tile(np.arange(ratio.shape[1]), (len(ratio), 1))
    alike = np.zeros(ratio.shape, bool) if alike is None else alike
    given = Candidates(person, ratio, np.zeros(ratio.shape), ratio.shape[1], alike)
    return decide_among(given, *limits, ambiguous)


def test_the_prior_of_returning_is_shared_by_all_candidates() -> None:
    """Two people, returning 0.5: each has 1/4, nobody known 1/2. A ratio of 6 makes it 6/4 : 1/4 : 2/4."""
    each, fresh = posterior(np.log([[6.0, 1.0]]), 0.5, 2)
    np.testing.assert_allclose(each, [[6 / 9, 1 / 9]])
    np.testing.assert_allclose(fresh, [2 / 9])


def test_more_people_make_a_likeness_worth_less() -> None:
    alone = posterior(np.log([[20.0]]), 0.5, 1)[0][0, 0]
    crowd = posterior(np.log([[20.0] + [0.01] * 99]), 0.5, 100)[0][0, 0]
    assert alone == pytest.approx(20 / 21)
    assert crowd == pytest.approx(0.2 / (0.2 + 0.01 * 0.99 + 1), rel=1e-2)


def test_nobody_known() -> None:
    each, fresh = posterior(np.zeros((3, 0)), 0.5, 0)
    assert each.shape == (3, 0)
    assert fresh.tolist() == [1, 1, 1]
    assert decide(np.zeros((2, 0)), 0.5, 0.5).person.tolist() == [NEW, NEW]


def test_who_cannot_be_is_not() -> None:
    found = decide(np.array([[-np.inf, 9.0], [-np.inf, -np.inf]]), 0.5, 0.5)
    assert found.person.tolist() == [1, NEW]
    assert found.probability[1] == 1


def test_two_likely_people_are_a_suggestion() -> None:
    found = decide(np.log([[50.0, 40.0]]), 0.5, 0.5, ambiguous=2.0)
    assert (found.person[0], found.second[0]) == (NEW, 0)
    found = decide(np.log([[90.0, 40.0]]), 0.5, 0.5, ambiguous=2.0)
    assert (found.person[0], found.second[0]) == (0, 1)


def test_two_who_may_be_one_are_no_rivals() -> None:
    """25 : 20 : 1/2, nobody sure alone. Together 45 of 45.5; the likelier gets it, the other is the suggestion."""
    alike = np.array([[False, True, False]])
    found = decide(np.log([[100.0, 80.0, 0.001]]), 0.5, 0.5, alike=alike)
    assert (found.person[0], found.second[0]) == (0, 1)
    assert found.probability[0] == pytest.approx(45 / 45.75, abs=1e-3)
    assert decide(np.log([[100.0, 80.0, 60.0]]), 0.5, 0.5, alike=alike).person[0] == 0  # 45 : 15
    assert decide(np.log([[100.0, 80.0, 95.0]]), 0.5, 0.5, alike=alike).person[0] == NEW  # 45 : 24


def test_one_person_gets_one_tracklet_of_a_round() -> None:
    found = decide(np.log([[99.0], [500.0]]), 0.5, 0.5)
    assert found.person.tolist() == [NEW, 0]
    assert found.second[0] == 0  # asked again in the next round


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_trying_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratio = rng.normal(0, 4, (3, 4))
    each, _ = posterior(ratio, 0.5, 4)
    found = decide(ratio, 0.5, 0.5, ambiguous=1.0)
    best, gain = [NEW] * 3, 0.0
    for choice in itertools.product(range(-1, 4), repeat=3):
        taken = [c for c in choice if c != NEW]
        if len(set(taken)) < len(taken) or any(c != NEW and each[k, c] < 0.5 for k, c in enumerate(choice)):
            continue
        total = sum(np.log(each[k, c] / (1 - each[k, c])) + 1e-9 for k, c in enumerate(choice) if c != NEW)
        if total > gain:
            best, gain = list(choice), total
    assert found.person.tolist() == best


def test_the_maps_speak_of_their_own_unit() -> None:
    """Half of the strangers' distance is half of it, whatever the network calls it."""
    here = appearance_ratio(np.array([[0.5]]), np.array([[False]]), CONFIG.strangers, CONFIG)
    there = appearance_ratio(np.array([[0.1]]), np.array([[False]]), CONFIG.strangers / 5, CONFIG)
    assert here[0, 0] == pytest.approx(CONFIG.other_camera.offset - CONFIG.other_camera.slope * 0.5)
    assert there[0, 0] == pytest.approx(here[0, 0])


def gaussian_ratio(cosine: float, agreement: float, slope: float, views: int, others: int) -> float:
    """The obvious way: densities of two means of visits of one person, and of two people. Each visit is its person
    (variance ``agreement``) and something of its own (the rest); two numbers stand here for as many ``dimensions`` as
    make the ratio of one visit against one rise by ``slope`` per cosine."""
    dimensions = slope * (1 - agreement**2) / agreement
    variance = [agreement + (1 - agreement) / n for n in (views, others)]
    one = np.sqrt(2 * variance[0]) * np.array([1.0, 0.0])
    two = np.sqrt(2 * variance[1]) * np.array([cosine, np.sqrt(1 - cosine**2)])
    shared = agreement * np.eye(2)
    apart = np.block([[variance[0] * np.eye(2), 0 * shared], [0 * shared, variance[1] * np.eye(2)]])
    same = np.block([[variance[0] * np.eye(2), shared], [shared, variance[1] * np.eye(2)]])
    both = np.concatenate([one, two])
    return float(multivariate_normal(cov=same).logpdf(both) - multivariate_normal(cov=apart).logpdf(both)) * (
        dimensions / 2
    )


@pytest.mark.parametrize(("views", "others"), [(1, 1), (1, 4), (3, 1), (2, 5)])
@pytest.mark.parametrize("cosine", [-0.1, 0.2, 0.45, 0.8])
def test_a_mean_of_several_views_has_a_map_of_its_own(views: int, others: int, cosine: float) -> None:
    """In the model's own numbers: people agree by .5, so that one visit says nothing of another at cosine
    .5 + .75 ln .75 / 1 = .284239, and by slope 20 per cosine."""
    agreement, steepness = 0.5, 20.0
    silent = agreement + 0.75 * np.log(0.75)
    line = LikelihoodRatio(offset=(1 - silent) * steepness, slope=steepness / CONFIG.strangers)
    config = CONFIG.model_copy(update={"same_camera": line, "other_camera": line})
    distance = np.array([[(1 - cosine) * CONFIG.strangers]])
    found = appearance_ratio(
        distance, np.array([[True]]), CONFIG.strangers, config, np.array([views]), np.array([[others]])
    )
    slow = gaussian_ratio(cosine, agreement, steepness, views, others)
    assert found[0, 0] == pytest.approx(slow, abs=1e-4)  # the table of `AGREEMENT` is between its rows a line


def test_who_resembles_a_mean_of_many_views_is_not_yet_him() -> None:
    """One visit's distance at which a map says nothing speaks against a person seen by many cameras; a smaller one
    speaks for him, the more the more have seen him. The maps of any config, whatever its strangers are apart."""
    line = CONFIG.other_camera
    even, near, views = line.offset / line.slope, 0.25 * line.offset / line.slope, np.array([1, 2, 4, 8])
    there = np.zeros((1, 4), bool)
    for unit in (CONFIG.strangers, 2 * CONFIG.strangers):
        at_even, at_near = (
            appearance_ratio(np.full((1, 4), at * unit / CONFIG.strangers), there, unit, CONFIG, views)[0]
            for at in (even, near)
        )
        assert at_even[0] == pytest.approx(0, abs=1e-9)
        assert (np.diff(at_even) < 0).all()
        assert (np.diff(at_near) > 0).all()
        ask = np.full((1, 4), even * unit / CONFIG.strangers)
        here = appearance_ratio(ask, ~there, unit, CONFIG, views)[0]
        lower = CONFIG.same_camera.offset - CONFIG.other_camera.offset  # ln 2: the slopes are the same
        np.testing.assert_allclose(here - at_even, lower, atol=1e-9)
    for same in (there, ~there):
        assert (appearance_ratio(np.full((1, 4), np.inf), same, 1.0, CONFIG, views) == -np.inf).all()


@pytest.mark.parametrize(
    ("offset", "slope"), [(5.0, 1e-6), (5.0, 3.0), (-5.0, 3.0), (1e6, 1e6), (-1e6, 1e-6)]
)
def test_a_map_by_which_strangers_are_one_is_taken_as_it_is(offset: float, slope: float) -> None:
    """Nothing follows from it for several views: the line itself, and numbers whatever it says."""
    line = LikelihoodRatio(offset=offset, slope=slope)
    config = CONFIG.model_copy(update={"same_camera": line, "other_camera": line})
    distance, views = np.array([[0.0, 0.5, 2.0]]), np.array([1, 4, 9])
    found = appearance_ratio(distance, distance > 1, config.strangers, config, views, views)
    np.testing.assert_allclose(found, offset - slope * distance, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "values", [{"strangers": 1e-200}, {"strangers": 1e308}, {"strangers": 3}, {"other_camera.slope": 1e-200}]
)
def test_maps_of_no_distance_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        load_preset("default", MemoryConfig, "memory", values)


def test_transit_times_are_learned_and_bounded() -> None:
    transit = Transit()
    transit.widen(2)
    zero, one = np.zeros(1, int), np.ones(1, int)

    def learn(counts: np.ndarray, gap: float) -> None:
        counts[0, 1, transit_bin(np.array(gap))] += 1

    assert transit.ratio(zero, one, np.array([7.0]), 0.05)[0] == 0  # nothing known
    for _ in range(100):
        learn(transit.same, 7.0)
        for gap in (7.0, 60.0, 500.0, 2000.0):
            learn(transit.anybody, gap)
    usual, odd = transit.ratio(np.array([0, 0]), np.array([1, 1]), np.array([8.0, 60.0]), 0.05)
    assert usual > 1
    assert odd == pytest.approx(np.log(0.05))  # the floor


def test_bins() -> None:
    assert transit_bin(np.array([-5.0, 0.0, 1.9, 2.0, 1e9])).tolist() == [0, 1, 1, 2, len(TRANSIT_BINS)]
