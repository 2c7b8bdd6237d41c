"""configs/bench/losses.yaml: every entrant can be built in every regime that it takes part in, with every setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.configs.loader import validate
from retrace.reid.config import TrainConfig
from retrace.tools.loss_bench.entrants import REGIMES, objective, read_bench, settings_of

BENCH = read_bench()


@pytest.mark.parametrize("name", BENCH.entrants)
def test_every_setting_is_an_objective(name: str) -> None:
    torch = pytest.importorskip("torch")
    from retrace.reid.losses.objective import Objective, Sizes
    from retrace.reid.networks.heads import head_dimensions

    entrant = BENCH.entrants[name]
    heads = {key: head_dimensions(head) for key, head in entrant.heads.items()}
    sizes = Sizes(
        20, 64, identities=16, images=4, channels=32, map_size=(8, 4), teacher_dimensions=64, views=2, heads=heads,
        labels={"viewpoint": 3, "clothes": 2, "frame": 8}, live=True, clusters=4, held=True,
    )  # fmt: skip
    for regime in REGIMES:
        seen = []
        for setting in range(settings_of(BENCH, name)):
            losses, rate = objective(BENCH, regime, name, setting, 1e-3)
            assert losses not in [before for before, r in seen if r == rate], "a setting that is tried twice"
            seen.append((losses, rate))
            torch.manual_seed(0)
            made = Objective(losses, sizes)
            groups = made.parameter_groups()
            assert all("lr" in group for group in groups if "adversary" not in str(losses)), (
                "a rate for what it learns"
            )
        assert ("cross_entropy" in losses) >= (regime == "scratch"), "regime A is always beside cross-entropy"


@pytest.mark.parametrize("regime", ["finetune", "scratch"])
def test_every_training_is_a_preset(regime: str) -> None:
    pytest.importorskip("torch")
    from retrace.tools.loss_bench.jobs import open_jobs
    from retrace.tools.loss_bench.trained import preset

    for name in BENCH.taking_part(regime):
        job = open_jobs(BENCH, regime, [name], [])[0]
        config = validate(preset(BENCH, job, Path("weights")), TrainConfig, name)
        assert config.epochs == job.length
        assert (config.init is None) == (regime == "scratch")


def test_who_cannot_take_part_is_told_why() -> None:
    with pytest.raises(InputError, match=r"pcb cannot take part in frozen: stripes need a feature map"):
        BENCH.taking_part("frozen", ("pcb",))
    with pytest.raises(InputError, match=r"unknown 'tripet'; .*triplet"):
        BENCH.taking_part("frozen", ("tripet",))
    with pytest.raises(InputError, match=r"`regime`: unknown 'froze'"):
        BENCH.regime("froze")
    assert "ce_triplet" in BENCH.taking_part("finetune", ("core",))
    assert len(BENCH.core) >= 12


def test_rates_and_weights_by_hand() -> None:
    losses, rate = objective(BENCH, "finetune", "arcface", 2, 1e-3)
    assert rate == pytest.approx(3e-3)
    assert losses["arcface"]["lr"] == pytest.approx(3e-2)
    losses, rate = objective(BENCH, "scratch", "circle", 1, 1e-3)
    assert rate == 1e-3
    assert losses["pml.CircleLoss"]["weight"] == pytest.approx(0.1 / 3)
    assert losses["cross_entropy"] == {"label_smoothing": 0.1}
    losses, rate = objective(BENCH, "finetune", "triplet", 3, 1e-3)
    assert (losses, rate) == ({"batch_hard_triplet": {"margin": None}}, 1e-3)
