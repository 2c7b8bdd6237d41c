"""Weights and labelled sets -> a calibration, with a fair figure for each set: what the others' map is worth on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.reid.calibration.card import Calibration, calibrate, fingerprint
from retrace.reid.calibration.measures import reliability
from retrace.reid.calibration.pairs import RELATIONS, LabelledPairs, labelled_pairs
from retrace.reid.data.image_cache import image_cache_folder, open_sound_images
from retrace.reid.data.sets import ReidImages, ReidSet
from retrace.reid.embedder import Embedder

CHUNK = 256  # images between two reports
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The calibration of all sets, and how well one transfers.

    Attributes:
        errors: by set and relation the expected calibration error: of the map of the other sets where there are
            others, else of its own map, which flatters.
        left_out: whether it was left out.
        vectors: by set what was embedded: (N, D) float32 unit, (N,) people, (N,) cameras.
    """

    calibration: Calibration
    errors: dict[tuple[str, str], float]
    left_out: bool
    vectors: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def calibrate_weights(
    embedder: Embedder,
    sets: Sequence[ReidSet],
    cache: str | Path | None = None,
    advance: Advance | None = None,
) -> Calibrated:
    """Fit the maps of some weights.

    Args:
        embedder: with the weights.
        sets: of people whom the network was not trained on; query and gallery together, or train where there is no
            other. Several sets of several kinds transfer best.
        cache: of decoded images; None: the usual place.
        advance: called as (images done, of how many), set after set.

    Raises:
        InputError: no relation has enough pairs, or a set is given twice.
    """
    found: dict[str, dict[str, LabelledPairs]] = {}
    vectors = {}
    for name, each in zip(_names(sets), sets, strict=True):
        vectors[name] = _embedded(embedder, _images(each), cache, advance)
        found[name] = labelled_pairs(*vectors[name])
    cosines = fingerprint(embedder.crops, embedder.size)
    whole = calibrate([*found.values()], ", ".join(found), cosines)
    errors = {}
    for name, pairs in found.items():
        others = [value for key, value in found.items() if key != name]
        judge = calibrate(others) if others else whole
        for relation in RELATIONS:
            told = pairs[relation]
            if relation in judge.maps and told.same.any() and not told.same.all():
                chance = judge.map(relation).probability(told.distance)
                errors[name, relation] = reliability(chance, told.same).ece
    return Calibrated(whole, errors, len(found) > 1, vectors)


def _names(sets: Sequence[ReidSet]) -> list[str]:
    """Of sets, one each: where several have one name, so much of the ends of their paths as tells them apart.

    Raises:
        InputError: a set is given twice.
    """
    places = [each.place.resolve() for each in sets]
    for place, each in zip(places, sets, strict=True):
        if places.count(place) > 1:
            raise InputError(f"{each.place}: is given twice")
    names, parts = [each.name for each in sets], 0
    while alike := {name for name in names if names.count(name) > 1}:
        parts += 1
        names = [
            "/".join(place.parts[-parts:]) if name in alike else name
            for name, place in zip(names, places, strict=True)
        ]
    return names


def _images(data: ReidSet) -> list[ReidImages]:
    tested = [part for part in (data.query, data.gallery) if part is not None]
    return tested or [part for part in (data.train,) if part is not None]


def _embedded(
    embedder: Embedder, parts: Sequence[ReidImages], cache: str | Path | None, advance: Advance | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    folder = Path(cache) if cache else image_cache_folder()
    vectors, ids, cameras = [], [], []
    for part in parts:
        images, pixels, _ = open_sound_images(part, embedder.size, folder)
        for start in range(0, len(images), CHUNK):
            vectors.append(embedder.crops(np.array(pixels[start : start + CHUNK])))  # a copy: torch wants one
            if advance is not None:
                advance(min(start + CHUNK, len(images)), len(images))
        ids.append(images.ids)
        cameras.append(images.cameras)
    return np.concatenate(vectors), np.concatenate(ids), np.concatenate(cameras)
