"""What holds for every term: finite on poor batches, the same in any order, resumed to the last bit, and it learns."""

from __future__ import annotations

import copy
import io
import math
from functools import cache
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from retrace.configs import InputError  # noqa: E402
from retrace.reid.losses.batch import Batch  # noqa: E402
from retrace.reid.losses.objective import Objective, Sizes, make_term  # noqa: E402
from tests.reid.losses.terms_by_hand import (  # noqa: E402
    CLASSES,
    DIMENSIONS,
    NAMES,
    ORDERED,
    RANDOM,
    SIZES,
    everything,
    leaves,
    reordered,
    term,
)

IDS = [0, 0, 0, 1, 1, 3, 3, 3, 3, 4, 4]  # P differs from K, counts differ


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", ["random", "identical", "zeros", "large"])
def test_poor_batches_have_finite_values_and_gradients(name: str, what: str) -> None:
    """One identity, no positives, one image, all the same, all zero."""
    for ids in ([2, 2, 2, 2], [0, 1, 2, 3], [1], IDS):
        batch = everything(ids, what=what)
        made = term(name)
        torch.default_generator.manual_seed(0)
        value = made(batch)
        assert value.shape == ()
        assert value.isfinite(), (ids, value)
        if value.requires_grad:
            value.backward()
        learned = list(made.call.parameters()) if isinstance(made.call, torch.nn.Module) else []
        for leaf in [*leaves(batch), *learned]:
            assert leaf.grad is None or leaf.grad.isfinite().all(), ids


LOCAL = {"facility_location"}  # a search that may end elsewhere when it begins elsewhere


@pytest.mark.parametrize("name", sorted(set(NAMES) - RANDOM - LOCAL))
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    """Terms of ORDERED read who comes first of an identity: there whole identities change places."""
    batch = everything(IDS, seed=3)
    order = torch.tensor([5, 6, 7, 8, 0, 1, 2, 9, 10, 3, 4])
    if name not in ORDERED:
        order = order[torch.randperm(len(IDS), generator=torch.Generator().manual_seed(1))]
    made = term(name)
    want = float(copy.deepcopy(made)(batch).detach())
    assert want != 0, "a term that says nothing cannot fail this test"
    assert float(made(reordered(batch, order)).detach()) == pytest.approx(want, rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_term_stays_as_it_was_when_looked_at(name: str) -> None:
    """Nothing that it reads is changed, and its state goes through a file."""
    batch = everything(IDS, seed=4)
    before = {k: v.clone() for k, v in batch.known.items() if isinstance(v, torch.Tensor)}
    made = term(name)
    torch.default_generator.manual_seed(1)
    made(batch)
    for key, value in before.items():
        assert torch.equal(batch[key], value), key
    if isinstance(made.call, torch.nn.Module):
        other = term(name)
        for parameter in other.call.parameters():
            torch.nn.init.zeros_(parameter)
        file = io.BytesIO()
        torch.save(made.call.state_dict(), file)
        file.seek(0)
        other.call.load_state_dict(torch.load(file, weights_only=True))
        values = []
        for one in (made, other):
            torch.default_generator.manual_seed(2)
            values.append(float(one(everything(IDS, seed=5)).detach()))
        assert values[0] == values[1]


UNIT = {  # of unit vectors: the length of an embedding is nothing to them
    *("arcface", "drawn_triplet", "hierarchical_triplet", "margin", "memory", "multi_similarity", "nt_xent"),
    *("prototypical", "proxy_graph", "proxy_nca", "ranked_list", "selection_balance", "soft_triple"),
    *("spanning_tree", "viewpoint", "boosted_slices", "cross_scale", "group_loss", "s2sd", "separation"),
    *("diversity", "orthogonal_maps", "teacher_similarities", "teacher_distances", "cascade"),
    *("tracklet_pairs", "policy_sampling", "facility_location", "adapted_sampling", "learned_sampler"),
    *("attribute_prototypes", "self_similarity"),
}


@pytest.mark.parametrize("name", sorted(UNIT))
def test_terms_on_directions_do_not_see_lengths(name: str) -> None:
    batch = everything(IDS, seed=6)
    lengths = 1 + torch.arange(len(IDS)).float()[:, None] / 3
    values = []
    for longer in (False, True):
        known = dict(batch.known)
        if longer:
            for key in ("embeddings", "second", "features", "pooled"):
                known[key] = known[key] * lengths
            known["maps"] = known["maps"] * lengths[:, :, None, None]
            known["heads"] = {k: v * lengths for k, v in known["heads"].items()}
        if name == "boosted_slices":  # its slices are normalised one by one
            known["embeddings"] = known["embeddings"] * (
                torch.tensor([1.0] * 2 + [3.0] * 4 + [2.0] * 6) if longer else 1
            )
        torch.default_generator.manual_seed(0)
        values.append(float(term(name)(Batch(**known)).detach()))
    assert values[0] == pytest.approx(values[1], rel=1e-4)


# ---- a toy: identities as points that noise and a nuisance move


@cache
def toy() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training and test vectors with their identities: x = A c + 2 B u + 0.3 e (64 numbers), 32 and 12 identities; and
    what a teacher knows of the 32: the identity's own numbers, without the nuisance."""
    draw = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    a, b = (normal(64, 8) / math.sqrt(8) for _ in range(2))
    sets = []
    for count in (32, 12):
        ids = torch.arange(count).repeat_interleave(8)
        sets += [
            normal(count, 8)[ids] @ a.T + 2 * normal(8 * count, 8) @ b.T + 0.3 * normal(8 * count, 64),
            ids,
        ]
    clean = torch.stack([sets[0][sets[1] == c].mean(0) for c in range(32)])
    teacher = clean @ torch.linalg.svd(clean, full_matrices=False)[2][:16].T
    return (*sets, torch.nn.functional.normalize(teacher, dim=1))  # type: ignore[return-value]


def recall(vectors: torch.Tensor, ids: torch.Tensor) -> float:
    """Share of images whose nearest other is of the same identity."""
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    near = (vectors @ vectors.T).fill_diagonal_(-2).argmax(1)
    return float((ids[near] == ids).float().mean())


class Small(torch.nn.Module):
    """64-64-16, with the other vectors that terms may be put on."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())
        self.embed = torch.nn.Linear(64, 16)
        self.classify = torch.nn.Linear(16, 32)
        self.heads = torch.nn.ModuleDict({"aux": torch.nn.Linear(64, 16), "narrow": torch.nn.Linear(64, 6)})

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        pooled = self.body(x)
        embeddings = self.embed(pooled)
        heads = {name: head(pooled) for name, head in self.heads.items()}
        return {
            "embeddings": embeddings,
            "features": embeddings,
            "pooled": pooled,
            "logits": self.classify(embeddings),
            "heads": heads,
            "maps": pooled[:, :, None, None],
        }


TOY = Sizes(
    32,
    16,
    identities=8,
    images=4,
    iterations=300,
    channels=64,
    teacher_dimensions=16,
    views=2,
    live=True,
    clusters=2,
    held=True,
    heads={"aux": 16, "narrow": 6},
    labels={"viewpoint": 3, "clothes": 2, "frame": 8, "a": 4, "b": 8},
)
CE = {"cross_entropy": {}}
RUNS: dict[str, dict[str, Any]] = {
    "cross_entropy": CE,
    "batch_hard_triplet": {"batch_hard_triplet": {}},
    "weighted_triplet": {"weighted_triplet": {}},
    "contrastive": {"contrastive": {"margin": 3}},
    "centre": CE | {"centre": {"weight": 0.01, "lr": 0.01}},
    "classifier": {"classifier": {}},
    "arcface": {"arcface": {"scale": 16, "lr": 0.01}},
    "arcface with sub-centres": {"arcface": {"scale": 16, "centres": 3, "lr": 0.01}},
    "prototypical": {"prototypical": {}},
    "viewpoint": {"viewpoint": {"scale": 16, "lr": 0.01}},
    "hierarchical_triplet": {"hierarchical_triplet": {}},
    "drawn_triplet": {"drawn_triplet": {}},
    "drawn_triplet, rho-switch": {"drawn_triplet": {"form": "contrastive", "margin": 0.5, "switch": 0.2}},
    "margin": {"margin": {"lr": 0.001}},
    "selection_balance": {"selection_balance": {}},
    "multi_similarity": {"multi_similarity": {}},
    "ranked_list": {"ranked_list": {}},
    "spanning_tree": {"spanning_tree": {}},
    "boosted_slices": {"boosted_slices": {"shares": [1, 1]}},
    "boosted_slices, adversary": {"boosted_slices": {"shares": [1, 1], "adversary": 0.1}},
    "proxy_nca": {"proxy_nca": {"lr": 0.03}},
    "proxy_nca, original": {"proxy_nca": {"form": "original", "lr": 0.03}},
    "soft_triple": {"soft_triple": {"lr": 0.03}},
    "proxy_graph": {"proxy_graph": {"lr": 0.01, "share": 0.2}},
    "memory": {"memory": {"size": 128, "start": 50}},
    "group_loss": CE | {"group_loss": {}},
    "message_passing": {"message_passing": {"width": 16}},
    "spectral_clustering": CE | {"spectral_clustering": {"on": "narrow"}},
    "relational_distillation": {"relational_distillation": {}},
    "teacher_features": {"teacher_features": {}},
    "teacher_similarities": {"teacher_similarities": {}},
    "teacher_distances": {"teacher_distances": {}},
    "s2sd": {"s2sd": {"weight_heads": 5, "weight_pooled": 1, "delay": 0}},
    "separation": {
        "margin": {},
        "margin@aux": {"on": "aux", "triplets": "shuffled"},
        "separation": {"other": "aux"},
    },
    "margin, shared and intra": {
        "margin": {},
        "margin@a": {"on": "aux", "triplets": "shared"},
        "margin@b": {"on": "narrow", "triplets": "intra"},
    },
    "diversity": {
        "contrastive": {},
        "contrastive@a": {"on": "aux"},
        "diversity": {"learners": ["aux", "copy"]},
    },
    "orthogonal_maps": CE | {"orthogonal_maps": {"weight": 1e-3}},
    "nt_xent": {"nt_xent": {}},
    "cross_scale": {"cross_scale": {"scales": ["clothes"]}},
    "policy_sampling": {"policy_sampling": {"lr": 0.001}},
    "adapted_sampling": {"adapted_sampling": {"lr": 0.001, "every": 10}},
    "learned_sampler": {"learned_sampler": {"lr": 0.001}},
    "tracklet_pairs": {"tracklet_pairs": {}},
    "self_similarity": {"self_similarity": {"size": 256, "temperature": 0.1}},
    "facility_location": {"facility_location": {}},
    "cascade": {"cascade": {"learners": ["aux", "narrow"]}},
    "divided_slices": {"divided_slices": {"lr": 0.001}},
    "attribute_prototypes": {"attribute_prototypes": {"columns": ["a", "b"]}},
    "attribute_tasks": CE | {"attribute_tasks": {"columns": ["a", "b"]}},
    "prototypical, across cameras": {"prototypical": {"across": True}},
}


# those that learn too little in 50 steps to be surely beyond what is asked
SLOW = [
    "cross_entropy",
    "classifier",
    "arcface",
    "viewpoint",
    "boosted_slices",
    "soft_triple",
    "spectral_clustering",
    "orthogonal_maps",
    "self_similarity",
    "attribute_prototypes",
    "attribute_tasks",
    "arcface with sub-centres",
    "boosted_slices, adversary",
]


def run_toy(losses: dict[str, Any], steps: int, seed: int = 0) -> tuple[float, float, list[float]]:
    """Recall@1 on new identities before and after; the losses."""
    from dataclasses import replace

    torch.default_generator.manual_seed(seed)
    train, labels, test, new, teacher = toy()
    sizes = replace(TOY, heads={**TOY.heads, "copy": 16}) if "diversity" in losses else TOY
    network = Small()
    if "diversity" in losses:
        network.heads["copy"] = torch.nn.Linear(64, 16)
    objective = Objective(losses, sizes)
    groups = [{"params": network.parameters()}, *objective.parameter_groups()]
    optimizer = torch.optim.Adam([g | {"weight_decay": 0.0} for g in groups], 3e-3, fused=True)
    before, values = recall(network(test)["embeddings"].detach(), new), []
    second = bool({"second", "second_heads"} & objective.reads)
    census = {
        "class_means": torch.zeros(32, 16),
        "class_spread": torch.full((32,), 0.3),
        "class_levels": torch.full((32, 32), 0.8),
    }
    for step in range(steps):
        people = torch.randperm(32)[:8]
        rows = (people[:, None] * 8 + torch.stack([torch.randperm(8)[:4] for _ in people])).flatten()
        x, ids = train[rows], labels[rows]
        answer = network(x)
        other = train[ids * 8 + torch.randint(0, 8, (32,))]
        views = network(other) if second else {"embeddings": None, "heads": None}
        columns = {"viewpoint": rows % 3, "clothes": ids % 2, "frame": rows % 8, "a": ids % 4, "b": ids // 4}
        batch = Batch(
            **answer,
            ids=ids,
            cameras=rows % 2,
            rows=rows,
            step=torch.tensor(step),
            progress=torch.tensor(step / steps),
            second=views["embeddings"],
            second_heads=views["heads"],
            teacher=teacher[ids],
            teacher_second=teacher[ids],
            cluster=ids % 2,
            held=torch.full((6,), 0.5 + 0.1 * math.sin(step // 10)),
            held_at=torch.tensor(step // 10 * 10),
            labels=columns,
            **census,
            **columns,
        )
        loss, _ = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    return before, recall(network(test)["embeddings"].detach(), new), values


def test_every_term_is_in_the_toy() -> None:
    assert {name.partition("@")[0] for losses in RUNS.values() for name in losses} == set(NAMES)


@pytest.mark.parametrize("name", RUNS)
def test_a_term_teaches_who_is_who_among_new_people(name: str) -> None:
    """One rule for all: half of the way from the untrained network's recall@1 to 1 (so 0.64), and a falling loss."""
    before, after, values = run_toy(RUNS[name], 100 if name in SLOW else 50)
    assert before < 0.45
    assert after >= (1 + before) / 2, (before, after, values[0], values[-1])
    assert sum(values[-20:]) < sum(values[:20])


# ---- what a run has not


@pytest.mark.parametrize(
    ("name", "settings", "sizes", "message"),
    [
        (
            "nt_xent",
            {},
            Sizes(4, 8),
            r"losses\.nt_xent: reads 'second', which this run has not: set views: 2",
        ),
        (
            "relational_distillation",
            {},
            Sizes(4, 8),
            "reads 'teacher', which this run has not: name its weights",
        ),
        ("orthogonal_maps", {}, Sizes(4, 8), "reads 'maps', which this run has not: set model.neck"),
        ("viewpoint", {}, Sizes(4, 8), "needs data with a label column 'viewpoint'; it has none"),
        ("viewpoint", {}, Sizes(4, 8, labels={"pose": 3}), "label column 'viewpoint'; its columns: pose"),
        (
            "group_loss",
            {},
            Sizes(4, 8, whole=False),
            "the whole batch at once: not with accumulate or several",
        ),
        (
            "margin",
            {"triplets": "shared"},
            Sizes(4, 8, identities=2),
            "at least 3 identities with 2 images, got 2 wi",
        ),
        ("margin", {"triplets": "intra"}, Sizes(4, 8), "at least 2 identities with 3 images, got 4 with 2"),
        (
            "margin",
            {"triplets": "alien"},
            Sizes(4, 8),
            r"losses\.margin\.triplets: no 'alien'; .*known: identity",
        ),
        (
            "contrastive",
            {"on": "aux"},
            Sizes(4, 8),
            r"contrastive\.on: this network has no vector 'aux'; .*embeddings",
        ),
        (
            "spectral_clustering",
            {},
            Sizes(4, 8),
            "needs a vector narrower than the batch's 4 identities, not 8",
        ),
        ("separation", {}, Sizes(4, 8), r"separation\.other: expected a head, one of none"),
        (
            "diversity",
            {},
            Sizes(4, 8),
            r"losses\.diversity: cannot be used .*at least two of model\.heads, has none",
        ),
        (
            "s2sd",
            {},
            Sizes(4, 8, channels=3),
            "cannot be used with these settings: .*needs model.heads as teachers",
        ),
        ("cross_scale", {}, Sizes(4, 8), "needs label columns for scales, has none"),
        ("attribute_tasks", {}, Sizes(4, 8), "expected label columns of the data, got none; it has none"),
        (
            "attribute_prototypes",
            {"columns": ["hat"]},
            Sizes(4, 8, labels={"bag": 2}),
            r"attribute_prototypes\.columns: expected label columns .*got hat; it has bag",
        ),
        (
            "self_similarity",
            {},
            Sizes(4, 8, views=2),
            "'teacher_second', which this run has not: set views: 2 and te",
        ),
        (
            "self_similarity",
            {},
            Sizes(4, 8, views=2, live=True, teacher_dimensions=6),
            "the teacher's vectors have 6 numbers, those it is put on 8",
        ),
        (
            "divided_slices",
            {},
            Sizes(4, 8),
            r"'cluster', which this run has not: set sampler: \{kind: cluster",
        ),
        ("divided_slices", {}, Sizes(4, 8, clusters=3), "8 dimensions cannot be cut into 3 slices"),
        ("policy_sampling", {}, Sizes(4, 8), r"'held', which this run has not: set census: \{held: 0.1"),
        ("tracklet_pairs", {}, Sizes(4, 8), "needs data with a label column 'frame'"),
        ("cascade", {}, Sizes(4, 8), r"needs 2 of model\.heads, one for each share but the first, has none"),
        ("cascade", {"shares": [0.5]}, Sizes(4, 8), r"shares must fall from 1, got \[0\.5\]"),
        ("adapted_sampling", {}, Sizes(4, 8, whole=False), "the whole batch at once"),
        ("classifier", {"parts": 3}, Sizes(4, 8), "8 dimensions cannot be cut into 3 parts"),
        ("boosted_slices", {"shares": [1, 99]}, Sizes(4, 8), "cannot be shared out"),
        ("boosted_slices", {"shares": 3}, Sizes(4, 8), r"boosted_slices\.shares: expected a list, got 3"),
        ("arcface", {"centres": 1.5}, Sizes(4, 8), r"arcface\.centres: expected a whole number, got 1\.5"),
        ("message_passing", {"heads": 3}, Sizes(4, 8), "cannot be used with these settings: .*embed_dim"),
    ],
    ids=str,
)
def test_what_a_run_has_not_is_one_line(
    name: str, settings: dict[str, Any], sizes: Sizes, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Objective({name: settings}, sizes)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500


def test_a_term_may_stand_twice_and_on_another_vector() -> None:
    losses = {"contrastive": {"margin": 2}, "contrastive@aux": {"on": "aux", "weight": 0.5}}
    batch = everything(IDS, seed=1)
    total, parts = Objective(losses, SIZES)(batch)
    head = Batch(embeddings=batch["heads"]["aux"], ids=batch["ids"])
    alone = make_term("contrastive", {}, SIZES)
    assert float(parts["contrastive@aux"]) == pytest.approx(float(alone(head)))
    assert float(total) == pytest.approx(float(parts["contrastive"]) + 0.5 * float(alone(head)))
    assert (SIZES.classes, SIZES.dimensions) == (CLASSES, DIMENSIONS)


def test_a_head_may_not_be_called_what_terms_read() -> None:
    with pytest.raises(InputError, match=r"model\.heads\.second: that name means something else"):
        Objective({"contrastive": {}}, Sizes(4, 8, heads={"second": 3}))


def test_what_is_derived_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from retrace.reid.losses import batch as batches

    counted = []
    real = batches.DERIVED["distances"]
    monkeypatch.setitem(batches.DERIVED, "distances", lambda *given: counted.append(1) or real(*given))
    losses = {
        "batch_hard_triplet": {},
        "weighted_triplet": {},
        "contrastive": {},
        "contrastive@aux": {"on": "aux"},
    }
    objective = Objective(losses, SIZES)
    counted.clear()
    objective(everything(IDS))
    assert len(counted) == 2  # of the embeddings and of the head
