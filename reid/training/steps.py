"""The steps of a training: batches in order, what terms read of them, one optimiser step each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.reid.config import TrainConfig
from retrace.reid.losses.batch import Batch
from retrace.reid.networks import build as networks
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD
from retrace.reid.sampling.census import Census, take_census
from retrace.reid.sampling.held_back import Held, figures_of, hold_back
from retrace.reid.sampling.identities import identity_batches
from retrace.reid.sampling.neighbours import (
    cluster_batches,
    grouped,
    neighbour_batches,
    random_batches,
    together_batches,
)
from retrace.reid.training.augment import augment
from retrace.reid.training.features import features
from retrace.reid.training.optimizer import rate_factor
from retrace.reid.training.state import CHECK_EVERY, NEED_CENSUS, Training, rank_here, world_size


@dataclass(frozen=True)
class Iteration:
    """One iteration, done. Losses stay on the device until somebody reads them."""

    number: int  # from 1
    images: int  # seen so far, over all processes
    epoch: float
    rate: float  # learning rate of the network
    loss: torch.Tensor  # () float32
    parts: dict[str, torch.Tensor]  # each term before its weight


def steps(
    training: Training,
    pixels: np.ndarray,
    labels: np.ndarray,
    cameras: np.ndarray,
    teacher: np.ndarray | None = None,
    columns: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Iteration]:
    """Train to the end of the run; one :class:`Iteration` each. Stop iterating to stop training.

    Args:
        pixels: (N, H, W, 3) uint8 BGR, memory-mapped or not.
        labels: (N,) int64 in [0, C).
        cameras: (N,) int64.
        teacher: (N, T) float32, what `reid.training.teachers` says of each image; None: nobody was asked.
        columns: name -> (N,) int64 from 0: other labels of the images.

    Raises:
        Diverged: the loss became NaN or infinite; the state is then of no use.
    """
    config, world, rank = training.config, world_size(), rank_here()
    known = {"ids": labels, "cameras": cameras, "rows": np.arange(len(labels)), **(columns or {})}
    known |= {} if teacher is None else {"teacher": teacher}
    run, judge = _wrapped(training)
    base_rates = [group["base_lr"] for group in training.optimizer.param_groups]
    for rows in _batches(training, pixels, labels, cameras, columns or {}):
        epoch = training.iteration / training.iterations_per_epoch
        factor = rate_factor(config.schedule, epoch, config.epochs)
        for group, base in zip(training.optimizer.param_groups, base_rates, strict=True):
            group["lr"] = base * factor
        mine = np.split(rows, world)[rank]
        loss, parts = _iteration(training, run, judge, pixels, known, mine)
        training.iteration += 1
        training.unchecked.append(loss)
        if training.iteration % CHECK_EVERY == 0 or training.iteration == training.iterations:
            training.check()
        yield Iteration(
            number=training.iteration,
            images=training.iteration * len(rows),
            epoch=training.iteration / training.iterations_per_epoch,
            rate=base_rates[0] * factor,
            loss=loss,
            parts=parts,
        )


def _batches(
    training: Training,
    pixels: np.ndarray,
    labels: np.ndarray,
    cameras: np.ndarray,
    columns: Mapping[str, np.ndarray],
) -> Iterator[np.ndarray]:
    """The rows of every iteration that is left; between them, where somebody needs it, a census."""
    config, every, sampler = training.config, training.census_every, training.config.sampler
    held = hold_back(labels, config.census.held, config.seed)
    found: Iterator[np.ndarray] = iter(())
    if sampler.kind not in NEED_CENSUS:
        found = itertools.islice(_drawn(config, labels, cameras, columns, held), training.iteration, None)
    since = -1  # iteration of the census that the batches were made from
    while training.iteration < training.iterations:
        begin = training.iteration // every * every if every else -1
        if begin != since and every:
            if training.census is None or training.census.iteration != begin:
                training.census = _census(training, pixels, labels, begin)
            if sampler.kind in NEED_CENSUS:
                drawn = _from_census(training, labels, training.census)
                found = itertools.islice(drawn, training.iteration - begin, None)
            since = begin
        if held.any():
            _look_at_held(training, pixels, labels, np.flatnonzero(held))
        yield next(found)


def _drawn(
    config: TrainConfig,
    labels: np.ndarray,
    cameras: np.ndarray,
    columns: Mapping[str, np.ndarray],
    held: np.ndarray,
) -> Iterator[np.ndarray]:
    """Batches of samplers that need no census, from the first."""
    batch, kind = config.batch, config.sampler.kind
    if kind == "together":
        return together_batches(
            labels, batch.identities, batch.images, config.seed, cameras, columns.get("frame")
        )
    if kind == "random":
        return random_batches(labels, batch.identities * batch.images, config.seed)
    kept = np.flatnonzero(~held)
    found = identity_batches(
        labels[kept], batch.identities, batch.images, config.seed, batch.order, cameras[kept]
    )
    return (kept[rows] for rows in found)


def check_batches(
    config: TrainConfig, labels: np.ndarray, cameras: np.ndarray, columns: Mapping[str, np.ndarray]
) -> None:
    """What :func:`steps` would refuse of the training images, before anything else is done with them.

    Raises:
        InputError: too few people or images for one batch, or no column that the sampler needs.
    """
    if config.sampler.kind in NEED_CENSUS:
        grouped(labels, config.batch.identities)
    else:
        next(_drawn(config, labels, cameras, columns, hold_back(labels, config.census.held, config.seed)))


def _look_at_held(training: Training, pixels: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    """Every so many iterations: how the network does on the images that nobody trains on."""
    begin = training.iteration // training.config.census.look * training.config.census.look
    if training.held is None or training.held.iteration != begin:
        vectors = features(training.network, pixels[rows], training.recipe({}), training.device)
        training.held = Held(figures_of(vectors, labels[rows]), begin)


def _from_census(training: Training, labels: np.ndarray, census: Census) -> Iterator[np.ndarray]:
    config = training.config
    batch, seed = config.batch, (config.seed, census.iteration)
    if config.sampler.kind == "cluster":
        return cluster_batches(labels, batch.identities, batch.images, seed, census)
    return neighbour_batches(labels, batch.identities, batch.images, seed, census, config.sampler.anchors)


def _census(training: Training, pixels: np.ndarray, labels: np.ndarray, iteration: int) -> Census:
    """One pass over the training images as they are, with the network as it is."""
    config, network = training.config, training.network
    vectors = features(
        network,
        pixels,
        training.recipe({}),
        training.device,
        call=lambda images: network.answer(images).embeddings,
    )
    clusters = config.sampler.clusters if config.sampler.kind == "cluster" else 0
    return take_census(
        vectors,
        labels,
        iteration,
        config.census.levels,
        config.census.top,
        clusters,
        config.seed,
        training.census,
    )


def _iteration(
    training: Training,
    run: Any,
    judge: Any,
    pixels: np.ndarray,
    known: dict[str, np.ndarray],
    rows: np.ndarray,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """One optimiser step on ``rows``, cut into ``accumulate`` parts; mean loss and mean terms, detached.

    ``known`` of every image: what terms may read of it, by name.
    """
    config, device = training.config, training.device
    seed = _step_seed(config.seed, training.iteration)
    generator = torch.Generator().manual_seed(seed)
    mean, std = (torch.tensor(v, device=device) for v in (IMAGENET_MEAN, IMAGENET_STD))
    training.network.train()
    training.optimizer.zero_grad(set_to_none=True)
    losses, terms = [], []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # dropout and drop-path draw from the process's generator
        for part in np.split(rows, config.accumulate):
            images = torch.from_numpy(pixels[part]).to(device, non_blocking=True)
            views = [augment(images, config.augment, mean, std, generator) for _ in range(config.views)]
            seen: dict[str, Any] = {name: torch.from_numpy(a[part]).to(device) for name, a in known.items()}
            seen["labels"] = {name: seen[name] for name in known if name in training.columns}
            if training.teacher is not None:
                seen["teacher"] = training.teacher(views[0])
                if "teacher_second" in training.objective.reads:
                    seen["teacher_second"] = training.teacher(views[1])
            if training.census is not None and "cluster" in training.objective.reads:
                seen["cluster"] = torch.from_numpy(training.census.clusters[part]).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                answer = run(views[0] if len(views) == 1 else torch.cat(views))
            loss, values = judge(Batch(**seen, **_answered(answer, len(part)), **_state(training)))
            (loss / config.accumulate).backward()
            losses.append(loss.detach())
            terms.append({name: value.detach() for name, value in values.items()})
    if config.optimizer.clip_norm is not None:
        learned = [*training.network.parameters(), *training.objective.parameters()]
        nn.utils.clip_grad_norm_(learned, config.optimizer.clip_norm)
    training.optimizer.step()
    if training.average is not None:
        training.average.update_parameters(training.network)
    if training.teacher is not None:
        training.teacher.follow(training.network)
    means = {name: torch.stack([t[name] for t in terms]).mean() for name in terms[0]}
    return torch.stack(losses).mean(), means


def _answered(answer: networks.Output, count: int) -> dict[str, Any]:
    """What the network said of the first view, as terms read it; of the second only its embeddings."""
    found: dict[str, Any] = {
        name: None if value is None else value[:count].float()
        for name, value in answer._asdict().items()
        if name != "heads"
    }
    found["heads"] = {name: value[:count].float() for name, value in (answer.heads or {}).items()}
    if len(answer.embeddings) > count:
        found["second"] = answer.embeddings[count:].float()
        found["second_heads"] = {name: v[count:].float() for name, v in (answer.heads or {}).items()}
    return found


def _state(training: Training) -> dict[str, Any]:
    """What terms may read of the run itself."""
    device = training.device
    found = {
        "step": torch.tensor(training.iteration),
        "progress": torch.tensor(training.iteration / training.iterations),
    }
    if training.held is not None:
        found["held"] = torch.from_numpy(training.held.figures).to(device)
        found["held_at"] = torch.tensor(training.held.iteration)
    if training.census is not None:
        for name, values in (
            ("class_means", training.census.means),
            ("class_spread", training.census.spread),
            ("class_levels", training.census.levels),
        ):
            if name in training.objective.reads:
                found[name] = torch.from_numpy(values).to(device)
    return found


def _wrapped(training: Training) -> tuple[Any, Any]:
    """Network and objective as they are called: gradients averaged over processes, compiled if asked."""
    run: Any = training.network
    judge: Any = training.objective
    if world_size() > 1:
        ids = [training.device.index] if training.device.type == "cuda" else None
        # Without a term on the logits the classifier gets no gradient, which has to be said beforehand.
        reads = training.objective.reads
        idle = "logits" not in reads or not reads >= set(training.config.model.heads)
        run = DistributedDataParallel(run, device_ids=ids, find_unused_parameters=idle)
        if any(True for _ in judge.parameters()):
            judge = DistributedDataParallel(judge, device_ids=ids)
    return (_compiled(run) if training.config.compile else run), judge


def _compiled(run: Any) -> Any:
    """torch.compile; it works on the first call, and may find no compiler on this machine."""
    from torch._dynamo.exc import TorchDynamoException

    compiled = torch.compile(run)

    def call(images: torch.Tensor) -> Any:
        try:
            return compiled(images)
        except TorchDynamoException as error:
            raise InputError(f"compile: not possible here, leave it out: {one_line(error)}") from None

    return call


def _step_seed(seed: int, iteration: int) -> int:
    return int(np.random.SeedSequence((seed, iteration, rank_here())).generate_state(1, np.uint64)[0] >> 1)
