"""A wider network that begins as a narrow one: by hand, against the narrow one's answers, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from retrace.configs import InputError

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm", "safetensors"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from torch import nn  # noqa: E402

from retrace.reid.config import ModelConfig, TrainConfig  # noqa: E402
from retrace.reid.weights.files import start_from  # noqa: E402
from retrace.reid.weights.wider import LEAST_SHARE, widened  # noqa: E402
from tests.reid.weights.trained import OWN, answer, fresh, save  # noqa: E402


def test_by_hand() -> None:
    """Two channels become three: the third is a copy of the first, and who reads them reads the first and the third
    together as he read the first before; the second is read as it was."""
    narrow = {"0.weight": torch.tensor([[1.0, 2], [3, 4]]), "0.bias": torch.tensor([5.0, 6])}
    narrow |= {"1.weight": torch.tensor([[7.0, 8]]), "1.bias": torch.tensor([9.0])}
    wide = widened(narrow, nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), seed=0)
    assert wide["0.weight"].tolist() == [[1, 2], [3, 4], [1, 2]]
    assert wide["0.bias"].tolist() == [5, 6, 5]
    first, second, third = wide["1.weight"][0].tolist()
    assert (first + third, second) == (pytest.approx(7), 8)
    assert min(first, third) > 7 * LEAST_SHARE / (1 + LEAST_SHARE)
    assert wide["1.bias"].tolist() == [9]


@pytest.mark.parametrize(
    ("narrow", "wide", "embedding"),
    [
        ("osnet_x0_25", "osnet_x0_5", 16),  # each gate of 3 hidden channels was one of one
        ("osnet_x0_25", "osnet_x0_5", 32),
        ("timm.mobilenetv2_050", "timm.mobilenetv2_100", 16),
    ],
)
def test_the_wide_network_answers_as_the_narrow_one(
    tmp_path: Path, narrow: str, wide: str, embedding: int
) -> None:
    config = ModelConfig(name=narrow, embedding=16)
    path = save(tmp_path / "narrow.safetensors", config, seed=1)
    network = fresh(config.model_copy(update={"name": wide, "embedding": embedding}), seed=2)
    notes: list[str] = []
    assert start_from(network, path, drop_head=False, notes=notes, wider=3) == []
    want = answer(fresh(config, seed=1)).repeat(1, embedding // 16)
    torch.testing.assert_close(answer(network), want, rtol=1e-3, atol=1e-4)
    assert "narrow.safetensors: " in notes[0]
    assert notes[0].endswith(" tensors grew by copied channels")


def test_copies_are_trained_apart() -> None:
    """Of equal shares the gradients of a channel and of its copy would be equal."""
    narrow = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
    wide = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    wide.load_state_dict(widened(narrow.state_dict(), wide, seed=0))
    wide(torch.ones(1, 3)).square().sum().backward()
    first, copy = wide[0].weight.grad[[0, 2]]
    assert first.any()
    assert not torch.allclose(first, copy)


def test_same_seed_same_weights() -> None:
    narrow, wide = nn.Linear(2, 2).state_dict(), nn.Linear(5, 3)
    first, again, other = (widened(narrow, wide, seed)["weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "wide.safetensors", ModelConfig(name="osnet_x0_5", embedding=16))
    with pytest.raises(InputError, match=r"init_wider: backbone\S+ is \(32,\) and the network has \(16,\)"):
        start_from(fresh(), path, drop_head=False, wider=1)
    path = save(tmp_path / "small.safetensors")
    with pytest.raises(InputError, match=r"as wide as that of .*small\.safetensors; leave it out"):
        start_from(fresh(), path, drop_head=False, wider=1)
    other = fresh(ModelConfig(name="timm.mobilenetv2_050", embedding=16))
    with pytest.raises(InputError, match=r"missing: backbone\.conv_stem\.weight.*the file holds osnet_x0_25"):
        start_from(other, path, drop_head=False, wider=1)
    torch.save(fresh(OWN).body.state_dict(), tmp_path / "osnet_x0_25.pth")
    with pytest.raises(InputError, match=r"osnet_x0_25\.pth: expected weights of ours, a \.safetensors"):
        start_from(
            fresh(OWN.model_copy(update={"name": "osnet_x0_5"})),
            tmp_path / "osnet_x0_25.pth",
            drop_head=True,
            wider=1,
        )
    wide = fresh(ModelConfig(name="osnet_x0_5", embedding=16))
    with pytest.raises(InputError, match=r"holds several networks side by side; expected one \(`reid\.part`"):
        start_from(wide, "strong", drop_head=True, wider=1)
    with pytest.raises(ValueError, match="init_wider copies the channels of a narrower network: give init"):
        TrainConfig(
            model=ModelConfig(name="osnet_x0_5"), losses={"cross_entropy": {}}, epochs=1, init_wider=True
        )


def test_people_are_not_copied(tmp_path: Path) -> None:
    """Four more people would begin as copies of the three that the file knows."""
    path = save(tmp_path / "three.safetensors", classes=3)
    wide = ModelConfig(name="osnet_x0_5", embedding=16)
    with pytest.raises(InputError, match=r"classifier\.weight \(3, 16\), not \(7, 16\).*init_head=drop"):
        start_from(fresh(wide, classes=7), path, drop_head=False, wider=1)
    assert start_from(fresh(wide, classes=7), path, drop_head=True, wider=1) == ["classifier.weight"]


@pytest.mark.parametrize(
    ("narrow", "wide", "embedding", "message"),
    [
        ("timm.ghostnet_050", "timm.ghostnet_100", 16, "answers otherwise .*side by side or normalises"),
        ("osnet_x0_25", "osnet_x0_5", 24, "vectors of 16 numbers become 24: expected a multiple"),
    ],
)
def test_networks_that_would_answer_otherwise_are_refused(
    tmp_path: Path, narrow: str, wide: str, embedding: int, message: str
) -> None:
    path = save(tmp_path / "narrow.safetensors", ModelConfig(name=narrow, embedding=16))
    with pytest.raises(InputError, match=message):
        start_from(fresh(ModelConfig(name=wide, embedding=embedding)), path, drop_head=False, wider=1)
