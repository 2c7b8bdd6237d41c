"""The files that one source is written to, together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import check_folder, partial_of
from retrace.tracker.camera.warps import warp_lines
from retrace.tracker.data import MotTable, Step
from retrace.tracker.memory import Decision
from retrace.tracker.outputs.best_crops import GROWN as CROPPED
from retrace.tracker.outputs.best_crops import CropRows, write_crops
from retrace.tracker.outputs.blur import hidden
from retrace.tracker.outputs.detections import GROWN as DETECTED
from retrace.tracker.outputs.detections import detection_block, write_detections
from retrace.tracker.outputs.pictures import ContactSheet, VideoSink
from retrace.tracker.outputs.sink import Sink
from retrace.tracker.outputs.style import Style
from retrace.tracker.outputs.text import ClassedMotSink, MotSink, Rows, TextSink, json_line, ledger_sink
from retrace.tracker.run.opened import OpenedJob
from retrace.tracker.run.redraw import ENDING, drawn_rows
from retrace.tracker.run.remember import Remembering

CROPS = 5  # pictures of each person, unless told otherwise


class FirstPicture:
    """The first frame that has an image."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self.image: np.ndarray | None = None  # (H, W, 3) uint8 BGR

    def take(self, step: Step) -> None:
        if self.image is None and step.frame.image is not None:
            blur = self._style.blur
            self.image = hidden(step, blur, self._style.names) if blur else step.frame.image


class Sinks:
    """The files that one source is written to. Leaving without :meth:`finish` abandons them as partial."""

    def __init__(
        self, opened: OpenedJob, positions: dict[str, int], memory: Remembering | None = None
    ) -> None:
        """
        Args:
            opened: the job.
            positions: bytes of each text file that stand, from a checkpoint; none: begin anew.
            memory: what knows who people are; it takes in a frame before that is written.
        """
        self._memory = memory
        self.drawn = opened.out / f"{opened.name}{ENDING}"
        self._cropped = opened.out / f"{opened.name}{CROPPED}"
        self._opened = opened
        self._text: dict[str, TextSink] = {}
        self._drawn: dict[str, Sink] = {}
        self._video: VideoSink | None = None
        self._first: FirstPicture | None = None
        self._open = True
        try:
            self._begin(opened, positions)
        except InputError:
            self.__exit__()
            if not positions:  # nothing but empty files
                grown = (self.drawn, self._cropped, opened.out / f"{opened.name}{DETECTED}")
                for path in (*map(opened.path, opened.job.save), *grown):
                    partial_of(path).unlink(missing_ok=True)
            raise

    def _begin(self, opened: OpenedJob, positions: dict[str, int]) -> None:
        source, camera, save, path = opened.source, opened.camera, opened.job.save, opened.path
        labels, style = opened.detector.labels, opened.style
        self._text["mot"] = (ClassedMotSink if labels else MotSink)(path("mot"), positions.get("mot"))
        if "jsonl" in save:
            line = partial(json_line, names=opened.class_names)
            self._text["jsonl"] = TextSink(
                lambda step: line(step, people=self._people, seems=self._seems),
                path("jsonl"),
                positions.get("jsonl"),
            )
        if "camera" in save and camera is not None:
            told = camera  # at every step it knows what it has just told
            self._text["camera"] = TextSink(
                lambda _: warp_lines(told.latest), path("camera"), positions.get("camera")
            )
        if "ledger" in save:
            at = positions.get("ledger")
            self._text["ledger"] = ledger_sink(
                opened.tracker, opened.name, path("ledger"), at, lambda: self._people
            )
        if "heat" in save:
            self._first = FirstPicture(style)
        if {"video", "sheet", "heat"} & set(save) and not source.live:  # live ones cannot be resumed
            row = partial(drawn_rows, blurred=style.blur is not None)
            self._text["drawn"] = TextSink(row, self.drawn, positions.get("drawn"))
        if "detections" in save:
            at = positions.get("detections")
            self._text["detections"] = TextSink(detection_block, opened.out / f"{opened.name}{DETECTED}", at)
        if "crops" in save:
            check_folder(path("crops"))  # now, not after an hour
            rows, place, at = (
                CropRows(opened.job.crops or CROPS, style),
                self._cropped,
                positions.get("crops"),
            )
            if at is not None:
                rows.restore(partial_of(place), at)
            self._text["crops"] = TextSink(rows, place, at)
        if "video" in save:
            aspect = source.pixel_aspect
            video = VideoSink(
                path("video"),
                source.fps,
                source.size,
                pixel_aspect=aspect,
                style=style,
                codec=opened.job.codec,
            )
            self._drawn["video"] = self._video = video
        if "sheet" in save:
            length = min(filter(None, (source.length, opened.job.length)), default=None)
            self._drawn["sheet"] = ContactSheet(path("sheet"), source.size, length, style=style)

    @property
    def _people(self) -> Rows:
        """What the memory has just decided."""
        return () if self._memory is None else self._memory.latest

    @property
    def _seems(self) -> Mapping[int, Decision]:
        """Whom the memory takes those in view for."""
        return {} if self._memory is None else self._memory.seems

    @property
    def draws(self) -> bool:
        return bool(self._drawn) or self._first is not None

    @property
    def first_picture(self) -> np.ndarray | None:
        """(H, W, 3) uint8 BGR, where a heat map needs one."""
        return None if self._first is None else self._first.image

    def __enter__(self) -> Sinks:
        return self

    def __exit__(self, *_: object) -> None:
        """Abandon what is not finished. An error that is on its way must not be hidden by one about closing."""
        if self._open:
            for sink in self._all():
                with suppress(InputError):
                    sink.abandon()

    def _all(self) -> list[Sink]:
        return [*self._text.values(), *self._drawn.values()]

    def write(self, step: Step) -> None:
        for sink in self._all():
            sink.write(step)
        if self._first is not None:
            self._first.take(step)

    def redraw(self, step: Step) -> None:
        if self._first is not None:
            self._first.take(step)
        for sink in self._drawn.values():
            sink.write(step)

    def positions(self) -> dict[str, int]:
        return {kind: sink.position() for kind, sink in self._text.items()}

    def grown(self) -> list[Path]:
        """The files that :meth:`positions` tells of."""
        return [sink.grown for sink in self._text.values()]

    def finish(self) -> list[Path]:
        """Everything gets its name, but what the ids of people go into: that stays partial until it has them."""
        for kind in self._opened.renamed:
            self._text.pop(kind).abandon()
        if "drawn" in self._text:
            self._text.pop("drawn").abandon().unlink(missing_ok=True)
        boxes = self._text.pop("detections", None)
        crops = self._text.pop("crops", None)
        done = [sink.finish() for sink in self._all()]
        if boxes is not None:
            grown = boxes.abandon()
            told = self._opened.class_names
            done.append(write_detections(self._opened.path("detections"), grown, told, self._opened.looks))
            grown.unlink()
        if crops is not None:
            crops.abandon()
        self._open = False
        return done

    def make_crops(self, table: MotTable) -> dict[int, str] | None:
        """After :meth:`finish`: the folders of crops, of the people of the whole result. Each one's best, as a path
        below the output folder; None: nobody asked for them."""
        opened = self._opened
        if "crops" not in opened.job.save:
            return None
        grown = partial_of(self._cropped)
        best = write_crops(opened.path("crops"), grown, table, opened.job.crops or CROPS)
        grown.unlink()
        return best

    def seconds(self) -> dict[str, float]:
        """s that drawing and encoding took, in whatever thread."""
        return {} if self._video is None else dict(self._video.seconds)
