"""ReID metrics on vectors: `evaluate_ranking(...)`, re-ranking, verification, audit, ranked lists."""

from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking
from retrace.eval.ranking.tables import RankingScore, Wanted, score_features

__all__ = ["RankingMetrics", "RankingScore", "Wanted", "evaluate_ranking", "score_features"]
