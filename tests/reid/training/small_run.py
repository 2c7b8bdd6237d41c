"""A run of a few seconds: four people by the colour of coat and trousers."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import torch

from retrace.reid.config import TrainConfig
from retrace.reid.training import state as training
from retrace.reid.training.state import Training
from retrace.reid.training.steps import Iteration, steps

IDS, EACH, SIZE = 4, 6, (32, 16)
LABELS = np.repeat(np.arange(IDS), EACH)
CAMERAS = np.arange(IDS * EACH) % 2
COLUMNS = {"pose": np.arange(IDS * EACH) % 3, "frame": np.arange(IDS * EACH) % EACH // 2}


def pictures() -> np.ndarray:
    """(24, 32, 16, 3): four people by the colour of coat and trousers, other noise in each image."""
    random = np.random.default_rng(0)
    images = random.integers(0, 90, (len(LABELS), *SIZE, 3))
    for image, person in zip(images, LABELS, strict=True):
        image[4:16, 4:12, person % 3] += 150
        image[16:, 4:12, (person + 1) // 2] += 120
    return images.astype(np.uint8)


PIXELS = pictures()
PLAIN = {"flip": 0.0, "pad": 0}
# timm's network for tests: 18 convolutions, where the smallest OSNet has 180 and takes four times as long.
NETWORK: dict[str, Any] = {"name": "timm.test_resnet", "embedding": 16, "last_stride": 1}
OSNET: dict[str, Any] = {"name": "osnet_x0_25", "embedding": 16}


def config(**changes: Any) -> TrainConfig:
    raw: dict[str, Any] = {
        "model": NETWORK,
        "size": SIZE,
        "augment": {"flip": 0.5, "pad": 2},
        "batch": {"identities": 4, "images": 2},
        "losses": {"cross_entropy": {}, "batch_hard_triplet": {}},
        "optimizer": {"lr": 1e-3},
        "schedule": {"kind": "constant", "warmup": 0},
        "epochs": 3,
    }
    return TrainConfig.model_validate(raw | changes)


def begin(**changes: Any) -> Training:
    return training.start(config(**changes), IDS, len(LABELS), "cpu", columns=dict.fromkeys(COLUMNS, 3))


def go(run: Training, count: int | None = None, teacher: np.ndarray | None = None) -> list[Iteration]:
    return list(itertools.islice(steps(run, PIXELS, LABELS, CAMERAS, teacher, COLUMNS), count))


def stored(state: Any) -> Any:
    """Through the file format of the checkpoint."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b
