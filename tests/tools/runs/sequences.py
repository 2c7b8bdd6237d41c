"""MOTChallenge folders without images, and who has a file open."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tests.small_video import write_boxes


def sequence(folder: Path, length: int) -> Path:
    """A folder that is tracked from its det.txt."""
    (folder / "det").mkdir(parents=True)
    write_boxes(folder / "det" / "det.txt", length)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate=10\nseqLength={length}\nimWidth=192\nimHeight=96\n"
    )
    return folder


def holders(path: Path) -> list[int]:
    """Processes that have the file open (Linux)."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdecimal() and any(
                handle.readlink() == path for handle in (process / "fd").iterdir()
            ):
                found.append(int(process.name))
    return found
