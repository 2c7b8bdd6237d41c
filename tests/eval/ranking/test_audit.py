"""eval/ranking/audit.py: each wrong row against the mistake made slowly."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.eval.ranking.audit import audit, centroid_gallery, truncated_map
from retrace.eval.ranking.ranks import evaluate_ranking
from retrace.eval.ranking.reranking import rerank
from tests.eval.ranking.people import exact, people, slow


def la_transformer(d: np.ndarray, q: np.ndarray, g: np.ndarray, top: int) -> float:
    """No filter at all but junk; AP over the list, divided by the matches found in it."""
    found = []
    for i in range(len(q)):
        order = [j for j in np.argsort(d[i]) if g[j] != -1][:top]
        hits = [g[j] == q[i] for j in order]
        seen = [sum(hits[: p + 1]) / (p + 1) for p in range(len(hits)) if hits[p]]
        found.append(np.mean(seen) if seen else 0.0)
    return float(np.mean(found))


def test_rows_against_the_slow_way() -> None:
    qf, q, qc, gf, g, gc = data = people(0)
    d = exact(qf, gf)
    rows = {r.name: r for r in audit(*data, top=20)}
    twins = {
        "honest": slow(d, q, qc, g, gc),
        "camera filter off": slow(d, q, qc, g, gc, camera_filter=False),
        "junk kept": slow(d, q, qc, np.where(g == -1, 0, g), gc),
        "distractors dropped": slow(d[:, g != 0], q, qc, g[g != 0], gc[g != 0]),
    }
    for name, twin in twins.items():
        assert (rows[name].rank1, rows[name].mAP) == pytest.approx((twin["curve"][0], twin["ap"])), name
        assert rows[name].mAP_difference == pytest.approx(twin["ap"] - twins["honest"]["ap"])
    assert rows["camera filter off, AP over top 20"].mAP == pytest.approx(la_transformer(d, q, g, 20))
    assert rows["trapezoid AP"].mAP == pytest.approx(twins["honest"]["trapezoid"])
    reranked = evaluate_ranking(*data, distances=rerank(qf, gf, gallery_ids=g))
    assert (rows["re-ranked (transductive)"].rank1, rows["re-ranked (transductive)"].mAP) == (
        reranked.rank_at(1),
        reranked.mAP,
    )
    assert "zhong-d2" in rows["re-ranked (transductive)"].what


def test_the_honest_row_comes_first_and_mistakes_flatter() -> None:
    rows = audit(*people(0), reranking=None)
    assert rows[0].name == "honest"
    assert (rows[0].rank1_difference, rows[0].mAP_difference) == (0, 0)
    better = {r.name for r in rows if r.mAP_difference > 0}
    assert better >= {"camera filter off", "distractors dropped", "AP over top 100", "centroid gallery"}
    assert {r.name for r in rows if r.mAP_difference < 0} == {"junk kept", "trapezoid AP"}
    assert not any("re-ranked" in r.name for r in rows)
    assert rows[0].row()["rank-1"] == rows[0].rank1


def test_truncated_by_hand() -> None:
    """Right answers at 1, 3 and 6, list of 3: two found, (1 + 2/3) / 2; honest (1 + 2/3 + 1/2) / 3."""
    d = np.arange(6.0)[None]
    m = evaluate_ranking(None, [1], [0], None, [1, 2, 1, 2, 2, 1], [1] * 6, distances=d)
    assert truncated_map(m, 3) == pytest.approx((1 + 2 / 3) / 2)
    assert m.mAP == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    far = evaluate_ranking(None, [1], [0], None, [2, 2, 2, 1], [1] * 4, distances=d[:, :4])
    assert truncated_map(far, 3) == 0


def test_centroids_by_hand() -> None:
    x = np.array([[1.0, 0], [9, 9], [0, 2], [5, 5], [3, 3]])
    features, ids = centroid_gallery(x, np.array([4, -1, 4, 0, 2]), "euclidean")
    assert ids.tolist() == [0, 2, 4]
    assert features.tolist() == [[5, 5], [3, 3], [0.5, 1]]
    unit, _ = centroid_gallery(x, np.array([4, -1, 4, 0, 2]), "cosine")
    assert unit[2] == pytest.approx([0.5, 0.5])


def test_a_gallery_without_junk_and_distractors() -> None:
    qf, q, qc, gf, g, gc = people(0)
    rows = audit(qf, q, qc, gf[g > 0], g[g > 0], gc[g > 0], reranking=None)
    same = {r.name: r.mAP_difference for r in rows}
    assert (same["junk kept"], same["distractors dropped"]) == (0, 0)
