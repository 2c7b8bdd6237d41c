"""What every sink promises; the kinds are in text.py and pictures.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from retrace.tracker.data import Step


class Sink(ABC):
    """Something that a tracked source is written to, a frame at a time.

    It grows as ``NAME.partial`` beside its target, so that what looks whole is whole. As a context manager it is
    finished at the end, or abandoned when an error comes through::

        with VideoSink("tracked.mp4", source.fps) as video:
            for step in run(source, detect, tracker):
                video.write(step)
    """

    @abstractmethod
    def write(self, step: Step) -> None:
        """Take in one frame."""

    @abstractmethod
    def finish(self) -> Path:
        """Give the file its name, and say where it is."""

    @abstractmethod
    def abandon(self) -> Path:
        """Close the file and leave it as partial, and say where it is."""

    def position(self) -> int:
        """For checkpoints: bytes that stand; 0 where a sink cannot be resumed."""
        return 0

    def through(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The same steps, each written before it is handed on.

        Raises:
            InputError: as :meth:`write`.

        Example:
            >>> from retrace import Detections, MotTable, Tracker, VideoSink, open_source, run
            >>> frames = [*open_source("video.mp4")][:3]
            >>> steps = run(frames, lambda frame: Detections([[10, 20, 50, 90]], [0.9]), Tracker.from_config("sort"))
            >>> with VideoSink("start.mp4", fps=10) as video:
            ...     table = MotTable.of(video.through(steps))
            >>> table.frame.tolist(), open_source("start.mp4").length  # both have all
            ([0, 1, 2], 3)
        """
        for step in steps:
            self.write(step)
            yield step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()
