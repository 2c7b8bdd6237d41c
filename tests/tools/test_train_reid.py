"""tools/train_reid.py: what a run leaves behind, that it goes on exactly, and one line for every mistake."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.tools.terminal.console import guarded
from retrace.tools.train_reid import main
from tests.conftest import ROOT
from tests.reid.mini_market import write_mini_market
from tests.reid.networks_by_hand import all_pixels

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from retrace.reid.weights.files import load_network, read  # noqa: E402

PRESET = """
source: a test
model: {name: timm.test_resnet, embedding: 16}  # a few times faster than an OSNet, which the README's commands train
size: [32, 16]
augment: {flip: 0.5, pad: 2, erase: 0.3}
batch: {identities: 4, images: 2}
losses: {cross_entropy: {label_smoothing: 0.1}, batch_hard_triplet: {}, centre: {weight: 5e-4, lr: 0.1}}
optimizer: {name: sgd, lr: 0.02}
schedule: {kind: cosine, warmup: 1}
ema: 0.5
epochs: 4
evaluate_every: 2
checkpoint_every: 1
"""
EVERY_LINE = ("--log-every", "1", "--threads", "1")
Tool = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mini/: 6 people to train on, 24 images, so 3 iterations an epoch; preset.yaml."""
    folder = tmp_path_factory.mktemp("train")
    write_mini_market(folder / "mini", ids=6, cameras=2, images=2, size=(32, 16))
    (folder / "preset.yaml").write_text(PRESET)
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    """A run that nobody disturbed: 12 iterations."""
    assert main(arguments(place, place / "whole")) == 0
    return place / "whole"


@pytest.fixture
def tool(capsys: pytest.CaptureFixture[str]) -> Tool:
    """Runs it as the command line would: the exit code and standard error."""

    def run(*argv: Any) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            guarded(main, [str(a) for a in argv])
        return done.value.code, capsys.readouterr().err  # type: ignore[return-value]

    return run


def arguments(place: Path, out: Path, *more: Any) -> list[str]:
    fixed = [
        "--config",
        place / "preset.yaml",
        "--data",
        place / "mini",
        "--out",
        out,
        "--quiet",
        *EVERY_LINE,
    ]
    return [str(a) for a in [*fixed, *more]]


def rows(path: Path, without: tuple[str, ...] = ("images_per_s",)) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [{k: v for k, v in row.items() if k not in without} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path) -> None:
    """Log, evaluations, state and weights, to the last bit (but for speeds)."""
    assert rows(one / "log.csv") == rows(other / "log.csv")
    assert rows(one / "evaluation.csv") == rows(other / "evaluation.csv")
    (a, told), (b, told_too) = (read(run / "weights.safetensors") for run in (one, other))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert told.card["evaluation"] == told_too.card["evaluation"]
    assert told.card["evaluation"]


def test_a_run_leaves_everything_behind(place: Path, whole: Path) -> None:
    assert {p.name for p in whole.iterdir()} == {
        *("checkpoint.pt", "evaluation.csv", "log.csv", "run.json", "weights.safetensors")
    }
    log = rows(whole / "log.csv")
    assert [(row["iteration"], row["images"]) for row in log] == [(str(i), str(8 * i)) for i in range(1, 13)]
    assert [row["epoch"] for row in log[2::3]] == ["1.000", "2.000", "3.000", "4.000"]
    names = ["learning_rate", "loss", "cross_entropy", "batch_hard_triplet", "centre"]
    assert list(log[0]) == ["iteration", "images", "epoch", *names]
    for row in log:
        parts = [float(row[name]) for name in names[2:]]
        assert float(row["loss"]) == pytest.approx(parts[0] + parts[1] + 5e-4 * parts[2], rel=1e-5)
    about = json.loads((whole / "run.json").read_text())
    assert about["config"]["losses"]["centre"] == {"weight": "5e-4", "lr": 0.1}
    assert about["data"] == str((place / "mini").resolve())
    assert {"command", "commit", "versions", "processes", "threads", "data_notes"} <= about.keys()
    assert any("24 images" in note for note in about["data_notes"])


def test_evaluations_are_of_the_averaged_network_that_is_kept(place: Path, whole: Path) -> None:
    from retrace.eval.ranking.ranks import evaluate_ranking
    from retrace.reid.data.image_cache import open_images
    from retrace.reid.data.sets import read_reid_set
    from retrace.reid.training.features import features

    evaluated = rows(whole / "evaluation.csv")
    assert [row["iteration"] for row in evaluated] == ["6", "12"]
    network, recipe = load_network(whole / "weights.safetensors")
    assert (recipe.name, recipe.size, recipe.classes) == ("timm.test_resnet", (32, 16), 6)
    assert recipe.card["images_seen"] == 96
    data = read_reid_set(place / "mini")
    query, gallery = data.query, data.gallery
    assert query is not None
    assert gallery is not None
    found = [features(network, open_images(part, recipe.size), recipe) for part in (query, gallery)]
    metrics = evaluate_ranking(found[0], query.ids, query.cameras, found[1], gallery.ids, gallery.cameras)
    assert float(evaluated[1]["mAP"]) == pytest.approx(metrics.mAP, abs=1e-6)
    assert recipe.card["evaluation"]["mAP"] == pytest.approx(metrics.mAP, abs=1e-6)
    state = torch.load(whole / "checkpoint.pt", weights_only=True)
    averaged = state["average"]["module.embedding.weight"]
    assert torch.equal(network.embedding.weight, averaged)
    assert not torch.equal(state["network"]["embedding.weight"], averaged)


def test_a_killed_run_goes_on_as_if_nothing_had_been(place: Path, whole: Path, tmp_path: Path) -> None:
    """kill -9 after iteration 8's log line; the last checkpoint is of iteration 6."""
    from tests.tools import training_process

    process = training_process.start(arguments(place, tmp_path), killed_at=8)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert [row["iteration"] for row in rows(tmp_path / "log.csv")] == [str(i) for i in range(1, 9)]
    assert not (tmp_path / "weights.safetensors").exists()
    assert main(["--resume", str(tmp_path), "--quiet", *EVERY_LINE]) == 0
    assert_same_run(whole, tmp_path)


@pytest.mark.parametrize("stopped_at", [6, 12])
def test_an_evaluation_that_was_cut_short_is_made_up_for(
    place: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    """The checkpoint was written, the evaluation due with it was not; at the end or on the way."""
    import retrace.reid.training.fit as training_run

    real = training_run.evaluate

    def cut(training: Any, *rest: Any) -> Any:
        if training.iteration == stopped_at:
            raise KeyboardInterrupt
        return real(training, *rest)

    monkeypatch.setattr(training_run, "evaluate", cut)
    with pytest.raises(KeyboardInterrupt):
        main(arguments(place, tmp_path))
    monkeypatch.undo()
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "another"))  # decoded anew, the same pixels
    assert main(["--resume", str(tmp_path), "--quiet", *EVERY_LINE]) == 0
    assert_same_run(whole, tmp_path)


def test_a_finished_run_can_be_resumed_and_keeps_its_figures(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = shutil.copytree(whole, tmp_path / "again")
    (again / "log.csv").write_text((again / "log.csv").read_text() + "13,10")  # a line that was cut short
    import retrace.reid.training.fit as training_run

    real, threads = training_run.loop, []

    def loop(*given: Any) -> Any:
        threads.append(torch.get_num_threads())
        return real(*given)

    monkeypatch.setattr(training_run, "loop", loop)
    torch.set_num_threads(2)
    assert main(["--resume", str(again), "--quiet"]) == 0
    assert threads == [1]  # the run's own: sums round otherwise with another number
    assert torch.get_num_threads() == 2  # the caller's, as before
    assert_same_run(whole, again)


def test_two_processes_train_one_network(place: Path, tmp_path: Path) -> None:
    """As torchrun starts them, on gloo. Each takes half the identities, so it equals two accumulated parts.

    No term reads the logits, so the classifier gets no gradient: the processes must know.
    """
    from tests.tools import training_process

    changes = [
        "augment={flip: 0, pad: 0}",
        "losses={batch_hard_triplet: {margin: 1}, centre: {weight: 1e-2}}",
        "epochs=2",
    ]
    sets = [word for change in [*changes, "ema=null"] for word in ("--set", change)]
    port = training_process.free_port()
    both = [
        training_process.start(arguments(place, tmp_path / "two", *sets), rank=rank, world=2, port=port)
        for rank in (0, 1)
    ]
    assert main(arguments(place, tmp_path / "one", *sets, "--set", "accumulate=2")) == 0
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / "two" / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    alone = read(tmp_path / "one" / "weights.safetensors")[0]
    for key, value in first.items():
        torch.testing.assert_close(value.detach(), alone[key], atol=2e-3, rtol=2e-3)
    log = rows(tmp_path / "two" / "log.csv")
    assert [row["images"] for row in log] == [str(8 * i) for i in range(1, 7)]  # over both, one line each
    assert np.isfinite([float(row["loss"]) for row in log]).all()
    assert json.loads((tmp_path / "two" / "run.json").read_text())["processes"] == 2
    assert (tmp_path / "two" / "weights.safetensors").exists()


def test_two_processes_of_uneven_sources_go_on_after_one_is_killed(place: Path, tmp_path: Path) -> None:
    """Five people, by one camera twice as often as by the other, two of them by one camera only: batches of four people
    do not come out even, in either process. The first is killed after iteration 5, as a machine that goes; the other,
    as torchrun does, is ended; both go on from the checkpoint to the bytes of a run that nobody disturbed."""
    from tests.tools import training_process

    data = tmp_path / "uneven"
    write_mini_market(data, ids=5, cameras=2, images=4, size=(32, 16))
    for path in (data / "bounding_box_train").iterdir():
        person, camera, image = int(path.name[:4]), path.name[6], int(path.name[10:16])
        if camera == "2" and (image >= 2 or person >= 4):
            path.unlink()
    sets = ["--data", data, "--set", "batch.order=spread", "--set", "epochs=3", "--set", "evaluate_every=3"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def both(*argvs: list[str], killed_at: int | None = None) -> list[Any]:
        port = training_process.free_port()
        return [
            training_process.start(argv, None if rank else killed_at, rank=rank, world=2, port=port)
            for rank, argv in enumerate(argvs)
        ]

    for process in both(*[arguments(place, whole, *sets)] * 2):
        process.join(1200)
        assert process.exitcode == 0
    first, second = both(*[arguments(place, broken, *sets)] * 2, killed_at=5)
    first.join(1200)
    assert first.exitcode == -signal.SIGKILL
    second.kill()
    second.join(60)
    assert not (broken / "weights.safetensors").exists()
    assert torch.load(broken / "checkpoint.pt", weights_only=True)["iteration"] < 5
    for process in both(*[["--resume", str(broken), "--quiet", *EVERY_LINE]] * 2):
        process.join(1200)
        assert process.exitcode == 0
    assert_same_run(whole, broken)
    ranks = [torch.load(broken / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(ranks[0][key], ranks[1][key]) for key in ranks[0])


def test_a_diverged_run_ends_in_one_line_and_keeps_a_checkpoint(
    place: Path, tmp_path: Path, tool: Tool
) -> None:
    sets = ("--set", "optimizer.lr=1e18", "--set", "checkpoint_every=0.3", "--set", "schedule.warmup=0")
    code, error = tool(*arguments(place, tmp_path, *sets))
    assert code == 2
    assert error.count("\n") == 1
    assert "not finite any more" in error
    assert "lower optimizer.lr" in error
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["iteration"] >= 1
    assert all(value.isfinite().all() for value in state["network"].values())
    assert not (tmp_path / "weights.safetensors").exists()
    assert tool("--resume", tmp_path, "--quiet")[0] == 2  # it still loads, and still diverges


def test_tensorboard_gets_the_same_numbers(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert main(arguments(place, tmp_path, "--tensorboard", "--set", "epochs=1")) == 0
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert {"loss", "cross_entropy", "centre", "learning_rate", "mAP", "rank-1"} <= {*board.Tags()["scalars"]}
    want = [float(row["loss"]) for row in rows(tmp_path / "log.csv")]
    assert [event.value for event in board.Scalars("loss")] == pytest.approx(want)


def test_what_an_earlier_run_left_without_a_checkpoint_is_written_anew(place: Path, tmp_path: Path) -> None:
    """Killed before its first checkpoint, and started again with other terms, so other columns."""
    (tmp_path / "log.csv").write_text("iteration,images,epoch,loss\n1,8,0.3,1.0\n")
    assert main(arguments(place, tmp_path, "--set", "epochs=1")) == 0
    assert [row["iteration"] for row in rows(tmp_path / "log.csv")] == ["1", "2", "3"]
    assert "centre" in rows(tmp_path / "log.csv")[0]


# ---- data that cannot be scored still trains


def test_data_without_query_and_gallery(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "mini" / "bounding_box_train", tmp_path / "data" / "bounding_box_train")
    more = ("--data", tmp_path / "data", "--set", "epochs=1")
    assert main(arguments(place, tmp_path / "out", *more)) == 0
    assert not (tmp_path / "out" / "evaluation.csv").exists()
    assert read(tmp_path / "out" / "weights.safetensors")[1].card["evaluation"] == {}


def test_data_of_one_camera(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No query has a match by another camera, so there is nothing to score; the training goes on, and says so."""
    write_mini_market(tmp_path / "data", ids=4, cameras=1, images=4, size=(32, 16))
    argv = arguments(place, tmp_path / "out", "--data", tmp_path / "data", "--set", "epochs=1")
    assert main([a for a in argv if a != "--quiet"]) == 0
    assert "rank-k and mAP are undefined" in capsys.readouterr().out
    assert not (tmp_path / "out" / "evaluation.csv").exists()


def test_broken_images_are_left_out_or_refused(place: Path, tmp_path: Path, tool: Tool) -> None:
    data = shutil.copytree(place / "mini", tmp_path / "data")
    broken = sorted((data / "bounding_box_train").iterdir())[3]
    broken.write_bytes(b"no image")
    code, error = tool(*arguments(place, tmp_path / "strict", "--data", data, "--strict"))
    assert code == 2
    assert broken.name in error
    assert main(arguments(place, tmp_path / "out", "--data", data, "--set", "epochs=1")) == 0
    notes = json.loads((tmp_path / "out" / "run.json").read_text())["data_notes"]
    assert f"train: 1 broken images left out: bounding_box_train/{broken.name}" in notes
    card = read(tmp_path / "out" / "weights.safetensors")[1].card
    assert card["data_notes"] == notes
    assert str(tmp_path) not in json.dumps(card)  # it travels


# ---- mistakes


def check_one_line(code: int, error: str, *words: str) -> None:
    assert code == 2, error
    assert error.count("\n") == 1, error
    for word in words:
        assert word in error


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--config", "bot_r5"], ["unknown reid preset 'bot_r5'", "did you mean 'bot_r50'?"]),
        (["--config", "no.yaml"], ["no such preset file"]),
        (["--set", "epoch=3"], ["unknown key 'epoch'", "did you mean 'epochs'?"]),
        (["--set", "epochs=.inf"], ["epochs", "finite"]),
        (["--set", "epochs"], ["expected key=value"]),
        (["--set", "model.name=osnet"], ["unknown network 'osnet'", "osnet_x0_25"]),
        (["--set", "losses.triplet={}"], ["unknown term 'triplet'", "batch_hard_triplet"]),
        (["--set", "losses.cross_entropy.label_smoothing=3"], ["losses.cross_entropy: cannot be used"]),
        (["--set", "batch.identities=64"], ["batch.identities=64: the training set has only 6 identities"]),
        (["--set", "accumulate=4"], ["each part needs", "at least 2"]),
        (["--set", "init=nothing.safetensors"], ["nothing.safetensors: no such weights file"]),
        (["--set", "size=[16, 8]"], ["size must be at least 16 px"]),
        (["--data", "nowhere"], ["nowhere: no such folder"]),
        (["--device", "cuda:77"], ["--device cuda:77", "CUDA devices"]),
        (["--device", "tpu"], ["--device tpu: expected auto, cpu, cuda or cuda:N"]),
        (["--log-every", "0"], ["--log-every must be at least 1, got 0"]),
        (["--threads", "0"], ["--threads must be at least 1, got 0"]),
        (["--resume", "x"], ["takes --config from the run itself"]),
        (["--colour"], ["--colour"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_mistakes_are_one_line(
    place: Path, tmp_path: Path, tool: Tool, more: list[str], words: list[str]
) -> None:
    check_one_line(*tool(*arguments(place, tmp_path / "new" / "out", *more)), *words)
    assert not [*tmp_path.iterdir()]  # nothing is made of a run that is refused


def test_folders_that_are_not_free_are_refused(place: Path, whole: Path, tmp_path: Path, tool: Tool) -> None:
    before = (whole / "log.csv").read_bytes()
    check_one_line(*tool(*arguments(place, whole)), "holds a run already: go on with --resume")
    assert (whole / "log.csv").read_bytes() == before
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "deeper"):
        check_one_line(*tool(*arguments(place, out)), f"{out}: cannot be made a folder")


def test_data_without_training_images_is_refused(place: Path, tmp_path: Path, tool: Tool) -> None:
    for part in ("query", "bounding_box_test"):
        shutil.copytree(place / "mini" / part, tmp_path / "data" / part)
    check_one_line(
        *tool(*arguments(place, tmp_path / "out", "--data", tmp_path / "data")), "no training images"
    )
    train = tmp_path / "data" / "bounding_box_train"
    train.mkdir()
    junk = next((place / "mini" / "bounding_box_test").glob("-1_*"))
    shutil.copy(junk, train)
    check_one_line(
        *tool(*arguments(place, tmp_path / "out", "--data", tmp_path / "data")), "no training images"
    )


def edit(run: Path, **changes: Any) -> None:
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(about | changes))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda run: shutil.rmtree(run), ["no such file, so there is no run to go on with"]),
        (lambda run: (run / "run.json").unlink(), ["no such file, so there is no run to go on with"]),
        (lambda run: (run / "run.json").write_text("{"), ["not readable as JSON"]),
        (lambda run: (run / "run.json").write_text("[]"), ["expected JSON with an object, got list"]),
        (lambda run: (run / "run.json").write_text("{}"), ["not what a training writes"]),
        (lambda run: edit(run, config={"epochs": 3}), ["run.json: model: is missing"]),
        (lambda run: edit(run, data="/nowhere/at/all"), ["/nowhere/at/all: no such folder"]),
        (lambda run: (run / "checkpoint.pt").unlink(), ["no checkpoint there to go on from"]),
        (lambda run: (run / "checkpoint.pt").write_bytes(b"x"), ["not readable as a checkpoint"]),
        (lambda run: torch.save([1], run / "checkpoint.pt"), ["not a checkpoint of a training run"]),
        (lambda run: torch.save({"a": 1}, run / "checkpoint.pt"), ["not one of a training run"]),
        (lambda run: (run / "log.csv").write_bytes(b""), []),
    ],
)
def test_what_cannot_be_resumed(
    whole: Path, tmp_path: Path, tool: Tool, break_it: Callable[[Path], Any], words: list[str]
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    break_it(run)
    code, error = tool("--resume", run, "--quiet")
    if words:
        check_one_line(code, error, *words)
    else:
        assert code == 0, error


def test_a_changed_preset_or_other_data_do_not_fit_the_checkpoint(
    whole: Path, tmp_path: Path, tool: Tool
) -> None:
    config = json.loads((whole / "run.json").read_text())["config"]
    run = shutil.copytree(whole, tmp_path / "run")
    edit(run, config=config | {"model": config["model"] | {"embedding": 8}})
    check_one_line(*tool("--resume", run, "--quiet"), "does not fit this run's preset (was it changed?)")
    write_mini_market(tmp_path / "data", ids=5, cameras=2, images=2, size=(32, 16))
    edit(run, config=config, data=str(tmp_path / "data"))
    check_one_line(*tool("--resume", run, "--quiet"), "classes=6, this run has 5: give the same data")


def test_resume_takes_nothing_that_the_run_has(whole: Path, tool: Tool) -> None:
    for option in (["--config", "x"], ["--data", "x"], ["--out", "x"], ["--set", "epochs=9"]):
        check_one_line(*tool("--resume", whole, *option), "--resume DIR")
    check_one_line(*tool("--config", "bot_r50"), "expected --config NAME|FILE and --data DIR")


def test_a_resume_does_not_need_the_initial_weights_any_more(
    place: Path, whole: Path, tmp_path: Path
) -> None:
    init = shutil.copy(whole / "weights.safetensors", tmp_path)
    assert main(arguments(place, tmp_path / "out", "--set", f"init={init}", "--set", "epochs=1")) == 0
    assert read(tmp_path / "out" / "weights.safetensors")[1].card["config"]["init"] == "weights.safetensors"
    Path(init).unlink()
    assert main(["--resume", str(tmp_path / "out"), "--quiet"]) == 0


def test_a_taught_run_asks_its_teachers_once_and_names_them(
    place: Path, tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = all_pixels(tmp_path / "pixels.onnx", (8, 4))
    taught = ["--set", f"teachers=[{teacher}]", "--set", "losses.teacher_features={weight: 2}"]
    assert main(arguments(place, tmp_path / "out", *taught, "--set", "epochs=1")) == 0
    assert "teacher_features" in rows(tmp_path / "out" / "log.csv")[0]
    card = read(tmp_path / "out" / "weights.safetensors")[1].card
    assert card["config"]["teachers"] == ["pixels.onnx"]  # no path of this machine
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no weights")
    cache, before = (tmp_path / name for name in ("asked", "before"))
    said = tool(*arguments(place, before, *taught, "--set", f"init={wrong}", "--cache", cache))
    check_one_line(*said, "wrong.safetensors: not readable")
    assert not [*cache.glob("teacher-*")]  # whose images nobody needs
    assert not before.exists()
    teacher.unlink()
    check_one_line(*tool("--resume", tmp_path / "out"), "pixels.onnx", "no such")
    check_one_line(
        *tool(*arguments(place, tmp_path / "none", *taught[2:])), "reads 'teacher', which this run has not"
    )


def test_help_imports_nothing_but_the_standard_library() -> None:
    probe = (
        "import sys, retrace.tools.train_reid as t; t.parser().format_help()\n"
        "print({'numpy', 'torch', 'pydantic', 'yaml', 'rich'} & {*sys.modules} or '')"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def test_a_line_every_ten_seconds_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from retrace.reid.training.progress import Progress
    from retrace.tools import train_reid

    now = [100.0]
    monkeypatch.setattr(train_reid.time, "monotonic", lambda: now[0])
    with train_reid.Shown(quiet=False) as shown:
        for k in range(1, 26):  # a step a second
            now[0] += 1
            figures = {"mAP": 0.321} if k > 15 else {}
            shown(Progress("train", k, 500, "", k / 100, 64 * k, 2.5, 0.01, 64.0, 7300.0 - k, figures))
    assert capsys.readouterr().out.splitlines() == [
        "iteration 10 of 500: epoch 0.1, loss 2.500, learning rate 0.01, 64 images/s, 2 h 01 min left",
        "iteration 20 of 500: epoch 0.2, loss 2.500, learning rate 0.01, 64 images/s, last mAP 32.1, 2 h 01 min left",
    ]
    with train_reid.Shown(quiet=True) as shown:
        now[0] += 60
        shown(Progress("train", 26, 500, epoch=0.3, seconds_left=1.0))
    assert capsys.readouterr().out == ""


def test_two_trainings_into_one_folder(place: Path, whole: Path, tmp_path: Path, tool: Tool) -> None:
    """The second is refused and told whose the folder is, also when it would go on; a lock file alone holds nobody."""
    from retrace.configs.files import locked

    run = shutil.copytree(whole, tmp_path / "run")
    with locked(run / "run.lock", "trains into run"):
        check_one_line(
            *tool("--resume", run, "--quiet"), f"process {os.getpid()} on ", "trains into run; wait"
        )
        check_one_line(*tool(*arguments(place, run)), f"process {os.getpid()} on ")
    (run / "run.lock").write_text("process 1 on elsewhere trains into run")
    assert tool("--resume", run, "--quiet")[0] == 0
    assert not (run / "run.lock").exists()
