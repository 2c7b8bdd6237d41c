"""What a training preset may say; every preset of the project builds its network and makes a step."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError, load_preset
from retrace.configs.loader import HERE, parse_assignments
from retrace.reid.config import TrainConfig

PRESETS = sorted((HERE / "reid").glob("*.yaml"))
MINIMAL = "model: {name: osnet_x0_25}\nlosses: {cross_entropy: {}}\nepochs: 1\n"


def load(name: str | Path = "bot_r50", **overrides: Any) -> TrainConfig:
    return load_preset(name, TrainConfig, "reid", overrides)


def test_there_are_the_presets_that_the_issue_names() -> None:
    names = {
        "bot_r50",
        "osnet_x1_0_scratch",
        "osnet_x0_25_deploy",
        "agw_r50",
        "ghost_r50",
        "osnet_x0_25_general",
    }
    assert names <= {path.stem for path in PRESETS}


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_every_preset_names_its_source_and_comes_back_from_json(path: Path) -> None:
    config = load(path.stem)
    assert len(config.source) > 40
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    assert config.epochs > config.schedule.warmup
    assert all(step < config.epochs for step in config.schedule.steps)


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_every_preset_makes_a_step(path: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for package in ("torchreid", "timm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install -e .[train]")
    from retrace.reid.networks.build import build
    from retrace.reid.training import state as training
    from retrace.reid.training.steps import steps

    small = {
        "size": [64, 32],
        "batch": {"identities": 2, "images": 2},
        "accumulate": 1,
        "precision": "float32",
    }
    config = load(path.stem, **small)
    if config.model.frozen:  # then init is a file of the user's
        plain = config.model.model_copy(update={"frozen": ()})
        torch.save(build(plain, 3, config.size).state_dict(), tmp_path / "init.pth")
        config = load(path.stem, **small, init=str(tmp_path / "init.pth"))
    width = 7 if config.teachers else 0
    run = training.start(config, 3, 12, "cpu", teacher_dimensions=width)
    before = {k: p.detach().clone() for k, p in run.network.named_parameters()}
    pixels = np.random.default_rng(0).integers(0, 256, (12, 64, 32, 3), np.uint8)
    labels = np.arange(12) // 4
    teacher = np.random.default_rng(1).random((12, width), np.float32) if width else None
    step = next(steps(run, pixels, labels, labels, teacher))
    assert step.loss.isfinite()
    assert list(step.parts) == list(config.losses)
    # Behind a norm that starts at 0 (ResNets, non-local blocks) weights have a gradient of 0 in a first step.
    learned = [k for k, p in run.network.named_parameters() if p.requires_grad and p.grad is not None]
    want = [k for k in before if run.network.get_parameter(k).requires_grad]
    # Without identities nothing asks for what comes after the embedding.
    idle = ("neck.", "classifier.") if path.stem == "simclr" else ()
    assert learned == [k for k in want if not k.startswith(idle)]
    moved = {k.split(".")[0] for k, p in run.network.named_parameters() if not torch.equal(p, before[k])}
    assert moved >= {k.split(".")[0] for k in before if not k.startswith(idle)} - {"pool"}


@pytest.mark.parametrize("name", ["osnet_x0_25_deploy", "osnet_x0_25_general"])
def test_presets_for_trackers_do_not_erase_and_jitter_colours(name: str) -> None:
    """Random erasing costs across domains, and a tracker always runs across domains."""
    augment = load(name).augment
    assert augment.erase == 0
    assert min(augment.brightness, augment.contrast, augment.saturation) > 0


def test_numbers_that_yaml_reads_as_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL + "optimizer: {lr: 3e-4}\nseed: 7\n")
    assert load(path).optimizer.lr == 3e-4
    assert load(path, **parse_assignments(["optimizer.lr=1e-2"])).optimizer.lr == 0.01


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epoch": 3}, r"unknown key 'epoch'; did you mean 'epochs'\?"),
        ({"optimizer.learning_rate": 3}, r"unknown key 'optimizer\.learning_rate'.*known: .*lr"),
        ({"optimiser.lr": 3}, r"no 'optimiser' here; did you mean 'optimizer'\?"),
        ({"model.nek": "own"}, r"unknown key 'model\.nek'; did you mean 'neck'\?"),
        ({"augment.erase": 2}, r"augment\.erase: .*at most 1, got 2"),
        ({"batch.images": 1}, r"batch\.images: .*at least 2"),
        ({"batch.identities": 1}, r"batch\.identities: .*at least 2"),
        ({"losses": {}}, "losses: .*at least 1"),
        (
            {"model.frozen": ["layer1"]},
            r"model\.frozen keeps parts of a pooled backbone as init has them: give init",
        ),
        ({"losses.cross_entropy": None}, r"losses\.cross_entropy: .*keys with values"),
        ({"losses": "cross_entropy"}, "losses: .*keys with values"),
        ({"epochs": 0}, "epochs: .*above 0"),
        ({"epochs": float("inf")}, "epochs: .*finite"),
        ({"epochs": float("nan")}, "epochs: .*"),
        ({"optimizer.lr": float("inf")}, "lr: .*finite"),
        ({"checkpoint_every": float("inf")}, "checkpoint_every: .*finite"),
        ({"seed": 2**70}, "seed: .*"),
        ({"seed": -1}, "seed: .*at least 0"),
        ({"size": [8, 128]}, "size must be at least 16 px each way"),
        ({"size": 128}, "size: .*a list"),
        ({"size": [256, 128, 3]}, "size: .*"),
        ({"ema": 1}, "ema: .*below 1"),
        ({"accumulate": 3}, r"accumulate=3 must divide batch\.identities=16"),
        ({"schedule.steps": [70, 40]}, "steps must rise"),
        ({"schedule.kind": "linear"}, "schedule.kind: .*'constant', 'step' or 'cosine', got 'linear'"),
        ({"optimizer.name": "lion"}, "optimizer.name: .*got 'lion'"),
        ({"precision": "float16"}, "precision: .*got 'float16'"),
        ({"model": {"name": "osnet_x0_25", "neck": "own", "pool": "max"}}, "neck 'own' keeps"),
        ({"model": {"name": "osnet_x0_25", "neck": "own", "embedding": 64}}, "neck 'own' keeps"),
        (
            {"model": {"name": "osnet_x0_25", "neck": "own", "last_stride": 1}},
            "neck 'own' keeps.*last_stride",
        ),
        ({"model": {"name": "osnet_x0_25", "neck": "own", "non_local": True}}, "neck 'own' keeps.*non_local"),
        (
            {"model": {"name": "osnet_x0_25", "neck": "own", "instance_norm": True}},
            "neck 'own' keeps.*instance_norm",
        ),
        ({"augment.box": 0.5}, r"augment\.box: .*below 0\.5"),
        ({"augment.hue": 0.6}, r"augment\.hue: .*at most 0\.5"),
        ({"batch.order": "random"}, r"batch\.order: .*'largest', 'spread' or 'source', got 'random'"),
        ({"teachers": "one.onnx"}, "teachers: .*a list"),
        ({"model": {"neck": "own"}}, r"model\.name: is missing"),
    ],
    ids=str,
)
def test_mistakes_are_named_in_one_line(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(**overrides)
    assert "\n" not in str(caught.value)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown reid preset 'bot_r5'; did you mean 'bot_r50'\?"):
        load("bot_r5")
