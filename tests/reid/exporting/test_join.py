"""Vectors of several networks side by side, in one file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if importlib.util.find_spec("timm") is None:  # importing it may need the cure first
    pytest.skip("needs timm: pip install -e .[train]", allow_module_level=True)

import torch.nn.functional as F  # noqa: E402

from retrace.configs import InputError  # noqa: E402
from retrace.reid import Embedder, fit, join, part  # noqa: E402
from retrace.reid.config import ModelConfig  # noqa: E402
from retrace.reid.exporting.job import ExportJob, export, random_crops  # noqa: E402
from retrace.reid.networks.beside import resampling  # noqa: E402
from retrace.reid.networks.build import build  # noqa: E402
from retrace.reid.recipe import Recipe  # noqa: E402
from retrace.reid.weights.files import load_network, save_network, start_from  # noqa: E402
from tests.reid.mini_market import write_mini_market  # noqa: E402

BIG, SMALL = (64, 32), (32, 16)
TINY = "timm.test_resnet"  # what joins networks sees their heads alone; an OSNet takes four times as long to build


def weights_file(path: Path, size: tuple[int, int], seed: int, dimensions: int, **said: Any) -> Path:
    model = ModelConfig(name=TINY, embedding=dimensions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build(model, 3, size).eval()
    card = {"data": path.stem, "calibration": {"of": path.stem}}
    save_network(
        path,
        network,
        Recipe(path.stem, size, classes=3, model=model.model_dump(mode="json"), card=card, **said),
    )
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("both")
    return weights_file(folder / "a.b.safetensors", BIG, 1, 8), weights_file(
        folder / "c.safetensors", SMALL, 2, 24
    )


@pytest.fixture(scope="module")
def joined(both: tuple[Path, Path]) -> Path:
    return join(both[0], [both[1]], both[0].with_name("joined.safetensors"))


def slow_resampling(given: int, wanted: int) -> list[list[float]]:
    rows = []
    for i in range(wanted):
        middle = (i + 0.5) * given / wanted - 0.5
        wide = max(given / wanted, 1)
        row = [max(0.0, 1 - abs(k - middle) / wide) for k in range(given)]
        rows.append([value / sum(row) for value in row])
    return rows


@pytest.mark.parametrize(("given", "wanted"), [(6, 6), (6, 4), (6, 3), (7, 3), (3, 7), (1, 2), (5, 1)])
def test_resampling_by_hand_and_by_torch(given: int, wanted: int) -> None:
    made = resampling(given, wanted)
    np.testing.assert_allclose(made, slow_resampling(given, wanted), atol=1e-6)
    np.testing.assert_allclose(made.sum(1), 1, rtol=1e-6)
    signal = torch.rand(1, 1, 1, given)
    found = F.interpolate(signal, (1, wanted), mode="bilinear", antialias=True, align_corners=False)
    np.testing.assert_allclose(
        (signal[0, 0] @ torch.from_numpy(made).T).numpy(), found[0, 0].numpy(), atol=1e-6
    )


def test_half_the_pixels_are_means_of_neighbours_and_theirs() -> None:
    # 4 -> 2: a triangle 4 px wide around 0.5 weighs its pixels .75, .75 and .25 (the fourth is outside): of sum 1.75
    np.testing.assert_allclose(resampling(4, 2), np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7, rtol=1e-6)


def test_a_vector_holds_each_networks_own(both: tuple[Path, Path], joined: Path) -> None:
    first, second = both
    network, recipe = load_network(joined)
    images = torch.randn(3, 3, *BIG)
    with torch.no_grad():
        found = network(images)
        smaller = F.interpolate(images, SMALL, mode="bilinear", antialias=True, align_corners=False)
        a, b = (
            F.normalize(load_network(path)[0](x), dim=1) for path, x in ((first, images), (second, smaller))
        )
    # Of 8 and 24 numbers: a fourth and three fourths of the cosine.
    np.testing.assert_allclose(found, torch.cat([a * 0.25**0.5, b * 0.75**0.5], 1), atol=1e-6)
    assert (recipe.size, recipe.classes) == (BIG, 0)
    assert recipe.card == {"data": "a.b", "beside": {"c": {"data": "c"}}}


def test_three_and_those_already_joined(both: tuple[Path, Path], joined: Path, tmp_path: Path) -> None:
    first, second = both
    for out in (
        join(joined, [second, first], tmp_path / "flat.safetensors"),
        join(first, [joined], tmp_path / "nested.safetensors", half=True),
    ):
        embedder = Embedder.from_weights(out, device="cpu")
        assert embedder.dim == (8 + 24 + 24 + 8 if out.stem == "flat" else 8 + 8 + 24)
    told = load_network(tmp_path / "flat.safetensors")[1].model
    assert told is not None
    assert list(told["beside"]) == ["a_b", "c", "c_2"]


def test_each_comes_out_as_it_went_in(both: tuple[Path, Path], joined: Path, tmp_path: Path) -> None:
    out = tmp_path / "alone.safetensors"
    for given, name in zip(both, ("a.b", "c"), strict=True):
        original, found = load_network(given), load_network(part(joined, name, out))
        same, images = original[0].state_dict(), torch.randn(2, 3, *original[1].size)
        assert all(torch.equal(value, same[key]) for key, value in found[0].state_dict().items())
        with torch.no_grad():
            assert torch.equal(found[0](images), original[0](images))
        assert found[1].card == {"data": name}  # a calibration is of a file's distances: left out by join
        assert (found[1].size, found[1].model) == (original[1].size, original[1].model)
    nested = join(both[0], [joined], tmp_path / "nested.safetensors")
    assert load_network(part(nested, "a_b", out))[1].card == load_network(joined)[1].card


def test_a_network_beside_its_like_has_a_name_of_its_own(both: tuple[Path, Path], tmp_path: Path) -> None:
    twice = join(both[1], [both[1]], tmp_path / "twice.safetensors")
    assert load_network(part(twice, "c_2", tmp_path / "alone.safetensors"))[1].card == {"data": "c"}


def test_what_cannot_be_taken_out(both: tuple[Path, Path], joined: Path, tmp_path: Path) -> None:
    out = tmp_path / "alone.safetensors"
    for weights, name, to, said in (
        (joined, "d", out, r"`name` d: .*a\.b.*c"),
        (both[0], "a.b", out, "holds one network"),
        (joined, "c", tmp_path / "alone.onnx", "ends in .safetensors"),
        (joined, "c", joined, "would overwrite"),
    ):
        with pytest.raises(InputError, match=said):
            part(weights, name, to)
    assert not out.exists()


def test_it_is_exported_like_any_other(joined: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    found = export(joined, tmp_path / "joined.onnx")
    assert found.worst < 1e-6
    crops = random_crops(4, BIG, np.random.default_rng(0))
    made, original = (
        Embedder.from_weights(path, device="cpu").crops(crops) for path in (found.files[0], joined)
    )
    np.testing.assert_allclose(made, original, atol=1e-5)
    small = export(joined, tmp_path / "small.safetensors", ExportJob("safetensors"))
    assert Embedder.from_weights(small.files[0], device="cpu").dim == 32


def test_trained_on_the_first_changes_and_the_other_stays(
    both: tuple[Path, Path], joined: Path, tmp_path: Path
) -> None:
    before, recipe = load_network(joined)
    config = {
        "source": "a test", "model": recipe.model, "size": BIG, "init": str(joined), "init_head": "drop", "epochs": 1,
        "batch": {"identities": 2, "images": 2}, "losses": {"cross_entropy": {}},
        "schedule": {"kind": "constant", "warmup": 0}, "augment": {"pad": 0},
    }  # fmt: skip
    write_mini_market(tmp_path / "market")
    fitted = fit(config, tmp_path / "market", tmp_path / "run", device="cpu", threads=1)
    after = load_network(fitted.weights)[0].state_dict()
    changed = {
        key.startswith("beside.")
        for key, value in before.state_dict().items()
        if not torch.equal(value, after[key])
    }
    assert changed == {False}
    with pytest.raises(InputError, match=r"model\.beside keeps whole networks as init has them: give init"):
        fit({**config, "init": None}, tmp_path / "market", tmp_path / "none")
    with pytest.raises(InputError, match=r"init: .*a\.b\.safetensors.*missing.*beside\.c\."):
        fit({**config, "init": str(both[0])}, tmp_path / "market", tmp_path / "none")


def test_what_cannot_be_joined(both: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = both
    other = weights_file(tmp_path / "other.safetensors", SMALL, 3, 8, mean=(0.5, 0.5, 0.5))
    out = tmp_path / "joined.safetensors"
    for weights, beside, to, said in (
        (first, [second], tmp_path / "joined.onnx", "ends in .safetensors; export it afterwards"),
        (first, [], out, "at least one, got"),
        (first, str(second), out, "expected a list of weights"),
        (first, [other], out, "one crop cannot be fed to both"),
        (first, [second], first, "would overwrite the weights it is made from"),
        (first, [second], second, "would overwrite the weights it is made from"),
        (first, [tmp_path / "none.safetensors"], out, "no such weights file"),
    ):
        with pytest.raises(InputError, match=said):
            join(weights, beside, to)
    assert not out.exists()


def test_a_damaged_description(joined: Path, tmp_path: Path) -> None:
    network, recipe = load_network(joined)
    assert recipe.model is not None
    model = {**recipe.model, "beside": {"c": {"model": recipe.model["beside"]["c"]["model"], "size": [0, 8]}}}
    save_network(tmp_path / "odd.safetensors", network, Recipe("odd", BIG, model=model))
    with pytest.raises(InputError, match="its model description is not valid"):
        load_network(tmp_path / "odd.safetensors")


def test_a_training_starts_from_the_first_of_them(both: tuple[Path, Path], joined: Path) -> None:
    """Where nothing is to stand beside the new network, what does in the file is left out, and told."""
    network, notes = build(ModelConfig(name=TINY, embedding=8), 5, BIG), list[str]()
    start_from(network, joined, True, notes)
    assert notes == ["joined.safetensors: left out what stands beside: c"]
    first, started = load_network(both[0])[0].state_dict(), network.state_dict()
    assert {key for key in first if not torch.equal(first[key], started[key])} <= {"classifier.weight"}
    with pytest.raises(InputError, match=r"unexpected: beside\.c"):
        start_from(network, joined, False)
    other = build(ModelConfig(name="timm.test_efficientnet", embedding=8), 5, BIG)
    with pytest.raises(InputError, match=r"missing: .*; the file holds timm\.test_resnet$"):
        start_from(other, joined, True)
