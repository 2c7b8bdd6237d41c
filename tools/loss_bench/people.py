"""The people of the comparison: who is trained on, who chooses, who is only scored; and what vectors of them say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrace.eval.ranking import evaluate_ranking
from retrace.eval.ranking.space import density, spectrum
from retrace.eval.ranking.verification import evaluate_verification
from retrace.reid.data.sets import ReidImages

FAR = 1e-3
FEW = 4


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The training images, with the validation people apart: rows (n,) int64 of the training images."""

    train: np.ndarray
    query: np.ndarray
    gallery: np.ndarray


def hold_out(ids: np.ndarray, cameras: np.ndarray, people: int) -> Choice:
    """Take some identities out of the training images: always the same ones, whoever asks.

    Their first image by each camera is a query, the others are the gallery, as in Market-1501.

    Args:
        ids, cameras: (N,) of the training images.
    """
    everybody = np.unique(ids)
    chosen = np.random.default_rng(0).permutation(everybody)[:people]
    inside = np.flatnonzero(np.isin(ids, chosen))
    _, first = np.unique(np.stack([ids[inside], cameras[inside]], 1), axis=0, return_index=True)
    query = np.sort(inside[first])
    return Choice(np.flatnonzero(~np.isin(ids, chosen)), query, np.setdiff1d(inside, query))


def score(query: np.ndarray, query_of: ReidImages, gallery: np.ndarray, gallery_of: ReidImages) -> Any:
    """`RankingMetrics` of unit rows."""
    return evaluate_ranking(
        query, query_of.ids, query_of.cameras, gallery, gallery_of.ids, gallery_of.cameras
    )


def figures(
    query: np.ndarray, query_of: ReidImages, gallery: np.ndarray, gallery_of: ReidImages
) -> dict[str, Any]:
    """What goes into a result: mAP and so on as fractions, and per identity what a paired interval needs."""
    found = score(query, query_of, gallery, gallery_of)
    pairs = evaluate_verification(
        query, query_of.ids, query_of.cameras, gallery, gallery_of.ids, gallery_of.cameras, fpr=[FAR]
    )
    _, person = np.unique(found.query_ids[found.valid], return_inverse=True)
    hits = (found.first_rank[found.valid] == 1).astype(float)
    return {
        "mAP": round(found.mAP, 6),
        "rank-1": round(found.rank_at(1), 6),
        "mINP": round(found.mINP, 6),
        "MAP@R": round(found.map_at_r, 6),
        "TAR@FAR": round(pairs.points[0].tpr, 6),
        "people": {
            "queries": np.bincount(person).tolist(),
            "ap": np.bincount(person, found.ap[found.valid]).round(4).tolist(),
            "hits": np.bincount(person, hits).astype(int).tolist(),
        },
    }


def few_of_each(ids: np.ndarray) -> np.ndarray:
    """Rows of the first `FEW` images of each person: enough for what is measured of the space."""
    order = np.argsort(ids, kind="stable")
    _, starts, counts = np.unique(ids[order], return_index=True, return_counts=True)
    nth = np.arange(len(ids)) - np.repeat(starts, counts)
    return np.sort(order[nth < FEW])


def space_of(vectors: np.ndarray, ids: np.ndarray) -> dict[str, float]:
    """rho, effective rank and pi_ratio of (N, D) unit rows of training people, a few of each."""
    found = spectrum(vectors)
    return {
        "rho": round(found.rho, 4),
        "effective_rank": round(found.effective_rank, 1),
        "pi_ratio": round(density(vectors, ids).ratio, 4),
    }
