"""What `does_reid_pay.py` reads and tells: sources as trials, embedders by name, tables, a plot, one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import path_for
from retrace.eval.mot.preprocess import check_benchmark, find_fault
from retrace.eval.mot.sequences import guess_benchmark
from retrace.eval.report import Cell, Section
from retrace.reid.embedder import Embedder, find_weights
from retrace.tools.scoring.reid_pay import (
    FEW,
    LOST,
    SCORE_OFF,
    SHAKEN,
    SHOWN,
    Contender,
    Gain,
    Gap,
    TrialSequence,
)
from retrace.tracker.camera.warps import FileCamera
from retrace.tracker.data import Frame
from retrace.tracker.detection.boxes_file import open_detections
from retrace.tracker.mot_file import read_ground_truth
from retrace.tracker.run.opened import open_camera
from retrace.tracker.sources import Source, open_source

NORMS = ("frame", "video")
LONGEST_GAP = 1e6  # s, or frames
REACHES = 0.8  # share of a video's frames to which ground truth and boxes go on at least, or it is told
IDENTITIES = ("AssA", "IDF1")  # of the measures those that say who is who, and nothing of who is seen
PAYS = "it pays"
COLOURS = ("#1f5fbf", "#c2571a", "#2e8b57", "#7a3fb0", "#b8860b", "#444444")


def read_gaps(text: str) -> list[Gap]:
    """Seconds (``5s``, or ``5``) and frames (``30f``), separated by commas.

    Raises:
        InputError: something else, or none above 0.

    Example:
        >>> [str(gap) for gap in read_gaps("1f,0.5,30s")]
        ['1 frame', '0.5 s', '30 s']
    """
    try:
        found = [_gap(word.strip()) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(map(_possible, found)):
        raise InputError(
            f"`gaps` {text}: expected seconds above 0 (5s) or whole frames (30f), up to {LONGEST_GAP:g}, "
            "separated by commas"
        )
    return found


def _possible(gap: Gap) -> bool:
    return 0 < gap.amount <= LONGEST_GAP and (gap.unit == "s" or gap.amount.is_integer())


def _gap(word: str) -> Gap:
    return Gap(float(word[:-1]), "f") if word.endswith("f") else Gap(float(word.removesuffix("s")))


def open_trials(
    sources: Sequence[str], gt: str | None, detections: str | None, camera: str, benchmark: str = "auto"
) -> list[TrialSequence]:
    """What to try on.

    Args:
        gt, detections: a path, ``{name}`` in it is the source's name; None: the sequence folder's own.
        camera: "none", "auto" (gmc.txt of the sequence folder, where it is), or a file of warps.

    Raises:
        InputError: something that is missing or does not fit.
    """
    opened = [open_source(each) for each in sources]
    names = [source.name for source in opened]
    if len({*names}) < len(names):
        raise InputError(f"two sources are called alike: {', '.join(names)}")
    for option, given in (("gt", gt), ("detections", detections)):
        if given is not None and len(names) > 1 and "{name}" not in given:
            raise InputError(
                f"`{option}` {given}: one file for {len(names)} sources; expected {{name}} in it"
            )
    if benchmark == "auto":
        benchmark = guess_benchmark(names)
    check_benchmark(benchmark)
    return [_trial(source, gt, detections, camera, benchmark) for source in opened]


def _trial(
    source: Source, gt: str | None, detections: str | None, camera: str, benchmark: str
) -> TrialSequence:
    if source.live:
        raise InputError(f"{source.name}: is live; what is compared must be seen twice")
    path = _own(source, gt, "gt", "gt/gt.txt")
    truth = read_ground_truth(path)
    length = source.length or int(truth.frame.max(initial=-1)) + 1
    fault = find_fault(truth, length, benchmark, is_gt=True)
    if fault:
        raise InputError(f"{path}: {fault.text}; is it of {source.name}?")
    detect = open_detections(_own(source, detections, "detections", "det/det.txt"))
    boxes = [detect(Frame(k, 0.0, None)).with_embedding(None) for k in range(length)]
    moves = open_camera(camera, source, {}) if camera not in ("none", "auto") else _own_camera(source, camera)
    if moves is not None and not isinstance(moves, FileCamera):
        raise InputError(f"`camera` {camera}: expected none, auto or a file of warps")
    return TrialSequence(source.name, source, boxes, truth, benchmark, moves)


def _own(source: Source, given: str | None, option: str, inside: str) -> Path:
    if given is None and source.folder is None:
        raise InputError(f"{source.name}: is no sequence folder, so `{option}` FILE is needed")
    path = Path(path_for(source.name, option, given)) if given else Path(source.folder or ".") / inside
    if not path.is_file():
        raise InputError(f"`{option}` {path}: no such file for {source.name}")
    return path


def _own_camera(source: Source, camera: str) -> FileCamera | None:
    has = source.folder is not None and (source.folder / "gmc.txt").is_file()
    found = open_camera("auto", source, {}) if camera == "auto" and has else None
    return found if isinstance(found, FileCamera) else None


def open_embedders(
    names: Sequence[str], device: str = "auto", uncalibrated: bool = False
) -> dict[str, Embedder]:
    """By the name that they are told of by.

    Args:
        names: weights, "auto" (the shipped ones) or WEIGHTS@frame, WEIGHTS@video: BatchNorm by these statistics.
        uncalibrated: as `Embedder.from_weights` takes it.

    Raises:
        InputError: no such weights, some that are given twice; two files of one name.
    """
    found: dict[str, Embedder] = {}
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"`reid` {name}: is given twice")
        weights, _, norm = name.rpartition("@") if name.rpartition("@")[2] in NORMS else (name, "", "stored")
        short = Path(weights).stem + (f"@{norm}" if norm != "stored" else "")
        if short in found:
            raise InputError(f"two embedders are called {short}; rename a file")
        path = find_weights(weights, norm)
        found[short] = Embedder.from_weights(path, device=device, norm=norm, uncalibrated=uncalibrated)
    return found


def early_ends(trials: Sequence[TrialSequence]) -> list[str]:
    """A line for all ground truth and all boxes that end long before their video does: they may be of another one."""
    lines = []
    for trial in trials:
        last = max((k + 1 for k, one in enumerate(trial.boxes) if len(one)), default=0)
        known = int(trial.truth.frame.max(initial=-1)) + 1
        for what, end in (("the ground truth ends", known), ("the boxes end", last)):
            if end < REACHES * len(trial.boxes):
                lines.append(f"{trial.name}: {what} at frame {end} of {len(trial.boxes)}")
    return lines


def sections(found: Sequence[Contender], notes: Sequence[str] = ()) -> list[Section]:
    """Tracking, with these notes below it, on copies of the boxes where there are some, and re-association by gap."""
    copies = [_on_copies(found)] if found[0].copies else []
    return [_tracking(found, notes), *copies, _after_gaps(found)]


def _tracking(found: Sequence[Contender], more: Sequence[str]) -> Section:
    off = found[0]
    lines: list[list[Cell]] = [["looks", *SHOWN, "embed ms", "track ms"]]
    for each in found:
        row = each.combined.row()
        lines.append([
            each.name, *(row[name] for name in SHOWN), f"{each.embed_ms:.2f}", f"{each.track_ms:.2f}"
        ])  # fmt: skip
    lines += [
        [f"{each.name} - {off.name}", *(_told(name, each.gained[name]) for name in SHOWN), "", ""]
        for each in found[1:]
    ]
    few = len(off.metrics) < FEW
    how = f"over {len(off.people)} people" if few else f"over {len(off.metrics)} sequences"
    notes = [f"In brackets: 95 % intervals, paired, {how}. Times: of this run, a frame.", *more]
    return Section("tracking", "Tracking on the same boxes", lines, notes)


def _on_copies(found: Sequence[Contender]) -> Section:
    off, count = found[0], len(found[0].copies)
    lines: list[list[Cell]] = [
        ["looks", *SHOWN, f"HOTA - {off.name}", "deviation", f"copies above {off.name}"]
    ]
    for each in found:
        means = [float(each.on_copies(name).mean()) for name in SHOWN]
        lines.append([each.name, *means[:-1], f"{means[-1]:.1f}"])  # IDSW, a mean, too
        if each is off:
            lines[-1] += ["", "", ""]
            continue
        gained = _gained_on_copies(each, off)
        lines[-1] += [f"{gained.mean():+.1f}", _deviation(gained), f"{(gained > 0).sum()} of {count}"]
    notes = [
        f"Means. A copy: {LOST:.0%} of the boxes lost, edges off by {SHAKEN:.0%} of a side, scores by {SCORE_OFF:g}.",
        "The deviation is what chance does to a clip as short as this. Vectors are of the boxes themselves.",
    ]
    copies = "1 copy" if count == 1 else f"{count} copies"
    return Section("copies", f"On {copies} of the boxes with noise", lines, notes)


def _deviation(gained: np.ndarray) -> str:
    """Of one copy it is not known."""
    return f"{gained.std(ddof=1):.1f}" if len(gained) > 1 else "n/a"


def _told(name: str, gain: Gain) -> str:
    """Points of a measure, or how many switches, with their interval."""
    if name == "IDSW":
        return f"{gain.value:+.0f} [{gain.low:+.0f}, {gain.high:+.0f}]"
    value, low, high = (100 * each for each in gain)
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _after_gaps(found: Sequence[Contender]) -> Section:
    lines: list[list[Cell]] = [
        ["looks, gap", "queries", "rank-1", "chance", "AUC", "crowded", "rank-1 crowded"]
    ]
    notes = [
        "Boxes of known people against everybody who is there a gap later. Crowded: IoU from 0.3 with another box."
    ]
    for each in found:
        for gap, one in each.gaps.items():
            told = [_known(v) for v in (one.rank1, one.chance, one.auc)]
            lines.append([f"{each.name}, {gap}", one.queries, *told, one.crowded, _known(one.rank1_crowded)])
    if any(not one.queries for each in found for one in each.gaps.values()):
        notes.append("0 queries: nobody is there again, beside others, so much later.")
    return Section("gaps", "Who is who after a gap, by looks alone", lines, notes)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def advice(found: Sequence[Contender]) -> str:
    """One sentence: whether to look, and with what, by HOTA; and one of what copies with noise say of it.

    A gain counts where its whole interval is above 0, and pays where identities do not surely fall meanwhile: HOTA
    rises with the boxes that a tracker reports, too.
    """
    _, *looking, oracle = found
    head = f"Perfect looks would be worth {100 * oracle.gained['HOTA'].value:+.1f} HOTA here"
    best = max(looking, key=lambda each: (_verdict(each) == PAYS, each.gained["HOTA"].value))
    told = f"{best.name} brings {_told('HOTA', best.gained['HOTA'])} for {best.embed_ms:.1f} ms a frame"
    return f"{head}; {told}: {_verdict(best)}." + (_chance(best, found[0]) if best.copies else "")


def _chance(each: Contender, off: Contender) -> str:
    gained = _gained_on_copies(each, off)
    return f"\nOn copies with noise, {len(gained)}, it brings {gained.mean():+.1f} (deviation {_deviation(gained)})."


def _gained_on_copies(each: Contender, off: Contender) -> np.ndarray:
    """(copies,) points of HOTA."""
    return 100 * (each.on_copies("HOTA") - off.on_copies("HOTA"))


def _verdict(each: Contender) -> str:
    hota = each.gained["HOTA"]
    identities = [(f"{name} {_told(name, each.gained[name])}", each.gained[name]) for name in IDENTITIES]
    fallen = ", ".join(told for told, gain in identities if gain.high < 0)
    risen = ", ".join(told for told, gain in identities if gain.low > 0)
    if hota.high < 0:
        return "it costs: leave it off"
    if fallen:
        return f"it costs identities, {fallen}: leave it off"
    if hota.low > 0:
        return PAYS
    if risen:
        return (
            f"no difference can be told in HOTA, but identities gain, {risen}: look if they are what you need"
        )
    return "no difference can be told: leave it off unless people return"


def as_json(found: Sequence[Contender], tables: Sequence[Section]) -> dict[str, Any]:
    """Every figure."""
    return {
        "looks": {
            each.name: {
                "sequences": {name: one.row() for name, one in each.metrics.items()},
                "combined": each.combined.row(),
                "gained": {name: gain._asdict() for name, gain in each.gained.items()},
                "embed_ms": each.embed_ms,
                "track_ms": each.track_ms,
            }
            for each in found
        },
        **{table.key: table.as_data() for table in tables},
        "advice": advice(found),
    }


def as_svg(found: Sequence[Contender]) -> str:
    """Rank-1 over the gap, its axis logarithmic, as a stand-alone picture; dotted: chance."""
    left, top, width, height = 64, 30, 480, 300
    looking = [each for each in found if each.gaps]
    ticks = sorted((one.gap, str(gap)) for gap, one in looking[0].gaps.items()) if looking else []
    low, high = (math.log(end) for end in (ticks[0][0], ticks[-1][0])) if ticks else (0.0, 0.0)

    def at(frames: int, value: float) -> str:
        x = left + width * ((math.log(frames) - low) / (high - low) if high > low else 0.5)
        return f"{x:.1f},{top + height * (1 - value):.1f}"

    shapes = []
    for k in range(0, 11, 2):
        y = top + height * (1 - k / 10)
        shapes.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>')
        shapes.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10 * k}</text>')
    end = 0.0  # of the last label in the upper line; what would run into it stands below
    for frames, label in ticks:
        x, half = float(at(frames, 0).split(",")[0]), 3.5 * len(label)
        below = x - half < end
        end = end if below else x + half
        y = top + height + (32 if below else 18)
        shapes.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{label}</text>')
    for k, each in enumerate(looking):
        points = sorted((one.gap, one.rank1, one.chance) for one in each.gaps.values() if one.queries)
        colour = COLOURS[k % len(COLOURS)]
        places = [at(frames, rank1) for frames, rank1, _ in points]
        line = " ".join(places)
        shapes.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for place in places:
            across, down = place.split(",")
            shapes.append(f'<circle cx="{across}" cy="{down}" r="3" fill="{colour}"/>')
        if k == 0:
            line = " ".join(at(frames, chance) for frames, _, chance in points)
            shapes.append(f'<polyline points="{line}" fill="none" stroke="#888" stroke-dasharray="2 3"/>')
        name = each.name.replace("&", "&amp;").replace("<", "&lt;")
        shapes.append(f'<text x="{left + width + 10}" y="{top + 14 + 18 * k}" fill="{colour}">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 200}" height="{top + height + 44}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>\n'
        '<text x="20" y="18" font-size="14">rank-1, %, among those who are there a gap later; dotted: chance</text>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )
