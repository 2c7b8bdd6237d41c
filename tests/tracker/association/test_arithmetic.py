"""Angles, exponentials and logarithms of our own, against the library's, one number at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrace.tracker.association import arithmetic


def test_angles_that_everybody_knows() -> None:
    for cross, dot, degrees in [(0, 1, 0), (1, 1, 45), (1, 0, 90), (-1, 0, 90), (1, -1, 135), (0, -1, 180)]:
        assert math.degrees(arithmetic.angle(float(cross), float(dot))) == pytest.approx(degrees, abs=1e-13)
    assert arithmetic.angle(0.0, 0.0) == 0
    assert math.degrees(arithmetic.angle_of(0.5)) == pytest.approx(60)
    assert arithmetic.angle_of(1 + 1e-15) == 0, "a rounding error is no angle"
    assert arithmetic.angle_of(-1 - 1e-15) == math.pi


def test_angles_all_round() -> None:
    turns = np.linspace(0, math.pi, 2001)
    for size in (1e-9, 1.0, 1e9):
        found = arithmetic.angle(size * np.sin(turns), size * np.cos(turns))
        assert np.abs(found - turns).max() < 1e-15 * 4
    cosines = np.linspace(-1, 1, 2001)
    assert np.abs(arithmetic.angle_of(cosines) - [math.acos(x) for x in cosines]).max() < 1e-15 * 4


def test_exponentials() -> None:
    assert arithmetic.exp(0.0) == 1
    given = np.linspace(-40, 40, 2001)
    found = np.array([math.exp(x) for x in given])
    assert np.abs(arithmetic.exp(given) / found - 1).max() < 1e-12
    assert arithmetic.exp(-1e9) == arithmetic.exp(-40.0) < 1e-17, "far below it is nothing"
    assert arithmetic.exp(np.inf) == arithmetic.exp(40.0)


def test_logarithms() -> None:
    assert arithmetic.log(1.0) == 0
    near, far = np.exp(np.linspace(-9, 9, 2001)), np.exp(np.linspace(-27, 27, 201))
    assert np.abs(arithmetic.log(near) - [math.log(x) for x in near]).max() < 1e-13
    assert np.abs(arithmetic.log(far) - [math.log(x) for x in far]).max() < 1e-6
    assert arithmetic.log(np.inf) == pytest.approx(math.log(1e12))


def test_numbers_and_arrays_are_the_same_bytes() -> None:
    """What a compiled loop does one by one NumPy does at once."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500))
    for rule, given in [
        (arithmetic.angle, (a, b)),
        (arithmetic.length, (a, b)),
        (arithmetic.angle_of, (np.clip(a, -1, 1),)),
        (arithmetic.exp, (9 * a,)),
        (arithmetic.log, (np.abs(a),)),
    ]:
        one_by_one = np.array([rule(*numbers) for numbers in zip(*(x.tolist() for x in given), strict=True)])
        assert rule(*given).tobytes() == one_by_one.tobytes()
