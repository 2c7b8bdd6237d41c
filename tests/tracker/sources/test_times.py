"""Timestamps into seconds, and the rate of frames."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker.sources.times import (
    FASTEST,
    LONGEST_GAP,
    Timeline,
    arrival_rate,
    may_be_a_tick,
    nominal_rate,
    rate_of,
)


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


def test_the_timeline_bounds_a_gap_and_counts_it() -> None:
    """An idle hour of a recorder is honoured, what is longer is damage and taken for one frame."""
    timeline = Timeline(tick=1.0, fps=10.0)
    gap = int(LONGEST_GAP)
    assert [timeline(t) for t in (0, gap, 2 * gap + 1, 2 * gap + 2)] == [0.0, gap, gap + 0.1, gap + 1.1]
    assert timeline.jumps == 1
    assert timeline.jumped == pytest.approx(gap + 1 - 0.1)


def test_a_rate_by_timestamps_goes_by_the_usual_step() -> None:
    """Milliseconds of 30 frames/s are 33, 33, 34; order, repeats and an idle stretch do not count."""
    stamps = [0.0, 0.033, 0.067, 0.1, 0.133, 0.167, 0.2]
    assert rate_of(stamps) == pytest.approx(30, abs=0.01)
    assert rate_of([*reversed(stamps), 0.1, 90.0]) == pytest.approx(30, abs=0.01)
    assert rate_of([0.0, 0.1, 100.0]) == pytest.approx(10)  # two steps, far apart
    assert rate_of([]) is rate_of([1.0]) is rate_of([1.0, 1.0]) is None


def test_a_rate_by_arrival_is_not_fooled_by_a_burst() -> None:
    """20 frames had waited in a buffer and come at once, then one every 0.2 s: 5 frames/s, not 50."""
    burst = [0.001 * k for k in range(20)]
    assert arrival_rate(burst + [0.02 + 0.2 * k for k in range(1, 10)]) == pytest.approx(5)
    assert arrival_rate([]) is arrival_rate([1.0]) is arrival_rate([1.0, 1.0]) is None


def test_a_stated_rate_holds_unless_it_may_be_the_tick_of_a_clock() -> None:
    assert nominal_rate(25.0, None) == nominal_rate(25.0, 24.0) == 25.0
    assert nominal_rate(100.0, 10.0) == 10.0  # a screen recorder's AVI of 100 ticks a second
    assert [
        may_be_a_tick(r, t) for r, t in ((None, 1e-3), (1000, 1e-3), (25, 0.04), (25, 1e-3), (240, 1e-5))
    ] == [
        True,
        True,
        True,
        False,
        True,
    ]
    assert nominal_rate(1000.0, 29.8) == 29.8
    assert nominal_rate(240.0, 239.0) == 240.0  # a high-speed camera's
    assert nominal_rate(2 * FASTEST, None) is None  # one frame only: nothing to measure
    assert nominal_rate(2.0**31, 1e9) is nominal_rate(1e-9, None) is None
    assert nominal_rate(None, 12.5) == nominal_rate(0.0, 12.5) == nominal_rate(float("inf"), 12.5) == 12.5
    assert nominal_rate(None, None) is None
