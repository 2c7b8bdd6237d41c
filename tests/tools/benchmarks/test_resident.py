"""High-water marks: a large parent's is not a child's, and a child's is seen while it lives."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from retrace.tools.benchmarks.resident import forget_peak, largest_child, peak_mb, peak_of_a_fresh_process

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc on this system")


def hold(mb: int) -> None:
    assert np.ones(mb << 17).sum() == mb << 17  # 8 bytes each


def test_a_fresh_process_does_not_inherit_its_parents_mark() -> None:
    small = peak_of_a_fresh_process(hold, 1)
    hold(500)
    assert peak_mb() > 500
    again = peak_of_a_fresh_process(hold, 1)
    assert again < small + 50
    assert peak_of_a_fresh_process(hold, 200) - again == pytest.approx(199, abs=30)


def test_the_mark_can_be_forgotten() -> None:
    hold(400)
    before = peak_mb()
    assert forget_peak() < before - 200


def test_the_largest_child_of_a_block() -> None:
    with largest_child(every=0.01) as largest:
        for mb in (200, 50):
            child = multiprocessing.get_context("spawn").Process(target=hold, args=(mb,))
            child.start()
            child.join()
    assert 200 < largest[0] < 600
