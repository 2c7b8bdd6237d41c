"""People who return: tracklets remembered in a file, decided by probability, joined and taken apart again."""

from retrace.tracker.memory.config import MemoryConfig
from retrace.tracker.memory.memory import Memory
from retrace.tracker.memory.search import Found, Visit, photo_vectors, search
from retrace.tracker.memory.tracklet import Decision, Tracklet

__all__ = ["Decision", "Found", "Memory", "MemoryConfig", "Tracklet", "Visit", "photo_vectors", "search"]
