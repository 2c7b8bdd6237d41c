"""What a caller can get wrong, in one line: the error, and words that help."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from math import inf
from numbers import Integral, Real
from pathlib import Path
from typing import Any

LONGEST = 500  # characters of a message: what a terminal shows at once
LISTED = 260  # characters of a list of valid words
FOREIGN = 200  # characters of another library's message inside ours


class InputError(ValueError):
    """Something the caller handed in is wrong. The message says what was expected, what came, what to do.

    One line of at most ``LONGEST`` characters, whatever came: longer ones lose their middle, since where it
    was stands at the front and what to do at the end. Tools turn it into one line on standard error and exit
    code 2.

    Example:
        >>> from retrace import InputError, Tracker
        >>> try:
        ...     Tracker.from_config("sort", max_agee=2.0)
        ... except InputError as error:
        ...     print(str(error).split(": ", 1)[1].split("?")[0])
        unknown key 'max_agee'; did you mean 'max_age'
    """

    def __init__(self, *message: object) -> None:
        super().__init__(*(shorten(str(part)) for part in message))


def shorten(text: str, longest: int = LONGEST) -> str:
    """One printable line of at most ``longest`` characters; what is too long loses its middle."""
    text = re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text)
    if len(text) <= longest:
        return text
    tail = (longest - 5) // 3
    return f"{text[: longest - 5 - tail]} ... {text[len(text) - tail :]}"


def expect(name: str, value: object, kinds: type | tuple[type, ...], what: str) -> None:
    """Raises InputError, with `what` was expected, for a value of another type; True and False are no numbers."""
    if not isinstance(value, kinds) or (type(value) is bool and kinds in (Integral, Real)):
        raise InputError(f"`{name}` must be {what}, got {type(value).__name__}")


def number(name: str, value: Any, least: float = -inf, most: float = inf, whole: bool = False) -> Any:
    """``value``, which is a number in ``least``..``most``.

    Raises:
        InputError: it is not.
    """
    what = "a whole number" if whole else "a number"
    expect(name, value, Integral if whole else Real, what)
    if not least <= value <= most:  # NaN fails too
        raise InputError(f"`{name}` must be {what} {_span(least, most)}, got {value}")
    return value


def one_of(name: str, word: Any, known: Iterable[str]) -> Any:
    """``word``, which is one of those ``known``.

    Raises:
        InputError: it is not; the message names the nearest.
    """
    if not isinstance(word, str) or word not in known:
        raise InputError(f"`{name}` {word}: {nearest(word, known)}")
    return word


def _span(least: float, most: float) -> str:
    if most == inf:
        return f"from {least:g}"
    return f"in {least:g}..{most:g}"


def path_text(name: str, value: Any) -> str:
    """A path or a name, as text.

    Raises:
        InputError: it is neither.
    """
    expect(name, value, (str, os.PathLike), "a path")
    return str(value)


def one_line(error: BaseException) -> str:
    """An error of another library in one short line: its kind and the beginning of what it says."""
    text = " ".join(str(error).split())[:FOREIGN]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A message with those of its arguments, which stand in backquotes, called as ``names`` has them."""
    return re.sub(r"`(\w+)`", lambda found: names.get(found[1], found[0]), text)


def system_reason(error: BaseException) -> str:
    """What the operating system says of it ("No space left on device"); where it says nothing, the error's kind."""
    return getattr(error, "strerror", None) or type(error).__name__


def install(extra: str) -> str:
    """The command that brings an extra of ours: into a checkout, where this file lies in one, else from the index."""
    checkout = (Path(__file__).resolve().parents[1] / "pyproject.toml").is_file()
    return f"pip install -e '.[{extra}]'" if checkout else f"pip install 'retrace-mot[{extra}]'"


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint for an error message: the closest valid word, and all of them; of many the closest dozen."""
    choices, word = sorted(choices), str(word)[:FOREIGN]
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    told = choices
    if len(", ".join(choices)) > LISTED:
        told = difflib.get_close_matches(word, choices, n=12, cutoff=0.0)
    more = f" and {len(choices) - len(told)} more" if len(told) < len(choices) else ""
    return f"{hint}known: {', '.join(told)}{more}"
