"""Few-shot adaptation: it learns what disturbs, leaves what it cannot better, repeats."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from retrace.configs import InputError
from retrace.tools.scoring.adaptation import adapt, last_layer


def disturbed(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """12 people in 16 numbers, under a nuisance twice as strong in 3 directions that all share."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(1, 13), 8)
    nuisance = np.random.default_rng(9).standard_normal((3, 16))
    return rng.standard_normal((12, 16))[ids - 1] + 1.5 * rng.standard_normal((96, 3)) @ nuisance, ids


def test_a_few_images_show_what_disturbs() -> None:
    x, ids = disturbed(0)
    found = adapt(x, ids, shots=4, episodes=2, steps=200, rate=1e-2)
    assert found.mAP_after > found.mAP_before + 0.05
    assert found.recall_after >= found.recall_before
    assert adapt(x, ids, shots=4, episodes=2, steps=200, rate=1e-2) == found


def test_without_steps_nothing_changes() -> None:
    x, ids = disturbed(1)
    found = adapt(x, ids, episodes=2, steps=0)
    assert (found.mAP_before, found.recall_before) == (found.mAP_after, found.recall_after)
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    assert (last_layer(unit, ids - 1, 0, 1e-3, 0) == np.eye(16)).all()


def test_too_few_images() -> None:
    x, ids = disturbed(2)
    with pytest.raises(InputError, match="with 7 images: only 0 people have 9 or more"):
        adapt(x, ids, shots=7)
