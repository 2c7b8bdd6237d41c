"""run.json: how the results beside it were made, so that unlike ones are not compared unawares."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError
from retrace.configs.files import file_hash as file_hash
from retrace.configs.reading import read_json
from retrace.tools import ROOT

if TYPE_CHECKING:
    from retrace.tracker.offline.passes import OfflineConfig
    from retrace.tracker.run import OpenedJob, SourceReport

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
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
    for name in ("retrace-mot", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


# What all sources of one run share; a record of an earlier run keeps what was otherwise then.
SHARED = ("arguments", "commit", "versions", "tracker", "appearance")
KIND = ("online", "post_processing")  # results of two kinds are not kept in one folder


def manifest(
    opened: Sequence[OpenedJob],
    arguments: Sequence[str],
    records: Mapping[str, Any],
    failed: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What DIR/run.json says of a run.

    Args:
        opened: the jobs, which differ by their source only.
        arguments: what the user typed.
        records: of what is done, by name.
        failed: sources that could not be tracked, and why.
    """
    return {
        **_shared(opened[0], arguments),
        "sha256": {path: value for one in opened for path, value in one.hashes.items()},
        "sequences": dict(records),
        **({"failed": dict(failed)} if failed else {}),
    }


def _shared(one: OpenedJob, arguments: Sequence[str]) -> dict[str, Any]:
    from retrace.tracker.sources.address import redact

    return {
        "arguments": [URL.sub(lambda found: redact(found[0]), word) for word in arguments],
        "commit": commit(),
        "versions": versions(),
        "seed": None,  # nothing in a run is random
        "online": one.offline is None,
        "post_processing": one.post_processing,
        "tracker": one.tracker.config.model_dump(mode="json"),
        "appearance": one.appearance.description,
    }


def earlier_records(opened: Sequence[OpenedJob]) -> dict[str, dict[str, Any]]:
    """What the run.json that lies in the output folder says of each sequence whose result is there. Whatever was
    made with something else than this run tells so itself from now on, as ``"made_with"``.

    Raises:
        InputError: results of other sources are there that were improved offline in another way.
    """
    out, names = opened[0].out, {one.name for one in opened}
    try:
        before = read_json(out / "run.json")
    except InputError:
        return {}
    now = _shared(opened[0], [])
    found = {}
    for name, record in records_of(out).items():
        if not isinstance(record, dict) or not (out / f"{name}.txt").is_file():
            continue
        if name not in names and any(before.get(key) != now[key] for key in KIND):
            raise InputError(
                f"`out` {out}: holds {name}, which was improved offline otherwise than this run does; "
                "name another folder"
            )
        was = {key: before.get(key) for key in SHARED if before.get(key) != now[key]}
        found[name] = {**record, "made_with": was | record.get("made_with", {})} if was else record
    return found


def remove_stale(record: Mapping[str, Any] | None, one: OpenedJob, report: SourceReport) -> None:
    """Remove what an earlier run has left of a source whose new result is whole: an old video beside new text
    would show what the text does not say."""
    if record is None or report.stopped:
        return
    for name in record.get("files") or ():
        path = one.out / str(name)
        if path.parent != one.out or path in report.files:
            continue
        if path.is_dir() and not path.is_symlink():  # crops
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def finished_records(opened: Sequence[OpenedJob]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Of jobs that resume: what run.json says of those that are done already, with the same settings; and the names
    of those that were done with others, so they are done anew.

    Raises:
        InputError: fewer frames are asked for than are done: going on would leave less than there is.
    """
    found, others = {}, []
    for one in opened:
        record: Any = records_of(one.out).get(one.name) if one.job.resume else None
        if not isinstance(record, dict) or not record.get("complete") or not _there(one):
            continue
        # whose ids the results have is no setting of the tracker, which goes on from a checkpoint all the same
        if (record.get("settings_sha256"), record.get("memory")) == (one.settings_hash(), one.job.memory):
            if all(map(Path.exists, one.results())):
                found[one.name] = record
            continue
        done, asked = record.get("frames"), one.job.length
        if asked is not None and isinstance(done, int) and done > asked:
            raise InputError(
                f"`length` {asked}: {one.name} in `out` {one.out} is complete, {done} frames; leave `resume` out to "
                "replace it, or name another folder"
            )
        others.append(one.name)
    return found, others


def _there(one: OpenedJob) -> bool:
    return (one.out / f"{one.name}.txt").is_file()


def records_of(folder: Path) -> dict[str, Any]:
    """What the run.json of a folder says of each sequence; nothing where there is none."""
    try:
        found = read_json(folder / "run.json").get("sequences")
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def rate_of(record: Mapping[str, Any], key: str = "fps") -> float | None:
    """Frames/s as a record of run.json tells them; None: it does not, or nonsense."""
    rate = record.get(key)
    return float(rate) if isinstance(rate, int | float) and 0 < rate < 1e6 else None


def size_of(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) px, likewise."""
    size = record.get("size")
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(s, int) and s > 0 for s in size)):
        return None
    return size[0], size[1]


def marked(run: Mapping[str, Any], config: OfflineConfig) -> dict[str, Any]:
    """A run's manifest for its results after the passes; --resume of that run will not take them for its own."""
    before = run.get("post_processing") or []
    history = [*(before if isinstance(before, list) else [before]), *config.describe()]
    records = run.get("sequences")
    if isinstance(records, dict):
        run = {**run, "sequences": {n: {**r, "settings_sha256": None} for n, r in records.items()}}
    return {**run, "online": False, "post_processing": history}
