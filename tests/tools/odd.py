"""Odd arguments for every tool, the same for the same seed; ``python -m tests.tools.odd 0:500`` tries many.

Each tool has a call that is nearly right, and what is odd is put into it: a value that no number, name, file or place
can be, in place of an argument or for an option, options that the call did not have, words too many or too few.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import random
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from retrace.tools.runs.memories import weights_name
from retrace.tools.terminal.console import guarded
from retrace.tracker.memory import Memory
from tests.damage import bounded
from tests.reid.mini_market import write_mini_market
from tests.reid.networks_by_hand import all_pixels
from tests.small_video import make_video, write_boxes
from tests.tracker.memory.passersby import tracklet

SECONDS, MEGABYTES = 60.0, 2500
LONGEST = 540  # characters: 500, and the tool's name
WORDS = [
    *("", " ", "-", "--", "nan", "inf", "-1", "0", "1", "1e999", "9" * 40, "0x10", "²", "٣", "x" * 300, "y/" * 900),
    *("a=b", "=", "high=", "high=nan", "stages.²=1", "a.b.c=1", "[[[[", "a,b,,c", "a,a", "{name}", "%s", "{}"),
    *("ü\u2028ñ", "\udcff", "*", "~", "..", "http://127.0.0.1:9/x", "rtsp://u:p@[::1", "cuda:9", "none", "auto"),
    *("/dev/null", "/dev/full", "/proc/self/mem", "/proc/1/environ", "EMPTY", "FOLDER", "BYTES", "TEXT", "MISSING"),
    *("IMAGE", "ZIP", "NPZ", "JSON", "YAML", "ONNX", "XML", "VIDEO", "DET", "MARKET", "SEQUENCES", "LOOP"),
]  # fmt: skip
NEARLY: dict[str, list[str]] = {
    "track": ["VIDEO", "--detections", "DET", "--reid", "none", "--camera", "none", "--out", "OUT"],
    "eval_mot": ["--gt", "SEQUENCES", "--results", "RESULTS"],
    "submit_mot": ["--benchmark", "MOT17", "--results", "RESULTS", "--out", "OUT/a.zip"],
    "eval_memory": ["--gt", "SEQUENCES", "--results", "RESULTS"],
    "eval_reid": ["--weights", "ONNX", "--data", "MARKET", "--cache", "CACHE"],
    "export_reid": ["--weights", "ONNX", "--out", "OUT/a.onnx"],
    "train_reid": ["--config", "osnet_x0_25_deploy", "--data", "MISSING", "--out", "OUT"],
    "calibrate_reid": ["--weights", "ONNX", "--data", "MARKET", "--out", "OUT/a.onnx", "--cache", "CACHE"],
    "mot_crops": ["SEQUENCES/one", "--out", "OUT"],
    "offline": ["--results", "RESULTS", "--out", "OUT"],
    "tune": ["--data", "SEQUENCES", "--tracker", "sort", "--trials", "1", "--jobs", "1", "--out", "OUT"],
    "calibrate": ["--data", "SEQUENCES", "--detections", "det/det.txt", "--out", "OUT/a.yaml"],
    "explain": ["RESULTS", "--frame", "1", "--id", "1"],
    "count": ["RESULTS/one.txt", "--fps", "10"],
    "search": ["PEOPLE", "IMAGE", "--detector", "hog", "--reid", "ONNX"],
    "memory": ["PEOPLE", "list"],
    "view_run": ["MISSING"],
    "models": ["--get", "no-such-model"],
    "scene": ["--out", "OUT", "--seconds", "0.2", "--people", "2"],
    "demo": ["--video", "MISSING", "--out", "OUT"],
    "crash_test": ["--subjects", "nobody"],
    "adapt_reid": ["MISSING", "--out", "OUT"],
    "watch": ["MISSING", "--out", "OUT"],
    "link_cameras": ["--results", "RESULTS", "--out", "OUT"],
    "capacity": ["--costs", "COSTS", "--cameras", "3"],
    "does_reid_pay": ["VIDEO", "--gt", "SEQUENCES/one/gt/gt.txt", "--detections", "DET", "--reid", "ONNX"],
    "bench_losses": ["report", "--results", "MISSING", "--out", "OUT"],
    "bench": ["embed", "--weights", "MISSING"],
}
# what would succeed would serve, download or take minutes
SERVES = ("view_run", "demo", "crash_test", "models")
KEPT = {
    "--detector": ("none", "hog", "MISSING", "EMPTY", "BYTES", "ONNX", ""),
    "--jobs": ("", "-1", "nan", "²", "0"),
    "--workers": ("", "-1", "²", "0", "1"),
}


def make_place(folder: Path) -> dict[str, str]:
    """The files that words in capitals stand for."""
    rng = np.random.default_rng(0)
    place = {
        name: str(folder / name.lower())
        for name in ("EMPTY", "FOLDER", "BYTES", "TEXT", "MISSING", "CACHE", "COSTS", "PEOPLE")
    }
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "bytes").write_bytes(rng.bytes(3000))
    (folder / "text").write_text("just words\n" * 9)
    (folder / "loop").symlink_to(folder / "loop")
    cv2.imwrite(str(folder / "image.png"), rng.integers(0, 255, (40, 20, 3), dtype=np.uint8))
    (folder / "zip.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    np.savez(folder / "npz.npz", frame=np.arange(3), xyxy=np.zeros((3, 4)), score=np.ones(3))
    (folder / "json.json").write_text('[{"a": 1}]')
    (folder / "yaml.yaml").write_text("a: {b: [1, 2]}\n")
    costs = dict.fromkeys(
        ("people", "decode_ms", "detect_ms", "embed_ms_a_person", "camera_ms", "track_ms"), 2.0
    )
    costs |= {"size": [96, 192], "bytes_a_box": 50.0, "resident_mb": 300.0}  # type: ignore[dict-item]
    (folder / "costs").write_text(json.dumps({"costs": costs}))
    (folder / "xml.xml").write_text("<net></net>")
    all_pixels(folder / "onnx.onnx")
    with Memory(folder / "people", weights_name(folder / "onnx.onnx"), 96) as made:
        for k, vector in enumerate(np.eye(2, 96, dtype=np.float32)):
            made.add([tracklet(k, 100.0 * (k + 1), vector=vector)])
    make_video(folder / "video.mp4", length=12)
    write_boxes(folder / "det.txt", 12)
    write_mini_market(folder / "market", ids=3, cameras=2, images=2, size=(16, 8))
    for name in ("one", "two"):
        for part in ("gt", "det"):
            (folder / "sequences" / name / part).mkdir(parents=True)
        (folder / "sequences" / name / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nframeRate=10\nseqLength=12\nimWidth=192\nimHeight=96\n"
        )
        write_boxes(folder / "sequences" / name / "det" / "det.txt", 12)
        rows = [f"{k + 1},{i + 1},{10 + 9 * k},{20 + i},24,50,1,1,1" for k in range(12) for i in range(2)]
        (folder / "sequences" / name / "gt" / "gt.txt").write_text("\n".join(rows) + "\n")
        (folder / "results").mkdir(exist_ok=True)
        results = [row.replace(",1,1,1", ",1,-1,-1,-1") for row in rows]
        (folder / "results" / f"{name}.txt").write_text("\n".join(results) + "\n")
    endings = {"IMAGE": "png", "ZIP": "zip", "NPZ": "npz", "JSON": "json", "YAML": "yaml", "XML": "xml",
               "ONNX": "onnx", "VIDEO": "mp4", "DET": "txt"}  # fmt: skip
    place |= {name: str(folder / f"{name.lower()}.{ending}") for name, ending in endings.items()}
    return place | {
        name: str(folder / name.lower()) for name in ("MARKET", "SEQUENCES", "RESULTS", "LOOP", "OUT")
    }


def invocation(tool: str, rng: random.Random) -> list[str]:
    """One odd call, with words in capitals."""
    argv = [*NEARLY[tool]]
    options = _options(tool)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.randrange(7)
        if kind == 0 and argv:  # something else in a place of the call
            at = rng.randrange(len(argv))
            before = argv[at - 1] if at else ""
            argv[at] = rng.choice(KEPT.get(before, WORDS))
        elif kind == 1 and argv:
            del argv[rng.randrange(len(argv))]
        elif kind == 2:
            argv.insert(rng.randrange(len(argv) + 1), rng.choice([*WORDS, "--no-such-option"]))
        elif kind == 3:  # a switch or an option without its value
            argv.append(rng.choice(options)[0])
        else:
            name, takes = rng.choice(options)
            argv.append(name)
            if takes:
                argv.append(rng.choice(KEPT.get(name, WORDS)))
    if tool in SERVES:
        argv = [word for word in argv if word not in ("SEQUENCES", "RESULTS", "VIDEO", "--help")]
    if tool == "watch":  # a camera that is not there is asked again and again
        argv = [word for word in argv if not word.isdecimal() and "://" not in word]
    return argv


def _options(tool: str) -> list[tuple[str, bool]]:
    """Every option of a tool, and whether it takes a value."""
    module = importlib.import_module(f"retrace.tools.{tool}")
    parser = module.parser()
    return [
        (action.option_strings[-1], action.nargs != 0)
        for action in parser._actions
        if action.option_strings and not isinstance(action, argparse._HelpAction)
    ] or [("--json", True)]


def call(tool: str, argv: list[str]) -> tuple[Any, str, str]:
    """Exit code (or what broke out), standard output and standard error."""
    main: Callable[[list[str]], int] = importlib.import_module(f"retrace.tools.{tool}").main
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    before, sys.argv = sys.argv, [f"{tool}.py"]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), bounded(SECONDS, MEGABYTES):
            guarded(main, argv)
    except SystemExit as done:
        code = done.code
    except BaseException:
        code = traceback.format_exc()
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def fault(tool: str, argv: list[str]) -> str | None:
    """What is wrong with how a tool answers; None: nothing."""
    code, _, err = call(tool, argv)
    if code not in (0, 1, 2):
        return f"{code}"
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    if tool == "demo" and not lines:  # its child says it, past us
        return None
    if code == 2 and (len(lines) != 1 or len(lines[0]) > LONGEST or "Traceback" in err):
        return f"exit 2 with {len(lines)} lines, the longest {max(map(len, lines), default=0)}: {err[:1500]}"
    if code == 1 and tool not in ("submit_mot", "memory", "search"):
        return f"exit 1: {err[:500]}"
    return None


def odd_case(seed: int, place: dict[str, str]) -> tuple[str, list[str]]:
    """The tool and the arguments of a seed."""
    rng = random.Random(seed)
    tool = sorted(NEARLY)[seed % len(NEARLY)]
    return tool, placed(invocation(tool, rng), place)


def placed(words: Sequence[str], place: Mapping[str, str]) -> list[str]:
    """Words in capitals, and what lies in them, as paths."""
    parts = [word.partition("/") for word in words]
    return [
        place[head] + slash + tail if head in place else head + slash + tail for head, slash, tail in parts
    ]


def main() -> None:
    import tempfile

    first, last = map(int, sys.argv[1].split(":"))
    os.environ["RETRACE_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        place = make_place(Path(folder))
        os.chdir(folder)
        for seed in range(first, last):
            tool, argv = odd_case(seed, place)
            said = fault(tool, argv)
            if said is not None:
                print(
                    f"--- seed {seed}: {tool} {[word[:60].replace(folder, '') for word in argv]}\n{said}",
                    flush=True,
                )
        print("done", last - first, flush=True)


if __name__ == "__main__":
    main()
