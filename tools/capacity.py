"""How many machines a site of cameras needs, and which of their parts decides that.

    python tools/bench.py pipeline --video clip.mp4 --detector yolox_nano_416.onnx --json costs.json
    python tools/capacity.py --costs costs.json --cameras 100 --size 1080x1920 --people 12
    python tools/capacity.py --costs costs.json --cameras 10000 --simulate 7

The costs are measured on the machine that counts, on a clip like the site's.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.options import given, refuse_below_one, refuse_idle, size

if TYPE_CHECKING:
    from retrace.tools.benchmarks.capacity import Machine


FAILURES = {"fail_days": 30.0, "repair_s": 3600.0, "notice_s": 10.0, "restart_s": 5.0}


def parser() -> Parser:
    p = Parser(prog="capacity.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--costs", type=Path, required=True, metavar="FILE", help="of bench.py pipeline --json")
    p.add_argument("--cameras", type=int, required=True, metavar="N")
    p.add_argument("--size", type=size, default=(1080, 1920), metavar="HxW", help="px; default: 1080x1920")
    p.add_argument("--fps", type=float, default=10.0, help="frames/s that are tracked (default: 10)")
    p.add_argument("--people", type=float, default=10.0, help="in a picture, mean (default: 10)")
    p.add_argument("--mbit", type=float, help="Mbit/s of a camera's stream; default: 0.1 bit a pixel")
    p.add_argument("--days", type=float, default=30.0, help="results are kept (default: 30)")
    p.add_argument("--keep-video", action="store_true", help="and so are the streams")
    for part, value, what in (
        ("cores", 16.0, "of a machine"),
        ("memory-gb", 64.0, "of a machine"),
        ("disk-tb", 4.0, "of a machine"),
        ("network-gbit", 1.0, "of a machine"),
        ("used", 0.7, "share of it that is planned for"),
    ):
        p.add_argument(f"--{part}", type=float, default=value, help=f"{what} (default: {value:g})")
    p.add_argument(
        "--machines", type=int, metavar="N", help="that there are, to simulate; default: as many as needed"
    )
    p.add_argument("--simulate", type=float, metavar="DAYS", help="of machines that fail")
    p.add_argument("--fail-days", type=float, help="a machine's mean time between failures (30)")
    p.add_argument("--repair-s", type=float, help="until it is back (3600)")
    p.add_argument("--notice-s", type=float, help="until a failure is noticed (10)")
    p.add_argument("--restart-s", type=float, help="until a camera's tracker runs elsewhere (5)")
    p.add_argument("--seed", type=int, help="of the failures (0)")
    p.add_argument("--json", type=Path, metavar="FILE")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    refuse_idle(vars(args), ("machines", *FAILURES, "seed"), "--simulate DAYS", args.simulate is not None)
    refuse_below_one(vars(args), ("machines",))
    with as_flags(p):
        from retrace.configs.files import write_json
        from retrace.tools.benchmarks.capacity import Machine, Site, machines_for, read_costs

        site = Site(**{one.name: getattr(args, one.name) for one in fields(Site)})
        machine = Machine(**{one.name: getattr(args, one.name) for one in fields(Machine)})
        found = {
            **machines_for(read_costs(args.costs), site, machine),
            "site": asdict(site),
            "machine": asdict(machine),
        }
        tell(found)
        if args.simulate is not None:
            found["simulated"] = simulated(args, found, machine)
        if args.json:
            write_json(args.json, found)
    return OK


def tell(found: dict[str, Any]) -> None:
    """The plan in a few lines."""
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in found["frame_ms"].items())
    say(f"a frame: {sum(found['frame_ms'].values()):.1f} CPU ms ({stages})")
    for part, unit in (("cores", ""), ("memory_gb", " GB"), ("disk_tb", " TB"), ("network_gbit", " Gbit/s")):
        name = part.partition("_")[0]
        say(f"{name}: {found['needs'][part]:,.1f}{unit}, {found['machines'][part]:,.1f} machines")
    what = found["bottleneck"].partition("_")[0]
    say(f"{found['count']:,} machines, {found['cameras_a_machine']:.1f} cameras each; {what} decides")


def simulated(args: argparse.Namespace, planned: dict[str, Any], machine: Machine) -> dict[str, Any]:
    """What its cameras see of failures, told in a line."""
    from retrace.configs.errors import number
    from retrace.tools.benchmarks.failures import DAY, LARGEST, Failures, simulate

    number("simulate", args.simulate, 1e-6, LARGEST)
    told = FAILURES | given(vars(args), FAILURES)
    for name, value in told.items():
        number(name, value, 1e-6, LARGEST * DAY)
    count = args.machines or planned["count"]
    places = max(1, int(planned["cameras_a_machine"] / machine.used))  # in need a machine is used whole
    failures = Failures(told["fail_days"] * DAY, told["repair_s"], told["notice_s"], told["restart_s"])
    found = simulate(args.cameras, count, places, failures, args.simulate, args.seed or 0)
    say(
        f"simulated {args.simulate:g} days, {count:,} machines of {places} places: {found['failures']} failures, "
        f"{100 * found['tracked']:.4f} % of camera time tracked, {found['outages']} outages of a camera, "
        f"median {found['median_s']:.0f} s, longest {found['longest_s']:.0f} s"
    )
    return {**found, "machines": count, "places": places}


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
