"""eval/ranking/shards.py: whatever the shards, the ranks of the whole gallery, which are compared with a slow twin."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrace.configs import InputError
from retrace.eval.ranking import counting, pairing, reranking, shards
from retrace.eval.ranking.counting import images_before, ranks_of
from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking
from retrace.eval.ranking.reranking import rerank
from retrace.eval.ranking.shards import ShardPool
from tests.eval.ranking.people import people
from tests.tools.forked import CONTEXT, begin_server


@pytest.fixture
def tiles_of_16(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pairing, shards, reranking):
        monkeypatch.setattr(module, "TILE", 16)


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Any]:
    with ThreadPoolExecutor(2) as threads:
        yield lambda count: ShardPool(threads, count, tmp_path)


def same(one: RankingMetrics, other: RankingMetrics) -> None:
    for each in fields(RankingMetrics):
        a, b = getattr(one, each.name), getattr(other, each.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes(), each.name
        else:
            assert a == b, each.name


def test_ends_by_hand(tmp_path: Path) -> None:
    """Tiles of 2,048: 10,000 images are 4 of them and 1,808 more, which three shards share 1, 2 and 2."""
    assert ShardPool(None, 3, tmp_path).ends(10_000) == [(0, 2048), (2048, 6144), (6144, 10_000)]  # type: ignore[arg-type]
    assert ShardPool(None, 3, tmp_path).ends(100) == [(0, 100)]  # type: ignore[arg-type]
    assert ShardPool(None, 2, tmp_path).ends(4096) == [(0, 2048), (2048, 4096)]  # type: ignore[arg-type]


def test_counted_by_hand() -> None:
    """One query, distances .3 .1 | .2 .3 .3, right answers: images 0 (.3) and 2 (.2). Before image 2 comes image 1;
    before image 0 come images 1 and 2, and 3 and 4 are as near but later."""
    d = np.array([[0.3, 0.1, 0.2, 0.3, 0.3]], np.float32)
    row, col = np.zeros(2, int), np.array([2, 0])
    value = d[0, col]
    for cut in range(6):
        parts = [
            images_before(x, row, col - at, value, "stable") for x, at in ((d[:, :cut], 0), (d[:, cut:], cut))
        ]
        assert sum(parts).tolist() == [1, 2]  # type: ignore[attr-defined]
    assert ranks_of(np.array([1, 2]), row, value, "stable").tolist() == [2, 3]
    upto = images_before(d, row, col, value, "pessimistic")
    assert upto.tolist() == [2, 5]
    assert ranks_of(upto, row, value, "pessimistic").tolist() == [2, 5]  # wrong ones first


@pytest.mark.usefixtures("tiles_of_16")
@pytest.mark.parametrize("ties", ["stable", "pessimistic"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equals_the_whole_gallery(several: Any, metric: Any, ties: Any) -> None:
    for seed in range(3):
        data = people(seed)
        whole = evaluate_ranking(*data, metric=metric, ties=ties)
        for count in (1, 2, 5, 100):
            same(evaluate_ranking(*data, metric=metric, ties=ties, shards=several(count)), whole)


@given(
    st.integers(0, 10**6), st.integers(1, 3), st.booleans(), st.sampled_from([0, 5, 800]), st.integers(1, 4)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_the_whole_where_most_distances_are_equal(
    tmp_path: Path, seed: int, levels: int, pessimistic: bool, many: int, count: int
) -> None:
    """Vectors of few small numbers: squared distances are whole numbers, and most are the same."""
    rng = np.random.default_rng(seed)
    q, g = rng.integers(1, 4, 6), rng.integers(-1, 4, 50)
    q[0], g[0] = 1, 1
    qc, gc = rng.integers(0, 2, 6), rng.integers(2, 4, 50)
    qf, gf = rng.integers(0, levels + 1, (6, 2)), rng.integers(0, levels + 1, (50, 2))
    how = {"metric": "euclidean", "ties": "pessimistic" if pessimistic else "stable", "block": 4}
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as threads:
        patch.setattr(counting, "_MANY", many)
        for module in (pairing, shards):
            patch.setattr(module, "TILE", 8)
        whole = evaluate_ranking(qf, q, qc, gf, g, gc, **how)  # type: ignore[arg-type]
        parts = ShardPool(threads, count, tmp_path)
        same(evaluate_ranking(qf, q, qc, gf, g, gc, **how, shards=parts), whole)  # type: ignore[arg-type]


@pytest.mark.usefixtures("tiles_of_16")
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("variant", ["zhong-d2", "torchreid-d4"])
def test_reranking_equals_the_whole(several: Any, variant: Any, metric: Any) -> None:
    data = people(4)
    how: dict[str, Any] = {"variant": variant, "metric": metric, "gallery_ids": data[4]}
    whole = rerank(data[0], data[3], **how)
    scored = evaluate_ranking(*data, distances=whole)
    for count in (1, 3, 7):
        parts = rerank(data[0], data[3], **how, shards=several(count))
        assert parts(0, len(data[0])).tobytes() == whole(0, len(data[0])).tobytes()
        same(evaluate_ranking(*data, distances=parts, shards=several(count)), scored)


def test_in_processes_at_the_true_size_of_tiles(tmp_path: Path) -> None:
    """What is sent can be pickled; 4,500 images are three tiles, the last one narrow."""
    data = people(6, ids=60, queries=40, gallery=4500)
    whole = rerank(data[0], data[3], gallery_ids=data[4])
    begin_server()
    with ProcessPoolExecutor(2, CONTEXT) as pool:
        parts = ShardPool(pool, 2, tmp_path)
        same(evaluate_ranking(*data, shards=parts), evaluate_ranking(*data))
        again = rerank(data[0], data[3], gallery_ids=data[4], shards=parts)
        same(evaluate_ranking(*data, distances=again, shards=parts), evaluate_ranking(*data, distances=whole))


def test_mistakes(several: Any) -> None:
    data = people(0)
    with pytest.raises(InputError, match="distances that are given lie here"):
        evaluate_ranking(None, *data[1:3], None, *data[4:], distances=np.zeros((len(data[1]), len(data[4]))),
                         shards=several(2))  # fmt: skip
    kept = rerank(data[0], data[3], gallery_ids=data[4], junk="keep")
    with pytest.raises(InputError, match="with junk in its graph"):
        evaluate_ranking(*data, distances=kept, shards=several(2))
    with pytest.raises(InputError, match="a process of a shard was killed"):
        several(1).each(_killed, [()])


def _killed() -> None:
    raise BrokenProcessPool
