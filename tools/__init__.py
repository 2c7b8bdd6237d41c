"""Command-line tools: argv in, one library call, exit code out."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # the checkout; the packages' folder where we are installed
