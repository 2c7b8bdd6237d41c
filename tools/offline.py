"""Improve tracking results afterwards, over the whole sequence: link, reconnect, interpolate, smooth, remove short.

    python tools/offline.py --results runs/track --out runs/offline
    python tools/offline.py --results theirs --sequences MOT17/train --out better --passes interpolate

Takes any tracker's SEQUENCE.txt in MOTChallenge format. OUT/run.json says that the results are offline and what was
done, so that they are not compared with online ones unawares. MOT files have no classes: several are not kept apart.
Reconnecting needs to know what people look like: from SEQUENCE.looks.npz beside the result (tools/track.py --save
looks), or from --vectors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal.console import OK, Parser, guarded, say, write_json

if TYPE_CHECKING:
    from retrace.tracker.offline.passes import OfflineConfig
    from retrace.tracker.offline.reconnect import Looks

LOOKS = ".looks.npz"  # NAME.looks.npz of tools/track.py --save looks: id (K,), total (K, D), count (K,)
SAME_BOX = 0.5  # intersection over union from which a detection is what a result's box was made of
BESIDE = (".online.txt", ".gmc.txt")  # what tools/track.py writes beside a result


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="offline.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--results", required=True, metavar="DIR", help="folder of SEQUENCE.txt")
    p.add_argument("--out", required=True, metavar="DIR", help="another folder")
    p.add_argument(
        "--passes",
        default="default",
        metavar="LIST|FILE",
        help="of link,reconnect,interpolate,smooth,remove_short, in the order to run them; or a YAML file like "
        "configs/offline/default.yaml, which is the default",
    )
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="interpolate.gap=2, for instance"
    )
    p.add_argument(
        "--sequences", metavar="DIR", help="frame rates from DIR/SEQUENCE/seqinfo.ini, e.g. ground truth"
    )
    p.add_argument(
        "--fps", type=float, help="frame rate of all; default: seqinfo.ini, or run.json in --results"
    )
    p.add_argument(
        "--vectors",
        metavar="FILE",
        help="what people look like: .npz of detections with embedding, as tools/track.py --detections takes them; "
        "{sequence} stands for the name; each box of a result takes the vector of the detection it overlaps most",
    )
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    from retrace.configs import InputError
    from retrace.configs.loader import parse_assignments
    from retrace.eval.manifest import read_manifest
    from retrace.tools.runs.manifest import commit

    config = read_config(args.passes, parse_assignments(args.set))
    results, out = Path(args.results), Path(args.out)
    if out.resolve() == results.resolve():
        raise InputError(f"--out {args.out}: is --results itself; name another folder")
    paths = sorted(p for p in results.glob("*.txt") if not p.name.endswith(BESIDE))
    if not paths:
        raise InputError(f"--results {args.results}: no SEQUENCE.txt there")
    run = read_manifest(results) or {}
    rates = {path.stem: frame_rate(args, path.stem, run) for path in paths}
    looks = {path: find_looks(args, path, run, config) for path in paths}
    edges = config.reconnect.edge is not None
    sizes = {path: picture(args, path.stem, run) if edges and looks[path] else None for path in paths}
    done = {path: improved(path, rates[path.stem], config, looks[path], sizes[path]) for path in paths}
    known = {path.stem: len(found or ()) for path, found in looks.items()}  # ids that reconnect could compare
    about = {"arguments": argv, "commit": commit(), "fps": rates, "looks": known}
    # Everything is done before anything is written, and the manifest is written first: no result goes unmarked.
    write_json(out / "run.json", marked(run, config) | {"offline": about})
    for path, (table, note) in done.items():
        write(out / path.name, table)
        if not args.quiet:
            say(f"{out / path.name}: {note}")
    return OK


def read_config(given: str, overrides: Mapping[str, Any]) -> OfflineConfig:
    """The default, a YAML file, or the default with other passes: names separated by commas.

    Raises:
        InputError: no such file or pass, an unknown key, a value out of range.
    """
    from retrace.configs import load_preset
    from retrace.tracker.offline.passes import OfflineConfig

    if given == "default" or given.lower().endswith((".yaml", ".yml")):
        return load_preset(given, OfflineConfig, "offline", overrides)
    passes = [name.strip() for name in given.split(",")]
    return load_preset("default", OfflineConfig, "offline", {**overrides, "passes": passes})


def marked(run: Mapping[str, Any], config: OfflineConfig) -> dict[str, Any]:
    """A run's manifest for its results after the passes; --resume of that run will not take them for its own."""
    before = run.get("post_processing") or []
    history = [*(before if isinstance(before, list) else [before]), *config.describe()]
    records = run.get("sequences")
    if isinstance(records, dict):
        run = {**run, "sequences": {n: {**r, "settings_sha256": None} for n, r in records.items()}}
    return {**run, "online": False, "post_processing": history}


def frame_rate(args: argparse.Namespace, name: str, run: Mapping[str, Any]) -> float:
    """Frames a second of one sequence: as said, of its seqinfo.ini, or of the run that tracked it."""
    from retrace.configs import InputError
    from retrace.tracker.mot_file import read_sequence_info

    if args.fps is not None:
        return float(args.fps)
    if args.sequences is not None:
        return read_sequence_info(Path(args.sequences) / name).fps
    try:
        return float(run["sequences"][name]["fps"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{name}: frame rate unknown, and durations are seconds; give --sequences DIR or --fps F"
        ) from None


def picture(args: argparse.Namespace, name: str, run: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) px of one sequence's picture, of its seqinfo.ini or of the run that tracked it."""
    from retrace.configs import InputError
    from retrace.tracker.mot_file import read_sequence_info

    if args.sequences is not None:
        info = read_sequence_info(Path(args.sequences) / name)
        return info.height, info.width
    try:
        height, width = run["sequences"][name]["size"]
        return int(height), int(width)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{name}: size of the picture unknown, and reconnect must see who leaves it; "
            "give --sequences DIR, or --passes without reconnect"
        ) from None


def find_looks(
    args: argparse.Namespace, path: Path, run: Mapping[str, Any], config: OfflineConfig
) -> Looks | None:
    """What the ids of a result look like; None: nobody knows, or needs to.

    A run's own file is of the ids that it gave online, so it is not taken for results that were joined since.
    """
    from retrace.configs import InputError

    if "reconnect" not in config.passes:
        if args.vectors is not None:
            raise InputError("--vectors is for the pass reconnect, which --passes leaves out")
        return None
    if args.vectors is not None:
        return looks_by_overlap(path, Path(args.vectors.replace("{sequence}", path.stem)))
    own = path.with_name(path.stem + LOOKS)
    return read_looks(own) if own.is_file() and run.get("online") is not False else None


def looks_by_overlap(result: Path, vectors: Path) -> Looks:
    """The looks of a result's ids, from the detections (.npz with embedding) that its boxes overlap most.

    Raises:
        InputError: no such file, not one of detections, or one without vectors.
    """
    import numpy as np

    from retrace.configs import InputError
    from retrace.tracker.boxes import iou_matrix
    from retrace.tracker.data import Frame
    from retrace.tracker.detection.boxes_file import open_detections
    from retrace.tracker.mot_file import read_results
    from retrace.tracker.offline.reconnect import Looks

    rows, detector = read_results(result), open_detections(vectors)
    ids, found = [np.zeros(0, np.int64)], [np.zeros((0, 0), np.float32)]
    for number in np.unique(rows.frame).tolist():
        here = rows.take(slice(*np.searchsorted(rows.frame, (number, number + 1))))
        boxes = detector(Frame(number, 0.0, None))
        if boxes.embedding is None:
            raise InputError(f"--vectors {vectors}: has no array 'embedding'")
        if not len(boxes):
            continue
        overlap = iou_matrix(here.xyxy, boxes.xyxy)
        same = overlap.max(1) >= SAME_BOX
        ids.append(here.id[same])
        found.append(boxes.embedding[overlap.argmax(1)[same]])
    return Looks.of(np.concatenate(ids), np.concatenate(found[1:] or found))


def read_looks(path: Path) -> Looks:
    """What :func:`write_looks` wrote.

    Raises:
        InputError: another kind of file.
    """
    import zipfile

    import numpy as np

    from retrace.configs import InputError
    from retrace.tracker.offline.reconnect import Looks

    try:
        with np.load(path, allow_pickle=False) as file:
            looks = Looks(file["id"], file["total"], file["count"])
        sound = looks.total.ndim == 2 and looks.id.shape == looks.count.shape == looks.total.shape[:1]
        sound &= looks.id.dtype.kind == looks.count.dtype.kind == "i" and looks.total.dtype.kind == "f"
        if (
            sound
            and (looks.count > 0).all()
            and np.isfinite(looks.total).all()
            and (np.diff(looks.id) > 0).all()
        ):
            return looks
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        pass
    raise InputError(f"{path}: expected id, total and count as tools/track.py --save looks writes; delete it")


def write_looks(path: Path, looks: Looks) -> Path:
    import numpy as np

    from retrace.configs.files import atomic_write, writing

    with writing(path), atomic_write(path, "wb") as file:
        np.savez(file, id=looks.id, total=looks.total, count=looks.count)
    return path


def improved(
    path: Path,
    fps: float,
    config: OfflineConfig,
    looks: Looks | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[Any, str]:
    """The table of a result file after the passes (:func:`tracker.offline.improve`), and in words what they did."""
    from retrace.configs import InputError
    from retrace.tracker.mot_file import read_results
    from retrace.tracker.offline.passes import improve

    before = read_results(path)
    try:
        after = improve(before, fps, config, looks, size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    ids = [len(set(table.id.tolist())) for table in (before, after)]
    blind = "reconnect" in config.passes and not looks
    note = f"{len(before)} -> {len(after)} boxes, {ids[0]} -> {ids[1]} tracks"
    return after, note + ("; nobody's looks are known, so nobody reconnected" if blind else "")


def write(path: Path, table: Any) -> None:
    from retrace.configs.files import writing
    from retrace.tracker.mot_file import write_results

    with writing(path):
        write_results(path, table)


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
