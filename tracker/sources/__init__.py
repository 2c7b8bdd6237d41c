"""Where frames come from: `open_source(spec)` -> files, folders, sequences, cameras, streams."""

from retrace.tracker.sources.opening import has_an_end, open_source
from retrace.tracker.sources.read_ahead import ReadAhead, read_ahead
from retrace.tracker.sources.source import Source

__all__ = ["ReadAhead", "Source", "has_an_end", "open_source", "read_ahead"]
