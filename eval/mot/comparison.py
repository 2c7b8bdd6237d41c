"""Several trackers' results on the same ground truth, in one table and one plot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.eval.manifest import read_manifest, unlike
from retrace.eval.mot.folders import FolderScore, score_folder
from retrace.eval.mot.report import curves_svg
from retrace.eval.report import Cell, Section

PER_SEQUENCE = ("HOTA", "IDF1", "MOTA")


@dataclass(frozen=True, slots=True)
class SeveralScores:
    """What several folders of results scored."""

    folders: dict[str, FolderScore]  # by the results' name
    notes: list[str]  # what a reader of the table must know

    @property
    def title(self) -> str:
        first = next(iter(self.folders.values()))
        return f"{first.benchmark}, {first.split}, {len(first.metrics)} sequences"

    @property
    def rows(self) -> dict[str, dict[str, float | int]]:
        """All sequences together, a row each."""
        return {name: one.combined.row() for name, one in self.folders.items()}

    @property
    def head(self) -> str:
        """What the rows are."""
        return "results"

    @property
    def sections(self) -> list[Section]:
        """A table a metric, a column a sequence, where there are several."""
        names = list(next(iter(self.folders.values())).metrics)
        if len(names) < 2:
            return []
        found = []
        for metric in PER_SEQUENCE:
            lines: list[list[Cell]] = [["results", *names]]
            for name, one in self.folders.items():
                lines.append([name, *(one.metrics[sequence].row()[metric] for sequence in names)])
            found.append(Section(metric.lower(), f"{metric} by sequence", lines))
        return found

    def as_json(self) -> dict[str, Any]:
        """Every figure of each, as of one alone."""
        return {"notes": self.notes, "results": {name: one.as_json() for name, one in self.folders.items()}}

    def as_svg(self, title: str) -> str:
        """HOTA over alpha, a curve each."""
        return curves_svg({name: one.combined.hota.HOTA for name, one in self.folders.items()}, title)


def score_several(
    gt: str | Path,
    results: Sequence[str | Path],
    *,
    benchmark: str = "auto",
    split: str = "all",
    numbering: str = "split",
    sequences: Iterable[str] = (),
    jobs: int | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    executor: Executor | None = None,
) -> SeveralScores:
    """Score several folders of results on the same sequences; see :func:`score_folder`.

    Results whose manifests are unlike (other detections, offline passes) share the table, and a note says so.

    Raises:
        InputError: the same folder twice, or as :func:`score_folder`.
    """
    folders, sequences = names_of(results), list(sequences)
    found = {}
    for number, (name, folder) in enumerate(folders.items()):

        def told(done: int, total: int | None, before: int = number) -> None:
            whole = total or 1
            progress(before * whole + done, len(folders) * whole)

        found[name] = score_folder(
            gt,
            folder,
            benchmark=benchmark,
            split=split,
            numbering=numbering,
            sequences=sequences,
            jobs=jobs,
            progress=told,
            executor=executor,
        )
    first, *others = [(name, read_manifest(folder)) for name, folder in folders.items()]
    notes = [
        f"{first[0]} and {name} are unlike: {why}" for name, told in others if (why := unlike(first[1], told))
    ]
    notes += [f"{name}{one.offline}" for name, one in found.items() if one.offline]
    return SeveralScores(
        found, list(dict.fromkeys([*notes, *(n for one in found.values() for n in one.notes)]))
    )


def names_of(results: Sequence[str | Path]) -> dict[str, Path]:
    """What each folder is called in a table: by its last part, or as it was given where two end alike.

    Raises:
        InputError: a folder that is there twice.
    """
    paths = [Path(one) for one in results]
    where = [path.resolve() for path in paths]
    for number, path in enumerate(where):
        if path in where[:number]:
            raise InputError(f"`results` {paths[number]}: is there twice")
    last = [path.name for path in where]
    return {
        name if last.count(name) == 1 else str(path): path for name, path in zip(last, paths, strict=True)
    }
