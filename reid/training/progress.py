"""What a training tells on the way, and how fast it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from retrace.reid.training.steps import Iteration

HEARTBEAT = 5.0  # s: a caller hears of a slow training at least this often


@dataclass(frozen=True, slots=True)
class Progress:
    """What :func:`fit` tells on the way.

    Attributes:
        stage: "decode train" (query, gallery) or "train".
        done, total: images decoded, iterations trained.
        note: a line worth keeping, where there is one; then the rest may be empty.
        epoch, images: seen so far.
        loss, rate: of the last iteration; rate is the network's learning rate.
        images_per_s: since the last time, evaluations left out.
        seconds_left: at that speed, evaluations left out.
        figures: of the last evaluation, fractions: "rank-1", "mAP" and so on; empty before it.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    note: str = ""
    epoch: float = 0.0
    images: int = 0
    loss: float = float("nan")
    rate: float = 0.0
    images_per_s: float = 0.0
    seconds_left: float = float("nan")
    figures: Mapping[str, float] = field(default_factory=dict)


class Speedometer:
    """How fast a training is; what it does beside training does not count."""

    def __init__(self, iteration: int) -> None:
        self.since, self.iteration = time.perf_counter(), iteration

    def silent(self) -> bool:
        return time.perf_counter() - self.since > HEARTBEAT

    @contextmanager
    def stopped(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self.since += time.perf_counter() - before

    def progress(self, step: Iteration, iterations: int, figures: Mapping[str, float]) -> Progress:
        now = time.perf_counter()
        batch = step.images // step.number
        speed = (step.number - self.iteration) * batch / max(now - self.since, 1e-9)
        self.since, self.iteration = now, step.number
        return Progress(
            stage="train",
            done=step.number,
            total=iterations,
            epoch=step.epoch,
            images=step.images,
            loss=float(step.loss),
            rate=step.rate,
            images_per_s=speed,
            seconds_left=(iterations - step.number) * batch / speed,
            figures=figures,
        )
