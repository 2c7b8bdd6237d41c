"""Result files of several cameras: read, linked, the same boxes with ids of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results, read_sequence_info
from retrace.tracker.offline.files import BESIDE
from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.ground import Ground, read_ground
from retrace.tracker.site.learning import learn_ground
from retrace.tracker.site.linking import link
from retrace.tracker.site.sightings import Sightings


@dataclass(frozen=True, slots=True, eq=False)
class Linked:
    """Several cameras after linking."""

    tables: dict[str, MotTable]  # by camera, ids of people, each once a frame
    ground: Ground
    learned: bool  # else it was given
    tracklets: int
    people: int

    @property
    def note(self) -> str:
        """In words what was done."""
        ground = "learned" if self.learned else "given"
        return f"{len(self.tables)} cameras, ground {ground}: {self.tracklets} tracklets are {self.people} people"


def link_tables(
    tables: Mapping[str, MotTable],
    config: SiteConfig,
    *,
    ground: Ground | None = None,
    learn_frames: int | None = None,
    heights: Mapping[str, int] | None = None,
) -> Linked:
    """One id a person over all cameras.

    Args:
        tables: by camera, of the same moments; what ids of two cameras have in common means nothing.
        config: see `SiteConfig`.
        ground: pixels to the ground; None: learned from the first ``learn_frames`` frames (None: all).
        heights: px of the pictures, where known.

    Raises:
        InputError: fewer than two cameras, a ground that cannot be learned or does not fit the cameras.
    """
    if learn_frames is not None and ground is not None:
        raise InputError("`learn_frames` is for a ground that is learned, and `homography` gives it")
    if learn_frames is not None and learn_frames < 1:
        raise InputError(f"`learn_frames` is {learn_frames}, expected 1 or more")
    s = Sightings.of(tables, heights)
    known = ground if ground is not None else learn_ground(_until(s, learn_frames), config)
    person = link(s, known, config)
    found, start = {}, 0
    for name, table in tables.items():
        ids, row = np.unique(table.id, return_inverse=True)
        own = person[start + row]
        found[name] = replace(table, id=own).take(np.lexsort((own, table.frame)))
        start += len(ids)
    return Linked(found, known, ground is None, len(person), len(np.unique(person)))


def link_folder(
    results: Path,
    config: SiteConfig,
    *,
    cameras: Sequence[str] | None = None,
    homography: Path | None = None,
    learn_frames: int | None = None,
    sequences: Path | None = None,
) -> Linked:
    """:func:`link_tables` of every ``CAMERA.txt`` of a folder; nothing is written.

    Raises:
        InputError: as there; no such camera, a fault of a file.
    """
    paths = {p.stem: p for p in sorted(results.glob("*.txt")) if not p.name.endswith(BESIDE)}
    unknown = [name for name in cameras or () if name not in paths]
    if unknown:
        raise InputError(f"`cameras`: no {unknown[0]}.txt in {results}; {nearest(unknown[0], paths)}")
    chosen = {name: paths[name] for name in cameras or paths}
    if len(chosen) < 2:
        raise InputError(
            f"`results` {results}: expected CAMERA.txt of two cameras or more, got {len(chosen)}"
        )
    heights = (
        {name: read_sequence_info(sequences / name).height for name in chosen}
        if sequences is not None
        else None
    )
    ground = read_ground(homography) if homography is not None else None
    tables = {name: read_results(path) for name, path in chosen.items()}
    return link_tables(tables, config, ground=ground, learn_frames=learn_frames, heights=heights)


def _until(s: Sightings, frames: int | None) -> Sightings:
    return s if frames is None else s.take(s.frame < frames)
