"""Who is shown, and under which identity."""

from __future__ import annotations

import numpy as np

from retrace.tracker import Detections
from retrace.tracker.rows import ACTIVE, LOST, ROW, TENTATIVE, FrameTime
from retrace.tracker.rules import rules_of
from retrace.tracker.tracks.shown import report, shown_rows
from tests.tracker.worlds import config

NOW = FrameTime(10, 1.0, 0.9)
BOX = np.array([[0.0, 0, 20, 40], [100, 0, 120, 40], [2, 4, 22, 44]])
FOUND = Detections([[1, 1, 21, 41], [101, 0, 121, 40]], [0.9, 0.8], index=np.array([7, 5]))


def rows() -> np.ndarray:
    """Seen and confirmed; seen and tentative; lost 0.1 s ago, where the first stands."""
    made = np.zeros(3, ROW)
    made["status"], made["column"], made["seen"] = (ACTIVE, TENTATIVE, LOST), (0, 1, -1), (1.0, 1.0, 0.9)
    made["id"], made["hits"], made["streak"] = (4, 0, 2), (3, 1, 9), (2, 1, 0)
    made["score"], made["box"] = (0.9, 0.8, 0.7), np.array([*FOUND.xyxy, [0, 0, 1, 1]])
    return made


def shown(**changes: object) -> list[int]:
    return shown_rows(rows(), BOX, rules_of(config(**changes))[0], NOW).nonzero()[0].tolist()


def test_who_is_shown() -> None:
    assert shown() == [0]
    assert shown(report_streak=3) == [], "matched twice in a row only"
    assert shown(report_streak=3, start_frames=11) == [0], "not asked in the first frames"
    assert shown(coast=0.1) == [0, 2]
    assert shown(coast=0.05) == [0]


def test_who_is_hidden() -> None:
    """The lost one's box is 18 x 36 of 20 x 40 px behind the other, whose bottom edge is 4 px higher: 0.1 of 40."""
    rule = {"age": 0.2, "cover": 0.8, "hits": 5, "slack": 0.1}
    assert shown(hidden=rule) == [0, 2]
    assert shown(hidden={**rule, "slack": 0.05}) == [0]
    assert shown(hidden={**rule, "cover": 0.82}) == [0]
    assert shown(hidden={**rule, "hits": 10}) == [0]
    assert shown(hidden={**rule, "age": 0.05}) == [0]


def test_the_report_by_hand() -> None:
    """By id; the predicted box of who is not seen; the next identity for who is shown for the first time."""
    made = rows()
    made["id"][0] = 0
    tracks, last_id = report(made, BOX, FOUND, rules_of(config(coast=1.0))[0], NOW, 8)
    assert (tracks.id.tolist(), last_id) == ([2, 9], 9)
    assert made["id"].tolist() == [9, 0, 2]
    assert tracks.det_index.tolist() == [-1, 7]
    assert tracks.xyxy.tolist() == [[2, 4, 22, 44], [0, 0, 20, 40]]
    assert tracks.score.tolist() == np.float32([0.7, 0.9]).tolist()
    given, _ = report(rows(), BOX, FOUND, rules_of(config(coast=1.0, box="detection"))[0], NOW, 8)
    assert given.xyxy.tolist() == [[2, 4, 22, 44], [1, 1, 21, 41]], "the detector's where there is one"
