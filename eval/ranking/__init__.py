"""ReID metrics on vectors: `evaluate_ranking(...)`, re-ranking, verification, audit, ranked lists."""

from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking

__all__ = ["RankingMetrics", "evaluate_ranking"]
