"""Heads on frozen vectors: they learn, repeat to the last bit, and everybody who takes part can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from retrace.reid.data.sets import ReidImages  # noqa: E402
from retrace.tools.loss_bench import frozen  # noqa: E402
from retrace.tools.loss_bench.entrants import objective, read_bench  # noqa: E402
from retrace.tools.loss_bench.people import few_of_each, hold_out, space_of  # noqa: E402

BENCH = read_bench().model_copy(
    update={
        "validation": 6,
        "frozen": read_bench().frozen.model_copy(update={"dimensions": 24, "look": 20}),
    }
)


def part(people: int, first: int, seed: int, images: int = 6) -> frozen.Part:
    """Unit rows: a person's own 32 numbers under as much of a nuisance that lies in 6 directions."""
    draw = np.random.default_rng(seed)
    nuisance = np.random.default_rng(99).normal(size=(6, 32))
    ids = np.repeat(np.arange(first, first + people), images)
    own = draw.normal(size=(people, 32))[ids - first]

    def seen() -> np.ndarray:
        x = own + 1.2 * draw.normal(size=(len(ids), 6)) @ nuisance + 0.3 * draw.normal(size=own.shape)
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    cameras = np.tile(np.arange(images) % 3, people)
    return frozen.Part(
        ReidImages(tuple(Path(f"{k}.jpg") for k in range(len(ids))), ids, cameras), seen(), seen()
    )


def split(whole: frozen.Part) -> tuple[frozen.Part, frozen.Part]:
    first = np.flatnonzero(np.arange(len(whole.vectors)) % 6 < 3)
    return whole.take(first), whole.take(np.setdiff1d(np.arange(len(whole.vectors)), first))


PEOPLE = frozen.EmbeddedPeople(part(24, 1, 0), *split(part(12, 101, 1)), split(part(12, 201, 2)))


def test_a_head_learns_and_repeats() -> None:
    before = frozen.final(PEOPLE, BENCH, "triplet", 0, 1, 1)
    after = frozen.final(PEOPLE, BENCH, "triplet", 0, 1, 60)
    assert after["mAP"] > before["mAP"] + 0.1
    assert after["other"]["mAP"] > before["other"]["mAP"] + 0.1
    assert frozen.final(PEOPLE, BENCH, "triplet", 0, 1, 60) == after
    assert frozen.final(PEOPLE, BENCH, "triplet", 0, 2, 60)["people"] != after["people"]
    people = after["people"]
    assert sum(people["ap"]) / sum(people["queries"]) == pytest.approx(after["mAP"], abs=1e-4)
    assert sum(people["hits"]) / sum(people["queries"]) == pytest.approx(after["rank-1"], abs=1e-4)


def test_the_search_looks_at_people_it_does_not_train_on() -> None:
    found = frozen.search(PEOPLE, BENCH, "ce", 1, 0, 40)
    assert list(found["curve"]) == ["20", "40"]
    assert found["rate"] == pytest.approx(1e-3 / 3)
    images = PEOPLE.train.images
    choice = hold_out(images.ids, images.cameras, 6)
    parts = [set(images.ids[rows]) for rows in (choice.train, choice.query, choice.gallery)]
    assert len(parts[0]) == 18
    assert not parts[0] & (parts[1] | parts[2])
    assert parts[1] == parts[2]
    assert len(choice.query) == 6 * 3, "one query a person and camera"
    assert len(choice.train) + len(choice.query) + len(choice.gallery) == len(images)


@pytest.mark.parametrize("name", [n for n in BENCH.taking_part("frozen") if n not in ("ce", "triplet")])
def test_everybody_who_takes_part_can(name: str) -> None:
    losses, rate = objective(BENCH, "frozen", name, 0, 1e-3)
    run = frozen.HeadTraining(BENCH, BENCH.entrants[name], losses, rate, PEOPLE.train, 1, 300)
    for done in run.go():
        if done == 2:
            break
    vectors = run.of(PEOPLE.query.vectors)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_few_of_each() -> None:
    ids = np.array([7, 3, 7, 7, 7, 7, 3, 5])
    assert few_of_each(ids).tolist() == [0, 1, 2, 3, 4, 6, 7]
    images = part(10, 1, 3)
    space = space_of(images.vectors, images.images.ids)
    assert 0 < space["effective_rank"] <= 32
