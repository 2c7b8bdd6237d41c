"""What a term of the objective may read: the tensors of one batch, those derived from them computed once.

A term names what it reads as the names of its arguments. The names that a run gives are in GIVEN (some only if
the run has them), heads and label columns go by their own names, and DERIVED holds what follows from others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

SMALLEST = 1e-12  # of a squared distance, before the root: its slope at 0 is infinite

GIVEN = {
    "embeddings": "(B, D) float32 before the neck, or the vector that `on` names",
    "features": "(B, D) float32 after the neck: what the user gets",
    "pooled": "(B, c) float32: the pooled feature map, before the embedding layer",
    "maps": "(B, c, h, w) float32: the feature map",
    "logits": "(B, C) float32 of the network's classifier",
    "ids": "(B,) int64 in [0, C)",
    "cameras": "(B,) int64",
    "rows": "(B,) int64: which training image it is",
    "step": "() int64: iterations done",
    "progress": "() float32: share of the run that is done, in [0, 1)",
    "labels": "name -> (B,) int64 from 0: every label column of the data",
    "heads": "name -> (B, D_k) float32: every head of the model",
    "second": "(B, D) float32: embeddings of another random view of the same images",
    "second_heads": "name -> (B, D_k) float32: the heads of that view",
    "teacher": "(B, T) float32 unit rows: what the teacher says of the images",
    "teacher_second": "(B, T) float32 unit rows: what a teacher that looks at augmented images says of the other view",
    "cluster": "(B,) int64 of the census: which cluster each image is in",
    "held": "(6,) float32: recall@1, 2, 4, 8, distances within and between people, of the images held back",
    "held_at": "() int64: the iteration of that look",
    "class_means": "(C, D) float32 of the census: means of unit vectors, not normalised",
    "class_spread": "(C,) float32 of the census: mean squared distance of a class's pairs",
    "class_levels": "(C, C) float32 of the census: squared distance at which two classes join in the class tree",
}


def same(ids: torch.Tensor) -> torch.Tensor:
    """(B, B) bool: one identity; an image and itself too."""
    return ids[:, None] == ids[None, :]


def positives(same: torch.Tensor) -> torch.Tensor:
    """(B, B) bool: another image of the row's identity."""
    return same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)


def negatives(same: torch.Tensor) -> torch.Tensor:
    """(B, B) bool: an image of another identity."""
    return ~same


def euclidean(embeddings: torch.Tensor) -> torch.Tensor:
    """(B, D) -> (B, B) distances; in float32 whatever the precision, since differences of squares cancel."""
    vectors = embeddings.float()
    squares = vectors.square().sum(1)
    squared = squares[:, None] + squares[None, :] - 2 * vectors @ vectors.T
    return squared.clamp_min(SMALLEST).sqrt()


def unit(embeddings: torch.Tensor) -> torch.Tensor:
    """(B, D) float32 rows of length 1."""
    return F.normalize(embeddings.float(), dim=1)


def cosines(unit: torch.Tensor) -> torch.Tensor:
    """(B, B) float32."""
    return unit @ unit.T


def unit_distances(cosines: torch.Tensor) -> torch.Tensor:
    """(B, B) Euclidean distances of the unit vectors, in [1e-6, 2]."""
    return (2 - 2 * cosines).clamp_min(SMALLEST).sqrt()


DERIVED: dict[str, Callable[..., torch.Tensor]] = {
    "same": same,
    "positives": positives,
    "negatives": negatives,
    "distances": euclidean,
    "unit": unit,
    "cosines": cosines,
    "unit_distances": unit_distances,
}
OF_VECTORS = ("distances", "unit", "cosines", "unit_distances")  # follow `embeddings`, not only `ids`


def arguments(function: Callable[..., Any]) -> tuple[list[str], dict[str, inspect.Parameter]]:
    """Names before the star of a signature (what the run gives), parameters after it (what a preset may say)."""
    told = inspect.signature(function).parameters.values()
    given = [p.name for p in told if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    return given, {p.name: p for p in told if p.kind is p.KEYWORD_ONLY}


READS = {name: arguments(function)[0] for name, function in DERIVED.items()}


class Batch:
    """Tensors by name; a derived one is computed when somebody first asks, and kept."""

    def __init__(self, **given: Any) -> None:
        self.known: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.others: dict[str, Batch] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.known:
            self.known[name] = DERIVED[name](*(self[other] for other in READS[name]))
        return self.known[name]

    def on(self, vector: str) -> Batch:
        """The same images with another of their vectors (features, pooled or a head's name) as embeddings."""
        if vector == "embeddings":
            return self
        if vector not in self.others:
            vectors = self.known[vector] if vector in GIVEN else self.known["heads"][vector]
            shared = {name: self[name] for name in DERIVED if name not in OF_VECTORS}
            rest = {name: value for name, value in self.known.items() if name not in DERIVED}
            own = {"embeddings": vectors, "second": self.known.get("second_heads", {}).get(vector)}
            self.others[vector] = Batch(**rest | shared | own)
        return self.others[vector]
