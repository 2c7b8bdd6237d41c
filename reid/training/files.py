"""The files of a training run: its logs, its checkpoint, what it says of itself."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import torch

from retrace.configs import InputError
from retrace.configs.errors import install, one_line
from retrace.configs.files import atomic_write, writing
from retrace.configs.reading import read_json
from retrace.reid.training.state import Training
from retrace.reid.training.steps import Iteration
from retrace.reid.weights.checkpoints import damaged_part

CHECKPOINT, WEIGHTS = "checkpoint.pt", "weights.safetensors"
LOG, EVALUATION, RUN = "log.csv", "evaluation.csv", "run.json"
LOCK = "run.lock"  # held by who trains into the folder


class Log:
    """log.csv, evaluation.csv and, where asked, TensorBoard's files; lines after ``iteration`` are dropped.

    At iteration 0 whatever an earlier run left is dropped whole: its columns may be others.
    """

    def __init__(self, out: Path, iteration: int, tensorboard: bool) -> None:
        self.steps, self.evaluations = out / LOG, out / EVALUATION
        for path in (self.steps, self.evaluations):
            if iteration == 0:
                path.unlink(missing_ok=True)
            else:
                _cut(path, iteration)
        self.board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError(f"tensorboard=True needs tensorboard: {install('train')}") from None
            self.board = SummaryWriter(out / "tensorboard", purge_step=iteration + 1)

    def step(self, step: Iteration, images_per_second: float) -> None:
        parts = {name: float(value) for name, value in step.parts.items()}
        values = {"learning_rate": step.rate, "loss": float(step.loss), **parts}
        values["images_per_s"] = round(images_per_second, 1)
        self._add(self.steps, step.number, step.images, step.epoch, values)

    def evaluation(self, iteration: int, images: int, epoch: float, figures: dict[str, float]) -> None:
        self._add(self.evaluations, iteration, images, epoch, figures)

    def evaluated(self, iteration: int) -> bool:
        """Whether evaluation.csv has this iteration."""
        return any(row[0] == str(iteration) for row in _rows(self.evaluations)[1:])

    def column(self, name: str) -> list[float]:
        """A figure of every evaluation so far."""
        header, *rows = _rows(self.evaluations) or [[]]
        return [float(row[header.index(name)]) for row in rows] if name in header else []

    def _add(self, path: Path, iteration: int, images: int, epoch: float, values: dict[str, float]) -> None:
        row = {"iteration": iteration, "images": images, "epoch": f"{epoch:.3f}", **values}
        fresh = not path.exists()
        with writing(path), open(path, "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        for name, value in values.items() if self.board is not None else ():
            self.board.add_scalar(name, value, iteration)


def _rows(path: Path) -> list[list[str]]:
    """The header and the whole lines of a log; none where there is no file, or an empty one."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    return [row for k, row in enumerate(rows) if k == 0 or (len(row) == len(rows[0]) and row[0].isdecimal())]


def _cut(path: Path, iteration: int) -> None:
    """Keep only the lines up to ``iteration``: a run that goes on writes the later ones again."""
    rows = _rows(path)
    if not rows:
        path.unlink(missing_ok=True)
        return
    kept = [row for row in rows[1:] if int(row[0]) <= iteration]
    text = io.StringIO()
    csv.writer(text).writerows([rows[0], *kept])
    with writing(path), atomic_write(path, "wb") as file:
        file.write(text.getvalue().encode())


def write_checkpoint(path: Path, training: Training) -> None:
    """Beside, onto the disk, then under its name: there is always a whole one.

    Raises:
        InputError: it cannot be written; the one before stays.
        Diverged: there is nothing left that is worth keeping.
    """
    state = training.state_dict()
    with writing(path), atomic_write(path, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's word for what the file has said before
            refused = error.__context__
            raise refused if isinstance(refused, OSError) else OSError(0, one_line(error)) from None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a training wrote to go on from, checked by its checksums.

    Raises:
        InputError: none there, damaged, or of something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no checkpoint there to go on from")
    try:
        damaged = damaged_part(path)
        if damaged is not None:
            raise InputError(f"{path}: is damaged: {damaged} does not match its checksum; start the run anew")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # torch, pickle and zipfile raise a dozen kinds for a broken file
        raise InputError(f"{path}: not readable as a checkpoint: {one_line(error)}") from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: not a checkpoint of a training run")
    return state


def read_run(out: Path) -> dict[str, Any]:
    """What run.json says of the run.

    Raises:
        InputError: there is none, or it is something else.
    """
    if not (out / RUN).is_file():
        raise InputError(f"{out / RUN}: no such file, so there is no run to go on with")
    about = read_json(out / RUN)
    if not {"config", "data"} <= about.keys() or not isinstance(about["data"], str):
        raise InputError(f"{out / RUN}: not what a training writes; give the folder of a training run")
    return about
