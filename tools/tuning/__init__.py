"""Searching a preset's numbers with Optuna: clips, space, study, search, report."""
