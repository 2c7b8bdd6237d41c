"""What a result was made with: written beside a submission, compared before two results share a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from configs import InputError

NAMES = ("manifest.json", "run.json")
COMPARED = ("detections", "online", "post_processing")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a result folder (``manifest.json`` or ``run.json``), None if it has none.

    Raises:
        InputError: the file is no JSON object.
    """
    for name in NAMES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not readable as JSON: {' '.join(str(error).split())}") from None
        if not isinstance(found, dict):
            raise InputError(f"{path}: expected a JSON object, got {type(found).__name__}")
        return found
    return None


def facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest decides whether results may share a table; unknown things are left out.

    ``detections`` is a hash, or one for each sequence where the manifest is a tracking run's.
    """
    found = {key: manifest[key] for key in COMPARED if manifest.get(key) is not None}
    runs = manifest.get("sequences")
    if "detections" not in found and isinstance(runs, Mapping):
        hashes = {
            name: run.get("detections_sha256") for name, run in runs.items() if isinstance(run, Mapping)
        }
        found |= {"detections": {name: h for name, h in hashes.items() if h}} if any(hashes.values()) else {}
    return found


def unlike(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str:
    """Why two results should not share a table, "" if nothing speaks against it.

    Only what both manifests state is compared: the detections' hash (of sequences in both), online or
    offline, post-processing.
    """
    mine, other = facts(a or {}), facts(b or {})
    reasons = []
    for key in COMPARED:
        if key not in mine or key not in other:
            continue
        x, y = mine[key], other[key]
        if isinstance(x, dict) and isinstance(y, dict):
            name = next((n for n in sorted(x) if n in y and x[n] != y[n]), None)
            reasons += [f"{key} of {name}"] if name else []
        elif x != y:
            reasons.append(f"{key} {_short(x)} against {_short(y)}")
    return ", ".join(reasons)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 40 else text[:37] + "..."


def files_hash(paths: Iterable[Path]) -> str:
    """sha256 over the contents of files, in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
