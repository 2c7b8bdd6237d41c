"""What tools/train_reid.py does: data in, steps, evaluations, weights out."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from configs import InputError, load_preset
from configs.load import parse_assignments, validate
from eval.ranking import evaluate_ranking
from reid.config import TrainConfig
from reid.data import ReidImages, ReidSet, has_match, read_reid_set
from reid.features import features
from reid.image_cache import cache_folder, open_sound_images
from reid.teachers import teacher_vectors
from reid.training import Training, start, steps
from reid.weights import save_network
from tools.console import say, write_json
from tools.manifest import commit, versions
from tools.progress import bar
from tools.training_files import (
    CHECKPOINT,
    RUN,
    WEIGHTS,
    Log,
    read_checkpoint,
    read_json,
    write_checkpoint,
)


@dataclass(frozen=True)
class Pixels:
    """A part of a data set, decoded."""

    images: ReidImages
    pixels: np.ndarray  # (N, H, W, 3) uint8 BGR, memory-mapped


def run(args: argparse.Namespace, argv: list[str]) -> None:
    """The whole job; every process of a torchrun comes through here."""
    with processes(args.device) as (device, first):
        talk = say if first and not args.quiet else _silent
        config, about = plan(args, argv)
        torch.set_num_threads(about["threads"])  # sums round otherwise with another number
        if first:
            make_folder(args.out)
        place = Path(about["data"])
        data = read_reid_set(place, strict=args.strict)
        parts, notes = decode(data, config, args, first)
        inside = f"{place if place.is_dir() else place.parent}{os.sep}"
        notes = [note.replace(inside, "") for note in notes]  # they travel: no path of this machine
        if first:
            write_json(args.out / RUN, about | {"data_notes": notes})
        for note in notes:
            talk(note)
        train = parts["train"]
        ids, labels = np.unique(train.images.ids, return_inverse=True)
        teacher = ask_teachers(config, train.images, args, first)
        training = start(
            config,
            len(ids),
            len(labels),
            device,
            resumed=args.resume is not None,
            teacher_dimensions=0 if teacher is None else teacher.shape[1],
        )
        if args.resume is not None:
            training.load_state_dict(read_checkpoint(args.out / CHECKPOINT))
        talk(
            f"{config.model.name}: {len(labels)} images of {len(ids)} identities, {training.iterations} iterations of "
            f"{config.batch.identities * config.batch.images} images on {device}"
            + (f", from iteration {training.iteration}" if training.iteration else "")
        )
        figures = loop(training, parts, labels, args, teacher, first, talk)
        if first:
            finish(training, args.out, about, figures, talk)


def plan(args: argparse.Namespace, argv: list[str]) -> tuple[TrainConfig, dict[str, Any]]:
    """The preset, and what run.json says; of a run that goes on, its own."""
    if args.resume is not None:
        about = read_json(args.out / RUN)
        if not isinstance(about, dict) or not {"config", "data", "commit"} <= about.keys():
            raise InputError(
                f"{args.out / RUN}: not what a training writes; give the folder of a training run"
            )
        about["threads"] = args.threads or about.get("threads") or torch.get_num_threads()
        return validate(about["config"], TrainConfig, str(args.out / RUN)), about
    if (args.out / CHECKPOINT).exists():
        raise InputError(
            f"{args.out} holds a run already: go on with --resume {args.out}, or choose another --out"
        )
    config = load_preset(args.config, TrainConfig, "reid", parse_assignments(args.set))
    about = {
        "command": ["tools/train_reid.py", *argv],
        "config": config.model_dump(mode="json"),
        "data": str(Path(args.data).resolve()),
        "commit": commit(),
        "versions": versions(),
        "processes": dist.get_world_size() if dist.is_initialized() else 1,
        "threads": args.threads or torch.get_num_threads(),
    }
    return config, about


def decode(
    data: ReidSet, config: TrainConfig, args: argparse.Namespace, first: bool
) -> tuple[dict[str, Pixels], list[str]]:
    """Every part of the data as pixels, and notes; the first process decodes, the others find it done."""
    if data.train is None or not len(data.train):
        raise InputError(f"{data.name}: there are no training images in it")
    folder = Path(args.cache) if args.cache else cache_folder()
    parts: dict[str, Pixels] = {}
    notes = list(data.notes)
    if not first:
        dist.barrier()
    for name in ("train", "query", "gallery"):
        images = getattr(data, name)
        if images is None or not len(images):
            continue
        with bar(f"decode {name}", len(images), args.quiet or not first) as advance:
            kept, pixels, broken = open_sound_images(
                images, config.size, folder, strict=args.strict, progress=advance
            )
        parts[name] = Pixels(kept, pixels)
        if broken:
            notes.append(f"{name}: {len(broken)} broken images left out: {', '.join(broken)}")
    if first and dist.is_initialized():
        dist.barrier()
    return parts, notes


def ask_teachers(
    config: TrainConfig, images: ReidImages, args: argparse.Namespace, first: bool
) -> np.ndarray | None:
    """(N, T) vectors of the training images; the first process asks, the others find them in the cache."""
    if not config.teachers:
        return None
    folder = Path(args.cache) if args.cache else cache_folder()
    if not first:
        dist.barrier()
    with bar("teachers", len(images), args.quiet or not first) as advance:
        vectors = teacher_vectors(config.teachers, images, folder, advance, threads=torch.get_num_threads())
    if first and dist.is_initialized():
        dist.barrier()
    return vectors


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be made a folder ({error.strerror})") from None


def loop(
    training: Training,
    parts: dict[str, Pixels],
    labels: np.ndarray,
    args: argparse.Namespace,
    teacher: np.ndarray | None,
    first: bool,
    talk: Callable[[str], None],
) -> dict[str, float]:
    """Train to the end; the figures of the last evaluation."""
    config, figures = training.config, {}
    every = training.iterations_per_epoch
    checkpoint_every = max(1, round(config.checkpoint_every * every))
    train = parts["train"]
    log = Log(args.out, training.iteration, args.tensorboard) if first else None
    if log is not None and training.iteration:
        figures = look(training, parts, log, talk)  # killed after a checkpoint, before its evaluation
    clock, done = time.perf_counter(), training.iteration
    with bar("train", training.iterations, args.quiet or not first, training.iteration) as advance:
        for step in steps(training, train.pixels, labels, train.images.cameras, teacher):
            last = step.iteration == training.iterations
            if not first:
                continue
            if step.iteration % args.log_every == 0 or last:
                now = time.perf_counter()
                speed = (step.iteration - done) * (step.images // step.iteration) / max(now - clock, 1e-9)
                clock, done = now, step.iteration
                log.step(step, speed)  # type: ignore[union-attr]
                advance(step.iteration, training.iterations)
            if last or step.iteration % checkpoint_every == 0:
                write_checkpoint(args.out / CHECKPOINT, training)
            before = time.perf_counter()
            figures = look(training, parts, log, talk) or figures  # type: ignore[arg-type]
            clock += time.perf_counter() - before
    return figures


def look(
    training: Training, parts: dict[str, Pixels], log: Log, talk: Callable[[str], None]
) -> dict[str, float]:
    """Evaluate if it is time to, and log it; the figures, none if it is not time or is done already."""
    config, iteration = training.config, training.iteration
    last = iteration == training.iterations
    every = round((config.evaluate_every or 0) * training.iterations_per_epoch)
    due = last or (config.evaluate_every and iteration % max(1, every) == 0)
    if not due or (log.evaluated(iteration) and not last):
        return {}
    training.check()
    figures = evaluate(training, parts)
    if figures and not log.evaluated(iteration):
        images = iteration * config.batch.identities * config.batch.images
        epoch = iteration / training.iterations_per_epoch
        log.evaluation(iteration, images, epoch, figures)
        talk(f"epoch {epoch:.1f}, {images} images: " + shown(figures))
    return figures


def evaluate(training: Training, parts: dict[str, Pixels]) -> dict[str, float]:
    """Figures of the network as it is; none where the data has no query and gallery, or no pair to find."""
    if not {"query", "gallery"} <= parts.keys():
        return {}
    query, gallery = parts["query"], parts["gallery"]
    if not has_match(query.images, gallery.images).any():
        return {}  # one camera only, for one; the notes on the data say so
    found = [
        features(training.best_network, part.pixels, training.recipe({}), training.device)
        for part in (query, gallery)
    ]
    metrics = evaluate_ranking(
        found[0], query.images.ids, query.images.cameras, found[1], gallery.images.ids, gallery.images.cameras
    )
    row = metrics.row()
    return {
        "rank-1": row["rank"]["1"],
        "rank-5": row["rank"]["5"],
        "rank-10": row["rank"]["10"],
        "mAP": row["mAP"],
        "mINP": row["mINP"],
    }


def shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in figures.items())


def finish(
    training: Training,
    out: Path,
    about: dict[str, Any],
    figures: dict[str, float],
    talk: Callable[[str], None],
) -> None:
    """The result: weights with their protocol card."""
    init = about["config"]["init"]
    card = {
        "data": Path(about["data"]).name,
        "data_notes": read_json(out / RUN)["data_notes"],
        "commit": about["commit"],
        "config": about["config"]
        | {"init": init and Path(init).name, "teachers": [Path(t).name for t in about["config"]["teachers"]]},
        "iterations": training.iterations,
        "images_seen": training.iterations * training.config.batch.identities * training.config.batch.images,
        "evaluation": figures,
        "protocol": "single query, same identity and camera dropped, junk dropped, distractors kept, "
        "rectangle AP, no re-ranking, cosine",
    }
    save_network(out / WEIGHTS, training.best_network, training.recipe(card))
    talk(f"{out / WEIGHTS}" + (f": {shown(figures)}" if figures else ""))


@contextmanager
def processes(device: str) -> Iterator[tuple[torch.device, bool]]:
    """This process's device, and whether it is the first; joins the others where torchrun started several."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    place = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")) if world > 1 else None)
    if world == 1:
        yield place, True
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield place, dist.get_rank() == 0
    finally:
        dist.destroy_process_group()


def pick_device(device: str, local_rank: int | None) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if local_rank is not None and device == "cuda":
        device = f"cuda:{local_rank}"
    try:
        place = torch.device(device)
    except RuntimeError:
        raise InputError(f"--device {device}: expected auto, cpu, cuda or cuda:N") from None
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"--device {device}: expected auto, cpu, cuda or cuda:N")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(f"--device {device}: torch sees {torch.cuda.device_count()} CUDA devices; use cpu")
    return torch.device("cuda", place.index or 0) if place.type == "cuda" else place


def _silent(line: str) -> None:
    pass
