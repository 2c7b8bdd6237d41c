"""What the benchmarks share: rounds in turn, Markdown tables, the folder of generators and peers."""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.tools import ROOT


def interleaved(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU seconds of each side, the median over rounds A B C A B C, so that a slow minute hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for k in range(rounds + 1):  # the first warms up
        for name, side in sides.items():
            begin = time.process_time()
            side()
            if k:
                taken[name].append(time.process_time() - begin)
    return {name: statistics.median(values) for name, values in taken.items()}


def as_table(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table under its heading, ready for LOG.md."""
    heads = list(rows[0])
    lines = [f"### {title}\n", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(row[h]) for h in heads) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shared_folder() -> Path:
    """$RETRACE_SHARED, else the folder beside the checkout."""
    return Path(os.environ.get("RETRACE_SHARED") or ROOT.parent / "shared")


def shared_bench() -> Path:
    """Where the generators and the peers' harness are.

    Raises:
        InputError: it is not there.
    """
    folder = shared_folder() / "bench"
    if not (folder / "gen.py").is_file():
        raise InputError(
            f"{folder}: the stream generator is not there; set RETRACE_SHARED to the shared folder"
        )
    return folder


def generator(name: str) -> Any:
    """A module of the bench folder, by its file's name."""
    spec = importlib.util.spec_from_file_location(name, shared_bench() / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
