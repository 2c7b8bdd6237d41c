"""run.json: how the results beside it were made, so that unlike ones are not compared unawares."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError
from retrace.configs.errors import expect
from retrace.configs.files import locked, write_json
from retrace.configs.reading import read_json
from retrace.configs.versions import commit, versions
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results
from retrace.tracker.run.opened import OpenedJob
from retrace.tracker.run.report import SourceReport
from retrace.tracker.sources import Source
from retrace.tracker.sources.address import without_secrets

if TYPE_CHECKING:
    from retrace.tracker.offline.passes import OfflineConfig

# What all sources of one run share; a record of an earlier run keeps what was otherwise then.
SHARED = ("arguments", "commit", "versions", "tracker", "appearance")
OUTSIDE = 0.5  # share of boxes beside the picture, from which they are another video's
KIND = ("online", "post_processing")  # results of two kinds are not kept in one folder


def write_run(
    out: str | Path, reports: Iterable[SourceReport], *, arguments: Sequence[str] | None = None
) -> Path:
    """``run.json`` for what :func:`track_source` has left in a folder: then that is a run as ``tools/track.py`` leaves
    it, for ``retrace view``, ``count.py`` and everybody who compares results.

    Args:
        out: the jobs' folder.
        reports: of its sources, together. Records of other sources whose results lie there already are kept.
        arguments: what the user typed, to be told in it without secrets; None: the sources, so that the page of the
            run finds their pictures.

    Returns:
        The file.

    Raises:
        InputError: a report's result is not there, results were improved offline in different ways, or another run
            writes into the folder.

    Example:
        >>> from retrace import Job, track_source
        >>> from retrace.tracker.run import write_run
        >>> report = track_source(Job("video.mp4", "runs/python", detections="boxes.txt", reid="none"))
        >>> write_run("runs/python", [report]).as_posix()
        'runs/python/run.json'
    """
    expect("out", out, (str, Path), "a folder")
    out, reports = Path(out), list(reports)
    if not reports:
        raise InputError("`reports` is empty: expected those of the sources that were tracked into `out`")
    for one in reports:
        expect("reports", one, SourceReport, "what track_source returned")
        if not one.shared:
            raise InputError(f"`reports`: {one.name} is of no run; hand in what track_source returned")
        if not one.stopped and not (out / f"{one.name}.txt").is_file():
            raise InputError(f"`out` {out}: holds no {one.name}.txt; name the folder of the report's job")
    shared, records = reports[0].shared, {}
    for one in reports:
        if any(one.shared[key] != shared[key] for key in KIND):
            raise InputError(
                f"`reports`: {one.name} was improved offline otherwise than {reports[0].name}; give each its own folder"
            )
        own = {key: one.shared[key] for key in SHARED if one.shared.get(key) != shared.get(key)}
        records[one.name] = one.record | ({"made_with": own} if own else {})
    words = [one.source for one in reports] if arguments is None else arguments
    hashes = {path: value for one in reports for path, value in one.hashes.items()}
    with locked(out / "run.lock", f"tracks into {out}"):
        told = manifest(shared, words, hashes, earlier_records(out, {*records}, shared) | records)
        write_json(out / "run.json", told)
    return out / "run.json"


def manifest(
    shared: Mapping[str, Any],
    arguments: Sequence[str],
    hashes: Mapping[str, str],
    records: Mapping[str, Any],
    failed: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What DIR/run.json says of a run.

    Args:
        shared: what its jobs have in common, :attr:`OpenedJob.shared`.
        arguments: what the user typed.
        hashes: sha256 of the weights and files that were read.
        records: of what is done, by name.
        failed: sources that could not be tracked, and why.
    """
    return {
        "arguments": without_secrets(arguments),
        "commit": commit(),
        "versions": versions(),
        **shared,
        "sha256": dict(hashes),
        "sequences": dict(records),
        **({"failed": dict(failed)} if failed else {}),
    }


def earlier_records(
    out: Path, names: Collection[str], shared: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """What the run.json that lies in the output folder says of each sequence whose result is there. Whatever was
    made with something else than this run tells so itself from now on, as ``"made_with"``.

    Args:
        out: the folder.
        names: of this run's sources.
        shared: what this run's jobs have in common.

    Raises:
        InputError: results of other sources are there that were improved offline in another way.
    """
    try:
        before = read_json(out / "run.json")
    except InputError:
        return {}
    now = {"arguments": [], "commit": commit(), "versions": versions(), **shared}
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


def growing(folder: Path) -> list[str]:
    """The sequences of which a text grows there, by name: a run is at work, was stopped, or was killed."""
    return sorted(path.name.removesuffix(".txt.partial") for path in folder.glob("*.txt.partial"))


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


def results_of(source: Source, results: Path) -> MotTable:
    """A tracker's results, where nothing says that they are of another video.

    Raises:
        InputError: they cannot be read, are of pictures of another size by the run.json beside them, or most of the
            boxes lie beside the pictures.
    """
    table = read_results(results)
    record = records_of(results.parent).get(results.stem.removesuffix(".online"))
    made = size_of(record) if isinstance(record, dict) else None
    if source.size is None:
        return table
    height, width = source.size
    have = f"the pictures of {source.name}, which have {width} x {height} px: give the results of this video"
    if made is not None and made != source.size:
        raise InputError(f"{results}: its run.json says {made[1]} x {made[0]} px, unlike {have}")
    x, y = (table.xyxy[:, :2] + table.xyxy[:, 2:]).T / 2
    outside = (x < 0) | (y < 0) | (x > width) | (y > height)
    if outside.sum() > OUTSIDE * len(table):
        raise InputError(f"{results}: {100 * outside.mean():.0f} % of its boxes lie outside of {have}")
    return table


def expect_to_reach(source: Source, read: int, results: Path, frames: int) -> None:
    """Raises InputError where results go on to frame number ``frames`` and their video has ended before."""
    if read < frames:
        raise InputError(
            f"{results}: goes on to frame {frames}, but {source.name} ends at {read}: give the results of this video"
        )


def marked(run: Mapping[str, Any], config: OfflineConfig) -> dict[str, Any]:
    """A run's manifest for its results after the passes; --resume of that run will not take them for its own."""
    before = run.get("post_processing") or []
    history = [*(before if isinstance(before, list) else [before]), *config.describe()]
    records = run.get("sequences")
    if isinstance(records, dict):
        run = {**run, "sequences": {n: {**r, "settings_sha256": None} for n, r in records.items()}}
    return {**run, "online": False, "post_processing": history}
