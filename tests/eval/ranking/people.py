"""Features of people, the slow twin of the ranking, and torchreid's own: what the tests of this folder share."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def people(
    seed: int = 0, ids: int = 14, queries: int = 40, gallery: int = 260, size: int = 24
) -> tuple[Any, ...]:
    """(query features, ids, cameras, gallery features, ids, cameras): clusters, 3 cameras, distractors and junk."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((ids + 1, size))
    look = 0.7 * rng.standard_normal((3, size))

    def draw(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cameras = rng.integers(0, 3, len(labels))
        x = np.where(
            labels[:, None] > 0, centre[np.maximum(labels, 0)], rng.standard_normal((len(labels), size))
        )
        return (x + look[cameras] + 0.9 * rng.standard_normal(x.shape)).astype(np.float32), cameras

    q, g = rng.integers(1, ids + 1, queries), rng.integers(-1, ids + 1, gallery)
    (qf, qc), (gf, gc) = draw(q), draw(g)
    return qf, q, qc, gf, g, gc


def exact(qf: np.ndarray, gf: np.ndarray, metric: str = "cosine") -> np.ndarray:
    """(Q, G) float64 distances, the obvious way."""
    a, b = qf.astype(float), gf.astype(float)
    if metric == "euclidean":
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return 1 - a @ b.T


def slow(
    d: np.ndarray, q: Any, qc: Any, g: Any, gc: Any, camera_filter: bool = True, pessimistic: bool = False
) -> dict[str, Any]:
    """Sort everything, walk down the list."""
    found: dict[str, list[Any]] = {name: [] for name in ("ap", "trapezoid", "inp", "at_r", "p_at_r", "first")}
    for i in range(len(q)):
        right = np.asarray(g) == q[i]
        keep = (np.asarray(g) != -1) & ~(right & (np.asarray(gc) == qc[i]) & camera_filter)
        order = np.lexsort((right, d[i])) if pessimistic else np.argsort(d[i], kind="stable")
        hits = [bool(right[j]) for j in order if keep[j]]
        total = sum(hits)
        if not total:
            continue
        seen, ap, trapezoid, at_r = 0, 0.0, 0.0, 0.0
        for place, hit in enumerate(hits, 1):
            before = seen / (place - 1) if place > 1 else 1.0
            seen += hit
            if hit:
                ap += seen / place / total
                trapezoid += (seen / place + before) / 2 / total
                at_r += seen / place / total if place <= total else 0
                last = place
        for name, value in zip(
            found,
            (ap, trapezoid, total / last, at_r, sum(hits[:total]) / total, hits.index(True) + 1),
            strict=True,
        ):
            found[name].append(value)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    curve = [float(np.mean([f <= k for f in found["first"]])) for k in range(1, 21)]
    return {**means, "curve": curve, "valid": len(found["ap"])}


def torchreid_module(path: str) -> ModuleType:
    """One file of torchreid, without importing torch and torchvision for it."""
    spec = importlib.util.find_spec("torchreid")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("torchreid is not installed")
    file = Path(next(iter(spec.submodule_search_locations))) / "reid" / path
    one = importlib.util.spec_from_file_location(file.stem + "_of_torchreid", file)
    assert one is not None
    assert one.loader is not None
    module = importlib.util.module_from_spec(one)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no compiled ranking, and says so
        patch.setitem(sys.modules, "torchreid", None)  # its look for the compiled part ends here
        one.loader.exec_module(module)
    return module


def slow_verification(d: np.ndarray, q: Any, qc: Any, g: Any, gc: Any, target: float) -> tuple[float, float]:
    """The best TPR of all thresholds (any distance that occurs, or beyond) whose FPR keeps to the target; its FPR."""
    right, wrong = [], []
    for i in range(len(q)):
        for j in range(len(g)):
            if g[j] == q[i] and gc[j] != qc[i]:
                right.append(d[i, j])
            elif g[j] not in (q[i], -1):
                wrong.append(d[i, j])
    best, accepted, false = (-1.0, 1.0), np.array(right), np.array(wrong)
    for t in np.unique([*right, *wrong, np.inf]):
        fpr, tpr = np.mean(false < t), np.mean(accepted < t)
        if fpr <= target and tpr >= best[0]:
            best = (float(tpr), float(fpr))
    return best
