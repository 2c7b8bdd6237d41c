"""A synthetic Market-1501 in miniature, which a small network learns in seconds.

A person is a colour of coat and a colour of trousers; a camera has a tint of its own; every image has another
background, some noise, and the person elsewhere, so that pixels alone do not tell who it is. Training and test
people differ.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import cv2
import numpy as np

JUNK, DISTRACTORS = 3, 4


def write_mini_market(
    folder: Path,
    ids: int = 8,
    cameras: int = 3,
    images: int = 4,
    size: tuple[int, int] = (64, 32),
    seed: int = 0,
) -> None:
    """Write ``bounding_box_train/``, ``query/`` and ``bounding_box_test/`` into ``folder``.

    ``ids`` people to train on (1..ids) and as many others to test on, ``images`` of each by each camera; of a
    test person's the first by each camera is the query, the others are gallery. The gallery also has JUNK
    files of id -1 and DISTRACTORS of id 0000.

        train: ids * cameras * images; query: ids * cameras; gallery: ids * cameras * (images - 1) + 3 + 4
    """
    random = np.random.default_rng(seed)
    looks = random.permutation(2 * ids + DISTRACTORS)
    tints = random.uniform(0.6, 1.2, (cameras, 3))
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / part).mkdir(parents=True, exist_ok=True)

    def write(part: str, name: str, look: int, camera: int) -> None:
        person = _person(look, len(looks), size, random)
        noisy = person * tints[camera] + random.normal(0, 8, person.shape)
        cv2.imwrite(str(folder / part / name), noisy.clip(0, 255).astype(np.uint8))

    for person in range(2 * ids):
        for camera in range(cameras):
            for k in range(images):
                part = "bounding_box_train" if person < ids else "query" if k == 0 else "bounding_box_test"
                write(part, f"{person + 1:04d}_c{camera + 1}s1_{k:06d}_00.jpg", looks[person], camera)
    for k in range(DISTRACTORS):
        write(
            "bounding_box_test", f"0000_c{k % cameras + 1}s1_{k:06d}_00.jpg", looks[2 * ids + k], k % cameras
        )
    for k in range(JUNK):
        write("bounding_box_test", f"-1_c{k % cameras + 1}s1_{k:06d}_00.jpg", looks[ids + k], k % cameras)


def _person(look: int, looks: int, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float BGR: head, coat and trousers on a plain ground."""
    height, width = size
    image = np.broadcast_to(random.uniform(0, 255, 3), (height, width, 3)).copy()
    coat = np.array(colorsys.hsv_to_rgb(look / looks, 0.9, 0.9))[::-1] * 255
    legs = np.array(colorsys.hsv_to_rgb(look * 0.618 % 1, 0.8, 0.5 + 0.4 * (look % 2)))[::-1] * 255
    top, left = random.integers(0, [max(1, height // 6), max(1, width // 3)])
    right = left + width * 2 // 3
    image[top : top + height // 6, left + width // 4 : right - width // 4] = (150, 170, 210)
    image[top + height // 6 : top + height // 2, left:right] = coat
    image[top + height // 2 :, left + width // 8 : right - width // 8] = legs
    return image
