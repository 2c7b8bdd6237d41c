"""A detector from an ONNX or OpenVINO file: picture -> network's input -> decoded boxes -> Detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector, image_of
from retrace.tracker.detection.classes import choose_classes
from retrace.tracker.detection.decode import Ask, DecodedBoxes
from retrace.tracker.detection.formats import FirstLook, Format, Reading, read_format, recognise, told_names
from retrace.tracker.detection.letterbox import Size, fill, place
from retrace.tracker.detection.network import DetectorNetwork, Port, open_network
from retrace.tracker.detection.nms import nms
from retrace.tracker.detection.scores import Fit, calibrated, fit_of, raw

SIDE = 640  # px, of a network that takes any size and does not say which it likes
MULTIPLE = 32  # px; sides of a network that takes any
BLANK = 114  # grey level of the first picture


def open_onnx(
    weights: Path,
    why: str,
    *,
    device: str = "auto",
    classes: str | None = None,
    min_score: float = 0.1,
    conf: float | None = None,
    form: str | Path | Mapping[str, Any] | None = None,
    runtime: str = "auto",
    threads: int | None = None,
) -> Detector:
    """Load weights, find out what they are, and make them a detector.

    Args:
        weights: .onnx or .xml, a file that exists.
        why: a phrase for the description.
        form: see :func:`retrace.tracker.detection.formats.read_format`.

    The other arguments are those of :func:`retrace.tracker.detection.open.open_detector`.

    Raises:
        InputError: not readable, no detector, or one that nobody here knows.
    """
    told = read_format(form, weights)
    network = open_network(weights, device, runtime, threads)
    model = Model(network, told)
    keep = choose_classes(model.names, classes)
    floor = float(raw(min_score, model.fit)) if conf is None else conf
    ask = Ask(np.array(sorted(keep)), floor)

    def find_many(frames: Sequence[Frame]) -> list[Detections]:
        return model.find([image_of(frame) for frame in frames], ask)

    doubt = "" if model.fit.source else ", scores as they are"
    kept = ", ".join(model.names[k] for k in keep) if len(keep) <= 5 else f"{len(keep)} classes"
    return Detector(
        f"{weights.name} ({model.family}, {network.place}{doubt}), keeps {kept} ({why})",
        lambda frame: find_many([frame])[0],
        model.names,
        find_many=find_many,
        weights=weights,
        kept=tuple(sorted(keep)),
        callers=network.callers,
        fit=model.fit,
    )


class Model:
    """A network with all that is known of it. Nothing in it changes: calls may come from several threads in turn."""

    def __init__(self, network: DetectorNetwork, told: Format) -> None:
        """Recognise ``network`` by what it makes of a blank picture.

        Raises:
            InputError: no detector, or one that nobody here knows.
        """
        self.network = network
        self._image, self._extra = _inputs(network)
        self._last = len(self._image.shape) == 4 and self._image.shape[3] == 3  # (B, H, W, 3)
        sides = self._image.shape[1:3] if self._last else self._image.shape[-2:]
        wish = _wished(told, network)
        size = (sides[0] or wish[0], sides[1] or wish[1])
        asked = _pair(told.size)
        if asked and size != asked:
            raise InputError(
                f"{network.path}: takes only {sides[0]}x{sides[1]} pictures; leave size out of `detector_format`"
            )
        self._batch = self._image.shape[0] if len(self._image.shape) == 4 else 1
        names = [port.name for port in network.outputs]
        # in 0..1 for floats: far above their range some networks find boxes of no size
        bright = BLANK if self._image.dtype == np.uint8 else BLANK / 255
        first = self._run(np.full((1, 3, *size), bright, self._image.dtype), names)
        if (self._batch or 1) > 1:
            first = {name: array[:1] for name, array in first.items()}
        seen = FirstLook(network, first, size, told_names(told, network))
        reading = recognise(seen, told)
        self.format, self.family, self.names = reading.format, reading.family, reading.names
        told_fit = reading.format.scores
        self.fit = fit_of(self.family) if told_fit is None else Fit(*told_fit, "detector_format")
        self._reading: Reading = reading
        self._batch = 1 if reading.whole else self._batch
        self._any_size = None in sides
        self._size: Size = size if not self._any_size else (_pair(reading.format.size) or size)

    def find(self, images: Sequence[np.ndarray], ask: Ask) -> list[Detections]:
        """The boxes of (H, W, 3) uint8 BGR pictures, each best first.

        Raises:
            InputError: outputs that are no boxes, or not finite.
        """
        found: list[Detections] = [Detections.empty()] * len(images)
        by_size: dict[Size, list[int]] = {}
        for number, image in enumerate(images):
            by_size.setdefault(image.shape[:2], []).append(number)
        for numbers in by_size.values():
            # a CPU gains nothing by several at once
            step = self._batch or (len(numbers) if self.network.on_gpu else 1)
            for start in range(0, len(numbers), step):
                some = numbers[start : start + step]
                for number, result in zip(
                    some, self._find_alike([images[n] for n in some], ask), strict=True
                ):
                    found[number] = result
        return found

    def _find_alike(self, images: Sequence[np.ndarray], ask: Ask) -> list[Detections]:
        """Pictures of one size, at most as many as the network takes at once."""
        size: Size = images[0].shape[:2]
        form = self.format
        placement = place(size, self._size, form.resize, MULTIPLE if self._any_size else None)
        batch = fill(
            images, placement, form.pad, form.colour == "rgb", form.mean, form.std, self._image.dtype
        )
        outputs = self._run(batch, self._reading.outputs)
        for name, array in outputs.items():
            # else its boxes would just be missing
            if array.dtype.kind == "f" and np.isnan(array.min(initial=0)):
                raise InputError(
                    f"{self.network.path}: output {name!r} holds NaN for a {size[0]}x{size[1]} picture: "
                    "damaged weights, or float16 where the network needs float32"
                )
        results = []
        for number in range(len(images)):
            arrays = [a if self._reading.whole else a[number] for a in outputs.values()]
            results.append(self._detections(arrays, placement.outer, ask, placement.back, size))
        return results

    def _detections(
        self, arrays: list[np.ndarray], outer: Size, ask: Ask, back: Any, size: Size
    ) -> Detections:
        found: DecodedBoxes = self._reading.decode(arrays, outer, ask)
        rows = np.arange(len(found.score))
        if self.format.nms is not None:
            rows = nms(found.xyxy, found.score, found.class_id, self.format.nms)
        score = calibrated(np.clip(found.score[rows], 0, 1), self.fit)
        return Detections(back(found.xyxy[rows], size), score, found.class_id[rows])

    def _run(self, batch: np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """The outputs of (B, 3, H, W), floats as float32; a batch that is too small is filled up."""
        count, (height, width) = len(batch), batch.shape[2:]
        if self._batch and count < self._batch:
            batch = np.concatenate([batch, np.zeros((self._batch - count, *batch.shape[1:]), batch.dtype)])
        feed = {self._image.name: np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if self._last else batch}
        if len(self._image.shape) == 3:
            feed = {self._image.name: batch[0]}
        for port in self._extra:
            feed[port.name] = np.tile(EXTRA[port.name](height, width), (len(batch), 1)).astype(port.dtype)
        try:
            outputs = self.network.run(feed, wanted)
        except Exception as error:  # onnxruntime and OpenVINO raise kinds of their own
            raise InputError(
                f"{self.network.path}: fails on {height}x{width} px: {one_line(error)}"
            ) from None
        return {
            name: array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
            for name, array in zip(wanted, outputs, strict=True)
        }


EXTRA = {  # what some exports want beside the picture, so that their boxes are px of the input
    "orig_target_sizes": lambda height, width: [width, height],  # RT-DETR, D-FINE, DEIM
    "im_shape": lambda height, width: [height, width],  # PaddleDetection
    "scale_factor": lambda height, width: [1, 1],
}


def _inputs(network: DetectorNetwork) -> tuple[Port, tuple[Port, ...]]:
    """The picture's input and the others.

    Raises:
        InputError: none takes pictures, or one wants what nobody knows.
    """
    images = [
        p for p in network.inputs if len(p.shape) in (3, 4) and p.dtype in (np.float32, np.float16, np.uint8)
    ]
    extra = tuple(p for p in network.inputs if p.name in EXTRA)
    good = len(images) == 1 and len(network.inputs) == 1 + len(extra)
    if good:
        shape = images[0].shape
        good = 3 in (shape[-3], shape[-1]) or (shape[-3] is None and shape[-1] is None)
    if not good:
        got = ", ".join(map(str, network.inputs))
        raise InputError(f"{network.path}: expected one input of colour pictures (1, 3, H, W), got {got}")
    return images[0], extra


def _wished(told: Format, network: DetectorNetwork) -> Size:
    """The size for a network that takes any."""
    asked = _pair(told.size)
    if asked:
        return asked
    numbers = [
        int(n)
        for n in "".join(c if c.isdecimal() else " " for c in network.metadata.get("imgsz", "")).split()
    ]
    return (numbers[0], numbers[-1]) if numbers else (SIDE, SIDE)


def _pair(size: int | tuple[int, int] | None) -> Size | None:
    return (size, size) if isinstance(size, int) else size
