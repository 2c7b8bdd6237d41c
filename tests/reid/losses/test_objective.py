"""Every term against plain Python loops, on ordinary and degenerate batches; pytorch-metric-learning by name."""

from __future__ import annotations

import inspect
import math
import re
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrace.configs import InputError

torch = pytest.importorskip("torch")

from retrace.reid.losses.batch import Batch  # noqa: E402
from retrace.reid.losses.objective import TERMS, Objective, Sizes, Term, make_term  # noqa: E402
from retrace.reid.losses.pml import BASES, REFUSED, usable  # noqa: E402

CLASSES, DIMENSIONS, TEACHER = 5, 6, 4
Vectors = list[list[float]]


def of(
    vectors: torch.Tensor, logits: torch.Tensor, ids: torch.Tensor, teacher: torch.Tensor | None = None
) -> Batch:
    return Batch(
        embeddings=vectors,
        features=vectors,
        logits=logits,
        ids=ids,
        cameras=torch.zeros_like(ids),
        teacher=teacher,
    )


def make(
    name: str,
    given_settings: dict[str, Any],
    classes: int = CLASSES,
    dimensions: int = DIMENSIONS,
    teacher: int = TEACHER,
) -> Term:
    return make_term(name, given_settings, Sizes(classes, dimensions, teacher_dimensions=teacher))


def distance(a: list[float], b: list[float]) -> float:
    return math.sqrt(max(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)), 1e-12))


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def slow_cross_entropy(logits: Vectors, ids: list[int], smoothing: float, temperature: float) -> float:
    total = []
    for row, own in zip(logits, ids, strict=True):
        log_sum = math.log(sum(math.exp(x / temperature) for x in row))
        wanted = [smoothing / len(row) + (1 - smoothing) * (c == own) for c in range(len(row))]
        total.append(-sum(w * (x / temperature - log_sum) for w, x in zip(wanted, row, strict=True)))
    return mean(total)


def slow_batch_hard(vectors: Vectors, ids: list[int], margin: float | None) -> float:
    total = []
    for a, own in enumerate(ids):
        pulls = [distance(vectors[a], vectors[p]) for p, i in enumerate(ids) if i == own and p != a]
        pushes = [distance(vectors[a], vectors[n]) for n, i in enumerate(ids) if i != own]
        if pulls and pushes:
            gap = max(pulls) - min(pushes)
            total.append(softplus(gap) if margin is None else max(0.0, gap + margin))
    return mean(total)


def slow_weighted(vectors: Vectors, ids: list[int]) -> float:
    total = []
    for a, own in enumerate(ids):
        pulls = [distance(vectors[a], vectors[p]) for p, i in enumerate(ids) if i == own and p != a]
        pushes = [distance(vectors[a], vectors[n]) for n, i in enumerate(ids) if i != own]
        if pulls and pushes:
            pull = sum(d * math.exp(d) for d in pulls) / sum(math.exp(d) for d in pulls)
            push = sum(d * math.exp(-d) for d in pushes) / sum(math.exp(-d) for d in pushes)
            total.append(softplus(pull - push))
    return mean(total)


def slow_contrastive(vectors: Vectors, ids: list[int], margin: float) -> float:
    pulls, pushes = [], []
    for a in range(len(ids)):
        for b in range(a):
            d = distance(vectors[a], vectors[b])
            if ids[a] == ids[b]:
                pulls.append(d**2)
            else:
                pushes.append(max(0.0, margin - d) ** 2)
    return mean(pulls) + mean(pushes)


def slow_centre(vectors: Vectors, ids: list[int], centres: Vectors) -> float:
    return mean([distance(v, centres[i]) ** 2 / 2 for v, i in zip(vectors, ids, strict=True)])


def twins(vectors: Vectors, logits: Vectors, ids: list[int], centres: Vectors) -> dict[str, Any]:
    """Term and settings -> the slow answer."""
    return {
        ("cross_entropy",): slow_cross_entropy(logits, ids, 0, 1),
        ("cross_entropy", ("label_smoothing", 0.1)): slow_cross_entropy(logits, ids, 0.1, 1),
        ("cross_entropy", ("label_smoothing", 1), ("temperature", 1 / 9)): slow_cross_entropy(
            logits, ids, 1, 1 / 9
        ),
        ("batch_hard_triplet",): slow_batch_hard(vectors, ids, 0.3),
        ("batch_hard_triplet", ("margin", 1.5)): slow_batch_hard(vectors, ids, 1.5),
        ("batch_hard_triplet", ("margin", None)): slow_batch_hard(vectors, ids, None),
        ("weighted_triplet",): slow_weighted(vectors, ids),
        ("contrastive",): slow_contrastive(vectors, ids, 1.0),
        ("contrastive", ("margin", 4)): slow_contrastive(vectors, ids, 4),
        ("centre",): slow_centre(vectors, ids, centres),
    }


def check_against_twins(vectors: torch.Tensor, logits: torch.Tensor, ids: torch.Tensor) -> None:
    """Values equal the slow ones, gradients are finite."""
    generator = torch.Generator().manual_seed(5)
    centres = torch.randn(CLASSES, vectors.shape[1], generator=generator)
    wanted = twins(vectors.tolist(), logits.tolist(), ids.tolist(), centres.tolist())
    for (name, *given_settings), value in wanted.items():
        term = make(name, dict(given_settings), CLASSES, vectors.shape[1])
        if name == "centre":
            term.call.centres.data.copy_(centres)
        v, x = vectors.clone().requires_grad_(), logits.clone().requires_grad_()
        got = term(of(v, x, ids))
        assert got.shape == ()
        # The distances come from float32 Gram products: absolute errors of about sqrt(eps) where they vanish.
        assert float(got.detach()) == pytest.approx(value, rel=1e-4, abs=2e-3), (name, given_settings)
        (got + 0 * (v.sum() + x.sum())).backward()
        assert v.grad.isfinite().all(), (name, given_settings)
        assert x.grad.isfinite().all(), (name, given_settings)


def batch(seed: int, ids: list[int], scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = scale * torch.randn(len(ids), DIMENSIONS, generator=generator)
    return vectors, torch.randn(len(ids), CLASSES, generator=generator), torch.tensor(ids)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=12), st.integers(0, 999))
def test_terms_equal_their_slow_twins(ids: list[int], seed: int) -> None:
    check_against_twins(*batch(seed, ids))


@pytest.mark.parametrize("ids", [[2, 2, 2, 2], [0, 1, 2, 3], [1], [0, 0, 0, 1]], ids=str)
@pytest.mark.parametrize("what", ["random", "identical", "pairs", "zeros", "large"])
def test_degenerate_batches_have_finite_gradients(ids: list[int], what: str) -> None:
    """One identity only, K = 1, one image; vectors that coincide."""
    vectors, logits, labels = batch(3, ids, scale=5.0 if what == "large" else 1.0)
    if what == "identical":
        vectors = vectors[:1].expand(len(ids), -1).clone()
    elif what == "pairs":
        vectors = vectors[torch.arange(len(ids)) // 2]
    elif what == "zeros":
        vectors = torch.zeros_like(vectors)
    check_against_twins(vectors, logits, labels)


def test_batch_hard_by_hand() -> None:
    """On a line: 0 and 1 are one person, 3 and 7 another; hardest gaps 1-3, 1-2, 4-2, 4-6."""
    vectors = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    ids, none = torch.tensor([4, 4, 2, 2]), torch.zeros(4, 5)
    term = make("batch_hard_triplet", {"margin": 0.5}, 5, 1)
    assert float(term(of(vectors, none, ids))) == pytest.approx((0 + 0 + 2.5 + 0) / 4)
    soft = make("batch_hard_triplet", {"margin": None}, 5, 1)
    want = sum(math.log1p(math.exp(gap)) for gap in (-2, -1, 2, -2)) / 4
    assert float(soft(of(vectors, none, ids))) == pytest.approx(want)


def test_gradients_of_batch_hard_reach_only_the_hardest() -> None:
    """0 | 1 at x = 0 and 1, the other person at 1.2 and 5: a = 0, p = 1, n = 1.2 is the first anchor's triplet."""
    vectors = torch.tensor([[0.0], [1.0], [1.2], [5.0]], requires_grad=True)
    ids = torch.tensor([0, 0, 1, 1])
    make("batch_hard_triplet", {}, 2, 1)(of(vectors, torch.zeros(4, 2), ids)).backward()
    # Gaps + 0.3: 0.1 | 1.1 | 3.9 | 0.1; d/dx of [|x0-x1| - |x0-x2|] + [|x1-x0| - |x1-x2|] + [|x2-x3| - |x2-x1|]
    # + [|x3-x2| - |x3-x1|], a quarter each.
    want = [(-1 + 1) - 1, 1 + (1 + 1) + 1 + 1, -1 - 1 + (-1 - 1) - 1, 1 + (1 - 1)]
    assert vectors.grad[:, 0].tolist() == pytest.approx([w / 4 for w in want], abs=1e-4)


def test_centres_are_pulled_towards_their_people() -> None:
    centre = make("centre", {}, 3, 2)
    vectors, ids = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([1, 1])
    centre.call.centres.data.zero_()
    loss = centre(of(vectors, torch.zeros(2, 3), ids))
    assert float(loss.detach()) == pytest.approx((1 + 9) / 4)
    loss.backward()
    assert centre.call.centres.grad.tolist() == [[0, 0], [-2, 0], [0, 0]]


pml = pytest.importorskip("pytorch_metric_learning")
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers  # noqa: E402


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_batch_hard_equals_pytorch_metric_learning(seed: int, soft: bool) -> None:
    """They agree on the mean over all anchors, which is pytorch-metric-learning's MeanReducer."""
    ids = torch.arange(4).repeat_interleave(4)
    vectors, logits, _ = batch(seed, ids.tolist())
    euclid = distances.LpDistance(normalize_embeddings=False, p=2, power=1)
    mined = miners.BatchHardMiner(distance=euclid)(vectors, ids)
    theirs = losses.TripletMarginLoss(
        margin=0.0 if soft else 0.3, smooth_loss=soft, distance=euclid, reducer=reducers.MeanReducer()
    )
    a, b = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    ours = make("batch_hard_triplet", {"margin": None if soft else 0.3})
    one, other = ours(of(a, logits, ids)), theirs(b, ids, mined)
    assert float(one.detach()) == pytest.approx(float(other.detach()), rel=1e-5)
    one.backward()
    other.backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4)


def public_losses() -> list[str]:
    return sorted(name for name, value in vars(losses).items() if inspect.isclass(value))


NEEDS: dict[str, dict[str, Any]] = {  # settings without which a loss cannot be made
    "RankedListLoss": {"margin": 0.5, "Tn": 1.0},
}
UNFIT = BASES | REFUSED.keys()


@pytest.mark.parametrize("name", public_losses())
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # in their HistogramLoss
def test_every_loss_of_pytorch_metric_learning_trains_or_is_refused(name: str) -> None:
    def objective_of(given: dict[str, Any]) -> Objective:
        torch.default_generator.manual_seed(0)
        return Objective({"pml." + name: given}, Sizes(CLASSES, DIMENSIONS))

    if name in UNFIT | NEEDS.keys():
        with pytest.raises(InputError, match=name) as caught:
            objective_of({})
        assert "\n" not in str(caught.value)
    if name in UNFIT:
        return
    objective = objective_of(NEEDS.get(name, {}))
    vectors, logits, ids = batch(1, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    vectors.requires_grad_()
    total, parts = objective(of(vectors, logits, ids))
    total.backward()
    assert total.isfinite()
    assert list(parts) == ["pml." + name]
    assert vectors.grad.isfinite().all()
    assert vectors.grad.any()
    assert "logits" not in objective.reads


def test_the_refused_losses_are_the_ones_we_know() -> None:
    assert set(public_losses()) >= UNFIT | NEEDS.keys()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refusal_says_why_and_what_to_take_instead(name: str) -> None:
    with pytest.raises(InputError, match=rf"losses\.pml\.{name}: it") as caught:
        make("pml." + name, {"margin": 0.3, "anything": 1})
    assert len(str(caught.value)) < 200
    instead = re.search(r"use ([\w.]+)", str(caught.value))
    if instead is not None:
        assert instead[1] in TERMS or instead[1].removeprefix("pml.") in public_losses()


@pytest.mark.parametrize("name", ["SmoothAPLoss", "NPairsLoss"])
def test_these_are_refused_since_the_order_of_a_batch_changes_them(name: str) -> None:
    ids = torch.arange(8).repeat_interleave(4)
    vectors = torch.randn(32, 8, generator=torch.Generator().manual_seed(1))
    order = torch.randperm(32, generator=torch.Generator().manual_seed(2))
    loss = getattr(losses, name)()
    assert float(loss(vectors, ids)) != pytest.approx(float(loss(vectors[order], ids[order])), rel=1e-3)


def test_angular_does_not_see_lengths() -> None:
    vectors, logits, ids = batch(1, [0, 0, 0, 1, 1, 1])
    term = make("pml.AngularLoss", {})
    short, long = (float(term(of(scale * vectors, logits, ids))) for scale in (0.1, 10))
    assert short == pytest.approx(long, rel=1e-4)
    plain = losses.AngularLoss()
    assert float(plain(0.1 * vectors, ids)) != pytest.approx(float(plain(10 * vectors, ids)), rel=1e-2)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("NCALoss", {"softmax_scale": 32}, r"NCALoss: with softmax_scale above 9 .*, got 32; use proxy_nca"),
        ("ProxyNCALoss", {"softmax_scale": "1e1"}, "ProxyNCALoss: with softmax_scale above 9"),
        (
            "ContrastiveLoss",
            {"distance": "CosineSimilarity"},
            "with a similarity set pos_margin: 1 and neg_margin: 0",
        ),
        ("ContrastiveLoss", {"weight_regularizer": "LpRegularizer"}, "no setting 'weight_regularizer'"),
        ("ContrastiveLoss", {"embedding_regularizer": "Lp"}, "no 'Lp'; known: BaseRegularizer"),
        ("ContrastiveLoss", {"reducer": "DivisorReducer"}, "cannot be used with these settings"),
        ("ContrastiveLoss", {"reducer": "MultipleReducers"}, "MultipleReducers refuses"),
        ("ContrastiveLoss", {"miner": "BaseMiner"}, "cannot be used on this batch"),
        ("SubCenterArcFaceLoss", {}, "use arcface with centres"),
    ],
)
def test_parts_that_do_not_go_together_are_one_line(name: str, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Objective({"pml." + name: spec}, Sizes(CLASSES, DIMENSIONS))
    assert "\n" not in str(caught.value)


FAMILIES = {
    "distance": distances,
    "miner": miners,
    "reducer": reducers,
    "embedding_regularizer": regularizers,
    "weight_regularizer": regularizers,
}


@pytest.mark.parametrize("part", FAMILIES)
@pytest.mark.filterwarnings("ignore")  # in their HistogramLoss, P2SGradLoss and miners
def test_no_loss_with_any_part_ends_in_a_traceback(part: str) -> None:
    """Every loss of the library with every part of a kind: a finite value with its gradient, or one line."""
    vectors, logits, ids = batch(1, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    names = [name for name, value in vars(FAMILIES[part]).items() if inspect.isclass(value)]
    worked, refusals = set(), []
    for loss in usable():
        for name in names:
            torch.default_generator.manual_seed(0)
            try:
                made = Objective(
                    {f"pml.{loss}": NEEDS.get(loss, {}) | {part: name}}, Sizes(CLASSES, DIMENSIONS)
                )
                seen = vectors.clone().requires_grad_()
                total, _ = made(of(seen, logits, ids))
                (total + 0 * seen.sum()).backward()
            except InputError as error:
                refusals.append(str(error))
                continue
            assert total.isfinite(), (loss, name)
            assert seen.grad is not None
            assert seen.grad.isfinite().all(), (loss, name)
            worked.add(name)
    assert all("\n" not in line and len(line) <= 500 for line in refusals)
    assert len(worked) >= len(names) / 2, set(names) - worked


def test_regularisers_by_name() -> None:
    vectors, logits, ids = batch(2, [0, 0, 1, 1, 2, 2])
    plain, heavy = (
        float(make("pml.ContrastiveLoss", more)(of(vectors, logits, ids)))
        for more in ({}, {"embedding_regularizer": "LpRegularizer", "embedding_reg_weight": 0.5})
    )
    assert heavy == pytest.approx(plain + 0.5 * float(vectors.norm(dim=1).mean()), rel=1e-4)
    spec = {
        "weight_regularizer": {"SparseCentersRegularizer": {"centers_per_class": 2}},
        "centers_per_class": 2,
    }
    term = make("pml.SoftTripleLoss", spec | {"weight_reg_weight": 0.2})
    assert float(term(of(vectors, logits, ids)).detach()) > 0


def test_a_loss_that_fails_on_a_batch_is_one_line() -> None:
    """Their HistogramLoss raises where all distances are equal."""
    vectors, logits, ids = batch(2, [0, 0, 1, 1])
    term = make("pml.HistogramLoss", {})
    with pytest.raises(InputError, match="HistogramLoss: cannot be used on this batch"):
        term(of(vectors[:1].expand(4, -1), logits, ids))


def test_distance_miner_and_reducer_by_name() -> None:
    spec = {
        "margin": "3e-1",  # YAML reads it as text
        "distance": {"LpDistance": {"normalize_embeddings": False, "p": 2, "power": 1}},
        "miner": "BatchHardMiner",
        "reducer": "MeanReducer",
    }
    term = make("pml.TripletMarginLoss", spec)
    vectors, logits, ids = batch(2, [0, 0, 1, 1, 2, 2])
    got = float(term(of(vectors, logits, ids)))
    ours = make("batch_hard_triplet", {"margin": 0.3})
    # the miner measures likewise
    assert got == pytest.approx(float(ours(of(vectors, logits, ids))), rel=1e-5)
    unit = make("pml.TripletMarginLoss", {key: spec[key] for key in ("margin", "miner")})
    assert float(unit(of(vectors, logits, ids))) != pytest.approx(got, rel=1e-2)


@pytest.mark.parametrize(
    ("given_losses", "message"),
    [
        ({"crossentropy": {}}, r"losses: unknown term 'crossentropy'; did you mean 'cross_entropy'\?"),
        (
            {"cross_entropy": {"label_smothing": 0.1}},
            r"unknown key 'label_smothing'; did you mean 'label_smoothing'\?",
        ),
        ({"cross_entropy": {"label_smoothing": 2}}, r"losses\.cross_entropy: cannot be used .*between 0"),
        ({"cross_entropy": {"label_smoothing": None}}, r"losses\.cross_entropy: cannot be used"),
        ({"cross_entropy": {"temperature": 0}}, r"losses\.cross_entropy: gives nan with these settings"),
        (
            {"cross_entropy": {"weight": "much"}},
            r"losses\.cross_entropy\.weight: expected a number, got 'much'",
        ),
        ({"cross_entropy": {"weight": float("nan")}}, r"cross_entropy\.weight: expected a number, got nan"),
        (
            {"batch_hard_triplet": {"margin": "soft"}},
            r"batch_hard_triplet\.margin: expected a number, got 'soft'",
        ),
        (
            {"batch_hard_triplet": {"margin": [1]}},
            r"batch_hard_triplet\.margin: expected a number, got \[1\]",
        ),
        ({"centre": {"lr": -1}}, r"losses\.centre\.lr: expected a number above 0, got -1"),
        ({"centre": {"classes": 3}}, r"losses\.centre: unknown key 'classes'"),
        ({"pml.TripletLoss": {}}, r"no 'TripletLoss'; did you mean 'SoftTripleLoss'\?.* TripletMarginLoss"),
        ({"pml.TripletMarginLoss": {"margn": 1}}, r"no setting 'margn'; did you mean 'margin'\?"),
        ({"pml.TripletMarginLoss": {"margin": "wide"}}, r"losses\.pml\.TripletMarginLoss: cannot be used"),
        (
            {"pml.TripletMarginLoss": {"miner": "BatchHarder"}},
            r"no 'BatchHarder'; did you mean 'BatchHardMiner'",
        ),
        ({"pml.TripletMarginLoss": {"distance": 3}}, r"expected a name or \{name: settings\}, got 3"),
        ({"pml.TripletMarginLoss": {"reducer": {"MeanReducer": {"x": 1}}}}, "no setting 'x'"),
        ({"pml.": {}}, "no ''"),
    ],
    ids=str,
)
def test_mistakes_are_named_in_one_line(given_losses: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Objective(given_losses, Sizes(CLASSES, DIMENSIONS))
    assert "\n" not in str(caught.value)


def test_a_rate_for_a_term_that_learns_nothing_is_refused() -> None:
    for name in ("cross_entropy", "pml.TripletMarginLoss"):
        with pytest.raises(InputError, match=rf"losses\.{name}\.lr: this term learns nothing"):
            Objective({name: {"lr": 0.1}}, Sizes(CLASSES, DIMENSIONS)).parameter_groups()


def test_the_sum_is_weighted() -> None:
    vectors, logits, ids = batch(0, [0, 0, 1, 1])
    objective = Objective(
        {"cross_entropy": {"weight": "5e-1"}, "contrastive": {"weight": 2}, "batch_hard_triplet": {}},
        Sizes(CLASSES, DIMENSIONS),
    )
    total, parts = objective(of(vectors, logits, ids))
    want = 0.5 * parts["cross_entropy"] + 2 * parts["contrastive"] + parts["batch_hard_triplet"]
    assert float(total) == pytest.approx(float(want))
    assert "logits" in objective.reads
    assert objective.parameter_groups() == []


def test_terms_that_learn_have_a_group_and_travel() -> None:
    spec = {"cross_entropy": {}, "centre": {"weight": 5e-4, "lr": 0.5}, "pml.ProxyAnchorLoss": {}}
    objective = Objective(spec, Sizes(CLASSES, DIMENSIONS))
    centre, proxies = objective.parameter_groups()
    assert [p.shape for p in centre["params"]] == [(CLASSES, DIMENSIONS)]
    assert centre["lr"] == 0.5
    assert "lr" not in proxies  # the network's
    assert centre["weight_decay"] == proxies["weight_decay"] == 0
    assert {*objective.state_dict()} == {
        "modules_by_name.centre.centres",
        "modules_by_name.pml_ProxyAnchorLoss.loss.proxies",
    }
    assert len([*objective.parameters()]) == 2


def test_making_an_objective_leaves_memories_and_the_random_state_alone() -> None:
    """The trial of every term is on a copy: the memory would start with what is no image."""
    torch.default_generator.manual_seed(4)
    state = torch.get_rng_state()
    term = Objective({"memory": {}}, Sizes(CLASSES, DIMENSIONS)).terms[0].call
    assert torch.equal(torch.get_rng_state(), state)
    assert term.position == 0  # type: ignore[attr-defined]
    assert not term.vectors.any()  # type: ignore[attr-defined]
    assert all(p.grad is None for p in term.parameters())  # type: ignore[attr-defined]


def cosine(a: list[float], b: list[float]) -> float:
    size = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / size


def slow_similarities(own: Vectors, wanted: Vectors, temperature: float) -> float:
    total = 0.0
    for i in range(len(own)):
        others = [k for k in range(len(own)) if k != i]
        rows = []
        for vectors in (own, wanted):
            weights = [math.exp(cosine(vectors[i], vectors[k]) / temperature) for k in others]
            rows.append([w / sum(weights) for w in weights])
        total += sum(t * math.log(t / s) for s, t in zip(*rows, strict=True))
    return temperature**2 * total / len(own)


def slow_distances(own: Vectors, wanted: Vectors) -> float:
    scaled = []
    for vectors in (own, wanted):
        units = [[x / math.sqrt(sum(y * y for y in v)) for x in v] for v in vectors]
        pairs = [distance(a, b) for i, a in enumerate(units) for j, b in enumerate(units) if i != j]
        scaled.append([d / mean(pairs) for d in pairs])
    gaps = [abs(a - b) for a, b in zip(*scaled, strict=True)]
    return mean([g * g / 2 if g < 1 else g - 0.5 for g in gaps])


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 9), st.integers(0, 999), st.sampled_from([0.05, 0.1, 1.0]))
def test_teacher_terms_equal_their_slow_twins(count: int, seed: int, temperature: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    own, teacher = (torch.randn(count, size, generator=draw) for size in (DIMENSIONS, TEACHER))
    lists = own.tolist(), teacher.tolist()
    got = make("teacher_similarities", {"temperature": temperature})
    assert float(got(Batch(features=own, teacher=teacher))) == pytest.approx(
        slow_similarities(*lists, temperature), rel=1e-3, abs=1e-6
    )
    got = make("teacher_distances", {})
    assert float(got(Batch(features=own, teacher=teacher))) == pytest.approx(
        slow_distances(*lists), rel=1e-3, abs=1e-6
    )
    term = make("teacher_features", {})
    mapped = term.call.map(own).tolist()
    want = mean([1 - cosine(a, b) for a, b in zip(mapped, lists[1], strict=True)])
    assert float(term(Batch(features=own, teacher=teacher)).detach()) == pytest.approx(want, abs=1e-5)


def test_a_student_who_agrees_has_nothing_to_learn() -> None:
    """Also where the student's space is larger, and turned."""
    teacher = torch.nn.functional.normalize(
        torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), dim=1
    )
    turned = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)))[0][:3]
    own = (7 * teacher @ turned).requires_grad_()
    for name in ("teacher_similarities", "teacher_distances"):
        loss = make(name, {}, CLASSES, 5, 3)(Batch(features=own, teacher=teacher))
        assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
        loss.backward()
        assert own.grad is not None
        assert own.grad.abs().max() < 1e-4
        own.grad = None


def test_a_teacher_term_without_teachers_is_refused() -> None:
    for name in ("teacher_features", "teacher_similarities", "teacher_distances"):
        with pytest.raises(
            InputError,
            match=rf"losses\.{name}: reads 'teacher', which this run has not: name its weights in teachers",
        ):
            Objective({name: {}}, Sizes(CLASSES, DIMENSIONS))


def test_the_map_to_the_teacher_is_learnt() -> None:
    objective = Objective(
        {"teacher_features": {"weight": 2}}, Sizes(CLASSES, DIMENSIONS, teacher_dimensions=TEACHER)
    )
    (group,) = objective.parameter_groups()
    assert [tuple(p.shape) for p in group["params"]] == [(TEACHER, DIMENSIONS), (TEACHER,)]
    vectors, logits, ids = batch(0, [0, 0, 1, 1])
    total, parts = objective(of(vectors, logits, ids, torch.ones(4, TEACHER)))
    assert float(total.detach()) == pytest.approx(2 * float(parts["teacher_features"].detach()))
    total.backward()
    assert all(p.grad is not None and p.grad.any() for p in group["params"])
    assert "logits" not in objective.reads


def test_embeddings_of_half_precision_keep_their_small_distances() -> None:
    """bfloat16 keeps 8 bits: differences of squares need float32."""
    vectors = torch.tensor([[100.0, 0], [101, 0], [100, 8], [101, 8]], dtype=torch.bfloat16)
    ids = torch.tensor([0, 0, 1, 1])
    term = make("batch_hard_triplet", {"margin": 10}, 2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(term(of(vectors, torch.zeros(4, 2), ids))) == pytest.approx(10 + 1 - 8, abs=0.05)
