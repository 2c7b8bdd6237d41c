"""A window: what its process is told, and what becomes of a run when it is closed. (No screen is needed.)"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tracker.outputs import viewer
from retrace.tracker.outputs.window import WIDEST, Window
from tests.tracker.outputs.sinks import step

VIEWER = """
import sys
out = open(sys.argv[0] + ".told", "w")
print("open", flush=True)
for _ in range(2):
    h, w = (int.from_bytes(sys.stdin.buffer.read(4), "little") for _ in range(2))
    print(sys.argv[1], h, w, len(sys.stdin.buffer.read(3 * h * w)), file=out, flush=True)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A viewer that writes down two pictures and then is closed."""
    path = tmp_path / "viewer.py"
    path.write_text(VIEWER)
    monkeypatch.setattr(viewer, "__file__", str(path))
    monkeypatch.setattr(sys, "platform", "any")
    return path


def test_pictures_come_whole_and_not_too_large(place: Path) -> None:
    window = Window("title")
    window.show(step(0, size=(40, 60)))
    window.show(step(1, size=(500, 2 * WIDEST)))
    window._viewer.wait(30)
    window.show(step(2))
    assert window.closed
    window.show(step(3))
    window.close()
    told = Path(f"{place}.told").read_text().split("\n")
    assert told == [f"title 40 60 {3 * 40 * 60}", f"title 250 {WIDEST} {3 * 250 * WIDEST}", ""]


def test_a_viewer_that_cannot_open(place: Path) -> None:
    place.write_text("import sys; print('\\nno display', file=sys.stderr); sys.exit(1)")
    with pytest.raises(InputError, match=r"no window can be opened here \(no display\); leave `show` out"):
        Window("title")
    place.write_text("raise RuntimeError('The function is not implemented. Rebuild the library')")
    with pytest.raises(InputError, match="install opencv-python"):
        Window("title")
