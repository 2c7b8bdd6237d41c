"""Our evaluation beside trackeval, motrics and Roboflow's, in one run: seconds, memory, and whether they agree.

Each evaluator reads the same generated files in a process of its own, one after the other, round by round;
times are CPU seconds of one thread with reading and preprocessing, medians over rounds. ``work``/data/BENCH is what
``make_eval_data.py`` of the bench folder writes; that is run, from $RETRACE_SHARED or ../shared, if it is
absent. A peer runs with ``work``/venvs/{evalv,rf}/bin/python where the bench folder's set-up has made it, else with
``peers_python``, else with this one; evaluators that are not installed there are left out.
Roboflow's evaluator has no benchmark rules (nothing is preprocessed): its numbers differ where those matter.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDTP", "IDSW", "FP", "FN", "MT", "Frag")
Answer = dict[str, Any]


def ours(gt: Path, results: Path, bench: str) -> Answer:
    """One process, as the others."""
    from retrace.eval.mot.score import combine
    from retrace.eval.mot.sequences import find_sequences, score_sequences

    row = combine(list(score_sequences(find_sequences(gt, results), bench, jobs=1).values())).row()
    return {name: row[name] for name in NUMBERS}


def trackeval(gt: Path, results: Path, bench: str) -> Answer:
    import trackeval as package

    return _reference(package, gt, results, bench)


def motrics(gt: Path, results: Path, bench: str) -> Answer:
    import motrics.compat.trackeval as package  # type: ignore[import-not-found]

    return _reference(package, gt, results, bench)


def roboflow(gt: Path, results: Path, bench: str) -> Answer:
    from trackers.eval.evaluate import evaluate_mot_sequences  # type: ignore[import-not-found]

    total = evaluate_mot_sequences(str(gt), str(results), metrics=["CLEAR", "HOTA", "Identity"]).aggregate
    answer: Answer = {n: float(getattr(total.HOTA, n)) for n in ("HOTA", "DetA", "AssA", "LocA")}
    answer |= {n: float(getattr(total.CLEAR, n)) for n in ("MOTA", "MOTP")}
    answer |= {n: int(getattr(total.CLEAR, n)) for n in ("IDSW", "MT", "Frag")}
    answer |= {n: int(getattr(total.CLEAR, f"CLR_{n}")) for n in ("FP", "FN")}
    return answer | {"IDF1": float(total.Identity.IDF1), "IDTP": int(total.Identity.IDTP)}


def _reference(package: Any, gt: Path, results: Path, bench: str) -> Answer:
    """trackeval's own evaluator, or what speaks its language."""
    quiet = {"PRINT_CONFIG": False}
    off = (
        "USE_PARALLEL",
        "PRINT_RESULTS",
        "TIME_PROGRESS",
        "OUTPUT_SUMMARY",
        "OUTPUT_DETAILED",
        "PLOT_CURVES",
    )
    folders = {"GT_FOLDER": str(gt.parent), "TRACKERS_FOLDER": str(results.parents[2]), "BENCHMARK": bench}
    dataset = {**package.datasets.MotChallenge2DBox.get_default_dataset_config(), **folders}
    dataset |= {"TRACKERS_TO_EVAL": [results.parent.name], **quiet}
    options = {**package.Evaluator.get_default_eval_config(), **dict.fromkeys(off, False), **quiet}
    options["OUTPUT_EMPTY_CLASSES"] = False
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            metrics = [package.metrics.HOTA(), package.metrics.CLEAR(quiet), package.metrics.Identity(quiet)]
        except TypeError:
            metrics = [package.metrics.HOTA(), package.metrics.CLEAR(), package.metrics.Identity()]
        found, _ = package.Evaluator(options).evaluate([package.datasets.MotChallenge2DBox(dataset)], metrics)
    row = found["MotChallenge2DBox"][results.parent.name]["COMBINED_SEQ"]["pedestrian"]
    answer: Answer = {n: float(row["HOTA"][n].mean()) for n in ("HOTA", "DetA", "AssA", "LocA")}
    answer |= {n: float(row["CLEAR"][n]) for n in ("MOTA", "MOTP")}
    answer |= {n: int(row["CLEAR"][n]) for n in ("IDSW", "MT", "Frag")}
    answer |= {n: int(row["CLEAR"][f"CLR_{n}"]) for n in ("FP", "FN")}
    return answer | {"IDF1": float(row["Identity"]["IDF1"]), "IDTP": int(row["Identity"]["IDTP"])}


EVALUATORS: dict[str, Callable[[Path, Path, str], Answer]] = {
    "trackeval": trackeval,
    "motrics": motrics,
    "roboflow": roboflow,
    "ours": ours,
}
IMPORTS = {  # paid for before the clock starts
    "trackeval": ("trackeval",),
    "motrics": ("motrics.compat.trackeval",),
    "roboflow": ("trackers.eval.evaluate",),
    "ours": ("scipy.io", "retrace.eval.mot.sequences"),
}
VENVS = {"trackeval": "evalv", "motrics": "evalv", "roboflow": "rf"}


def one_run(name: str, data: Path, bench: str, python: str) -> Answer:
    """One evaluator in a fresh process on one core; its imports are not counted."""
    environment = dict(os.environ, **{f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS", "MKL", "RAYON")})
    environment["PYTHONPATH"] = str(ROOT)
    command = [python, __file__, name, str(data), bench]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no answer"])[-1]}
    answer: Answer = json.loads(done.stdout.splitlines()[-1])
    return answer


def work(name: str, data: Path, bench: str) -> Answer:
    """In the worker: pin, warm up imports on nothing, run, and tell time and memory."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gt, results = folders(data, bench)
    for module in IMPORTS[name]:
        importlib.import_module(module)
    began = time.process_time()
    answer = EVALUATORS[name](gt, results, bench)
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "memory_mb": memory, **answer}


def folders(data: Path, bench: str) -> tuple[Path, Path]:
    """Ground truth and results of a generated benchmark."""
    train = f"{bench}-train"
    return data / bench / "gt" / train, data / bench / "trackers" / train / "sim" / "data"


def interpreters(names: Sequence[str], work: Path, given: str | None) -> dict[str, str]:
    """Which Python runs each evaluator; those that none has are left out.

    Raises:
        InputError: an evaluator that is not known.
    """
    from retrace.configs import InputError

    found = {}
    for name in names:
        if name not in EVALUATORS:
            raise InputError(f"`evaluators` {name!r}: known are {', '.join(EVALUATORS)}")
        own = work / "venvs" / VENVS.get(name, "") / "bin" / "python"
        package = IMPORTS[name][0].partition(".")[0]
        if name == "ours":
            found[name] = sys.executable
        elif own.is_file() or given:
            found[name] = str(own) if own.is_file() else str(given)
        elif importlib.util.find_spec(package):
            found[name] = sys.executable
    return found


def make_data(data: Path, benches: Sequence[str]) -> None:
    """Generate what is missing with the bench folder's script."""
    from retrace.configs import InputError

    if all(folders(data, bench)[0].is_dir() for bench in benches):
        return
    script = Path(os.environ.get("RETRACE_SHARED", ROOT.parent / "shared")) / "bench" / "make_eval_data.py"
    if not script.is_file():
        raise InputError(f"{data}: no generated data, and no {script} to make it; set RETRACE_SHARED")
    data.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-B", str(script), str(data)], check=True, stdout=sys.stderr)


def summary(bench: str, runs: dict[str, list[Answer]]) -> dict[str, Answer]:
    """Medians, the ratio to trackeval, and the numbers that differ from its."""
    found = {}
    reference = next((r for r in runs.get("trackeval", []) if "seconds" in r), None)
    for name, answers in runs.items():
        good = [a for a in answers if "seconds" in a]
        if not good:
            found[name] = answers[-1]
            continue
        row = {key: statistics.median(a[key] for a in good) for key in ("seconds", "memory_mb")}
        pairs = zip(runs.get("trackeval", []), answers, strict=False)
        ratios = [a["seconds"] / b["seconds"] for a, b in pairs if "seconds" in a and "seconds" in b]
        row["times_faster"] = statistics.median(ratios) if ratios else float("nan")
        numbers = {n: good[-1][n] for n in NUMBERS}
        differ = [n for n in NUMBERS if reference and abs(reference[n] - numbers[n]) > 1e-12]
        found[name] = {**row, **numbers, "differs_in": differ}
    return found


def measure(
    work: Path,
    bench: Sequence[str] = ("MOT17", "MOT20"),
    rounds: int = 3,
    evaluators: Sequence[str] = tuple(EVALUATORS),
    peers_python: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Answer]]:
    """Benchmark -> evaluator -> seconds, memory and numbers.

    Args:
        work: folder of generated data and of the peers' environments.
        bench: MOT17, MOT20.
        rounds: in turn.
        evaluators: of EVALUATORS.
        peers_python: an interpreter that has the peers, where ``work`` has no environment of theirs.
        say: told each table.

    Raises:
        InputError: an evaluator that is not known, or data that cannot be made.
    """
    if rounds < 1:
        from retrace.configs import InputError

        raise InputError(f"`rounds` {rounds}: expected at least 1")
    data, results = work / "data", {}
    pythons = interpreters(evaluators, work, peers_python)
    make_data(data, bench)
    for one in bench:
        runs: dict[str, list[Answer]] = {name: [] for name in pythons}
        for _ in range(rounds):
            for name, python in pythons.items():
                runs[name].append(one_run(name, data, one, python))
        results[one] = summary(one, runs)
        say(table(one, results[one]))
    return results


def table(bench: str, rows: dict[str, Answer]) -> str:
    """Seconds, ratio, memory and agreement as Markdown."""
    lines = [
        f"| evaluator ({bench}) | CPU s | times trackeval's speed | peak MB | HOTA | IDSW | differs in |"
    ]
    lines.append("|---|---:|---:|---:|---:|---:|---|")
    for name, r in rows.items():
        if "seconds" not in r:
            lines.append(f"| {name} | {r.get('error', 'failed')} |")
            continue
        cells = f"{r['seconds']:.2f} | {r['times_faster']:.1f} | {r['memory_mb']:.0f}"
        differs = ", ".join(r["differs_in"]) or "nothing"
        lines.append(f"| {name} | {cells} | {r['HOTA']:.10f} | {r['IDSW']} | {differs} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":  # a worker; a peer's interpreter need not have the packages that ours has
    print(json.dumps(work(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
