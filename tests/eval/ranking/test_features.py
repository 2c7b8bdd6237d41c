"""eval/ranking/features.py: what is done to vectors before they are ranked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.features import CENTRED_LEAST, Features, Side, centred
from retrace.eval.ranking.ranks import evaluate_ranking
from retrace.eval.ranking.tables import Wanted, score_features

PEOPLE, DIMENSIONS = 40, 16


def two_cameras(light: float) -> Features:
    """40 people, one image by each of two cameras; each camera adds ``light`` in a direction of its own."""
    rng = np.random.default_rng(5)
    person, ids = rng.normal(size=(PEOPLE, DIMENSIONS)), np.arange(1, PEOPLE + 1)
    sides = []
    for camera in range(2):
        offset = np.zeros(DIMENSIONS)
        offset[camera] = light
        features = person + offset + 0.3 * rng.normal(size=person.shape)
        sides.append(Side(features.astype(np.float32), ids, np.full(PEOPLE, camera), None))
    return Features("mine", *sides, (), {})


def slow_centred(features: Features, by: str) -> list[np.ndarray]:
    """Image by image."""
    every = [
        (vector / np.linalg.norm(vector), camera)
        for side in (features.query, features.gallery)
        for vector, camera in zip(side.features.astype(np.float64), side.cameras, strict=True)
    ]
    found = []
    for vector, camera in every:
        same = [other for other, its in every if by == "set" or its == camera]
        moved = vector - sum(same) / len(same)
        found.append(moved / np.linalg.norm(moved))
    return found


@pytest.mark.parametrize("by", ["set", "camera"])
def test_it_is_its_slow_twin(by: str) -> None:
    moved = centred(two_cameras(2.0), by)
    both = np.concatenate([moved.query.features, moved.gallery.features])
    assert np.allclose(both, slow_centred(two_cameras(2.0), by), atol=1e-6)
    assert moved.about == {"centre": by}


def test_what_a_camera_gives_to_everybody_goes() -> None:
    dark, same = two_cameras(8.0), two_cameras(0.0)
    plain, moved = (evaluate_ranking(*each.arrays) for each in (dark, centred(dark, "camera")))
    assert moved.mAP > 0.9 > 0.6 > plain.mAP
    unmoved, still = (evaluate_ranking(*each.arrays) for each in (same, centred(same, "camera")))
    assert abs(unmoved.mAP - still.mAP) < 0.05


def test_the_whole_set_has_one_mean() -> None:
    features = two_cameras(3.0)
    everywhere = replace(features, gallery=replace(features.gallery, cameras=features.query.cameras))
    for a, b in zip(centred(features, "set").arrays, centred(everywhere, "camera").arrays, strict=True):
        if a.ndim == 2:
            assert np.array_equal(a, b)


def test_a_mean_of_few_is_refused() -> None:
    features = two_cameras(1.0)
    few = replace(features.query, cameras=np.where(np.arange(PEOPLE) < CENTRED_LEAST - 1, 5, 0))
    with pytest.raises(InputError, match="a mean of 11 images says little of camera 0; expected 30 or more"):
        centred(replace(features, query=few), "camera")
    with pytest.raises(InputError, match="expected set or camera, got 'cameras'"):
        centred(features, "cameras")


def test_scores_say_so() -> None:
    found = score_features([two_cameras(8.0)], Wanted(centre="camera"))
    assert found.as_json()["centre"] == "camera"
    assert "less the mean of each camera's images, transductive" in found.under[-1]
    assert "transductive" in str(found.sections[0].lines[1])
    assert found.as_json()["mAP"] > 0.9
    found = score_features([two_cameras(8.0)], Wanted(centre="set"))
    assert "less the mean of all images, transductive" in found.under[-1]


@pytest.mark.parametrize(
    ("by", "how"),
    [(None, "not centred"), ("set", "less the mean of all"), ("camera", "less the mean of each camera's")],
)
def test_the_space_is_of_these_vectors(by: str | None, how: str) -> None:
    found = score_features([two_cameras(8.0)], Wanted(centre=by, also=("space",)))
    (section,) = (one for one in found.sections if one.key == "space")
    assert f"numbers, {how}: compare" in section.notes[0]


def test_what_cannot_be_centred_is_named() -> None:
    features = two_cameras(1.0)
    same = replace(features.query, features=np.ones((PEOPLE, DIMENSIONS), np.float32))
    with pytest.raises(InputError, match="a vector is the mean of its camera, and nothing is left"):
        centred(replace(features, query=same), "camera")
    zero = features.gallery.features.copy()
    zero[3] = 0
    with pytest.raises(InputError, match="gallery_features: row 3 is all zero"):
        centred(replace(features, gallery=replace(features.gallery, features=zero)), "set")
