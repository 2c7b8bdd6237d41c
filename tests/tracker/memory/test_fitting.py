"""Maps of a memory from labelled pictures: beside the obvious way, and what a made-up law gives back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.loader import load_preset
from retrace.tracker.memory import Memory, MemoryConfig
from retrace.tracker.memory.fitting import LabelledPictures, fit_maps, fit_memory, visit_pairs, visits_of

CONFIG = load_preset("default", MemoryConfig, "memory", {"centre_half": 3.0})


def pictures(seed: int, people: int = 60, spread: float = 0.5, cast: float = 1.0) -> LabelledPictures:
    """Three pictures of each in each of two cameras, whose cast is in them; and somebody unnamed. In no order."""
    rng = np.random.default_rng(seed)
    own, light = rng.normal(size=(people + 1, 32)), cast * rng.normal(size=(2, 32))
    person, camera = np.repeat(np.arange(people + 1), 6), np.tile([0, 0, 0, 1, 1, 1], people + 1)
    vector = own[person] + light[camera] + spread * rng.normal(size=(len(person), 32))
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    order = rng.permutation(len(person))
    return LabelledPictures(vector[order].astype(np.float32), person[order], camera[order])


def test_the_pictures_of_a_person_in_a_camera_are_two_visits() -> None:
    looks = LabelledPictures(
        np.eye(6, dtype=np.float32), np.array([2, 1, 1, 1, 0, 2]), np.array([7, 7, 7, 7, 7, 8])
    )
    vector, person, camera = visits_of(looks)
    assert (person.tolist(), camera.tolist()) == ([1, 1, 2, 2], [7, 7, 7, 8])
    rows = [[1], [2, 3], [0], [5]]  # of the pictures: one, the other two, one, one
    np.testing.assert_allclose(vector, [np.eye(6)[r].sum(0) / np.sqrt(len(r)) for r in rows])


@pytest.mark.parametrize("half", [None, 3.0])
def test_pairs_equal_the_slow_way(half: float | None) -> None:
    looks = pictures(0, people=7)
    vector, person, camera = visits_of(looks)
    less = np.empty_like(vector)
    for place in (0, 1):
        firsts = [vector[(person == p) & (camera == place)][0] for p in range(1, 8)]
        for k in (camera == place).nonzero()[0]:
            off = 0 if half is None else np.sum(firsts, axis=0) / (7 + half)
            less[k] = (vector[k] - off) / np.linalg.norm(vector[k] - off)
    pairs = visit_pairs(looks, half)
    place = 0
    for a in range(len(less)):
        for b in range(a + 1, len(less)):
            assert pairs.distance[place] == pytest.approx(1 - less[a] @ less[b], abs=1e-6)
            assert pairs.same[place] == (person[a] == person[b])
            assert pairs.here[place] == (camera[a] == camera[b])
            place += 1
    assert place == len(pairs.distance)


def test_a_map_says_what_a_distance_is_worth() -> None:
    """The log-likelihood ratio that it states of held-out people is what counting finds: of pairs at about even odds as
    many are of one person as of two, both kinds weighed alike."""
    found = fit_maps({"one": pictures(1, spread=1.6), "other": pictures(2, spread=1.6)}, CONFIG)
    pairs = visit_pairs(pictures(3, people=200, spread=1.6), CONFIG.centre_half)
    across = ~pairs.here
    scaled = pairs.distance[across] * (found.strangers / pairs.unit)
    odds = found.other_camera.offset - found.other_camera.slope * scaled
    same = pairs.same[across]
    near = np.abs(odds) < 1.5
    share = same[near].sum() / same.sum(), (~same[near]).sum() / (~same).sum()
    assert 0.5 < share[0] / share[1] < 2
    assert found.same_camera.offset == pytest.approx(found.other_camera.offset - np.log(2), abs=0.011)
    assert found.same_camera.slope == found.other_camera.slope
    assert found.strangers == pytest.approx(0.92, abs=0.03)
    assert found.accept == CONFIG.accept


def test_no_other_map_has_less_loss() -> None:
    looks = pictures(4)
    found, pairs = fit_maps({"one": looks}, CONFIG), visit_pairs(looks, CONFIG.centre_half)
    across = ~pairs.here
    distance, same = pairs.distance[across], pairs.same[across]
    scaled = distance * (found.strangers / pairs.unit)

    def loss(offset: float, slope: float) -> float:
        odds = offset - slope * scaled
        return float(np.logaddexp(0, -odds[same]).mean() + np.logaddexp(0, odds[~same]).mean())

    best = loss(found.other_camera.offset, found.other_camera.slope)
    for more in (-0.5, 0.5):
        assert loss(found.other_camera.offset + more, found.other_camera.slope) > best
        assert loss(found.other_camera.offset, found.other_camera.slope + more) > best


def test_a_file_that_a_memory_takes(tmp_path: Path) -> None:
    looks = pictures(5)
    told = {"a set": (looks.vector, looks.person, looks.camera)}
    found = fit_memory(tmp_path / "mine.yaml", told, "net.onnx")
    with Memory(tmp_path / "m.db", "net", 32, config=str(tmp_path / "mine.yaml")) as memory:
        assert memory.config == found
        assert (
            memory.config.source == "Maps of net.onnx on a set (retrace calibrate-reid); the rest as default."
        )


def test_too_few_people() -> None:
    with pytest.raises(
        InputError, match="a set: 36 pairs of one person in two cameras, at least 50 are needed"
    ):
        fit_maps({"a set": pictures(6, people=9)}, CONFIG)
    alone = pictures(7)
    one = alone.camera == 0
    with pytest.raises(InputError, match="0 pairs of one person in two cameras"):
        fit_maps({"a set": LabelledPictures(alone.vector[one], alone.person[one], alone.camera[one])}, CONFIG)


def test_a_memory_takes_the_maps_of_its_weights(tmp_path: Path) -> None:
    """Whoever opens it, with nothing but its file; presets differ in nothing else."""
    strong, fast, default = (
        load_preset(name, MemoryConfig, "memory") for name in ("strong", "fast", "default")
    )
    maps = ("source", "same_camera", "other_camera", "strangers")
    for other in (strong, fast):
        assert other.model_dump(exclude={*maps}) == default.model_dump(exclude={*maps})
        assert other != default
    for name, weights, config in (
        ("a.db", "mobilenetv2_osnet_retrace.onnx 12ab", strong),
        ("b.db", "osnet_x0_25_retrace.onnx 12ab", default),
        ("e.db", "osnet_x0_25_fast.onnx 12ab", fast),
        ("c.db", "mine.v2.safetensors 12ab", default),
        ("d.db", "net", default),
    ):
        with Memory(tmp_path / name, weights, 32) as memory:
            assert memory.config == config
        with Memory(tmp_path / name, bank=3) as memory:
            assert memory.config == config.model_copy(update={"bank": 3})
        with Memory(tmp_path / name, config="default") as memory:
            assert memory.config == default
