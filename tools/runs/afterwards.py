"""Results of a folder, worked on afterwards, into another one. All is done before anything is written, and the manifest
is written first: no result goes unmarked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.files import write_json
from retrace.configs.versions import commit
from retrace.eval.manifest import read_manifest
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import write_results
from retrace.tracker.offline.files import Improved, improve_folder
from retrace.tracker.offline.passes import OfflineConfig
from retrace.tracker.run.manifest import marked
from retrace.tracker.site import SiteConfig
from retrace.tracker.site.files import Linked, link_folder
from retrace.tracker.site.ground import write_ground
from retrace.tracker.sources.address import without_secrets


def improve_into(
    out: Path, results: Path, config: OfflineConfig, arguments: Sequence[str], **how: Any
) -> dict[str, Improved]:
    """OUT/SEQUENCE.txt after the passes, and OUT/run.json, which says so.

    Args:
        out: another folder than ``results``.
        results: folder of SEQUENCE.txt.
        config: the passes.
        arguments: what was asked for, for run.json.
        how: ``fps``, ``sequences`` and ``vectors`` of :func:`retrace.tracker.offline.files.improve_folder`.

    Returns:
        what became of each sequence.

    Raises:
        InputError: as there; ``out`` is ``results``, or cannot be written.
    """
    _check_other(out, results)
    run = read_manifest(results) or {}
    done = improve_folder(results, config, run, **how)
    about = {
        "arguments": without_secrets(arguments),
        "commit": commit(),
        "fps": {n: one.fps for n, one in done.items()},
    }
    about["looks"] = {name: one.known for name, one in done.items()}
    write_json(out / "run.json", marked(run, config) | {"offline": about})
    _write(out, {name: one.table for name, one in done.items()})
    return done


def link_into(out: Path, results: Path, config: SiteConfig, arguments: Sequence[str], **how: Any) -> Linked:
    """OUT/CAMERA.txt with the ids of people, OUT/ground.yaml, and OUT/run.json, which says so.

    Args:
        out: another folder than ``results``.
        results: folder of CAMERA.txt.
        config: of the site.
        arguments: what was asked for, for run.json.
        how: ``cameras``, ``homography``, ``learn_frames`` and ``sequences`` of
            :func:`retrace.tracker.site.files.link_folder`.

    Raises:
        InputError: as there; ``out`` is ``results``, or cannot be written.
    """
    _check_other(out, results)
    linked = link_folder(results, config, **how)
    run = read_manifest(results) or {}
    done = {"pass": "link_cameras", "learned": linked.learned, **config.model_dump()}
    before = run.get("post_processing") or []
    history = [*(before if isinstance(before, list) else [before]), done]
    marks = {"online": False, "post_processing": history}
    about = {"arguments": without_secrets(arguments), "commit": commit()}
    write_json(out / "run.json", run | marks | {"linked": about})
    write_ground(out / "ground.yaml", linked.ground)
    _write(out, linked.tables)
    return linked


def _check_other(out: Path, results: Path) -> None:
    if out.resolve() == results.resolve():
        raise InputError(f"`out` {out}: is `results` itself; name another folder")


def _write(out: Path, tables: Mapping[str, MotTable]) -> None:
    for name, table in tables.items():
        write_results(out / f"{name}.txt", table)
