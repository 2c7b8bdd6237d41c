"""Boxes from a file instead of a detector."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector, open_detections


def frame(index: int, image: np.ndarray | None = None) -> Frame:
    return Frame(index, index / 10, image)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_det_file_answers_frame_by_frame(tmp_path: Path) -> None:
    text = "2,-1,5,6,10,20,0.5\n1,-1,1,2,3,4,0.25\n2,-1,0,0,8,8,1\n"  # 1-based, left top width height
    detect = open_detections(write(tmp_path / "det.txt", text))
    first, second = detect(frame(0)), detect(frame(1))
    assert first.xyxy.tolist() == [[1, 2, 4, 6]]
    assert first.score.tolist() == [0.25]
    assert second.xyxy.tolist() == [[5, 6, 15, 26], [0, 0, 8, 8]]  # the file's order
    assert second.index.tolist() == [0, 1]
    assert "3 boxes in 2 frames" in detect.description


def test_frames_without_rows_and_beyond_the_file_are_empty(tmp_path: Path) -> None:
    detect = open_detections(write(tmp_path / "det.txt", "3,-1,1,2,3,4,0.5\n"))
    assert [len(detect(frame(i))) for i in (0, 1, 2, 3, 10**6)] == [0, 0, 1, 0, 0]
    assert len(open_detections(write(tmp_path / "empty.txt", ""))(frame(0))) == 0


def test_raw_scores_are_mapped_and_the_description_says_so(tmp_path: Path) -> None:
    text = "1,-1,1,2,3,4,-2\n2,-1,1,2,3,4,0\n3,-1,1,2,3,4,8\n"
    detect = open_detections(write(tmp_path / "det.txt", text))
    scores = [float(detect(frame(i)).score[0]) for i in range(3)]
    np.testing.assert_allclose(scores, [0.3, 0.3 + 0.7 * 2 / 10, 1.0], rtol=1e-6)
    assert "raw scores -2..8 mapped" in detect.description


def test_a_box_of_no_size_is_dropped_and_the_others_keep_their_row(tmp_path: Path) -> None:
    text = "4,-1,1,2,3,4,0.5\n5,-1,1,2,0,4,0.5\n5,-1,1,2,3,4,0.75\n"
    found = open_detections(write(tmp_path / "det.txt", text))(frame(4))
    assert found.index.tolist() == [1]
    assert found.score.tolist() == [0.75]
    assert found.dropped == 1


def test_malformed_det_files_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"det\.txt, line 2: "):
        open_detections(write(tmp_path / "det.txt", "1,-1,1,2,3,4,0.5\n1,-1,1,2,x,4,0.5\n"))
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        open_detections(tmp_path / "none.txt")


def arrays(**changes: Any) -> dict[str, Any]:
    base = {
        "frame": np.array([2, 0, 2]),
        "xyxy": np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], float),
        "score": np.array([0.1, 0.2, 0.3]),
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


def saved(folder: Path, **changes: Any) -> Path:
    np.savez(folder / "d.npz", **arrays(**changes))
    return folder / "d.npz"


def test_an_npz_answers_frame_by_frame_from_0(tmp_path: Path) -> None:
    detect = open_detections(saved(tmp_path))
    assert detect(frame(0)).xyxy.tolist() == [[0, 0, 2, 2]]
    assert detect(frame(1)).embedding is None
    last = detect(frame(2))
    assert last.xyxy[:, 2].tolist() == [1, 3]
    assert last.index.tolist() == [0, 1]
    assert last.class_id.tolist() == [0, 0]


def test_an_npz_may_bring_classes_and_vectors(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0, 1], [0, 0]], np.float32)  # the last: no appearance known
    detect = open_detections(saved(tmp_path, class_id=np.array([7, 8, 9]), embedding=vectors))
    last, none = detect(frame(2)), detect(frame(1))
    assert last.class_id.tolist() == [7, 9]
    assert last.embedding is not None
    assert last.embedding.tolist() == [[1, 0], [0, 0]]
    assert none.embedding is not None
    assert none.embedding.shape == (0, 2)


def test_the_classes_of_a_file_are_labelled_where_there_are_several(tmp_path: Path) -> None:
    assert open_detections(saved(tmp_path)).labels == {}
    assert open_detections(saved(tmp_path, class_id=np.array([7, 7, 7]))).labels == {}
    assert open_detections(saved(tmp_path, class_id=np.array([9, 0, 9]))).labels == {0: "class0", 9: "class9"}
    named = Detector("d", lambda f: Detections.empty(), {0: "person", 2: "car", 5: "bus"}, kept=(0, 2))
    assert named.labels == {0: "person", 2: "car"}


def test_every_row_is_looked_up_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    where = rng.integers(0, 50, 300)
    low = rng.uniform(0, 9, (300, 2))
    boxes = np.concatenate([low, low + 1], axis=1).astype(np.float32)
    detect = open_detections(saved(tmp_path, frame=where, xyxy=boxes, score=rng.uniform(size=300)))
    for index in range(50):
        slow = [box.tolist() for box, at in zip(boxes, where, strict=True) if at == index]
        assert detect(frame(index)).xyxy.tolist() == slow


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": None}, "no array 'score'; expected frame, xyxy and score"),
        ({"embeddings": np.zeros((3, 2))}, "unknown array 'embeddings'; did you mean 'embedding'"),
        ({"frame": np.array([0, 1])}, "xyxy has shape .*; expected one row of each a box"),
        ({"frame": np.array([0, 1.5, 2])}, "frame must be one whole number"),
        ({"frame": np.array([0, np.nan, 2])}, "frame must be one whole number"),
        ({"frame": np.array([0, -1, 2])}, "frame must be one whole number from 0"),
        ({"frame": np.array(1), "xyxy": np.array(1.0)}, "frame has shape .*; expected one row"),
        ({"score": np.array([0.1, 7, 0.3])}, r"score must lie in \[0, 1\]; row 1 is 7"),
        ({"score": np.array(["a", "b", "c"])}, "score must hold numbers"),
        ({"xyxy": np.zeros((3, 5))}, r"xyxy must have shape \(N, 4\), got \(3, 5\)"),
        ({"xyxy": np.full((3, 4), np.inf)}, "xyxy must be finite; row 0"),
        ({"embedding": np.full((3, 2), 5.0)}, "embedding rows must have norm 1"),
        ({"frame": np.array([0, None, 2], object)}, "not readable as an .npz"),  # would need pickle
    ],
)
def test_wrong_arrays_are_refused_when_the_file_is_opened(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"d\.npz: .*{message}"):
        open_detections(saved(tmp_path, **changes))


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path).read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    contents = [b"", b"1,2,3\n", whole[: len(whole) // 2], (tmp_path / "array.npy").read_bytes()]
    for content in contents:
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.npz: not readable as an .npz") as caught:
            open_detections(tmp_path / "bad.npz")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such detections file"):
        open_detections(tmp_path / "none.npz")


def test_damage_that_only_numpy_knows_is_one_line(tmp_path: Path) -> None:
    """A member without NumPy's magic comes as bytes; a header may promise 10^12 rows; a zip may hold anything."""
    for name, member, message in (
        ("frame.npy", b"what is this", "frame must hold numbers, got .S12"),
        ("frame.npy", npy_header("<f8", 10**12), r"not readable as an .npz"),
        ("other.txt", b"x", "unknown array 'other.txt'"),
    ):
        with zipfile.ZipFile(tmp_path / "bad.npz", "w") as file:
            file.writestr(name, member)
        with pytest.raises(InputError, match=message):
            open_detections(tmp_path / "bad.npz")


def npy_header(kind: str, rows: int) -> bytes:
    about = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows},), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(about).to_bytes(2, "little") + about.encode() + bytes(64)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_box_that_is_not_finite_is_refused_with_the_frame_number(bad: float) -> None:
    detect = Detector("broken", lambda f: Detections([[0, 0, 1, 1], [0, 0, bad, 1]], [0.5, 0.5]))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^frame 41: xyxy must be finite; row 1"):
        detect(frame(41))


def test_shared_detections_are_read_whole(shared: Path) -> None:
    detect = open_detections(shared / "MOT15-train" / "PETS09-S2L1" / "det" / "det.txt")
    rows = np.loadtxt(shared / "MOT15-train" / "PETS09-S2L1" / "det" / "det.txt", delimiter=",")
    counts = [len(found) + found.dropped for found in map(detect, map(frame, range(795)))]
    assert counts == np.bincount(rows[:, 0].astype(int), minlength=796)[1:].tolist()
