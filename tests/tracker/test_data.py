from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, MotTable, Step, Tracks, frame_rate
from retrace.tracker.mot_file import format_tracks, read_results

BOX = [[0.0, 0, 10, 20]]


def test_types_and_defaults():
    d = Detections(BOX, [0.5])
    assert d.xyxy.dtype == d.score.dtype == np.float32
    assert d.class_id.dtype == np.int32
    assert d.class_id.tolist() == [0]
    assert d.index.tolist() == [0]
    assert d.embedding is None
    assert len(d) == 1


def test_empty_input_is_normal():
    for d in (
        Detections.empty(),
        Detections([], []),
        Detections(np.zeros((0, 4)), np.zeros(0), embedding=np.zeros((0, 8))),
    ):
        assert len(d) == 0
        assert d.xyxy.shape == (0, 4)


def test_boxes_of_no_size_are_dropped_counted_and_keep_the_others_place():
    d = Detections([[0, 0, 0, 9], [1, 1, 5, 5], [3, 3, 2, 9]], [0.1, 0.2, 0.3], embedding=np.eye(3))
    assert d.dropped == 2
    assert d.index.tolist() == [1]
    assert d.score.tolist() == [np.float32(0.2)]
    assert d.embedding.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"xyxy": np.zeros((2, 3)), "score": [0, 0]}, r"xyxy must have shape \(N, 4\), got \(2, 3\)"),
        ({"xyxy": BOX, "score": [0.1, 0.2]}, r"score must have shape \(1,\), got \(2,\)"),
        ({"xyxy": BOX, "score": [1.5]}, r"score must lie in \[0, 1\]; row 0 is 1.5"),
        ({"xyxy": BOX, "score": [np.nan]}, "score must lie"),
        ({"xyxy": [*BOX, [0, np.nan, 1, 1]], "score": [1, 1]}, "xyxy must be finite; row 1"),
        ({"xyxy": [[0, 0, np.inf, 1]], "score": [1]}, "xyxy must be finite; row 0"),
        ({"xyxy": BOX, "score": [1], "class_id": [1, 2]}, "class_id must have shape"),
        ({"xyxy": BOX, "score": [1], "class_id": [np.nan]}, "class_id must hold whole numbers; row 0 is nan"),
        ({"xyxy": BOX, "score": [1], "class_id": [1.5]}, "class_id must hold whole numbers; row 0 is 1.5"),
        ({"xyxy": [[0, 0, 1e39, 1]], "score": [1]}, "xyxy must be finite; row 0"),
        ({"xyxy": [[1, 2], [3]], "score": [1]}, "xyxy must be an array of numbers"),
        ({"xyxy": BOX, "score": [1.0001]}, r"score must lie in \[0, 1\]; row 0 is 1.0001"),
        (
            {"xyxy": BOX, "score": [1], "class_id": [2**40]},
            r"class_id must lie in -2147483648..2147483647; row 0",
        ),
        (
            {"xyxy": BOX, "score": [1], "class_id": np.array([2**63], np.uint64)},
            "class_id must lie in .*; row 0",
        ),
        ({"xyxy": BOX, "score": [1], "class_id": [1e300]}, r"class_id must lie in .*; row 0 is 1\.e\+300"),
        ({"xyxy": BOX, "score": [1], "index": [2.0**63]}, "index must lie in .*; row 0"),
        ({"xyxy": BOX, "score": ["0.5"]}, "score must be an array of numbers, got list"),
        ({"xyxy": BOX, "score": [None]}, "score must lie in .*; row 0 is nan"),
        ({"xyxy": BOX, "score": [0.5j]}, "score must be an array of numbers, got list"),
        ({"xyxy": BOX, "score": np.array(["2020"], "datetime64[s]")}, "got ndarray of datetime64"),
        ({"xyxy": BOX, "score": np.ma.array([0.5], mask=[True])}, "got MaskedArray of float64"),
        ({"xyxy": BOX, "score": ["high"]}, "score must be an array of numbers"),
        ({"xyxy": BOX, "score": [1], "embedding": [[3.0, 4.0]]}, "norm 1 .*; row 0 is 5"),
        ({"xyxy": BOX, "score": [1], "embedding": [[np.nan, 0]]}, "norm 1"),
        ({"xyxy": BOX, "score": [1], "embedding": [0.6, 0.8]}, r"embedding must have shape \(1, D\)"),
        (
            {"xyxy": BOX, "score": [1], "extras": {"a": [1, 2]}},
            r"extras\['a'\] must have a row for each of the 1",
        ),
        ({"xyxy": BOX, "score": [1], "extras": {"a": 5}}, r"extras\['a'\] .*, got shape \(\)"),
        (
            {"xyxy": BOX, "score": [1], "extras": {"a": [[1, 2], [3]]}},
            "must be an array with a row a box, got list",
        ),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Detections(**arguments)


def test_taken_rows_keep_everything_that_is_theirs() -> None:
    d = Detections(
        [*BOX, [5, 5, 5, 9], [1, 1, 9, 9]], [0.1, 0.2, 0.3], [4, 5, 6], np.eye(3), extras={"a": list("xyz")}
    )
    for rows in (np.array([1, 0]), np.array([True, True]), slice(None, None, -1)):
        part = d.take(rows)
        first, second = (0, 1) if isinstance(rows, np.ndarray) and rows.dtype == bool else (1, 0)
        assert part.index.tolist() == [[0, 2][first], [0, 2][second]]
        assert part.class_id.tolist() == [[4, 6][first], [4, 6][second]]
        assert part.extras["a"].tolist() == ["xz"[first], "xz"[second]]
        assert part.embedding[0].argmax() == [0, 2][first]
        assert part.dropped == 1


def test_zero_embedding_means_unknown():
    assert Detections(BOX, [1], embedding=[[0.0, 0.0]]).embedding.tolist() == [[0, 0]]


def test_table_by_frame():
    frame = np.array([0, 0, 2])
    table = MotTable(frame, np.arange(3), np.zeros((3, 4)), np.ones(3), np.ones(3, int), np.ones(3))
    assert [part.id.tolist() for part in table.by_frame(4)] == [[0, 1], [], [2], []]
    for wrong in (-1, 1.5, "4", None):
        with pytest.raises(InputError, match="`length`"):
            next(table.by_frame(wrong))


def test_a_table_that_is_not_sorted_has_no_frames():
    frame = np.array([2, 0])
    table = MotTable(frame, np.arange(2), np.zeros((2, 4)), np.ones(2), np.ones(2, int), np.ones(2))
    with pytest.raises(InputError, match="ascend by frame"):
        next(table.by_frame(3))


def made_steps(*counts: int, first: int = 0) -> list[Step]:
    """A step a frame with so many tracks, of class 3."""
    rng = np.random.default_rng(0)
    steps = []
    for number, k in enumerate(counts, first):
        xyxy = rng.uniform(-50, 1900, (k, 4)).astype(np.float32)
        xyxy[:, 2:] = xyxy[:, :2] + rng.uniform(1, 300, (k, 2)).astype(np.float32)
        xyxy[:1, 0] = 0.125  # a tie: both ways round to even
        ids, score = np.arange(1, k + 1), rng.random(k).astype(np.float32)
        tracks = Tracks(ids, xyxy, score, np.full(k, 3, np.int32), ids)
        steps.append(Step(Frame(number, number / 25, None), Detections.empty(), tracks))
    return steps


def test_a_table_of_steps_keeps_what_they_say() -> None:
    steps = made_steps(2, 0, 1, first=7)
    table = MotTable.of(iter(steps))
    assert table.frame.tolist() == [7, 7, 9]
    assert table.id.tolist() == [1, 2, 1]
    assert table.class_id.tolist() == [3, 3, 3]
    assert table.xyxy.dtype == np.float64
    np.testing.assert_array_equal(table.xyxy[2], steps[2].tracks.xyxy[0])
    np.testing.assert_array_equal(table.score[:2], steps[0].tracks.score)
    assert len(MotTable.of([])) == len(MotTable.of(made_steps(0))) == 0
    assert MotTable.of([]).xyxy.shape == (0, 4)


def test_a_table_as_its_file_would_say(tmp_path: Path) -> None:
    steps = made_steps(4, 0, 3)
    path = tmp_path / "r.txt"
    path.write_text("".join(format_tracks(s.frame.index, s.tracks) for s in steps))
    ours, theirs = MotTable.of(steps, as_file=True), read_results(path)
    for name in ("frame", "id", "xyxy", "score", "class_id", "visibility"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_scores_beyond_the_unit_by_rounding_are_cut():
    assert Detections([*BOX, *BOX], [1.000001, -1e-7]).score.tolist() == [1, 0]


def test_numbers_of_every_kind_are_taken():
    from decimal import Decimal
    from fractions import Fraction

    d = Detections(
        [[Fraction(1, 2), Decimal("0.25"), True, np.float16(9)]], (np.float64(0.5),), [np.uint8(7)]
    )
    assert d.xyxy.tolist() == [[0.5, 0.25, 1, 9]]
    assert d.class_id.tolist() == [7]


def test_tensors_of_every_kind_are_taken_and_left_as_they_are():
    """With gradient, in bfloat16, as a list of single ones; a GPU's goes the same way (``.cpu()``)."""
    torch = pytest.importorskip("torch")
    box = torch.tensor(BOX, requires_grad=True)
    score = torch.tensor([0.5], dtype=torch.bfloat16, requires_grad=True)
    vector = torch.nn.functional.normalize(torch.ones(1, 4, requires_grad=True))
    for boxes, scores, vectors in ((box, score, vector), ([*box], [*score], [*vector])):
        d = Detections(boxes, scores, embedding=vectors)
        assert d.xyxy.tolist() == BOX
        assert d.score.tolist() == [0.5]
        assert d.embedding.tolist() == [[0.5] * 4]
    with pytest.raises(
        InputError, match=r"score must be an array of numbers, got Tensor of torch\.complex64"
    ):
        Detections(BOX, torch.ones(1, dtype=torch.complex64))
    with pytest.raises(InputError, match=r"score must be an array of numbers, got Tensor of torch\.float32"):
        Detections(BOX, torch.ones(1, device="meta"))


@pytest.mark.parametrize(
    "value", [True, "25", b"25", None, [25], float("nan"), float("inf"), 0, -3, 10**400, 1j]
)
def test_a_frame_rate_that_is_no_positive_number_is_refused(value):
    with pytest.raises(InputError, match="fps must be a "):
        frame_rate(value)


def test_a_frame_rate_may_be_any_number():
    from fractions import Fraction

    assert frame_rate(Fraction(30000, 1001)) == 30000 / 1001
    assert [frame_rate(v) for v in (np.int8(25), np.array(25.0), 25)] == [25.0] * 3
