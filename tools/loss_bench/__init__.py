"""Losses compared fairly on people: who takes part, jobs that resume, three regimes, intervals, groups, tables, plots."""
