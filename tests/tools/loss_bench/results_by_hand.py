"""Results of made-up runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from retrace.tools.loss_bench.jobs import TrainingJob

QUERIES = [3, 5, 4, 4, 6, 2]


def final(
    entrant: str, seed: int, level: float, regime: str = "finetune", setting: int = 0, length: float = 2
) -> dict[str, Any]:
    """A finished final that scores about ``level``."""
    draw = np.random.default_rng((sum(map(ord, entrant)), seed))
    shares = np.clip(
        level + 0.05 * draw.normal(size=len(QUERIES)) + 0.2 * np.linspace(-1, 1, len(QUERIES)), 0, 1
    )
    ap = (shares * QUERIES).round(4)
    job = TrainingJob(regime, entrant, "final", setting, seed, length)
    return {
        "key": job.key,
        **asdict(job),
        "mAP": float(ap.sum() / sum(QUERIES)),
        "rank-1": 0.5,
        "TAR@FAR": 0.4,
        "other": {"mAP": level / 2, "rank-1": 0.2},
        "space": {"rho": 2.5 - level, "pi_ratio": 1.1},
        "people": {"queries": QUERIES, "ap": ap.tolist(), "hits": [q // 2 for q in QUERIES]},
    }


def search(
    entrant: str, setting: int, value: float, regime: str, stage: int, length: float
) -> dict[str, Any]:
    """A finished round of a search."""
    job = TrainingJob(regime, entrant, f"search {stage}", setting, 0, length)
    return {"key": job.key, **asdict(job), "curve": {f"{length:g}": value}}
