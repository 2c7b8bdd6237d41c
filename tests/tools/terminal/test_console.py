"""What a library says of its arguments is said of options on a terminal."""

import pytest

from retrace.configs import InputError
from retrace.tools.terminal.console import Parser, as_flags


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
