"""tools/train_reid.py in a process of its own, for what cannot be tested within one: SIGKILL, several processes.

The tests fork these from a server that has imported this module once (tests/tools/forked.py), since every fresh
process would spend seconds on importing torch.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

import torch

import retrace.reid.training.fit as training_run
from retrace.reid.config import ModelConfig
from retrace.reid.networks.build import build
from retrace.tools.train_reid import main
from tests.tools.forked import CONTEXT, begin_server

network = build(ModelConfig(name="timm.test_resnet"), 0, (32, 16))  # imports timm
torch.optim.SGD(network.parameters(), lr=1.0)  # imports torch._dynamo: more than a second


def start(argv: list[str], killed_at: int | None = None, rank: int = 0, world: int = 1, port: int = 0) -> Any:
    """A running process; with ``world`` > 1 under the environment that torchrun gives."""
    begin_server()
    process = CONTEXT.Process(target=_run, args=(argv, killed_at, rank, world, port))
    process.start()
    return process


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _run(argv: list[str], killed_at: int | None, rank: int, world: int, port: int) -> None:
    torch.set_num_threads(1)
    if world > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        _keep_weights(rank)
    if killed_at is not None:
        _die_after(killed_at)
    main(argv)


def _die_after(iteration: int) -> None:
    """SIGKILL right after the log line of ``iteration``."""
    log_step = training_run.Log.step

    def step(self: Any, step: Any, speed: float) -> None:
        log_step(self, step, speed)
        if step.number == iteration:
            os.kill(os.getpid(), signal.SIGKILL)

    training_run.Log.step = step  # type: ignore[method-assign]


def _keep_weights(rank: int) -> None:
    """Every process leaves its network in OUT/rankN.pt."""
    loop = training_run.loop

    def kept(training: Any, parts: Any, labels: Any, known: Any, way: Any) -> Any:
        figures = loop(training, parts, labels, known, way)
        torch.save(dict(training.network.named_parameters()), way.out / f"rank{rank}.pt")
        return figures

    training_run.loop = kept
