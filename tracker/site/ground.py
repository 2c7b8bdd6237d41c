"""The ground that cameras share: one homography a camera, from its picture to a plane common to all.

People's feet are on the ground, and a pinhole camera maps a plane to its picture by a homography (Hartley and
Zisserman 2004, chapters 2 and 4: normalised DLT, alg. 4.2, and RANSAC, alg. 4.6). Which plane it is does not matter:
distances are taken in the pictures, in body heights, so a plane in metres and another camera's picture do alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from retrace.configs import InputError
from retrace.configs.files import atomic_write, writing
from retrace.configs.loader import validate
from retrace.configs.reading import read_yaml
from retrace.tracker.site.sightings import Sightings

LINE = 0.02  # points whose spread across is less than this share of that along are on one line
SURE = 0.999  # probability that RANSAC has tried one sample without an outlier, at half outliers
TRIES = int(np.ceil(np.log(1 - SURE) / np.log(1 - 0.5**4)))
RANK = 1e-9  # second least eigenvalue over the greatest, below which four or more points leave the homography open


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """``plane[c]`` maps pixels of camera c to the common plane, as a homography: (x, y, 1) px to (X, Y, W), the place
    is (X / W, Y / W) in the plane's unit.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.site import Ground
        >>> ground = Ground(("yard", "gate"), np.stack([np.diag([0.01, 0.01, 1.0]), np.diag([0.02, 0.02, 1.0])]))
        >>> ground.for_cameras(["gate"]).plane.shape
        (1, 3, 3)
    """

    cameras: tuple[str, ...]
    plane: np.ndarray  # (C, 3, 3) float64

    def for_cameras(self, cameras: Sequence[str]) -> Ground:
        """The same in another order, or of some.

        Raises:
            InputError: a camera that is not here.
        """
        missing = [name for name in cameras if name not in self.cameras]
        if missing:
            raise InputError(f"no homography of camera {missing[0]}; there are {', '.join(self.cameras)}")
        return Ground(tuple(cameras), self.plane[[self.cameras.index(name) for name in cameras]])

    def facing(self, s: Sightings) -> Ground:
        """The same with signs such that feet lie before the horizon (third coordinate positive), as :meth:`distance`
        wants them: a homography times -1 is the same one.

        Raises:
            InputError: a camera sees the ground mirrored, as nobody sees it from above.
        """
        plane = self.plane.copy()
        for c in range(len(plane)):
            behind = homogeneous(s.foot[s.camera == c]) @ plane[c, 2] < 0
            if behind.mean() > 0.5 if len(behind) else False:
                plane[c] = -plane[c]
        side = np.sign(np.linalg.det(plane))
        if (side == 0).any():
            raise InputError(
                f"the homography of camera {self.cameras[int((side == 0).argmax())]} has no inverse"
            )
        odd = side != (1 if side.sum() >= 0 else -1)
        if odd.any():
            raise InputError(
                f"camera {self.cameras[int(odd.argmax())]} sees the ground mirrored against the others; flip its "
                "picture, or the sign of one axis of its homography"
            )
        return Ground(self.cameras, plane)

    def distance(self, s: Sightings, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """How far apart two people of one moment stand, seen by two cameras.

        Args:
            s: whose ``cameras`` are these.
            first, second: (P,) rows.

        Returns:
            (P,) body heights: from either's feet to where the other's fall in his picture, over the height of his box,
            the mean of both pictures; inf behind a horizon.

        Example:
            >>> import numpy as np
            >>> from retrace import MotTable
            >>> from retrace.tracker.site import Ground, Sightings
            >>> yard, gate = (MotTable([0], [1], [box], [1], [1], [1]) for box in ([0, 0, 40, 100], [20, 0, 60, 50]))
            >>> seen = Sightings.of({"yard": yard, "gate": gate})  # feet at (20, 100) and (40, 50) px
            >>> ground = Ground(("yard", "gate"), np.stack([np.diag([2.0, 0.5, 1.0]), -np.eye(3)])).facing(seen)
            >>> ground.distance(seen, np.array([0]), np.array([1]))  # both stand at one place
            array([0.])
        """
        foot, height = s.foot, s.height
        ground = (self.plane[s.camera] @ homogeneous(foot)[:, :, None])[:, :, 0]
        return (
            self._misses(s, ground, foot, height, first, second)
            + self._misses(s, ground, foot, height, second, first)
        ) / 2

    def _misses(
        self,
        s: Sightings,
        ground: np.ndarray,
        foot: np.ndarray,
        height: np.ndarray,
        seen: np.ndarray,
        here: np.ndarray,
    ) -> np.ndarray:
        """(P,) how far the feet ``seen`` elsewhere fall from those ``here``, in heights of ``here``."""
        found = np.empty(len(seen))
        for c, back in enumerate(np.linalg.inv(self.plane)):
            rows = s.camera[here] == c
            found[rows] = miss(ground[seen[rows]] @ back.T, foot[here[rows]], height[here[rows]])
        return found


def homogeneous(xy: np.ndarray) -> np.ndarray:
    """(..., 2) -> (..., 3)."""
    return np.concatenate([xy, np.ones((*xy.shape[:-1], 1))], axis=-1)


def miss(fallen: np.ndarray, foot: np.ndarray, height: np.ndarray) -> np.ndarray:
    """(..., 3) homogeneous points, (..., 2) px, (...) px -> (...) distance in heights; inf behind the horizon."""
    depth = fallen[..., 2]
    before = depth > 1e-12 * np.abs(fallen[..., :2]).max(-1)
    away = fallen[..., :2] / np.where(before, depth, 1.0)[..., None] - foot
    return np.where(before, np.hypot(away[..., 0], away[..., 1]) / height, np.inf)


def dlt(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Homographies with p -> q by the normalised direct linear transform (Hartley and Zisserman, alg. 4.2).

    Args:
        p, q: (..., N, 2) points, N >= 4.

    Returns:
        (..., 3, 3), signed so that the middle of p lies before the horizon; NaN where the points leave it open.
    """
    to_p, to_q = _normalising(p), _normalising(q)
    a, b = homogeneous(p) @ np.swapaxes(to_p, -1, -2), homogeneous(q) @ np.swapaxes(to_q, -1, -2)
    none = np.zeros_like(a)
    rows = np.concatenate(
        [
            np.concatenate([none, -a, b[..., 1:2] * a], axis=-1),
            np.concatenate([a, none, -b[..., 0:1] * a], axis=-1),
        ],
        axis=-2,
    )
    value, vector = np.linalg.eigh(np.swapaxes(rows, -1, -2) @ rows)
    unit = vector[..., 0].reshape(*p.shape[:-2], 3, 3)
    found = np.linalg.inv(to_q) @ unit @ to_p
    middle = (found[..., 2, :] * homogeneous(p.mean(-2))).sum(-1)[..., None, None]
    found = found * np.where(middle < 0, -1.0, 1.0)
    open_ = value[..., 1] <= RANK * value[..., -1]
    return np.where(
        open_[..., None, None], np.nan, found / np.linalg.norm(found, axis=(-2, -1), keepdims=True)
    )


def _normalising(points: np.ndarray) -> np.ndarray:
    """(..., N, 2) -> (..., 3, 3) that moves their middle to 0 and their mean distance from it to sqrt(2)."""
    middle = points.mean(-2)
    reach = np.linalg.norm(points - middle[..., None, :], axis=-1).mean(-1)
    scale = np.sqrt(2) / np.maximum(reach, 1e-9)
    found = np.zeros((*points.shape[:-2], 3, 3))
    found[..., 0, 0] = found[..., 1, 1] = scale
    found[..., :2, 2] = -middle * scale[..., None]
    found[..., 2, 2] = 1
    return found


def homography(
    p: np.ndarray, q: np.ndarray, scale: np.ndarray | float, limit: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The homography p -> q that most pairs agree with (RANSAC, then the DLT of those who agree, until they stay).

    Args:
        p, q: (N, 2) pairs of feet in two pictures, or of a picture and the ground.
        scale: (N,) or one, of q: the unit of ``limit``, e.g. heights of people.
        limit: up to which a pair agrees.
        seed: of the samples.

    Returns:
        (3, 3), and (N,) bool who agrees.

    Raises:
        InputError: fewer than four pairs, all on one line, no four that agree, a mirrored view.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.site import homography
        >>> corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10], [5, 2]], float)
        >>> plane, agree = homography(corners, 2 * corners + 1, scale=1.0, limit=0.1)
        >>> np.allclose(plane / plane[2, 2], [[2, 0, 1], [0, 2, 1], [0, 0, 1]]), agree.tolist()
        (True, [True, True, True, True, True])
    """
    if p.shape != q.shape or p.ndim != 2 or p.shape[1:] != (2,) or not np.isfinite([p, q]).all():
        raise InputError(f"expected two arrays (N, 2) of finite numbers, got {p.shape} and {q.shape}")
    if len(p) < 4:
        raise InputError(f"{len(p)} pairs of points; a homography needs four or more, not on one line")
    if _on_a_line(p) or _on_a_line(q):
        raise InputError("all points are on one line; a homography needs some beside it")
    scale = np.broadcast_to(np.asarray(scale, float), len(p))
    rng = np.random.default_rng(seed)
    sample = (
        rng.random((TRIES * 4, len(p))).argpartition(3, axis=1)[:, :4]
        if len(p) < 400
        else rng.integers(0, len(p), (TRIES * 4, 4))
    )
    tried = dlt(p[sample], q[sample])
    tried = tried[np.isfinite(tried).all((1, 2))]
    fine = (_misses(tried, p, q, scale) < limit) if len(tried) else np.zeros((1, len(p)), bool)
    agrees = fine[fine.sum(1).argmax()]
    if agrees.sum() < 4:
        raise InputError(f"no four of {len(p)} pairs of points agree on a homography within {limit:g}")
    found = tried[fine.sum(1).argmax()]
    for _ in range(10):
        better = dlt(p[agrees], q[agrees])
        now = _misses(better[None], p, q, scale)[0] < limit if np.isfinite(better).all() else agrees
        if now.sum() < agrees.sum() or not np.isfinite(better).all():
            break
        found, same, agrees = better, (now == agrees).all(), now
        if same:
            break
    return found, agrees


def _misses(tried: np.ndarray, p: np.ndarray, q: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(H, 3, 3) -> (H, N)."""
    return miss(homogeneous(p) @ np.swapaxes(tried, 1, 2), q, scale)


def _on_a_line(points: np.ndarray) -> bool:
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return bool(spread[1] <= LINE * spread[0])


class CameraGround(BaseModel):
    """One camera in the file: its homography, or points of its picture whose place on the ground is known."""

    model_config = ConfigDict(extra="forbid")

    homography: list[list[float]] | None = None  # 3 x 3, pixels -> ground
    points: list[list[float]] | None = None  # [x, y, X, Y] each: pixel, place on the ground

    @model_validator(mode="after")
    def _one_of_both(self) -> CameraGround:
        if (self.homography is None) == (self.points is None):
            raise ValueError("expected either homography (3 x 3) or points ([x, y, X, Y] each)")
        return self


class GroundFile(BaseModel):
    """``cameras: {NAME: {homography: ...}, NAME: {points: ...}}``; the ground is the same for all, in any unit."""

    model_config = ConfigDict(extra="forbid")

    cameras: dict[str, CameraGround]


def read_ground(path: str | Path) -> Ground:
    """Homographies from a YAML file.

    Raises:
        InputError: no such file, not of this form, points that give no homography; the message names the camera.
    """
    path = Path(path)
    views = validate(read_yaml(path), GroundFile, str(path)).cameras
    return Ground(tuple(views), np.array([_plane(f"{path}: camera {n}", v) for n, v in views.items()]))


def _plane(where: str, view: CameraGround) -> np.ndarray:
    """(3, 3)."""
    if view.homography is not None:
        if [len(row) for row in view.homography] != [3, 3, 3] or not np.isfinite(view.homography).all():
            raise InputError(f"{where}: expected 3 rows of 3 finite numbers as homography")
        given = np.array(view.homography, float)
        if np.linalg.matrix_rank(given) < 3:
            raise InputError(
                f"{where}: its homography has no inverse: it takes the ground to a line or a point"
            )
        return given
    if {len(row) for row in view.points or []} - {4}:
        raise InputError(f"{where}: expected points as [x, y, X, Y]")
    points = np.array(view.points, float).reshape(-1, 4)
    if len(points) < 4 or _on_a_line(points[:, :2]) or _on_a_line(points[:, 2:]):
        raise InputError(f"{where}: expected four points or more that are not on one line, got {len(points)}")
    found = dlt(points[:, :2], points[:, 2:])
    if not np.isfinite(found).all():
        raise InputError(f"{where}: three of four points are on one line; give more points")
    return found


def write_ground(path: Path, ground: Ground, about: Mapping[str, object] | None = None) -> None:
    """What :func:`read_ground` reads."""
    planes = zip(ground.cameras, ground.plane, strict=True)
    views: Mapping[str, Mapping[str, Sequence[Sequence[float]]]] = {
        n: {"homography": p.tolist()} for n, p in planes
    }
    with writing(path), atomic_write(path) as file:
        for key, value in (about or {}).items():
            file.write(f"# {key}: {value}\n")
        yaml.safe_dump({"cameras": views}, file, default_flow_style=None, sort_keys=False, width=200)
