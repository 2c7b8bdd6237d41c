"""The files that one source is written to, together."""

from __future__ import annotations

from pathlib import Path

from retrace.tracker.camera.warps import warp_lines
from retrace.tracker.data import Step
from retrace.tracker.outputs.pictures import ContactSheet, VideoSink
from retrace.tracker.outputs.sink import Sink
from retrace.tracker.outputs.text import JsonLinesSink, MotSink, TextSink, ledger_sink
from retrace.tracker.run.opened import OpenedJob
from retrace.tracker.run.redraw import ENDING, drawn_rows


class Sinks:
    """The files that one source is written to. Leaving without :meth:`finish` abandons them as partial."""

    def __init__(self, opened: OpenedJob, positions: dict[str, int]) -> None:
        """``positions``: bytes of each text file that stand, from a checkpoint; none: begin anew."""
        source, camera, save = opened.source, opened.camera, opened.job.save
        self.paths = {kind: opened.path(kind) for kind in save}
        self._text: dict[str, TextSink] = {"mot": MotSink(self.paths["mot"], positions.get("mot"))}
        self._drawn: dict[str, Sink] = {}
        self._video: VideoSink | None = None
        if "jsonl" in save:
            self._text["jsonl"] = JsonLinesSink(self.paths["jsonl"], positions.get("jsonl"))
        if "camera" in save and camera is not None:
            told = camera  # at every step it knows what it has just told
            self._text["camera"] = TextSink(
                lambda _: warp_lines(told.latest), self.paths["camera"], positions.get("camera")
            )
        if "ledger" in save:
            self._text["ledger"] = ledger_sink(
                opened.tracker, opened.name, self.paths["ledger"], positions.get("ledger")
            )
        if {"video", "sheet"} & set(save) and not source.live:  # live ones cannot be resumed
            self.drawn = opened.out / f"{opened.name}{ENDING}"
            self._text["drawn"] = TextSink(drawn_rows, self.drawn, positions.get("drawn"))
        if "video" in save:
            self._video = VideoSink(self.paths["video"], source.fps, source.size)
            self._drawn["video"] = self._video
        if "sheet" in save:
            self._drawn["sheet"] = ContactSheet(self.paths["sheet"], source.size, source.length)
        self._open = True

    @property
    def draws(self) -> bool:
        return bool(self._drawn)

    def __enter__(self) -> Sinks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            for sink in self._all():
                sink.abandon()

    def _all(self) -> list[Sink]:
        return [*self._text.values(), *self._drawn.values()]

    def write(self, step: Step) -> None:
        for sink in self._all():
            sink.write(step)

    def redraw(self, step: Step) -> None:
        for sink in self._drawn.values():
            sink.write(step)

    def positions(self) -> dict[str, int]:
        return {kind: sink.position() for kind, sink in self._text.items()}

    def finish(self) -> list[Path]:
        if "drawn" in self._text:
            self._text.pop("drawn").abandon().unlink(missing_ok=True)
        done = [sink.finish() for sink in self._all()]
        self._open = False
        return done

    def seconds(self) -> dict[str, float]:
        """s that drawing and encoding took, in whatever thread."""
        return {} if self._video is None else dict(self._video.seconds)
