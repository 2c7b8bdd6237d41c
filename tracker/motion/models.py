"""Motion models: the four coordinates a filter keeps of a box, how to and from boxes, and their noise.

A new one is an entry in MODELS and a name in `tracker.config`; filters.py does the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Vector4 = tuple[float, float, float, float]
NONE = -1


class Spread:
    """Standard deviations of four coordinates: ``weight * scale + constant``, scale in px from the box.

    Scale and constant never share a coordinate, so the variance is the sum of the two squares.
    """

    __slots__ = ("constant", "weight")

    def __init__(self, weight: float, constant: Vector4) -> None:
        self.weight = weight**2  # both squared
        self.constant = np.square(np.asarray(constant, np.float64))

    def variance(self, scale_squared: np.ndarray) -> np.ndarray:
        """(T, 4) squared scales -> (T, 4) variances."""
        variance = scale_squared * self.weight
        variance += self.constant
        return variance


@dataclass(frozen=True)
class MotionModel:
    """One parameterisation of a box and its noise."""

    from_xyxy: Callable[[np.ndarray], np.ndarray]  # (N, 4) xyxy px -> (N, 4) coordinates, float64
    to_xyxy: Callable[[np.ndarray], np.ndarray]  # (N, 4) coordinates -> (N, 4) xyxy px
    # the coordinate in px whose size each one's noise grows with; NONE: constant
    scale_of: tuple[int, int, int, int]
    start: Spread  # of a new track's coordinates
    start_speed: Spread
    process: Spread  # added by one step
    process_speed: Spread
    measurement: Spread
    power: Vector4  # a zoom by z multiplies each coordinate by z**power
    sizes: tuple[int, ...]  # the coordinates whose speed a lost track gives up (freeze_lost_size)

    def scale(self, z: np.ndarray) -> np.ndarray:
        """(N, 4) coordinates -> (N, 4) px that each one's noise grows with."""
        return z[:, self.scale_of] * (np.array(self.scale_of) != NONE)

    @cached_property
    def kind(self) -> int:
        """Which coordinates these are, as tracker/compiled/motion.py numbers them; NONE: others."""
        known = (xyxy_to_xysr, xyxy_to_xyah, xyxy_to_xywh, xyxy_to_xyhr)
        return known.index(self.from_xyxy) if self.from_xyxy in known else NONE

    @cached_property
    def compiled(self) -> tuple[np.ndarray, ...]:
        """For compiled loops: scale_of (4,); of process, its speed and measurement weights (3,), constants (3, 4)."""
        spreads = (self.process, self.process_speed, self.measurement)
        weight, constant = [spread.weight for spread in spreads], [spread.constant for spread in spreads]
        return np.array(self.scale_of), np.array(weight, np.float64), np.array(constant, np.float64)

    @cached_property
    def compiled_start(self) -> tuple[np.ndarray, ...]:
        """The same of a new filter's coordinates and speeds: weights (2,), constants (2, 4)."""
        spreads = (self.start, self.start_speed)
        return np.array([s.weight for s in spreads]), np.array([s.constant for s in spreads])


def _centre_first(xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xyxy = xyxy.astype(np.float64)
    z = np.empty_like(xyxy)
    size = xyxy[:, 2:] - xyxy[:, :2]
    z[:, :2] = xyxy[:, :2] + size * 0.5
    return z, size[:, 0], size[:, 1]


def _corners(z: np.ndarray, width: np.ndarray, height: np.ndarray) -> np.ndarray:
    xyxy = np.empty_like(z)
    half = np.empty((len(z), 2))
    half[:, 0], half[:, 1] = width, height
    half *= 0.5
    np.subtract(z[:, :2], half, out=xyxy[:, :2])
    np.add(z[:, :2], half, out=xyxy[:, 2:])
    return xyxy


def xyxy_to_xyah(xyxy: np.ndarray) -> np.ndarray:
    """Centre x, centre y, width / height, height."""
    z, width, height = _centre_first(xyxy)
    z[:, 2], z[:, 3] = width / height, height
    return z


def xyah_to_xyxy(z: np.ndarray) -> np.ndarray:
    return _corners(z, z[:, 2] * z[:, 3], z[:, 3])


def xyxy_to_xywh(xyxy: np.ndarray) -> np.ndarray:
    """Centre x, centre y, width, height."""
    z, z[:, 2], z[:, 3] = _centre_first(xyxy)
    return z


def xywh_to_xyxy(z: np.ndarray) -> np.ndarray:
    return _corners(z, z[:, 2], z[:, 3])


def xyxy_to_xyhr(xyxy: np.ndarray) -> np.ndarray:
    """Centre x, centre y, height, width / height."""
    z, width, height = _centre_first(xyxy)
    z[:, 2], z[:, 3] = height, width / height
    return z


def xyhr_to_xyxy(z: np.ndarray) -> np.ndarray:
    return _corners(z, z[:, 2] * z[:, 3], z[:, 2])


def xyxy_to_xysr(xyxy: np.ndarray) -> np.ndarray:
    """Centre x, centre y, area, width / height."""
    z, width, height = _centre_first(xyxy)
    z[:, 2], z[:, 3] = width * height, width / height
    return z


def xysr_to_xyxy(z: np.ndarray) -> np.ndarray:
    width = np.sqrt(z[:, 2] * z[:, 3])
    return _corners(z, width, z[:, 2] / width)


ZERO: Vector4 = (0.0, 0.0, 0.0, 0.0)
NO_NOISE = Spread(0.0, ZERO)

MODELS: dict[str, MotionModel] = {
    # SORT (Bewley 2016), eq. 1, noise of its published defaults: the aspect has no speed.
    "sort": MotionModel(
        from_xyxy=xyxy_to_xysr,
        to_xyxy=xysr_to_xyxy,
        scale_of=(NONE, NONE, NONE, NONE),
        start=Spread(0.0, (10**0.5,) * 4),
        start_speed=Spread(0.0, (1e2, 1e2, 1e2, 0.0)),
        process=Spread(0.0, (1.0, 1.0, 1.0, 1.0)),
        process_speed=Spread(0.0, (0.1, 0.1, 0.01, 0.0)),
        measurement=Spread(0.0, (1.0, 1.0, 10**0.5, 10**0.5)),
        power=(1, 1, 2, 0),
        sizes=(2,),
    ),
    # DeepSORT (Wojke 2017) and ByteTrack (Zhang 2022): noise grows with the height, the aspect's is constant.
    "xyah": MotionModel(
        from_xyxy=xyxy_to_xyah,
        to_xyxy=xyah_to_xyxy,
        scale_of=(3, 3, NONE, 3),
        start=Spread(2 / 20, (0, 0, 1e-2, 0)),
        start_speed=Spread(10 / 160, (0, 0, 1e-5, 0)),
        process=Spread(1 / 20, (0, 0, 1e-2, 0)),
        process_speed=Spread(1 / 160, (0, 0, 1e-5, 0)),
        measurement=Spread(1 / 20, (0, 0, 1e-1, 0)),
        power=(1, 1, 0, 1),
        sizes=(3,),
    ),
    # BoostTrack (Stanojevic 2024): SORT's constant noise on another state; the aspect is measured almost exactly
    # and has a speed. Variances by measurement: the gains that a reference run's boxes follow.
    "xyhr": MotionModel(
        from_xyxy=xyxy_to_xyhr,
        to_xyxy=xyhr_to_xyxy,
        scale_of=(NONE, NONE, NONE, NONE),
        start=Spread(0.0, (10**0.5,) * 4),
        start_speed=Spread(0.0, (1e2,) * 4),
        process=Spread(0.0, (1.0,) * 4),
        process_speed=Spread(0.0, (0.1,) * 4),
        measurement=Spread(0.0, (1.0, 1.0, 10**0.5, 0.1)),
        power=(1, 1, 1, 0),
        sizes=(2,),
    ),
    # BoT-SORT (Aharon 2022), eq. 1-5: width's noise from the width, height's from the height.
    "xywh": MotionModel(
        from_xyxy=xyxy_to_xywh,
        to_xyxy=xywh_to_xyxy,
        scale_of=(2, 3, 2, 3),
        start=Spread(2 / 20, ZERO),
        start_speed=Spread(10 / 160, ZERO),
        process=Spread(1 / 20, ZERO),
        process_speed=Spread(1 / 160, ZERO),
        measurement=Spread(1 / 20, ZERO),
        power=(1, 1, 1, 1),
        sizes=(2, 3),
    ),
    # Boxes on a straight line, no filter (GHOST, C-BIoU): `follow` sets the speed, nothing here is uncertain.
    "linear": MotionModel(
        from_xyxy=xyxy_to_xywh,
        to_xyxy=xywh_to_xyxy,
        scale_of=(NONE, NONE, NONE, NONE),
        start=NO_NOISE,
        start_speed=NO_NOISE,
        process=NO_NOISE,
        process_speed=NO_NOISE,
        measurement=NO_NOISE,
        power=(1, 1, 1, 1),
        sizes=(2, 3),
    ),
}
