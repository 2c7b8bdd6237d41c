"""What teachers say of the training images: by hand, kept and found again, refused where it cannot be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.data.sets import ReidImages
from retrace.reid.training.teachers import teacher_vectors
from tests.reid.networks_by_hand import all_pixels

SIZE = (8, 4)


@pytest.fixture
def images(tmp_path: Path) -> ReidImages:
    pixels = np.random.default_rng(0).integers(0, 256, (7, *SIZE, 3), np.uint8)
    paths = tuple(tmp_path / f"{k}.png" for k in range(7))
    for path, image in zip(paths, pixels, strict=True):
        cv2.imwrite(str(path), image)
    return ReidImages(paths, np.arange(7), np.zeros(7, np.int64))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def by_hand(images: ReidImages) -> np.ndarray:
    """A teacher that answers with the normalised pixels themselves."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    looks = []
    for path in images.paths:
        image = (cv2.imread(str(path))[..., ::-1] / 255 - mean) / std
        views = [view.transpose(2, 0, 1).ravel() for view in (image, image[:, ::-1])]
        looks.append(sum(view / np.linalg.norm(view) for view in views))
    looks = unit(np.array(looks))
    return unit(looks - looks.mean(0))


def test_a_teacher_sees_both_sides_and_what_all_share_is_taken_off(
    images: ReidImages, tmp_path: Path
) -> None:
    teacher = str(all_pixels(tmp_path / "pixels.onnx", SIZE))
    got = teacher_vectors([teacher], images)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, by_hand(images), atol=1e-5)


def test_two_teachers_have_the_same_say(images: ReidImages, tmp_path: Path) -> None:
    teachers = [str(all_pixels(tmp_path / f"{k}.onnx", SIZE)) for k in range(2)]
    got = teacher_vectors(teachers, images)
    assert got.shape == (7, 2 * 96)
    np.testing.assert_allclose(got, np.hstack([by_hand(images)] * 2) / np.sqrt(2), atol=1e-5)


def test_vectors_are_kept_until_an_image_or_the_teacher_changes(images: ReidImages, tmp_path: Path) -> None:
    teacher, folder, calls = all_pixels(tmp_path / "pixels.onnx", SIZE), tmp_path / "cache", []

    def look(some: ReidImages = images) -> np.ndarray:
        calls.clear()
        return teacher_vectors([str(teacher)], some, folder, lambda done, of: calls.append((done, of)))

    first = look()
    assert calls == [(7, 7)]
    assert np.array_equal(look(), first)
    assert calls == []
    look(images.take(np.arange(6)))
    assert calls == [(6, 6)]
    kept = sorted(folder.glob("teacher-*.npy"))
    assert len(kept) == 2
    for file in kept:
        file.write_bytes(file.read_bytes()[:100])  # cut off: looked at again
    assert np.array_equal(look(), first)
    assert calls == [(7, 7)]
    cv2.imwrite(str(images.paths[3]), np.zeros((16, 8, 3), np.uint8))
    assert not np.allclose(look(), first)
    assert not list(folder.glob("*.partial"))


def test_a_teacher_that_is_not_there_is_named(images: ReidImages, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such.*nobody\.onnx|nobody\.onnx.*no such"):
        teacher_vectors([str(tmp_path / "nobody.onnx")], images)
    with pytest.raises(InputError, match="at least one file"):
        teacher_vectors([], images)
