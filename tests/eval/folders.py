"""Small folders of ground truth and results."""

from __future__ import annotations

from pathlib import Path

GT = "1,1,10,10,20,40,1,1,1\n2,1,10,10,20,40,1,1,1\n"
RESULT = "1,1,10,10,20,40,0.9,-1,-1,-1\n2,1,10,10,20,40,0.9,-1,-1,-1\n"


def make(root: Path, name: str, gt: str, result: str | None, length: int = 3) -> tuple[Path, Path]:
    """One sequence with its result; returns the folders."""
    folder = root / "gt" / name
    (folder / "gt").mkdir(parents=True)
    (folder / "gt" / "gt.txt").write_text(gt)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate=30\nseqLength={length}\nimWidth=640\nimHeight=480\nimExt=.jpg\n"
    )
    (root / "results").mkdir(exist_ok=True)
    if result is not None:
        (root / "results" / f"{name}.txt").write_text(result)
    return root / "gt", root / "results"
