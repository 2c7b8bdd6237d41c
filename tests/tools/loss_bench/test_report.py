"""Tables, plots and the page from made-up results."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools.loss_bench.entrants import read_bench
from retrace.tools.loss_bench.plots import _ticks, intervals
from retrace.tools.loss_bench.report import agreement, markdown, plots, read_all, read_regime, write
from tests.tools.loss_bench.results_by_hand import final

BENCH = read_bench()
LEVELS = {"ce_triplet": 0.5, "ce": 0.3, "triplet": 0.52, "circle": 0.1, "supcon": 0.7}
RESULTS = [final(name, seed, level) for name, level in LEVELS.items() for seed in (1, 2, 3)]
RESULTS += [final(name, 1, level, regime="scratch", length=12) for name, level in LEVELS.items()]


def test_a_table_by_regime_with_groups_and_differences() -> None:
    regime = read_regime(BENCH, "finetune", RESULTS, published=True)
    assert regime.rows[0].name == "supcon"
    by_name = {row.name: row for row in regime.rows}
    assert by_name["ce_triplet"].against is None
    assert by_name["circle"].against.high < 0  # type: ignore[union-attr]
    assert by_name["triplet"].group == by_name["ce_triplet"].group
    assert by_name["supcon"].mAP.seeds == 3
    assert regime.missing["viewpoint"].startswith("the data")
    assert regime.missing["arcface"] == "not done yet"
    assert not read_regime(BENCH, "finetune", RESULTS).rows, "nobody was searched"


def test_regimes_are_never_in_one_table() -> None:
    text = markdown(read_all(BENCH, RESULTS, published=True))
    first, second = text.index("### Regime B"), text.index("### Regime A")
    assert 0 <= first < second
    assert text.count("| ce_triplet |") == 2
    assert "2 epochs, batches of 16 x 4, 3 seeds" in text[:second]
    assert "12 epochs, batches of 16 x 4, 1 seed." in text[second:]
    assert "Where there is one seed" in text[second:]
    assert "Where there is one seed" not in text[:second]


def test_plots_and_page_are_well_formed(tmp_path: Path) -> None:
    regimes = read_all(BENCH, RESULTS, published=True)
    found = plots(regimes[1])
    assert len(found) == 3
    for text in found.values():
        ET.fromstring(text)
    paths = write(tmp_path / "page", regimes)
    names = {path.name for path in paths}
    assert {"losses.md", "losses.html", "finetune-mAP.svg", "scratch-rho.svg"} <= names
    assert "<svg" in (tmp_path / "page/losses.html").read_text()
    with pytest.raises(InputError, match="no entrant has a finished final"):
        write(tmp_path / "none", read_all(BENCH, []))


def test_agreement_is_said_with_its_p() -> None:
    lines = agreement([r for r in read_all(BENCH, RESULTS, published=True) if r.rows])
    assert lines[0].startswith("mAP of finetune and scratch: Spearman +")
    assert any(line.startswith("mAP and rho in finetune: Spearman -") and "over 5" in line for line in lines)


def test_ticks_are_round_and_hold_the_range() -> None:
    for low, high in [(0.3, 0.7), (12.3, 57.9), (-4, 88), (5, 5), (0.013, 0.0131)]:
        ticks = _ticks(low, high)
        assert ticks[0] <= low
        assert ticks[-1] >= high
        assert 2 <= len(ticks) <= 11


def test_a_failed_final_is_named_not_dropped() -> None:
    bad = final("margin", 1, 0.5) | {"failed": "the loss is not finite"}
    regime = read_regime(BENCH, "finetune", [*RESULTS, bad], published=True)
    assert regime.missing["margin"] == "the loss is not finite"
    assert json.dumps(bad)
    with pytest.raises(ValueError, match="min"):
        intervals("nothing", [])
