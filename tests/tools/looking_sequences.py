"""Sequences with ground truth, and boxes with vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FRAMES, PEOPLE, SIZE = 40, 8, 16


def write_sequence(folder: Path, seed: int, vectors: bool = True) -> None:
    """People who cross a small place, each with a look of their own; boxes jitter and some are missed."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 120, (PEOPLE, 2)), rng.normal(0, 2, (PEOPLE, 2))
    looks = rng.standard_normal((PEOPLE, SIZE))
    truth, frame, boxes, embedding = [], [], [], []
    for k in range(FRAMES):
        for person, (x, y) in enumerate(start + k * speed):
            truth.append(f"{k + 1},{person + 1},{x:.2f},{y:.2f},30,70,1,1,1")
            if rng.random() < 0.9:
                dx, dy = rng.normal(0, 2, 2)
                frame.append(k)
                boxes.append((x + dx, y + dy, x + dx + 30, y + dy + 70))
                look = looks[person] + 0.5 * rng.standard_normal(SIZE)
                embedding.append(look / np.linalg.norm(look))
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text("\n".join(truth) + "\n")
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate=10\nseqLength={FRAMES}\nimWidth=640\nimHeight=480\n"
    )
    arrays = {"frame": np.array(frame), "xyxy": np.array(boxes, np.float32)}
    arrays["score"] = rng.uniform(0.6, 1, len(frame)).astype(np.float32)
    if vectors:
        arrays["embedding"] = np.array(embedding, np.float32)
    np.savez(folder / "det.npz", **arrays)
