"""Whatever is in a file that a run has left, reading it ends soon with a result or with one line.

Some seeded cases of each kind here, thousands with ``-m long``. Videos, images, boxes and MOT text are damaged in
tests/tracker/test_damaged_files.py, weights and data sets in tests/reid/test_fuzz.py, arguments in test_odd.py.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrace.configs import InputError, load_preset
from retrace.configs.loader import parse_assignments
from retrace.eval.manifest import read_manifest
from retrace.eval.mot.submission import check
from retrace.eval.ranking.features import read_features
from retrace.tools.runs.answers import results_of
from retrace.tools.tuning.space import load_space
from retrace.tools.viewing.run_folder import RunFolder, Runs
from retrace.tracker.analytics.regions import read_regions
from retrace.tracker.config import TrackerConfig
from retrace.tracker.ledger.by_identity import read_history
from retrace.tracker.ledger.explain import tell_frame
from retrace.tracker.ledger.file import LedgerFile
from retrace.tracker.ledger.switches_in_words import likely_switches
from retrace.tracker.memory.store import Store
from retrace.tracker.offline.edits import read_edits
from retrace.tracker.offline.files import read_looks
from retrace.tracker.run import Job, checkpoint, open_job, track_source
from retrace.tracker.run.checkpoint import Checkpoint, RunState
from retrace.tracker.run.manifest import earlier_records
from tests.damage import assert_one_line, damaged, damaged_text, survive
from tests.small_video import make_video, write_boxes

BASE = load_preset("sort", TrackerConfig, "tracker")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Bytes = dict[str, bytes]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves, whole and stopped in the middle."""
    folder = tmp_path_factory.mktemp("left")
    video, det = make_video(folder / "v.mp4", length=12), write_boxes(folder / "det.txt", 12)
    job = Job(video, folder / "whole", detections=str(det), save=("ledger", "jsonl"))
    told = track_source(job)
    about = {"arguments": [str(video)], "online": True, "sequences": {"v": told.record}}
    (folder / "whole" / "run.json").write_text(json.dumps(about))
    opened = open_job(Job(video, folder / "stopped", detections=str(det)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "EVERY", 0.0)
        patch.setattr(Checkpoint, "forget", lambda self: None)
        track_source(opened.job)
    return folder


def run_files(left: Path) -> Bytes:
    return {"run.json": (left / "whole" / "run.json").read_bytes()}


def read_run(path: Path) -> None:
    """By everybody who reads one; they must all bear it, whatever the first says."""
    refused = []
    for read in (
        lambda: [(place.fps, place.size, place.frames) for place in RunFolder(path.parent).places.values()],
        lambda: Runs([path.parent]).listed(),
        lambda: results_of(path.parent, None),
        lambda: read_manifest(path.parent),
    ):
        try:
            read()
        except InputError as error:
            refused.append(error)
    now = {"online": True, "post_processing": [], "tracker": {}, "appearance": "off"}
    try:
        earlier_records(path.parent, {"other"}, now)
    except InputError as error:
        refused.append(error)
    if refused:
        raise refused[0]


def ledgers(left: Path) -> Bytes:
    return {"v.ledger.jsonl": (left / "whole" / "v.ledger.jsonl").read_bytes()}


def read_ledger(path: Path) -> None:
    history = read_history(LedgerFile(path))
    tell_frame(history, 3, 1)
    likely_switches(history)


def edit_files(left: Path) -> Bytes:
    lines = [
        '{"op": "merge", "a": 1, "b": 2}',
        '{"op": "name", "id": 1, "name": "x"}',
        '{"op": "delete", "id": 2}',
    ]
    return {"v.edits.jsonl": ("\n".join(lines) + "\n").encode()}


def checkpoints(left: Path) -> Bytes:
    return {"v.checkpoint.npz": (left / "stopped" / "v.checkpoint.npz").read_bytes()}


def read_checkpoint(path: Path) -> None:
    from retrace.tracker import Tracker

    state = RunState(Tracker.from_config("default", 10))
    Checkpoint(path, {}).restore(state)  # made for another run: at the latest that is refused


def looks_files(left: Path) -> Bytes:
    file = io.BytesIO()
    np.savez(file, id=np.arange(1, 4), total=np.eye(3, 8), count=np.full(3, 5))
    return {"v.looks.npz": file.getvalue()}


def features_files(left: Path) -> Bytes:
    file = io.BytesIO()
    arrays: dict[str, np.ndarray] = {}
    for side in ("query", "gallery"):
        arrays |= {
            f"{side}_features": np.eye(4, 8),
            f"{side}_ids": np.arange(4),
            f"{side}_cameras": np.arange(4),
        }
    np.savez(file, **arrays)
    return {"a.npz": file.getvalue()}


def presets(left: Path) -> Bytes:
    text = "high: 0.5\nmax_age: 2\nstages:\n- {tracks: [active], detections: high, cost: iou, limit: 0.7}\n"
    return {"a.yaml": text.encode()}


def regions(left: Path) -> Bytes:
    line, zone = "{name: a, points: [[0, 0], [9, 9]]}", "{name: b, points: [[0, 0], [9, 0], [9, 9]]}"
    return {"a.yaml": f"lines: [{line}]\nzones: [{zone}]\n".encode()}


def spaces(left: Path) -> Bytes:
    return {"a.yaml": b"high: {low: 0.3, high: 0.6}\nmax_age: {low: 0.5, high: 3, log: true}\n"}


def zips(left: Path) -> Bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in (1, 3, 6, 7, 8, 12, 14):
            for detector in ("DPM", "FRCNN", "SDP"):
                archive.writestr(f"MOT17-{number:02}-{detector}.txt", "1,1,10,20,30,40,1,-1,-1,-1\n" * 20)
    return {"a.zip": file.getvalue()}


def read_zip(path: Path) -> None:
    if any(finding.refused for finding in check(path)):
        raise InputError("refused")


def memories(left: Path) -> Bytes:
    path = left / "people.db"
    if not path.exists():
        Store(path, "weights", 4).close()
    return {"a.db": path.read_bytes()}


def read_memory(path: Path) -> None:
    from retrace.tools.runs.memories import log_lines, people_lines

    store = Store(path, readonly=True)
    people_lines(store)
    log_lines(store)
    store.close()


KINDS: dict[
    str, tuple[Callable[[Path], Bytes], Callable[[Path], object], Callable[[random.Random, bytes], bytes]]
] = {
    "run.json": (run_files, read_run, damaged_text),
    "ledger": (ledgers, read_ledger, damaged_text),
    "edits": (edit_files, read_edits, damaged_text),
    "tracking checkpoint": (checkpoints, read_checkpoint, damaged),
    "looks": (looks_files, read_looks, damaged),
    "features": (features_files, read_features, damaged),
    "preset": (presets, lambda path: load_preset(path, TrackerConfig, "tracker"), damaged_text),
    "regions": (regions, read_regions, damaged_text),
    "space": (spaces, lambda path: load_space(path, BASE), damaged_text),
    "zip": (zips, read_zip, damaged),
    "memory": (memories, read_memory, damaged),
}


@pytest.mark.parametrize("kind", KINDS)
def test_some_damaged_files(left: Path, tmp_path: Path, kind: str) -> None:
    make, read, damage = KINDS[kind]
    survive(tmp_path, make(left), read, range(40), damage)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_files(left: Path, tmp_path: Path, kind: str) -> None:
    make, read, damage = KINDS[kind]
    survive(tmp_path, make(left), read, range(1000, 4000), damage)


@given(JSON)
@QUICK
def test_any_json_as_a_run(left: Path, tmp_path: Path, value: Any) -> None:
    """Also in the places of a right one: no traceback by anybody who reads it."""
    whole = json.loads((left / "whole" / "run.json").read_text())
    record = whole["sequences"]["v"]
    (tmp_path / "v.txt").write_text("1,1,10,20,30,40,1,-1,-1,-1\n")
    cases = [
        value,
        whole | {"sequences": value},
        whole | {"sequences": {"v": value}},
        whole | {"arguments": value},
    ]
    cases += [
        whole | {"sequences": {"v": record | {key: value}}} for key in ("fps", "size", "frames", "complete")
    ]
    for told in cases:
        (tmp_path / "run.json").write_text(json.dumps(told))
        try:
            read_run(tmp_path / "run.json")
        except InputError as error:
            assert_one_line(error)


@given(st.lists(st.text(max_size=30), max_size=3), st.text(max_size=40))
@QUICK
def test_anything_after_set(words: list[str], value: str) -> None:
    for pair in (*words, f"high={value}", f"stages.0.limit={value}", f"{value}=1", f"stages.{value}.limit=1"):
        try:
            load_preset("bytetrack", TrackerConfig, "tracker", parse_assignments([pair]))
        except InputError as error:
            assert_one_line(error)
