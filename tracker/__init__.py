"""Detections (and appearance vectors) in, identities out. `tracker/pipeline.py` is the story on one page."""

from tracker.data import Detections, Tracks
from tracker.tracker import Tracker

__all__ = ["Detections", "Tracker", "Tracks"]
