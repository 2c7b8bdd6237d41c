"""How work is disturbed, and what must hold afterwards.

After whatever happened: one line and exit code 2 where the tool itself could tell; nothing under its final name that
is not whole; and going on gives what the undisturbed run gives, to the byte.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from retrace.tools.crashes.subjects import Subject
from retrace.tools.crashes.victims import start

LONGEST = 600.0  # s that anything may take before it counts as hanging
POLL = 0.004  # s between two looks at a victim
MOST_KILLS = 20  # of one run
SOON = (0.35, 0.35, 1.1)  # of an undisturbed run: until when it may be killed
LONGEST_LINE = 540  # characters: 500, and the tool's name
ROOM = 256  # MB of a disk that has room
RESTS = (".partial", ".lock", ".checkpoint.npz")  # what a stop may leave, said by its name
TOLD_ANYWAY = "run.json"


@dataclass(slots=True)
class Tally:
    """What became of one kind of trial.

    Attributes:
        runs: results that were brought to their end and compared.
        disturbed: kills, refusals by the disk, refusals of a second run.
        faults: what did not hold, a line each.
    """

    runs: int = 0
    disturbed: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TestRig:
    """A subject with its undisturbed run.

    Attributes:
        whole: folder of that run.
        seconds: of CPU that it took: a busy machine does not change them much.
        size: bytes that lay in its folder at once, at most (about).
        tell: gets a line now and then.
    """

    subject: Subject
    work: Path
    whole: Path
    seconds: float
    size: int
    tell: Callable[[str], None]

    def run(
        self, argv: list[str], largest: int | None = None, out: Path | None = None, after: float = LONGEST
    ) -> tuple[int, str]:
        """Exit code and standard error. What works for ``after`` CPU s, from its lock in ``out`` on, is killed: -9."""
        said = self.work / "said.txt"
        victim = start(self.subject.tool, argv, said, largest)
        if out is not None:
            wait_for_lock(victim, out)
        wait_for_work(victim, after)
        if victim.is_alive():
            victim.kill()
            victim.join()
        return int(victim.exitcode or 0), said.read_text(errors="replace") if said.exists() else ""

    def lies(self, out: Path) -> list[str]:
        """Files under their final names that are not what the whole run has."""
        growing = self.subject.growing
        names = [path.name for path in out.iterdir()] if out.exists() else []
        names = [name for name in names if not name.endswith((*RESTS, *growing)) and name != TOLD_ANYWAY]
        unlike = self.subject.differences(self.whole, out) if names else []
        return [f"{out.name}: {line}" for line in unlike if line.split()[0] in names]

    def finish(self, out: Path, outcome: Tally) -> None:
        """Go on to the end, and compare."""
        code, said = self.run(self.subject.go_on(out))
        outcome.runs += 1
        unlike = self.subject.differences(self.whole, out) if code == 0 else [f"exit {code}: {said.strip()}"]
        outcome.faults += [f"{out.name} after going on: {line}" for line in unlike]

    def refusal(self, code: int, said: str, *words: str) -> list[str]:
        """What is wrong with an exit that should be a refusal in one line that holds one of ``words``."""
        lines = said.strip().splitlines()
        good = code == 2 and len(lines) == 1 and len(lines[0]) <= LONGEST_LINE
        if good and any(word in lines[0] for word in words):
            return []
        return [f"expected exit 2 and one line with {' or '.join(words)}, got exit {code}: {said[-700:]!r}"]


def set_up(subject: Subject, work: Path, tell: Callable[[str], None]) -> TestRig:
    """Run it undisturbed, twice: once for all caches, once for time and bytes; both must be alike."""
    found: list[TestRig] = []
    for name in ("warm", "whole"):
        made, said = TestRig(subject, work, work / name, 0.0, 0, tell), work / "said.txt"
        victim = start(subject.tool, subject.begin(made.whole), said)
        wait_for_lock(victim, made.whole)
        seconds = wait_for_work(victim, LONGEST)
        if victim.exitcode != 0:
            raise RuntimeError(f"the undisturbed run failed: {said.read_text()}")
        size = sum(path.stat().st_size for path in made.whole.iterdir())
        found.append(TestRig(subject, work, made.whole, seconds, size, tell))
    unlike = subject.differences(*(one.whole for one in found))
    if unlike:
        raise RuntimeError(f"two undisturbed runs differ: {'; '.join(unlike)}")
    return found[1]


def wait_for_lock(victim: ForkServerProcess, out: Path) -> None:
    """Until it holds the folder's lock, or has ended."""
    lock, begun, told = out / "run.lock", time.monotonic(), f"process {victim.pid} on "
    while victim.is_alive() and time.monotonic() - begun < LONGEST:
        with suppress(OSError):  # none yet
            if lock.read_text(errors="replace").startswith(told):
                return
        time.sleep(POLL)


def wait_for_work(victim: ForkServerProcess, seconds: float) -> float:
    """Until it has worked for so long (CPU s) from now on, or has ended, or hangs; how long it has worked."""
    begun, first = time.monotonic(), cpu_seconds(victim.pid)
    spent = 0.0
    while victim.is_alive() and spent < seconds and time.monotonic() - begun < LONGEST:
        victim.join(POLL)
        spent = max(spent, cpu_seconds(victim.pid) - first)
    return spent


def cpu_seconds(process: int | None) -> float:
    """Of a process so far; 0 where it has gone. Where there is no /proc, wall seconds stand for them."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # the second where it ends between opening and reading
        return 0.0 if Path("/proc/self").exists() else time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kills(on: TestRig, count: int, rng: random.Random) -> Tally:
    """SIGKILL at a random moment, go on, kill again ... until it ends by itself; new runs until ``count`` kills."""
    outcome = Tally()
    while outcome.disturbed < count:
        out, before = on.work / f"killed{outcome.runs}", outcome.disturbed
        argv = on.subject.begin(out)
        while True:
            patient = outcome.disturbed - before < MOST_KILLS
            # early ones, so that a run dies often on its way
            until = rng.choice(SOON) * rng.random() * on.seconds
            code, said = on.run(argv, out=out, after=until if patient else LONGEST)
            if code != -9:
                break
            outcome.disturbed += 1
            outcome.faults += on.lies(out)
            argv = on.subject.go_on(out)
        outcome.runs += 1
        unlike = on.subject.differences(on.whole, out) if code == 0 else [f"exit {code}: {said.strip()}"]
        outcome.faults += [f"{out.name}: {line}" for line in unlike]
        on.tell(f"{outcome.disturbed} kills in {outcome.runs} runs, {len(outcome.faults)} faults")
    return outcome


def full_disk(on: TestRig, count: int, rng: random.Random) -> Tally:
    """A disk that fills in the middle; then there is room."""
    outcome = Tally()
    for k in range(count):
        size = int(rng.uniform(0.02, 0.98) * on.size)
        with small_disk(on.work / f"full{k}", size) as grow:
            out = on.work / f"full{k}" / "out"
            largest = None if grow else size // 4  # the largest file has about half of the bytes
            code, said = on.run(on.subject.begin(out), largest=largest)
            if code == 0 and largest is not None:
                continue  # the limit hit nothing
            outcome.disturbed += 1
            outcome.faults += on.refusal(code, said, "No space left", "File too large", "disk is full")
            outcome.faults += on.lies(out)
            left = [path.name for path in out.glob("*.partial")] if on.subject.growing else []
            outcome.faults += [f"{name} stays on the full disk" for name in left]
            if grow:
                grow()
            on.finish(out, outcome)
    on.tell(f"{outcome.disturbed} full disks, {len(outcome.faults)} faults")
    return outcome


def twice(on: TestRig, count: int, rng: random.Random) -> Tally:
    """A second run into the folder of one that works, begun and gone on with; the first must not notice."""
    outcome = Tally()
    for k in range(count):
        out, said = on.work / f"twice{k}", on.work / "first.txt"
        first = start(on.subject.tool, on.subject.begin(out), said)
        wait_for_lock(first, out)
        wait_for_work(first, rng.uniform(0, 0.2) * on.seconds)
        for argv in (on.subject.begin(out), on.subject.go_on(out)):
            if first.is_alive():
                code, second = on.run(argv)
                held = f"process {first.pid} on "
                if code == 2 or first.is_alive():
                    outcome.faults += on.refusal(code, second, held, "holds a run already")
                    outcome.disturbed += 1
        first.join(LONGEST)
        outcome.runs += 1
        unlike = on.subject.differences(on.whole, out) if first.exitcode == 0 else [said.read_text()]
        outcome.faults += [f"{out.name}: {line}" for line in unlike]
    on.tell(f"{outcome.disturbed} second runs, {len(outcome.faults)} faults")
    return outcome


def read_only(on: TestRig, count: int, rng: random.Random) -> Tally:
    """A folder on a disk that takes no files, anew and in the middle of a run; then it does."""
    outcome = Tally()
    for k in range(count):
        place = on.work / f"shut{k}"
        with shut_disk(place) as (shut, opened):
            if shut is None:
                on.tell("no disk can be mounted here: read-only folders were not tried")
                return outcome
            out = place / "out"
            on.run(on.subject.begin(out), out=out, after=rng.uniform(0.3, 0.9) * on.seconds)
            shut()
            for argv in (on.subject.begin(place / "new"), on.subject.go_on(out)):
                code, said = on.run(argv)
                outcome.faults += on.refusal(code, said, "Read-only")
                outcome.disturbed += 1
            opened()  # SQLite looks into no memory on a disk that takes no files
            outcome.faults += on.lies(out)
            on.finish(out, outcome)
    on.tell(f"{outcome.disturbed} read-only folders, {len(outcome.faults)} faults")
    return outcome


TRIALS = {"kills": kills, "disk": full_disk, "twice": twice, "readonly": read_only}


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Callable[[], None] | None]:
    """A folder on a disk of ``size`` bytes, and what makes it large; None where none can be mounted."""
    with mounted(place, f"size={max(size, 4096)}") as there:
        yield (lambda: remount(place, f"size={ROOM}m")) if there else None


@contextmanager
def shut_disk(place: Path) -> Iterator[tuple[Callable[[], None] | None, Callable[[], None]]]:
    """A folder on a disk, what makes it read-only, and what undoes that; (None, ...) where none can be mounted."""
    with mounted(place, f"size={ROOM}m") as there:
        yield (lambda: remount(place, "ro")) if there else None, lambda: remount(place, "rw")


@contextmanager
def mounted(place: Path, options: str) -> Iterator[bool]:
    """A tmpfs at ``place`` meanwhile; False: that needs an administrator, the folder is a plain one."""
    place.mkdir(parents=True, exist_ok=True)
    there = _quiet("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place))
    try:
        yield there
    finally:
        if there and not _quiet("umount", str(place)):
            _quiet("umount", "-l", str(place))


def remount(place: Path, options: str) -> None:
    if not _quiet("mount", "-o", f"remount,{options}", str(place)):
        raise RuntimeError(f"{place}: cannot be mounted anew with {options}")


def _quiet(*command: str) -> bool:
    with suppress(OSError):
        return subprocess.run(command, capture_output=True).returncode == 0
    return False
