"""MOT text as files."""

from __future__ import annotations

from pathlib import Path


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "file.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
