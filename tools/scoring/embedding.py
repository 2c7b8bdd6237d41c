"""A network's features of a data set, or those of a file: what `retrace.reid` makes for `retrace.eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrace.configs.files import file_hash
from retrace.eval.ranking.features import Features, Side, check_same_images, read_features, tell_apart

if TYPE_CHECKING:
    from retrace.reid.data.sets import ReidImages, ReidSet
    from retrace.reid.embedder import Embedder
    from retrace.tools.terminal.progress import Bar

NAMED = 20  # broken images that a note names
CHUNK = 256  # images between two moves of the progress bar


@dataclass(frozen=True, slots=True)
class Embedding:
    """Which images, and how they become vectors."""

    data: str | Path  # of the data set
    layout: str = "auto"
    split: int = 0
    strict: bool = False  # a broken image is an error, not left out
    cache: str | Path | None = None  # of decoded images; None: the usual place
    device: str = "auto"
    runtime: str = "auto"
    model: str | None = None  # the network, where the file does not say
    batch_size: int = 16
    threads: int | None = None
    size: tuple[int, int] | None = None  # height, width px
    flip: bool = False
    input: str | None = None  # how foreign weights take images; see `Embedder.from_weights`
    uncalibrated: bool = False  # leave out what the weights' card says of distances


def load_features(names: Sequence[str], how: Embedding | None, bar: Bar) -> list[Features]:
    """The features of each name, image by image: a features file (.npz), or weights that embed a data set.

    Args:
        names: the first is the one that others are compared with.
        how: None: all names are features files.
        bar: (title, total) -> a context that gives a function (done, total).

    Raises:
        InputError: whatever the user can get wrong; two results that are not of the same images.
    """
    return load_with_cohort(names, how, None, bar)[0]


def load_with_cohort(
    names: Sequence[str], how: Embedding | None, cohort: str | None, bar: Bar
) -> tuple[list[Features], list[Features]]:
    """As :func:`load_features`, and the cohort's features by each of the names; None: no cohort, no features.

    Args:
        cohort: a features file (.npz), or a data set that is embedded as ``how`` says, whatever its layout.

    Raises:
        InputError: as :func:`load_features`.
    """
    data = None if how is None else read_data(how)
    strangers = None if cohort is None else _read_cohort(cohort, how)
    # All are opened before one is put to work: a mistake in the second must not cost the first's minutes.
    opened = [_open(name, how) for name in names]
    found = [_features(each, data, how, bar) for each in opened]
    for other in found[1:]:
        check_same_images(found[0], other)
    if strangers is None:
        return tell_apart(found), []
    if isinstance(strangers, Features):
        return tell_apart(found), [strangers for _ in opened]
    return tell_apart(found), [_features(each, strangers, how, bar) for each in opened]


def _features(
    opened: Features | tuple[Path, Embedder], data: ReidSet | None, how: Embedding | None, bar: Bar
) -> Features:
    if isinstance(opened, Features):
        return opened
    assert data is not None
    assert how is not None
    return embed(*opened, data, how, bar)


def _read_cohort(cohort: str, how: Embedding | None) -> Features | ReidSet:
    if how is None or cohort.lower().endswith(".npz"):
        return read_features(Path(cohort))
    return read_data(replace(how, data=cohort, layout="auto"))


def _open(name: str, how: Embedding | None) -> Features | tuple[Path, Embedder]:
    """A features file, read, or weights, loaded."""
    if how is None or name.lower().endswith(".npz"):
        return read_features(Path(name))
    from retrace.reid.embedder import Embedder, find_weights

    path = find_weights(name)
    options = {
        key: getattr(how, key)
        for key in ("runtime", "model", "batch_size", "threads", "size", "flip", "input", "uncalibrated")
    }
    return path, Embedder.from_weights(path, how.device, **options)


def read_data(how: Embedding) -> ReidSet:
    from retrace.reid.data.sets import read_reid_set

    need = ("query", "gallery")
    return read_reid_set(how.data, how.layout, parts=need, need=need, split=how.split, strict=how.strict)


def embed(path: Path, embedder: Embedder, data: ReidSet, how: Embedding, bar: Bar) -> Features:
    """Vectors of the data's queries and gallery."""
    from retrace.reid.data.image_cache import image_cache_folder, open_sound_images

    folder = Path(how.cache) if how.cache else image_cache_folder()
    notes, sides = list(data.notes), []
    if embedder.fed:
        notes.append(f"{path.name}: {embedder.fed}")
    if embedder.without:
        notes.append(f"{path.name}: {embedder.without}")
    for part in ("query", "gallery"):
        images: ReidImages = getattr(data, part)
        with bar(f"decode {part}", len(images)) as advance:
            images, pixels, broken = open_sound_images(
                images, embedder.size, folder, strict=how.strict, jobs=how.threads, progress=advance
            )
        if broken:
            rest = " ..." * (len(broken) > NAMED)
            notes.append(f"{part}: {len(broken)} broken images left out: {', '.join(broken[:NAMED])}{rest}")
        features = np.empty((len(images), embedder.dim), np.float32)
        with bar(f"embed {part}", len(images)) as advance:
            for start in range(0, len(images), CHUNK):
                # A copy: the cache is read-only, and torch warns about that.
                features[start : start + CHUNK] = embedder.crops(np.array(pixels[start : start + CHUNK]))
                advance(min(start + CHUNK, len(images)), len(images))
        sides.append(
            Side(features, images.ids, images.cameras, tuple(str(p.resolve()) for p in images.paths))
        )
    about = {
        "data": data.name,
        "weights": path.name,
        "weights_sha256": file_hash(path),
        "description": embedder.description,
        "flip": how.flip,
    }
    query, gallery = sides
    return Features(_name(path), query, gallery, tuple(notes), about)


def _name(weights: Path) -> str:
    """Of a training's result (RUN/weights.safetensors) the run's name."""
    stem = weights.name.removesuffix(".tar").rpartition(".")[0] or weights.name
    return weights.resolve().parent.name if stem == "weights" else stem
