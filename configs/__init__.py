"""Presets and their strict loader. Imports nothing of ours; every room may import it."""

from configs.load import InputError, load_preset

__all__ = ["InputError", "load_preset"]
