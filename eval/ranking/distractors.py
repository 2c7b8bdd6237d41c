"""Distractors (MegaFace, Kemelmacher-Shlizerman et al. 2016): what a score is worth among ever more strangers."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.pairing import JUNK
from retrace.eval.ranking.ranks import evaluate_ranking


def distractor_decades(
    query_features: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    draws: int = 5,
    seed: int = 0,
    **options: Any,
) -> list[dict[str, float]]:
    """rank-1 and mAP with 0, 10, 100, ... and all gallery images of people nobody asks for.

    These are the distractors (id 0) and everybody who is no query; of each number ``draws`` sets, mean. Arguments as
    ``evaluate_ranking``.

    Raises:
        InputError: as ``evaluate_ranking``; there are none.
    """
    ids = np.asarray(gallery_ids)
    asked = np.isin(ids, query_ids)
    strangers = np.flatnonzero(~asked & (ids != JUNK))
    if not len(strangers):
        raise InputError("distractors: everybody in the gallery is asked for; add images of others with id 0")
    numbers = [0, *(10**k for k in range(1, 12) if 10**k < len(strangers)), len(strangers)]
    rng = np.random.default_rng(seed)
    found = []
    for number in numbers:
        scores = []
        for _ in range(1 if number in (0, len(strangers)) else draws):
            keep = np.sort(
                np.concatenate([np.flatnonzero(asked), rng.choice(strangers, number, replace=False)])
            )
            scores.append(
                evaluate_ranking(
                    query_features,
                    query_ids,
                    query_cameras,
                    np.asarray(gallery_features)[keep],
                    ids[keep],
                    np.asarray(gallery_cameras)[keep],
                    **options,
                )
            )
        found.append(
            {
                "distractors": float(number),
                "rank-1": float(np.mean([s.rank_at(1) for s in scores])),
                "mAP": float(np.mean([s.mAP for s in scores])),
            }
        )
    return found
