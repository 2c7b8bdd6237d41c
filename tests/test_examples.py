"""Every name of the declared surface has a docstring with an example, and the example does what it says."""

from __future__ import annotations

import ast
import doctest
import inspect
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

import retrace
from retrace.tracker.pipeline import run_on_boxes
from tests.conftest import ROOT
from tests.documents import furnish, ready

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
    ready(text, place, monkeypatch)
    if "import supervision" in text:
        pytest.importorskip("supervision")
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


# -- what folders offer beside the declared surface

# Loops that are compiled are for the tracker, which chooses between them and their twins.
NOT_OFFERED = ("compiled", "compiled_frame")
FOLDERS = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for top in ("configs", "eval", "reid", "tracker")
    for path in (ROOT / top).rglob("__init__.py")
    if path.parent.name not in NOT_OFFERED and "__all__" in path.read_text(encoding="utf-8")
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
    if not (inspect.isfunction(thing) or inspect.isclass(thing)):
        return
    if inspect.isfunction(thing):
        assert "raise InputError" not in inspect.getsource(thing) or "Raises:" in text, f"{name}: no errors"
    assert ">>>" in text, f"{folder}.{name}: no example"
    if not hasattr(retrace, name):
        run_example(name, text, place, monkeypatch)


# -- methods and properties of all these classes

# These have a docstring and no example, since it is our own code, or Python, that calls them.
NOT_FOR_USERS = {
    "Embedder": {"state_dict", "load_state_dict"},  # a checkpoint of a run does
    "VideoSink": {"abandon", "finish", "position"},  # the `with` does; the last, a checkpoint
    "ReadAhead": {"close"},  # the `with` does
    "FolderScore": {"head"},  # of the pages and tables that are made of any kind of score
    "Memory": {
        *("leave_no_vectors", "servers"),  # whoever deletes from the file does, and says what is left
        *("unit", "returning"),  # a search does, and whoever proposes whom to join
    },
    "OpenedJob": {
        *("renamed", "style", "post_processing", "ahead", "may_stop_looking", "sparing"),
        *("fingerprint", "tracks_hash", "settings_hash", "shared", "looks"),  # a run does, and its run.json
    },
    "SourceReport": {"conclude"},  # a run does, at its end
    "Source": {"count_drop"},  # the thread that reads a camera does
}


def classes() -> dict[str, type]:
    """Public classes by name."""
    homes = [retrace, *(import_module(f"retrace.{folder}") for folder in FOLDERS)]
    offered = (getattr(home, name) for home in homes for name in home.__all__)
    return {thing.__name__: thing for thing in offered if inspect.isclass(thing)}


def public(thing: type) -> dict[str, object]:
    """Its methods and properties by name, and those that it has of other classes of ours."""
    kinds = FunctionType | classmethod | staticmethod | property | cached_property
    ours = [one for one in reversed(thing.__mro__) if one.__module__.startswith("retrace.")]
    members = {key: member for one in ours for key, member in vars(one).items()}
    return {key: one for key, one in members.items() if key[0] != "_" and isinstance(one, kinds)}


def typed_in(thing: type) -> list[ast.AST]:
    """The code of all examples of a class and of its methods."""
    told = [inspect.getdoc(one) or "" for one in (thing, *public(thing).values())]
    parts = (part for text in told for part in doctest.DocTestParser().get_examples(text))
    return [node for part in parts for node in ast.walk(ast.parse(part.source))]


def shown(thing: type) -> set[str]:
    """What its examples call or, of properties, read; those of a protocol (`Engine`) count for all that keep it."""
    protocols = [one for one in CLASSES.values() if getattr(one, "_is_protocol", False)]
    kept = [one for one in protocols if {*public(one)} <= {*public(thing)}]
    code = [node for one in {thing, *kept} for node in typed_in(one)]
    called = {
        node.func.attr for node in code if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    read = {node.attr for node in code if isinstance(node, ast.Attribute)}
    plain = {key for key, one in public(thing).items() if isinstance(one, property | cached_property)}
    return called | read & plain


CLASSES = classes()
SHOWN = {name: shown(thing) for name, thing in CLASSES.items()}
METHODS = [(name, key) for name, thing in sorted(CLASSES.items()) for key in public(thing)]


@pytest.mark.parametrize(("name", "key"), METHODS)
def test_a_method_is_explained_and_shown(
    name: str, key: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = CLASSES[name]
    text, member = inspect.getdoc(getattr(thing, key)), public(thing)[key]
    assert text, f"{name}.{key} has no docstring"
    body = inspect.getsource(
        getattr(member, "fget", None) or getattr(member, "func", None) or getattr(thing, key)
    )
    assert "raise InputError" not in body or "Raises:" in text, f"{name}.{key}: no errors"
    wanted = key not in NOT_FOR_USERS.get(name, ())
    assert key in SHOWN[name] or not wanted, (
        f"{name}.{key}: neither it nor its class has an example that calls it"
    )
    if ">>>" in text:
        run_example(f"{name}.{key}", text, place, monkeypatch)


def test_what_is_not_for_users_is_there() -> None:
    for name, keys in NOT_FOR_USERS.items():
        assert keys <= {*public(CLASSES[name])}
        assert not keys & SHOWN[name], f"{name}: shown after all"
