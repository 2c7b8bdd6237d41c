"""Does everything train? Each objective from random weights on a few people, a few hundred small steps.

Not a comparison: crops of 64 x 32, batches of 8 x 4 and few people say nothing of who is better. Asked is
whether the loss falls, whether people nobody trained on are found clearly better than by chance, and whether a run
that was stopped and gone on with ends in the same bytes. Labels that the data lack are made up: clothes are clusters
of the chest's colour, viewpoints stand for cameras.
"""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.cluster.vq import kmeans2

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.configs.files import atomic_write
from retrace.reid.config import HeadConfig
from retrace.reid.data.image_cache import image_cache_folder, open_sound_images
from retrace.reid.data.sets import ReidImages, ReidSet, read_reid_set
from retrace.reid.embedder import Embedder
from retrace.reid.losses.pml import MetricLearning, usable
from retrace.reid.training.files import CHECKPOINT, LOG, RUN
from retrace.reid.training.fit import fit
from retrace.reid.training.progress import Progress
from retrace.tools.loss_bench.entrants import Bench, Entrant
from retrace.tools.loss_bench.jobs import CHECK, Result, TrainingJob, read_bench_results
from retrace.tools.loss_bench.people import score
from retrace.tools.loss_bench.trained import embed, preset
from retrace.tools.loss_bench.work import Places, write

STEPS, STOP = 200, 150  # stop: where the run is gone on from
PEOPLE = 64  # to train on: of all, 200 steps are less than an epoch, and no classifier learns in it
IDENTITIES, IMAGES, SIZE, RATE, TERM_RATE = 8, 4, (64, 32), 3e-3, 0.01
FEW = 40  # steps at the beginning and at the end whose loss is averaged: some batches cost thrice as much as others
EARLY = {"start": 0, "delay": 0}  # settings of terms that begin late
PML: dict[str, dict[str, Any]] = {  # what their losses need here
    "RankedListLoss": {"margin": 0.5, "Tn": 1.0},
    # a mean over what still violates the margin does not fall
    "MarginLoss": {"reducer": "MeanReducer"},
    "SignalToNoiseRatioContrastiveLoss": {"reducer": "MeanReducer"},
}
# These even out what another loss has sorted: alone they have nothing to do.
BESIDE = ("IntraPairVarianceLoss", "ThresholdConsistentMarginLoss")
COLOURS = 10  # of clothes
BEGINNING = "random weights"  # what stands for the network before any step


def everybody(bench: Bench) -> dict[str, Entrant]:
    """The entrants, and what is left of pytorch-metric-learning, by name."""
    found = dict(bench.entrants)
    for name in usable():
        settings: dict[str, Any] = dict(PML.get(name, {}))
        if any(True for _ in MetricLearning(name, 2, 8, dict(settings)).parameters()):
            settings["lr"] = TERM_RATE
        found[f"pml.{name}"] = Entrant(losses={f"pml.{name}": settings}, alone=name not in BESIDE)
    return found


def check_all(
    bench: Bench,
    names: Sequence[str],
    places: Places,
    *,
    hours: float | None = None,
    most: int | None = None,
    tell: Callable[[str], None],
) -> int:
    """Everybody who has no line yet; how many were done. ``names``: of :func:`everybody`; none: all."""
    who = everybody(bench)
    for name in names:
        if name not in who:
            raise InputError(f"`entrants`: unknown {name!r}; see configs/bench/losses.yaml, or pml.NAME")
    small = shrunk(bench, who)
    end = time.monotonic() + 3600 * hours if hours is not None else float("inf")
    done = {one["key"] for one in read_bench_results(places.results)}
    course = Course(small, places)
    count = 0
    for name in names or (BEGINNING, *who):
        job = TrainingJob(CHECK, name, CHECK, 0, 1, STEPS)
        if job.key in done:
            continue
        if time.monotonic() >= end or count == most:
            break
        begin = time.process_time()
        try:
            found = course.beginning() if name == BEGINNING else course.run(name)
        except Exception as error:  # whatever a library's loss raises is asked for; the others go on
            found = {"failed": one_line(error)}
        found["cpu_seconds"] = round(time.process_time() - begin, 1)
        write(places, {"key": job.key, **about(job), **found})
        tell(f"{name}: {said(found)}")
        count += 1
    return count


def about(job: TrainingJob) -> Result:
    return {
        "regime": job.regime,
        "entrant": job.entrant,
        "stage": job.stage,
        "setting": 0,
        "seed": 1,
        "length": STEPS,
    }


def said(found: Mapping[str, Any]) -> str:
    if "failed" in found:
        return f"failed: {found['failed']}"
    loss = f"loss {found['first']:.3g} -> {found['last']:.3g}, " if "first" in found else ""
    same = f", gone on to the same bytes: {'yes' if found['same'] else 'NO'}" if "same" in found else ""
    return f"{loss}mAP {100 * found['mAP']:.1f} (chance {100 * found['chance']:.1f}){same}"


def shrunk(bench: Bench, who: Mapping[str, Entrant]) -> Bench:
    """The bench from random weights, everybody alone, small."""
    how = bench.scratch
    config = how.config | {
        "size": SIZE,
        "optimizer": how.config["optimizer"] | {"lr": RATE},
        "schedule": {"kind": "constant", "warmup": 0},
        "precision": "float32",
    }
    told = {"config": config, "alone": True, "knob": "rate", "term_rate": TERM_RATE / RATE}
    scratch = how.model_copy(update=told)
    entrants = {
        name: one.model_copy(
            update={
                "losses": {term: early(given) for term, given in one.losses.items()},
                "heads": {key: narrowed(head, bench.identities) for key, head in one.heads.items()},
            }
        )
        for name, one in who.items()
    }
    return bench.model_copy(
        update={"identities": IDENTITIES, "images": IMAGES, "scratch": scratch, "entrants": entrants}
    )


def narrowed(head: HeadConfig, identities: int) -> HeadConfig:
    """A head that is narrower than the bench's batches have identities is narrower than they are here, too."""
    return head.model_copy(update={"dim": IDENTITIES - 2}) if IDENTITIES <= head.dim < identities else head


def early(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: EARLY.get(key, value) for key, value in settings.items()}


class Course:
    """People to train on and to find."""

    def __init__(self, bench: Bench, places: Places) -> None:
        self.bench, self.places = bench, places
        self.folder = places.work / "checks"

    def run(self, name: str) -> dict[str, Any]:
        """Train, go on from a copy of what there was at STOP, and look."""
        first, second = self.folder / "first", self.folder / "second"
        for folder in (first, second):
            shutil.rmtree(folder, ignore_errors=True)
        second.mkdir(parents=True)

        def keep(progress: Progress) -> None:
            if (first / CHECKPOINT).is_file() and not (second / CHECKPOINT).is_file():
                for file in (RUN, LOG, CHECKPOINT):
                    shutil.copyfile(first / file, second / file)

        done = fit(
            self.config(name),
            self.table,
            first,
            device="cpu",
            threads=1,
            log_every=1,
            on_progress=keep,
        )
        again = fit(resume=second, device="cpu", threads=1)
        with open(first / LOG, newline="") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file)]
        return {
            "losses": self.bench.entrants[name].losses,
            "first": round(float(np.mean(losses[:FEW])), 4),
            "last": round(float(np.mean(losses[-FEW:])), 4),
            "same": done.weights.read_bytes() == again.weights.read_bytes(),
            **self.looked_at(Embedder.from_weights(done.weights, "cpu", threads=1)),
        }

    def beginning(self) -> dict[str, Any]:
        """The network before any step."""
        shutil.rmtree(self.folder / "first", ignore_errors=True)
        config = self.config("ce") | {"epochs": 1e-6}
        config["optimizer"] = config["optimizer"] | {"lr": 1e-12}
        done = fit(config, self.table, self.folder / "first", device="cpu", threads=1)
        return self.looked_at(Embedder.from_weights(done.weights, "cpu", threads=1))

    def config(self, name: str) -> dict[str, Any]:
        each = len(self.train) // (IDENTITIES * IMAGES)
        job = TrainingJob("scratch", name, CHECK, 0, 1, STEPS / each)
        return preset(self.bench, job, self.places.weights) | {"checkpoint_every": STOP / each}

    def looked_at(self, embedder: Embedder) -> dict[str, float]:
        """mAP and rank-1 on people nobody trained on, and the mAP of vectors that know nothing."""
        (query, q), (gallery, g) = (embed(embedder, part) for part in (self.data.query, self.data.gallery))
        draw = np.random.default_rng(0)
        blind = [draw.normal(size=(len(part), 64)).astype(np.float32) for part in (q, g)]
        blind = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in blind]
        found = score(q, query, g, gallery)
        return {
            "mAP": round(found.mAP, 6),
            "rank-1": round(found.rank_at(1), 6),
            "chance": round(score(blind[0], query, blind[1], gallery).mAP, 6),
        }

    @cached_property
    def data(self) -> ReidSet:
        return read_reid_set(self.places.data)

    @cached_property
    def train(self) -> ReidImages:
        """Those of the PEOPLE with the smallest numbers."""
        train = self.data.train
        assert train is not None
        return train.take(np.flatnonzero(np.isin(train.ids, np.unique(train.ids)[:PEOPLE])))

    @cached_property
    def table(self) -> Path:
        """A CSV of the data with the label columns that terms may ask for."""
        path = self.folder / "people.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            writer = csv.writer(file)
            writer.writerow(["path", "id", "camera", "split", "viewpoint", "clothes", "frame"])
            parts = (("train", self.train), ("query", self.data.query), ("gallery", self.data.gallery))
            for name, images in parts:
                assert images is not None
                clothes = dressed(images)
                for k, place in enumerate(images.paths):
                    camera = int(images.cameras[k])
                    writer.writerow(
                        [
                            place.resolve(),
                            images.ids[k],
                            camera,
                            name,
                            camera % 3,
                            clothes[k],
                            frame_of(place),
                        ]
                    )
        return path


def dressed(images: ReidImages) -> np.ndarray:
    """(N,) int64: which of `COLOURS` colours an identity's chest has on the average."""
    kept, pixels, _ = open_sound_images(images, SIZE, image_cache_folder(), jobs=1)
    if len(kept) < len(images):
        raise InputError(f"{len(images) - len(kept)} images are broken; the check needs sound ones")
    height, width = SIZE
    chest = pixels[:, height // 5 : height // 2, width // 4 : -width // 4].mean((1, 2))
    _, person = np.unique(images.ids, return_inverse=True)
    sums = np.zeros((person.max() + 1, 3))
    np.add.at(sums, person, chest)
    means = sums / np.bincount(person)[:, None]
    count = min(COLOURS, len(means))
    return kmeans2(means, count, minit="++", rng=np.random.default_rng(0))[1].astype(np.int64)[person]


def frame_of(path: Path) -> int:
    """Of Market's names (0002_c1s1_000451_03.jpg: sequence 1, frame 451) a number of the moment; of others 0."""
    parts = path.stem.split("_")
    try:
        return int(parts[1].partition("s")[2]) * 1_000_000 + int(parts[2])
    except (IndexError, ValueError):
        return 0
