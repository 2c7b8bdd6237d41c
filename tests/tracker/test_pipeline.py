"""`run`: what it is given is checked, what its functions raise or answer is not lost (threads: test_ahead.py)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Tracker
from retrace.tracker.ahead import Ahead
from retrace.tracker.data import Detections, Frame
from retrace.tracker.pipeline import Stopwatch, run, run_on_boxes


def frames(count: int = 3) -> Iterator[Frame]:
    for k in range(count):
        yield Frame(k, k / 10, np.zeros((96, 192, 3), np.uint8))


def one_box(frame: Frame) -> Detections:
    return Detections([[10 + frame.index, 10, 50 + frame.index, 90]], [0.9])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stopwatch": 5}, "`stopwatch` must be a Stopwatch, got int"),
        ({"stopwatch": Stopwatch}, "`stopwatch` must be a Stopwatch, got type"),
        ({"ahead": 4}, "`ahead` must be an Ahead, got int"),
        ({"sparing": True}, "`sparing` must be a Sparing, got bool"),
        ({"embed": "osnet.onnx"}, "`embed` must be a function, got str"),
    ],
)
def test_of_the_right_kind(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        next(run(frames(), one_box, Tracker.from_config("sort"), **given))


def test_a_stopwatch_counts_by_the_clock_it_is_given() -> None:
    ticks = iter(range(100))
    stopwatch = Stopwatch(lambda: float(next(ticks)))
    for name in ("a", "b", "a"):
        with stopwatch.stage(name):
            pass
    with pytest.raises(ZeroDivisionError), stopwatch.stage("b"):  # counted, too
        _ = 1 / 0
    assert stopwatch.seconds == {"a": 2.0, "b": 2.0}
    with pytest.raises(InputError, match="`clock` must be a function, got int"):
        Stopwatch(5)  # type: ignore[arg-type]


def test_a_function_that_runs_out_is_no_frame_without_people() -> None:
    """`next` of a user's own iterator, say: its StopIteration was taken for the end of the video."""
    for threads in (0, 2):
        answers = iter([one_box(frame) for frame in frames(2)])
        steps = run(
            frames(),
            lambda frame, left=answers: next(left),
            Tracker.from_config("sort"),
            ahead=Ahead(threads),
        )
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(steps)


def test_vectors_of_no_numbers_are_refused() -> None:
    steps = run(
        frames(), one_box, Tracker.from_config("default"), lambda image, xyxy: np.zeros((len(xyxy), 0))
    )
    with pytest.raises(InputError, match=r"embed must return an array of \(1, D\)"):
        list(steps)


def test_boxes_at_hand_are_tracked_as_those_of_a_detector() -> None:
    boxes = [one_box(frame) for frame in frames(5)]
    wanted = [step.tracks.id.tolist() for step in run(frames(5), one_box, Tracker.from_config("sort", 10))]
    for given in (boxes, tuple(boxes), iter(boxes)):
        found = [step.tracks.id.tolist() for step in run_on_boxes(given, Tracker.from_config("sort", 10))]
        assert found == wanted
    assert not [*run_on_boxes([], Tracker.from_config("sort"))]


@pytest.mark.parametrize("given", [None, one_box(Frame(0, 0.0, None)), [None], [[1, 2, 3, 4]]])
def test_boxes_of_the_wrong_kind(given: Any) -> None:
    with pytest.raises(InputError, match="`boxes` must be Detections, one a frame, got"):
        run_on_boxes(given, Tracker.from_config("sort"))
