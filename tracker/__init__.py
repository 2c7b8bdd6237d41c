"""Detections (and appearance vectors) in, identities out. `tracker/pipeline.py` is the story on one page."""

from retrace.tracker.data import Detections, Tracks
from retrace.tracker.tracker import Tracker

__all__ = ["Detections", "Tracker", "Tracks"]
