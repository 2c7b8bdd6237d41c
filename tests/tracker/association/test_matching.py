"""The stages of a preset, one after the other: who is left for whom."""

from __future__ import annotations

import numpy as np

from retrace.tracker import Detections, Tracker
from retrace.tracker.association.matching import associate, bands, overlaps_of
from retrace.tracker.association.stages import prepare
from retrace.tracker.config import Stage
from tests.tracker.worlds import BOX, as_inputs, config, one_pair, track

FIRST = {"tracks": ["active"], "detections": "high", "cost": "iou", "limit": 0.9}
SECOND = {"tracks": ["active"], "detections": "low", "cost": "iou", "limit": 0.9}


def joined(world, stages, believed=True, alive=True, deleted=None):
    inputs, count = as_inputs(world), len(world.tracks)
    prepared = tuple(prepare(Stage(**stage)) for stage in stages)
    gone = np.zeros(len(world.seen), bool) if deleted is None else np.array(deleted)
    return associate(inputs, prepared, np.full(count, believed), np.full(count, alive), gone, None).tolist()


def test_what_a_stage_takes_is_gone_for_the_next() -> None:
    """Two tracks on one spot, a sure box and a low one: the second track gets the low one, if a stage looks there."""
    world = one_pair([track(BOX), track((4, 0, 24, 40))], BOX, others=((2, 0, 22, 40),))
    world.seen[0].score, world.seen[1].score = np.float32(0.9), np.float32(0.2)
    assert joined(world, [FIRST]) == [0, -1]
    assert joined(world, [FIRST, SECOND]) == [0, 1]
    assert joined(world, [SECOND, FIRST]) == [1, 0], "the low one lies as near to both: the first takes it"


def test_who_is_not_believed_cannot_be_found_by_place() -> None:
    world = one_pair(track(BOX), BOX)
    assert joined(world, [FIRST]) == [0]
    assert joined(world, [FIRST], believed=False) == [-1]
    assert joined(world, [{**FIRST, "against": "observed"}], believed=False) == [0], "its last box was seen"
    assert joined(world, [{**FIRST, "against": "observed"}], alive=False) == [-1]


def test_bands_by_hand() -> None:
    found = Detections(np.tile([0, 0, 9, 9], (4, 1)), [0.9, 0.8, 0.3, 0.05])
    made = bands(found, np.array([False, True, False, False]), config(low=0.1, high=0.6))
    assert {name: which.nonzero()[0].tolist() for name, which in made.items()} == {
        "high": [0],
        "low": [2],
        "deleted": [1],
    }


def test_deleted_boxes_have_a_band_of_their_own() -> None:
    world = one_pair(track(BOX), BOX)
    assert joined(world, [FIRST], deleted=[True]) == [-1]
    assert joined(world, [{**FIRST, "detections": {"deleted": 0.1}}], deleted=[True]) == [0]


def test_classes_do_not_overlap_unless_asked() -> None:
    world = one_pair(track(BOX), BOX)
    world.seen[0].class_id = 1
    assert len(overlaps_of(as_inputs(world), "predicted", 0.0, np.ones(1, bool)).row) == 0
    world.config = Tracker.from_config("bytetrack", class_agnostic=True).config
    assert len(overlaps_of(as_inputs(world), "predicted", 0.0, np.ones(1, bool)).row) == 1
    assert len(overlaps_of(as_inputs(world), "predicted", 0.0, np.zeros(1, bool)).row) == 0
