"""Tables, JSON, CSV and the picture."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from retrace.eval.mot.report import COLUMNS, COMBINED, as_csv, as_json, as_markdown, as_svg, rows_of
from retrace.eval.mot.score import Metrics, evaluate
from retrace.eval.report import Section, as_text
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


def test_picture_keeps_apart_what_would_overlap(metrics: dict[str, Metrics]) -> None:
    root = ElementTree.fromstring(as_svg(metrics["one"], "a/very/long/folder/" * 20))
    texts = {e.text or "": e.attrib for e in root.iter() if e.tag.endswith("text")}
    width = float(root.attrib["width"])
    (title,) = (t for t in texts if "..." in t)
    assert float(texts[title]["x"]) + 8 * len(title) < width  # 14 px letters are 8 px wide or less, mostly
    plot_ends = max(
        float(p.split(",")[0])
        for e in root.iter()
        if e.tag.endswith("polyline")
        for p in e.attrib["points"].split()
    )
    for name in ("HOTA", "DetA", "AssA", "LocA"):
        (legend,) = (float(a["x"]) for t, a in texts.items() if t.startswith(name))
        assert plot_ends < legend < width - 70
    assert "rotate" in texts["score"]["transform"]


def test_section_in_every_form() -> None:
    section = Section(
        "k", "T", [["row", "HOTA", "IDSW"], ["a", 0.1234, 3], ["low", None, ""]], ["note"], signed=True
    )
    assert section.texts() == [["row", "HOTA", "IDSW"], ["a", "+12.34", "+3"], ["low", "n/a", ""]]
    assert section.as_data()["rows"] == {"a": {"HOTA": 0.1234, "IDSW": 3}, "low": {"HOTA": None}}
    assert section.as_csv() == "row,HOTA,IDSW\na,0.1234,3\nlow,,\n"
    assert (
        section.as_markdown()
        == "\n## T\n\n| row | HOTA | IDSW |\n| --- | ---: | ---: |\n| a | +12.34 | +3 |\n| low | n/a |  |\n\nnote\n"
    )
