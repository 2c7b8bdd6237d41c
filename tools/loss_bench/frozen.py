"""The quick comparison: a linear head and a BNNeck on vectors of a network that stays as it is.

Every image (and its mirror image, for terms that want two views) is embedded once; a run of a thousand steps is
then seconds. What it measures is how well an objective re-weighs given numbers, not how it trains a network: label
smoothing costs here what it gains in training, and distance terms alone do as well as classifiers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from retrace.configs.files import atomic_write, file_hash
from retrace.reid.config import ModelConfig
from retrace.reid.data.image_cache import open_images
from retrace.reid.data.sets import ReidImages, read_reid_set
from retrace.reid.embedder import Embedder
from retrace.reid.losses.batch import Batch
from retrace.reid.losses.objective import Objective, Sizes
from retrace.reid.networks.build import PooledHead
from retrace.reid.networks.heads import head_dimensions
from retrace.reid.sampling.census import Census, take_census
from retrace.reid.sampling.identities import identity_batches
from retrace.reid.sampling.neighbours import cluster_batches, neighbour_batches
from retrace.reid.training.state import NEED_CENSUS
from retrace.tools.loss_bench.entrants import Bench, Entrant, objective
from retrace.tools.loss_bench.people import few_of_each, figures, hold_out, score, space_of

CHUNK = 256
CENSUS_EVERY = 136  # steps: an epoch of the 501 people


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Images with their frozen vectors."""

    images: ReidImages
    vectors: np.ndarray  # (N, D) float32 unit rows
    mirrored: np.ndarray  # (N, D) of the mirror images

    def take(self, rows: np.ndarray) -> Part:
        return Part(self.images.take(rows), self.vectors[rows], self.mirrored[rows])


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPeople:
    """Who is trained on, and who is asked for: in the same place, and elsewhere."""

    train: Part
    query: Part
    gallery: Part
    other: tuple[Part, Part]  # query and gallery of another data set


def embed_people(weights: Path, data: Path, other: Path, work: Path, tell: Any) -> EmbeddedPeople:
    """Everybody's vectors, from ``work`` where they are there."""
    here, there = read_reid_set(data), read_reid_set(other)
    key = file_hash(weights)[:12]
    parts = [
        _part(weights, images, work / f"vectors-{key}-{place}-{name}.npz", tell)
        for place, found in ((data.name, here), (other.name, there))
        for name in ("train", "query", "gallery")
        if (images := getattr(found, name)) is not None and (place == data.name or name != "train")
    ]
    return EmbeddedPeople(parts[0], parts[1], parts[2], (parts[3], parts[4]))


def _part(weights: Path, images: ReidImages, path: Path, tell: Any) -> Part:
    if path.is_file():
        with np.load(path) as file:
            if len(file["vectors"]) == len(images):
                return Part(images, file["vectors"], file["mirrored"])
    tell(f"embedding {len(images):,} images into {path.name}")
    embedder = Embedder.from_weights(weights, threads=1)
    vectors, mirrored = [], []
    for start in range(0, len(images), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(images)))
        pixels = open_images(images.take(rows), embedder.size)
        vectors.append(embedder.crops(np.array(pixels)))
        mirrored.append(embedder.crops(np.array(pixels[:, :, ::-1])))
    found = Part(images, np.concatenate(vectors), np.concatenate(mirrored))
    with atomic_write(path, "wb") as file:
        np.savez(file, vectors=found.vectors, mirrored=found.mirrored)
    return found


class HeadTraining:
    """One head in training."""

    def __init__(
        self,
        bench: Bench,
        entrant: Entrant,
        losses: Mapping[str, Any],
        rate: float,
        part: Part,
        seed: int,
        steps: int,
    ) -> None:
        how = bench.frozen
        self.bench, self.entrant, self.part, self.seed, self.steps = bench, entrant, part, seed, steps
        self.clusters = entrant.sampler.clusters if entrant.sampler.kind == "cluster" else 0
        self.ids, self.labels = np.unique(part.images.ids, return_inverse=True)
        channels = part.vectors.shape[1]
        model = ModelConfig(name="frozen", embedding=how.dimensions, pool=entrant.pool, heads=entrant.heads)
        torch.manual_seed(seed)
        self.network = PooledHead(nn.Identity(), channels, model, len(self.ids))
        self.objective = Objective(
            losses,
            Sizes(
                len(self.ids),
                how.dimensions,
                identities=bench.identities,
                images=bench.images,
                iterations=steps,
                channels=channels,
                teacher_dimensions=channels if entrant.teacher else 0,
                views=entrant.views,
                clusters=self.clusters,
                heads={name: head_dimensions(head) for name, head in entrant.heads.items()},
            ),
        )
        groups = [{"params": list(self.network.parameters())}, *self.objective.parameter_groups()]
        self.optimizer = torch.optim.AdamW(
            [g for g in groups if g["params"]], lr=rate, weight_decay=how.weight_decay, fused=True
        )
        self.inputs = torch.from_numpy(part.vectors * how.scale)[:, :, None, None]
        self.views = torch.from_numpy(part.mirrored * how.scale)[:, :, None, None]
        raw = part.vectors + part.mirrored
        raw = raw - raw.mean(0)
        self.teacher = torch.from_numpy(raw / np.linalg.norm(raw, axis=1, keepdims=True).clip(1e-12))
        self.census: Census | None = None

    def go(self) -> Iterator[int]:
        """One step after the other; the number of steps done."""
        batches = self._batches()
        for step in range(self.steps):
            if self._reads_census and step % CENSUS_EVERY == 0:
                self._look(step)
                batches = self._batches()
            self._step(step, next(batches))
            yield step + 1

    @property
    def _reads_census(self) -> bool:
        return self.entrant.sampler.kind in NEED_CENSUS or "class_levels" in self.objective.reads

    def _look(self, step: int) -> None:
        self.census = take_census(
            self.vectors(self.inputs),
            self.labels,
            step,
            clusters=self.clusters,
            seed=self.seed,
            before=self.census,
        )

    def _batches(self) -> Iterator[np.ndarray]:
        people, images = self.bench.identities, self.bench.images
        if self.entrant.sampler.kind in NEED_CENSUS:
            if self.census is None:
                return iter(())
            seed = (self.seed, self.census.iteration)
            if self.clusters:
                return cluster_batches(self.labels, people, images, seed, self.census)
            return neighbour_batches(
                self.labels, people, images, seed, self.census, self.entrant.sampler.anchors
            )
        return identity_batches(self.labels, people, images, self.seed)

    def _step(self, step: int, rows: np.ndarray) -> None:
        self.network.train()
        index = torch.from_numpy(rows)
        inputs = self.inputs[index]
        two = self.entrant.views == 2
        answer = self.network(torch.cat([inputs, self.views[index]]) if two else inputs)
        count = len(rows)
        given: dict[str, Any] = {
            name: None if value is None else value[:count]
            for name, value in answer._asdict().items()
            if name != "heads"
        }
        heads = answer.heads or {}
        given["heads"] = {name: value[:count] for name, value in heads.items()}
        if two:
            given |= {
                "second": answer.embeddings[count:],
                "second_heads": {n: v[count:] for n, v in heads.items()},
            }
        if self.entrant.teacher:
            given["teacher"] = self.teacher[index]
        if self.census is not None:
            if self.clusters:
                given["cluster"] = torch.from_numpy(self.census.clusters[rows])
            given["class_levels"] = torch.from_numpy(self.census.levels)
            given["class_spread"] = torch.from_numpy(self.census.spread)
            given["class_means"] = torch.from_numpy(self.census.means)
        loss, _ = self.objective(
            Batch(
                **given,
                ids=torch.from_numpy(self.labels[rows]),
                cameras=torch.from_numpy(self.part.images.cameras[rows]),
                rows=index,
                step=torch.tensor(step),
                progress=torch.tensor(step / self.steps),
                labels={},
            )
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def vectors(self, inputs: torch.Tensor) -> np.ndarray:
        """(N, D) unit rows of what the user would get."""
        self.network.eval()
        with torch.inference_mode():
            return nn.functional.normalize(self.network(inputs), dim=1).numpy()

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """(N, D) unit rows of frozen vectors (N, C)."""
        return self.vectors(torch.from_numpy(vectors * self.bench.frozen.scale)[:, :, None, None])


def search(
    people: EmbeddedPeople, bench: Bench, name: str, setting: int, seed: int, steps: int
) -> dict[str, Any]:
    """Train without the validation people; their mAP by the number of steps."""
    images = people.train.images
    choice = hold_out(images.ids, images.cameras, bench.validation)
    query, gallery = people.train.take(choice.query), people.train.take(choice.gallery)
    losses, rate = objective(bench, "frozen", name, setting, bench.frozen.rate)
    run = HeadTraining(
        bench, bench.entrants[name], losses, rate, people.train.take(choice.train), seed, steps
    )
    curve = {}
    for done in run.go():
        if done % bench.frozen.look == 0:
            curve[str(done)] = round(
                score(run.of(query.vectors), query.images, run.of(gallery.vectors), gallery.images).mAP, 6
            )
    return {"losses": losses, "rate": rate, "curve": curve}


def final(
    people: EmbeddedPeople, bench: Bench, name: str, setting: int, seed: int, steps: int
) -> dict[str, Any]:
    """Train on everybody, score those who were never seen."""
    losses, rate = objective(bench, "frozen", name, setting, bench.frozen.rate)
    run = trained(people, bench, name, setting, seed, steps)
    return {"losses": losses, "rate": rate, **measured(run, people)}


def trained(
    people: EmbeddedPeople, bench: Bench, name: str, setting: int, seed: int, steps: int
) -> HeadTraining:
    """A head trained on everybody."""
    losses, rate = objective(bench, "frozen", name, setting, bench.frozen.rate)
    run = HeadTraining(bench, bench.entrants[name], losses, rate, people.train, seed, steps)
    for _ in run.go():
        pass
    return run


def measured(run: HeadTraining, people: EmbeddedPeople) -> dict[str, Any]:
    """The figures of a head that has been trained."""
    query, gallery = people.query, people.gallery
    found = figures(run.of(query.vectors), query.images, run.of(gallery.vectors), gallery.images)
    query, gallery = people.other
    other = figures(run.of(query.vectors), query.images, run.of(gallery.vectors), gallery.images)
    found["other"] = {key: other[key] for key in ("mAP", "rank-1")}
    few = run.part.take(few_of_each(run.part.images.ids))
    found["space"] = space_of(run.of(few.vectors), few.images.ids)
    found["term_parameters"] = sum(p.numel() for p in run.objective.parameters())
    return found
