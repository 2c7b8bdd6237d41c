"""Counters frame by frame say at the end what the whole table says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.tracker.analytics import CountsSoFar, Line, Regions, Zone, crossings
from retrace.tracker.analytics.counting import feet
from retrace.tracker.analytics.regions import inside
from retrace.tracker.data import MotTable, Tracks
from retrace.tracker.mot_file import read_ground_truth
from tests.tracker.analytics.slow_answers import made, slow_crossings, strolls

LINES = (
    Line(name="down", points=((200, 0), (200, 400))),
    Line(name="short", points=((100, 180), (320, 230))),
)
ZONE = Zone(name="hall", points=((100, 100), (300, 120), (250, 300), (90, 280)))


def tracks(table: MotTable) -> Tracks:
    order = np.argsort(table.id)
    one = table.take(order)
    return Tracks(one.id, one.xyxy.astype(np.float32), one.score, one.class_id, np.zeros(len(one), np.int64))


def test_by_hand() -> None:
    """Two people to the right, one of them back; one in the zone twice."""
    counts = CountsSoFar(Regions(lines=LINES[:1], zones=(ZONE,)))
    rows = [(0, 1, 180.0, 90.0), (1, 1, 220.0, 90.0), (2, 1, 180.0, 90.0)]
    rows += [(0, 2, 150.0, 200.0), (1, 2, 190.0, 390.0), (2, 2, 210.0, 200.0)]
    seen = []
    for frame, one in enumerate(made(rows).by_frame(3)):
        counts.take(frame / 10, tracks(one))
        seen.append((counts.crossed[0], counts.present[0]))
    assert seen == [
        ({"left": 0, "right": 0}, (1, 1)),
        ({"left": 0, "right": 1}, (0, 1)),
        ({"left": 1, "right": 2}, (1, 1)),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_at_the_end_they_equal_the_whole_table_s(seed: int) -> None:
    table = strolls(seed)
    counts = CountsSoFar(Regions(lines=LINES, zones=(ZONE,)))
    for frame, one in enumerate(table.by_frame(120)):
        counts.take(frame / 10, tracks(one))
    whole = [crossings(table, line, 10).totals() for line in LINES]
    assert counts.crossed == whole
    assert sum(whole[0].values()) >= 2
    within = table.take(inside(feet(table.xyxy), np.array(ZONE.points)))
    assert counts.present == [(int((within.frame == 119).sum()), len(set(within.id.tolist())))]


@pytest.mark.parametrize(("name", "x"), [("PETS09-S2L1", 380), ("ADL-Rundle-6", 650)])
def test_on_real_people(shared: Path, name: str, x: int) -> None:
    """Ground truth: frame by frame, the whole table and the obvious way count the same."""
    truth = read_ground_truth(shared / "MOT15-train" / name / "gt" / "gt.txt")
    line = Line(name="middle", points=((x, 0), (x, 1080)))
    counts, frames = CountsSoFar(Regions(lines=(line,))), int(truth.frame.max()) + 1
    for frame, one in enumerate(truth.by_frame(frames)):
        counts.take(frame / 10, tracks(one))
    slow = [forward for _, _, forward in slow_crossings(truth, *line.points, 10)]
    assert len(slow) > 5
    assert counts.crossed == [crossings(truth, line, 10).totals()]
    assert counts.crossed == [{"left": sum(slow), "right": len(slow) - sum(slow)}]
