"""Where frames come from: `open_source(spec)` -> files, folders, sequences, cameras, streams."""

from retrace.tracker.sources.files import Source, open_source

__all__ = ["Source", "open_source"]
