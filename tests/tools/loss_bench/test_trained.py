"""Networks trained: a miniature from beginning to end, stopped and gone on with, tracked."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if importlib.util.find_spec("torchreid") is None:
    pytest.skip("needs torchreid: pip install -e .[train]", allow_module_level=True)

from retrace.tools.loss_bench import trained  # noqa: E402
from retrace.tools.loss_bench.entrants import Bench, read_bench  # noqa: E402
from retrace.tools.loss_bench.jobs import TrainingJob, read_bench_results  # noqa: E402
from retrace.tools.loss_bench.work import Places, work  # noqa: E402
from tests.reid.mini_market import write_mini_market  # noqa: E402


def small() -> Bench:
    """Four people to a batch, 32 x 16 px, one epoch, nobody searched."""
    bench = read_bench()
    config = bench.scratch.config | {"size": [32, 16], "augment": {"pad": 0}, "precision": "float32"}
    scratch = bench.scratch.model_copy(update={"config": config, "length": 1, "seeds": 1})
    return bench.model_copy(update={"identities": 4, "images": 2, "validation": 4, "scratch": scratch})


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("bench")
    for name in ("here", "there"):
        write_mini_market(folder / name, ids=10, cameras=2, images=2, size=(32, 16))
    return Places(folder / "r.jsonl", folder / "work", folder / "here", folder / "there", folder)


def test_a_job_from_beginning_to_end(places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path))
    done = work(small(), "scratch", ["multi_similarity"], places, published=True, tell=lambda line: None)
    (line,) = read_bench_results(places.results)
    assert done == 1
    assert "failed" not in line
    assert list(line["losses"]) == ["cross_entropy", "multi_similarity"], "beside cross-entropy, always"
    assert 0 < line["mAP"] <= 1
    assert line["space"]["rho"] > 0
    kept = list((places.work / trained.KEPT).iterdir())
    assert [path.stem for path in kept] == ["scratch-multi_similarity-final-setting0-seed1-1"]
    assert not any((places.work / "runs").iterdir()), "what need not be kept is gone"


def test_the_search_does_not_train_on_those_who_choose(places: Places) -> None:
    people = trained.read_people(places.data, places.other)
    without = trained.without_some(people.here, 4)
    assert without.train is not None
    assert without.query is not None
    assert without.gallery is not None
    assert len(np.unique(without.train.ids)) == len(np.unique(people.here.train.ids)) - 4  # type: ignore[union-attr]
    assert not set(without.train.ids.tolist()) & set(without.query.ids.tolist())
    assert set(without.query.ids.tolist()) == set(without.gallery.ids.tolist())


def test_a_stopped_job_goes_on_from_its_checkpoint(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "cache"))
    bench, people = small(), trained.read_people(places.data, places.other)
    job = TrainingJob("scratch", "ce", "final", 0, 1, 2)
    whole = trained.train(people, bench, job, places.weights, tmp_path / "one")

    class Stop(Exception):
        pass

    from retrace.reid.training import fit as fitting

    real = fitting.write_checkpoint

    def stop(path: Path, training: object) -> None:
        real(path, training)  # type: ignore[arg-type]
        raise Stop

    monkeypatch.setattr(fitting, "write_checkpoint", stop)
    with pytest.raises(Stop):
        trained.train(people, bench, job, places.weights, tmp_path / "two")
    monkeypatch.setattr(fitting, "write_checkpoint", real)
    assert trained.train(people, bench, job, places.weights, tmp_path / "two") == whole
