"""The training on crops of one's own: what it begins with, whether it can begin, and the weights that come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.configs.files import atomic_write, writing
from retrace.reid.calibration import LabelledPairs, fingerprint, refit_pairs
from retrace.reid.calibration.card import KEY as CARD_KEY
from retrace.reid.config import TrainConfig
from retrace.reid.data.sets import ReidImages, ReidSet
from retrace.reid.embedder import Embedder
from retrace.tools.adapting.held_out import LEAST_PAIRS, halves, looked_at, together

PRESET = "osnet_x0_25_adapt"
LEAST_PEOPLE = 4  # that a training takes
Say = Callable[[str], None]


def check_people(data: ReidSet) -> ReidImages:
    """The training part.

    Raises:
        InputError: too few people to train on, or none to measure with.
    """
    train, query, gallery = data.train, data.query, data.gallery
    people = 0 if train is None else len({*train.ids.tolist()})
    if train is None or people < LEAST_PEOPLE:
        raise InputError(
            f"only {people} people to learn from, at least {LEAST_PEOPLE} are wanted: give longer videos"
        )
    pairs = 0
    if query is not None and gallery is not None:
        parts = (np.concatenate([getattr(p, name) for p in (query, gallery)]) for name in ("ids", "cameras"))
        pairs = int(halves(*parts)[0].sum())
    if pairs < LEAST_PAIRS:
        raise InputError(
            f"only {pairs} pairs of later people to measure with, at least {LEAST_PAIRS} are wanted: "
            "give longer videos, or a smaller `cut`"
        )
    return train


def settings_of(begin: Path, changes: Mapping[str, object] | None) -> dict[str, object]:
    """What replaces the preset's values: the network of the given weights, and what the user wants."""
    from retrace.reid.weights.files import read

    _, recipe = read(begin)
    settings: dict[str, object] = {"init": str(begin), "init_head": "drop", "teachers": [str(begin)]}
    settings |= {"evaluate_every": None, "size": [*recipe.size]}
    if recipe.model is not None:
        settings["model"] = recipe.model
    return {**settings, **(changes or {})}


def check_training(settings: Mapping[str, object]) -> None:
    """Begin a training of one batch of nobody: a mistake in its settings shows before anything is tracked.

    Raises:
        InputError: as `fit`.
    """
    from retrace.reid.training.state import start
    from retrace.reid.training.teachers import teacher_dimensions

    few = _people_of_a_batch()
    config = load_preset(PRESET, TrainConfig, "reid", settings)
    if config.batch.identities > few:  # whether so many people are there is not known yet
        config = load_preset(PRESET, TrainConfig, "reid", {**settings, "batch.identities": few})
    people, images = config.batch.identities, config.batch.identities * config.batch.images
    start(config, people, images, "cpu", teacher_dimensions=teacher_dimensions(config.teachers))


def _people_of_a_batch() -> int:
    """As the preset has it; fewer where fewer are there."""
    return load_preset(PRESET, TrainConfig, "reid").batch.identities


def train_on(
    data: ReidSet, begin: Path, out: Path, settings: Mapping[str, object], device: str, say: Say
) -> Path:
    from retrace.reid.training.fit import fit
    from retrace.reid.training.progress import Progress
    from retrace.reid.weights.files import write_mean

    told = [0.0]

    def on_progress(now: Progress) -> None:
        if now.stage == "train" and now.epoch >= told[0] + 1:
            told[0] = now.epoch
            speed = f"{now.images_per_s:.0f} images/s, {now.seconds_left:.0f} s left"
            say(f"epoch {now.epoch:.0f}: loss {now.loss:.2f}, {speed}")

    assert data.train is not None
    people = min(_people_of_a_batch(), len({*data.train.ids.tolist()}))
    fitted = fit(
        PRESET,
        data,
        out,
        changes={"batch.identities": people, **settings},
        device=device,
        on_progress=on_progress,
    )
    write_mean(begin, fitted.weights, out / "mean.safetensors", resized=True)
    return out / "mean.safetensors"


def write_calibrated(data: ReidSet, begin: Path, new: Path, out: Path, device: str, say: Say) -> None:
    """The new weights with a calibration of their own: within tracklets by those held out, of returns the old one's,
    suited to how far apart people are for the new network. Without one where too few pairs are at hand, saying so."""
    from retrace.reid.weights.files import add_to_card

    embedder = Embedder.from_weights(new, device=device)
    distance, ids, cameras = together(looked_at(data, embedder))
    same, other = halves(ids, cameras)
    pairs = (
        np.concatenate([distance[same], distance[other]]),
        np.repeat([True, False], [same.sum(), other.sum()]),
    )
    try:
        old = Embedder.from_weights(begin, device=device).calibration
        card = refit_pairs(old, LabelledPairs(*pairs), "tracklets held out")
    except InputError as error:
        say(f"not calibrated: {error}")
        with writing(out), atomic_write(out, "wb") as file:
            file.write(new.read_bytes())
        return
    card = replace(card, print=fingerprint(embedder.crops, embedder.size))
    add_to_card(new, out, CARD_KEY, card.to_card())
