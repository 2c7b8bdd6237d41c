"""The state of a run and its steps: what is repeated exactly, what is learnt, what is refused."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from retrace.reid.config import ScheduleConfig  # noqa: E402
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe  # noqa: E402
from retrace.reid.training import state as training  # noqa: E402
from retrace.reid.training.features import features  # noqa: E402
from retrace.reid.training.optimizer import rate_factor  # noqa: E402
from retrace.reid.training.state import Diverged, Training  # noqa: E402
from retrace.reid.training.steps import steps  # noqa: E402
from tests.reid.training.small_run import (  # noqa: E402
    CAMERAS,
    IDS,
    LABELS,
    NETWORK,
    OSNET,
    PIXELS,
    PLAIN,
    SIZE,
    assert_same,
    begin,
    config,
    go,
    stored,
)


def test_the_loss_falls() -> None:
    run = begin(epochs=8, optimizer={"lr": 1e-2})
    steps = go(run)
    losses = [float(step.loss) for step in steps]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert run.iteration == run.iterations == len(steps) == 24
    last = steps[-1]
    assert (last.number, last.images, last.epoch) == (24, 192, 8.0)  # 24 images, 8 a batch: 3 an epoch
    total = float(last.parts["cross_entropy"] + last.parts["batch_hard_triplet"])
    assert float(last.loss) == pytest.approx(total, rel=1e-6)


def test_a_rate_that_never_gets_to_its_height_is_told() -> None:
    (told,) = begin(epochs=2, schedule={"warmup": 2.5}).notes
    assert "rises for 2.5 epochs (`schedule.warmup`) and never gets to its height: there are 2" in told
    assert begin(epochs=2, schedule={"warmup": 2}).notes == []


EVERYTHING = {
    "losses": {
        "cross_entropy": {"label_smoothing": 0.1},
        "batch_hard_triplet": {},
        "centre": {"weight": 0.01, "lr": 0.5},
    },
    "augment": {"flip": 0.5, "pad": 3, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "erase": 0.5},
    "optimizer": {"name": "sgd", "lr": 0.02, "clip_norm": 1.0},
    "schedule": {"kind": "cosine", "warmup": 1},
    "ema": 0.9,
    "accumulate": 2,
}


@pytest.mark.parametrize(
    "changes",
    [
        EVERYTHING,
        {
            "optimizer": {"name": "amsgrad", "lr": 1e-3},
            "losses": {"pml.ProxyAnchorLoss": {}},
            "precision": "bfloat16",
        },
    ],
    ids=["everything", "amsgrad-proxies-bfloat16"],
)
def test_a_run_that_goes_on_repeats_to_the_last_bit(changes: dict[str, Any]) -> None:
    whole = begin(**changes)
    losses = [step.loss for step in go(whole)]
    first = begin(**changes)
    again = [step.loss for step in go(first, 4)]
    torch.manual_seed(99)  # whatever the new process drew
    second = begin(**changes)
    second.load_state_dict(stored(first.state_dict()))
    assert second.iteration == 4
    again += [step.loss for step in go(second)]
    assert torch.equal(torch.stack(losses), torch.stack(again))
    assert_same(whole.state_dict(), second.state_dict())


TAUGHT = {
    "model": OSNET | {"instance_norm": True},
    "augment": {
        "box": 0.1,
        "occlude": 0.3,
        "blur": 0.3,
        "coarse": 0.3,
        "hue": 0.1,
        "gamma": 0.3,
        "swap": 0.1,
    },
    "batch": {"identities": 2, "images": 2, "order": "source"},
    "epochs": 1.5,
    "losses": {
        "cross_entropy": {},
        "teacher_features": {"weight": 2},
        "teacher_similarities": {"weight": 10},
        "teacher_distances": {},
    },
}


def test_a_taught_run_goes_on_to_the_last_bit_and_the_teacher_matters() -> None:
    vectors = np.random.default_rng(5).standard_normal((len(LABELS), 7)).astype(np.float32)

    def begin_taught() -> Training:
        return training.start(config(**TAUGHT), IDS, len(LABELS), "cpu", teacher_dimensions=7)

    whole = begin_taught()
    taken = go(whole, teacher=vectors)
    losses = [step.loss for step in taken]
    first = begin_taught()
    again = [step.loss for step in go(first, 4, vectors)]
    second = begin_taught()
    second.load_state_dict(stored(first.state_dict()))
    again += [step.loss for step in go(second, teacher=vectors)]
    assert torch.equal(torch.stack(losses), torch.stack(again))
    assert_same(whole.state_dict(), second.state_dict())
    other = go(begin_taught(), 1, -vectors)[0]
    for name in ("teacher_features", "cross_entropy"):
        assert torch.equal(other.parts[name], taken[0].parts[name]) == (name == "cross_entropy")
    assert second.objective.modules_by_name["teacher_features"].map.weight.shape == (7, 16)


def test_training_leaves_the_random_state_alone_and_a_seed_decides() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one = go(begin(), 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    same, other = go(begin(), 2), go(begin(seed=2), 2)
    assert torch.equal(one[1].loss, same[1].loss)
    assert not torch.equal(one[1].loss, other[1].loss)


def test_a_look_at_the_features_changes_nothing() -> None:
    looked, plain = begin(), begin()
    for step in steps(looked, PIXELS, LABELS, CAMERAS):
        features(looked.best_network, PIXELS, looked.recipe({}))
        assert looked.network.training
        if step.number == 3:
            break
    go(plain, 3)
    assert_same(plain.state_dict(), looked.state_dict())


def test_the_average_is_an_exponential_one() -> None:
    run = begin(ema=0.75, epochs=2)
    want: dict[str, torch.Tensor] = {}
    for _ in steps(run, PIXELS, LABELS, CAMERAS):
        now = {k: v.clone() for k, v in run.network.state_dict().items() if v.is_floating_point()}
        want = {k: 0.75 * want[k] + 0.25 * v for k, v in now.items()} if want else now
    assert run.best_network is not run.network
    got = run.best_network.state_dict()
    for key, value in want.items():
        torch.testing.assert_close(got[key], value, atol=1e-5, rtol=1e-5)
    assert begin().best_network.training  # without ema: the network itself


def test_accumulated_parts_equal_the_whole_batch_where_images_do_not_see_each_other() -> None:
    """Cross-entropy on a network without batch norm; terms over pairs, and batch norms, see a part."""
    vit = {
        "model": {"name": "timm.vit_tiny_patch16_224", "neck": "none", "embedding": 8},
        "losses": {"cross_entropy": {}},
        "augment": PLAIN,  # its draws are for a part at a time
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0},
    }
    ends = []
    for parts in (1, 2):
        run = begin(**vit, accumulate=parts)
        loss = go(run, 1)[0].loss
        ends.append((loss, run.network.classifier.weight, run.network.backbone.body.patch_embed.proj.weight))
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    whole, halves = (go(begin(augment=PLAIN, accumulate=parts), 1)[0] for parts in (1, 2))
    assert float(whole.parts["batch_hard_triplet"]) != pytest.approx(
        float(halves.parts["batch_hard_triplet"]), 1e-4
    )


def test_bfloat16_trains_with_weights_in_float32() -> None:
    half = begin(precision="bfloat16")
    losses, full = ([float(step.loss) for step in go(run, 2)] for run in (half, begin()))
    assert losses == pytest.approx(full, rel=0.25)  # 8 bits, through thirty batch norms over 8 images
    assert losses != full
    assert {p.dtype for p in half.network.parameters()} == {torch.float32}


def test_terms_that_learn_have_their_own_rate_under_the_same_schedule() -> None:
    run = begin(
        losses={"cross_entropy": {}, "centre": {"lr": 0.5}},
        optimizer={"name": "sgd", "lr": 0.01, "weight_decay": 0.1},
        schedule={"kind": "step", "warmup": 0, "steps": [1]},
        epochs=2,
    )
    rates = [tuple(g["lr"] for g in run.optimizer.param_groups) for _ in steps(run, PIXELS, LABELS, CAMERAS)]
    assert np.allclose(rates[:3], (0.01, 0.5))
    assert np.allclose(rates[3:], (0.001, 0.05))
    assert [g["weight_decay"] for g in run.optimizer.param_groups] == [0.1, 0.0]
    assert "modules_by_name.centre.centres" in run.state_dict()["objective"]


def test_clipping_is_of_the_whole_gradient() -> None:
    run = begin(
        losses={"cross_entropy": {}, "centre": {"weight": 10, "lr": 1}},
        optimizer={"name": "sgd", "lr": 1, "momentum": 0, "weight_decay": 0, "clip_norm": 0.01},
    )
    learned = [*run.network.parameters(), *run.objective.parameters()]
    before = [p.detach().clone() for p in learned]
    go(run, 1)
    moved = [float((p.detach() - b).square().sum()) for p, b in zip(learned, before, strict=True)]
    assert math.sqrt(sum(moved)) == pytest.approx(0.01, rel=1e-3)
    assert moved[-1] > 0  # the centres


def test_frozen_bias_of_the_neck_stays_zero() -> None:
    run = begin(optimizer={"name": "sgd", "lr": 0.1})
    go(run, 2)
    assert not run.network.neck.bias.any()


# ---- what goes wrong


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    run = begin(epochs=10, optimizer={"name": "sgd", "lr": 1e25})
    with pytest.raises(Diverged, match=r"the loss is not finite.* lower optimizer\.lr"):
        go(run)
    assert run.iteration <= training.CHECK_EVERY
    go(fresh := begin(optimizer={"name": "sgd", "lr": 1e25}), 3)
    with pytest.raises(Diverged):  # no checkpoint of it, even between two looks
        fresh.state_dict()


def test_weights_broken_after_a_finite_loss_do_not_become_a_checkpoint() -> None:
    run = begin()
    go(run, 1)
    with torch.no_grad():
        run.network.embedding.weight[3, 3] = math.inf
    with pytest.raises(Diverged, match=r"embedding\.weight is not finite any more at iteration 1"):
        run.state_dict()
    run = begin(losses={"cross_entropy": {}, "centre": {}})
    with torch.no_grad():
        run.objective.modules_by_name["centre"].centres[0, 0] = math.nan  # type: ignore[operator]
    with pytest.raises(Diverged, match="centres is not finite"):
        run.state_dict()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": 7}, "classes=4, this run has 7: give the same data"),
        ({"images": 100}, "iterations_per_epoch=3, this run has 12"),
        ({"ema": 0.9}, "disagree about ema"),
        ({"model": NETWORK | {"embedding": 8}}, "does not fit this run's preset"),
        ({"losses": {"cross_entropy": {}, "centre": {}}}, "does not fit this run's preset"),
    ],
    ids=str,
)
def test_a_checkpoint_of_another_run_is_refused(other: dict[str, Any], message: str) -> None:
    state = stored(begin().state_dict())
    classes, images = other.pop("classes", IDS), other.pop("images", len(LABELS))
    with pytest.raises(InputError, match=message) as caught:
        training.start(config(**other), classes, images, "cpu").load_state_dict(state)
    assert "\n" not in str(caught.value)


def test_a_machine_that_cannot_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def compiled(run: Any) -> Any:
        def call(images: torch.Tensor) -> Any:
            raise TorchDynamoException("no C++\ncompiler")

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(
        InputError,
        match=r"compile: not possible here, leave it out: TorchDynamoException: no C\+\+ compiler$",
    ):
        go(begin(compile=True), 1)


def test_something_else_is_no_checkpoint() -> None:
    run = begin()
    for state in ({}, {"state_dict": {}}, run.network.state_dict()):
        with pytest.raises(InputError, match="not one of a training run"):
            run.load_state_dict(state)


@pytest.mark.parametrize("accumulate", [4])
def test_parts_need_two_identities(accumulate: int) -> None:
    with pytest.raises(InputError, match=r"4 over 1 processes and 4 parts: .*at least 2"):
        begin(accumulate=accumulate)


def test_initial_weights_are_not_read_when_a_checkpoint_follows(tmp_path: Path) -> None:
    gone = config(init=str(tmp_path / "gone.safetensors"))
    with pytest.raises(InputError, match="no such weights file"):
        training.start(gone, IDS, 24, "cpu")
    training.start(gone, IDS, 24, "cpu", resumed=True)


# ---- the learning rate


@pytest.mark.parametrize(
    ("schedule", "epoch", "factor"),
    [
        ({"kind": "constant", "warmup": 0}, 0, 1),
        ({"kind": "constant", "warmup": 10, "warmup_factor": 0.01}, 0, 0.01),
        ({"kind": "constant", "warmup": 10, "warmup_factor": 0.01}, 5, 0.505),
        ({"kind": "constant", "warmup": 10, "warmup_factor": 0.01}, 10, 1),
        ({"kind": "constant", "warmup": 0.5, "warmup_factor": 0.2}, 0.25, 0.6),
        ({"kind": "step", "warmup": 0, "steps": [40, 70]}, 39.99, 1),
        ({"kind": "step", "warmup": 0, "steps": [40, 70]}, 40, 0.1),
        ({"kind": "step", "warmup": 0, "steps": [40, 70]}, 70, 0.01),
        ({"kind": "step", "warmup": 0, "steps": [40, 70], "factor": 0.5}, 119, 0.25),
        ({"kind": "step", "warmup": 10, "warmup_factor": 0.1, "steps": [5]}, 6, 0.1 * (0.1 + 0.9 * 0.6)),
        ({"kind": "step", "warmup": 0}, 119, 1),
        ({"kind": "cosine", "warmup": 0, "final_factor": 0}, 0, 1),
        ({"kind": "cosine", "warmup": 0, "final_factor": 0}, 60, 0.5),
        ({"kind": "cosine", "warmup": 0, "final_factor": 0.2}, 60, 0.6),
        ({"kind": "cosine", "warmup": 0, "final_factor": 0}, 40, 0.75),
        ({"kind": "cosine", "warmup": 0, "final_factor": 0.01}, 120, 0.01),
        ({"kind": "cosine", "warmup": 0, "final_factor": 0.01}, 130, 0.01),
        ({"kind": "cosine", "warmup": 0, "start": 60, "final_factor": 0}, 59, 1),
        ({"kind": "cosine", "warmup": 0, "start": 60, "final_factor": 0}, 90, 0.5),
        ({"kind": "cosine", "warmup": 80, "warmup_factor": 0.5, "final_factor": 0}, 40, 0.75 * 0.75),
        ({"kind": "cosine", "warmup": 0, "start": 200, "final_factor": 0}, 120, 1),
    ],
    ids=str,
)
def test_the_rate_by_hand(schedule: dict[str, Any], epoch: float, factor: float) -> None:
    assert rate_factor(ScheduleConfig(**schedule), epoch, epochs=120) == pytest.approx(factor)


# ---- the network looks at images


def test_features_are_unit_rows_whatever_the_batch() -> None:
    run = begin()
    recipe = Recipe("x", SIZE, IMAGENET_MEAN, IMAGENET_STD)
    whole = features(run.network, PIXELS, recipe)
    assert whole.shape == (24, 16)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(features(run.network, PIXELS, recipe, batch_size=7), whole, atol=1e-5)
    assert features(run.network, PIXELS[:0], recipe).size == 0
    assert run.network.training


def test_more_steps_than_the_run_has_are_none() -> None:
    run = begin(epochs=0.1)
    assert run.iterations == 1
    assert len(go(run)) == 1
    assert go(run) == []
