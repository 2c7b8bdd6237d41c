"""Identity switches one by one, against CLEAR's count and by hand."""

from __future__ import annotations

import numpy as np

from retrace.eval.mot.identity_switches import identity_switches
from retrace.eval.mot.score import evaluate
from retrace.tracker.data import MotTable
from tests.eval.scenes import table

BOX, AWAY = (10, 10, 20, 40), (200, 10, 20, 40)


def test_by_hand() -> None:
    """Person 7 is id 1, nobody for a frame, then id 2; person 8, on a distractor's class, does not count."""
    gt = table([(t, 7, *BOX) for t in range(4)] + [(t, 8, *AWAY, 1, 8) for t in range(4)])
    result = table([(0, 1, *BOX), (2, 2, *BOX), (3, 2, *BOX), (0, 5, *AWAY), (1, 6, *AWAY)])
    (switch,) = identity_switches(gt, result, 4, "MOT17")
    assert (switch.person, switch.frame, switch.last, switch.before, switch.after) == (7, 2, 0, 1, 2)
    # where classes do not count, person 8 has one too
    assert len(identity_switches(gt, result, 4, "MOT15")) == 2


def test_they_are_what_clear_counts() -> None:
    """Random identities on random boxes: one row for every IDSW."""
    rng = np.random.default_rng(2)
    frames = np.repeat(np.arange(30), 5)
    left = rng.uniform(0, 60, len(frames))
    boxes = np.stack((left, left * 0, left + 30, left * 0 + 60), axis=1)

    def rows(ids: np.ndarray, keep: np.ndarray) -> MotTable:
        one = np.ones(keep.sum())
        found = MotTable(frames[keep], ids[keep], boxes[keep], one, one.astype(np.int64), one)
        return found.take(np.lexsort((found.id, found.frame)))

    gt = rows(np.tile(np.arange(5), 30), rng.random(150) < 0.9)
    result = rows(rng.permuted(np.tile(np.arange(3, 8) * 7, (30, 1)), axis=1).ravel(), rng.random(150) < 0.8)
    found = identity_switches(gt, result, 30)
    assert len(found) == evaluate(gt, result, 30).clear.IDSW > 20
    for person, frame, last, before, after in found:
        assert last < frame
        assert before != after
        assert person in gt.id[gt.frame == frame]
        assert after in result.id[result.frame == frame]
        assert before in result.id[result.frame == last]
    assert identity_switches(gt.take(slice(0, 0)), result, 30) == []
