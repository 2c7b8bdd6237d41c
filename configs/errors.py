"""What a caller can get wrong, in one line: the error, and words that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the caller handed in is wrong. The message says what was expected, what came, what to do.

    Tools turn it into one line on standard error and exit code 2.
    """


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint for an error message: the closest valid word, and all of them."""
    choices = sorted(choices)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(choices)}"
