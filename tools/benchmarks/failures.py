"""A site in fast motion: cameras on machines that fail and come back, as a discrete-event simulation.

What it is for: how long cameras are blind with so many machines to spare, so much time until a failure is noticed and
so much until a tracker runs again. Tracking itself is not simulated; `capacity.py` says how many cameras fit a machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import install

DAY = 86_400.0  # s
LARGEST = 1e6  # cameras, machines, places of one, days
MOST_EVENTS = 1e7  # failures, and places of all machines: minutes of simulation


@dataclass(frozen=True, slots=True)
class Failures:
    """How machines fail, in seconds."""

    every: float = 30 * DAY  # a machine's mean time between failures
    repair: float = 3600.0  # until it is back
    notice: float = 10.0  # until its cameras are known to be blind
    restart: float = 5.0  # until a camera's tracker runs elsewhere, from its checkpoint


@dataclass(slots=True)
class _Machines:
    """Who is where."""

    env: Any
    free: Any  # simpy.Store of (machine, how often it has failed): a place for one camera
    life: list[int]  # how often each has failed
    at: list[set[int]]  # cameras of each
    blind: list[float] = field(default_factory=list)  # s of each outage of one camera
    since: dict[int, float] = field(default_factory=dict)  # cameras that are blind: from when


def simulate(
    cameras: int,
    machines: int,
    places: int,
    failures: Failures,
    days: float = 1.0,
    seed: int = 0,
    script: Sequence[tuple[float, int]] | None = None,
) -> dict[str, Any]:
    """What cameras of such a site see of its failures.

    Args:
        cameras: spread over the machines at the beginning; those for which there is no place are blind throughout.
        machines: that there are.
        places: cameras that one machine can track.
        failures: how they fail.
        days: simulated.
        seed: of the times between failures (exponential).
        script: (s, machine) of each failure, instead of chance.

    Returns:
        "tracked": share of all camera time; "outages" of a camera, their "median_s", "p95_s" and "longest_s" (those
        that have not ended count as long as they were); "failures" of machines.

    Raises:
        InputError: SimPy is not installed, or a number that cannot be.
    """
    try:
        import simpy
    except ImportError:
        raise InputError(f"the simulation needs the extra `plan`: {install('plan')}") from None
    _check({"cameras": cameras, "machines": machines, "places": places, "days": days}, failures)
    env = simpy.Environment()
    state = _Machines(env, simpy.Store(env), [0] * machines, [set() for _ in range(machines)])
    homes = [(machine, 0) for _ in range(places) for machine in range(machines)]  # spread evenly
    for camera, (machine, _) in zip(range(cameras), homes, strict=False):
        state.at[machine].add(camera)
    for camera in range(len(homes), cameras):
        state.since[camera] = 0.0
        env.process(_move(state, failures, camera))
    state.free.items.extend(homes[cameras:])
    chance = random.Random(seed)
    if script is None:
        for machine in range(machines):
            env.process(_live(state, failures, machine, places, chance))
    else:
        for time, machine in script:
            env.process(_fail_at(state, failures, machine, places, time))
    end = days * DAY
    env.run(until=end)
    blind = np.array(state.blind + [end - begin for begin in state.since.values()])
    median, p95, longest = np.quantile(blind, (0.5, 0.95, 1.0)).tolist() if len(blind) else (0.0, 0.0, 0.0)
    return {
        "tracked": 1.0 - float(blind.sum()) / (cameras * end),
        "outages": len(blind),
        "median_s": median,
        "p95_s": p95,
        "longest_s": longest,
        "failures": sum(state.life),
    }


def _live(
    state: _Machines, failures: Failures, machine: int, places: int, chance: random.Random
) -> Generator[Any, Any, None]:
    while True:
        yield state.env.timeout(chance.expovariate(1 / failures.every))
        yield from _fail(state, failures, machine, places)


def _fail_at(
    state: _Machines, failures: Failures, machine: int, places: int, time: float
) -> Generator[Any, Any, None]:
    yield state.env.timeout(time)
    yield from _fail(state, failures, machine, places)


def _fail(state: _Machines, failures: Failures, machine: int, places: int) -> Generator[Any, Any, None]:
    """Its cameras go blind, and it is back after the repair, empty."""
    state.life[machine] += 1
    for camera in sorted(state.at[machine]):
        state.since[camera] = state.env.now
        state.env.process(_move(state, failures, camera))
    state.at[machine].clear()
    yield state.env.timeout(failures.repair)
    for _ in range(places):
        yield state.free.put((machine, state.life[machine]))


def _move(state: _Machines, failures: Failures, camera: int) -> Generator[Any, Any, None]:
    """A blind camera until it is tracked again: noticed, given a place, begun; anew where that machine fails too."""
    yield state.env.timeout(failures.notice)
    while True:
        machine, life = yield state.free.get()
        if state.life[machine] != life:
            continue  # the place went with its machine
        yield state.env.timeout(failures.restart)
        if state.life[machine] == life:
            break
        yield state.env.timeout(failures.notice)
    state.blind.append(state.env.now - state.since.pop(camera))
    state.at[machine].add(camera)


def _check(counts: dict[str, float], failures: Failures) -> None:
    for name, value in counts.items():
        if not 0 < value <= LARGEST:
            raise InputError(f"`{name}` must be a positive number up to {LARGEST:g}, got {float(value):g}")
    for name, value in asdict(failures).items():
        if not (0 < value < math.inf if name == "every" else 0 <= value < math.inf):
            raise InputError(f"`{name}` of failures must be a positive number of seconds, got {value:g}")
    events = counts["machines"] * max(counts["places"], counts["days"] * DAY / failures.every)
    if events > MOST_EVENTS:
        raise InputError(
            f"about {events:.1e} failures or places are too many to simulate; simulate a part of the site"
        )
