"""The ground of several cameras, learned from who walks through them.

With persons known, every two cameras get a homography from the feet of those whom both see at once. Without, a
hypothesis is that two tracklets of one camera are two of the other; it is judged by how many others it explains.
Cameras are strung together from the best known pair on, then fitted all at once to whom they join, and joined again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError
from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.ground import Ground, dlt, homogeneous, homography, miss
from retrace.tracker.site.linking import link
from retrace.tracker.site.sightings import Sightings, meetings

MOST_MOMENTS = 400  # of two cameras that the common fit takes: it gets no better, only slower
KEPT = 10  # best hypotheses that are refined


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Two cameras that see one ground: ``plane`` maps pixels of ``first`` to pixels of ``second``."""

    first: int
    second: int
    plane: np.ndarray  # (3, 3)
    weight: float  # moments that agree
    people: int  # who agree


def learn_ground(s: Sightings, config: SiteConfig, person: np.ndarray | None = None) -> Ground:
    """One homography a camera.

    Args:
        s: of the time to learn from.
        config: see `SiteConfig`.
        person: (T,) who each tracklet is, where that is known.

    Raises:
        InputError: a camera that nobody connects with the others.

    Example:
        >>> from retrace.configs import load_preset
        >>> from retrace.tracker.mot_file import read_results
        >>> from retrace.tracker.site import Sightings, SiteConfig, learn_ground
        >>> seen = Sightings.of({name: read_results(f"runs/site/{name}.txt") for name in ("cam1", "cam2")})
        >>> config = load_preset("default", SiteConfig, "site")
        >>> ground = learn_ground(seen, config)
        >>> ground.cameras, ground.plane.shape  # a homography each, to the picture of one of them
        (('cam1', 'cam2'), (2, 3, 3))
    """
    s = s.take(s.frame % config.every == 0)
    first, second = meetings(s)
    edges = []
    for a in range(len(s.cameras)):
        for b in range(a + 1, len(s.cameras)):
            here = (s.camera[first] == a) & (s.camera[second] == b)
            edge = _edge(s, first[here], second[here], config, person)
            edges += [edge] if edge is not None else []
    ground = strung(s.cameras, edges)
    for _ in range(config.rounds):
        who = link(s, ground, config) if person is None else person
        same = who[s.tracklet[first]] == who[s.tracklet[second]]
        ground = fitted(s, ground, first[same], second[same], config.limit)
    return ground


def _edge(
    s: Sightings, first: np.ndarray, second: np.ndarray, config: SiteConfig, person: np.ndarray | None
) -> Edge | None:
    """The homography of two cameras, from rows of one moment; None: too few agree."""
    if person is not None:
        same = person[s.tracklet[first]] == person[s.tracklet[second]]
        first, second = first[same], second[same]
        try:
            plane, agrees = homography(
                s.foot[first], s.foot[second], s.height[second], config.limit, config.seed
            )
        except InputError:
            return None
        people = len(np.unique(person[s.tracklet[first[agrees]]]))
        weight = float(agrees.sum())
    else:
        found = hypothesis(s, first, second, config)
        if found is None:
            return None
        plane, weight, people = found
    if people < config.agree or np.linalg.det(plane) <= 0:
        return None
    c = (int(s.camera[first[0]]), int(s.camera[second[0]]))
    return Edge(*c, plane, weight, people)


@dataclass(frozen=True, slots=True, eq=False)
class _TrackletPairs:
    """Q pairs of tracklets of two cameras, M common moments of each, evenly spread."""

    i: np.ndarray  # (Q,) tracklet of the first camera
    j: np.ndarray  # (Q,) of the second
    count: np.ndarray  # (Q,) common moments
    likely: np.ndarray  # (Q,) sum over moments of 1 / (people in the one x people in the other view)
    p: np.ndarray  # (Q, M, 2) px
    q: np.ndarray  # (Q, M, 2) px
    p_height: np.ndarray  # (Q, M) px
    q_height: np.ndarray  # (Q, M) px


def hypothesis(
    s: Sightings, first: np.ndarray, second: np.ndarray, config: SiteConfig
) -> tuple[np.ndarray, float, int] | None:
    """The homography between two cameras that explains most people, who is who unknown.

    Drawn are two pairs of tracklets, likelier where few people could be mistaken for each other (one person in
    either view is a nearly certain pair); what they give is judged by all pairs, each tracklet with its best partner.

    Returns:
        (3, 3) px -> px, moments that agree, people that agree; None: nobody is seen by both, or too few are.
    """
    pairs = _pairs(s, first, second, config.moments)
    if pairs is None:
        return None
    rng = np.random.default_rng(config.seed)
    drawn = rng.choice(len(pairs.i), (config.tries, 2), p=pairs.likely / pairs.likely.sum())
    drawn = drawn[
        (pairs.i[drawn[:, 0]] != pairs.i[drawn[:, 1]]) & (pairs.j[drawn[:, 0]] != pairs.j[drawn[:, 1]])
    ]
    if not len(drawn):
        return None
    drawn = np.unique(np.sort(drawn, axis=1), axis=0)
    points = (len(drawn), -1, 2)
    planes = dlt(pairs.p[drawn].reshape(points), pairs.q[drawn].reshape(points))
    planes = planes[np.isfinite(planes).all((1, 2))]
    planes = planes[np.linalg.det(planes) > 0]
    if not len(planes):
        return None
    gains = np.concatenate(
        [_gains(part, pairs, config.limit) for part in np.array_split(planes, len(planes) // 64 + 1)]
    )
    best = np.argsort(-_score(gains, pairs), kind="stable")[:KEPT]
    refined = [_refined(planes[k], pairs, config.limit) for k in best]
    plane, gain = max(refined, key=lambda one: float(_score(one[1][None], pairs)[0]))
    chosen = _partners(gain, pairs)
    chosen &= gain > pairs.count / 4
    people = min(len(np.unique(pairs.i[chosen])), len(np.unique(pairs.j[chosen])))
    return plane, float(gain[chosen].sum()), people


def _pairs(s: Sightings, first: np.ndarray, second: np.ndarray, moments: int) -> _TrackletPairs | None:
    """Pairs that share ``moments`` moments or more; None: there are no two."""
    size = len(s.home)
    key = s.tracklet[first] * size + s.tracklet[second]
    order = np.argsort(key, kind="stable")  # by pair, then by time: rows are by frame
    names, start, count = np.unique(key[order], return_index=True, return_counts=True)
    views = _people_in_view(s)
    alone = 1.0 / (views[first] * views[second])
    likely = np.add.reduceat(alone[order], start) if len(start) else np.zeros(0)
    long = count >= moments
    if long.sum() < 2:
        return None
    names, start, count, likely = names[long], start[long], count[long], likely[long]
    step = np.linspace(0, 1, moments) * (count[:, None] - 1)
    rows = order[start[:, None] + np.rint(step).astype(np.int64)]  # (Q, M)
    foot, height = s.foot, s.height
    return _TrackletPairs(
        names // size,
        names % size,
        count,
        likely,
        foot[first[rows]],
        foot[second[rows]],
        height[first[rows]],
        height[second[rows]],
    )


def _people_in_view(s: Sightings) -> np.ndarray:
    """(R,) how many boxes its camera has at that moment."""
    key = s.frame * len(s.cameras) + s.camera
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    return count[inverse]


def _gains(planes: np.ndarray, pairs: _TrackletPairs, limit: float) -> np.ndarray:
    """(H, 3, 3) -> (H, Q) moments of each pair that agree, less the nearer the limit."""
    h = planes[:, None]
    there = miss(homogeneous(pairs.p) @ np.swapaxes(h, -1, -2), pairs.q, pairs.q_height)
    back = miss(homogeneous(pairs.q) @ np.swapaxes(np.linalg.inv(h), -1, -2), pairs.p, pairs.p_height)
    return np.maximum(1 - (there + back) / (2 * limit), 0).mean(-1) * pairs.count


def _score(gains: np.ndarray, pairs: _TrackletPairs) -> np.ndarray:
    """(H, Q) -> (H,): each tracklet of either camera with its best partner of the other."""
    total = np.zeros(len(gains))
    for side in (pairs.i, pairs.j):
        order = np.argsort(side, kind="stable")
        start = np.unique(side[order], return_index=True)[1]
        total += np.maximum.reduceat(gains[:, order], start, axis=1).sum(1)
    return total / 2


def _partners(gain: np.ndarray, pairs: _TrackletPairs) -> np.ndarray:
    """(Q,) bool, pairs in which each is the other's best."""
    chosen = gain > 0
    for side in (pairs.i, pairs.j):
        best = np.zeros(side.max() + 1)
        np.maximum.at(best, side, gain)
        chosen &= gain == best[side]
    return chosen


def _refined(plane: np.ndarray, pairs: _TrackletPairs, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """A hypothesis fitted to whom it explains, until it explains no more: (3, 3), (Q,)."""
    gain = _gains(plane[None], pairs, limit)[0]
    for _ in range(5):
        chosen = _partners(gain, pairs) & (gain > pairs.count / 10)
        if chosen.sum() < 2:
            break
        better = dlt(pairs.p[chosen].reshape(-1, 2), pairs.q[chosen].reshape(-1, 2))
        if not np.isfinite(better).all() or np.linalg.det(better) <= 0:
            break
        now = _gains(better[None], pairs, limit)[0]
        if _score(now[None], pairs)[0] <= _score(gain[None], pairs)[0]:
            break
        plane, gain = better, now
    return plane, gain


def strung(cameras: tuple[str, ...], edges: list[Edge]) -> Ground:
    """All cameras on the picture of the best connected one, along the pairs of which most moments agree (Prim).

    Raises:
        InputError: a camera that no pair reaches.
    """
    weight = np.zeros(len(cameras))
    for edge in edges:
        weight[[edge.first, edge.second]] += edge.weight
    plane = {int(weight.argmax()): np.eye(3)}
    while len(plane) < len(cameras):
        open_ = [e for e in edges if (e.first in plane) != (e.second in plane)]
        if not open_:
            lost = ", ".join(name for k, name in enumerate(cameras) if k not in plane)
            raise InputError(
                f"too few people are seen at once to learn where {lost} stand{'s' * (len(plane) + 1 == len(cameras))}; "
                "learn from a longer part, or give homographies"
            )
        best = max(open_, key=lambda e: e.weight)
        if best.first in plane:
            plane[best.second] = plane[best.first] @ np.linalg.inv(best.plane)
        else:
            plane[best.first] = plane[best.second] @ best.plane
    return Ground(cameras, np.array([plane[k] / np.linalg.norm(plane[k]) for k in range(len(cameras))]))


def fitted(s: Sightings, ground: Ground, first: np.ndarray, second: np.ndarray, limit: float) -> Ground:
    """All homographies at once, so that pairs of feet fall together: least squares of what :meth:`Ground.distance`
    measures, robust (soft L1 from half of ``limit`` on).

    Args:
        first, second: (P,) rows that are one person at one moment.
    """
    from scipy.optimize import least_squares  # late: it takes a while, and few runs learn

    rows = _thinned(s, first, second)
    first, second = first[rows], second[rows]
    if not len(rows):
        return ground
    count, foot, height = len(s.cameras), s.foot, s.height
    root = int(np.bincount(s.camera[np.r_[first, second]], minlength=count).argmax())
    norm = np.array([_normalising(foot[s.camera == c]) for c in range(count)])
    start = norm[root] @ np.linalg.inv(ground.plane[root]) @ ground.plane @ np.linalg.inv(norm)
    start = start / start[:, 2:, 2:]  # the middle of the feet is before every camera's horizon
    moved = (norm[s.camera] @ homogeneous(foot)[:, :, None])[:, :, 0]
    unit = norm[s.camera, 0, 0] / 1.0
    free = np.array([c for c in range(count) if c != root])

    def planes(values: np.ndarray) -> np.ndarray:
        full = start.copy()
        full.reshape(count, 9)[free, :8] = values.reshape(-1, 8)
        return full

    def residuals(values: np.ndarray) -> np.ndarray:
        plane = planes(values)
        back = np.linalg.inv(plane)
        on_ground = (plane[s.camera] @ moved[:, :, None])[:, :, 0]
        found = []
        for seen, here in ((first, second), (second, first)):
            fallen = (back[s.camera[here]] @ on_ground[seen][:, :, None])[:, :, 0]
            depth = np.maximum(fallen[:, 2:], 1e-3)
            found.append((fallen[:, :2] / depth - moved[here, :2]) / (unit * height)[here, None])
        return np.concatenate(found).ravel()

    done = least_squares(
        residuals, start.reshape(count, 9)[free, :8].ravel(), loss="soft_l1", f_scale=limit / 2, max_nfev=30
    )
    plane = planes(done.x) @ norm
    return Ground(s.cameras, plane / np.linalg.norm(plane, axis=(1, 2), keepdims=True))


def _normalising(foot: np.ndarray) -> np.ndarray:
    """(N, 2) px -> (3, 3) to numbers around 1."""
    if not len(foot):
        return np.eye(3)
    middle, scale = foot.mean(0), 1.0 / max(foot.std(), 1.0)
    return np.array([[scale, 0, -middle[0] * scale], [0, scale, -middle[1] * scale], [0, 0, 1]])


def _thinned(s: Sightings, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which pairs to take: of every two cameras ``MOST_MOMENTS``, evenly spread."""
    key = s.camera[first] * len(s.cameras) + s.camera[second]
    kept = []
    for name in np.unique(key):
        rows = (key == name).nonzero()[0]
        kept.append(rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_MOMENTS)).astype(np.int64)])
    return np.concatenate(kept) if kept else np.zeros(0, np.int64)
