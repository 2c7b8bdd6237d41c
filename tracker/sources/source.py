"""What a source is; the files beside this one make one of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retrace.configs.errors import number, shorten
from retrace.tracker.data import Frame

DEFAULT_FPS = 30.0  # where a container, a folder or a camera does not say


@dataclass(slots=True)
class Source:
    """One thing to be tracked in; iterating over it reads its frames from the beginning.

    ``corrupt``, ``warnings``, ``dropped`` and ``reconnects`` are about the latest reading, and grow while it
    goes on; ``warnings`` begins with what was ``noticed`` at the opening.

    Example:
        >>> from retrace.tracker.sources import open_source
        >>> source = open_source("video.mp4")
        >>> source.name, source.length, source.live
        ('video', 30, False)
        >>> [(frame.index, round(frame.time, 3)) for frame in source.frames(start=28)]  # s
        [(28, 2.8), (29, 2.9)]
    """

    name: str  # of the sequence; safe as a file name
    fps: float  # nominal; a frame's ``time`` is what counts
    size: tuple[int, int] | None  # (height, width) px of the first frame
    length: int | None  # frames, estimated where the container only knows seconds; None: unknown
    live: bool
    _read: Callable[[Source, int], Iterator[Frame]] = field(repr=False)  # the frames from a number on
    corrupt: list[int] = field(default_factory=list)  # numbers of frames that were skipped as unreadable
    warnings: list[str] = field(default_factory=list)  # one line each
    dropped: int = 0  # live: frames that were stale before anybody took them
    reconnects: int = 0  # live
    has_images: bool = True
    folder: Path | None = None  # of a MOTChallenge sequence
    pixel_aspect: float = 1.0  # width by height of a pixel, as the frames come
    noticed: tuple[str, ...] = ()  # one line each

    def __post_init__(self) -> None:
        self.noticed = tuple(map(shorten, self.noticed))
        self.warnings[:] = self.noticed

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from number ``start`` on, exactly: a video is decoded from its beginning for that.

        A frame that cannot be decoded keeps its number and its time and is left out; see ``corrupt``. Images
        may change their size on the way. For a sequence without images every ``image`` is None.

        Raises:
            InputError: ``start`` is no whole number from 0, or a live source is to start elsewhere than at 0.
        """
        number("start", start, 0, whole=True)
        self.corrupt.clear()
        self.warnings[:] = self.noticed
        self.dropped = self.reconnects = 0
        return self._read(self, start)

    def count_drop(self) -> None:
        """One more frame that was stale before anybody took it."""
        self.dropped += 1
