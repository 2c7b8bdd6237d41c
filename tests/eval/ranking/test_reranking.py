"""eval/ranking/reranking.py: against a dense twin written from the paper, and against torchreid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking import reranking
from retrace.eval.ranking.ranks import evaluate_ranking
from retrace.eval.ranking.reranking import rerank
from tests.eval.ranking.people import exact, people, torchreid_module


def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(2)


def dense(base: np.ndarray, queries: int, power: int, k1: int, k2: int, weight: float) -> np.ndarray:
    """The paper on sets and full matrices; ``base`` (N, N) are the distances among all images."""
    n = len(base)
    d = (base / base.max(1, keepdims=True)) ** power
    nearest = np.argsort(base, axis=1, kind="stable")

    def mutual(i: int, k: int) -> set[int]:
        return {int(j) for j in nearest[i, : k + 1] if i in nearest[j, : k + 1]}

    v = np.zeros((n, n))
    for i in range(n):
        first = mutual(i, k1)
        grown = set(first)
        for j in first:
            more = mutual(j, int(np.around(k1 / 2)))
            if len(more & first) > 2 / 3 * len(more):
                grown |= more
        for j in grown:
            v[i, j] = np.exp(-d[i, j])
    v /= v.sum(1, keepdims=True)
    v = np.array([v[nearest[i, :k2]].mean(0) for i in range(n)])
    final = np.empty((queries, n - queries))
    for i in range(queries):
        for j in range(queries, n):
            jaccard = 1 - np.minimum(v[i], v[j]).sum() / np.maximum(v[i], v[j]).sum()
            final[i, j - queries] = (1 - weight) * jaccard + weight * d[i, j]
    return final


def whole(result: Any) -> np.ndarray:
    matrix: np.ndarray = result(0, result.shape[0])
    return matrix


@pytest.mark.parametrize("tile", [2048, 37])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("variant", "power"), [("zhong-d2", 1), ("torchreid-d4", 2)])
@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (7, 9, 1.0)])
def test_equals_the_dense_twin(
    monkeypatch: pytest.MonkeyPatch,
    tile: int,
    metric: Any,
    variant: Any,
    power: int,
    k1: int,
    k2: int,
    weight: float,
) -> None:
    monkeypatch.setattr(reranking, "TILE", tile)
    qf, _, _, gf, _, _ = people(3, queries=21, gallery=130)
    x = np.concatenate([qf, gf])
    base = exact(x, x) if metric == "cosine" else squared(x, x)
    mine = rerank(qf, gf, variant=variant, metric=metric, k1=k1, k2=k2, weight=weight)
    assert whole(mine) == pytest.approx(dense(base, 21, power, k1, k2, weight), abs=1e-6)
    assert np.concatenate([mine(0, 4), mine(4, 21)]) == pytest.approx(whole(mine), abs=1e-7)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equals_torchreid(metric: Any) -> None:
    """It is fed with its own distances: squared Euclidean, or cosine."""
    twin = torchreid_module("utils/rerank.py")
    qf, q, qc, gf, g, gc = people(6, ids=40, queries=80, gallery=600)
    distance = squared if metric == "euclidean" else exact
    theirs = twin.re_ranking(*(distance(a, b).astype(np.float32) for a, b in ((qf, gf), (qf, qf), (gf, gf))))
    mine = rerank(qf, gf, variant="torchreid-d4", metric=metric)
    assert whole(mine) == pytest.approx(theirs, abs=2e-6)
    scores = [evaluate_ranking(None, q, qc, None, g, gc, distances=d) for d in (mine, theirs)]
    assert scores[0].mAP == pytest.approx(scores[1].mAP, abs=1e-6)


def test_golden_numbers() -> None:
    """torchreid 0.2.5 (``utils.rerank.re_ranking``, k1 20, k2 6, lambda 0.3) on squared Euclidean distances."""
    qf, _, _, gf, _, _ = people(6, ids=40, queries=80, gallery=600)
    mine = whole(rerank(qf, gf, variant="torchreid-d4", metric="euclidean"))
    assert mine[[0, 1, 79], [54, 402, 269]] == pytest.approx([0.2749924, 0.1606043, 0.4485746], abs=2e-6)
    assert mine.mean(dtype=float) == pytest.approx(0.7624691, abs=2e-6)


def test_on_unit_vectors_the_metrics_say_the_same() -> None:
    qf, _, _, gf, _, _ = people(1)
    qf, gf = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (qf, gf))
    a, b = (whole(rerank(qf, gf, metric=m)) for m in ("cosine", "euclidean"))
    assert a == pytest.approx(b, abs=2e-6)


def test_improves_and_is_flagged() -> None:
    data = people(0)
    distances = rerank(data[0], data[3], gallery_ids=data[4])
    plain, better = evaluate_ranking(*data), evaluate_ranking(*data, distances=distances, block=9)
    assert better.mAP > plain.mAP + 0.02
    assert (plain.transductive, better.transductive, better.row()["transductive"]) == (False, True, True)
    assert better.row()["distance"] == "re-ranked zhong-d2 (k1=20, k2=6, lambda=0.3, cosine)"


def test_junk_in_or_out_of_the_graph() -> None:
    qf, q, qc, gf, g, gc = people(0)
    real = g != -1
    out, kept = (rerank(qf, gf, gallery_ids=g, junk=how) for how in ("drop", "keep"))  # type: ignore[arg-type]
    assert whole(out)[:, real] == pytest.approx(whole(rerank(qf, gf[real])), abs=1e-7)
    assert np.isinf(whole(out)[:, ~real]).all()
    assert whole(kept) == pytest.approx(whole(rerank(qf, gf)), abs=1e-7)
    scores = [evaluate_ranking(None, q, qc, None, g, gc, distances=d).mAP for d in (out, kept)]
    assert scores[0] != scores[1]


def test_fewer_images_than_neighbours_and_equal_ones() -> None:
    qf, gf = people(0)[0][:2], people(0)[3][:3]
    x = np.concatenate([qf, gf])
    assert whole(rerank(qf, gf)) == pytest.approx(dense(exact(x, x), 2, 1, 20, 6, 0.3), abs=1e-6)
    same = whole(rerank(np.ones((2, 4)), np.ones((30, 4)), metric="euclidean"))
    assert np.isfinite(same).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "d3"}, "re-ranking variant 'd3': expected one of zhong-d2, torchreid-d4"),
        ({"metric": "l1"}, "re-ranking metric 'l1'"),
        ({"junk": "kept"}, "`junk` kept: did you mean 'keep'"),
        ({"k1": 0}, "expected k1 and k2 from 1"),
        ({"weight": 1.5}, r"weight in \[0, 1\], got 20, 6, 1.5"),
        ({"gallery_ids": [1, 2]}, "gallery_ids: expected 260, got"),
        (
            {"gallery_features": np.zeros((5, 3))},
            r"expected \(Q, D\) and \(G, D\) features, got \(40, 24\) and \(5, 3\)",
        ),
        ({"query_features": np.zeros((0, 24))}, r"got \(0, 24\)"),
        ({"query_features": np.zeros((4, 24))}, "row 0 is all zero"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    given = {"query_features": people()[0], "gallery_features": people()[3], **change}
    with pytest.raises(InputError, match=message):
        rerank(**given)
