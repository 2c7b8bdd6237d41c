"""What `does_reid_pay.py` reads and tells: sources as trials, embedders by name, tables, a plot, one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.files import path_for
from retrace.eval.mot.preprocess import check_benchmark, find_fault
from retrace.eval.mot.sequences import guess_benchmark
from retrace.eval.report import Cell, Section
from retrace.reid.embedder import Embedder, find_weights
from retrace.tools.scoring.reid_pay import FEW, SHOWN, Contender, TrialSequence
from retrace.tracker.camera.warps import FileCamera
from retrace.tracker.data import Frame
from retrace.tracker.detection.boxes_file import open_detections
from retrace.tracker.mot_file import read_ground_truth
from retrace.tracker.run.opened import open_camera
from retrace.tracker.sources import Source, open_source

NORMS = ("frame", "video")
LONGEST_GAP = 1e6  # s
COLOURS = ("#1f5fbf", "#c2571a", "#2e8b57", "#7a3fb0", "#b8860b", "#444444")


def read_gaps(text: str) -> list[float]:
    """Seconds, separated by commas.

    Raises:
        InputError: something else, or none above 0.
    """
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < gap <= LONGEST_GAP for gap in found):
        raise InputError(
            f"`gaps` {text}: expected seconds above 0, up to {LONGEST_GAP:g}, separated by commas"
        )
    return found


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


def open_embedders(names: Sequence[str], device: str = "auto") -> dict[str, Embedder]:
    """By the name that they are told of by.

    Args:
        names: weights, "auto" (the shipped ones) or WEIGHTS@frame, WEIGHTS@video: BatchNorm by these statistics.

    Raises:
        InputError: no such weights; two of one name.
    """
    found: dict[str, Embedder] = {}
    for name in names:
        weights, _, norm = name.rpartition("@") if name.rpartition("@")[2] in NORMS else (name, "", "stored")
        short = Path(weights).stem + (f"@{norm}" if norm != "stored" else "")
        if short in found:
            raise InputError(f"two embedders are called {short}; rename a file")
        found[short] = Embedder.from_weights(find_weights(weights, norm), device=device, norm=norm)
    return found


def sections(found: Sequence[Contender], gaps: Sequence[float]) -> list[Section]:
    """Tracking, and re-association by gap."""
    off = found[0]
    head: list[Cell] = ["looks", *SHOWN, "IDSW", "HOTA gained", "95 %", "embed ms", "track ms"]
    lines: list[list[Cell]] = [head]
    for each in found:
        row = each.combined.row()
        value, low, high = each.gain(off)
        gained = (
            ["", ""] if each is off else [f"{100 * value:+.2f}", f"{100 * low:+.2f} to {100 * high:+.2f}"]
        )
        times = [f"{each.embed_ms:.2f}", f"{each.track_ms:.2f}"]
        lines.append([each.name, *(float(row[name]) for name in SHOWN), int(row["IDSW"]), *gained, *times])
    few = len(off.metrics) < FEW
    how = f"over {len(off.people)} people" if few else f"over {len(off.metrics)} sequences"
    tracking = Section(
        "tracking", "Tracking on the same boxes", lines, [f"Intervals: {how}. Times: of this run, a frame."]
    )
    table: list[list[Cell]] = [
        ["looks, gap", "queries", "rank-1", "chance", "AUC", "crowded", "rank-1 crowded"]
    ]
    for each in found:
        for gap in gaps:
            if (one := each.gaps.get(gap)) and one.queries:
                told = [_known(v) for v in (one.rank1, one.chance, one.auc)]
                table.append(
                    [f"{each.name}, {gap:g} s", one.queries, *told, one.crowded, _known(one.rank1_crowded)]
                )
    notes = [
        "Boxes of known people against everybody who is there a gap later. Crowded: IoU from 0.3 with another box."
    ]
    return [tracking, Section("gaps", "Who is who after a gap, by looks alone", table, notes)]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def advice(found: Sequence[Contender]) -> str:
    """One sentence: whether to look, and with what. A gain counts where its whole interval is above 0."""
    off, *looking, oracle = found
    room = 100 * oracle.gain(off)[0]
    head = f"Perfect looks would be worth {room:+.1f} HOTA here"
    best = max(looking, key=lambda each: each.combined.row()["HOTA"])
    value, low, high = (100 * v for v in best.gain(off))
    told = f"{best.name} brings {value:+.1f} [{low:+.1f}, {high:+.1f}] for {best.embed_ms:.1f} ms a frame"
    verdict = "no difference can be told: leave it off unless people return"
    if low > 0:
        verdict = "it pays"
    elif high < 0:
        verdict = "it costs: leave it off"
    return f"{head}; {told}: {verdict}."


def as_json(found: Sequence[Contender], tables: Sequence[Section]) -> dict[str, Any]:
    """Every figure."""
    return {
        "looks": {
            each.name: {
                "sequences": {name: one.row() for name, one in each.metrics.items()},
                "combined": each.combined.row(),
                "embed_ms": each.embed_ms,
                "track_ms": each.track_ms,
            }
            for each in found
        },
        **{table.key: table.as_data() for table in tables},
        "advice": advice(found),
    }


def as_svg(found: Sequence[Contender], gaps: Sequence[float]) -> str:
    """Rank-1 over the gap, its axis logarithmic, as a stand-alone picture; dotted: chance."""
    left, top, width, height = 64, 30, 480, 300
    low, high = math.log(min(gaps)), math.log(max(gaps))

    def at(gap: float, value: float) -> str:
        x = left + width * ((math.log(gap) - low) / (high - low) if high > low else 0.5)
        return f"{x:.1f},{top + height * (1 - value):.1f}"

    shapes = []
    for k in range(0, 11, 2):
        y = top + height * (1 - k / 10)
        shapes.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>')
        shapes.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10 * k}</text>')
    for gap in gaps:
        x = at(gap, 0).split(",")[0]
        shapes.append(f'<text x="{x}" y="{top + height + 18}" text-anchor="middle">{gap:g}</text>')
    looking = [each for each in found if each.gaps]
    for k, each in enumerate(looking):
        points = [(gap, one) for gap, one in each.gaps.items() if one.queries]
        colour = COLOURS[k % len(COLOURS)]
        line = " ".join(at(gap, one.rank1) for gap, one in points)
        shapes.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if k == 0:
            line = " ".join(at(gap, one.chance) for gap, one in points)
            shapes.append(f'<polyline points="{line}" fill="none" stroke="#888" stroke-dasharray="2 3"/>')
        name = each.name.replace("&", "&amp;").replace("<", "&lt;")
        shapes.append(f'<text x="{left + width + 10}" y="{top + 14 + 18 * k}" fill="{colour}">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 200}" height="{top + height + 44}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>\n'
        '<text x="20" y="18" font-size="14">rank-1, %, among those who are there so many seconds later</text>\n'
        + "\n".join(shapes)
        + f'\n<text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle">gap, s</text>\n</svg>\n'
    )
