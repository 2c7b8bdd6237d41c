"""Answers from tracks: who crossed a line, who stayed in a zone and how long, how many, how fast, where.

Everything takes a `MotTable` (a tracker's result, offline or read from a file) and seconds; nothing here knows of
videos or files but `regions`, which reads lines and zones from YAML.
"""

from retrace.tracker.analytics.counting import Crossings, Occupancy, Visits, crossings, occupancy, visits
from retrace.tracker.analytics.paths import HeatMap, Paths, Persons, heat_map, paths, persons
from retrace.tracker.analytics.regions import Line, Regions, Zone, read_regions
from retrace.tracker.analytics.so_far import CountsSoFar
from retrace.tracker.analytics.summary import Summary, summarise

__all__ = [
    "CountsSoFar",
    "Crossings",
    "HeatMap",
    "Line",
    "Occupancy",
    "Paths",
    "Persons",
    "Regions",
    "Summary",
    "Visits",
    "Zone",
    "crossings",
    "heat_map",
    "occupancy",
    "paths",
    "persons",
    "read_regions",
    "summarise",
    "visits",
]
