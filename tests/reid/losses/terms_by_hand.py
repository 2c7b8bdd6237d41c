"""Every term with settings that make it do something, and batches for it.

Tests seed `torch.default_generator`: `torch.manual_seed` also writes the stack down for each kind of GPU that is not
there, half a millisecond each time: as long as a term takes.
"""

from __future__ import annotations

from typing import Any

import torch

from retrace.reid.losses.batch import Batch
from retrace.reid.losses.objective import TERMS, Sizes, Term, make_term

CLASSES, DIMENSIONS, TEACHER = 5, 12, 3
HEADS = {"aux": 12, "narrow": 3}
SIZES = Sizes(
    CLASSES,
    DIMENSIONS,
    identities=4,
    images=3,
    iterations=100,
    channels=6,
    map_size=(4, 2),
    teacher_dimensions=TEACHER,
    views=2,
    live=True,
    clusters=3,
    held=True,
    heads=HEADS,
    labels={"viewpoint": 3, "clothes": 2, "frame": 4},
)
SETTINGS: dict[str, dict[str, Any]] = {
    "spectral_clustering": {"on": "narrow"},
    "separation": {"other": "narrow"},
    "diversity": {"learners": ["aux", "copy"]},
    "cross_scale": {"scales": ["clothes"]},
    "attribute_prototypes": {"columns": ["viewpoint", "clothes"]},
    "attribute_tasks": {"columns": ["viewpoint", "clothes"]},
    "cascade": {"learners": ["aux", "narrow"]},
    "self_similarity": {"on": "narrow", "size": 20, "temperature": 0.1},
    "memory": {"size": 20, "start": 0},
    "message_passing": {"width": 8, "heads": 2, "dropout": 0.0},
    "s2sd": {"delay": 0},
    "boosted_slices": {"shares": [1, 2, 3]},
}
RANDOM = {"drawn_triplet", "margin", "policy_sampling", "adapted_sampling", "divided_slices"}  # draw triplets
# read who comes first of an identity, or at all
ORDERED = {"group_loss", "prototypical", "relational_distillation"}


def term(name: str, sizes: Sizes = SIZES, **settings: Any) -> Term:
    """A term of the table (``name@tag`` where it stands twice), with its settings there."""
    if name == "diversity":
        sizes = with_copy(sizes)
    torch.default_generator.manual_seed(7)
    made = make_term(name, SETTINGS.get(name, {}) | settings, sizes)
    if name == "self_similarity":  # which says nothing before it has seen something
        made.call.remember(
            torch.nn.functional.normalize(torch.randn(15, TEACHER), dim=1), torch.arange(100, 115)
        )
    return made


def with_copy(sizes: Sizes) -> Sizes:
    from dataclasses import replace

    return replace(sizes, heads={**sizes.heads, "copy": 12})


def everything(
    ids: list[int] | torch.Tensor, seed: int = 0, what: str = "random", double: bool = False
) -> Batch:
    """All that a run may give, of SIZES; ``what`` is wrong with the vectors."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.as_tensor(ids)
    count = len(ids)

    def vectors(*shape: int) -> torch.Tensor:
        found = torch.randn(count, *shape, generator=draw)
        if what == "identical":
            found = found[:1].expand(count, *shape).clone()
        elif what == "zeros":
            found = torch.zeros_like(found)
        elif what == "large":
            found = 100 * found
        return (found.double() if double else found).requires_grad_()

    labels = {"viewpoint": torch.arange(count) % 3, "clothes": ids % 2, "frame": torch.arange(count) % 4}
    means = torch.randn(CLASSES, DIMENSIONS, generator=draw) / 4
    apart = 1 + torch.rand(CLASSES, CLASSES, generator=draw)
    return Batch(
        embeddings=vectors(DIMENSIONS),
        features=vectors(DIMENSIONS),
        logits=vectors(CLASSES),
        pooled=vectors(6),
        maps=vectors(6, 4, 2),
        heads={"aux": vectors(12), "narrow": vectors(3), "copy": vectors(12)},
        second=vectors(DIMENSIONS),
        second_heads={"aux": vectors(12), "narrow": vectors(3), "copy": vectors(12)},
        teacher=torch.nn.functional.normalize(vectors(TEACHER).detach().float(), dim=1),
        teacher_second=torch.nn.functional.normalize(vectors(TEACHER).detach().float(), dim=1),
        cluster=torch.arange(count) % 3,
        held=torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9, 1.1]),
        held_at=torch.tensor(0),
        ids=ids,
        cameras=torch.arange(count) % 2,
        rows=torch.arange(count) + 40,
        step=torch.tensor(5),
        progress=torch.tensor(0.1),
        class_means=means,
        class_spread=torch.rand(CLASSES, generator=draw),
        class_levels=(apart + apart.T) / 2,
        labels=labels,
        **labels,
    )


def leaves(batch: Batch) -> list[torch.Tensor]:
    """Everything in it that a gradient can reach."""
    found = [v for v in batch.known.values() if isinstance(v, torch.Tensor) and v.is_leaf and v.requires_grad]
    return [*found, *batch.known["heads"].values(), *batch.known["second_heads"].values()]


def reordered(batch: Batch, order: torch.Tensor) -> Batch:
    """The same images in another order."""

    def turned(name: str, value: Any) -> Any:
        if name in ("step", "progress", "held", "held_at") or name.startswith("class_"):
            return value
        if isinstance(value, dict):
            return {key: inner[order] for key, inner in value.items()}
        return value[order]

    return Batch(**{name: turned(name, value) for name, value in batch.known.items() if name in GIVEN_NAMES})


GIVEN_NAMES = set(everything([0, 0, 1, 1]).known)
NAMES = sorted(TERMS)
