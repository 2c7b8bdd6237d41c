"""Where frames come from: `open_source(spec)` -> files, folders, sequences, cameras, streams."""

from retrace.tracker.sources.videos import ReadAhead, Source, open_source, read_ahead

__all__ = ["ReadAhead", "Source", "open_source", "read_ahead"]
