"""Images per CPU-second that a network trains on, forward and backward, in one run on one thread.

Ways take turns within a round; medians over rounds. "bfloat16, plain" is torch's own backward pass, "bfloat16" the
one of `retrace.reid.networks.depthwise`, which training takes. Augmentation, losses' own cost and the optimiser are
not in it. Quote the ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError, load_preset

if TYPE_CHECKING:
    from retrace.reid.config import TrainConfig

PLAIN = "bfloat16, plain"
CLASSES = 100


def measure(
    configs: Sequence[str] = ("osnet_x0_25_general", "mobilenetv2_general"),
    batch: int = 64,
    rounds: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """:func:`measure_training`, and what was measured; ``say`` is told the table."""
    rows = measure_training(configs, batch, rounds)
    say(f"{'':24} {'':10} {'':16} images/CPU-s  times plain")
    for row in rows:
        size = "x".join(map(str, row["size"]))
        say(f"{row['config']:24} {size:10} {row['way']:16} {row['images_per_s']:12.0f}  {row['ratio']:11.2f}")
    return {"batch": batch, "training": rows}


def measure_training(configs: Sequence[str], batch: int = 64, rounds: int = 5) -> list[dict[str, Any]]:
    """One row a preset and way: "config", "size" (H, W in px), "way", "images_per_s", "ratio" to ``PLAIN``.

    Args:
        configs: presets of ``configs/reid``, or YAML files; of their networks and sizes, with random weights.
        batch: images of a step.

    Raises:
        InputError: no such preset, a network that cannot be built, counts below 1 (a batch below 2).
    """
    if batch < 2 or rounds < 1:
        raise InputError("`batch` must be at least 2, `rounds` at least 1")
    import torch

    from retrace.reid.config import TrainConfig

    torch.set_num_threads(1)
    rows = []
    for name in configs:
        config = load_preset(name, TrainConfig, "reid")
        ways = _ways(config, batch)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for step in ways.values():
            step()
        for _ in range(rounds):
            for way, step in ways.items():
                start = time.process_time()
                step()
                seconds[way].append(time.process_time() - start)
        typical = {way: statistics.median(taken) for way, taken in seconds.items()}
        rows += [
            {
                "config": name,
                "size": list(config.size),
                "way": way,
                "images_per_s": batch / taken,
                "ratio": typical[PLAIN] / taken,
            }
            for way, taken in typical.items()
        ]
    return rows


def _ways(config: TrainConfig, batch: int) -> dict[str, Callable[[], None]]:
    """A step each, of networks with the same weights."""
    import copy

    import torch

    from retrace.reid.networks.build import build
    from retrace.reid.networks.depthwise import quicken_depthwise

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        plain = build(config.model, CLASSES, config.size).train()
        plain = plain.to(memory_format=layout)  # type: ignore[call-overload]
        images = torch.randn(batch, 3, *config.size).to(memory_format=layout)
    quick = copy.deepcopy(plain)
    quicken_depthwise(quick)
    labels = torch.arange(batch) % CLASSES

    def step(network: torch.nn.Module, kind: torch.dtype) -> None:
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", kind, enabled=kind != torch.float32):
            logits = network(images).logits
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()

    return {
        "float32": lambda: step(plain, torch.float32),
        PLAIN: lambda: step(plain, torch.bfloat16),
        "bfloat16": lambda: step(quick, torch.bfloat16),
    }
