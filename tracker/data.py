"""The data types every stage speaks: boxes of one frame, tracks of one frame, a whole sequence.

Conventions: xyxy in pixels, float, origin top left, continuous edges (width = x2 - x1). Frames are 0-based.
Empty arrays are normal input. Validation happens here, once; inner functions trust these types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import expect, number
from retrace.tracker import display, foreign
from retrace.tracker.boxes import tlwh_to_xyxy, xyxy_to_tlwh

if TYPE_CHECKING:
    import supervision

NOT_GIVEN: Any = None  # a default that the constructor replaces, so that readers always find an array
RATES = (1e-3, 1e6)  # frames/s: from one in a quarter of an hour to a high-speed camera's
ROUNDING = 1e-5  # by which a score may lie outside [0, 1]: a sum of shares, or a sigmoid in half precision
COLUMNS: tuple[tuple[str, type, tuple[int, ...]], ...] = (  # of a MotTable
    *(("frame", np.int64, ()), ("id", np.int64, ()), ("xyxy", np.float64, (4,)), ("score", np.float64, ())),
    *(("class_id", np.int64, ()), ("visibility", np.float64, ())),
)
UNIT_TOLERANCE = 1e-3  # |norm - 1| of an embedding row; float16 features normalised elsewhere stay inside


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source."""

    index: int  # 0-based; a frame that could not be decoded still takes its number
    time: float  # seconds since the source began
    image: np.ndarray | None  # (H, W, 3) uint8 BGR; None for a sequence that comes without images


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a detector saw in one frame: N boxes.

    Each field takes whatever NumPy makes an array of, and tensors, of any device and with or without gradient.
    Boxes of zero or negative size are dropped and counted; ``index`` keeps each remaining row's place in the
    input, so nothing that is reported later loses its origin. What else is known of each box (masks, keypoints,
    plates, names) travels in ``extras`` and comes back in ``Tracks.extras``.

    Raises:
        InputError: wrong shapes, NaN or infinite values, a score outside [0, 1], an embedding row that is
            neither a unit vector nor all zero. The message names the first offending row.

    Example:
        >>> from retrace import Detections
        >>> detections = Detections([[10, 20, 50, 120], [7, 7, 7, 9]], score=[0.9, 0.8], extras={"plate": ["A", "B"]})
        >>> detections
        Detections: 1 box, 1 without size dropped
          x1    y1    x2     y2  score  class_id  index  plate
        10.0  20.0  50.0  120.0    0.9         0      0      A
    """

    xyxy: np.ndarray  # (N, 4) float32, px
    score: np.ndarray  # (N,) float32 in [0, 1]
    class_id: np.ndarray = NOT_GIVEN  # (N,) int32; all 0 when not given
    embedding: np.ndarray | None = None  # (N, D) float32 unit rows; an all-zero row: no appearance known
    index: np.ndarray = NOT_GIVEN  # (N,) int64 row in the detector's output; 0..N-1 when not given
    dropped: int = 0  # boxes of no size that were left out
    extras: Mapping[str, np.ndarray] = NOT_GIVEN  # name -> (N, ...) of any type; none when not given

    def __post_init__(self) -> None:
        xyxy = _array("xyxy", self.xyxy, np.float32, (4,))
        n = len(xyxy)
        score = _array("score", self.score, np.float32, (), n)
        given = np.zeros(n, np.int32) if self.class_id is None else self.class_id
        class_id = _array("class_id", given, np.int32, (), n)
        index = _array(
            "index", np.arange(n, dtype=np.int64) if self.index is None else self.index, np.int64, (), n
        )
        finite = np.isfinite(xyxy)
        if not finite.all():
            _refuse_rows("xyxy must be finite", ~finite.all(1), xyxy)
        if n and not (score.min() >= 0 and score.max() <= 1):  # NaN fails too
            bad = ~((score >= -ROUNDING) & (score <= 1 + ROUNDING))
            _refuse_rows("score must lie in [0, 1]", bad, score)
            score = score.clip(0, 1)
        embedding = self.embedding
        if embedding is not None:
            embedding = _array("embedding", embedding, np.float32, (-1,), n)
            norm = np.sqrt(np.einsum("nd,nd->n", embedding, embedding))
            bad = ~((np.abs(norm - 1) <= UNIT_TOLERANCE) | (norm == 0))  # NaN fails both
            _refuse_rows("embedding rows must have norm 1 (or 0: unknown)", bad, norm)
        if self.extras is not None:
            expect("extras", self.extras, Mapping, "a mapping of names to arrays")
        extras = (
            {name: _rows_of(name, values, n) for name, values in self.extras.items()} if self.extras else {}
        )
        dropped = self.dropped
        if not (xyxy[:, 2:] > xyxy[:, :2]).all():
            sized = (xyxy[:, 2:] > xyxy[:, :2]).all(1)
            dropped += int(n - sized.sum())
            xyxy, score, class_id, index = xyxy[sized], score[sized], class_id[sized], index[sized]
            embedding = embedding[sized] if embedding is not None else None
            extras = {name: values[sized] for name, values in extras.items()}
        checked = (xyxy, score, class_id, embedding, index, dropped, extras)
        for name, value in zip(self.__slots__, checked, strict=True):
            if getattr(self, name) is not value:
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.xyxy)

    def with_embedding(self, embedding: np.ndarray | None) -> Detections:
        """The same boxes with appearance vectors ``(N, D)`` float32, unit rows; None: without them.

        Raises:
            InputError: vectors that :class:`Detections` refuses.

        Example:
            >>> from retrace import Detections
            >>> boxes = Detections([[10, 20, 50, 120], [300, 100, 360, 280]], score=[0.9, 0.8])
            >>> boxes.with_embedding([[0.6, 0.8], [0, 0]])  # nobody knows how the second one looks
            Detections: 2 boxes, vectors of 2 numbers
               x1     y1     x2     y2  score  class_id  index
             10.0   20.0   50.0  120.0    0.9         0      0
            300.0  100.0  360.0  280.0    0.8         0      1
        """
        return replace(self, embedding=embedding)

    def take(self, rows: np.ndarray | slice) -> Detections:
        """The given rows (indices, mask or slice), in that order; ``index`` still names their place in the input.

        Raises:
            IndexError: a row that is not there, as from NumPy.

        Example:
            >>> from retrace import Detections
            >>> seen = Detections([[10, 20, 50, 120], [300, 100, 360, 280]], [0.9, 0.8], class_id=[2, 0])
            >>> people = seen.take(seen.class_id == 0)
            >>> people.xyxy.tolist(), people.index.tolist()  # px; it was the second row
            ([[300.0, 100.0, 360.0, 280.0]], [1])
        """
        vectors = None if self.embedding is None else self.embedding[rows]
        extras = {name: values[rows] for name, values in self.extras.items()}
        boxes = (self.xyxy[rows], self.score[rows], self.class_id[rows])
        return Detections(*boxes, vectors, self.index[rows], self.dropped, extras)

    @classmethod
    def empty(cls) -> Detections:
        """No box at all, which is a normal frame.

        Example:
            >>> from retrace import Detections, Tracker
            >>> len(Tracker.from_config("sort").update(Detections.empty()))
            0
        """
        return cls(np.zeros((0, 4)), np.zeros(0))

    @classmethod
    def from_ultralytics(cls, result: Any) -> Detections:
        """One image's ``Results`` of Ultralytics: detection, segmentation, pose, turned boxes.

        Extras: ``mask`` (N, H, W) bool of the image's size, ``keypoints`` (N, P, 2 or 3) px and visibility,
        ``xyxyxyxy`` (N, 4, 2) px of turned boxes, ``class_name`` (N,).

        Raises:
            InputError: no such object, results of several images, a model that finds no boxes.

        Example:
            >>> from retrace import Detections, open_source
            >>> from ultralytics import YOLO
            >>> frame = next(iter(open_source("video.mp4")))
            >>> seen = Detections.from_ultralytics(YOLO("yolov8n-seg.pt")(frame.image)[0])
            >>> seen.class_id.tolist(), seen.extras["class_name"].tolist(), seen.extras["mask"].shape
            ([0, 2], ['person', 'car'], (2, 96, 192))
        """
        return cls(**foreign.of_ultralytics(result))

    @classmethod
    def from_supervision(cls, detections: Any) -> Detections:
        """``supervision.Detections``; its mask, its ``data`` and its tracker_id become extras.

        Without ``confidence`` each box counts as certain (1). ``metadata``, which is not of each box, stays behind.

        Raises:
            InputError: no such object, values that :class:`Detections` refuses.

        Example:
            >>> import numpy as np
            >>> import supervision
            >>> from retrace import Detections
            >>> theirs = supervision.Detections(np.array([[10, 20, 50, 120]]), data={"plate": np.array(["A1"])})
            >>> Detections.from_supervision(theirs)
            Detections: 1 box
              x1    y1    x2     y2  score  class_id  index  plate
            10.0  20.0  50.0  120.0    1.0         0      0     A1
        """
        return cls(**foreign.of_supervision(detections))

    @classmethod
    def from_torchvision(cls, output: Any) -> Detections:
        """One image's output of a torchvision detector, a dict of tensors; ``class_id`` is its label (COCO: 1, person).

        Extras: ``mask`` (N, H, W) bool, ``keypoints`` (N, P, 3) and whatever else has a row a box.

        Raises:
            InputError: no such dict, outputs of several images, values that :class:`Detections` refuses.

        Example:
            >>> from retrace import Detections
            >>> output = {"boxes": [[10, 20, 50, 120]], "scores": [0.9], "labels": [1]}  # or tensors
            >>> Detections.from_torchvision(output).class_id.tolist()
            [1]
        """
        return cls(**foreign.of_torchvision(output))

    def columns(self) -> dict[str, np.ndarray]:
        """x1, y1, x2, y2 (px), score, class_id, index and extras of one value a box, (N,) each.

        Example:
            >>> from retrace import Detections
            >>> seen = Detections([[10, 20, 50, 120]], [0.9], extras={"plate": ["A1"]})
            >>> list(seen.columns())  # for pandas.DataFrame, polars.DataFrame, csv ...
            ['x1', 'y1', 'x2', 'y2', 'score', 'class_id', 'index', 'plate']
        """
        own = _sides(self.xyxy) | {"score": self.score, "class_id": self.class_id, "index": self.index}
        return _with_extras(own, self.extras)

    def _title(self) -> str:
        n, lost = len(self), f", {self.dropped} without size dropped" if self.dropped else ""
        vectors = "" if self.embedding is None else f", vectors of {self.embedding.shape[1]} numbers"
        return f"Detections: {n} box{'es' * (n != 1)}{vectors}{lost}{_other_extras(self.extras)}"

    def __repr__(self) -> str:
        return display.as_text(self._title(), self.columns())

    def _repr_html_(self) -> str:
        return display.as_html(self._title(), self.columns())


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """What the tracker reports for one frame: K tracks, ordered by id.

    Raises:
        InputError: only by :meth:`to_supervision`; trackers make tracks, so nothing is checked here.

    Example:
        >>> from retrace import Detections, Tracker
        >>> seen = Detections([[10, 20, 50, 120]], [0.9], extras={"name": ["Ada"]})
        >>> tracks = Tracker.from_config("sort").update(seen)
        >>> tracks
        Tracks: 1 track
        id    x1    y1    x2     y2  score  class_id  det_index  name
         1  10.0  20.0  50.0  120.0    0.9         0          0   Ada
        >>> sorted(tracks.columns())  # for pandas.DataFrame, polars.DataFrame, csv ...
        ['class_id', 'det_index', 'id', 'name', 'score', 'x1', 'x2', 'y1', 'y2']
    """

    id: np.ndarray  # (K,) int64, from 1, never reused by one tracker
    xyxy: np.ndarray  # (K, 4) float32, px
    score: np.ndarray  # (K,) float32 in [0, 1], of the matched detection
    class_id: np.ndarray  # (K,) int32
    det_index: np.ndarray  # (K,) int64 row in this frame's detector output; -1 if only predicted
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (K, ...) of the detections'

    def __len__(self) -> int:
        return len(self.id)

    def carrying(self, detections: Detections) -> Tracks:
        """The same tracks with the extras of this frame's detections, row by row as ``det_index`` says.

        :meth:`Tracker.update` does it for what its detections have. A track that is only predicted has nothing there:
        NaN among floats, otherwise 0, False, "" or None.

        Raises:
            InputError: detections of another frame, which lack a row that a track was matched with.

        Example:
            >>> from dataclasses import replace
            >>> from retrace import Detections, Tracker
            >>> seen = Detections([[10, 20, 50, 120]], [0.9])
            >>> tracks = Tracker.from_config("sort").update(seen)
            >>> tracks.carrying(replace(seen, extras={"plate": ["A1"]})).extras["plate"]  # read afterwards
            array(['A1'], dtype='<U2')
        """
        order = np.argsort(detections.index, kind="stable")
        seen = self.det_index >= 0
        wanted = self.det_index[seen]
        place = np.searchsorted(detections.index, wanted, sorter=order)
        rows = order.take(place, mode="clip") if len(order) else order
        if len(rows) < len(wanted) or (detections.index[rows] != wanted).any():
            raise InputError("detections of another frame: they lack a row that a track was matched with")
        found = {}
        for name, values in detections.extras.items():
            found[name] = np.zeros((len(self), *values.shape[1:]), values.dtype)
            found[name][seen] = values[rows]
            if values.dtype.kind in "fcO":
                found[name][~seen] = None if values.dtype.kind == "O" else np.nan
        return replace(self, extras=found)

    def columns(self) -> dict[str, np.ndarray]:
        """id, x1, y1, x2, y2, score, class_id, det_index and extras of one value a track, (K,) each: views of these
        tracks, of which the tracker keeps nothing."""
        own = {"id": self.id, **_sides(self.xyxy), "score": self.score, "class_id": self.class_id}
        return _with_extras(own | {"det_index": self.det_index}, self.extras)

    def to_supervision(self) -> supervision.Detections:
        """The same as ``supervision.Detections``, for its annotators and zones; extras and det_index in ``data``.

        Raises:
            InputError: supervision is not installed.

        Example:
            >>> from retrace import Detections, Tracker
            >>> tracks = Tracker.from_config("sort").update(Detections([[10, 20, 50, 120]], [0.9]))
            >>> theirs = tracks.to_supervision()
            >>> theirs.tracker_id, theirs.data["det_index"]
            (array([1]), array([0]))
        """
        data = {**self.extras, "det_index": self.det_index}
        return foreign.as_supervision(self.id, self.xyxy, self.score, self.class_id, data)

    def _title(self) -> str:
        return f"Tracks: {len(self)} track{'s' * (len(self) != 1)}{_other_extras(self.extras)}"

    def __repr__(self) -> str:
        return display.as_text(self._title(), self.columns())

    def _repr_html_(self) -> str:
        return display.as_html(self._title(), self.columns())


@dataclass(frozen=True, slots=True)
class Step:
    """All that is known of one frame when the tracker is done with it; what sinks receive."""

    frame: Frame
    detections: Detections
    tracks: Tracks


@dataclass(frozen=True, slots=True, eq=False)
class MotTable:
    """A whole sequence: R boxes, sorted by frame, then id (detections, which have no id, by file order).

    Raises:
        InputError: a column of another shape, or one that is no numbers.

    Example:
        >>> from retrace import read_ground_truth
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
        >>> truth.take(truth.frame < 1)
        MotTable: 2 boxes, 2 ids, frames 0 to 0
        frame  id    x1    y1    x2    y2  score  class_id  visibility
            0   1  10.0  20.0  34.0  70.0    1.0         1         1.0
            0   2  60.0  20.0  84.0  70.0    1.0         1         1.0
        >>> list(truth.columns())  # for pandas.DataFrame, polars.DataFrame, csv ...
        ['frame', 'id', 'x1', 'y1', 'x2', 'y2', 'score', 'class_id', 'visibility']
    """

    frame: np.ndarray  # (R,) int64, 0-based
    id: np.ndarray  # (R,) int64; -1 for detections
    xyxy: np.ndarray  # (R, 4) float64, px; float64 because evaluation must equal the reference to the digit
    score: np.ndarray  # (R,) float64; ground truth: the 'considered' flag
    class_id: np.ndarray  # (R,) int64
    visibility: np.ndarray  # (R,) float64 in [0, 1]; 1 where the file has none

    def __post_init__(self) -> None:
        rows = None
        for name, dtype, tail in COLUMNS:
            given = getattr(self, name)
            column = _array(name, given, dtype, tail, rows)
            rows = len(column)
            if column is not given:
                object.__setattr__(self, name, column)

    @classmethod
    def of(cls, steps: Iterable[Step], *, as_file: bool = False) -> MotTable:
        """What a tracker reported, frame by frame, as one table: ``MotTable.of(run(...))``.

        Args:
            steps: by frame; only their tracks are kept, not their images.
            as_file: exactly what writing a result file and reading it again gives: tlwh with two decimals, scores
                with four, class 1 throughout, since result files have no classes.

        Raises:
            InputError: something else than steps.

        Example:
            >>> from retrace import Detections, MotTable, Tracker, open_source, run
            >>> def person(frame):  # a detector
            ...     return Detections([[10, 20, 50, 90]], [0.9])
            >>> table = MotTable.of(run(open_source("video.mp4"), person, Tracker.from_config("bytetrack")))
            >>> len(table), table.frame[:4].tolist(), set(table.id.tolist())
            (30, [0, 1, 2, 3], {1})
        """
        try:
            pieces = [(step.frame.index, step.tracks) for step in steps]
        except (TypeError, AttributeError):
            raise InputError("expected steps as run(...) gives them") from None
        count = [len(tracks) for _, tracks in pieces]
        frame = np.repeat(np.array([index for index, _ in pieces], np.int64), count)

        def column(name: str, start: np.ndarray) -> np.ndarray:
            found = [getattr(tracks, name).astype(start.dtype) for _, tracks in pieces]
            return np.concatenate([start, *found])

        xyxy, score = column("xyxy", np.zeros((0, 4))), column("score", np.zeros(0))
        class_id = column("class_id", np.zeros(0, np.int64))
        if as_file:  # np.round rounds as formatting does here: 100 times a float32 of pixels fits a float64
            xyxy, score = tlwh_to_xyxy(np.round(xyxy_to_tlwh(xyxy), 2)), np.round(score, 4)
            class_id = np.ones_like(class_id)
        return cls(frame, column("id", np.zeros(0, np.int64)), xyxy, score, class_id, np.ones(len(frame)))

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: np.ndarray | slice) -> MotTable:
        """The given rows (indices, mask or slice), in that order.

        Raises:
            IndexError: a row that is not there, as from NumPy.
        """
        return MotTable(*(getattr(self, f.name)[rows] for f in fields(self)))

    def columns(self) -> dict[str, np.ndarray]:
        """frame, id, x1, y1, x2, y2 (px), score, class_id, visibility, (R,) each."""
        boxes = {"frame": self.frame, "id": self.id, **_sides(self.xyxy), "score": self.score}
        return boxes | {"class_id": self.class_id, "visibility": self.visibility}

    def _title(self) -> str:
        n, ids = len(self), len(np.unique(self.id))
        frames = f", frames {self.frame.min()} to {self.frame.max()}" if n else ""
        return f"MotTable: {n} box{'es' * (n != 1)}, {ids} id{'s' * (ids != 1)}{frames}"

    def __repr__(self) -> str:
        return display.as_text(self._title(), self.columns())

    def _repr_html_(self) -> str:
        return display.as_html(self._title(), self.columns())

    def by_frame(self, length: int) -> Iterator[MotTable]:
        """``length`` tables, one a frame from 0, empty ones included; what comes after them is left out.

        Raises:
            InputError: rows that do not ascend by frame, a length that is no whole number from 0.

        Example:
            >>> from retrace import read_ground_truth
            >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
            >>> [here.xyxy[:, 0].tolist() for here in truth.by_frame(2)]  # left edges, px: one walks, one hardly
            [[10.0, 60.0], [14.0, 59.0]]
        """
        number("length", length, 0, whole=True)
        if (np.diff(self.frame) < 0).any():
            raise InputError(
                "rows must ascend by frame; sort them: table.take(np.argsort(table.frame, kind='stable'))"
            )
        cut = np.searchsorted(self.frame, np.arange(length + 1))
        for start, stop in zip(cut[:-1], cut[1:], strict=True):
            yield self.take(slice(start, stop))


def _array(
    name: str, value: object, dtype: type, tail: tuple[int, ...], rows: int | None = None
) -> np.ndarray:
    """``value`` as ``(rows, *tail)`` of ``dtype``, contiguous and writeable; -1 in ``tail`` is any width."""
    try:
        array = value if type(value) is np.ndarray else foreign.plain(value)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{name} must be an array of numbers, got {_kind(value)}") from None
    if array.size == 0 and tail and array.ndim < 2:
        array = array.reshape(0, max(tail[0], 0))
    fits = array.ndim == 1 + len(tail) and (not tail or tail[0] in (-1, array.shape[1]))
    if not fits or (rows is not None and len(array) != rows):
        want = ", ".join(["N" if rows is None else str(rows), *("D" if w == -1 else str(w) for w in tail)])
        raise InputError(f"{name} must have shape ({want}{'' if tail else ','}), got {array.shape}")
    if array.dtype == dtype:
        return array if array.flags.carray else np.array(array, order="C")
    if np.issubdtype(dtype, np.integer) and array.dtype.kind == "f":
        _refuse_rows(
            f"{name} must hold whole numbers", ~(np.isfinite(array) & (array == np.floor(array))), array
        )
    if np.issubdtype(dtype, np.integer) and array.dtype.kind in "iuf":
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        # as a float, the largest int64 is one too large
        outside = (array < least) | (array >= most + 1.0 if array.dtype.kind == "f" else array > most)
        _refuse_rows(f"{name} must lie in {least}..{most}", outside, array)
    with np.errstate(over="ignore"):  # what does not fit becomes inf, which the caller refuses
        return np.array(array, dtype, order="C")


def _rows_of(name: str, values: Any, n: int) -> np.ndarray:
    """An extra as an array of n rows, of whatever type."""
    try:
        array = foreign.plain(values)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"extras[{name!r}] must be an array with a row a box, got {_kind(values)}") from None
    if array.shape[:1] != (n,):
        raise InputError(
            f"extras[{name!r}] must have a row for each of the {n} boxes, got shape {array.shape}"
        )
    return array


def _sides(xyxy: np.ndarray) -> dict[str, np.ndarray]:
    """(N, 4) -> its columns by name."""
    return dict(zip(("x1", "y1", "x2", "y2"), xyxy.T, strict=True))


def _with_extras(own: dict[str, np.ndarray], extras: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns and the extras that are columns too; one of a column's name is called extra_NAME."""
    flat = {name: values for name, values in extras.items() if values.ndim == 1}
    return own | {f"extra_{name}" if name in own else name: values for name, values in flat.items()}


def _other_extras(extras: Mapping[str, np.ndarray]) -> str:
    """Those that are no columns, for a title."""
    told = [f"{name} {values.shape}" for name, values in extras.items() if values.ndim != 1]
    return f"; {', '.join(told)}" if told else ""


def _kind(value: object) -> str:
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ + (f" of {dtype}" if dtype is not None else "")


def frame_rate(value: Any) -> float:
    """Frames a second, as any number (``Fraction``, NumPy's) -> float.

    Raises:
        InputError: it is no number, or outside ``RATES``.
    """
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        rate = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InputError(f"fps must be a number, got {str(value)[:40]!r} ({type(value).__name__})") from None
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"fps must be a positive number ({RATES[0]:g}..{RATES[1]:g}), got {rate:g}")
    return rate


def _refuse_rows(expectation: str, bad: np.ndarray, values: np.ndarray) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"{expectation}; row {row} is {np.array2string(values[row], separator=', ')}")
