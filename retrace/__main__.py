"""`retrace NAME ...` (or `python -m retrace NAME ...`) is the same as `python tools/NAME.py ...`; `view` is
`tools/view_run.py`."""

from __future__ import annotations

import sys
from importlib import import_module

# What each tool is for: one line, so that `retrace` alone is a table of contents.
TOOLS = {
    "track": "track people through videos",
    "watch": "track cameras day and night, each kept alive",
    "models": "list detectors that can be had, licence beside each",
    "demo": "track people in a real video, no questions asked",
    "link-cameras": "one id a person over cameras that see one place at once, by where they stand",
    "count": "answers from tracks: line crossings, zones, people by the minute",
    "memory": "look into an identity memory, and mend it",
    "search": "where and when was this person: a photo and a memory",
    "view": "look at a run in the browser, and mend it",
    "explain": "why an identity was kept, lost or switched",
    "offline": "improve tracking results afterwards",
    "eval-mot": "score tracking results: HOTA, CLEAR, identity",
    "eval-memory": "score an identity memory: returns known against strangers joined",
    "does-reid-pay": "what appearance buys on your video: blind, each embedder, perfect looks",
    "submit-mot": "write or check a MOTChallenge submission",
    "train-reid": "train a ReID network",
    "eval-reid": "score a ReID network: rank-k, mAP, mINP",
    "export-reid": "convert ReID weights for ONNX Runtime, OpenVINO or torch",
    "calibrate-reid": "from ReID distances to probabilities, stored in the weights",
    "adapt-reid": "your cameras' own ReID network, from unlabelled video",
    "mot-crops": "cut people out of sequences: a ReID set of your own video",
    "tune": "tune a tracker preset on your sequences",
    "calibrate": "fit a tracker's log-odds on your sequences, with ground truth or by tracks",
    "scene": "draw a street scene with known identities",
    "bench": "measure speed beside other libraries",
    "capacity": "how many machines a site of cameras needs",
    "crash-test": "kill, starve and double runs on purpose: nothing may be lost",
    "bench-losses": "losses compared fairly on people",
}


def module_of(tool: str) -> str:
    """The module of a tool."""
    return f"retrace.tools.{'view_run' if tool == 'view' else tool.replace('-', '_')}"


def main(argv: list[str] | None = None) -> None:
    """Run one tool; exits with its code."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print("usage: retrace TOOL ...  (retrace TOOL --help says more)\n")
        print("\n".join(f"  {tool:14} {purpose}" for tool, purpose in TOOLS.items()))
        sys.exit(0)
    if name == "--version":
        from retrace import __version__

        print(f"retrace {__version__}")
        sys.exit(0)
    if name not in TOOLS:
        from retrace.configs.errors import nearest

        print(f"retrace: no tool {name}: {nearest(name, TOOLS)}", file=sys.stderr)
        sys.exit(2)
    from retrace.tools.terminal.console import guarded

    sys.argv[0] = f"retrace {name}"  # what help and messages call it
    guarded(import_module(module_of(name)).main, arguments[1:])


if __name__ == "__main__":
    main()
