"""Every name of the declared surface has a docstring with an example, and the example does what it says."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import retrace
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


@pytest.mark.parametrize("name", NAMES)
def test_the_example_does_what_it_says(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    without_downloads(place, monkeypatch)
    text = inspect.getdoc(getattr(retrace, name)) or ""
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert example.examples, f"{name} has no example"
    heard: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=heard.append)
    assert not heard, "".join(heard)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_says_what_it_must(name: str) -> None:
    text = said(name)
    assert name == "InputError" or "InputError:" in text or name in ("Tracks", "MotTable"), (
        f"{name}: no errors"
    )
    if name in ARRAYS:
        assert "(N, " in text or "(K, " in text or "(R, " in text or "(Q, " in text, f"{name}: no shapes"


@pytest.mark.parametrize("name", NAMES)
def test_public_methods_say_what_they_do(name: str) -> None:
    thing = getattr(retrace, name)
    if not inspect.isclass(thing):
        return
    for key, member in vars(thing).items():
        if not key.startswith("_") and (callable(member) or isinstance(member, classmethod | property)):
            assert inspect.getdoc(getattr(thing, key)), f"{name}.{key} has no docstring"
