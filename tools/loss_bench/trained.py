"""The real comparison: networks trained, from random weights or from those of another data set."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrace.reid.data.image_cache import image_cache_folder, open_sound_images
from retrace.reid.data.sets import ReidImages, ReidSet, read_reid_set
from retrace.reid.embedder import Embedder
from retrace.reid.training.files import CHECKPOINT
from retrace.reid.training.fit import fit
from retrace.tools.loss_bench.entrants import Bench, Trained, objective
from retrace.tools.loss_bench.jobs import FINAL, TrainingJob
from retrace.tools.loss_bench.people import few_of_each, figures, hold_out, score, space_of

KEPT = "weights"  # folder in the work folder where the finals' networks stay


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """Two data sets: one to train on, with other people to score; and people of another place."""

    here: ReidSet
    there: ReidSet


def read_people(data: Path, other: Path) -> Domains:
    return Domains(read_reid_set(data), read_reid_set(other))


def train(people: Domains, bench: Bench, job: TrainingJob, weights: Path, work: Path) -> dict[str, Any]:
    """A job: trained from where a stopped one had come to; its figures."""
    how = bench.regime(job.regime)
    assert isinstance(how, Trained)
    config = preset(bench, job, weights)
    final = job.stage == FINAL
    chosen = people.here if final else without_some(people.here, bench.validation)
    name = job.key.replace("/", "-").replace(" ", "")
    folder = work / "runs" / name
    if (folder / CHECKPOINT).is_file():
        done = fit(resume=folder, data=chosen, device="cpu", threads=1)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        done = fit(config, chosen, folder, device="cpu", threads=1)
    embedder = Embedder.from_weights(done.weights, "cpu", threads=1)
    told = {"losses": config["losses"], "rate": config["optimizer"]["lr"], "images": done.images}
    found = measured(embedder, chosen, people.there) if final else validated(embedder, chosen, job.length)
    if final:
        kept = work / KEPT / f"{name}.safetensors"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(done.weights, kept)
    shutil.rmtree(folder, ignore_errors=True)
    return told | found


def preset(bench: Bench, job: TrainingJob, weights: Path) -> dict[str, Any]:
    """The training preset of a job."""
    how, entrant = bench.regime(job.regime), bench.entrants[job.entrant]
    assert isinstance(how, Trained)
    config = dict(how.config)
    losses, rate = objective(bench, job.regime, job.entrant, job.setting, float(config["optimizer"]["lr"]))
    heads = {name: head.model_dump() for name, head in entrant.heads.items()}
    config |= {
        "model": config["model"] | {"heads": heads, "pool": entrant.pool},
        "losses": losses,
        "optimizer": config["optimizer"] | {"lr": rate},
        "batch": {"identities": bench.identities, "images": bench.images},
        "sampler": entrant.sampler.model_dump(),
        "census": {"held": entrant.held},
        "views": entrant.views,
        "epochs": job.length,
        "evaluate_every": None,
        "seed": job.seed,
    }
    if config.get("init"):
        config["init"] = str(weights / config["init"])
    if entrant.teacher and entrant.views > 1:
        config["teacher"] = {"ema": 0.99}
    elif entrant.teacher:
        config["teachers"] = [str(weights / bench.frozen.weights)]
    return config


def without_some(data: ReidSet, people: int) -> ReidSet:
    """The training images without the validation people, and these as query and gallery."""
    images = data.train
    assert images is not None
    choice = hold_out(images.ids, images.cameras, people)
    train, query, gallery = (images.take(rows) for rows in (choice.train, choice.query, choice.gallery))
    return replace(data, train=train, query=query, gallery=gallery, notes=())


def embed(embedder: Embedder, images: ReidImages | None) -> tuple[ReidImages, np.ndarray]:
    """(N, D) unit rows of the images that are sound."""
    assert images is not None
    kept, pixels, _ = open_sound_images(images, embedder.size, image_cache_folder(), jobs=1)
    with torch.inference_mode():
        parts = [embedder.crops(np.array(pixels[k : k + 256])) for k in range(0, len(kept), 256)]
    return kept, np.concatenate(parts)


def validated(embedder: Embedder, data: ReidSet, length: float) -> dict[str, Any]:
    (query, q), (gallery, g) = embed(embedder, data.query), embed(embedder, data.gallery)
    return {"curve": {f"{length:g}": round(score(q, query, g, gallery).mAP, 6)}}


def measured(embedder: Embedder, here: ReidSet, there: ReidSet) -> dict[str, Any]:
    """The figures of a network that has been trained."""
    (query, q), (gallery, g) = embed(embedder, here.query), embed(embedder, here.gallery)
    found = figures(q, query, g, gallery)
    (query, q), (gallery, g) = embed(embedder, there.query), embed(embedder, there.gallery)
    other = figures(q, query, g, gallery)
    found["other"] = {key: other[key] for key in ("mAP", "rank-1")}
    assert here.train is not None
    images, vectors = embed(embedder, here.train.take(few_of_each(here.train.ids)))
    found["space"] = space_of(vectors, images.ids)
    return found
