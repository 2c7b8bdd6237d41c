"""Run folders as the page finds them: one, several, or a folder that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrace.configs.errors import InputError
from retrace.tools.viewing.place import Place
from retrace.tracker.run.manifest import growing

MOST = 500  # runs of a folder


class RunFolder:
    """The folder that track.py wrote, or writes.

    Raises:
        InputError: it is none, or its run.json is broken.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        told: dict[str, Any] = {}
        try:
            told = json.loads((self.folder / "run.json").read_bytes())
            records = {str(name): dict(record) for name, record in told["sequences"].items()}
        except OSError:
            records = {}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{folder}: its run.json is broken; run track.py again") from None
        records |= {name: {} for name in growing(self.folder) if name not in records}
        strange = [name for name in records if Path(name).name != name or name in ("", "..")]
        if strange:  # else files of other folders would be read, and written beside
            raise InputError(f"{folder}: expected names of files in run.json, got {strange[0]!r}")
        if not records:
            raise InputError(
                f"{folder}: no run.json there, nor a result that grows; name a folder that track.py wrote"
            )
        arguments = told.get("arguments")
        words = [word for word in arguments if isinstance(word, str)] if isinstance(arguments, list) else []
        hashes = told.get("sha256")
        weights = next(
            (Path(p) for p in (hashes if isinstance(hashes, dict) else {}) if Path(p).suffix in KINDS), None
        )
        self.places = {
            name: Place(
                self.folder, name, record, source_of(name, words, self.folder, record.get("files")), weights
            )
            for name, record in records.items()
        }

    @property
    def names(self) -> list[str]:
        return sorted(self.places)

    def place(self, name: str) -> Place:
        """A sequence of the run.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.places:
            raise InputError(f"no sequence {name!r} in this run")
        return self.places[name]


KINDS = (".onnx", ".safetensors", ".pth", ".pt")  # of weights


class Runs:
    """Run folders by a short name each.

    Args:
        paths: run folders, or folders of them.

    Raises:
        InputError: nothing there, or a broken one that was named itself.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.runs: dict[str, RunFolder] = {}
        self.left_out: list[str] = []  # folders that are broken, and why
        for path in map(Path, paths):
            for folder, own in _folders(path):
                try:
                    run = RunFolder(folder)
                except InputError as error:
                    if own:
                        raise
                    self.left_out.append(str(error))
                    continue
                name = folder.resolve().name
                while name in self.runs:
                    name += "+"
                self.runs[name] = run
        if not self.runs:
            raise InputError(f"{paths[0]}: no run.json there; name a folder that track.py wrote")

    def place(self, run: str, name: str) -> Place:
        if run not in self.runs:
            raise InputError(f"no run {run!r} here")
        return self.runs[run].place(name)

    def listed(self) -> list[dict[str, Any]]:
        """A row a sequence, from what run.json says: nothing is read for it."""
        return [
            {
                "run": run,
                "name": name,
                "frames": place.record.get("frames"),
                "fps": place.fps,
                "people": _people(place.record),
                "edits": place.edits_file.is_file(),
                "complete": bool(place.record.get("complete", False)) and not place.growing,
            }
            for run, folder in self.runs.items()
            for name, place in sorted(folder.places.items())
        ]


def _people(record: Mapping[str, Any]) -> Any:
    """How many there were: as counted, else as tracked."""
    answers = record.get("answers")
    return (answers if isinstance(answers, dict) else {}).get("people", record.get("tracks"))


def _folders(path: Path) -> list[tuple[Path, bool]]:
    """The run folders of a path, and whether it was named itself."""
    if (path / "run.json").is_file() or growing(path) or not path.is_dir():
        return [(path, True)]
    found = sorted({file.parent for what in ("run.json", "*.txt.partial") for file in path.glob(f"*/{what}")})
    below = [folder for folder in found if not _of_training(folder / "run.json")][:MOST]
    return [(folder, False) for folder in below] or [(path, True)]


def _of_training(path: Path) -> bool:
    """Whether it is a run.json, and of something else than tracking."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and "sequences" not in told


OTHERS = (".txt", ".npz", ".yaml", ".yml", ".json", ".db", *KINDS)  # endings of what is no video
ABOVE = 4  # folders


def source_of(name: str, words: Sequence[str], folder: Path, written: object = None) -> str | None:
    """The argument of track.py that has this name, where it is now: as it was given, from a folder above the run (a
    path is relative to where tracking was started), or moved into the run's folder, where what the run has ``written``
    is something else; None: no argument has."""
    named = [
        (before.startswith("-"), word)
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and Path(word).stem == name and Path(word).suffix.lower() not in OTHERS
    ]
    if not named:
        return None
    word = min(named, key=lambda one: one[0])[1]  # one that is no option's value, if there is one
    path = Path(word)
    below = [above / path for above in folder.resolve().parents[:ABOVE]] if not path.is_absolute() else []
    own = isinstance(written, list) and path.name in written
    near = (place for place in (path, *below, *([] if own else [folder / path.name])) if place.exists())
    return next(map(str, near), word)
