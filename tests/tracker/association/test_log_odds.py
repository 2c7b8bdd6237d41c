"""The cost log_odds: arithmetic by hand, what is not known, who may be asked about, tables that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.loader import validate
from retrace.tracker import Detections, Tracker
from retrace.tracker.association.log_odds import ages, log_odds, nats, quantities, thinkable
from retrace.tracker.config import Table, TrackerConfig
from tests.tracker.worlds import BOX, HALF, ODDS, STAGE, all_pairs, as_inputs, one_pair, track

YOU, ME = np.array([1.0, 0.0]), np.array([0.6, 0.8])
LOOKING = {"views": [YOU], "recent": YOU}


def of_one(world: Any) -> float:
    return float(log_odds(as_inputs(world), all_pairs(world, STAGE))[0])


def test_nats_are_linear_between_knots_and_constant_beyond_them() -> None:
    table = Table(at=(0, 1, 3), nats=((4, 2, 0), (0, 0, 8)))
    value = np.array([-5, 0, 0.5, 1, 2, 3, 9, np.nan])
    assert nats(table, np.zeros(8, np.int64), value).tolist() == [4, 4, 3, 2, 1, 0, 0, 0]
    assert nats(table, np.ones(8, np.int64), value).tolist() == [0, 0, 0, 0, 4, 8, 8, 0]
    for_all = Table(at=(0, 1), nats=((1, 3),))
    assert nats(for_all, np.array([0, 3]), np.array([0.5, 1])).tolist() == [2, 3]


def test_the_sum_by_hand() -> None:
    """Half of a box: IoU 1/3, same heights; 10 px off with a variance of 5, log 20 = 2.996; score .9 after .8.

    bias -.5; overlap -2 + 2/3 of 3 = 0; place 1 - (2.996 - 1) / 3 x 4 = -1.661; size 0: .5; score -.5 + .8 / .9 = .389;
    fall -.1: .2 x 2/3 = .133; and of looks that are .4 apart 4 - .8 x 4 = .8.
    """
    blind = one_pair(track(BOX), HALF)
    expected = -0.5 + 0 + (1 - (np.log(20) - 1) / 3 * 4) + 0.5 + (-0.5 + 0.8 / 0.9) + 0.2 * 2 / 3
    assert of_one(blind) == pytest.approx(expected, abs=1e-6)
    seeing = one_pair(track(BOX, **LOOKING), HALF, vectors=[ME])
    assert of_one(seeing) == pytest.approx(expected + 0.8, abs=1e-6)


def test_how_long_ago_chooses_the_row() -> None:
    """Steps of 1/30 s: the last frame, 2 steps (.067), 3 (.1, the first gap itself), 15 (.5), 20."""
    since = [1, 2, 3, 15, 20]
    world = one_pair([track(BOX, since=k) for k in since], HALF)
    assert ages(as_inputs(world), np.arange(5), (0.1, 0.5)).tolist() == [0, 1, 2, 3, 3]


def test_a_place_that_is_no_longer_believed_is_no_overlap() -> None:
    world = one_pair(track(BOX, since=20), HALF, motion_age=0.1)
    assert quantities(as_inputs(world), all_pairs(world, STAGE))["overlap"].tolist() == [0]


def test_who_is_asked_about() -> None:
    """Who overlaps, and of the same class who is within reach: d2 of 40 px, 320, is not, 441 / 5 + 25 / 20 is."""
    near, far = (21, 5, 41, 45), (40, 0, 60, 40)
    world = one_pair(track(BOX), HALF, others=(near, far, near))
    world.seen[3].class_id = 1
    every = all_pairs(world, STAGE)
    overlapping = every.take((every.iou > 0).nonzero()[0])
    scene, limit = as_inputs(world), np.ones(1)
    assert thinkable(scene, limit, np.ones(4, bool), overlapping).col.tolist() == [0, 1]
    assert thinkable(scene, limit, np.array([False, True, True, True]), overlapping).col.tolist() == [1]
    assert not len(thinkable(scene, np.zeros(1), np.ones(4, bool), overlapping).row)


@pytest.mark.parametrize(("seen", "taken"), [(True, [1, 0]), (False, [0, 1])])
def test_looks_decide_where_they_are_known(seen: bool, taken: list[int]) -> None:
    """Two who stand at 0 and 14 px are found at 5 and 9: by place each is the nearer one, by looks the other."""
    tracker, look = Tracker.from_config("odds"), np.eye(2, 8)

    def at(left: float, right: float, looks: np.ndarray) -> Detections:
        boxes = [[left, 0, left + 20, 40], [right, 0, right + 20, 40]]
        return Detections(boxes, [0.9, 0.9], embedding=looks if seen else None)

    for _ in range(5):
        ids = tracker.update(at(0, 14, look)).id.tolist()
    assert ids == [1, 2]
    assert tracker.update(at(5, 9, look[::-1])).det_index.tolist() == taken


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gaps": [2, 0.5]}, "gaps must rise"),
        ({"bias": float("nan")}, "finite"),
        ({"size": {"at": [0, 0], "nats": [[1, 2]]}}, "knots must rise"),
        ({"size": {"at": [0, 1], "nats": [[1, 2, 3]]}}, "as many numbers as there are knots, 2"),
        (
            {"size": {"at": [0, 1], "nats": [[1, 2], [1, 2]]}},
            "size: expected 1 row of nats, or 4 for the ages, got 2",
        ),
        ({"colour": {"at": [0, 1], "nats": [[1, 2]]}}, "colour"),
    ],
)
def test_tables_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    stage = {"tracks": ["active"], "detections": "high", "cost": "log_odds", "limit": 1}
    raw = {"stages": [stage], "log_odds": ODDS.model_dump() | changes}
    with pytest.raises(InputError, match=message) as caught:
        validate(raw, TrackerConfig, "mine.yaml")
    assert "\n" not in str(caught.value)


def test_the_cost_wants_its_tables() -> None:
    with pytest.raises(InputError, match="the cost log_odds needs its tables"):
        Tracker.from_config("bytetrack", **{"stages.0.cost": "log_odds"})
