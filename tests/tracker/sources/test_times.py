"""Timestamps into seconds, and the rate of frames."""

from __future__ import annotations

import numpy as np

from retrace.tracker.sources.times import Timeline


def times(ticks: list[int | None], fps: float = 10.0) -> list[float]:
    timeline = Timeline(tick=0.01, fps=fps)
    return [round(timeline(t), 6) for t in ticks]


def test_the_timeline_counts_from_the_first_timestamp() -> None:
    assert times([700, 710, 745]) == [0.0, 0.1, 0.45]


def test_the_timeline_gives_a_frame_without_timestamp_one_frame_duration() -> None:
    assert times([0, None, 30]) == [0.0, 0.1, 0.3]
    assert times([None, None, 900, 910]) == [0.0, 0.1, 0.2, 0.3]


def test_the_timeline_moves_a_frame_that_is_not_later_and_then_trusts_the_stamps_again() -> None:
    assert times([0, 0, 20, 15, 40]) == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_the_timeline_goes_on_when_the_timestamps_begin_anew() -> None:
    assert times([5000, 5010, 0, 10, 25]) == [0.0, 0.1, 0.2, 0.3, 0.45]


def test_the_timeline_never_stands_or_goes_back() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        got = times([None if t < 0 else int(t) for t in rng.integers(-50, 500, 40)])
        assert (np.diff(got) > 0).all()
