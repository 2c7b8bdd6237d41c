"""Each term against its equation as plain loops (P differs from K, counts differ), and numbers worked by hand."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from retrace.reid.losses import (  # noqa: E402
    classification,
    distillation,
    labels,
    pairs,
    proxies,
    relations,
    sampled,
    several,
    triplets,
)
from retrace.reid.losses.batch import Batch  # noqa: E402
from retrace.reid.losses.memory import BatchMemory, SelfSimilarity  # noqa: E402
from tests.reid.losses.terms_by_hand import CLASSES, everything, term  # noqa: E402

IDS = [0, 0, 0, 1, 1, 3, 3, 3, 3, 4, 4]
N = len(IDS)
Rows = list[list[float]]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def units(rows: Rows) -> Rows:
    return [[x / max(math.sqrt(dot(r, r)), 1e-12) for x in r] for r in rows]


def distance(a: list[float], b: list[float]) -> float:
    return math.sqrt(max(2 - 2 * dot(a, b), 1e-12))


def relu(x: float) -> float:
    return max(0.0, x)


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def cross_entropy(scores: list[float], own: int) -> float:
    top = max(scores)
    return top + math.log(sum(math.exp(s - top) for s in scores)) - scores[own]


def others(a: int, same: bool) -> list[int]:
    return [j for j in range(N) if j != a and (IDS[j] == IDS[a]) == same]


def rows(tensor: torch.Tensor) -> Rows:
    return tensor.detach().double().tolist()


def slow_multi_similarity(f: Rows) -> float:
    total = []
    for a in range(N):
        near, far = others(a, True), others(a, False)
        low = min((dot(f[a], f[p]) for p in near), default=math.inf)
        high = max((dot(f[a], f[n]) for n in far), default=-math.inf)
        pull = [dot(f[a], f[p]) for p in near if dot(f[a], f[p]) - 0.1 < high]
        push = [dot(f[a], f[n]) for n in far if dot(f[a], f[n]) + 0.1 > low]
        total.append(
            math.log1p(sum(math.exp(-2 * (s - 0.5)) for s in pull)) / 2
            + math.log1p(sum(math.exp(50 * (s - 0.5)) for s in push)) / 50
        )
    return mean(total)


def slow_ranked_list(f: Rows) -> float:
    total = []
    for a in range(N):
        near = [d - 0.8 for p in others(a, True) if (d := distance(f[a], f[p])) > 0.8]
        far = [d for n in others(a, False) if (d := distance(f[a], f[n])) < 1.2]
        weights = [math.exp(10 * (1.2 - d)) for d in far]
        push = sum(w * (1.2 - d) for w, d in zip(weights, far, strict=True)) / sum(weights) if far else 0
        total.append(0.5 * mean(near) + 0.5 * push)
    return mean(total)


def slow_spanning_tree(f: Rows) -> float:
    pulls = []
    for identity in set(IDS):
        own = [i for i in range(N) if IDS[i] == identity]
        inside, outside = own[:1], own[1:]
        while outside:
            i, j = min(itertools.product(inside, outside), key=lambda e: distance(f[e[0]], f[e[1]]))
            pulls.append(distance(f[i], f[j]) ** 2)
            inside.append(j)
            outside.remove(j)
    pushes = [relu(1 - distance(f[a], f[n])) ** 2 for a in range(N) for n in others(a, False)]
    return mean(pulls) + mean(pushes)


def slow_hierarchical(f: Rows, levels: Rows, spread: list[float]) -> float:
    values = []
    for a in range(N):
        for p, n in itertools.product(others(a, True), others(a, False)):
            margin = 0.1 + levels[IDS[a]][IDS[n]] - spread[IDS[a]]
            values.append(relu(distance(f[a], f[p]) ** 2 - distance(f[a], f[n]) ** 2 + margin))
    return sum(values) / (2 * len(values))


def slow_selection_balance(f: Rows) -> float:
    values, chosen = [], []
    for a in range(N):
        p = max(others(a, True), key=lambda j: distance(f[a], f[j]))
        n = min(others(a, False), key=lambda j: distance(f[a], f[j]))
        values.append(relu(distance(f[a], f[p]) - distance(f[a], f[n]) + 0.3))
        chosen += [a, p, n]
    gap = 0.0
    for identity in set(IDS):
        every = [f[i] for i in range(N) if IDS[i] == identity]
        some = [f[i] for i in chosen if IDS[i] == identity]
        if some:
            gap += sum(
                (mean(list(s)) - mean(list(e))) ** 2
                for s, e in zip(zip(*some, strict=True), zip(*every, strict=True), strict=True)
            )
    return mean(values) + 0.1 * gap


def slow_prototypical(f: Rows) -> float:
    support: dict[int, list[int]] = {}
    queries = []
    for i in range(N):
        mine = support.setdefault(IDS[i], [])
        if len(mine) < IDS.count(IDS[i]) // 2:
            mine.append(i)
        else:
            queries.append(i)
    names = sorted(support)
    means = [[mean(list(column)) for column in zip(*(f[i] for i in support[c]), strict=True)] for c in names]
    scores = [[-10 * sum((x - y) ** 2 for x, y in zip(f[q], m, strict=True)) for m in means] for q in queries]
    return mean([cross_entropy(s, names.index(IDS[q])) for s, q in zip(scores, queries, strict=True)])


def slow_nt_xent(f: Rows, g: Rows) -> float:
    views = f + g
    total = []
    for i in range(2 * N):
        scores = {k: dot(views[i], views[k]) / 0.5 for k in range(2 * N) if k != i}
        total.append(math.log(sum(math.exp(s) for s in scores.values())) - scores[(i + N) % (2 * N)])
    return mean(total)


def slow_cross_scale(f: Rows, clothes: list[int]) -> float:
    total = []
    for a in range(N):
        for p in others(a, True):
            terms = [
                32 * (dot(f[a], f[n]) - dot(f[a], f[p]) + 0.1 + 0.3 * (clothes[a] != clothes[n]))
                for n in others(a, False)
            ]
            total.append(softplus(math.log(sum(math.exp(t) for t in terms))))
    return mean(total)


def slow_group(x: Rows, logits: Rows) -> float:
    centred = units([[v - mean(r) for v in r] for r in x])
    w = [[1.0 if i == j else relu(dot(centred[i], centred[j])) for j in range(N)] for i in range(N)]
    chances, seen = [], set()
    for i, row in enumerate(logits):
        if IDS[i] not in seen:
            chances.append([float(c == IDS[i]) for c in range(CLASSES)])
        else:
            scores = [math.exp(v / 10) for v in row]
            chances.append([s / sum(scores) for s in scores])
        seen.add(IDS[i])
    new = [
        [chances[i][c] * sum(w[i][j] * chances[j][c] for j in range(N)) for c in range(CLASSES)]
        for i in range(N)
    ]
    return mean([-math.log(r[y] / sum(r) + 1e-12) for r, y in zip(new, IDS, strict=True)])


def slow_rkd(z: Rows, t: Rows) -> float:
    def scaled(v: Rows) -> Rows:
        d = [[math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True))) for b in v] for a in v]
        size = mean([x for r in d for x in r if x > 0])
        return [[x / size for x in r] for r in d]

    def angle(v: Rows, i: int, j: int, k: int) -> float:
        one, two = ([a - b for a, b in zip(v[o], v[i], strict=True)] for o in (j, k))
        size = math.sqrt(dot(one, one)) * math.sqrt(dot(two, two))
        return dot(one, two) / size if size else 0.0

    def huber(gap: float) -> float:
        return gap**2 / 2 if abs(gap) < 1 else abs(gap) - 0.5

    ds, dt = scaled(z), scaled(t)
    distances = [huber(ds[i][j] - dt[i][j]) for i in range(len(z)) for j in range(len(z))]
    triples = itertools.product(range(len(z)), repeat=3)
    angles = [huber(angle(z, *e) - angle(t, *e)) for e in triples]
    return mean(distances) + 2 * mean(angles)


def slow_diversity(a: Rows, b: Rows) -> float:
    return mean([relu(1 - distance(p, q) ** 2) for p, q in zip(a, b, strict=True)])


def slow_divergence(teacher: Rows, student: Rows, t: float = 1.0) -> float:
    total = []
    for i in range(len(teacher)):
        chances = []
        for f in (teacher, student):
            scores = [math.exp(dot(f[i], g) / t) for g in f]
            chances.append([s / sum(scores) for s in scores])
        total.append(sum(p * math.log(p / q) for p, q in zip(*chances, strict=True)))
    return t * t * mean(total)


def slow_s2sd(f: Rows, heads: list[Rows], pooled: Rows) -> float:
    theirs = [slow_multi_similarity(h) for h in heads]
    told = [slow_divergence(h, f) for h in heads]
    return (slow_multi_similarity(f) + mean(theirs)) / 2 + 50 * mean(told) + 50 * slow_divergence(pooled, f)


def slow_tracklet_pairs(f: Rows, cameras: list[int], frames: list[int]) -> float:
    met = {
        (IDS[i], IDS[j])
        for i in range(N)
        for j in range(N)
        if IDS[i] != IDS[j] and (cameras[i], frames[i]) == (cameras[j], frames[j])
    }
    total = []
    for a in range(N):
        near, far = others(a, True), [n for n in range(N) if (IDS[a], IDS[n]) in met]
        if near and far:
            total.append(relu(max(dot(f[a], f[n]) for n in far) - min(dot(f[a], f[p]) for p in near) + 0.5))
    return mean(total)


def slow_cascade(vectors: list[Rows]) -> float:
    total = 0.0
    for same in (True, False):
        every = [(i, j) for i in range(N) for j in range(i + 1, N) if (IDS[i] == IDS[j]) == same]
        kept, losses = every, {}
        for f, share in zip(vectors, (1.0, 0.5, 0.2), strict=True):
            kept = sorted(kept, key=lambda e: -losses.get(e, 0))[: max(round(share * len(every)), 1)]
            losses = {e: d if same else 1 - d for e in kept for d in [distance(f[e[0]], f[e[1]]) ** 2]}
            total += mean([relu(value) for value in losses.values()])
    return total


def slow_facility(f: Rows, medoids: tuple[int, ...]) -> float:
    """The loss with these medoids, before the hinge."""
    d = [[distance(a, b) for b in f] for a in f]
    assigned = [min(medoids, key=lambda j: d[i][j]) for i in range(N)]
    value = 1 - slow_nmi(assigned, IDS) - sum(d[i][j] for i, j in enumerate(assigned))
    for name in set(IDS):
        own = [i for i in range(N) if IDS[i] == name]
        value += min(sum(d[i][j] for i in own) for j in own)
    return value


def slow_nmi(a: list[int], b: list[int]) -> float:
    def entropy(items: list[object]) -> float:
        return -sum(items.count(k) / len(items) * math.log(items.count(k) / len(items)) for k in set(items))

    one, two, both = entropy(list(a)), entropy(list(b)), entropy(list(zip(a, b, strict=True)))
    return 2 * (one + two - both) / (one + two)


def values() -> dict[str, tuple[float, float]]:
    """Term -> what it says, what its twin says."""
    batch = everything(IDS, seed=11)
    f = units(rows(batch["embeddings"]))
    heads = {name: units(rows(v)) for name, v in batch["heads"].items()}
    slow: dict[str, Callable[[], float]] = {
        "multi_similarity": lambda: slow_multi_similarity(f),
        "ranked_list": lambda: slow_ranked_list(f),
        "spanning_tree": lambda: slow_spanning_tree(f),
        "hierarchical_triplet": lambda: slow_hierarchical(
            f, rows(batch["class_levels"]), batch["class_spread"].tolist()
        ),
        "selection_balance": lambda: slow_selection_balance(f),
        "prototypical": lambda: slow_prototypical(f),
        "nt_xent": lambda: slow_nt_xent(f, units(rows(batch["second"]))),
        "cross_scale": lambda: slow_cross_scale(f, batch["clothes"].tolist()),
        "group_loss": lambda: slow_group(rows(batch["embeddings"]), rows(batch["logits"])),
        "relational_distillation": lambda: slow_rkd(rows(batch["embeddings"]), rows(batch["teacher"])),
        "diversity": lambda: slow_diversity(heads["aux"], heads["copy"]),
        "tracklet_pairs": lambda: slow_tracklet_pairs(f, batch["cameras"].tolist(), batch["frame"].tolist()),
        "cascade": lambda: slow_cascade([f, heads["aux"], heads["narrow"]]),
        "s2sd": lambda: slow_s2sd(f, [heads[name] for name in heads], units(rows(batch["pooled"]))),
    }
    return {name: (float(term(name)(batch).detach()), twin()) for name, twin in slow.items()}


@pytest.mark.parametrize(("name", "pair"), values().items(), ids=lambda v: v if isinstance(v, str) else "")
def test_terms_equal_their_slow_twins(name: str, pair: tuple[float, float]) -> None:
    assert pair[0] == pytest.approx(pair[1], rel=1e-4)
    assert abs(pair[1]) > 1e-4


# ---- terms that learn: their weights go to the twin


def test_arcface_by_loops() -> None:
    made = term("arcface", scale=16.0, margin=0.4, centres=2)
    batch = everything(IDS, seed=12)
    f, centres = units(rows(batch["embeddings"])), [units(c) for c in made.call.centres.tolist()]
    total = []
    for i in range(N):
        cosines = [max(dot(f[i], w) for w in c) for c in centres]
        own = math.cos(math.acos(cosines[IDS[i]]) + 0.4)
        if cosines[IDS[i]] <= -math.cos(0.4):
            own = cosines[IDS[i]] - 0.4 * math.sin(0.4)
        scores = [16 * (own if c == IDS[i] else s) for c, s in enumerate(cosines)]
        total.append(cross_entropy(scores, IDS[i]))
    assert float(made(batch).detach()) == pytest.approx(mean(total), rel=1e-5)


def test_arcface_has_a_gradient_where_a_vector_is_its_centre() -> None:
    made = classification.ArcFace(2, 2)
    made.centres.data = torch.eye(2)[:, None]
    unit = torch.eye(2).requires_grad_()
    made(unit, torch.tensor([0, 1])).backward()
    assert unit.grad.isfinite().all()
    assert made.centres.grad.isfinite().all()


def test_classifier_sums_over_parts() -> None:
    made = term("classifier", parts=3, label_smoothing=0.1, temperature=0.5)
    made.call.weight.data.mul_(1000)
    batch = everything(IDS, seed=12)
    total = 0.0
    for part in range(3):
        x = rows(batch["embeddings"][:, 4 * part : 4 * part + 4])
        w = made.call.weight[part].tolist()
        for row, y in zip(x, IDS, strict=True):
            scores = [dot(row, c) / 0.5 for c in w]
            total += 0.9 * cross_entropy(scores, y) + 0.1 * mean(
                [cross_entropy(scores, c) for c in range(CLASSES)]
            )
    assert float(made(batch).detach()) == pytest.approx(total / N, rel=1e-5)


def test_viewpoint_by_loops() -> None:
    made = term("viewpoint")
    batch = everything(IDS, seed=12)
    f, centres = units(rows(batch["embeddings"])), [units(c) for c in made.call.centres.tolist()]
    total = []
    for i, v in enumerate(batch["viewpoint"].tolist()):
        scores = [30 * dot(f[i], w) for c in centres for w in c]
        losses = [cross_entropy(scores, k) for k in range(len(scores))]
        own = [3 * IDS[i] + k for k in range(3)]
        rest = [losses[k] for k in range(len(scores)) if k not in own]
        total.append(
            0.75 * losses[own[v]] + 0.1 * sum(losses[k] for k in own if k != own[v]) + 0.05 * mean(rest)
        )
    apart = []
    for c in sorted(set(IDS)):
        middle = [mean(list(column)) for column in zip(*centres[c], strict=True)]
        apart.append(sum((x - m) ** 2 for w in centres[c] for x, m in zip(w, middle, strict=True)))
    assert float(made(batch).detach()) == pytest.approx(mean(total) + 0.01 * mean(apart), rel=1e-5)


@pytest.mark.parametrize("form", ["++", "original"])
def test_proxy_nca_by_loops(form: str) -> None:
    made = term("proxy_nca", form=form)
    batch = everything(IDS, seed=13)
    f, proxies_ = units(rows(batch["embeddings"])), units(made.call.proxies.tolist())
    total = []
    for i in range(N):
        scores = [-9 * (2 - 2 * dot(f[i], p)) for p in proxies_]
        rest = [s for c, s in enumerate(scores) if form == "++" or c != IDS[i]]
        total.append(math.log(sum(math.exp(s) for s in rest)) - scores[IDS[i]])
    assert float(made(batch).detach()) == pytest.approx(mean(total), rel=1e-5)


def test_the_worst_image_moves_a_proxy_the_most() -> None:
    """On the wrong proxy at scale 32: pytorch-metric-learning's gives it loss and gradient 0."""
    made = proxies.ProxyNCA(2, 2, scale=32.0)
    made.proxies.data = torch.eye(2)
    unit = torch.tensor([[0.0, 1.0]], requires_grad=True)
    loss = made(unit, torch.tensor([0]))
    assert float(loss.detach()) == pytest.approx(64, rel=1e-5)
    loss.backward()
    assert unit.grad.abs().max() > 60


def test_soft_triple_by_loops() -> None:
    made = term("soft_triple")
    batch = everything(IDS, seed=13)
    f, centres = units(rows(batch["embeddings"])), [units(c) for c in made.call.centres.tolist()]
    total = []
    for i in range(N):
        scores = []
        for c, own in enumerate(centres):
            cosines = [dot(f[i], w) for w in own]
            weights = [math.exp(s / 0.1) for s in cosines]
            near = sum(w * s for w, s in zip(weights, cosines, strict=True)) / sum(weights)
            scores.append(20 * (near - 0.01 * (c == IDS[i])))
        total.append(cross_entropy(scores, IDS[i]))
    scattered = sum(
        math.sqrt(2 + 1e-5 - 2 * dot(a, b)) for own in centres for a, b in itertools.combinations(own, 2)
    ) / (CLASSES * 3 * 2)
    assert float(made(batch).detach()) == pytest.approx(mean(total) + 0.2 * scattered, rel=1e-5)


def test_proxy_graph_by_loops() -> None:
    made = term("proxy_graph", proxies=2, share=0.35)
    batch = everything(IDS, seed=13)
    f, every = units(rows(batch["embeddings"])), [units(c) for c in made.call.proxies.tolist()]
    flat = [(c, p) for c, own in enumerate(every) for p in own]
    total = []
    for i in range(N):
        cosines = [(dot(f[i], p) + 1000 * (c == IDS[i]), c, dot(f[i], p)) for c, p in flat]
        kept = sorted(cosines, reverse=True)[: math.ceil(0.35 * len(flat))]
        votes: dict[int, float] = {}
        for _, c, s in kept:
            votes[c] = votes.get(c, 0) + s
        names = sorted(votes)
        total.append(cross_entropy([votes[c] for c in names], names.index(IDS[i])))
    regular = [cross_entropy([sum(dot(p, q) for q in own) for own in every], c) for c, p in flat]
    assert float(made(batch).detach()) == pytest.approx(mean(total) + 0.3 * mean(regular), rel=1e-5)


def test_message_passing_by_loops() -> None:
    """One head, identity projections, two dimensions: the attention's numbers, then whole rows by permutation."""
    x = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    weights = (x @ x.T / math.sqrt(2)).softmax(1)
    assert weights[0].tolist() == pytest.approx([0.4011, 0.1978, 0.4011], abs=1e-4)
    layer = torch.nn.MultiheadAttention(2, 1, bias=False, batch_first=True)
    layer.in_proj_weight.data = torch.eye(2).repeat(3, 1)
    layer.out_proj.weight.data = torch.eye(2)
    heard = layer(x[None], x[None], x[None])[0][0]
    want = [[0.8022, 0.5989], [0.5989, 0.8022], [0.7517, 0.7517]]
    for row, expected in zip(heard.tolist(), want, strict=True):
        assert row == pytest.approx(expected, abs=1e-4)
    # The term is that layer with residual, norms and a two-layer network, then neck and classifier, by hand:
    made = term("message_passing", width=12, heads=1)
    batch = everything(IDS, seed=14)
    first = made.call.layers[0]
    e = batch["embeddings"].detach()
    q, k, v = (e @ first.self_attn.in_proj_weight.T + first.self_attn.in_proj_bias).split(12, 1)
    mixed = (q @ k.T / math.sqrt(12)).softmax(1) @ v
    e = first.norm1(e + first.self_attn.out_proj(mixed))
    e = first.norm2(e + first.linear2(torch.relu(first.linear1(e))))
    e = (e - e.mean(0)) / (e.var(0, unbiased=False) + 1e-5).sqrt()
    scores = rows(e @ made.call.classifier.weight.T / 0.2)
    want_loss = [
        0.9 * cross_entropy(s, y) + 0.1 * mean([cross_entropy(s, c) for c in range(CLASSES)])
        for s, y in zip(scores, IDS, strict=True)
    ]
    assert float(made(batch).detach()) == pytest.approx(mean(want_loss), rel=1e-5)


def test_memory_by_loops() -> None:
    """Three batches; what is remembered is the last 20 vectors, without images that are in the batch."""
    made = term("memory")
    remembered: list[tuple[list[float], int, int]] = []
    for seed in range(3):
        batch = everything(IDS, seed=seed)
        batch.known["rows"] = torch.arange(N) + 7 * seed  # some images come again
        f, numbers = units(rows(batch["embeddings"])), batch["rows"].tolist()
        total = []
        for against in (
            [(g, y, r) for g, y, r in zip(f, IDS, numbers, strict=True)],
            [entry for entry in remembered if entry[2] not in numbers],
        ):
            usable = []
            for i in range(N):
                seen = [(dot(f[i], g), y) for g, y, r in against if r != numbers[i]]
                pull = [1 - s for s, y in seen if y == IDS[i]]
                push = [s - 0.5 for s, y in seen if y != IDS[i] and s > 0.5]
                if seen:
                    usable.append(mean(pull) + mean(push))
            total.append(mean(usable))
        assert float(made(batch).detach()) == pytest.approx(sum(total), rel=1e-4)
        remembered = (remembered + list(zip(f, IDS, numbers, strict=True)))[-20:]


def test_memory_waits_and_takes_batches_larger_than_itself() -> None:
    late = BatchMemory(4, size=8, start=3)
    batch = everything(IDS, seed=0)
    given = [Batch(embeddings=batch["embeddings"][:, :4], ids=batch["ids"], rows=batch["rows"])]
    read = [given[0][n] for n in ("unit", "cosines", "ids", "positives", "negatives", "rows")]
    early = late(*read, torch.tensor(2))
    assert late.ids.tolist() == IDS[-8:]
    assert torch.equal(late(*read, torch.tensor(2)), early)  # before its start nothing old counts
    read[5] = read[5] + 100
    assert float(late(*read, torch.tensor(3)).detach()) > float(early.detach())


def test_boosted_slices_by_loops() -> None:
    made = term("boosted_slices")
    batch = everything(IDS, seed=15)
    x = rows(batch["embeddings"])
    pairs_ = [(i, j) for i in range(N) for j in range(N) if i != j]
    many = [sum((IDS[i] == IDS[j]) == same for i, j in pairs_) for same in (False, True)]
    total = 0.0
    for i, j in pairs_:
        same = IDS[i] == IDS[j]
        sign, score, boost = (1.0 if same else -25.0), 0.5, 1.0
        for a, b in ((0, 2), (2, 6), (6, 12)):
            s = dot(units([x[i][a:b]])[0], units([x[j][a:b]])[0])
            total += boost * softplus(-2 * (s - 0.5) * sign) / many[same] / 3
            score += 0.06 * (s - 0.5) * 2 * sign
            boost = (1 if same else 2) / (1 + math.exp(score))
    assert float(made(batch).detach()) == pytest.approx(total, rel=1e-4)


def test_spectral_clustering_by_hand() -> None:
    """Two dimensions, two identities: 1.0, with the gradient -2 (I - P) C (F+)'."""
    made = relations.SpectralClustering(2, 3, ridge=0.0)
    f = torch.tensor([[1.0, 0], [1, 1], [0, 1], [2, 1]], requires_grad=True)
    loss = made(f, torch.tensor([0, 0, 1, 1]))
    assert float(loss.detach()) == pytest.approx(1.0, abs=1e-6)
    loss.backward()
    want = [[-0.2222, 0], [-0.2222, 0.4444], [0, -0.2222], [0.2222, -0.2222]]
    for got, row in zip(f.grad.tolist(), want, strict=True):
        assert got == pytest.approx(row, abs=1e-4)


def test_separation_finds_and_unlearns() -> None:
    """The network that guesses goes down the loss, the vectors go up it."""
    made = term("separation")
    batch = everything(IDS, seed=16)
    loss = made(batch)
    f, s = units(rows(batch["embeddings"])), batch["heads"]["narrow"]
    guess = units(rows(made.call.guess(torch.nn.functional.normalize(s, dim=1))))
    want = -mean([(x * y) ** 2 for a, b in zip(f, guess, strict=True) for x, y in zip(a, b, strict=True)])
    assert float(loss.detach()) == pytest.approx(want, rel=1e-4)
    loss.backward()
    step = 0.5
    moved = Batch(
        embeddings=batch["embeddings"].detach() - step * batch["embeddings"].grad,
        heads={"narrow": s.detach() - step * s.grad},
    )
    read = [moved["unit"], moved["heads"]]
    assert float(made.call(*read).detach()) > float(loss.detach())
    with torch.no_grad():
        for parameter in made.call.parameters():
            parameter -= step * parameter.grad
    same = [batch.on("embeddings")["unit"], batch["heads"]]
    assert float(made.call(*same).detach()) < float(loss.detach())


def test_orthogonal_maps_against_eigenvalues() -> None:
    batch = everything(IDS, seed=17)
    flat = torch.nn.functional.normalize(batch["maps"].detach().flatten(2), dim=2)
    values_ = torch.linalg.eigvalsh(flat @ flat.transpose(1, 2))
    want = float((values_[:, -1] - values_[:, 0]).mean())
    assert float(several.orthogonal_maps(batch["maps"], steps=200).detach()) == pytest.approx(want, rel=1e-3)


def test_prototypical_across_cameras_by_loops() -> None:
    batch = everything(IDS, seed=18)
    cameras = batch["cameras"].tolist()  # 0, 1, 0, 1, ...
    f = units(rows(batch["embeddings"]))
    names = sorted(set(IDS))
    first = {c: cameras[IDS.index(c)] for c in names}
    support = {c: [i for i in range(N) if IDS[i] == c and cameras[i] == first[c]] for c in names}
    means = [[mean(list(column)) for column in zip(*(f[i] for i in support[c]), strict=True)] for c in names]
    total = []
    for q in range(N):
        if cameras[q] != first[IDS[q]]:
            scores = [-10 * sum((x - y) ** 2 for x, y in zip(f[q], m, strict=True)) for m in means]
            total.append(cross_entropy(scores, names.index(IDS[q])))
    assert len(total) == 5
    assert float(term("prototypical", across=True)(batch).detach()) == pytest.approx(mean(total), rel=1e-5)


def test_attribute_prototypes_by_loops() -> None:
    made = term("attribute_prototypes")
    batch = everything(IDS, seed=18)
    f, view, clothes = (
        units(rows(batch["embeddings"])),
        batch["viewpoint"].tolist(),
        batch["clothes"].tolist(),
    )
    told = [
        [float(view[i] == k) for k in range(3)] + [float(clothes[i] == k) for k in range(2)] for i in range(N)
    ]
    names = sorted(set(IDS))
    described = []
    for c in names:
        v = [mean([told[i][k] for i in range(N) if IDS[i] == c]) for k in range(5)]
        w, b = made.call.map.weight.tolist(), made.call.map.bias.tolist()
        described.append([dot(row, v) + shift for row, shift in zip(w, b, strict=True)])
    scores = [[-10 * distance(x, p) ** 2 for p in units(described)] for x in f]
    want = mean([cross_entropy(s, names.index(y)) for s, y in zip(scores, IDS, strict=True)])
    assert float(made(batch).detach()) == pytest.approx(want, rel=1e-5)


def test_attribute_tasks_numbers() -> None:
    """Losses 1 and 2 at s = 1: 1/2 + 1; at s = 2 and 1: 1/8 + log 2 + 1."""
    losses = torch.tensor([1.0, 2.0])
    assert float(labels.weighed(losses, torch.zeros(2))) == 1.5
    assert float(labels.weighed(losses, torch.tensor([math.log(2), 0]))) == pytest.approx(
        0.125 + math.log(2) + 1
    )
    made = term("attribute_tasks")
    batch = everything(IDS, seed=18)
    each = []
    for name, classify in zip(("viewpoint", "clothes"), made.call.classifiers, strict=True):
        scores = rows(classify(batch["embeddings"]))
        each.append(mean([cross_entropy(s, y) for s, y in zip(scores, batch[name].tolist(), strict=True)]))
    assert float(made(batch).detach()) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_self_similarity_by_loops() -> None:
    """Two batches; the second sees the keys of the first but those of its own images."""
    made = SelfSimilarity(3, 3, size=30, temperature=0.1, cap=3)
    batches = [everything(IDS, seed=seed) for seed in (19, 20)]
    batches[1].known["rows"] = torch.arange(N) + 45  # of 40 to 50 it has 45 to 50
    read = [(Batch(embeddings=b["heads"]["narrow"])["unit"], b["teacher_second"], b["rows"]) for b in batches]
    assert float(made(*read[0]).detach()) == 0
    q, keys = rows(read[1][0]), rows(read[1][1])
    queue = rows(read[0][1])[:5]
    total = []
    for i in range(N):
        near = [distance(q[i], n) for n in queue]
        inside = [d <= 1.4 for d in near] if any(d <= 1.4 for d in near) else [True] * 5
        weights = [
            math.exp(-(math.log(max(d, 0.5))) - 0.0) if ok else 0.0  # D 3: q(d) ~ d
            for d, ok in zip(near, inside, strict=True)
        ]
        scale = sum(w > 0 for w in weights) / sum(weights)
        scores = [dot(q[i], keys[i]) / 0.1]
        scores += [dot(q[i], n) * w * scale / 0.1 for n, w in zip(queue, weights, strict=True) if w]
        total.append(cross_entropy(scores, 0))
    assert float(made(*read[1]).detach()) == pytest.approx(mean(total), rel=1e-4)
    assert made.rows[:22].tolist() == [*range(40, 51), *range(45, 56)]


def test_divided_slices_are_margins_of_a_slice() -> None:
    """The commonest cluster of the batch says which; late in the run it is the whole vector."""
    made = term("divided_slices")
    batch = everything(IDS, seed=21)
    for progress, cluster, which, part in (
        (0.1, [2, 2, 2, 2, 2, 2, 0, 0, 1, 1, 1], 2, slice(8, 12)),
        (0.1, [0] * 11, 0, slice(0, 4)),
        (0.6, [0] * 11, 3, slice(0, 12)),
    ):
        batch.known |= {"cluster": torch.tensor(cluster), "progress": torch.tensor(progress)}
        seen = Batch(embeddings=batch["embeddings"][:, part], ids=batch["ids"])
        torch.default_generator.manual_seed(3)
        got = float(made(batch).detach())
        torch.default_generator.manual_seed(3)
        read = [seen[n] for n in ("unit_distances", "ids", "positives", "negatives")]
        assert got == float(made.call.learners[which](*read).detach())


def test_adapted_sampling_numbers() -> None:
    """Chances (.25, .5, .25) under the actions 0.8, 1, 1.25: (.1975, .4938, .3086)."""
    got = sampled.moved(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0, 1, 2]))
    assert got.tolist() == pytest.approx([0.1975, 0.4938, 0.3086], abs=1e-4)
    chances = torch.tensor([0.1, 0.2, 0.7])  # of [0.1, 0.533), [0.533, 0.967), [0.967, 1.4]
    d = torch.tensor([[0.3, 0.6, 1.2, 1.5], [0.05, 1.45, 1.6, 0.6]])
    negative = torch.tensor([[True, True, False, True], [True, True, True, False]])
    got = sampled.by_histogram(d, negative, chances)
    assert got[0].tolist() == pytest.approx([0.1, 0.2, 0, 0])
    assert got[1].tolist() == [1, 1, 1, 0]  # nothing inside: even


def test_the_policy_network_learns_as_torch_would_teach_it() -> None:
    """Slow twin: the same layers as modules, PPO by loops over bins, torch's Adam; four looks, three moves."""
    torch.default_generator.manual_seed(3)
    made = sampled.PolicySampling(bins=4, width=5)
    layers = [torch.nn.Linear(b, a) for a, b in made.shapes]
    start = 0
    for layer, (a, b) in zip(layers, made.shapes, strict=True):
        flat = made.policy[start : start + a * (b + 1)].view(a, b + 1)
        layer.weight.data, layer.bias.data = flat[:, :b].clone(), flat[:, b].clone()
        start += a * (b + 1)
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    old = copy.deepcopy(net)
    adam = torch.optim.Adam(net.parameters(), 0.01)
    looks = [torch.tensor([r, r, 1, 1, 0.9, 1.2]) for r in (0.3, 0.4, 0.5, 0.2)]
    for k, look in enumerate(looks):
        before, chosen = made.before.clone(), made.chosen.clone()
        torch.default_generator.manual_seed(k)
        made.look(look, torch.tensor(k / 10))
        if k == 0:
            assert made.chances.equal(sampled.first_chances(4)), "the first look moves nothing"
            continue
        if k > 1:
            reward = 1.0 if look[0] > looks[k - 1][0] else -1.0
            target = reward + 0.99 * float(net(made.before)[-1].detach())
            said = net(before)
            advantage = target - float(said[-1].detach())
            kept = []
            for bin_, action in enumerate(chosen.tolist()):
                new_p = said[3 * bin_ : 3 * bin_ + 3].softmax(0)[action]
                old_p = old(before)[3 * bin_ : 3 * bin_ + 3].softmax(0)[action].detach()
                ratio = new_p / old_p
                kept.append(torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage))
            loss = -sum(kept) / 4 + (target - said[-1]) ** 2 / 2
            adam.zero_grad()
            loss.backward()
            adam.step()
        logits, value = made.answer(made.policy, made.before)
        want = net(made.before)
        torch.testing.assert_close(torch.cat([logits.flatten(), value[None]]), want, atol=1e-5, rtol=1e-4)
    assert int(made.moves) == 3
    assert int(made.learned) == 2
    assert float(made.chances.sum()) == pytest.approx(1)


def test_a_clipped_ratio_teaches_nothing_more() -> None:
    """One bin, old chances even: r = 3 p. At p = .5 r is 1.5: above 1.2 a good move earns 1.2, a bad one costs 1.5."""
    old = torch.zeros(1, 3)
    new = torch.tensor([[0.5, 0.25, 0.25]]).log()
    chosen = torch.tensor([0])
    assert float(sampled.ppo(new, old, chosen, torch.tensor(2.0))) == pytest.approx(-1.2 * 2)
    assert float(sampled.ppo(new, old, chosen, torch.tensor(-2.0))) == pytest.approx(1.5 * 2)


def test_a_policy_does_more_of_what_helped() -> None:
    """Two moves; recall rises after the first, so its actions become likelier, and falls after the second."""
    made = sampled.AdaptedSampling(bins=4, every=1, rate=0.5)
    positive, negative = torch.tensor([[True, False]]), torch.tensor([[False, True]])
    good, bad = torch.tensor([[0.1, 0.9]]), torch.tensor([[0.9, 0.1]])
    torch.default_generator.manual_seed(0)
    made.look(bad, positive, negative)  # the first has nothing to compare with
    assert made.policy.eq(0).all()
    first = made.chosen.clone()
    made.look(good, positive, negative)
    chosen = torch.nn.functional.one_hot(first, 3).bool()
    assert (made.policy[chosen] > 0).all()
    assert (made.policy[~chosen] < 0).all()
    assert made.policy.sum(1).abs().max() < 1e-6
    second, before = made.chosen.clone(), made.policy.clone()
    made.look(bad, positive, negative)
    taken = torch.nn.functional.one_hot(second, 3).bool()
    assert (made.policy[taken] < before[taken]).all()
    assert float(made.chances.sum()) == pytest.approx(1)


def test_learned_sampler_by_loops_and_who_learns_what() -> None:
    made = term("learned_sampler")
    batch = everything(IDS, seed=22)
    f = units(rows(batch["embeddings"]))
    total = []
    for a in range(N):
        far = others(a, False)
        scores = [
            float(made.call.weigh((batch["unit"][a] - batch["unit"][n]).abs().detach()).detach()) for n in far
        ]
        weights = torch.tensor(scores).softmax(0).tolist()
        near = mean([distance(f[a], f[p]) for p in others(a, True)])
        beyond = sum(w * distance(f[a], f[n]) for w, n in zip(weights, far, strict=True))
        total.append(relu(near - beyond + 0.3) - 0.1 * sum(w * math.log(w) for w in weights))
    loss = made(batch)
    assert float(loss.detach()) == pytest.approx(mean(total), rel=1e-4)
    loss.backward()
    with torch.no_grad():
        for parameter in made.call.parameters():
            parameter -= 0.5 * parameter.grad  # what an optimiser does
    assert float(made(batch).detach()) > float(loss.detach()), "the sampler goes up the loss"


def test_facility_location_numbers() -> None:
    """Points 0, 1, 5, 6 on a line, identities 0, 1, 0, 1: S = {0, 5}, F -2, NMI 0, F* -10: 9; with gamma 10: 18."""
    x = torch.tensor([0.0, 1, 5, 6])
    d, ids = (x[:, None] - x).abs(), torch.tensor([0, 1, 0, 1])
    assert float(relations.facility_location(d, ids)) == pytest.approx(9)
    assert float(relations.facility_location(d, ids, gamma=10.0)) == pytest.approx(18)


def test_facility_location_finds_nearly_the_best_medoids() -> None:
    """The value is exactly that of the medoids found; of all sets of medoids hardly one is better."""
    batch = everything(IDS, seed=11)
    f = units(rows(batch["embeddings"]))
    one_hot = torch.nn.functional.one_hot(torch.tensor(IDS).unique(return_inverse=True)[1]).float()
    found = relations.best_medoids(batch["unit_distances"].detach(), one_hot, 1.0, 5)
    got = float(term("facility_location")(batch).detach())
    assert got == pytest.approx(slow_facility(f, tuple(found.tolist())), rel=1e-5)
    every = sorted(slow_facility(f, medoids) for medoids in itertools.combinations(range(N), 4))
    assert got >= every[-len(every) // 100 - 1]


# ---- numbers worked by hand (degrees are directions in a plane)


def directions(*degrees: float) -> torch.Tensor:
    turned = torch.tensor(degrees, dtype=torch.float32) * math.pi / 180
    return torch.stack([turned.cos(), turned.sin()], 1)


def test_ranked_list_numbers() -> None:
    """Positives at 0.9, 0.5, negatives at 1.0, 1.15, 1.4 of the one anchor: 0.13632."""
    d = torch.tensor([[0.0, 0.9, 0.5, 1.0, 1.15, 1.4]])
    positive = torch.tensor([[False, True, True, False, False, False]])
    negative = torch.tensor([[False, False, False, True, True, True]])
    assert float(pairs.ranked_list(d, positive, negative)) == pytest.approx(0.13632, abs=1e-5)


def test_hierarchical_numbers() -> None:
    """d2 of 0.25 and 0.5, of class 0 (spread 0.2) against 1 (joined at 0.53125): 0.18125 before 1 / (2 Z)."""
    cosines = 1 - torch.tensor([[0, 0.25, 0.5]]) / 2
    levels = torch.full((2, 2), 0.53125)
    value = triplets.hierarchical_triplet(
        cosines.expand(3, 3),
        torch.tensor([0, 0, 1]),
        torch.tensor([[False, True, False], [False] * 3, [False] * 3]),
        torch.tensor([[False, False, True], [False] * 3, [False] * 3]),
        levels,
        torch.tensor([0.2, 0.3]),
    )
    assert float(value) == pytest.approx(0.18125 / 2, abs=1e-6)


def test_switched_triplet_numbers() -> None:
    near, far = torch.tensor([0.6, 0.6, 0.1]), torch.tensor([1.1, 1.1, 1.1])
    switched = torch.tensor([False, True, True])
    got = triplets.triplet_values(near, far, switched, 0.2, "triplet")
    assert got.tolist() == pytest.approx([0, 0, 0.1])
    got = triplets.triplet_values(near, far, switched, 1.2, "contrastive")
    assert got.tolist() == pytest.approx([0.6 + 0.1, 0.6, 1.1])


def test_selection_gap_numbers() -> None:
    """Rows 0, 2, 4; the triplets use 4 twice and 2 once: (10/3 - 2)^2."""
    gap = triplets.selection_gap(
        torch.tensor([[0.0], [2], [4]]), torch.zeros(3, dtype=torch.int64), torch.tensor([2, 2, 1])
    )
    assert float(gap) == pytest.approx(1.778, abs=1e-3)


def test_spanning_tree_numbers() -> None:
    x = torch.tensor([0.0, 1, 5, 6])
    tree = pairs.tree_pairs((x[:, None] - x).abs(), torch.zeros(4, dtype=torch.int64))
    assert sorted(tuple(sorted(e)) for e in tree.nonzero().tolist()) == [(0, 1), (1, 2), (2, 3)]


def test_distance_weights_are_one_over_the_density() -> None:
    """log10 of the weight relative to d = 1.39, in 128 dimensions: 7.9 at 1.0; none beyond 1.4."""
    d = torch.tensor([[1.0, 1.39, 1.41, 0.3, 0.5]], dtype=torch.float64)
    weights = triplets.distance_weights(d, torch.ones(1, 5, dtype=torch.bool), 128)[0]
    assert math.log10(weights[0] / weights[1]) == pytest.approx(7.9, abs=0.05)
    assert weights[2] == 0
    assert weights[3] == weights[4] == 1  # closer than 0.5 counts as 0.5
    alone = triplets.distance_weights(torch.tensor([[1.41, 1.5]]), torch.tensor([[True, False]]), 128)
    assert alone.tolist() == [[1, 0]]


def test_margin_by_loops_where_nothing_is_left_to_chance() -> None:
    """Two images each of two people: one positive, and any of the negatives may be drawn."""
    x = directions(0, 40, 80, 120)
    ids = torch.tensor([0, 0, 1, 1])
    made = triplets.Margin(2, 2)
    batch = Batch(embeddings=x, ids=ids)
    read = [batch[n] for n in ("unit_distances", "ids", "positives", "negatives")]
    seen = set()
    d = batch["unit_distances"].tolist()
    possible = []
    for chosen in itertools.product(*([2, 3], [2, 3], [0, 1], [0, 1])):
        terms = []
        for a, n in enumerate(chosen):
            terms += [relu(d[a][a ^ 1] - 1.2 + 0.2), relu(1.2 - d[a][n] + 0.2)]
        possible.append(sum(terms) / max(1, sum(t > 0 for t in terms)))
    for seed in range(20):
        torch.default_generator.manual_seed(seed)
        value = float(made(*read).detach())
        assert min(abs(value - p) for p in possible) < 1e-5
        seen.add(round(value, 5))
    assert len(seen) > 1


def test_bier_numbers() -> None:
    """Weights that the second slice gets, and the losses of the first, of pairs with cosines 0.7, 0.3 | 0.2, 0.6."""
    for s, positive, loss, weight in (
        (0.7, True, 0.5130, 0.3719),
        (0.3, True, 0.9130, 0.3832),
        (0.2, False, 3e-7, 0.3956),
        (0.6, False, 5.0067, 0.9003),
    ):
        sign = 1.0 if positive else -25.0
        push = 2 * (s - 0.5) * sign
        assert softplus(-push) == pytest.approx(loss, abs=1e-4)
        assert (1 if positive else 2) / (1 + math.exp(0.5 + 0.06 * push)) == pytest.approx(weight, abs=1e-4)
        # The term on two images whose two slices both have this cosine: loss x (1 + weight) / 2.
        turn = math.degrees(math.acos(s))
        x = torch.cat([directions(0, turn), directions(0, turn)], 1)
        ids = torch.tensor([0, 0 if positive else 1])
        batch = Batch(embeddings=x, ids=ids)
        made = pairs.BoostedSlices(4, shares=(1, 1))
        value = float(made(x, batch["positives"], batch["negatives"]))
        assert value == pytest.approx(loss * (1 + weight) / 2, abs=1e-4)


def test_proxy_graph_numbers() -> None:
    """Proxies at 0, 20 (class 0), 90, 120 degrees (class 1), an image at 30: L 0.2303 + 0.3 x R 0.1284."""
    for share in (0.75, 1.0):
        made = proxies.ProxyGraph(2, 2, proxies=2, share=share)
        made.proxies.data = directions(0, 20, 90, 120).view(2, 2, 2)
        value = float(made(directions(30), torch.tensor([0])).detach())
        assert value == pytest.approx(0.2303 + 0.3 * 0.1284, abs=2e-4)


def test_group_loss_numbers() -> None:
    w = torch.tensor([[1, 0.8, 0.1, 0.2], [0.8, 1, 0.3, 0.1], [0.1, 0.3, 1, 0.6], [0.2, 0.1, 0.6, 1]])
    x, ids = torch.tensor([[1, 0], [0.4, 0.6], [0, 1], [0.5, 0.5]]), torch.tensor([0, 0, 1, 1])
    assert float(relations.replicated(w, x, ids, 1)) == pytest.approx(0.313560, abs=1e-5)
    assert float(relations.replicated(w, x, ids, 2)) == pytest.approx(0.213779, abs=1e-5)


def test_s2sd_numbers() -> None:
    student, teacher = (Batch(embeddings=directions(*d))["cosines"] for d in ((0, 60, 180), (0, 30, 90)))
    assert float(distillation.divergence(teacher, student, 1.0)) == pytest.approx(0.080891, abs=1e-5)
    assert float(distillation.divergence(teacher, student, 0.1)) == pytest.approx(0.003907, abs=1e-5)


def test_relational_distillation_numbers() -> None:
    """On a line: teacher 0, 1, 3, student 0, 2, 3: 0.055556; in the plane the angles' 1/27."""
    teacher, student = torch.tensor([[0.0], [1], [3]]), torch.tensor([[0.0], [2], [3]])
    line = distillation.relational_distillation(student, teacher, angle=0.0)
    assert float(line) == pytest.approx(0.055556, abs=1e-5)
    teacher = torch.tensor([[0.0, 0], [1, 0], [0, 1]])
    student = torch.tensor([[0.0, 0], [1, 0], [1, 1]])
    plane = distillation.relational_distillation(student, teacher, distance=0.0, angle=1.0)
    assert float(plane) == pytest.approx(1 / 27, abs=1e-5)


def test_diversity_numbers() -> None:
    """Two learners at 0 and 30 degrees of one image, 90 and 90 + 90 of another: 0.7321 and 0 (farther than 1)."""
    heads = {"a": directions(0, 90), "b": directions(30, 90)}
    assert float(several.diversity(heads)) == pytest.approx((0.7321 + 1.0) / 2, abs=1e-4)


def test_cross_scale_numbers() -> None:
    """s_p 0.7; fine negatives 0.4, 0.6 (margin 0.1), a coarse one 0.2 (margin 0.4), scale 32: 0.714137."""
    cosines = torch.tensor([[1.0, 0.7, 0.4, 0.6, 0.2]]).expand(5, 5)
    positives = torch.zeros(5, 5, dtype=torch.bool)
    positives[0, 1] = True
    value = several.cross_scale(
        cosines,
        torch.tensor([0, 0, 1, 2, 3]),
        positives,
        {"type": torch.tensor([0, 0, 0, 0, 1])},
        scales=("type",),
    )
    assert float(value) == pytest.approx(0.714137, abs=1e-5)


def test_prototypical_numbers() -> None:
    """Supports 0, 2 | 10, 12, so the means 1 and 11; the query 4 costs nothing, 6.5 log(1 + 1 / 0.0000454)."""
    x = torch.tensor([[0.0], [2], [4], [6.5], [10], [12]])
    ids = torch.tensor([0, 0, 0, 0, 1, 1])
    positives = Batch(ids=ids)["positives"]
    # The second identity's later image would be a query too; here it is support.
    ids_all = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    x = torch.cat([x, torch.tensor([[11.0], [11]])])
    positives = Batch(ids=ids_all)["positives"]
    value = float(classification.prototypical(x, ids_all, torch.zeros_like(ids_all), positives, scale=1.0))
    want = (4e-18 + math.log(1 / 0.0000454) + 2 * 4e-44) / 4
    assert value == pytest.approx(want, rel=1e-3)
