"""`reid.fit`: a training from Python, what it tells on the way, when it stops."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace import Embedder, InputError, evaluate_ranking
from retrace.reid.data.sets import read_reid_set
from tests.reid.mini_market import write_mini_market

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from retrace.reid import fit  # noqa: E402
from retrace.reid.training.files import read_checkpoint  # noqa: E402
from retrace.reid.training.progress import Progress  # noqa: E402

CONFIG: dict[str, Any] = {
    "model": {"name": "timm.test_resnet", "embedding": 16},
    "size": [32, 16],
    "augment": {"flip": 0.5, "pad": 2},
    "batch": {"identities": 4, "images": 2},
    "losses": {"cross_entropy": {}, "batch_hard_triplet": {}},
    "optimizer": {"name": "sgd", "lr": 0.02},
    "schedule": {"kind": "constant", "warmup": 0},
    "epochs": 4,
    "evaluate_every": 1,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 people to train on, 24 images, 3 iterations an epoch."""
    folder = tmp_path_factory.mktemp("fit") / "mini"
    write_mini_market(folder, ids=6, cameras=2, images=2, size=(32, 16))
    return folder


@dataclass
class Said:
    """A metric that tells what it is told to, instead of measuring."""

    scores: list[float]

    def __call__(self, *given: np.ndarray) -> Said:
        assert given[0].dtype == np.float32
        return self

    def row(self) -> dict[str, Any]:
        return {"rank": {"1": 0.5, "5": 0.5, "10": 0.5}, "mAP": self.scores.pop(0), "mINP": 0.1}


def test_a_training_from_python(data: Path, tmp_path: Path) -> None:
    heard: list[Progress] = []
    threads = torch.get_num_threads()
    done = fit(
        CONFIG,
        read_reid_set(data),
        tmp_path / "run",
        evaluate=evaluate_ranking,
        threads=1,
        cache=tmp_path,
        log_every=5,
        record={"commit": "abc"},
        on_progress=heard.append,
    )
    assert torch.get_num_threads() == threads
    assert (done.iterations, done.images) == (12, 96)
    assert set(done.figures) == {"rank-1", "rank-5", "rank-10", "mAP", "mINP"}
    assert Embedder.from_weights(done.weights).dim == 16
    assert json.loads((tmp_path / "run" / "run.json").read_text())["commit"] == "abc"
    assert {p.stage for p in heard if p.stage} == {"decode train", "decode query", "decode gallery", "train"}
    steps = [p for p in heard if p.stage == "train"]
    assert [p.done for p in steps] == [5, 10, 12]
    last = steps[-1]
    assert (last.total, last.epoch, last.images, last.seconds_left) == (12, 4.0, 96, 0.0)
    assert last.loss > 0
    assert last.rate == 0.02
    assert last.images_per_s > 0
    assert last.figures.keys() == done.figures.keys()  # of the evaluation before
    assert not steps[0].figures or steps[0].figures.keys() == done.figures.keys()
    assert [p.note.split(",")[0] for p in heard if p.note.startswith("epoch")] == [
        f"epoch {k}.0" for k in (1, 2, 3, 4)
    ]


def test_no_evaluation_unless_asked_for(data: Path, tmp_path: Path) -> None:
    done = fit(CONFIG | {"epochs": 0.5}, data, tmp_path / "run", cache=tmp_path)
    assert done.figures == {}
    assert not (tmp_path / "run" / "evaluation.csv").exists()


def test_it_stops_when_map_rises_no_more(data: Path, tmp_path: Path) -> None:
    """Of 0.1, 0.3, 0.2, 0.3 the last two are no better: patience 2 ends after the fourth of eight epochs."""
    told = Said([0.1, 0.3, 0.2, 0.3, 0.9])
    done = fit(CONFIG | {"epochs": 8, "patience": 2}, data, tmp_path / "run", evaluate=told, cache=tmp_path)
    assert done.iterations == 12
    assert done.figures["mAP"] == 0.3
    assert told.scores == [0.9]
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt")["iteration"] == 12
    # It has stopped for good: nothing is left to be gone on with.
    again = fit(resume=tmp_path / "run", evaluate=told, cache=tmp_path)
    assert again.iterations == 12
    assert told.scores == [0.9]


def test_a_run_from_python_goes_on_from_python(data: Path, tmp_path: Path) -> None:
    two = CONFIG | {"epochs": 2}
    whole = fit(two, data, tmp_path / "whole", evaluate=evaluate_ranking, cache=tmp_path, threads=1)
    fit(CONFIG | {"epochs": 1}, data, tmp_path / "half", evaluate=evaluate_ranking, cache=tmp_path, threads=1)
    about = json.loads((tmp_path / "half" / "run.json").read_text())
    about["config"]["epochs"] = 2
    (tmp_path / "half" / "run.json").write_text(json.dumps(about))
    rest = fit(resume=tmp_path / "half", evaluate=evaluate_ranking, cache=tmp_path)
    assert rest.figures == whole.figures
    one, other = (read_checkpoint(tmp_path / name / "checkpoint.pt")["network"] for name in ("whole", "half"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_it_starts_from_what_the_project_ships(data: Path, tmp_path: Path) -> None:
    config = CONFIG | {
        "model": {"name": "osnet_x0_25", "neck": "bnneck", "embedding": 512},
        "init": "auto",
        "epochs": 0.4,
    }
    done = fit(config, data, tmp_path / "run", cache=tmp_path)
    assert done.iterations == 1
    shipped = Embedder.from_weights("auto")
    crops = np.random.default_rng(0).integers(0, 256, (3, *shipped.size, 3), np.uint8)
    assert shipped.crops(crops).shape[1] == Embedder.from_weights(done.weights).dim


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": CONFIG}, "expected `config` and `data`"),
        ({"resume": "x", "config": CONFIG}, "leave `config`, `changes` and `out` out"),
        (
            {"config": CONFIG, "data": "x", "changes": {"epochs": 1}},
            "`changes` are for a preset's name or file",
        ),
        ({"config": "bot_r50", "data": "x", "changes": {"epoch": 1}}, "unknown key 'epoch'"),
        ({"config": CONFIG, "data": "x", "log_every": 0}, "`log_every` must be at least 1, got 0"),
        ({"config": CONFIG, "data": "x", "threads": 0}, "`threads` must be at least 1, got 0"),
        (
            {"config": CONFIG, "data": "x", "device": "tpu"},
            "`device` tpu: expected auto, cpu, cuda or cuda:N",
        ),
        (
            {"config": CONFIG | {"epoch": 1}, "data": "x"},
            "config: unknown key 'epoch'; did you mean 'epochs'",
        ),
        ({"config": "bot_r5", "data": "x"}, "unknown reid preset 'bot_r5'"),
        ({"config": CONFIG, "data": "nowhere"}, "nowhere: no such folder"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(
    arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        fit(**arguments)
    assert "\n" not in str(caught.value)
