"""Presets and their strict loader. Imports nothing of ours; every folder may import it."""

from retrace.configs.errors import InputError
from retrace.configs.loader import load_preset

__all__ = ["InputError", "load_preset"]
