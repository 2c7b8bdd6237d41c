"""All trials of all subjects, and their figures."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.tools.crashes.subjects import SUBJECTS
from retrace.tools.crashes.trials import TRIALS, set_up


def crash_test(
    subjects: Sequence[str] = tuple(SUBJECTS),
    trials: Sequence[str] = tuple(TRIALS),
    kills: int = 50,
    times: int = 6,
    seed: int = 0,
    out: str | Path | None = None,
    tell: Callable[[str], None] = print,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Disturb each subject by each trial.

    Args:
        subjects, trials: of SUBJECTS and TRIALS.
        kills: of each subject.
        times: of each other trial.
        seed: of the moments; they are seconds, so what they hit differs between machines.
        out: a folder that keeps everything; it must be empty or new. None: a temporary one.
        tell: gets lines on the way.

    Returns:
        {subject: {trial: {"runs", "disturbed", "faults"}}}.

    Raises:
        InputError: an unknown name, or a folder with something in it.
    """
    for names, known in ((subjects, SUBJECTS), (trials, TRIALS)):
        for name in names:
            if name not in known:
                raise InputError(f"{name!r}: {nearest(name, known)}")
    if out is not None and Path(out).exists() and any(Path(out).iterdir()):
        raise InputError(f"{out}: is not empty; name a new folder")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(out if out is not None else temporary).resolve()
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for subject in subjects:
            work = place / subject
            work.mkdir(parents=True)
            on = set_up(SUBJECTS[subject](work, seed), work, partial(_told, tell, subject))
            tell(f"{subject}: {on.seconds:.1f} s undisturbed, {on.size / 1e6:.2f} MB")
            rng = random.Random(seed)
            found[subject] = {
                name: asdict(TRIALS[name](on, kills if name == "kills" else times, rng)) for name in trials
            }
    return found


def _told(tell: Callable[[str], None], subject: str, line: str) -> None:
    tell(f"{subject}: {line}")
