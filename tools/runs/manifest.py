"""run.json: how the results beside it were made, so that unlike ones are not compared unawares."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError
from retrace.configs.files import file_hash as file_hash
from retrace.configs.files import read_json

if TYPE_CHECKING:
    from retrace.tracker.offline.passes import OfflineConfig
    from retrace.tracker.run import OpenedJob

ROOT = Path(__file__).resolve().parents[2]
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
    found = {"python": platform.python_version()}
    for name in ("retrace", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def manifest(opened: Sequence[OpenedJob], arguments: list[str], records: Mapping[str, Any]) -> dict[str, Any]:
    """What DIR/run.json says of a run of jobs that differ by their source; ``records``: of what is done, by name."""
    first = opened[0]
    return {
        "arguments": arguments,
        "commit": commit(),
        "versions": versions(),
        "seed": None,  # nothing in a run is random
        "online": first.offline is None,
        "post_processing": first.post_processing,
        "tracker": first.tracker.config.model_dump(mode="json"),
        "appearance": first.appearance.description,
        "sha256": {path: value for one in opened for path, value in one.hashes.items()},
        "sequences": dict(records),
    }


def finished_records(opened: Sequence[OpenedJob]) -> dict[str, dict[str, Any]]:
    """Of jobs that resume: what run.json says of those that are done already, with the same settings."""
    found = {}
    for one in opened:
        record: Any = _records(one.out).get(one.name) if one.job.resume else None
        if not isinstance(record, dict) or not record.get("complete"):
            continue
        if record.get("settings_sha256") == one.settings_hash() and all(map(Path.is_file, one.results())):
            found[one.name] = record
    return found


def _records(folder: Path) -> dict[str, Any]:
    """What the run.json of a folder says of each sequence; nothing where there is none."""
    try:
        found = read_json(folder / "run.json").get("sequences")
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def marked(run: Mapping[str, Any], config: OfflineConfig) -> dict[str, Any]:
    """A run's manifest for its results after the passes; --resume of that run will not take them for its own."""
    before = run.get("post_processing") or []
    history = [*(before if isinstance(before, list) else [before]), *config.describe()]
    records = run.get("sequences")
    if isinstance(records, dict):
        run = {**run, "sequences": {n: {**r, "settings_sha256": None} for n, r in records.items()}}
    return {**run, "online": False, "post_processing": history}
