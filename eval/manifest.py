"""What a result was made with: written beside a submission, compared before two results share a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retrace.configs.reading import read_json

NAMES = ("manifest.json", "run.json")
COMPARED = ("detector", "detections", "online", "post_processing")
BY_SEQUENCE = {"detector": "detector", "detections": "detections_sha256"}  # fact: what run.json calls it


def read_manifest(results: Path) -> dict[str, Any] | None:
    """The manifest of a result folder or archive, None if it has none.

    It is ``manifest.json`` or ``run.json`` inside, or ``NAME.manifest.json`` beside.

    Raises:
        InputError: the file is no JSON object.
    """
    stem = results.stem if results.suffix == ".zip" else results.resolve().name
    for path in (*(results / name for name in NAMES), results.resolve().with_name(f"{stem}.manifest.json")):
        if not path.is_file():
            continue
        return read_json(path)
    return None


def facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest decides whether results may share a table; unknown things are left out.

    A tracking run's manifest (``run.json``, or a submission's ``parameters``) states detector and detections
    for each sequence: ``{sequence: value}`` then. A hash of detections that somebody gave by hand is one text.
    """
    run = manifest.get("parameters")
    inner = facts(run) if isinstance(run, Mapping) else {}
    found = {key: manifest[key] for key in COMPARED if manifest.get(key) is not None}
    runs = manifest.get("sequences")
    if not isinstance(runs, Mapping):
        return inner | found
    for key, name in BY_SEQUENCE.items():
        each = {n: r[name] for n, r in runs.items() if isinstance(r, Mapping) and r.get(name)}
        if each and key not in found:
            found[key] = each
    return inner | found


def offline_mark(manifest: Mapping[str, Any] | None) -> str:
    """ ", OFFLINE: link, smooth" for results that were made or changed with a view of the future, else ""."""
    known = facts(manifest or {})
    steps = known.get("post_processing", [])
    if known.get("online", True) and not steps:
        return ""
    steps = steps if isinstance(steps, list) else [steps]
    names = [str(s.get("pass", s)) if isinstance(s, Mapping) else str(s) for s in steps]
    return ", OFFLINE" + (f": {', '.join(names)}" if names else "")


def unlike(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str:
    """Why two results should not share a table, "" if nothing speaks against it.

    Only what both manifests state in the same form is compared: the detector and the detections' hash (of
    sequences in both), online or offline, post-processing.
    """
    mine, other = facts(a or {}), facts(b or {})
    reasons = []
    for key in COMPARED:
        if key not in mine or key not in other:
            continue
        x, y = mine[key], other[key]
        if isinstance(x, dict) != isinstance(y, dict):
            continue  # a hash over files and one over boxes say nothing about each other
        if isinstance(x, dict):
            # a detector's description names files and counts: it says nothing where the very boxes are equal
            equal = _equal_boxes(mine, other) if key == "detector" else set()
            name = next((n for n in sorted(x) if n in y and n not in equal and x[n] != y[n]), None)
            reasons += [f"{key} of {name}: {_short(x[name])} against {_short(y[name])}"] if name else []
        elif x != y:
            reasons.append(f"{key} {_short(x)} against {_short(y)}")
    return ", ".join(reasons)


def _equal_boxes(mine: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Sequences whose detections have the same hash."""
    x, y = mine.get("detections"), other.get("detections")
    return {n for n in x if x[n] == y.get(n)} if isinstance(x, dict) and isinstance(y, dict) else set()


def unchecked(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str:
    """What :func:`unlike` could not compare, "" if nothing: named by both, in the same form, it is compared."""
    if a is None or b is None:
        return "no manifest: not checked whether detections and post-processing are alike"
    mine, other = facts(a), facts(b)
    names = [
        key
        for key in COMPARED
        if key not in mine or key not in other or isinstance(mine[key], dict) != isinstance(other[key], dict)
    ]
    return f"not stated alike in both manifests, so not checked: {', '.join(names)}" if names else ""


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 40 else text[:37] + "..."


def files_hash(paths: Iterable[Path]) -> str:
    """sha256 over the contents of files, in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
