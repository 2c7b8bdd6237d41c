"""MOTChallenge folders without images, and who has a file open."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.small_video import write_boxes


def sequence(folder: Path, length: int) -> Path:
    """A folder that is tracked from its det.txt."""
    (folder / "det").mkdir(parents=True)
    write_boxes(folder / "det" / "det.txt", length)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate=10\nseqLength={length}\nimWidth=192\nimHeight=96\n"
    )
    return folder


def walked(folder: Path, seed: int, frames: int = 16, people: int = 5) -> None:
    """People on straight paths as ground truth; boxes near them that miss, jitter and invent."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 300, (people, 2)), rng.normal(0, 5, (people, 2))
    truth, boxes = [], []
    for k in range(1, frames + 1):
        for person, (x, y) in enumerate(start + k * speed, 1):
            truth.append(f"{k},{person},{x:.2f},{y:.2f},30,70,1,1,1")
            if rng.random() < 0.85:
                dx, dy = rng.normal(0, 4, 2)
                boxes.append(f"{k},-1,{x + dx:.2f},{y + dy:.2f},30,70,{rng.uniform(0.3, 1):.3f},-1,-1,-1")
        x, y = rng.uniform(0, 300, 2)
        boxes.append(f"{k},-1,{x:.2f},{y:.2f},30,70,{rng.uniform(0.1, 0.9):.3f},-1,-1,-1")
    for name, lines in (("gt/gt.txt", truth), ("det/det.txt", boxes)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate=25\nseqLength={frames}\nimWidth=640\nimHeight=480\n"
    )


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
