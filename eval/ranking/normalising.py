"""Distances in units of how far strangers are, one block of queries at a time.

Some images are near to everybody and others to nobody; a cohort of people who are not asked for says of each how far
a stranger is from it, and one distance then means the same for all (Auckenthaler et al. 2000; Matejka et al. 2017).
The sums are those of `retrace.reid.calibration`, which has whole matrices; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.eval.ranking.features import Features, Side
from retrace.eval.ranking.pairing import DISTRACTOR, JUNK, block_ends, checked_features, products, unit_rows

NORMALISATIONS = {"z": "z-normalised", "s": "s-normalised", "adaptive": "adaptively s-normalised"}
Normalisation = Literal["z", "s", "adaptive"]
NEAREST = 200  # strangers that adaptive normalisation looks at
LEAST = 2
SAME = 1e-3  # of a coordinate, by which one image's vectors may differ
FLAT = 1e-6  # standard deviation below which a cohort says nothing
ALIKE = ("weights_sha256", "flip")  # what features and their cohort must have in common, where both tell


@dataclass(frozen=True, slots=True)
class Strangers:
    """How far the cohort is from each of N images, as 1 - cosine."""

    mean: np.ndarray  # (N,) float32
    deviation: np.ndarray  # (N,) float32, > 0


@dataclass(frozen=True, slots=True, eq=False)
class Normalised:
    """Normalised distances, made row block by row block: hand it to ``evaluate_ranking(..., distances=...)``."""

    how: str  # of NORMALISATIONS
    cohort: str  # its name
    images: int  # of the cohort
    query: np.ndarray  # (Q, D) float32 unit rows
    gallery: np.ndarray  # (G, D) float32 unit rows
    of_query: Strangers | None  # None: by the gallery's alone
    of_gallery: Strangers

    @property
    def told(self) -> str:
        """How the distances came about, in words."""
        nearest = f"the nearest {NEAREST} of " if self.how == "adaptive" and self.images > NEAREST else ""
        return f"{NORMALISATIONS[self.how]} by {nearest}{self.images:,} images of {self.cohort}"

    @property
    def name(self) -> str:
        return f"cosine, {self.told}"

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, G) float32: standard deviations beyond (below 0: nearer than) the mean stranger."""
        d = _distances(self.query[start:stop], self.gallery)
        by_query = None
        if self.of_query is not None:
            by_query = d - self.of_query.mean[start:stop, None]
            by_query /= self.of_query.deviation[start:stop, None]
        d -= self.of_gallery.mean
        d /= self.of_gallery.deviation
        if by_query is not None:
            d += by_query
            d /= 2
        return d


def normalise(features: Features, cohort: Features, how: Normalisation) -> Normalised:
    """Prepare normalised cosine distances of a query and a gallery.

    Args:
        features: whose distances.
        cohort: queries and gallery together, but for junk, by the same network: people of whom nobody asked for is
            one. Nothing is held of them but two numbers an image.
        how: "z": by the strangers' distances to each gallery image; "s": the mean of that and the same by those to
            the query; "adaptive": "s" by only the `NEAREST` strangers of each image.

    Raises:
        InputError: an unknown ``how``; a cohort by another network, of the images themselves, or of fewer than two
            people.
    """
    one_of("normalise", how, tuple(NORMALISATIONS))
    name = name_of(cohort)
    check_cohort(features, cohort)
    strangers = np.concatenate([s.features[s.ids != JUNK] for s in (cohort.query, cohort.gallery)])
    if len(strangers) < LEAST:
        raise InputError(f"`cohort` {name}: expected {LEAST} or more images, got {len(strangers)}")
    ids = np.concatenate((cohort.query.ids, cohort.gallery.ids))
    # Each distractor may be somebody else.
    people = len(np.unique(ids[ids > DISTRACTOR])) + int((ids == DISTRACTOR).sum())
    if people < LEAST:
        raise InputError(
            f"`cohort` {name}: expected {LEAST} or more people, got {len(strangers)} images of one"
        )
    query = _unit(_with_cosines(features.query), "query_features")
    gallery = _unit(_with_cosines(features.gallery), "gallery_features")
    strangers = _unit(strangers, f"`cohort` {name}")
    known = [x[s.ids != JUNK] for x, s in ((query, features.query), (gallery, features.gallery))]
    _check_others(np.concatenate(known), strangers, name)
    nearest = NEAREST if how == "adaptive" else len(strangers)
    return Normalised(
        how=how,
        cohort=name,
        images=len(strangers),
        query=query,
        gallery=gallery,
        of_query=None if how == "z" else _strangers(query, strangers, nearest),
        of_gallery=_strangers(gallery, strangers, nearest),
    )


def name_of(cohort: Features) -> str:
    """The file's, or the data set's."""
    return str(cohort.about.get("features") or cohort.about.get("data") or cohort.name)


def check_cohort(features: Features, cohort: Features) -> None:
    """Raises InputError for a cohort by another network, or of the very images that it is for."""
    name, mine = name_of(cohort), features.name
    wide = {x.shape[1] for f in (features, cohort) for x in (f.query.features, f.gallery.features)}
    if len(wide) > 1:
        raise InputError(
            f"`cohort` {name}: has vectors of {cohort.gallery.features.shape[1]} numbers, {mine} of "
            f"{features.gallery.features.shape[1]}; both must come from one network"
        )
    for key in ALIKE:
        one, other = cohort.about.get(key), features.about.get(key)
        if None not in (one, other) and one != other:
            what = "without `flip`" if one is False else "with `flip`" if one is True else "by other weights"
            raise InputError(f"`cohort` {name}: was made {what}, unlike {mine}; make both alike")
    for side, its in ((features.query, cohort.query), (features.gallery, cohort.gallery)):
        if len(side.features) and np.array_equal(side.features, its.features):
            raise InputError(
                f"`cohort` {name}: is the very set that is scored; expected other people's images"
            )


def _with_cosines(side: Side) -> np.ndarray:
    """(N, D) vectors of a side; junk, which nothing is counted of, may be zero in the file."""
    nothing = (side.ids == JUNK) & ~side.features.any(axis=1)
    return np.where(nothing[:, None], np.float32(1), side.features) if nothing.any() else side.features


def _check_others(scored: np.ndarray, strangers: np.ndarray, name: str) -> None:
    """Raises InputError where unit rows of the cohort (C, D) are among those (N, D) that are scored, to `SAME`."""
    rows = [np.ascontiguousarray(np.round(x / SAME).astype(np.int32)) for x in (strangers, scored)]
    mine, theirs = (x.view(np.dtype((np.void, x.shape[1] * x.itemsize)))[:, 0] for x in rows)
    shared = int(np.isin(mine, theirs).sum())
    if shared:
        raise InputError(
            f"`cohort` {name}: {shared:,} of its {len(mine):,} images are among those that are scored; "
            "expected other people's images"
        )


def _unit(x: np.ndarray, name: str) -> np.ndarray:
    x, norms = checked_features(x, name)
    return unit_rows(x, norms, name)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) 1 - cosine of unit rows."""
    d = products(a, b)
    return np.subtract(1, d, out=d)


def _strangers(x: np.ndarray, cohort: np.ndarray, nearest: int) -> Strangers:
    """Of each row of (N, D) by its ``nearest`` ones of the (C, D) cohort."""
    mean, deviation = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
    for start, stop in block_ends(len(x), len(cohort)):
        d = _distances(x[start:stop], cohort)
        if nearest < len(cohort):
            d = np.partition(d, nearest - 1, axis=1)[:, :nearest]
        mean[start:stop] = d.mean(axis=1, dtype=np.float64)
        deviation[start:stop] = np.maximum(d.std(axis=1, dtype=np.float64), FLAT)
    return Strangers(mean, deviation)
