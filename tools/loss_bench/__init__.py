"""Losses compared fairly on people: who takes part, jobs that resume, regimes, intervals, groups."""
