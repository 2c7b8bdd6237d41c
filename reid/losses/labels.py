"""Terms that read other labels than identity: attributes as prototypes, and as tasks beside it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from retrace.configs import InputError


class AttributePrototypes(nn.Module):
    """Who is it, by descriptions: a person's prototype is made from attributes (Snell et al. 2017, zero-shot).

    v is the one-hot labels of ``columns`` side by side, averaged over an identity's images in the batch; c = g(v), g a
    linear map, unit; cross-entropy of -scale |f - c|^2 over the identities of the batch. After training g turns a
    description nobody was photographed for ("woman, red top, bag") into a query.
    """

    def __init__(
        self,
        dimensions: int,
        labels: Mapping[str, int],
        *,
        columns: tuple[str, ...] = (),
        scale: float = 10.0,
    ) -> None:
        super().__init__()
        self.columns, self.scale = known_columns("attribute_prototypes", columns, labels), scale
        self.values = [labels[name] for name in self.columns]
        self.map = nn.Linear(sum(self.values), dimensions)

    def forward(self, unit: torch.Tensor, ids: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
        told = torch.cat(
            [F.one_hot(labels[name], count) for name, count in zip(self.columns, self.values, strict=True)], 1
        ).float()
        present, place = ids.unique(return_inverse=True)
        sums = told.new_zeros(len(present), told.shape[1]).index_add(0, place, told)
        means = sums / torch.bincount(place, minlength=len(present))[:, None]
        prototypes = F.normalize(self.map(means), dim=1)
        return F.cross_entropy(-self.scale * (2 - 2 * unit @ prototypes.T), place)


class AttributeTasks(nn.Module):
    """A classifier for each label column, each weighted by its own learned uncertainty (after AANet, Tay et al. 2019).

    sum over columns of L / (2 s^2) + log s, L the column's cross-entropy, s learned from 1 (Kendall et al. 2018,
    equation 7, on which the paper builds). Its attention maps, made from the same classifiers, are not here.
    """

    def __init__(self, dimensions: int, labels: Mapping[str, int], *, columns: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.columns = known_columns("attribute_tasks", columns, labels)
        self.classifiers = nn.ModuleList(nn.Linear(dimensions, labels[name]) for name in self.columns)
        self.log_s = nn.Parameter(torch.zeros(len(self.columns)))

    def forward(self, embeddings: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
        losses = torch.stack(
            [
                F.cross_entropy(classify(embeddings), labels[name])
                for name, classify in zip(self.columns, self.classifiers, strict=True)
            ]
        )
        return weighed(losses, self.log_s)


def weighed(losses: torch.Tensor, log_s: torch.Tensor) -> torch.Tensor:
    """sum of L / (2 s^2) + log s."""
    return (losses * (-2 * log_s).exp() / 2 + log_s).sum()


def known_columns(term: str, columns: tuple[str, ...], labels: Mapping[str, int]) -> tuple[str, ...]:
    """The columns that a term names.

    Raises:
        InputError: it names none, or one that the data do not have.
    """
    missing = [name for name in columns if name not in labels]
    if missing or not columns:
        raise InputError(
            f"losses.{term}.columns: expected label columns of the data, got {', '.join(columns) or 'none'}; it has "
            f"{', '.join(labels) or 'none'}"
        )
    return columns
