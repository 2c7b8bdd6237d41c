"""Command lines that keep to the rule of one line for a mistake."""

from __future__ import annotations

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse without the usage text before an error."""

    def error(self, message: str) -> NoReturn:
        from configs import InputError

        raise InputError(f"{message} (--help tells more)")
