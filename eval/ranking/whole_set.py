"""The protocol of deep metric learning: every image asks for the others of its identity among all other images.

No camera rule, no separate gallery: recall@k here is not ReID's rank-k.
"""

from __future__ import annotations

import numpy as np

from retrace.eval.ranking.pairing import DISTRACTOR, Metric
from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking

KS = (1, 2, 4, 8, 10, 100)  # of recall@k, as papers print them


def evaluate_whole_set(features: np.ndarray, ids: np.ndarray, *, metric: Metric = "cosine") -> RankingMetrics:
    """Recall@k (``rank``), MAP@R, R-precision and mAP, each image against all others.

    Junk and distractors are left out; an image of whom there is no other is in the set, but is no valid query.

    Args:
        features: (N, D).
        ids: (N,).

    Raises:
        InputError: as ``evaluate_ranking``.
    """
    mine = np.asarray(ids) > DISTRACTOR
    x, people = np.asarray(features)[mine], np.asarray(ids)[mine]
    itself = np.arange(len(people))  # as cameras: an image is left out of its own gallery, and nothing else
    return evaluate_ranking(x, people, itself, x, people, itself, metric=metric, max_rank=max(KS))
