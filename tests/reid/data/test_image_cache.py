"""Pixels once decoded: equal to OpenCV's, whole or not at all, and every kind of broken file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.crops import resize
from retrace.reid.data import image_cache
from retrace.reid.data.image_cache import image_cache_folder, open_images, open_sound_images
from retrace.reid.data.sets import ReidImages
from tests.conftest import ROOT

SIZE = (32, 16)


def write_image(path: Path, seed: int, shape: tuple[int, ...] = (40, 24, 3)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def images_of(paths: list[Path]) -> ReidImages:
    return ReidImages(tuple(paths), np.arange(1, len(paths) + 1), np.zeros(len(paths), np.int64))


@pytest.fixture
def images(tmp_path: Path) -> ReidImages:
    (tmp_path / "set").mkdir()
    return images_of([write_image(tmp_path / "set" / f"{k}.{('jpg', 'png')[k % 2]}", k) for k in range(5)])


def expected(images: ReidImages, size: tuple[int, int] = SIZE) -> np.ndarray:
    """One by one, as anybody would."""
    height, width = size
    return np.stack(
        [
            cv2.resize(cv2.imread(str(p)), (width, height), interpolation=cv2.INTER_LINEAR)
            for p in images.paths
        ]
    )


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(path: Path, out: np.ndarray) -> bool:
        raise AssertionError(f"{path} is decoded again")

    monkeypatch.setattr(image_cache, "decode", decode)


@pytest.mark.parametrize("jobs", [None, 1, 3])
def test_pixels_are_opencvs(tmp_path: Path, images: ReidImages, jobs: int | None) -> None:
    in_memory = open_images(images, SIZE, jobs=jobs)
    cached = open_images(images, SIZE, tmp_path / "cache", jobs=jobs)
    assert (in_memory.shape, in_memory.dtype) == ((5, 32, 16, 3), np.uint8)
    np.testing.assert_array_equal(in_memory, expected(images))
    np.testing.assert_array_equal(cached, expected(images))
    assert isinstance(cached, np.memmap)
    assert not cached.flags.writeable


def test_resizes_as_the_embedder_does(images: ReidImages) -> None:
    """What a network is trained on must be what it sees later."""
    picture = cv2.imread(str(images.paths[0]))
    crops = resize([picture], SIZE)
    np.testing.assert_array_equal(open_images(images.take(np.array([0])), SIZE), crops)


@pytest.mark.parametrize("shape", [(40, 24), (40, 24, 4), (1, 1, 3), (500, 3, 3)])
def test_grey_transparent_and_odd_sizes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    found = open_images(images_of([write_image(tmp_path / "a.png", 0, shape)]), SIZE)
    assert found.shape == (1, 32, 16, 3)


def test_second_opening_decodes_nothing(
    tmp_path: Path, images: ReidImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(open_images(images, SIZE, tmp_path))
    forbid_decoding(monkeypatch)
    np.testing.assert_array_equal(open_images(images, SIZE, tmp_path), first)


def test_another_size_or_order_or_choice_is_another_cache(tmp_path: Path, images: ReidImages) -> None:
    open_images(images, SIZE, tmp_path)
    np.testing.assert_array_equal(open_images(images, (16, 32), tmp_path), expected(images, (16, 32)))
    some = images.take(np.array([3, 1]))
    np.testing.assert_array_equal(open_images(some, SIZE, tmp_path), expected(some))
    assert len(list(tmp_path.glob("*.npy"))) == 3


@pytest.mark.parametrize("change", ["time", "bytes"])
def test_a_changed_file_is_read_again(tmp_path: Path, images: ReidImages, change: str) -> None:
    open_images(images, SIZE, tmp_path)
    path, facts = images.paths[1], images.paths[1].stat()
    write_image(path, 99, (44, 24, 3) if change == "bytes" else (40, 24, 3))
    if change == "bytes":  # the size tells, even if the clock does not
        assert path.stat().st_size != facts.st_size
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    else:
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1000))
    np.testing.assert_array_equal(open_images(images, SIZE, tmp_path), expected(images))


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "other shape"])
def test_a_damaged_cache_is_built_again(tmp_path: Path, images: ReidImages, damage: str) -> None:
    open_images(images, SIZE, tmp_path)
    (file,) = tmp_path.glob("*.npy")
    whole = file.read_bytes()
    if damage == "other shape":
        np.save(file, np.zeros((1, 2), np.uint8))
    else:
        file.write_bytes({"cut": whole[:-1], "empty": b"", "noise": b"x" * len(whole)}[damage])
    np.testing.assert_array_equal(open_images(images, SIZE, tmp_path), expected(images))
    assert file.read_bytes() == whole


def test_nothing_is_left_when_it_stops_half_way(
    tmp_path: Path, images: ReidImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "CHUNK", 2)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(images, SIZE, tmp_path / "cache", progress=stop)
    assert list((tmp_path / "cache").iterdir()) == []


def test_sweeps_what_killed_runs_left(tmp_path: Path, images: ReidImages) -> None:
    name = f"{'0f' * 16}.npy.{'3a' * 8}.partial"
    old, young, other = (tmp_path / each for each in (name, name.replace("3", "4"), "film.partial"))
    for file in (old, young, other):
        file.write_bytes(b"x")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    open_images(images, SIZE, tmp_path)
    assert not old.exists()
    assert young.exists()  # somebody may be writing it
    assert other.exists()  # it is not the cache's


def test_progress_in_chunks(images: ReidImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "CHUNK", 2)
    told: list[tuple[int, int]] = []
    found = open_images(images, SIZE, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]
    np.testing.assert_array_equal(found, expected(images))


def test_no_images(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        assert open_images(images_of([]), SIZE, folder).shape == (0, 32, 16, 3)


def test_two_processes_at_once(tmp_path: Path, images: ReidImages) -> None:
    probe = (
        "import sys, hashlib, numpy as np; from pathlib import Path\n"
        "from retrace.reid.data.sets import ReidImages; from retrace.reid.data.image_cache import open_images\n"
        "paths = tuple(map(Path, sys.argv[2:])); n = np.ones(len(paths), np.int64)\n"
        "print(hashlib.sha256(open_images(ReidImages(paths, n, n), (32, 16), Path(sys.argv[1]))).hexdigest())"
    )
    command = [sys.executable, "-c", probe, str(tmp_path / "cache"), *map(str, images.paths)]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (run.communicate()[0] for run in runs)
    assert first == second != ""
    assert len(list((tmp_path / "cache").iterdir())) == 1


def break_file(path: Path, how: str) -> None:
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[: len(raw) // 2], "empty": b"", "text": b"no image", "page": b"<html>"}[how])


@pytest.mark.parametrize("row", [0, 1], ids=["jpeg", "png"])
@pytest.mark.parametrize("how", ["cut", "empty", "text", "page"])
def test_broken_images_are_left_out_by_name(tmp_path: Path, images: ReidImages, row: int, how: str) -> None:
    break_file(images.paths[row], how)
    for folder in (None, tmp_path / "cache"):
        kept, pixels, broken = open_sound_images(images, SIZE, folder)
        assert broken == [str(images.paths[row])]
        assert kept.ids.tolist() == [k for k in (1, 2, 3, 4, 5) if k != row + 1]
        np.testing.assert_array_equal(pixels, expected(kept))
        for strictly in (
            lambda: open_images(images, SIZE, folder),  # noqa: B023  # called at once
            lambda: open_sound_images(images, SIZE, folder, strict=True),  # noqa: B023
        ):
            with pytest.raises(InputError, match=r"cannot be decoded as an image \(1 of 5 are broken\)"):
                strictly()


def test_keeps_within_its_limit_what_was_used_last(
    tmp_path: Path, images: ReidImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for nine images. Files of five and four are there and the four were made last, but the five have
    been used since: so the four go when three more come."""
    monkeypatch.setattr(image_cache, "LIMIT", 9 * SIZE[0] * SIZE[1] * 3 + 2 * 128)  # each file has a header
    for age, part in ((200, images), (100, images.take(np.arange(4)))):
        open_images(part, SIZE, tmp_path)
        newest = max(tmp_path.glob("*.npy"), key=lambda file: file.stat().st_mtime_ns)
        os.utime(newest, (time.time() - age,) * 2)
    assert held(tmp_path) == [4, 5]
    open_images(images, SIZE, tmp_path)
    open_images(images.take(np.arange(3)), SIZE, tmp_path)
    assert held(tmp_path) == [3, 5]


def held(folder: Path) -> list[int]:
    """How many images each file has."""
    return sorted(len(np.load(file)) for file in folder.glob("*.npy") if len(file.stem) == 32)


def test_more_than_the_limit_at_once_is_kept_alone(
    tmp_path: Path, images: ReidImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_images(images.take(np.arange(2)), SIZE, tmp_path)
    (tmp_path / "mine.npy").write_bytes(b"x")
    monkeypatch.setattr(image_cache, "LIMIT", 1)
    np.testing.assert_array_equal(open_images(images, SIZE, tmp_path), expected(images))
    assert held(tmp_path) == [5]
    assert (tmp_path / "mine.npy").exists()  # a folder that was given may hold more


def test_broken_images_in_several_chunks(images: ReidImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "CHUNK", 2)
    for row in (1, 4):
        break_file(images.paths[row], "text")
    kept, pixels, broken = open_sound_images(images, SIZE)
    assert kept.ids.tolist() == [1, 3, 4]
    assert broken == [str(images.paths[1]), str(images.paths[4])]
    np.testing.assert_array_equal(pixels, expected(kept))


def test_all_sound(images: ReidImages) -> None:
    kept, pixels, broken = open_sound_images(images, SIZE)
    assert kept is images
    assert (len(pixels), broken) == (5, [])


def test_all_broken(images: ReidImages) -> None:
    for path in images.paths:
        break_file(path, "text")
    with pytest.raises(InputError, match="5 of 5 are broken"):
        open_sound_images(images, SIZE)


def test_remembers_the_broken_ones_until_they_change(
    tmp_path: Path, images: ReidImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_file(images.paths[2], "cut")
    _, first, _ = open_sound_images(images, SIZE, tmp_path)
    with monkeypatch.context() as patch:
        forbid_decoding(patch)
        _, second, broken = open_sound_images(images, SIZE, tmp_path)
    np.testing.assert_array_equal(first, second)
    assert broken == [str(images.paths[2])]
    write_image(images.paths[2], 2)
    np.testing.assert_array_equal(open_images(images, SIZE, tmp_path), expected(images))


def test_what_the_caller_can_get_wrong(tmp_path: Path, images: ReidImages) -> None:
    with pytest.raises(InputError, match=r"size must be \(height, width\) from 1 px, got \(0, 16\)"):
        open_images(images, (0, 16))
    with pytest.raises(InputError, match="jobs must be a number of threads from 1, got 0"):
        open_images(images, SIZE, jobs=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*choose another cache folder"):
        open_images(images, SIZE, tmp_path / "file" / "cache")
    images.paths[3].unlink()
    with pytest.raises(InputError, match=r"3\.png: cannot be read \(No such file"):
        open_images(images, SIZE, tmp_path / "cache")


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path))
    assert image_cache_folder() == tmp_path / "images"
    monkeypatch.delenv("RETRACE_CACHE")
    assert image_cache_folder() == Path.home() / ".cache" / "retrace" / "images"


def test_importing_it_loads_neither_opencv_nor_torch() -> None:
    probe = (
        "import sys, retrace.reid.data.image_cache, retrace.reid.data.sets;"
        "print({'cv2', 'torch', 'scipy'} & {*sys.modules} or '')"
    )
    run = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not run.stdout.split()
