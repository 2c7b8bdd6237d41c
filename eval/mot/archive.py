"""A MOTChallenge submission made: the files it needs collected, zipped, checked, and what it was made with."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.configs.files import atomic_write, partial_of, write_json, writing
from retrace.eval.manifest import COMPARED, facts, files_hash, read_manifest
from retrace.eval.mot.sequences import base_name, stopped_run
from retrace.eval.mot.submission import BENCHMARKS, DETECTORS, SETS, TRAIN, Finding, check, expected_files


@dataclass(frozen=True, slots=True)
class Submission:
    """What was written."""

    path: Path
    manifest: Path  # beside it
    files: dict[str, Path]  # name in the archive -> where it is from
    which: str  # "all" or "test"
    findings: list[Finding]  # warnings


def make_submission(
    results: str | Path,
    benchmark: str,
    out: str | Path,
    which: str = "auto",
    gt: str | Path | None = None,
    detections: str | Path | None = None,
    online: bool | None = None,
    post_processing: Sequence[str] | None = None,
) -> Submission:
    """Collect, write, check, and only then give the archive its name.

    Args:
        results: folder of ``SEQUENCE.txt``.
        benchmark: MOT17 or MOT20.
        out: the zip; ``NAME.manifest.json`` is written beside it.
        which: "all", "test", or "auto": "all" if any training sequence is there.
        gt: training sequences, to recognise a copied ground truth.
        detections: file or folder whose hash goes into the manifest.
        online, post_processing: for the manifest; None: as the run's manifest says.

    Raises:
        InputError: something is missing, cannot be written, or would be refused.
    """
    out = Path(out)
    if out.suffix != ".zip":
        raise InputError(f"`out` {out}: expected a name that ends in .zip")
    files, which = collect(Path(results), benchmark, which)
    about = describe(Path(results), benchmark, files, which, detections, online, post_processing)
    beside = out.with_suffix(".manifest.json")
    with writing(out), atomic_write(out, "wb") as file:
        write_archive(file, files)
        file.flush()
        found = check(partial_of(out), benchmark, None if gt is None else Path(gt))
        refused = [f for f in found if f.refused]
        if refused:
            where = files.get(refused[0].file, refused[0].file)
            raise InputError(f"{where}: {refused[0].text} ({len(refused)} reason(s) in all)")
    write_json(beside, about)
    return Submission(out, beside, files, which, found)


def describe(
    results: Path,
    benchmark: str,
    files: Mapping[str, Path],
    which: str,
    detections: str | Path | None = None,
    online: bool | None = None,
    post_processing: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Parameters, detections' hash, online or offline, post-processing: from the run and what is said here.

    Raises:
        InputError: detections that are not there.
    """
    run = read_manifest(results) or {}
    made = run.get("parameters") if "files" in run else run  # of an earlier archive of this folder, beside it
    about: dict[str, Any] = {"benchmark": benchmark, "set": which, "parameters": made}
    about |= dict.fromkeys(COMPARED) | facts(run)
    if detections:
        root = Path(detections)
        paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        if not paths:
            raise InputError(f"`detections` {root}: no such file, or a folder without files")
        about["detections"] = files_hash(paths)
    if online is not None:
        about["online"] = online
    if post_processing:
        about["post_processing"] = list(post_processing)
    about["files"] = {
        name: {"from": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
        for name, source in sorted(files.items())
    }
    return about


def collect(results: Path, benchmark: str, which: str = "auto") -> tuple[dict[str, Path], str]:
    """The file in ``results`` for every name of the archive, and the set it makes ("all" or "test").

    ``MOT17-02.txt`` serves for the three detectors; so does ``MOT17-02-FRCNN.txt`` if it is the only one of
    its sequence. "auto" takes "all" if any training sequence is there.

    Raises:
        InputError: another benchmark or set; no folder, a sequence is missing, or only two of three detectors are
            there.
    """
    one_of("benchmark", benchmark, BENCHMARKS)
    one_of("which", which, ("auto", *SETS))
    if not results.is_dir():
        raise InputError(f"{results}: no such folder of results")
    if which == "auto":
        train = {f"{benchmark}-{number}" for number in TRAIN[benchmark]}
        which = "all" if any(base_name(p.stem) in train for p in results.glob("*.txt")) else "test"
    names = expected_files(benchmark, which)
    found = {name: _source(results, name) for name in names}
    missing = sorted({base_name(name.removesuffix(".txt")) for name, path in found.items() if path is None})
    if missing:
        left = stopped_run(
            *(results / f"{stem}.txt" for name in names for stem in (base_name(name[:-4]), name[:-4]))
        )
        raise InputError(
            f"{results}: no result for {', '.join(missing)} (the set {which!r} has {len(names)} files){left}"
        )
    return {name: path for name, path in found.items() if path}, which


def _source(results: Path, name: str) -> Path | None:
    base = base_name(name.removesuffix(".txt"))
    one = results / f"{base}.txt"
    each = [p for d in DETECTORS if (p := results / f"{base}-{d}.txt") != one and p.is_file()]
    if each and (one.is_file() or len(each) == 2):
        have = " and ".join(p.name for p in ([one] if one.is_file() else []) + each)
        raise InputError(f"{results}: {have} are there; give all three, or one for all")
    if len(each) == len(DETECTORS):
        return results / name
    return one if one.is_file() else each[0] if each else None


def write_archive(file: IO[bytes], files: Mapping[str, Path]) -> None:
    """The zip, files in its root; the same input gives the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), source.read_bytes(), zipfile.ZIP_DEFLATED)
