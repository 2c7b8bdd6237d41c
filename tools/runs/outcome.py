"""What became of a source, told on the screen and in run.json."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrace.tools.runs.manifest import commit, versions
from retrace.tools.runs.plan import Plan
from retrace.tools.terminal.console import say
from retrace.tracker.camera.warps import shares
from retrace.tracker.sources import Source


@dataclass(slots=True)
class Outcome:
    """What became of one source."""

    index: int  # of the source in the plan
    name: str
    frames: int = 0  # in the result
    new: int = 0  # of them, tracked by this process
    unreadable: list[int] = field(default_factory=list)  # numbers of frames that could not be read
    dropped: int = 0  # boxes of no size
    tracks: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)  # s
    files: list[Path] = field(default_factory=list)
    detections: str = ""  # sha256 over all frames' detections
    stopped: bool = False
    notes: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)  # what run.json says of it


def settings_hash(plan: Plan, i: int) -> str:
    """What a finished source of a stopped run must have been made with, to be left alone."""
    return hashlib.sha256(json.dumps(plan.fingerprint(i), sort_keys=True).encode()).hexdigest()


def tell(plan: Plan, source: Source, outcome: Outcome) -> None:
    """The summary line, what went wrong on the way, and the files."""
    for warning in source.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    last = plan.detectors[outcome.index].last_frame
    if source.length and last is not None and last >= source.length:
        text = f"the detections go up to frame {last + 1}, {source.name} has {source.length}: are they of this one?"
        print(f"warning: {text}", file=sys.stderr)
    if outcome.unreadable:
        outcome.notes.append(
            f"unreadable frames skipped: {len(outcome.unreadable)}, first {outcome.unreadable[0]}"
        )
    if outcome.dropped:
        outcome.notes.append(f"boxes of no size dropped: {outcome.dropped}")
    if source.reconnects or source.dropped:
        outcome.notes.append(f"{source.reconnects} reconnects, {source.dropped} stale frames dropped")
    if outcome.stopped:
        outcome.notes.append(
            f"stopped: {plan.out}/{source.name}.*.partial is what there is; --resume goes on"
        )
    if plan.quiet:
        return
    rate = outcome.new / outcome.seconds if outcome.seconds else 0.0
    stages = ("decode", "detect", "embed", "camera", "track", "draw", "encode")
    by_stage = ", ".join(
        f"{name} {outcome.new / outcome.stages[name]:.0f}" for name in stages if outcome.stages.get(name)
    )
    say(
        f"{outcome.name}: {outcome.frames} frames, {outcome.tracks} tracks, {rate:.1f} frames/s "
        f"(frames/s by stage: {by_stage})"
    )
    for note in outcome.notes:
        say(f"  {note}")
    for path in outcome.files:
        say(f"  {path}")


def record_of(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """What run.json says of one sequence."""
    i, source = outcome.index, plan.sources[outcome.index]
    camera = plan.cameras[i]
    return {
        "frames": outcome.frames,
        "fps": source.fps,
        "size": source.size,
        "tracks": outcome.tracks,
        "complete": not outcome.stopped,
        "detector": plan.detectors[i].description,
        "camera": plan.camera_note(i),
        "camera_frames": shares(camera) if camera else None,
        "detections_sha256": outcome.detections,
        "settings_sha256": settings_hash(plan, i),
        "unreadable_frames": len(outcome.unreadable),
        "boxes_of_no_size": outcome.dropped,
        "warnings": source.warnings,
        "seconds": round(outcome.seconds, 3),
        "seconds_by_stage": {name: round(value, 4) for name, value in outcome.stages.items()},
    }


def manifest(plan: Plan, outcomes: list[Outcome]) -> dict[str, Any]:
    """What DIR/run.json says."""
    return {
        "arguments": plan.arguments,
        "commit": commit(),
        "versions": versions(),
        "seed": None,  # nothing in a run is random
        "online": plan.offline is None,
        "post_processing": plan.post_processing,
        "tracker": plan.trackers[0].config.model_dump(mode="json"),
        "appearance": plan.appearance,
        "sha256": plan.hashes,
        "sequences": {outcome.name: outcome.record for outcome in outcomes},
    }
