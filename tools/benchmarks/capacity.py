"""From what one frame and one person cost to what a site needs: cores, memory, storage, network, and which is short.

The model is linear on purpose, so that it can be read and checked: decoding goes by pixels, detecting by frames
(networks have one input size), embedding by people, camera motion by frames (it looks at a small picture), tracking by
people. `bench.py pipeline --json` measures the unit costs on the machine that counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.reading import read_json

COSTS = ("decode_ms", "detect_ms", "embed_ms_a_person", "camera_ms", "track_ms", "bytes_a_box", "resident_mb")
BITS_A_PIXEL = 0.1  # of a camera's H.264 stream, where its rate is not given
LARGEST = 1e9  # of any number of a site or a machine
QUEUED = 16  # frames of a source that are in memory at most: read ahead, looked at ahead, being drawn


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured on one clip, on one core."""

    size: tuple[int, int]  # px, height and width
    people: float  # reported in a frame, mean
    decode_ms: float  # CPU ms a frame
    detect_ms: float  # CPU ms a frame
    embed_ms_a_person: float  # CPU ms
    camera_ms: float  # CPU ms a frame
    track_ms: float  # CPU ms a frame
    bytes_a_box: float  # of result text
    resident_mb: float  # of a process with its networks


@dataclass(frozen=True, slots=True)
class Site:
    """What is to be tracked."""

    cameras: int
    size: tuple[int, int] = (1080, 1920)  # px, height and width
    fps: float = 10.0  # frames a second that are tracked
    people: float = 10.0  # in a picture, mean
    mbit: float | None = None  # of a camera's stream, Mbit/s; None: by its pixels
    days: float = 30.0  # results are kept
    keep_video: bool = False  # so are the streams


@dataclass(frozen=True, slots=True)
class Machine:
    """What one machine gives."""

    cores: float = 16.0
    memory_gb: float = 64.0
    disk_tb: float = 4.0
    network_gbit: float = 1.0
    used: float = 0.7  # share of it that is planned for; the rest is for bursts and for machines that fail


def read_costs(path: Path) -> Costs:
    """The unit costs that `bench.py pipeline --json` wrote.

    Raises:
        InputError: no such file, or another one.
    """
    found = read_json(path).get("costs")
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: no costs in it; bench.py pipeline writes them as JSON")
    try:
        height, width = map(int, found["size"])
        values = {name: float(found[name]) for name in ("people", *COSTS)}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: costs are damaged ({error}); bench.py pipeline writes them as JSON"
        ) from None
    if min(height, width) < 1 or not all(math.isfinite(v) and v >= 0 for v in values.values()):
        raise InputError(f"{path}: costs must be finite and not negative")
    return Costs((height, width), **values)


def frame_ms(costs: Costs, size: tuple[int, int], people: float) -> dict[str, float]:
    """CPU ms of one frame of ``size`` (height, width) px with so many people, by stage."""
    pixels = size[0] * size[1] / (costs.size[0] * costs.size[1])
    return {
        "decode": costs.decode_ms * pixels,
        "detect": costs.detect_ms,
        "embed": costs.embed_ms_a_person * people,
        "camera": costs.camera_ms,
        "track": costs.track_ms * (people / costs.people if costs.people else 1.0),
    }


def needs(costs: Costs, site: Site) -> dict[str, float]:
    """What the whole site takes: cores, memory in GB, storage in TB, network in Gbit/s."""
    stages = frame_ms(costs, site.size, site.people)
    cores = site.cameras * site.fps * sum(stages.values()) / 1e3
    pixels = site.size[0] * site.size[1]
    mbit = pixels * site.fps * BITS_A_PIXEL / 1e6 if site.mbit is None else site.mbit
    processes = min(site.cameras, math.ceil(cores))  # of one core each; a camera that needs less shares one
    memory = processes * costs.resident_mb / 1e3 + site.cameras * QUEUED * pixels * 3 / 1e9
    seconds = site.days * 86_400
    storage = site.cameras * seconds * site.fps * site.people * costs.bytes_a_box / 1e12
    if site.keep_video:
        storage += site.cameras * seconds * mbit / 8 / 1e6
    return {
        "cores": cores,
        "memory_gb": memory,
        "disk_tb": storage,
        "network_gbit": site.cameras * mbit / 1e3,
    }


def machines_for(costs: Costs, site: Site, machine: Machine) -> dict[str, Any]:
    """How many machines the site needs, and which of their parts decides that.

    Returns:
        "frame_ms" by stage, "needs", "machines" by part as fractions, "count", "bottleneck", "cameras_a_machine".

    Raises:
        InputError: a number that cannot be.
    """
    _check(site, machine)
    wanted = needs(costs, site)
    gives = {part: getattr(machine, part) * machine.used for part in wanted}
    machines = {part: wanted[part] / gives[part] for part in wanted}
    bottleneck = max(machines, key=lambda part: machines[part])
    count = math.ceil(round(machines[bottleneck], 9))
    return {
        "frame_ms": frame_ms(costs, site.size, site.people),
        "needs": wanted,
        "machines": machines,
        "count": max(1, count),
        "bottleneck": bottleneck,
        "cameras_a_machine": site.cameras / machines[bottleneck],
    }


def _check(site: Site, machine: Machine) -> None:
    numbers = asdict(site) | asdict(machine) | {"height": site.size[0], "width": site.size[1]}
    for name, value in numbers.items():
        if name in ("people", "days"):
            good = 0 <= value <= LARGEST
        else:
            good = not isinstance(value, int | float) or 1 / LARGEST <= value <= LARGEST
        if not good and name != "keep_video":
            raise InputError(f"`{name}` must be a positive number up to {LARGEST:g}, got {float(value):g}")
    if machine.used > 1:
        raise InputError(f"`used` is a share of a machine, at most 1, got {machine.used:g}")
