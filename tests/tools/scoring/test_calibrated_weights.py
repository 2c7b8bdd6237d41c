"""A calibration refitted on a tracked video: vectors by hand, so that the pairs and the new maps can be counted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.calibration import Calibration, Map, fingerprint
from retrace.reid.embedder import find_weights
from retrace.tools.scoring.calibrated_weights import calibrate_on_video, open_weights, told
from tests.passers_by import passers_by, with_ids

KNOWN = Calibration({"later": Map((0.2, 0.5), (4.0, -4.0), 100, 100)}, {"later": {0.01: 0.4}}, strangers=0.5)


@dataclass
class ByPlace:
    """Knows the person above from the one below, as two people of one frame are here."""

    calibration: Calibration | None = KNOWN
    dim: int = 2
    size: tuple[int, int] = (8, 4)
    looked: list[int] = field(default_factory=list)

    def __call__(self, image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        self.looked.append(len(xyxy))
        return np.eye(2, dtype=np.float32)[(xyxy[:, 1] > 50).astype(int)]

    def crops(self, crops: np.ndarray) -> np.ndarray:
        return np.eye(2)[[0, 0, 1, 1]]

    def reset(self) -> None:
        self.looked.clear()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Ten pairs of people, each person there for 13 frames of a fifth of a second."""
    video, boxes = passers_by(tmp_path_factory.mktemp("door"), "door")
    return str(video), with_ids(boxes)


def test_pairs_of_a_video(door: tuple[str, Path]) -> None:
    """Of 13 frames the first four against the last four are 16 pairs, all a second apart; strangers are 1 apart, twice
    as far as where the map was fitted, so its knots move by 2 to the power of 1/4."""
    seen: list[tuple[int, int]] = []
    embedder: Any = ByPlace()
    found = calibrate_on_video(embedder, *door, advance=lambda done, total: seen.append((done, total)))
    assert found.before is KNOWN
    assert found.boxes == sum(embedder.looked) == 260
    own = found.calibration.map("tracklet")
    assert (own.same, own.different, own.source) == (320, 130, "video")
    assert found.calibration.strangers == 1
    assert found.calibration.map("later").knots == pytest.approx((0.2 * 2**0.25, 0.5 * 2**0.25))
    assert found.calibration.limit("later", 0.1) == 1  # the video's own; too few pairs for one in a hundred
    assert found.calibration.print == fingerprint(embedder.crops, embedder.size)
    assert seen[-1] == (148, 148)  # nobody is in the last two


def test_every_third_frame_and_no_calibration_before(door: tuple[str, Path]) -> None:
    """Five frames a person are thirds of one: one pair each."""
    embedder: Any = ByPlace(calibration=None)
    with pytest.raises(
        InputError,
        match=r"20 pairs of one person and 50 of two where one frame in 3 is .* 100 .* wanted; take a smaller `every`",
    ):
        calibrate_on_video(embedder, *door, every=3)
    assert embedder.looked == [2] * 50
    found = calibrate_on_video(embedder, *door)
    assert ([*found.calibration.maps], found.before) == (["tracklet"], None)


def test_what_does_not_fit(door: tuple[str, Path], tmp_path: Path) -> None:
    embedder: Any = ByPlace()
    with pytest.raises(InputError, match="`every` 0: expected a number of frames from 1"):
        calibrate_on_video(embedder, *door, every=0)
    (tmp_path / "none.txt").write_text("")
    with pytest.raises(InputError, match=r"none\.txt: is empty, nobody was tracked there"):
        calibrate_on_video(embedder, door[0], tmp_path / "none.txt")


def test_results_of_another_video(door: tuple[str, Path], tmp_path: Path) -> None:
    """Later frames, places beside the picture, another size, or rows that offline passes have added."""
    embedder: Any = ByPlace()
    video, rows = door[0], [line.split(",") for line in door[1].read_text().splitlines()]
    given = tmp_path / "door.txt"

    def refused(frames: int = 0, right: float = 0.0) -> str:
        given.write_text(
            "\n".join(
                ",".join([str(int(row[0]) + frames), row[1], str(float(row[2]) + right), *row[3:]])
                for row in rows
            )
        )
        with pytest.raises(InputError) as error:
            calibrate_on_video(embedder, video, given)
        return str(error.value)

    assert "goes on to frame 158, but door ends at 150" in refused(frames=10)
    assert "100 % of its boxes lie outside of the pictures of door" in refused(right=1e5)
    size = (1, 2)
    (tmp_path / "run.json").write_text(json.dumps({"sequences": {"door": {"size": size}}}))
    said = refused()
    assert "door.txt: its run.json says 2 x 1 px, unlike the pictures of door, which have" in said
    assert "give the results of this video" in said
    assert "outside" not in said
    (tmp_path / "run.json").write_text(json.dumps({"online": False, "sequences": {}}))
    assert "give what the tracker itself said, door.online.txt" in refused()
    given.rename(tmp_path / "door.online.txt")
    assert calibrate_on_video(embedder, video, tmp_path / "door.online.txt").boxes == 260


def test_a_card_that_does_not_know_strangers_learns_of_them(door: tuple[str, Path]) -> None:
    """As where each camera of its people has seen one. Here two people are 1 apart, all of them."""
    embedder: Any = ByPlace(calibration=replace(KNOWN, strangers=None))
    found = calibrate_on_video(embedder, *door)
    assert (found.calibration.strangers, found.calibration.spread) == (1, None)
    assert found.calibration.map("later") == KNOWN.map("later")  # nothing says how far it had to be moved
    assert "two people are 1.000 apart on average; where the calibration was fitted: not known" in told(found)
    unknown = replace(found, calibration=replace(found.calibration, strangers=None))
    assert "two people are at a distance that is not known; where" in told(unknown)


def test_refitted_again_it_names_the_last_video(door: tuple[str, Path]) -> None:
    embedder: Any = ByPlace()
    embedder.calibration = calibrate_on_video(embedder, *door).calibration
    again = calibrate_on_video(embedder, *door).calibration
    assert again.data == "; within tracklets: door"
    assert again.map("later") == embedder.calibration.map("later")  # as far apart as before


def test_weights_keep_what_they_say() -> None:
    for ending in (".onnx", ".safetensors"):  # the name means both
        path = find_weights("auto").with_suffix(ending)
        with pytest.raises(InputError, match="is the file of the weights; name another"):
            open_weights("auto", str(path))
