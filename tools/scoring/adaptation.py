"""Few-shot adaptation (ooDML, Milbich et al. 2021): few labelled images of each new person; the last layer learns.

The last layer is a linear map of the vectors that begins as the identity, trained on the support by the margin loss
(learned border, negatives by distance) as the authors do; the images that are left are then looked for among
themselves, before and after. It needs torch, so it is here and not in `retrace.eval`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.features import Features
from retrace.eval.ranking.pairing import checked_features, unit_rows
from retrace.eval.ranking.whole_set import evaluate_whole_set
from retrace.eval.report import Cell, Section


@dataclass(frozen=True, slots=True)
class FewShotScore:
    """Mean over episodes of each image against all others that were not support."""

    shots: int
    people: int
    recall_before: float
    recall_after: float
    mAP_before: float  # the word of the field
    mAP_after: float
    deviation: float  # of the gain in mAP, over episodes


def adapt(
    features: np.ndarray,
    ids: np.ndarray,
    *,
    shots: int = 2,
    episodes: int = 10,
    steps: int = 300,
    rate: float = 1e-4,
    seed: int = 0,
) -> FewShotScore:
    """Adapt and score.

    Args:
        features: (N, D).
        ids: (N,) people only; those with fewer than ``shots`` + 2 images take no part.
        steps: of Adam; the authors take 1000.
        rate: the authors take ten times that of training.

    Raises:
        InputError: fewer than 2 people have enough images.
    """
    x, norms = checked_features(features, "features", len(ids))
    x = unit_rows(x, norms)
    people = [rows for k in np.unique(ids) if len(rows := np.flatnonzero(ids == k)) >= shots + 2]
    if len(people) < 2 or shots < 2:
        raise InputError(
            f"adaptation with {shots} images: only {len(people)} people have {shots + 2} or more"
        )
    rng = np.random.default_rng(seed)
    found = []
    for episode in range(episodes):
        support = np.stack([rng.choice(rows, shots, replace=False) for rows in people])
        rest = np.setdiff1d(np.concatenate(people), support)
        layer = last_layer(
            x[support.ravel()], np.repeat(np.arange(len(people)), shots), steps, rate, seed + episode
        )
        scores = [evaluate_whole_set(v, ids[rest]) for v in (x[rest], x[rest] @ layer.T)]
        found.append([value for s in scores for value in (s.rank_at(1), s.mAP)])
    before, mAP, after, later = np.mean(found, 0)
    gains = np.array(found)[:, 3] - np.array(found)[:, 1]
    deviation = float(gains.std(ddof=1)) if episodes > 1 else 0.0
    return FewShotScore(shots, len(people), float(before), float(after), float(mAP), float(later), deviation)


def last_layer(x: np.ndarray, labels: np.ndarray, steps: int, rate: float, seed: int) -> np.ndarray:
    """(D, D) the map after training on (N, D) unit rows with labels (N,) from 0."""
    import torch

    from retrace.reid.losses.batch import Batch
    from retrace.reid.losses.triplets import Margin

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = torch.nn.Parameter(torch.eye(x.shape[1]))
        loss = Margin(int(labels.max()) + 1, x.shape[1])
        groups: list[dict[str, Any]] = [{"params": [layer]}, {"params": loss.parameters(), "lr": 5e-4}]
        optimizer = torch.optim.Adam(groups, lr=rate)
        vectors, ids = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(labels)
        for _ in range(steps):
            batch = Batch(embeddings=vectors @ layer.T, ids=ids)
            value = loss(*(batch[name] for name in ("unit_distances", "ids", "positives", "negatives")))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return layer.detach().numpy()


def adaptation(features: Features, shots: tuple[int, ...] = (2, 5)) -> tuple[Section, list[dict[str, Any]]]:
    """A row a number of images; numbers for which too few people have images are left out."""
    people = features.everybody
    lines: list[list[Cell]] = [
        ["images a person", "people", "recall@1", "adapted", "mAP", "adapted", "deviation"]
    ]
    data = []
    for count in shots:
        try:
            found = adapt(people.features, people.ids, shots=count)
        except InputError:
            if count == shots[0]:
                raise
            continue
        line: list[Cell] = [f"{count}", found.people, found.recall_before, found.recall_after]
        lines.append([*line, found.mAP_before, found.mAP_after, found.deviation])
        data.append(asdict(found))
    notes = [
        "10 episodes; the images that are no support against each other, no camera rule; deviation of mAP's gain"
    ]
    return Section("adaptation", "few-shot adaptation of the last layer", lines, notes), data
