"""Score result files with TrackEval itself, the judge that our own numbers must equal.

python -m tests.score --gt DIR --results DIR [--benchmark MOT15] [--as vtest=PETS09-S2L1] [SEQUENCE ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from retrace.tracker.mot_file import read_ground_truth, read_results, read_sequence_info
from tests.eval.reference import combine, judge


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sequences", nargs="*")
    p.add_argument("--gt", type=Path, required=True)
    p.add_argument("--results", type=Path, required=True)
    p.add_argument("--benchmark", default="MOT15")
    p.add_argument("--as", dest="names", action="append", default=[], metavar="FILE=SEQUENCE")
    args = p.parse_args()
    file_of = {sequence: file for file, sequence in (pair.split("=") for pair in args.names)}
    names = (
        args.sequences or sorted(f.stem for f in args.results.glob("*.txt") if not file_of) or list(file_of)
    )
    parts = {}
    for name in names:
        length = read_sequence_info(args.gt / name).length
        gt = read_ground_truth(args.gt / name / "gt" / "gt.txt")
        parts[name] = judge(
            gt, read_results(args.results / f"{file_of.get(name, name)}.txt"), length, args.benchmark
        )
    rows = {**parts, **({"combined": combine(parts)} if len(parts) > 1 else {})}
    print("| sequence | HOTA | DetA | AssA | IDF1 | MOTA | IDSW |\n|---|---|---|---|---|---|---|")
    for name, r in rows.items():
        h, c = r["HOTA"], r["CLEAR"]
        means = (100 * h[k].mean() for k in ("HOTA", "DetA", "AssA"))
        numbers = [*means, 100 * r["Identity"]["IDF1"], 100 * c["MOTA"]]
        print(f"| {name} | " + " | ".join(f"{x:.1f}" for x in numbers) + f" | {int(c['IDSW'])} |")


if __name__ == "__main__":
    main()
