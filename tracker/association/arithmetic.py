"""Angles, exponentials and logarithms by additions, multiplications, divisions and square roots alone.

Those four round alike everywhere; a library's `arctan2`, `exp` and `log` do not, and NumPy's differ from compiled
ones in one value of ten or twenty. So costs are made of these, which take numbers or arrays; compiled frames use them
as they stand, to the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# atan(r) / r = sum of ATAN[k] t^k with t = r^2, highest first: interpolated at Chebyshev's points of t in
# [0, tan(pi / 8)^2], where it is 2e-16 off at most
ATAN = (
    0.021133752033748364,
    -0.04347919839046537,
    0.0568830340363325,
    -0.066402251735395,
    0.07689952488233016,
    -0.09090773003240828,
    0.11111106177375227,
    -0.14285714180900647,
    0.19999999998854168,
    -0.33333333333328435,
    1.0,
)
STEEP = float(np.sqrt(2.0)) - 1.0  # tan(pi / 8)
LEAST = 1e-300
ODD = tuple(1.0 / k for k in range(17, 0, -2))  # atanh(r) / r = sum of t^k / (2 k + 1), highest first
OVER = tuple(1.0 / k for k in range(8, 0, -1))  # exp(r) = 1 + r (1 + r / 2 (1 + r / 3 (1 + ...
FARTHEST = 40.0  # e^-40 is nothing beside 1


def length(x: Any, y: Any) -> Any:
    """Length of the vector (x, y)."""
    return np.sqrt(x * x + y * y)


def angle(cross: Any, dot: Any) -> Any:
    """The angle in [0, pi] between two vectors, by their cross product (its sign does not matter) and dot product; 0
    where both are 0. At most 4e-16 off."""
    up, along = np.abs(cross), np.abs(dot)
    share = np.minimum(up, along) / np.maximum(np.maximum(up, along), LEAST)
    steep = share > STEEP  # atan(s) = pi / 4 + atan((s - 1) / (s + 1))
    rest = (share - steep) / (1.0 + steep * share)
    square, series = rest * rest, 0.0
    for factor in ATAN:
        series = series * square + factor
    found = steep * (np.pi / 4) + rest * series
    over, back = up > along, dot < 0
    found = over * (np.pi / 2) + (1.0 - 2.0 * over) * found
    return back * np.pi + (1.0 - 2.0 * back) * found


def angle_of(cosine: Any) -> Any:
    """The angle in [0, pi] of a cosine; one that a rounding error has taken beyond 1 counts as 1."""
    cosine = np.minimum(np.maximum(cosine, -1.0), 1.0)
    return angle(np.sqrt((1.0 - cosine) * (1.0 + cosine)), cosine)


def exp(x: Any) -> Any:
    """e^x, x cut to [-40, 40]: e^(x / 1024), squared ten times; off by 1e-12 of it at most."""
    rest = np.minimum(np.maximum(x, -FARTHEST), FARTHEST) / 1024.0
    found = 1.0
    for share in OVER:
        found = 1.0 + rest * share * found
    for _ in range(10):
        found = found * found
    return found


def log(x: Any) -> Any:
    """Natural logarithm of x > 0, x cut to [1e-12, 1e12]: 32 times the logarithm of the 32nd root. Off by 1e-13 at most
    in [1e-4, 1e4], by 1e-6 beyond."""
    root = np.minimum(np.maximum(x, 1e-12), 1e12)
    for _ in range(5):
        root = np.sqrt(root)
    rest = (root - 1.0) / (root + 1.0)
    square, series = rest * rest, 0.0
    for factor in ODD:
        series = series * square + factor
    return 64.0 * rest * series
