"""What every tool shares with its terminal: exit codes, one line for a mistake."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

OK, USER_ERROR, INTERRUPTED = 0, 2, 130


class _Said(logging.Handler):
    """What the library logs, among what the tool says."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def be_quiet() -> None:
    """Errors only: what the library logs, too."""
    logging.getLogger("retrace").setLevel(logging.ERROR)


class Parser(argparse.ArgumentParser):
    """argparse that keeps to the rule: one line for a mistake, no usage before it. Its name is what was typed."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        called = Path(sys.argv[0]).name
        super().__init__(*args, **settings | ({"prog": called} if called.startswith("retrace ") else {}))

    def error(self, message: str) -> NoReturn:
        from retrace.configs import InputError

        raise InputError(f"{message} (--help tells more)")


def say(line: str) -> None:
    """Print; a reader who has seen enough (`| head`) ends the talking, not the work."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for the rest of the process


def guarded(main: Callable[[list[str]], int], argv: list[str] | None = None) -> NoReturn:
    """Run a tool: whatever the user can get wrong ends as one line on standard error and exit code 2."""
    from retrace.configs.errors import InputError, shorten, system_reason

    name, log = Path(sys.argv[0]).name, logging.getLogger("retrace")
    if not log.handlers:
        log.addHandler(_Said())
        log.propagate = False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no text
    try:
        code = main(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        print(f"{name}: {shorten(str(error))}", file=sys.stderr)
        code = USER_ERROR
    except BrokenPipeError:
        code = OK  # the reader of our output has seen enough
        sys.stderr.close()
    except OSError as error:  # the net under every tool: a place that nobody named better
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"{name}: {shorten(where + system_reason(error))}", file=sys.stderr)
        code = USER_ERROR
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


@contextmanager
def as_flags(parser: argparse.ArgumentParser, **others: str) -> Iterator[None]:
    """A library's messages speak of its arguments, as `fps`; here they become this tool's options: --fps; and of
    ``others`` those that are called otherwise here: bin_seconds="--minute". The pairs that
    `configs.loader.parse_assignments` takes are --set in every tool that has it."""
    from retrace.configs import InputError

    try:
        yield
    except InputError as error:
        raise InputError(flagged(str(error), parser, **others)) from None


def flagged(text: str, parser: argparse.ArgumentParser, **others: str) -> str:
    """One of the library's lines that is no error, likewise."""
    from retrace.configs.errors import renamed

    flags = {action.dest: action.option_strings[-1] for action in parser._actions if action.option_strings}
    flags |= {"pairs": flags["set"]} if "set" in flags else {}
    return renamed(text, flags | others)
