import numpy as np
import pytest

from configs import InputError
from tracker.camera import camera_of, read_warps
from tracker.data import Frame


def shift(x):
    return np.array([[1.0, 0, x], [0, 1, 0]])


def test_reads_warps(tmp_path):
    path = tmp_path / "gmc.txt"
    path.write_text("0\t1\t0\t0\t0\t1\t0\t\n\n2 1 0 5 0 1 -3\n")
    warps = read_warps(path)
    assert list(warps) == [0, 2]
    assert warps[2].tolist() == [[1, 0, 5], [0, 1, -3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 0 0 0 1 0\n1 1 0 0 0 1\n", "line 2: expected a frame"),
        ("x 1 0 0 0 1 0", "line 1"),
        ("1 1 0 nan 0 1 0", "line 1"),
        ("1.5 1 0 0 0 1 0", "line 1"),
        ("-1 1 0 0 0 1 0", "line 1"),
        ("1 0 0 0 0 0 0", "invertible"),
        ("1 1 0 0 0 1 0\n1 1 0 0 0 1 0", "line 2: frame 1 comes twice"),
    ],
)
def test_malformed_files_name_the_line(tmp_path, text, message):
    (tmp_path / "gmc.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_warps(tmp_path / "gmc.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_warps(tmp_path / "nowhere.txt")


def test_frames_that_were_left_out_are_made_up_for():
    """Frames 0, 1, 4: at 4 the camera has gone 2 + 3 + 4 since frame 1."""
    camera = camera_of({k: shift(k) for k in range(6)})
    asked = [camera(Frame(k, k / 10, None))[0, 2] for k in (0, 1, 4, 5)]
    assert asked == [0, 1, 2 + 3 + 4, 5]


def test_order_of_composition():
    """First twice as large, then 10 px to the right: x -> 2 x + 10."""
    zoom = np.array([[2.0, 0, 0], [0, 2, 0]])
    camera = camera_of({1: zoom, 2: shift(10)})
    camera(Frame(0, 0.0, None))
    assert camera(Frame(2, 0.2, None)).tolist() == [[2, 0, 10], [0, 2, 0]]
