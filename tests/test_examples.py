"""Every name of the declared surface has a docstring with an example, and the example does what it says."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import retrace
from retrace.tracker.pipeline import run_on_boxes
from tests.documents import furnish, without_downloads

NAMES = [name for name in retrace.__all__ if name != "__version__"]
# Results of functions, told apart by what they are for: these take or give arrays.
ARRAYS = {"Detections", "Embedder", "MotTable", "Tracks", "evaluate_ranking", "run"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("examples"))


def said(name: str) -> str:
    """Everything that the source says of a public name: its docstring and its fields' comments."""
    thing = getattr(retrace, name)
    return inspect.getsource(thing) if inspect.isclass(thing) else inspect.getdoc(thing) or ""


def run_example(name: str, text: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type the example of a docstring, if it has one, and compare what comes out."""
    assert "+SKIP" not in text, f"{name}: its example is not run"
    monkeypatch.chdir(place)
    without_downloads(place, monkeypatch)
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=told.append)
    assert not told, "".join(told)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_does_what_it_says(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = inspect.getdoc(getattr(retrace, name)) or ""
    assert ">>>" in text, f"{name} has no example"
    run_example(name, text, place, monkeypatch)


def test_the_example_of_boxes_at_hand(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other door of the pipeline, which only its file offers."""
    text = inspect.getdoc(run_on_boxes)
    assert text is not None
    run_example("run_on_boxes", text, place, monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_says_what_it_must(name: str) -> None:
    text = said(name)
    assert name == "InputError" or "Raises:" in (inspect.getdoc(getattr(retrace, name)) or ""), (
        f"{name}: no errors"
    )
    if name in ARRAYS:
        assert "(N, " in text or "(K, " in text or "(R, " in text or "(Q, " in text, f"{name}: no shapes"


@pytest.mark.parametrize("name", NAMES)
def test_public_methods_say_what_they_do(name: str) -> None:
    thing = getattr(retrace, name)
    if not inspect.isclass(thing):
        return
    for key in public(thing):
        assert inspect.getdoc(getattr(thing, key)), f"{name}.{key} has no docstring"


def public(thing: type) -> list[str]:
    """Names of its own methods and properties."""
    kinds = classmethod | staticmethod | property
    own = vars(thing).items()
    return [
        key
        for key, member in own
        if not key.startswith("_") and (callable(member) or isinstance(member, kinds))
    ]


# -- what folders offer beside the declared surface

FOLDERS = (
    "configs",
    "eval.mot",
    "eval.ranking",
    "reid",
    "reid.calibration",
    "tracker.analytics",
    "tracker.detection",
    "tracker.memory",
    "tracker.memory.engines",
    "tracker.run",
    "tracker.site",
    "tracker.sources",
)
OFFERED = sorted(
    {(folder, name) for folder in FOLDERS for name in import_module(f"retrace.{folder}").__all__}
)


@pytest.mark.parametrize(("folder", "name"), OFFERED)
def test_what_a_folder_offers_is_explained(
    folder: str, name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = getattr(import_module(f"retrace.{folder}"), name)
    text = (inspect.getdoc(thing) if thing.__doc__ else "") or ""
    assert text, f"{folder}.{name} has no docstring"
    if inspect.isclass(thing):
        for key in public(thing):
            told = inspect.getdoc(getattr(thing, key))
            assert told, f"{folder}.{name}.{key} has no docstring"
            run_example(f"{name}.{key}", told, place, monkeypatch)
    elif not inspect.isfunction(thing):
        return
    else:
        assert "raise InputError" not in inspect.getsource(thing) or "Raises:" in text, f"{name}: no errors"
    assert ">>>" in text, f"{folder}.{name}: no example"
    if not hasattr(retrace, name):
        run_example(name, text, place, monkeypatch)
