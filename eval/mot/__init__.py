"""Tracking metrics equal to TrackEval 1.3.0: `evaluate(gt, result)`; folders of sequences; submissions."""

from retrace.eval.mot.folders import FolderScore, score_folder
from retrace.eval.mot.score import Metrics, combine, evaluate

__all__ = ["FolderScore", "Metrics", "combine", "evaluate", "score_folder"]
