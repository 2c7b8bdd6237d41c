"""A tool called as the command line calls it, within this process."""

from __future__ import annotations

import importlib
import sys
from typing import NamedTuple

import pytest

from retrace.tools.terminal.console import guarded


class Answer(NamedTuple):
    """What came back."""

    code: int
    out: str
    err: str


def called(capsys: pytest.CaptureFixture[str], name: str, *argv: object) -> Answer:
    """``python tools/NAME.py ARGV``."""
    tool = importlib.import_module(f"retrace.tools.{name}")
    capsys.readouterr()
    before, sys.argv = sys.argv, [f"tools/{name}.py"]
    try:
        with pytest.raises(SystemExit) as done:
            guarded(tool.main, [str(word) for word in argv])
    finally:
        sys.argv = before
    code = 0 if done.value.code is None else done.value.code
    assert isinstance(code, int)
    return Answer(code, *capsys.readouterr())


def refused(answer: Answer) -> str:
    """The one short line of a refusal."""
    assert answer.code == 2, answer
    assert answer.err.count("\n") == 1, answer.err
    assert len(answer.err) <= 540, len(answer.err)  # 500 and the tool's name
    assert "Traceback" not in answer.err
    return answer.err
