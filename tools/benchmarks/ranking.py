"""ReID scoring and re-ranking on synthetic features of Market-1501's size, beside the plain product and torchreid.

Each side runs in a process of its own on one core, sides in turn, round by round; times are CPU seconds of one
thread, medians over rounds, and memory is what the process grew by at its highest. Features are what
``make_reid_data.py`` of the bench folder makes, 3 368 x 15 913 x 512; that folder is $RETRACE_SHARED/bench or
../shared/bench. torchreid's rank and re-ranking files are taken where the package is installed, with the same product
before them. Its re-ranking takes minutes and 12 GB at this size: it runs at a quarter, beside ours at a quarter,
unless ``full``. Re-ranking's seconds end with all distances made.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.tools import ROOT
from retrace.tools.benchmarks.resident import forget_peak, peak_mb
from retrace.tools.benchmarks.side_by_side import generator, shared_bench

SECTIONS = ("scoring", "rerank")  # crops a second: tools/bench.py embed
QUERIES, GALLERY = 3368, 15913
Answer = dict[str, Any]
Data = dict[str, Any]


def product(data: Data) -> Answer:
    """What every evaluator needs at least, as one writes it."""
    data["qf"] @ data["gf"].T
    return {}


def blocked_product(data: Data) -> Answer:
    """The same without the cost of fresh memory."""
    import numpy as np

    rows = 512 if len(data["gf"]) < 10**5 else 128
    buffer = np.empty((rows, len(data["gf"])), np.float32)
    for i in range(0, len(data["qf"]), rows):
        part = data["qf"][i : i + rows]
        np.matmul(part, data["gf"].T, out=buffer[: len(part)])
    return {}


def ours(data: Data) -> Answer:
    from retrace.eval.ranking.ranks import evaluate_ranking

    names = ("qf", "qp", "qc", "gf", "gp", "gc")
    return _scores(evaluate_ranking(*(data[name] for name in names)))


def torchreid(data: Data) -> Answer:
    rank = _torchreid_file("metrics/rank.py")
    began = time.process_time()
    distances = 1 - data["qf"] @ data["gf"].T
    labels = (data[name] for name in ("qp", "gp", "qc", "gc"))
    curve, mean = rank.evaluate_rank(distances, *labels, max_rank=50, use_cython=False)
    return {"seconds": time.process_time() - began, "mAP": float(mean), "rank-1": float(curve[0])}


def rerank(data: Data) -> Answer:
    import numpy as np

    from retrace.eval.ranking.reranking import rerank as prepare

    began = time.process_time()
    made = prepare(data["qf"], data["gf"], variant="torchreid-d4")
    final = np.concatenate([made(i, min(i + 512, len(data["qf"]))) for i in range(0, len(data["qf"]), 512)])
    return _reranked(began, final, data)


def torchreid_rerank(data: Data) -> Answer:
    twin = _torchreid_file("utils/rerank.py")
    q, g = data["qf"], data["gf"]
    began = time.process_time()
    final = twin.re_ranking(1 - q @ g.T, 1 - q @ q.T, 1 - g @ g.T, k1=20, k2=6, lambda_value=0.3)
    return _reranked(began, final, data)


SIDES: dict[str, Callable[[Data], Answer]] = {
    "product": product,
    "product, in blocks": blocked_product,
    "ours": ours,
    "torchreid": torchreid,
    "re-ranking, ours": rerank,
    "re-ranking, torchreid": torchreid_rerank,
}


def _reranked(began: float, final: Any, data: Data) -> Answer:
    from retrace.eval.ranking.ranks import evaluate_ranking

    seconds, memory = time.process_time() - began, peak_mb()
    labels = (None, data["qp"], data["qc"], None, data["gp"], data["gc"])
    return {"seconds": seconds, "peak": memory, **_scores(evaluate_ranking(*labels, distances=final))}


def _scores(metrics: Any) -> Answer:
    return {"mAP": metrics.mAP, "rank-1": metrics.rank_at(1)}


def _torchreid_file(path: str) -> Any:
    """One file of torchreid, without torch; the import it tries for its compiled part is not in the package."""
    package = importlib.util.find_spec("torchreid")
    assert package is not None
    assert package.submodule_search_locations is not None
    spec = importlib.util.spec_from_file_location(
        "torchreid_file", Path(next(iter(package.submodule_search_locations))) / "reid" / path
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["torchreid"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
    finally:
        del sys.modules["torchreid"]
    return module


def make_data(scale: float, distractors: int, size: int = 512, seed: int = 0) -> Data:
    """Features and labels; distractors are random directions of id 0 on random cameras.

    Raises:
        InputError: the bench folder is not there.
    """
    import numpy as np

    module = generator("make_reid_data")
    data: Data = module.make(scale, size, seed)
    count = int(GALLERY * scale)
    data |= {name: data[name][:count].copy() for name in ("gf", "gp", "gc")}
    if distractors:
        rng = np.random.default_rng(seed)
        features = np.empty((count + distractors, size), np.float32)
        features[:count] = data["gf"]
        for i in range(count, len(features), 8192):
            part = rng.standard_normal((min(8192, len(features) - i), size), np.float32)
            features[i : i + 8192] = part / np.linalg.norm(part, axis=1, keepdims=True)
        data["gf"] = features
        data["gp"] = np.concatenate([data["gp"], np.zeros(distractors, data["gp"].dtype)])
        data["gc"] = np.concatenate([data["gc"], rng.integers(0, 6, distractors)])
    return data


def one_run(side: str, scale: float, distractors: int = 0) -> Answer:
    """One side in a fresh process."""
    environment = dict(os.environ, **{f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS", "MKL")})
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, __file__, side, str(scale), str(distractors)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["killed: out of memory?"])[-1]}
    answer: Answer = json.loads(done.stdout.splitlines()[-1])
    return answer


def work(side: str, scale: float, distractors: int) -> Answer:
    """In the worker: pin, make the features, import, run; CPU seconds and growth of memory."""
    import scipy.sparse  # noqa: F401

    import retrace.eval.ranking.ranks
    import retrace.eval.ranking.reranking  # noqa: F401  # imports are paid for before the clock starts

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    data = make_data(scale, distractors)
    base = forget_peak()
    began = time.process_time()
    answer = SIDES[side](data)
    answer.setdefault("seconds", time.process_time() - began)
    return {**answer, "memory_mb": answer.pop("peak", peak_mb()) - base}


def measured(sides: list[str], count: int, scale: float, distractors: int = 0) -> dict[str, Answer]:
    """Medians of each side, and its ratio to the first round by round."""
    runs: dict[str, list[Answer]] = {side: [] for side in sides}
    for k in range(count):
        for side in sides:
            if k and ("error" in runs[side][0] or runs[side][0]["seconds"] > 30):
                continue  # what is that slow is measured once
            runs[side].append(one_run(side, scale, distractors))
    found = {}
    for side, answers in runs.items():
        good = [a for a in answers if "error" not in a]
        if not good:
            found[side] = answers[-1]
            continue
        pairs = zip(answers, runs[sides[0]], strict=False)
        ratios = [a["seconds"] / b["seconds"] for a, b in pairs if "error" not in a and "error" not in b]
        medians = {name: statistics.median(a[name] for a in good) for name in ("seconds", "memory_mb")}
        found[side] = {**good[-1], **medians, "ratio": statistics.median(ratios) if ratios else float("nan")}
    return found


def measure(
    sections: Sequence[str] = SECTIONS,
    scale: float = 1.0,
    rounds: int = 5,
    peers: bool = False,
    full: bool = False,
    distractors: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Answer]]:
    """Table -> side -> seconds, memory and scores.

    Args:
        sections: of SECTIONS.
        scale: of Market-1501's size.
        rounds: in turn.
        peers: torchreid too.
        full: torchreid's re-ranking at full size.
        distractors: score with so many more.
        say: told each table.

    Raises:
        InputError: a number out of its range, or torchreid or the bench folder is not there.
    """
    if rounds < 1 or not 0 < scale <= 1 or distractors < 0 or set(sections) - set(SECTIONS):
        raise InputError(
            "expected `rounds` from 1, `scale` in (0, 1], `distractors` from 0, "
            f"`sections` of {', '.join(SECTIONS)}"
        )
    if peers and importlib.util.find_spec("torchreid") is None:
        raise InputError(
            "`peers` needs torchreid in this environment: pip install torchreid==0.2.5, or leave it out"
        )
    shared_bench()
    results = {}
    for title, plan in plans(sections, scale, rounds, peers, full, distractors).items():
        results[title] = measured(*plan)
        say(table(title, results[title]))
    return results


def plans(
    sections: Sequence[str], scale: float, rounds: int, peers: bool, full: bool, distractors: int
) -> dict[str, tuple[list[str], int, float, int]]:
    """Title -> sides, rounds, scale, distractors."""
    found: dict[str, tuple[list[str], int, float, int]] = {}
    sizes = f"{int(QUERIES * scale)} x {int(GALLERY * scale)} x 512"
    if "scoring" in sections:
        sides = ["product", "product, in blocks", "ours"] + ["torchreid"] * peers
        found[f"scoring, {sizes}"] = (sides, rounds, scale, 0)
    if distractors:
        sides = ["product, in blocks", "ours"]
        found[f"scoring, {sizes} + {distractors} distractors"] = (sides, 1, scale, distractors)
    if "rerank" in sections:
        theirs = ["re-ranking, torchreid"] * peers
        few = min(rounds, 3)
        if theirs and not full:
            quarter = ["re-ranking, ours", *theirs]
            found[f"re-ranking, a quarter of {sizes}"] = (quarter, few, scale / 4, 0)
            theirs = []
        found[f"re-ranking, {sizes}"] = (["re-ranking, ours", *theirs], few, scale, 0)
    return found


def table(title: str, rows: dict[str, Answer]) -> str:
    """Markdown: seconds, ratio to the first row, memory, and the numbers that should agree."""
    lines = [
        f"| {title} | CPU s | times the first row | MB more at most | mAP | rank-1 |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, r in rows.items():
        if "seconds" not in r:
            lines.append(f"| {name} | {r.get('error', 'failed')} |")
            continue
        numbers = " | ".join(f"{r[key]:.7f}" if key in r else "" for key in ("mAP", "rank-1"))
        lines.append(f"| {name} | {r['seconds']:.2f} | {r['ratio']:.2f} | {r['memory_mb']:.0f} | {numbers} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":  # a worker
    print(json.dumps(work(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
