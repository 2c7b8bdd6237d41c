"""Weights on disk: read and written strictly."""
