"""Where vectors of tracklets are searched: exactly in this process, in a graph of millions, or on a server. Never the
truth: an engine is brought in step with its memory's file (`follow`)."""

from retrace.tracker.memory.engines.choose import NAMES, cache_of, check_engine, open_engine
from retrace.tracker.memory.engines.engine import EVERYWHERE, NONE, Engine, Rows, Where, rows_of
from retrace.tracker.memory.engines.exact import Exact
from retrace.tracker.memory.engines.follow import Follower
from retrace.tracker.memory.engines.recall import Recall, recall_of
from retrace.tracker.memory.engines.shards import Shards, by_camera, by_time

__all__ = [
    "EVERYWHERE",
    "NAMES",
    "NONE",
    "Engine",
    "Exact",
    "Follower",
    "Recall",
    "Rows",
    "Shards",
    "Where",
    "by_camera",
    "by_time",
    "cache_of",
    "check_engine",
    "open_engine",
    "recall_of",
    "rows_of",
]
