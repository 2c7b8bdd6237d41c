"""The state of a run: what is trained, how far it is, what of it a checkpoint keeps.

Everything random comes from ``config.seed`` and the iteration's number, so a run that goes on from a checkpoint
repeats to the last bit on a CPU what it would have done without the stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.reid.config import TrainConfig
from retrace.reid.losses.objective import Objective, Sizes
from retrace.reid.networks import build as networks
from retrace.reid.networks.depthwise import quicken_depthwise
from retrace.reid.networks.heads import head_dimensions
from retrace.reid.recipe import Recipe
from retrace.reid.sampling.census import Census
from retrace.reid.sampling.held_back import Held
from retrace.reid.training.optimizer import make_optimizer
from retrace.reid.training.teacher import Teacher
from retrace.reid.weights.files import start_from
from retrace.reid.weights.shipped import NAMED

CHECK_EVERY = 10  # iterations between looks at the losses: a look waits for a GPU
NEED_CENSUS = ("neighbour", "cluster")  # samplers
OF_CENSUS = {"class_means", "class_spread", "class_levels"}
REMEDY = "lower optimizer.lr, set optimizer.clip_norm, or warm up longer"


class Diverged(InputError):
    """The loss is not a number any more."""


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
    held: Held | None = None  # the latest look at images held back, where a term reads one
    teacher: Teacher | None = None
    columns: tuple[str, ...] = ()  # label columns that terms may read
    notes: list[str] = field(default_factory=list)  # of the weights it started from, of its settings
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
            "held": None
            if self.held is None
            else {"figures": torch.from_numpy(self.held.figures), "iteration": self.held.iteration},
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
                f"the checkpoint does not fit this run's preset (was it changed?): {one_line(error)}"
            ) from None
        found = state.get("census")
        if found is not None:
            self.census = Census(**{k: v if k == "iteration" else v.numpy() for k, v in found.items()})
        looked = state.get("held")
        if looked is not None:
            self.held = Held(looked["figures"].numpy(), looked["iteration"])
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
    world = world_size()
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
            live=teacher is not None,
            clusters=config.sampler.clusters if config.sampler.kind == "cluster" else 0,
            held=config.census.held > 0,
            heads={name: head_dimensions(head) for name, head in config.model.heads.items()},
            labels=columns or {},
        )
        objective = Objective(config.losses, sizes)
    notes: list[str] = []
    if config.init is not None and not resumed:
        # Weights that the project ships have no classifier.
        drop_head = config.init_head == "drop" or config.init in NAMED
        start_from(network, config.init, drop_head, notes, config.seed if config.init_wider else None)
    if config.schedule.warmup > config.epochs:
        notes.append(
            f"the learning rate rises for {config.schedule.warmup:g} epochs (`schedule.warmup`) and never gets to its "
            f"height: there are {config.epochs:g}"
        )
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    if config.precision == "bfloat16" and device.type == "cpu":
        quicken_depthwise(network)
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
    if config.census.held and "held" not in objective.reads:
        raise InputError("census.held: no term reads what is found on images held back; leave it out")
    if world > 1 and (training.census_every or config.census.held or config.sampler.kind != "identity"):
        raise InputError("sampler and census are for one process: leave them out, or train with one")
    return training


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank_here() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
