"""Odd arguments for every tool: an answer, or one line of at most 500 characters and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.odd import NEARLY, fault, make_place, odd_case


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    pytest.importorskip("torch")
    return make_place(tmp_path_factory.mktemp("odd"))


def test_every_tool_is_tried() -> None:
    tools = {path.stem for path in (Path(__file__).parents[2] / "tools").glob("*.py")} - {"__init__"}
    assert tools == {*NEARLY}


@pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(1000, 3000), marks=pytest.mark.long)], ids=len
)
def test_odd_arguments(
    place: dict[str, str], seeds: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETRACE_OFFLINE", "1")
    faults = {}
    for seed in seeds:
        tool, argv = odd_case(seed, place)
        said = fault(tool, argv)
        if said is not None:
            faults[seed] = (tool, argv, said)
    assert not faults
