"""bench.py camera: how many frames are looked at."""

from pathlib import Path
from typing import Any

import pytest

from retrace.tools.benchmarks import camera


class _Enough(Exception):
    pass


@pytest.mark.parametrize(("frames", "taken"), [(10, 10), (795, 60)])
def test_speed_takes_no_more_frames_than_asked_for(
    frames: int, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def opened(data: Path, name: str, length: int) -> Any:
        asked.append(length)
        raise _Enough

    monkeypatch.setattr(camera, "open_footage", opened)
    with pytest.raises(_Enough):
        next(iter(camera.speed(tmp_path, frames)))
    assert asked == [taken]
