"""A video of people in all colours who cross the picture two at a time, and the boxes of a detector that sees them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

FPS, SLOT, SLOTS = 5, 15, 10  # frames/s; frames that a pair takes; pairs


def passers_by(folder: Path, name: str, slots: int = SLOTS) -> tuple[Path, Path]:
    """NAME.mp4 and NAME.txt, of the first so many pairs."""
    rng, lines = np.random.default_rng(0), []
    colours = rng.integers(30, 226, (SLOTS, 2, 2, 3))
    with av.open(str(folder / f"{name}.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.height, stream.width = 160, 320
        for k in range(SLOT * slots):
            image = np.full((160, 320, 3), 90, np.uint8)
            slot, step = divmod(k, SLOT)
            for person, left in enumerate((10 + 4 * step, 280 - 4 * step)):
                top = 10 + 70 * person
                image[top : top + 32, left : left + 28] = colours[slot, person, 0]
                image[top + 32 : top + 64, left : left + 28] = colours[slot, person, 1]
                if step < SLOT - 2:
                    lines.append(f"{k + 1},-1,{left},{top},28,64,0.9\n")
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    (folder / f"{name}.txt").write_text("".join(lines))
    return folder / f"{name}.mp4", folder / f"{name}.txt"


def with_ids(boxes: Path) -> Path:
    """NAME-tracks.txt beside NAME.txt: the boxes as a tracker that errs nowhere would give them."""
    rows = [line.split(",") for line in boxes.read_text().splitlines()]
    people = [2 * ((int(row[0]) - 1) // SLOT) + (int(row[3]) > 50) + 1 for row in rows]
    out = boxes.with_name(f"{boxes.stem}-tracks.txt")
    lines = [",".join([row[0], str(who), *row[2:]]) + "\n" for row, who in zip(rows, people, strict=True)]
    out.write_text("".join(lines))
    return out
