"""Odd values for the declared surface: a result, or an InputError of one line; ``tests/odd_values.py`` makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrace
from tests.odd_values import Call, fault, make_calls, make_files, odd_call


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Call]:
    return make_calls(make_files(tmp_path_factory.mktemp("odd")))


def test_the_calls_are_right_as_they_stand(calls: dict[str, Call]) -> None:
    """Else nothing would be tried but the first refusal."""
    foreign = {"from_ultralytics", "from_supervision", "track_source", "load_state_dict"}
    for name in {*calls} - foreign:
        function, given = calls[name]
        function(**given)


def test_the_whole_surface_is_tried(calls: dict[str, Call]) -> None:
    """Vectors come from an embedder, whose own odd input is in tests/reid; Tracks come out and never go in."""
    told = " ".join([*calls, "Embedder Tracks InputError __version__ evaluate_ranking"])
    assert {name for name in retrace.__all__ if name not in told} == set()


@pytest.mark.parametrize(
    "seeds", [range(600), pytest.param(range(1000, 20000), marks=pytest.mark.long)], ids=len
)
def test_odd_values(
    calls: dict[str, Call], seeds: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETRACE_OFFLINE", "1")
    faults = {}
    for seed in seeds:
        name, function, given = odd_call(seed, calls)
        said = fault(function, given)
        if said is not None:
            faults[seed] = (name, said)
    assert not faults
