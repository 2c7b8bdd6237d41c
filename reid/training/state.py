"""Training: the state of a run, and its steps. Files, logs and progress are the tool's.

Everything random comes from ``config.seed`` and the iteration's number, so a run that goes on from a checkpoint
repeats to the last bit on a CPU what it would have done without the stop.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from retrace.configs import InputError
from retrace.reid.config import TrainConfig
from retrace.reid.losses.batch import Batch
from retrace.reid.losses.objective import Objective, Sizes
from retrace.reid.networks import build as networks
from retrace.reid.networks.heads import head_dimensions
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe
from retrace.reid.sampling.census import Census, take_census
from retrace.reid.sampling.identities import identity_batches
from retrace.reid.sampling.neighbours import cluster_batches, neighbour_batches, random_batches
from retrace.reid.training.augment import augment
from retrace.reid.training.features import features
from retrace.reid.training.optimizer import make_optimizer, rate_factor
from retrace.reid.training.teacher import Teacher
from retrace.reid.weights.files import start_from

CHECK_EVERY = 10  # iterations between looks at the losses: a look waits for a GPU
NEED_CENSUS = ("neighbour", "cluster")  # samplers
OF_CENSUS = {"class_means", "class_spread", "class_levels"}
REMEDY = "lower optimizer.lr, set optimizer.clip_norm, or warm up longer"


class Diverged(InputError):
    """The loss is not a number any more."""


@dataclass(frozen=True)
class Step:
    """One iteration, done. Losses stay on the device until somebody reads them."""

    iteration: int  # from 1
    images: int  # seen so far, over all processes
    epoch: float
    rate: float  # learning rate of the network
    loss: torch.Tensor  # () float32
    parts: dict[str, torch.Tensor]  # each term before its weight


@dataclass
class Training:
    """A run: what is trained, and how far it is. Make one with :func:`start`."""

    config: TrainConfig
    network: networks.OwnHead | networks.PooledHead
    objective: Objective
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    device: torch.device
    classes: int
    iterations_per_epoch: int
    iteration: int = 0
    census: Census | None = None  # the latest, where a sampler or a term reads one
    teacher: Teacher | None = None
    columns: tuple[str, ...] = ()  # label columns that terms may read
    notes: list[str] = field(default_factory=list)  # what was done to the weights it started from
    unchecked: list[torch.Tensor] = field(default_factory=list)

    @property
    def iterations(self) -> int:
        """Of the whole run."""
        return max(1, round(self.config.epochs * self.iterations_per_epoch))

    @property
    def best_network(self) -> nn.Module:
        """The one to evaluate and to keep: averaged weights where the preset asks for them."""
        return self.network if self.average is None else self.average.module

    @property
    def census_every(self) -> int:
        """Iterations between two looks at the whole training set; 0: nobody needs one."""
        read = self.config.sampler.kind in NEED_CENSUS or self.objective.reads & OF_CENSUS
        return max(1, round(self.config.census.every * self.iterations_per_epoch)) if read else 0

    def recipe(self, card: dict[str, Any]) -> Recipe:
        return Recipe(
            name=self.config.model.name,
            size=self.config.size,
            classes=self.classes,
            model=self.config.model.model_dump(mode="json"),
            card=card,
        )

    def check(self) -> None:
        """Raises Diverged if a loss since the last look was not finite."""
        if self.unchecked:
            finite = torch.stack(self.unchecked).isfinite()
            self.unchecked.clear()
            if not finite.all():
                raise Diverged(
                    f"the loss is not finite any more, at iteration {self.iteration} or up to {CHECK_EVERY} "
                    f"before: {REMEDY}"
                )

    def state_dict(self) -> dict[str, Any]:
        """Everything that :meth:`load_state_dict` needs to go on exactly; tensors, numbers and strings.

        Raises:
            Diverged: the loss or a weight is not finite any more, so the state is of no use.
        """
        self.check()
        # The last step can break the weights after a loss that was still finite.
        for key, value in [*self.network.state_dict().items(), *self.objective.state_dict().items()]:
            if not value.isfinite().all():
                raise Diverged(f"{key} is not finite any more at iteration {self.iteration}: {REMEDY}")
        return {
            "config": self.config.model_dump_json(),
            "classes": self.classes,
            "iterations_per_epoch": self.iterations_per_epoch,
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "census": None
            if self.census is None
            else {
                k: torch.from_numpy(v) if k != "iteration" else v for k, v in self.census.state_dict().items()
            },
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint of a run with the same network and data.

        Raises:
            InputError: the checkpoint is of another kind of run.
        """
        for key in ("classes", "iterations_per_epoch"):
            if key not in state:
                raise InputError(f"the checkpoint has no {key!r}: it is not one of a training run")
            if state[key] != getattr(self, key):
                raise InputError(
                    f"the checkpoint was made with {key}={state[key]}, this run has {getattr(self, key)}: "
                    "give the same data and the same batch"
                )
        if (state["average"] is None) != (self.average is None):
            raise InputError("the checkpoint and this run disagree about ema: resume with the same preset")
        try:
            self.network.load_state_dict(state["network"])
            self.objective.load_state_dict(state["objective"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            if self.teacher is not None:
                self.teacher.load_state_dict(state.get("teacher"))
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"the checkpoint does not fit this run's preset (was it changed?): {networks.short(error)}"
            ) from None
        found = state.get("census")
        if found is not None:
            self.census = Census(**{k: v if k == "iteration" else v.numpy() for k, v in found.items()})
        self.iteration = state["iteration"]


def start(
    config: TrainConfig,
    classes: int,
    images: int,
    device: str | torch.device,
    resumed: bool = False,
    teacher_dimensions: int = 0,
    columns: Mapping[str, int] | None = None,
) -> Training:
    """A run before its first iteration.

    Args:
        classes: C, identities to tell apart.
        images: N, training images; an epoch is N // (P * K) iterations.
        resumed: a checkpoint follows, so ``config.init`` is not read; its file may be gone by now.
        teacher_dimensions: T of the teachers' vectors that :func:`steps` gets; 0: it gets none.
        columns: label columns of the data beside identity and camera, and how many values each has.

    Raises:
        InputError: unknown network or term, unfit initial weights, a batch that cannot be shared out.
    """
    device = torch.device(device)
    world = _world()
    share = config.batch.identities // (world * config.accumulate)
    if share * world * config.accumulate != config.batch.identities or share < 2:
        raise InputError(
            f"batch.identities={config.batch.identities} over {world} processes and {config.accumulate} parts: "
            "each part needs the same number of identities, and at least 2"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = networks.build(config.model, classes, config.size)
        teacher = None if config.teacher is None else Teacher(config.teacher, network, config.size, device)
        each = max(1, images // (config.batch.identities * config.batch.images))
        sizes = Sizes(
            classes,
            network.dimensions,
            identities=share,
            images=config.batch.images,
            iterations=max(1, round(config.epochs * each)),
            channels=network.channels,
            map_size=network.map_size if isinstance(network, networks.PooledHead) else (1, 1),
            teacher_dimensions=teacher.dimensions if teacher is not None else teacher_dimensions,
            views=config.views,
            whole=config.accumulate == world == 1,
            heads={name: head_dimensions(head) for name, head in config.model.heads.items()},
            labels=columns or {},
        )
        objective = Objective(config.losses, sizes)
    notes: list[str] = []
    if config.init is not None and not resumed:
        # Weights that the project ships have no classifier.
        start_from(network, config.init, config.init_head == "drop" or config.init == "auto", notes)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    network = network.to(device).to(memory_format=layout)  # type: ignore[call-overload]
    objective = objective.to(device)
    average = None
    if config.ema is not None:
        average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True
        ).eval()
    if teacher is not None:
        teacher.start_as(network)
    training = Training(
        config=config,
        network=network,
        objective=objective,
        optimizer=make_optimizer(config.optimizer, network, objective),
        average=average,
        device=device,
        classes=classes,
        iterations_per_epoch=each,
        teacher=teacher,
        columns=tuple(columns or ()),
        notes=notes,
    )
    if world > 1 and (training.census_every or config.sampler.kind != "identity"):
        raise InputError("sampler and census are for one process: leave them out, or train with one")
    return training


def steps(
    training: Training,
    pixels: np.ndarray,
    labels: np.ndarray,
    cameras: np.ndarray,
    teacher: np.ndarray | None = None,
    columns: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Step]:
    """Train to the end of the run; one Step an iteration. Stop iterating to stop training.

    Args:
        pixels: (N, H, W, 3) uint8 BGR, memory-mapped or not.
        labels: (N,) int64 in [0, C).
        cameras: (N,) int64.
        teacher: (N, T) float32, what `reid.training.teachers` says of each image; None: nobody was asked.
        columns: name -> (N,) int64 from 0: other labels of the images.

    Raises:
        Diverged: the loss became NaN or infinite; the state is then of no use.
    """
    config, world, rank = training.config, _world(), _rank()
    known = {"ids": labels, "cameras": cameras, "rows": np.arange(len(labels)), **(columns or {})}
    known |= {} if teacher is None else {"teacher": teacher}
    run, judge = _wrapped(training)
    base_rates = [group["base_lr"] for group in training.optimizer.param_groups]
    for rows in _batches(training, pixels, labels, cameras):
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
        yield Step(
            iteration=training.iteration,
            images=training.iteration * len(rows),
            epoch=training.iteration / training.iterations_per_epoch,
            rate=base_rates[0] * factor,
            loss=loss,
            parts=parts,
        )


def _batches(
    training: Training, pixels: np.ndarray, labels: np.ndarray, cameras: np.ndarray
) -> Iterator[np.ndarray]:
    """The rows of every iteration that is left; between them, where somebody needs it, a census."""
    config, every = training.config, training.census_every
    batch, sampler = config.batch, config.sampler
    found: Iterator[np.ndarray] = iter(())
    if sampler.kind == "identity":
        found = identity_batches(labels, batch.identities, batch.images, config.seed, batch.order, cameras)
        found = itertools.islice(found, training.iteration, None)
    elif sampler.kind == "random":
        found = random_batches(labels, batch.identities * batch.images, config.seed)
        found = itertools.islice(found, training.iteration, None)
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
        yield next(found)


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
        vectors, labels, iteration, config.census.levels, config.census.top, clusters, config.seed
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
    if _world() > 1:
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
            raise InputError(f"compile: not possible here, leave it out: {networks.short(error)}") from None

    return call


def _step_seed(seed: int, iteration: int) -> int:
    return int(np.random.SeedSequence((seed, iteration, _rank())).generate_state(1, np.uint64)[0] >> 1)


def _world() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
