"""The device that a process trains on, and the processes that train one network together (torchrun)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from retrace.configs import InputError


@contextmanager
def processes(device: str) -> Iterator[tuple[torch.device, bool]]:
    """This process's device, and whether it is the first; joins the others where torchrun started several.

    Raises:
        InputError: no such device.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    place = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")) if world > 1 else None)
    if world == 1:
        yield place, True
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield place, dist.get_rank() == 0
    finally:
        dist.destroy_process_group()


def pick_device(device: str, local_rank: int | None) -> torch.device:
    """ "auto", "cpu", "cuda" or "cuda:N" as torch calls it; ``local_rank``: this process's number on its machine.

    Raises:
        InputError: no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if local_rank is not None and device == "cuda":
        device = f"cuda:{local_rank}"
    try:
        place = torch.device(device)
    except RuntimeError:
        raise InputError(f"`device` {device}: expected auto, cpu, cuda or cuda:N") from None
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"`device` {device}: expected auto, cpu, cuda or cuda:N")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(f"`device` {device}: torch sees {torch.cuda.device_count()} CUDA devices; use cpu")
    return torch.device("cuda", place.index or 0) if place.type == "cuda" else place
