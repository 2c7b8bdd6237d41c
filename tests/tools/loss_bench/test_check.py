"""Does everything train: everybody is asked, a miniature from beginning to end, and (long) all of it on people."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for package in ("torchreid", "pytorch_metric_learning"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from retrace.configs import InputError  # noqa: E402
from retrace.reid.config import HeadConfig  # noqa: E402
from retrace.reid.data.sets import read_reid_set  # noqa: E402
from retrace.reid.losses.objective import TERMS  # noqa: E402
from retrace.reid.losses.pml import usable  # noqa: E402
from retrace.tools.loss_bench import check  # noqa: E402
from retrace.tools.loss_bench.entrants import read_bench  # noqa: E402
from retrace.tools.loss_bench.jobs import read_bench_results  # noqa: E402
from retrace.tools.loss_bench.work import Places  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.reid.mini_market import write_mini_market  # noqa: E402

BENCH = read_bench()
EVERYBODY = check.everybody(BENCH)


def test_every_term_and_every_loss_of_the_library_is_asked() -> None:
    terms = {term.partition("@")[0] for one in EVERYBODY.values() for term in one.losses}
    assert terms >= set(TERMS)
    assert {f"pml.{name}" for name in usable()} <= set(EVERYBODY)


def test_what_begins_late_begins_at_once() -> None:
    small = check.shrunk(BENCH, EVERYBODY)
    assert small.entrants["memory"].losses["memory"]["start"] == 0
    assert small.entrants["s2sd"].losses["s2sd"]["delay"] == 0
    assert BENCH.entrants["memory"].losses["memory"]["start"] > 0


@pytest.mark.parametrize(
    ("name", "frame"),
    [("0002_c1s1_000451_03.jpg", 1_000_451), ("0002_c6s4_070000_01.jpg", 4_070_000), ("a.jpg", 0)],
)
def test_the_moment_of_an_image(name: str, frame: int) -> None:
    assert check.frame_of(Path(name)) == frame


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Ten people; six steps, stopped at four."""
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "cache"))
    small = {"STEPS": 6, "STOP": 4, "FEW": 2, "IDENTITIES": 4, "IMAGES": 2, "SIZE": (32, 16)}
    for name, value in small.items():
        monkeypatch.setattr(check, name, value)
    write_mini_market(tmp_path / "here", ids=10, cameras=2, images=2, size=(32, 16))
    return Places(tmp_path / "r.jsonl", tmp_path / "work", *[tmp_path / "here"] * 3)


def test_a_miniature_from_beginning_to_end(places: Places) -> None:
    told: list[str] = []
    names = ["viewpoint", "pml.CircleLoss"]
    assert check.check_all(BENCH, names, places, tell=told.append) == 2
    lines = read_bench_results(places.results)
    assert [one["entrant"] for one in lines] == names
    for one in lines:
        assert "failed" not in one, one
        assert one["same"] is True
        assert 0 < one["chance"] < 1
        assert one["first"] > 0
    assert "gone on to the same bytes: yes" in told[0]
    assert check.check_all(BENCH, names, places, tell=told.append) == 0, "done once"


def test_a_run_that_ends_otherwise_is_found(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that loses the optimiser's state."""
    from retrace.reid.training.state import Training

    real = Training.state_dict

    def forgetful(self: Training) -> dict[str, Any]:
        state = real(self)
        return state | {"optimizer": state["optimizer"] | {"state": {}}}

    monkeypatch.setattr(Training, "state_dict", forgetful)
    told: list[str] = []
    check.check_all(BENCH, ["ce"], places, tell=told.append)
    assert "gone on to the same bytes: NO" in told[0]


def test_the_queue_says_who_cannot_and_stops_when_told(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: check.Course, name: str) -> dict[str, Any]:
        if name == "ce":
            raise InputError("not finite any more")
        return {"first": 2.0, "last": 1.0, "same": True, "mAP": 0.3, "chance": 0.1}

    monkeypatch.setattr(check.Course, "run", run)
    told: list[str] = []
    assert check.check_all(BENCH, ["ce", "triplet", "margin"], places, most=2, tell=told.append) == 2
    assert told == [
        "ce: failed: InputError: not finite any more",
        "triplet: loss 2 -> 1, mAP 30.0 (chance 10.0), gone on to the same bytes: yes",
    ]
    with pytest.raises(InputError, match="unknown 'tripet'"):
        check.check_all(BENCH, ["tripet"], places, tell=told.append)


def test_clothes_are_an_identitys(places: Places) -> None:
    from retrace.reid.data.sets import read_reid_set

    images = read_reid_set(places.data).train
    assert images is not None
    clothes = check.dressed(images)
    for person in np.unique(images.ids):
        assert len(np.unique(clothes[images.ids == person])) == 1
    assert len(np.unique(clothes)) > 1


def test_whatever_was_checked_in_the_repository_trains() -> None:
    lines = {
        one["entrant"]: one
        for one in read_bench_results(ROOT / "docs/bench/losses.jsonl")
        if one["stage"] == "check"
    }
    for name, one in lines.items():
        assert "failed" not in one, one
        assert one["mAP"] > one["chance"], name
        assert one.get("same", True), name


@pytest.mark.long
@pytest.mark.parametrize("name", EVERYBODY)
def test_everybody_trains_on_people(name: str, shared: Path, tmp_path: Path) -> None:
    """What `bench_losses.py check` does, for one: half a minute each."""
    places = Places(
        tmp_path / "r.jsonl",
        tmp_path / "work",
        shared / "market1501-split",
        shared / "cuhk03-detected-val",
        shared / "weights",
    )
    check.check_all(BENCH, [name], places, tell=print)
    (line,) = read_bench_results(places.results)
    assert "failed" not in line, line
    assert line["last"] < line["first"]
    assert line["mAP"] > 1.5 * line["chance"]
    assert line["same"]


def test_few_people_train(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with the smallest numbers, all their images."""
    monkeypatch.setattr(check, "PEOPLE", 3)
    train, everybody = check.Course(BENCH, places).train, read_reid_set(places.data).train
    assert everybody is not None
    few = np.unique(everybody.ids)[:3]
    assert np.array_equal(np.unique(train.ids), few)
    assert len(train) == np.isin(everybody.ids, few).sum() < len(everybody)


@pytest.mark.parametrize(("dim", "becomes"), [(4, 4), (8, 6), (12, 6), (16, 16), (512, 512)])
def test_a_head_narrower_than_a_batch_stays_so(dim: int, becomes: int) -> None:
    """16 identities in the bench's batches, 8 in the check's."""
    assert check.IDENTITIES == 8
    assert check.narrowed(HeadConfig(dim=dim), 16).dim == becomes
