"""What a library says of its arguments is said of options on a terminal."""

import pytest

from retrace.configs import InputError
from retrace.tools.terminal.console import Parser, as_flags, guarded


def test_arguments_become_options() -> None:
    parser = Parser()
    parser.add_argument("source")
    parser.add_argument("--reid-norm")
    parser.add_argument("-f", "--fps")
    with pytest.raises(InputError) as caught, as_flags(parser):
        raise InputError("`reid_norm` x: give `fps` F, not `source` or `other`, or `a b`")
    assert str(caught.value) == "--reid-norm x: give --fps F, not `source` or `other`, or `a b`"


def test_other_errors_come_through() -> None:
    with pytest.raises(KeyError), as_flags(Parser()):
        raise KeyError("`fps`")


def test_what_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A path of 300 characters is no file's name, wherever it is first touched."""

    def tool(argv: list[str]) -> int:
        with open("x" * 300):
            return 0

    with pytest.raises(SystemExit) as left:
        guarded(tool, [])
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "File name too long" in said
    assert said.count("\n") == 1
    assert len(said) <= 501


def test_our_own_mistakes_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(lambda argv: 1 // 0, [])
