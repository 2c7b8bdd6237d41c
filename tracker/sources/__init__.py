"""Where frames come from: `open_source(spec)` -> files, folders, sequences, cameras, streams."""

from retrace.tracker.sources.opening import open_source
from retrace.tracker.sources.read_ahead import ReadAhead, read_ahead
from retrace.tracker.sources.source import Source

__all__ = ["ReadAhead", "Source", "open_source", "read_ahead"]
