"""What code made a result: this checkout's commit, and the versions of what is installed.

Both are asked for once in a process, whose code is the same to its end: a run writes them again with every source, and
asking takes two processes of git and 11 files.
"""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "numpy",
    "scipy",
    "opencv-python",
    "av",
    "onnxruntime",
    "lap",
    "torch",
    "torchreid",
    "timm",
    "ultralytics",
)


@cache
def commit() -> str | None:
    """The checkout's commit, "+dirty" when files differ from it; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    head = git("rev-parse", "HEAD") if (ROOT / ".git").exists() else None
    return head and head + ("+dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


def versions() -> dict[str, str]:
    """Python's and every package's that is installed."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("retrace-mot", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
