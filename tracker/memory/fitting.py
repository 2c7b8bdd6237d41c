"""From labelled pictures to the maps of an identity memory: what a distance between two visits says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from scipy.optimize import minimize

from retrace.configs.errors import InputError
from retrace.configs.files import atomic_write, writing
from retrace.configs.loader import load_preset
from retrace.tracker.memory.camera_means import CameraMeans
from retrace.tracker.memory.config import LikelihoodRatio, MemoryConfig

LEAST_UNIT = 1e-3  # of distance
LEAST_TOLD = 2.0  # nats between no distance and that of strangers, below which a map tells nothing
FEWEST = 50  # pairs of one person in two cameras, from which a map is told
# So many times as often are strangers of one camera taken for one person as strangers of two, by the map of two
# (LOG.md): they share more than what is common to all. ReID sets, which hold one stay of each person, cannot tell.
NEARER = 2.0
# A memory that has not seen enough people beside each other goes by the unit of the maps, times this: people come one
# by one, and before there are many, what is common to them is still in their vectors (chosen on streams; LOG.md).
FIRST = 0.92


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPictures:
    """Pictures of people who are named."""

    vector: np.ndarray  # (N, D) float32 unit
    person: np.ndarray  # (N,) int64; below 1: nobody, left out
    camera: np.ndarray  # (N,) int64


@dataclass(frozen=True, slots=True, eq=False)
class VisitPairs:
    """P pairs of visits of one set."""

    distance: np.ndarray  # (P,) 1 - cosine, less what is common to their cameras
    same: np.ndarray  # (P,) bool, of one person
    here: np.ndarray  # (P,) bool, of one camera

    @property
    def unit(self) -> float:
        """Mean distance of different people of one camera, as a memory measures it."""
        return float(self.distance[self.here & ~self.same].mean())


def visit_pairs(looks: LabelledPictures, half: float | None) -> VisitPairs:
    """The pictures of a person in a camera, in their order, are two visits, each its mean; all pairs of visits.

    Args:
        looks: of one set.
        half: see `CameraMeans`, which the visits are compared less.
    """
    vector, person, camera = visits_of(looks)
    names = np.unique(camera)
    means = CameraMeans(vector.shape[1], half)
    for place in range(len(names)):
        means.add_camera()
        mine = (camera == names[place]).nonzero()[0]
        for row in mine[np.unique(person[mine], return_index=True)[1]]:
            means.meet(place, vector[row])
    means.renew()
    less = vector - means.used[np.searchsorted(names, camera)]
    less = less / np.maximum(np.linalg.norm(less, axis=1, keepdims=True), 1e-12)
    a, b = np.triu_indices(len(less), 1)
    return VisitPairs((1.0 - less @ less.T)[a, b], person[a] == person[b], camera[a] == camera[b])


def visits_of(looks: LabelledPictures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, D) float64 unit means, (V,) persons, (V,) cameras; two visits of who has two pictures in a camera."""
    named = (looks.person > 0).nonzero()[0]
    order = named[np.lexsort((named, looks.camera[named], looks.person[named]))]
    person, camera = looks.person[order], looks.camera[order]
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(person) != 0) | (np.diff(camera) != 0)
    begin = first.nonzero()[0]
    count = np.diff(np.append(begin, len(order)))
    begin = np.unique(np.concatenate((begin, (begin + count // 2)[count > 1])))
    if not len(begin):
        return np.zeros((0, looks.vector.shape[1])), person, camera
    mean = np.add.reduceat(looks.vector[order].astype(np.float64), begin)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True), person[begin], camera[begin]


def fit_maps(sets: Mapping[str, LabelledPictures], config: MemoryConfig) -> MemoryConfig:
    """The config with maps that suit these weights.

    Distances are counted in each set's own unit, and every set and both kinds of pairs weigh alike; the map is the
    logistic regression of being one person (Platt 1999), so its value is the log-likelihood ratio.

    Args:
        sets: by name, of people whom the network was not trained on, in two cameras or more.
        config: whose ``centre_half`` counts; all but the maps and ``strangers`` stays.

    Raises:
        InputError: a set with too few pairs of one person in two cameras; weights that tell nobody apart.
    """
    if not sets:
        raise InputError("no labelled set to fit on")
    for name, looks in sets.items():
        if not np.isfinite(looks.vector).all():
            raise InputError(f"{name}: its vectors are not finite")
    found = {name: visit_pairs(looks, config.centre_half) for name, looks in sets.items()}
    for name, pairs in found.items():
        count = int((pairs.same & ~pairs.here).sum())
        if count < FEWEST:
            raise InputError(
                f"{name}: {count} pairs of one person in two cameras, at least {FEWEST} are needed"
            )
        if not (pairs.here & ~pairs.same).any():
            raise InputError(
                f"{name}: nobody is beside another in one camera: how far strangers are apart is not known"
            )
        if not pairs.unit > LEAST_UNIT:
            raise InputError(
                f"{name}: people of one camera look all alike to these weights; nothing can be fitted"
            )
    strangers = float(np.mean([pairs.unit for pairs in found.values()]))
    across = {name: ~pairs.here for name, pairs in found.items()}
    distance = np.concatenate([p.distance[across[n]] * (strangers / p.unit) for n, p in found.items()])
    same = np.concatenate([p.same[across[n]] for n, p in found.items()])
    weight = np.concatenate([_balanced(p.same[across[n]]) for n, p in found.items()])
    offset, slope = _logistic(distance, same, weight)
    if not slope * strangers > LEAST_TOLD:
        raise InputError(
            "people are as far from themselves as from others by these weights; nothing can be fitted"
        )
    strangers, slope = FIRST * strangers, slope / FIRST  # the same map in a smaller unit
    told = {
        "other_camera": LikelihoodRatio(offset=round(offset, 2), slope=round(slope, 2)),
        "same_camera": LikelihoodRatio(
            offset=round(offset - float(np.log(NEARER)), 2), slope=round(slope, 2)
        ),
        "strangers": round(strangers, 3),
    }
    return config.model_copy(update=told)


def _balanced(same: np.ndarray) -> np.ndarray:
    """(P,) weights by which pairs of one person and of two count alike, together 1."""
    return np.where(same, 0.5 / max(same.sum(), 1), 0.5 / max((~same).sum(), 1))


def _logistic(distance: np.ndarray, same: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """``offset`` and ``slope`` of the least weighted log loss of ``offset - slope x distance``."""
    sign = np.where(same, -1.0, 1.0)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        odds = sign * (values[0] - values[1] * distance)
        pull = weight * sign / (1.0 + np.exp(-odds))
        return float(weight @ np.logaddexp(0.0, odds)), np.array([pull.sum(), -(pull @ distance)])

    found = minimize(loss, np.array([10.0, 15.0]), jac=True, method="BFGS", options={"gtol": 1e-9})
    return float(found.x[0]), float(found.x[1])


def fit_memory(
    path: Path,
    vectors: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    weights: str,
    config: str = "default",
) -> MemoryConfig:
    """A memory's config for these weights as a file, for ``Memory(config=...)`` and ``track.py --memory-config``.

    Args:
        path: the YAML file.
        vectors: by name of the set: (N, D) unit, (N,) people, (N,) cameras.
        weights: what made them, for the file's ``source``.
        config: a preset or file of which all other numbers are taken.

    Raises:
        InputError: see `fit_maps`; a place that cannot be written.
    """
    given = load_preset(config, MemoryConfig, "memory")
    found = fit_maps({name: LabelledPictures(*each) for name, each in vectors.items()}, given)
    source = f"Maps of {weights} on {', '.join(vectors)} (retrace calibrate-reid); the rest as {config}."
    found = found.model_copy(update={"source": source})
    with writing(path), atomic_write(path) as file:
        yaml.safe_dump(found.model_dump(mode="json"), file, sort_keys=False, width=110)
    return found
