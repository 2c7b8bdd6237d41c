"""A training from beginning to end: data in; steps, evaluations, checkpoints; weights out.

:func:`fit` is what tools/train_reid.py calls; everything that it does can be done from Python.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from retrace.configs import InputError, load_preset
from retrace.configs.files import atomic_write, locked, make_folder, writing
from retrace.configs.loader import validate
from retrace.reid.config import TrainConfig
from retrace.reid.data.columns import label_columns
from retrace.reid.data.image_cache import image_cache_folder, open_sound_images
from retrace.reid.data.sets import NAMED, ReidImages, ReidSet, read_reid_set
from retrace.reid.networks.build import without_aids
from retrace.reid.training.evaluation import Evaluate, Pixels, evaluate, is_due, patience_is_out, shown
from retrace.reid.training.files import (
    CHECKPOINT,
    LOCK,
    RUN,
    WEIGHTS,
    Log,
    read_checkpoint,
    read_run,
    write_checkpoint,
)
from retrace.reid.training.processes import processes
from retrace.reid.training.progress import Progress, Speedometer
from retrace.reid.training.state import Training, start
from retrace.reid.training.steps import check_batches, steps
from retrace.reid.training.teachers import teacher_dimensions, teacher_vectors
from retrace.reid.weights.files import save_network

DEFAULT_OUT = "runs/reid"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training left.

    Attributes:
        weights: OUT/weights.safetensors, which `Embedder.from_weights` reads.
        figures: of the last evaluation, fractions; empty without one.
        iterations, images: trained, seen.
    """

    weights: Path
    figures: dict[str, float]
    iterations: int
    images: int


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Where a training goes, and who is told: all of it but what is trained."""

    out: Path
    evaluate: Evaluate | None
    log_every: int
    tensorboard: bool
    first: bool  # of the processes that train together: the one that writes and talks
    tell: Callable[[Progress], None]


def fit(
    config: TrainConfig | Mapping[str, Any] | str | Path | None = None,
    data: ReidSet | str | Path | None = None,
    out: str | Path | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    resume: str | Path | None = None,
    evaluate: Evaluate | None = None,
    device: str = "auto",
    threads: int | None = None,
    strict: bool = False,
    cache: str | Path | None = None,
    log_every: int = 10,
    tensorboard: bool = False,
    record: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Train a ReID network.

    Writes OUT/weights.safetensors (the result), checkpoint.pt (to go on from), log.csv, evaluation.csv, run.json.
    Under torchrun every process calls it, and they train one network.

    Args:
        config: a preset's name, a YAML file, a mapping, or the typed thing.
        data: a folder or CSV that `read_reid_set` knows, or what it gave.
        out: a folder; must not hold another run. Default: runs/reid.
        changes: values that replace the preset's, by dotted name: {"epochs": 10, "optimizer.lr": 0.02}; only with a
            preset's name or file.
        resume: the folder of a run to go on with; then ``config``, ``data`` and ``out`` are its own (``data`` may
            be given where the run began with a ReidSet).
        evaluate: `eval.ranking.evaluate_ranking`, or what is called and answers (``row()``) likewise; None:
            nothing is evaluated.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: of torch while this runs; None: its own choice, or the run's.
        strict: a broken image is an error, not left out.
        cache: folder of decoded images; None: ~/.cache/retrace/images.
        log_every: iterations between lines of log.csv.
        tensorboard: write OUT/tensorboard as well.
        record: facts to keep in run.json, e.g. command, commit, versions; ``commit`` goes into the weights too.
        on_progress: is told of every stage, now and then.

    Raises:
        InputError: anything that the caller can get wrong, before the first step where that can be known.
        Diverged: the loss is not a number any more.

    Example:
        >>> from retrace import evaluate_ranking
        >>> from retrace.reid import fit
        >>> short = {"epochs": 0.3}  # one iteration on 192 images; the preset says 90 epochs
        >>> done = fit("osnet_x0_25_deploy", "Market-1501", "runs/short", changes=short, evaluate=evaluate_ranking)
        >>> done.weights.name, done.iterations, sorted(done.figures)
        ('weights.safetensors', 1, ['mAP', 'mINP', 'rank-1', 'rank-10', 'rank-5'])
    """
    if resume is not None and (config is not None or out is not None or changes):
        raise InputError(
            "`resume` goes on with the run's own values and folder; leave `config`, `changes` and `out` out"
        )
    if changes and not isinstance(config, str | Path):
        raise InputError("`changes` are for a preset's name or file; change the mapping itself")
    if resume is None and (config is None or data is None):
        raise InputError("expected `config` and `data` (or `resume`, the folder of a run to go on with)")
    for name, number in (("log_every", log_every), ("threads", threads)):
        if number is not None and number < 1:
            raise InputError(f"`{name}` must be at least 1, got {number}")
    folder = Path(resume if resume is not None else out or DEFAULT_OUT)
    before = torch.get_num_threads()
    try:
        with processes(device) as (place, first):
            run = TrainingRun(folder, evaluate, log_every, tensorboard, first, _teller(on_progress, first))
            plan, about = _going_on(folder, threads) if resume else _fresh(config, changes, data, threads)
            torch.set_num_threads(about["threads"])
            about |= dict(record or {})
            with _alone_in(folder, resume is not None) if first else nullcontext():
                return _train(plan, about, data, run, place, resume is not None, strict, cache)
    finally:
        torch.set_num_threads(before)


def _fresh(
    config: Any, changes: Mapping[str, Any] | None, data: Any, threads: int | None
) -> tuple[TrainConfig, dict[str, Any]]:
    """The preset, and what run.json says."""
    if isinstance(config, Mapping):
        config = validate(config, TrainConfig, "config")
    elif not isinstance(config, TrainConfig):
        config = load_preset(config, TrainConfig, "reid", changes)
    return config, {
        "config": config.model_dump(mode="json"),
        "data": data.name if isinstance(data, ReidSet) else str(Path(data).resolve()),
        "processes": dist.get_world_size() if dist.is_initialized() else 1,
        "threads": threads or torch.get_num_threads(),
    }


def _going_on(out: Path, threads: int | None) -> tuple[TrainConfig, dict[str, Any]]:
    """What the run itself says."""
    about = read_run(out)
    told = about.get("threads")
    about["threads"] = threads or (told if isinstance(told, int) and told > 0 else torch.get_num_threads())
    return validate(about["config"], TrainConfig, str(out / RUN)), about


def _train(
    config: TrainConfig,
    about: dict[str, Any],
    data: ReidSet | str | Path | None,
    run: TrainingRun,
    device: torch.device,
    resumed: bool,
    strict: bool,
    cache: str | Path | None,
) -> Fitted:
    place = Path(about["data"])
    images = data if isinstance(data, ReidSet) else read_reid_set(place, strict=strict)
    parts, notes = decode(images, config, run, strict, cache)
    inside = f"{place if place.is_dir() else place.parent}{os.sep}"
    notes = [note.replace(inside, "") for note in notes]  # they travel: no path of this machine
    columns, more = ({}, []) if isinstance(data, ReidSet) else label_columns(place, parts["train"].images)
    notes += more
    about = about | {"data_notes": notes}
    train = parts["train"]
    ids, labels = np.unique(train.images.ids, return_inverse=True)
    training = start(  # before teachers are asked for minutes: weights to begin from may not fit
        config,
        len(ids),
        len(labels),
        device,
        resumed=resumed,
        teacher_dimensions=teacher_dimensions(config.teachers),
        columns={name: int(values.max()) + 1 for name, values in columns.items()},
    )
    check_batches(config, labels, train.images.cameras, columns)
    if resumed:
        training.load_state_dict(read_checkpoint(run.out / CHECKPOINT))
    if run.first:
        with writing(run.out / RUN), atomic_write(run.out / RUN) as file:
            file.write(json.dumps(about, indent=2) + "\n")
    for note in (*notes, *training.notes):
        run.tell(Progress(note=note))
    teacher = ask_teachers(config, train.images, run, cache)
    run.tell(
        Progress(
            note=f"{config.model.name}: {len(labels)} images of {len(ids)} identities, {training.iterations} "
            f"iterations of {config.batch.identities * config.batch.images} images on {device}"
            + (f", from iteration {training.iteration}" if training.iteration else "")
        )
    )
    figures = loop(training, parts, labels, {"teacher": teacher, "columns": columns}, run)
    if run.first:
        _finish(training, about, figures, run)
    images_seen = training.iteration * config.batch.identities * config.batch.images
    return Fitted(run.out / WEIGHTS, figures, training.iteration, images_seen)


def decode(
    data: ReidSet, config: TrainConfig, run: TrainingRun, strict: bool, cache: str | Path | None
) -> tuple[dict[str, Pixels], list[str]]:
    """Every part of the data as pixels, and notes; the first process decodes, the others find it done."""
    if data.train is None or not len(data.train):
        raise InputError(f"{data.name}: there are no training images in it")
    folder = Path(cache) if cache else image_cache_folder()
    parts: dict[str, Pixels] = {}
    notes = list(data.notes)
    if not run.first:
        dist.barrier()
    for name in ("train", "query", "gallery"):
        images = getattr(data, name)
        if images is None or not len(images):
            continue

        def advance(done: int, total: int, stage: str = f"decode {name}") -> None:
            run.tell(Progress(stage, done, total))

        kept, pixels, broken = open_sound_images(images, config.size, folder, strict=strict, progress=advance)
        parts[name] = Pixels(kept, pixels)
        if broken:
            rest = " ..." * (len(broken) > NAMED)
            notes.append(f"{name}: {len(broken)} broken images left out: {', '.join(broken[:NAMED])}{rest}")
    if run.first and dist.is_initialized():
        dist.barrier()
    return parts, notes


def ask_teachers(
    config: TrainConfig, images: ReidImages, run: TrainingRun, cache: str | Path | None
) -> np.ndarray | None:
    """(N, T) vectors of the training images; the first process asks, the others find them in the cache."""
    if not config.teachers:
        return None
    if not run.first:
        dist.barrier()
    vectors = teacher_vectors(
        config.teachers,
        images,
        Path(cache) if cache else image_cache_folder(),
        lambda done, total: run.tell(Progress("teachers", done, total)),
        threads=torch.get_num_threads(),
    )
    if run.first and dist.is_initialized():
        dist.barrier()
    return vectors


def loop(
    training: Training,
    parts: dict[str, Pixels],
    labels: np.ndarray,
    known: Mapping[str, Any],
    run: TrainingRun,
) -> dict[str, float]:
    """Train to the end, or until ``patience`` runs out; the figures of the last evaluation.

    ``known``: what else `steps` takes of the training images.
    """
    config, figures = training.config, {}
    every = training.iterations_per_epoch
    checkpoint_every = max(1, round(config.checkpoint_every * every))
    train = parts["train"]
    log = Log(run.out, training.iteration, run.tensorboard) if run.first else None
    if log is not None and training.iteration:
        figures = look(training, parts, log, run)  # killed after a checkpoint, before its evaluation
    if patience_is_out(training, log):
        return figures
    meter = Speedometer(training.iteration)
    for step in steps(training, train.pixels, labels, train.images.cameras, **known):
        last = step.number == training.iterations
        if log is not None:
            logged = step.number % run.log_every == 0 or last
            if logged or meter.silent():
                progress = meter.progress(step, training.iterations, figures)
                if logged:
                    log.step(step, progress.images_per_s)
                run.tell(progress)
            if last or step.number % checkpoint_every == 0:
                write_checkpoint(run.out / CHECKPOINT, training)
            with meter.stopped():
                figures = look(training, parts, log, run) or figures
        if patience_is_out(training, log):
            if log is not None and not last:
                write_checkpoint(run.out / CHECKPOINT, training)
            break
    return figures


def look(training: Training, parts: dict[str, Pixels], log: Log, run: TrainingRun) -> dict[str, float]:
    """Evaluate if it is time to, and log it; the figures, none if it is not time or is done already."""
    iteration = training.iteration
    last = iteration == training.iterations
    if not is_due(training) or (log.evaluated(iteration) and not last):
        return {}
    training.check()
    figures = evaluate(training, parts, run.evaluate)
    if figures and not log.evaluated(iteration):
        images = iteration * training.config.batch.identities * training.config.batch.images
        epoch = iteration / training.iterations_per_epoch
        log.evaluation(iteration, images, epoch, figures)
        run.tell(Progress(note=f"epoch {epoch:.1f}, {images} images: {shown(figures)}", figures=figures))
    return figures


def _finish(training: Training, about: dict[str, Any], figures: dict[str, float], run: TrainingRun) -> None:
    """The result: weights with their protocol card."""
    init, batch = about["config"]["init"], training.config.batch
    card = {
        "data": Path(about["data"]).name,
        "data_notes": about["data_notes"],
        "commit": about.get("commit"),
        "config": about["config"]
        | {"init": init and Path(init).name, "teachers": [Path(t).name for t in about["config"]["teachers"]]},
        "iterations": training.iteration,
        "images_seen": training.iteration * batch.identities * batch.images,
        "evaluation": figures,
        "protocol": "single query, same identity and camera dropped, junk dropped, distractors kept, "
        "rectangle AP, no re-ranking, cosine",
    }
    path = run.out / WEIGHTS
    network, model = without_aids(training.best_network, training.config.model, training.config.size)
    recipe = replace(training.recipe(card), model=model.model_dump(mode="json"))
    save_network(path, network, recipe)
    run.tell(Progress(note=f"{path}" + (f": {shown(figures)}" if figures else ""), figures=figures))


@contextmanager
def _alone_in(folder: Path, resumed: bool) -> Iterator[None]:
    """The folder of the run, made; nobody else trains into it meanwhile, or has before unless it goes on. A run that
    is refused leaves no folder that was not there."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    try:
        with locked(folder / LOCK, f"trains into {folder}"):
            if not resumed and (folder / CHECKPOINT).exists():
                raise InputError(
                    f"{folder} holds a run already: go on with `resume`, or choose another folder"
                )
            yield
    except InputError:
        with suppress(OSError):  # they hold something
            for place in made:
                place.rmdir()
        raise


def _teller(on_progress: Callable[[Progress], None] | None, first: bool) -> Callable[[Progress], None]:
    return on_progress if on_progress is not None and first else lambda progress: None
