"""What is made of a whole result: a sentence, numbers, tables, other tools' formats, a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from retrace.tracker.analytics import Summary, heat_map, occupancy, summarise
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results
from retrace.tracker.outputs import exchange, tables
from retrace.tracker.run.opened import OpenedJob

CELLS = 54  # of a heat map, from the picture's top to its bottom


def final_table(opened: OpenedJob) -> MotTable:
    """NAME.txt as it is now, after offline passes and with people's ids; ``class_id`` as the detector counts."""
    table = read_results(opened.out / f"{opened.name}.txt")
    detector = opened.detector
    if detector.labels:  # in the file they count from 1
        return replace(table, class_id=table.class_id - 1)
    only = detector.kept[0] if detector.kept else 0
    return replace(table, class_id=np.full(len(table), only))


def write_answers(
    opened: OpenedJob,
    table: MotTable,
    fps: float,
    length: int,
    picture: np.ndarray | None = None,
    crops: Mapping[int, str] | None = None,
) -> tuple[Summary, list[Path]]:
    """Count, and write what the job's ``save`` asks for of a whole result.

    Args:
        opened: the job.
        table: of :func:`final_table`.
        fps: frames/s, as measured.
        length: frames.
        picture: (H, W, 3) uint8 BGR, what a heat map lies on.
        crops: each person's best crop, a path below the output folder.

    Returns:
        the numbers, and the files.
    """
    names, save, path = opened.class_names, opened.job.save, opened.path
    size = picture.shape[:2] if picture is not None else opened.source.size
    told = summarise(table, fps, opened.regions, names)
    made = []
    if "csv" in save:
        made.append(tables.boxes_csv(path("csv"), table, fps, names))
    if "persons" in save:
        made.append(tables.persons_csv(path("persons"), told.persons, names, crops))
    if "people" in save:
        made.append(tables.occupancy_csv(path("people"), occupancy(table, fps)))
    if told.crossings:
        made.append(tables.crossings_csv(path("lines"), told.crossings))
    if told.visits:
        made.append(tables.visits_csv(path("zones"), told.visits))
    if "coco" in save:
        made.append(exchange.coco_json(path("coco"), table, opened.name, length, size, fps, names))
    if "cvat" in save:
        made.append(exchange.cvat_xml(path("cvat"), table, opened.name, length, size, names))
    if "heat" in save:
        from retrace.tracker.outputs.heat import write_heat  # OpenCV

        size = size or _extent(table)
        cell = max(4.0, round(size[0] / CELLS))
        made.append(write_heat(path("heat"), heat_map(table, fps, size, cell), size, picture))
    return told, made


def _extent(table: MotTable) -> tuple[int, int]:
    """(height, width) px that the boxes need."""
    right, bottom = table.xyxy[:, 2:].max(0, initial=1)
    return int(bottom) + 1, int(right) + 1
