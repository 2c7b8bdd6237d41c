"""Training objectives: a weighted list of terms.

A term answers ``term(embeddings, logits, ids, cameras)`` with a scalar: ``embeddings`` (B, D) float32 before
the neck, ``logits`` (B, C) float32, ``ids`` (B,) int64 in [0, C), ``cameras`` (B,) int64. It is a function
below (its keyword arguments are its settings in a preset), or a module made with ``(classes, dimensions)``
where it learns something. To add one: write it, and add its line to TERMS.

A term may also name ``features`` (B, D) float32, what the user gets (after the neck), and ``teacher`` (B, T)
float32 unit rows, what the preset's teachers say of the same images; one that learns may name
``teacher_dimensions``, T, besides the two.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from configs import InputError
from configs.load import nearest
from reid.pml import MetricLearning

SMALLEST = 1e-12  # of a squared distance, before the root: its slope at 0 is infinite


def cross_entropy(
    embeddings: torch.Tensor,
    logits: torch.Tensor,
    ids: torch.Tensor,
    cameras: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
) -> torch.Tensor:
    """Softmax cross-entropy; smoothed labels are (1 - e) one-hot + e / C (Szegedy et al. 2016, section 7)."""
    return F.cross_entropy(logits / temperature, ids, label_smoothing=label_smoothing)


def batch_hard_triplet(
    embeddings: torch.Tensor,
    logits: torch.Tensor,
    ids: torch.Tensor,
    cameras: torch.Tensor,
    *,
    margin: float | None = 0.3,
) -> torch.Tensor:
    """mean_a [margin + max_p d(a, p) - min_n d(a, n)]+ over the batch (Hermans et al. 2017, equation 5).

    d is the Euclidean distance (not squared, vectors not normalised). margin None: softplus of the
    difference instead. Anchors without a positive or without a negative do not count.
    """
    distance = euclidean(embeddings)
    same = ids[:, None] == ids[None, :]
    itself = torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    usable = (same & ~itself).any(1) & (~same).any(1)
    farthest = distance.masked_fill(~same | itself, -torch.inf).amax(1)[usable]
    closest = distance.masked_fill(same, torch.inf).amin(1)[usable]
    if not len(farthest):
        return embeddings.sum() * 0
    gap = farthest - closest
    return (F.softplus(gap) if margin is None else F.relu(gap + margin)).mean()


def weighted_triplet(
    embeddings: torch.Tensor, logits: torch.Tensor, ids: torch.Tensor, cameras: torch.Tensor
) -> torch.Tensor:
    """Weighted-regularised triplet of AGW (Ye et al. 2021, section 4): no margin.

    softplus(sum_p w_p d(a, p) - sum_n w_n d(a, n)); w_p is the softmax of d over an anchor's positives,
    w_n the softmax of -d over its negatives.
    """
    distance = euclidean(embeddings)
    same = ids[:, None] == ids[None, :]
    itself = torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    positive = same & ~itself
    usable = positive.any(1) & (~same).any(1)
    if not usable.any():
        return embeddings.sum() * 0
    distance, positive, same = distance[usable], positive[usable], same[usable]
    pull = distance.masked_fill(~positive, -torch.inf).softmax(1)
    push = (-distance).masked_fill(same, -torch.inf).softmax(1)
    return F.softplus((pull * distance).sum(1) - (push * distance).sum(1)).mean()


def contrastive(
    embeddings: torch.Tensor,
    logits: torch.Tensor,
    ids: torch.Tensor,
    cameras: torch.Tensor,
    *,
    margin: float = 1.0,
) -> torch.Tensor:
    """mean over pairs of d^2 if same, [margin - d]+^2 if not (Hadsell et al. 2006, equation 4, without its 1/2).

    Positive and negative pairs are averaged apart and added, since a batch holds far more negatives.
    """
    distance = euclidean(embeddings)
    first, second = torch.triu_indices(len(ids), len(ids), 1, device=ids.device)
    pair, same = distance[first, second], (ids[first] == ids[second]).float()
    pull = (same * pair.square()).sum() / same.sum().clamp_min(1)
    push = ((1 - same) * F.relu(margin - pair).square()).sum() / (1 - same).sum().clamp_min(1)
    return pull + push


class Centre(nn.Module):
    """1/2 mean |f - c_id|^2 with a learned centre an identity (Wen et al. 2016, equation 2, averaged)."""

    def __init__(self, classes: int, dimensions: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, dimensions))

    def forward(
        self, embeddings: torch.Tensor, logits: torch.Tensor, ids: torch.Tensor, cameras: torch.Tensor
    ) -> torch.Tensor:
        return (embeddings - self.centres[ids]).square().sum(1).mean() / 2


class TeacherFeatures(nn.Module):
    """mean [1 - cos(W f + b, t)]: the teacher's vector is a learned linear function of the student's.

    The map goes with the training (as Romero et al. 2015's regressor, FitNets), so the student keeps a space
    of its own, in which whatever the teacher knows can be read off.
    """

    def __init__(self, classes: int, dimensions: int, teacher_dimensions: int) -> None:
        super().__init__()
        self.map = nn.Linear(dimensions, teacher_dimensions)

    def forward(self, features: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        return 1 - F.cosine_similarity(self.map(features), teacher, dim=1).mean()


def teacher_similarities(
    features: torch.Tensor, teacher: torch.Tensor, *, temperature: float = 0.1
) -> torch.Tensor:
    """Mean KL of the batch's rows of cosines, softmax(teacher / T) from softmax(student / T), times T^2.

    As S2SD's term (Roth et al. 2021, section 3), without each image's cosine with itself.
    """
    own, wanted = (
        _off_diagonal(F.normalize(v, dim=1) @ F.normalize(v, dim=1).T) for v in (features, teacher)
    )
    found = (own / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(
        found, (wanted / temperature).log_softmax(1), log_target=True, reduction="batchmean"
    )


def teacher_distances(features: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Relational distillation by distances (Park et al. 2019, equations 4 to 6), of unit vectors.

    mean over pairs of the Huber loss between d / mean d of the student and of the teacher.
    """
    own, wanted = (_off_diagonal(euclidean(F.normalize(v, dim=1))) for v in (features, teacher))
    own, wanted = (d / d.mean().clamp_min(SMALLEST) for d in (own, wanted))
    return F.smooth_l1_loss(own, wanted)


def _off_diagonal(square: torch.Tensor) -> torch.Tensor:
    """(B, B) -> (B, B - 1)."""
    count = len(square)
    return square.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)


TERMS: dict[str, Callable[..., Any]] = {
    "cross_entropy": cross_entropy,
    "batch_hard_triplet": batch_hard_triplet,
    "weighted_triplet": weighted_triplet,
    "contrastive": contrastive,
    "centre": Centre,
    "teacher_features": TeacherFeatures,
    "teacher_similarities": teacher_similarities,
    "teacher_distances": teacher_distances,
}
INPUTS = ("embeddings", "logits", "ids", "cameras", "features", "teacher")
PML = "pml."  # prefix: a loss of pytorch-metric-learning


class Objective(nn.Module):
    """The weighted sum of the terms that a preset lists.

    Args:
        losses: term name -> its settings, with ``weight`` (default 1) and, for a term that learns
            something, ``lr`` (default: the network's).
        classes, dimensions: C and D.
        teacher_dimensions: T; 0: there is no teacher.

    Raises:
        InputError: unknown term or setting (the message names the nearest), or settings that a term cannot
            work with: each is tried once on a small batch of ordinary numbers.
    """

    def __init__(
        self,
        losses: Mapping[str, Mapping[str, Any]],
        classes: int,
        dimensions: int,
        teacher_dimensions: int = 0,
    ) -> None:
        super().__init__()
        self.weights: dict[str, float] = {}
        self.rates: dict[str, float | None] = {}
        self.functions: dict[str, Callable[..., torch.Tensor]] = {}
        self.inputs: dict[str, tuple[str, ...]] = {}
        self.modules_by_name = nn.ModuleDict()
        for name, given in losses.items():
            settings = dict(given)
            self.weights[name] = _number(name, "weight", settings.pop("weight", 1.0))
            rate = settings.pop("lr", None)
            self.rates[name] = None if rate is None else _number(name, "lr", rate)
            if rate is not None and self.rates[name] <= 0:  # type: ignore[operator]
                raise InputError(f"losses.{name}.lr: expected a number above 0, got {rate!r}")
            term = make_term(name, settings, classes, dimensions, teacher_dimensions)
            self.functions[name] = term
            self.inputs[name] = _inputs(term)
            if isinstance(term, nn.Module):
                self.modules_by_name[name.replace(".", "_")] = term
        reads = [
            _reads_logits(name, term, self.inputs[name], classes, dimensions, teacher_dimensions)
            for name, term in self.functions.items()
        ]
        self.reads_logits = any(reads)

    def forward(
        self,
        embeddings: torch.Tensor,
        logits: torch.Tensor,
        ids: torch.Tensor,
        cameras: torch.Tensor,
        features: torch.Tensor | None = None,
        teacher: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The sum, and each term before its weight."""
        given = dict(zip(INPUTS, (embeddings, logits, ids, cameras, features, teacher), strict=True))
        parts = {
            name: term(**{key: given[key] for key in self.inputs[name]})
            for name, term in self.functions.items()
        }
        total = sum((self.weights[name] * value for name, value in parts.items()), embeddings.new_zeros(()))
        return total, parts

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One optimiser group for each term that learns something: its own rate, no weight decay."""
        groups = []
        for name, rate in self.rates.items():
            module = self.functions[name]
            learned = list(module.parameters()) if isinstance(module, nn.Module) else []
            if learned:
                groups.append(
                    {"params": learned, "weight_decay": 0.0} | ({} if rate is None else {"lr": rate})
                )
            elif rate is not None:
                raise InputError(f"losses.{name}.lr: this term learns nothing, so it has no learning rate")
        return groups


def make_term(
    name: str, settings: Mapping[str, Any], classes: int, dimensions: int, teacher_dimensions: int = 0
) -> Any:
    """A term by its name, ready to be called."""
    if name.startswith(PML):
        return MetricLearning(name.removeprefix(PML), classes, dimensions, settings)
    if name not in TERMS:
        raise InputError(f"losses: unknown term {name!r}; {nearest(name, [*TERMS, PML + 'NAME'])}")
    make = TERMS[name]
    learns = inspect.isclass(make)
    sizes = {"classes": classes, "dimensions": dimensions, "teacher_dimensions": teacher_dimensions}
    takes = set(inspect.signature(make).parameters)
    known = takes - (set(sizes) if learns else set(INPUTS))
    if not teacher_dimensions and name.startswith("teacher_"):
        raise InputError(f"losses.{name}: there is no teacher; name its weights in teachers")
    for key in settings:
        if key not in known:
            raise InputError(f"losses.{name}: unknown key {key!r}; {nearest(key, [*known, 'weight', 'lr'])}")
    values = {
        key: None if value is None else _number(name, key, value) if not isinstance(value, bool) else value
        for key, value in settings.items()
    }
    own_sizes = {key: size for key, size in sizes.items() if key in takes}
    return make(**own_sizes, **values) if learns else functools.partial(make, **values)


def _inputs(term: Callable[..., Any]) -> tuple[str, ...]:
    """Which of INPUTS a term takes."""
    takes = inspect.signature(term.forward if isinstance(term, nn.Module) else term).parameters
    return tuple(key for key in INPUTS if key in takes)


def euclidean(embeddings: torch.Tensor) -> torch.Tensor:
    """(B, D) -> (B, B) distances; in float32 whatever the precision, since differences of squares cancel."""
    vectors = embeddings.float()
    squares = vectors.square().sum(1)
    squared = squares[:, None] + squares[None, :] - 2 * vectors @ vectors.T
    return squared.clamp_min(SMALLEST).sqrt()


def _reads_logits(
    name: str,
    term: Callable[..., torch.Tensor],
    inputs: tuple[str, ...],
    classes: int,
    dimensions: int,
    teacher_dimensions: int,
    count: int = 4,
) -> bool:
    """Try a term (a copy: some remember) on two images each of two people; whether the logits matter to it."""
    draw = torch.Generator().manual_seed(0)
    embeddings = torch.randn(count, dimensions, generator=draw).requires_grad_()
    logits = torch.randn(count, classes, generator=draw).requires_grad_()
    ids, cameras = torch.arange(count) // 2 % classes, torch.arange(count) % 2
    teacher = torch.randn(count, teacher_dimensions, generator=draw)
    given = dict(zip(INPUTS, (embeddings, logits, ids, cameras, embeddings, teacher), strict=True))
    try:
        with torch.random.fork_rng(devices=[]):
            value = copy.deepcopy(term)(**{key: given[key] for key in inputs})
            (value + 0 * (embeddings.sum() + logits.sum())).backward()
    except Exception as error:  # whatever a loss of another library raises about its settings
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"losses.{name}: cannot be used with these settings: {reason}") from None
    if not value.isfinite():
        raise InputError(f"losses.{name}: gives {value.item()} with these settings, on ordinary numbers")
    return bool(logits.grad is not None and logits.grad.any())


def _number(term: str, key: str, value: Any) -> float:
    try:
        number = float(value)  # YAML reads 3e-4 as text
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"losses.{term}.{key}: expected a number, got {value!r}")
    return number
