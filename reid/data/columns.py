"""Other labels of the images of a CSV set (viewpoint, clothes, ...): every column beside path, id, camera, split."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from retrace.reid.data.listed import CSV_COLUMNS, csv_file, text_of
from retrace.reid.data.sets import ReidImages


def label_columns(place: Path, images: ReidImages) -> tuple[dict[str, np.ndarray], list[str]]:
    """The labels of the images, and notes.

    Args:
        place: the CSV file, or the folder that holds it; another layout has no label columns.
        images: N of its images.

    Returns:
        column -> (N,) int64 from 0, values numbered in order (of numbers, if all are whole numbers); and a line for
        every column that is left out, since it has blanks.

    Raises:
        InputError: the file cannot be read.
    """
    file = csv_file(place) if place.suffix.lower() == ".csv" or place.is_dir() else None
    if file is None:
        return {}, []
    lines = [line for line in csv.reader(text_of(file).splitlines()) if line]
    header = [name.strip() for name in lines[0]]
    rows = {os.path.normpath(file.parent / line[header.index("path")].strip()): line for line in lines[1:]}
    mine = [rows[os.path.normpath(path)] for path in images.paths]
    found: dict[str, np.ndarray] = {}
    notes = []
    for k, name in enumerate(header):
        if name in (*CSV_COLUMNS, "split") or not name:
            continue
        values = [line[k].strip() for line in mine]
        if "" in values:
            notes.append(f"column {name!r}: {values.count('')} blanks, so it is no label for training")
            continue
        whole = all(value.isascii() and value.isdecimal() for value in values)
        order = sorted({*values}, key=lambda value: (int(value), value) if whole else (0, value))
        numbers = {value: number for number, value in enumerate(order)}
        found[name] = np.array([numbers[value] for value in values], np.int64)
    return found, notes
