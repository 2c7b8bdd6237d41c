"""What a training step costs with each objective, beside cross-entropy + batch-hard, in one run.

CPU time of one thread: forward and backward of the objective on a batch as a run has it (64 images, 512 numbers, 751
people, feature maps of 128 x 8 x 4), and a step of the network with the entrant's heads and views, all in turn, so
that a slow minute hits all alike. The ratio is (network + objective) to (network + yardstick). Teachers look once,
before the first step, so they cost nothing in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrace.configs.errors import InputError, nearest
from retrace.configs.loader import validate
from retrace.configs.reading import read_json
from retrace.reid.config import TrainConfig
from retrace.reid.losses.batch import Batch
from retrace.reid.losses.objective import Objective, Sizes
from retrace.reid.networks.heads import head_dimensions
from retrace.reid.sampling.held_back import FIGURES
from retrace.reid.training.state import start
from retrace.reid.training.steps import steps
from retrace.tools.loss_bench.entrants import CE, Bench, Entrant, objective

CLASSES, DIMENSIONS, CHANNELS, MAP, TEACHER = 751, 512, 128, (8, 4), 512
LABELS = {"viewpoint": 3, "clothes": 10, "frame": 32}
ROUNDS = 7
LIMIT = 1.3  # of a step, times CE + batch-hard's


@dataclass(frozen=True, slots=True)
class Cost:
    """Of an entrant."""

    ms: float  # CPU, of the objective in a step
    ratio: float  # of a whole step to the yardstick's


def read_costs(path: Path) -> dict[str, Cost]:
    """What :func:`measure` found, by entrant; nothing where nobody measured."""
    return {n: Cost(**one) for n, one in read_json(path)["entrants"].items()} if path.is_file() else {}


def measure(
    bench: Bench, names: tuple[str, ...], tell: Callable[[str], None], rounds: int = ROUNDS
) -> dict[str, Any]:
    """{"network_ms", "entrants": {name: {"ms", "ratio"}}}; ratios are what to quote."""
    torch.set_num_threads(1)
    for name in names:
        if name not in bench.entrants:
            raise InputError(f"`entrants`: unknown {name!r}; {nearest(name, bench.entrants)}")
    who = {n: e for n, e in bench.entrants.items() if not names or n in names or n == bench.yardstick}
    calls = {name: timed(bench, name, entrant) for name, entrant in who.items()}
    calls["network"] = network_step(bench)
    others = [name for name, entrant in who.items() if entrant.heads or entrant.views > 1]
    calls |= {f"network of {name}": network_step(bench, who[name]) for name in others}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(rounds + 1):  # the first warms up
        for name, call in calls.items():
            begin = time.process_time()
            call()
            if k:
                taken[name].append(1000 * (time.process_time() - begin))
    ms = {name: statistics.median(values) for name, values in taken.items()}
    base = ms["network"] + ms[bench.yardstick]
    found = {}
    for name in who:
        whole = ms.get(f"network of {name}", ms["network"]) + ms[name]
        found[name] = {"ms": round(ms[name], 2), "ratio": round(whole / base, 3)}
    tell(f"a step of the network {ms['network']:.0f} ms; objective ms, whole step / {bench.yardstick}'s:")
    for name, one in sorted(found.items(), key=lambda kv: kv[1]["ratio"]):
        tell(
            f"  {name:28s}{one['ms']:9.2f}{one['ratio']:8.3f}{'  above ' + str(LIMIT) if one['ratio'] > LIMIT else ''}"
        )
    return {"network_ms": round(ms["network"], 1), "rounds": rounds, "entrants": found}


def timed(bench: Bench, name: str, entrant: Entrant) -> Callable[[], None]:
    """Forward and backward of an entrant's objective beside cross-entropy, once."""
    losses, _ = objective(bench, "scratch", name, 0, 1e-3)
    sizes = Sizes(
        CLASSES,
        DIMENSIONS,
        identities=bench.identities,
        images=bench.images,
        iterations=1000,
        channels=CHANNELS,
        map_size=MAP,
        teacher_dimensions=TEACHER if entrant.teacher else 0,
        views=entrant.views,
        heads={key: head_dimensions(head) for key, head in entrant.heads.items()},
        live=entrant.teacher and entrant.views > 1,
        clusters=entrant.sampler.clusters if entrant.sampler.kind == "cluster" else 0,
        held=entrant.held > 0,
        labels=LABELS,
    )
    torch.manual_seed(0)
    made = Objective(losses, sizes)
    batch = a_batch(bench, entrant, sizes)

    def call() -> None:
        batch["step"].fill_(5000)  # whatever begins late has begun
        batch.others.clear()
        for derived in ("same", "positives", "negatives", "distances", "unit", "cosines", "unit_distances"):
            batch.known.pop(derived, None)
        made.zero_grad(set_to_none=True)
        loss, _ = made(batch)
        loss.backward()

    call()
    return call


def a_batch(bench: Bench, entrant: Entrant, sizes: Sizes) -> Batch:
    """Random numbers in the shapes of a run."""
    draw = torch.Generator().manual_seed(0)
    count = bench.identities * bench.images

    def vectors(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=draw).requires_grad_()

    ids = torch.arange(count) // bench.images * 7
    labels = {name: torch.arange(count) % values for name, values in LABELS.items()}
    two = entrant.views == 2
    return Batch(
        embeddings=vectors(DIMENSIONS),
        features=vectors(DIMENSIONS),
        logits=vectors(CLASSES),
        pooled=vectors(CHANNELS),
        maps=vectors(CHANNELS, *MAP),
        heads={name: vectors(size) for name, size in sizes.heads.items()},
        second=vectors(DIMENSIONS) if two else None,
        second_heads={name: vectors(size) for name, size in sizes.heads.items()} if two else None,
        teacher=torch.nn.functional.normalize(vectors(TEACHER).detach(), dim=1) if entrant.teacher else None,
        teacher_second=torch.nn.functional.normalize(vectors(TEACHER).detach(), dim=1)
        if sizes.live
        else None,
        cluster=torch.zeros(count, dtype=torch.int64) if sizes.clusters else None,
        held=torch.full((FIGURES,), 0.5) if sizes.held else None,
        held_at=torch.tensor(0) if sizes.held else None,
        ids=ids,
        cameras=torch.arange(count) % 6,
        rows=torch.arange(count),
        step=torch.tensor(0),
        progress=torch.tensor(0.5),
        class_means=torch.randn(CLASSES, DIMENSIONS, generator=draw) / 30,
        class_spread=torch.full((CLASSES,), 0.6),
        class_levels=torch.full((CLASSES, CLASSES), 1.0),
        labels=labels,
        **labels,
    )


def network_step(bench: Bench, entrant: Entrant | None = None) -> Callable[[], None]:
    """A whole step of the network with plain cross-entropy, whose own cost is next to nothing, on every head too."""
    heads = entrant.heads if entrant else {}
    config = dict(bench.scratch.config)
    config |= {
        "model": config["model"] | {"heads": {name: head.model_dump() for name, head in heads.items()}},
        "losses": {CE: {}} | {f"centre@{name}": {"on": name, "weight": 0.001} for name in heads},
        "views": entrant.views if entrant else 1,
        "batch": {"identities": bench.identities, "images": bench.images},
        "epochs": 1000,
    }
    checked = validate(config, TrainConfig, "scratch.config")
    count = 8 * bench.identities * bench.images
    pixels = np.random.default_rng(0).integers(0, 255, (count, *checked.size, 3), np.uint8)
    labels = np.arange(count) // bench.images
    training = start(checked, int(labels.max()) + 1, count, "cpu")
    endless = steps(training, pixels, labels, labels % 6)

    def call() -> None:
        next(endless)

    return call
