"""A bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys

import pytest

from retrace.tools.terminal.progress import bar


@pytest.mark.parametrize(("terminal", "quiet"), [(False, False), (True, True), (True, False)])
def test_only_a_terminal_that_wants_one_sees_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    with bar("decode", 4, quiet, start=1) as advance:
        for done in range(2, 5):
            advance(done, 4)
    said = capsys.readouterr()
    assert said.out == ""
    assert ("decode" in said.err) == (terminal and not quiet)


def test_a_total_may_become_known_on_the_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with bar("trials", None) as advance:
        advance(3, None)
        advance(4, 17)
    assert "4/17" in capsys.readouterr().err
