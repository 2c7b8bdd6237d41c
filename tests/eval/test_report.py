"""Tables, JSON, CSV and the picture."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from eval.mot import Metrics, evaluate
from eval.report import COLUMNS, COMBINED, as_csv, as_json, as_markdown, as_svg, as_text, rows_of
from tests.eval.scenes import random_scene


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metrics]:
    rng = np.random.default_rng(0)
    return {name: evaluate(*random_scene(rng, 10, 6), 10, "MOT17") for name in ("one", "two")}


def test_json_has_the_agreed_form(metrics: dict[str, Metrics]) -> None:
    found = json.loads(json.dumps(as_json(metrics, benchmark="MOT17"), allow_nan=False))
    assert list(found["sequences"]) == ["one", "two"]
    for row in (*found["sequences"].values(), found["combined"]):
        assert set(COLUMNS) <= set(row)
        assert all(isinstance(row[n], int) for n in ("IDSW", "FP", "FN", "TP", "MT", "PT", "ML", "Frag"))
        assert all(0 <= row[n] <= 1 for n in ("HOTA", "DetA", "AssA", "LocA", "MOTP", "IDF1", "IDP", "IDR"))
    assert len(found["curves"]["HOTA"]) == len(found["curves"]["alpha"]) == 19
    assert np.mean(found["curves"]["HOTA"]) == pytest.approx(found["combined"]["HOTA"])


def test_csv_keeps_every_digit(metrics: dict[str, Metrics]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(rows_of(metrics)))))
    assert [r["sequence"] for r in rows] == ["one", "two", COMBINED]
    assert float(rows[0]["HOTA"]) == metrics["one"].row()["HOTA"]


def test_markdown(metrics: dict[str, Metrics]) -> None:
    lines = as_markdown(rows_of(metrics), ("HOTA", "FP")).splitlines()
    row = metrics["one"].row()
    assert lines[:2] == ["| sequence | HOTA | FP |", "| --- | ---: | ---: |"]
    assert lines[2] == f"| one | {100 * row['HOTA']:.2f} | {row['FP']} |"


def test_text_is_aligned() -> None:
    assert as_text([["name", "x"], ["a", "10.5"]]) == "name     x\na     10.5\n"


def test_picture_is_xml_with_four_curves(metrics: dict[str, Metrics]) -> None:
    root = ElementTree.fromstring(as_svg(metrics["one"], "a <b> & c"))
    curves = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert [len(c.attrib["points"].split()) for c in curves] == [19] * 4
