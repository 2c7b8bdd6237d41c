"""Convert ReID weights for ONNX Runtime, OpenVINO or torch, and check that the vectors stay the same.

    python tools/export_reid.py --weights best.safetensors --out best.onnx
    python tools/export_reid.py --weights best.safetensors --format openvino --out best.xml
    python tools/export_reid.py --weights best.safetensors --int8 --calibration crops/ --out best-int8.onnx
    python tools/export_reid.py --weights best.safetensors --out small.safetensors
    python tools/export_reid.py --weights best.safetensors --beside auto --out both.safetensors
    python tools/export_reid.py --weights strong --part osnet_x0_5 --out alone.safetensors

The file is written only if its vectors differ from the original's by less than --limit (cosine distance), in
batches of 1, 3 and 16 crops: drawn ones, and with --calibration crops of people, who may differ more. Names of
shipped weights are taken as they were trained where that is needed. --half halves the file at the same speed; where
the CPU has bfloat16, OpenVINO's precision "bf16" is the faster choice. --int8 pays for large networks: ResNet-50 runs
3.5 times as fast as in float32, OSNet x1.0 2.2 times, OSNet x0.25 slower. A .safetensors is the weights without their
classifier: everything that takes weights takes it, train_reid.py with init_head=drop. --beside joins networks in one
file, whose vectors stand side by side: better than either where they err in other ways; calibrate_reid.py, then export.
--part takes one of them out again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say

if TYPE_CHECKING:
    from retrace.reid import Exported

FORMATS = ("onnx", "openvino", "torchscript", "safetensors")


def parser() -> Parser:
    p = Parser(
        prog="export_reid.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--weights", required=True, metavar="FILE|NAME", help=".safetensors, torchreid's .pth, .onnx"
    )
    p.add_argument(
        "--out", required=True, metavar="FILE", help="ends in .onnx, .xml, .torchscript or .safetensors"
    )
    p.add_argument("--format", choices=FORMATS, help="default: by the ending of --out")
    p.add_argument("--model", metavar="NAME", help="the network, if a .pth's file name does not contain it")
    p.add_argument("--batch", default="dynamic", metavar="dynamic|N", help="crops a run; default: any number")
    store = p.add_mutually_exclusive_group()
    store.add_argument("--half", action="store_true", help="store weights as float16, compute in float32")
    store.add_argument("--int8", action="store_true", help="compute in 8 bits; needs --calibration")
    networks = p.add_mutually_exclusive_group()
    networks.add_argument(
        "--beside", action="append", metavar="FILE|NAME", help="another network beside it; may be given again"
    )
    networks.add_argument(
        "--part", metavar="NAME", help="write only this network of a file that holds several"
    )
    p.add_argument("--calibration", metavar="DIR", help="person crops: for --int8, and to compare on")
    p.add_argument("--limit", type=float, help="largest cosine distance; default: 1e-3, with --int8 0.05")
    p.add_argument("--json", metavar="FILE", help="what was measured")
    p.add_argument("--uncalibrated", action="store_true", help="leave calibration and damaged cards out")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    with as_flags(p, name="--part"):
        return run(args)


def run(args: argparse.Namespace) -> int:
    from retrace.tools.terminal.options import check_outputs

    check_outputs(vars(args), ("json",))
    batch = _batch(args.batch)
    if args.beside or args.part is not None:
        return run_join(args)
    from retrace.configs.files import write_json
    from retrace.reid import ExportJob, export
    from retrace.reid.exporting.job import FORMATS as ENDINGS

    by_ending = {ending: name for name, ending in ENDINGS.items()}
    chosen = args.format or by_ending.get(Path(args.out).suffix.lower(), "onnx")
    store = "half" if args.half else "int8" if args.int8 else "float"
    found = export(
        args.weights,
        args.out,
        ExportJob(chosen, batch, store, args.model, args.uncalibrated),
        calibration=args.calibration,
        limit=args.limit,
    )
    report(found)
    if args.json:
        fields = ("description", "worst", "mean", "crops", "people", "batches")
        rows = {name: getattr(found, name) for name in fields}
        write_json(Path(args.json), {"files": [str(file) for file in found.files], **rows})
    return OK


def run_join(args: argparse.Namespace) -> int:
    from retrace.configs import InputError
    from retrace.reid import Embedder, join, part

    names = ("format", "model", "int8", "calibration", "limit", "json", "uncalibrated")
    idle, notes = [name for name in names if getattr(args, name)], list[str]()
    idle += ["batch"] * (args.batch != "dynamic")
    if idle:
        asked = "beside" if args.beside else "part"
        raise InputError(f"--{idle[0]} does nothing with --{asked}: export the file that it makes")
    if args.beside:
        out = join(args.weights, args.beside, args.out, half=args.half, notes=notes)
    else:
        out = part(args.weights, args.part, args.out, half=args.half, notes=notes)
    for line in (*notes, f"{out}  {out.stat().st_size / 1e6:.2f} MB"):
        say(line)
    say(Embedder.from_weights(str(out), device="cpu").description)
    say("not calibrated: tools/calibrate_reid.py, then export it")
    return OK


def report(found: Exported) -> None:
    for file in found.files:
        say(f"{file}  {file.stat().st_size / 1e6:.2f} MB")
    batches = ", ".join(map(str, found.batches))
    say(found.description)
    drawn = found.crops - found.people
    parts = [f"{n} {of} crops" for n, of in ((drawn, "drawn"), (found.people, "people's")) if n]
    say(
        f"cosine distance to the original over {' and '.join(parts)} in batches of {batches}: "
        f"largest {found.worst:.1e}, mean {found.mean:.1e}"
    )
    if not found.people:
        say("people may differ more than what is drawn: --calibration DIR compares on theirs")


def _batch(text: str) -> int | None:
    from retrace.configs import InputError

    if text == "dynamic":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--batch {text}: expected dynamic or a whole number from 1")
    return int(text)


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
