"""Weights on disk: what is written comes back, and what does not fit is refused."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrace.configs import InputError

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm", "safetensors"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from safetensors.torch import save_file  # noqa: E402

from retrace.reid.config import ModelConfig  # noqa: E402
from retrace.reid.networks import build as networks  # noqa: E402
from retrace.reid.networks import zoo as models  # noqa: E402
from retrace.reid.recipe import KEY  # noqa: E402
from retrace.reid.weights import files as weights  # noqa: E402
from tests.reid.weights.trained import CLASSES, OWN, POOLED, SIZE, answer, fresh, recipe, save  # noqa: E402

FED = '{"format": 1, "size": [64, 32], "mean": [0, 0, 0], "std": [1, 1, 1]'
Tensors = dict[str, Any]


@pytest.mark.parametrize("config", [POOLED, OWN], ids=lambda c: c.neck)
def test_a_network_comes_back(tmp_path: Path, config: ModelConfig) -> None:
    path = save(tmp_path / "a.safetensors", config)
    network, told = weights.load_network(path)
    assert told == recipe(config)
    assert not network.training
    assert torch.equal(answer(network), answer(fresh(config)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]  # nothing left beside


def test_channels_last_and_half_precision_come_back(tmp_path: Path) -> None:
    network = fresh().to(memory_format=torch.channels_last)
    weights.save_network(tmp_path / "a.safetensors", network, recipe())
    torch.testing.assert_close(answer(weights.load_network(tmp_path / "a.safetensors")[0]), answer(fresh()))
    weights.save_network(tmp_path / "b.safetensors", fresh().half(), recipe())
    half = weights.load_network(tmp_path / "b.safetensors")[0]
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    torch.testing.assert_close(answer(half), answer(fresh()), atol=0.05, rtol=0.05)


def test_every_weight_counts(tmp_path: Path) -> None:
    """No value of the file is left out: changing every tensor changes every tensor that is loaded."""
    tensors = {k: v + 1 for k, v in fresh().state_dict().items()}
    save_file(tensors, tmp_path / "a.safetensors", {KEY: recipe().to_json()})
    loaded = weights.load_network(tmp_path / "a.safetensors")[0].state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in tensors.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("neck.weight"), r"1 missing: neck\.weight"),
        (lambda t: t.update(extra=torch.zeros(1)), "1 unexpected: extra"),
        (
            lambda t: t.update({"embedding.weight": torch.zeros(16, 4)}),
            r"1 of another shape: embedding\.weight \(16, 4\), not \(16, 128\)",
        ),
        (
            lambda t: t.update({"classifier.weight": torch.zeros(CLASSES + 1, 16)}),
            r"of another shape: classifier\.weight \(4, 16\), not \(3, 16\)",
        ),
        (dict.clear, "missing"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    tensors = dict(fresh().state_dict())
    change(tensors)
    save_file(tensors, tmp_path / "a.safetensors", {KEY: recipe().to_json()})
    with pytest.raises(InputError, match=rf"a\.safetensors: not the weights of .*{message}") as caught:
        weights.load_network(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no 'retrace' metadata, so it does not say which network it is"),
        ({"format": "pt"}, "no 'retrace' metadata"),
        ({KEY: "{"}, "metadata is not readable: expected a JSON object"),
        ({KEY: "[1]"}, "expected a JSON object"),
        ({KEY: "3"}, "expected a JSON object"),
        ({KEY: '{"format": 99}'}, "expected format 1"),
        ({KEY: '{"format": 1, "name": "x"}'}, "size: expected numbers"),
        ({KEY: FED + ', "classes": "3"}'}, "classes: expected a whole number"),
        ({KEY: FED + ', "classes": -1}'}, "classes: expected 0 to"),
        ({KEY: FED + ', "card": [1]}'}, "card: expected an object"),
        ({KEY: FED.replace("[1, 1, 1]", "[1, NaN, 1]") + "}"}, "std: expected a number"),
        ({KEY: FED.replace("[1, 1, 1]", "[1, 0, 1]") + "}"}, "expected 3 numbers each, std above 0"),
        ({KEY: FED.replace("[64, 32]", "[1e999, 32]") + "}"}, "size: expected a number"),
        ({KEY: FED.replace("[64, 32]", "7") + "}"}, "size: expected numbers"),
        ({KEY: FED.replace("[64, 32]", "[1, 2, 3]") + "}"}, "size: expected a height and a width"),
    ],
)
def test_metadata_that_says_nothing_is_refused(tmp_path: Path, metadata: Any, message: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata)
    with pytest.raises(InputError, match=rf"a\.safetensors: .*{message}") as caught:
        weights.load_network(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "model description is not valid"),
        ({"model": {"name": "osnet_x0_25", "nek": "own"}}, "model description is not valid"),
        ({"model": {"name": "osnet_x9"}}, "unknown network 'osnet_x9'"),
        ({"more": 1}, "metadata is not readable: unknown key 'more'"),
    ],
)
def test_a_recipe_that_cannot_be_built_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    told = json.loads(recipe().to_json()) | change
    save_file(dict(fresh().state_dict()), tmp_path / "a.safetensors", {KEY: json.dumps(told)})
    with pytest.raises(InputError, match=message):
        weights.load_network(tmp_path / "a.safetensors")


def test_broken_and_missing_files_are_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.safetensors").read_bytes()
    for cut in (b"", b"garbage", whole[: len(whole) // 2]):
        (tmp_path / "b.safetensors").write_bytes(cut)
        with pytest.raises(InputError, match=r"b\.safetensors: not readable as safetensors"):
            weights.load_network(tmp_path / "b.safetensors")
    with pytest.raises(InputError, match="no such weights file"):
        weights.load_network(tmp_path / "c.safetensors")
    with pytest.raises(InputError, match="no such weights file"):
        weights.start_from(fresh(), tmp_path / "c.safetensors", drop_head=True)


def test_a_torchreid_checkpoint_is_a_network_too(tmp_path: Path) -> None:
    theirs = models.build("osnet_x0_25", 7).eval()
    torch.save(theirs.state_dict(), tmp_path / "osnet_x0_25.pth")
    network, told = weights.load_network(tmp_path / "osnet_x0_25.pth")
    assert torch.equal(answer(network), answer(theirs))
    assert (told.name, told.classes, told.model) == ("osnet_x0_25", 7, None)


# ---- weights to start a training from


def equal_to(network: Any, tensors: Tensors) -> set[str]:
    """Keys of the network whose values are the file's."""
    return {k for k, v in network.state_dict().items() if k in tensors and torch.equal(v, tensors[k])}


@pytest.mark.parametrize("config", [POOLED, OWN], ids=lambda c: c.neck)
def test_starting_from_ours(tmp_path: Path, config: ModelConfig) -> None:
    path, network = save(tmp_path / "a.safetensors", config, seed=1), fresh(config, seed=2)
    assert weights.start_from(network, path, drop_head=False) == []
    assert torch.equal(answer(network), answer(fresh(config, seed=1)))
    assert equal_to(network, fresh(config, seed=1).state_dict()) == set(network.state_dict())


def test_our_file_of_a_zoo_network_gives_its_convolutions_to_a_pooled_head(tmp_path: Path) -> None:
    path, network = save(tmp_path / "a.safetensors", OWN, seed=1), fresh(seed=2)
    left = weights.start_from(network, path, drop_head=True)
    assert {key.split(".")[0] for key in left} == {"embedding", "neck", "classifier"}
    with torch.inference_mode():
        images = torch.randn(1, 3, *SIZE)
        assert torch.equal(network.backbone(images), fresh(OWN, seed=1).body.featuremaps(images))
    with pytest.raises(InputError, match="init_head=drop"):
        weights.start_from(fresh(), path, drop_head=False)


@pytest.mark.parametrize("config", [POOLED, OWN], ids=lambda c: c.neck)
def test_without_its_classifier_a_network_embeds_and_starts_a_training(
    tmp_path: Path, config: ModelConfig
) -> None:
    path = tmp_path / "small.safetensors"
    weights.save_network(path, *weights.without_classifier(fresh(config), recipe(config)))
    tensors, told = weights.read(path)
    assert sum(v.numel() for k, v in tensors.items() if "classifier" in k) == 0
    assert told == recipe(config, classes=0)
    assert torch.equal(answer(weights.load_network(path)[0]), answer(fresh(config)))
    network = fresh(config, classes=9, seed=2)
    with pytest.raises(InputError, match=r"classifier\.weight.*init_head=drop"):
        weights.start_from(network, path, drop_head=False)
    assert all("classifier." in key for key in weights.start_from(network, path, drop_head=True))
    assert torch.equal(answer(network), answer(fresh(config)))


def test_a_torchreid_checkpoint_without_its_classifier_is_ours(tmp_path: Path) -> None:
    path, theirs = torchreid_file(tmp_path)
    network, told = weights.without_classifier(*weights.load_network(path))
    weights.save_network(tmp_path / "small.safetensors", network, told)
    loaded, again = weights.load_network(tmp_path / "small.safetensors")
    assert (again.name, again.classes, again.model["neck"]) == ("osnet_x0_25", 0, "own")
    assert torch.equal(answer(loaded), answer(theirs))


def test_the_file_is_for_everybody_to_read_and_a_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    path = save(tmp_path / "a.safetensors")
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    with pytest.raises(InputError, match=r"b\.safetensors: cannot be written \("):
        save(tmp_path / "usual" / "b.safetensors")


@pytest.mark.parametrize("config", [POOLED, OWN], ids=lambda c: c.neck)
def test_another_number_of_classes_needs_a_word(tmp_path: Path, config: ModelConfig) -> None:
    path, network = save(tmp_path / "a.safetensors", config, classes=9, seed=1), fresh(config, seed=2)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(InputError, match=r"another shape: .*classifier.weight.*init_head=drop") as caught:
        weights.start_from(network, path, drop_head=False)
    assert "\n" not in str(caught.value)
    assert equal_to(network, before) == set(before)  # a refusal changes nothing
    left = weights.start_from(network, path, drop_head=True)
    assert left == [k for k in before if "classifier." in k]
    assert torch.equal(answer(network), answer(fresh(config, classes=9, seed=1)))
    assert set(left) <= equal_to(network, before)


def test_a_head_is_not_dropped_beyond_the_classifier(tmp_path: Path) -> None:
    """Another embedding size is no other classifier: init_head=drop does not hide it."""
    path = save(tmp_path / "a.safetensors", ModelConfig(name="osnet_x0_25", embedding=8))
    with pytest.raises(InputError, match=r"of another shape: embedding.weight"):
        weights.start_from(fresh(), path, drop_head=True)


def torchreid_file(folder: Path, name: str = "osnet_x0_25", classes: int = 9) -> tuple[Path, Any]:
    torch.default_generator.manual_seed(5)
    theirs = models.build(name, classes).eval()
    torch.save({"state_dict": theirs.state_dict(), "epoch": 1}, folder / f"{name}.pth.tar-1")
    return folder / f"{name}.pth.tar-1", theirs


def test_starting_from_torchreid(tmp_path: Path) -> None:
    path, theirs = torchreid_file(tmp_path)
    pooled = fresh()
    with pytest.raises(InputError, match=r"init: .*classifier.*init_head=drop starts it anew"):
        weights.start_from(pooled, path, drop_head=False)
    left = weights.start_from(pooled, path, drop_head=True)
    assert {key.split(".")[0] for key in left} == {"embedding", "neck", "classifier"}
    with torch.inference_mode():
        images = torch.randn(1, 3, *SIZE)
        assert torch.equal(pooled.backbone(images), theirs.featuremaps(images))
    same, other = fresh(OWN, classes=9), fresh(OWN)
    assert weights.start_from(same, path, drop_head=False) == []
    assert weights.start_from(other, path, drop_head=True) == [
        "body.classifier.weight",
        "body.classifier.bias",
    ]
    assert torch.equal(answer(same), answer(theirs))
    assert torch.equal(answer(other), answer(theirs))


def test_what_only_runs_is_no_start(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"init: .*a\.onnx: is for running, not for training; expected a \.safet"
    ):
        weights.start_from(fresh(), tmp_path / "a.onnx", drop_head=True)


def test_another_network_s_weights_are_refused_with_or_without_head(tmp_path: Path) -> None:
    path, _ = torchreid_file(tmp_path, "osnet_x0_5")
    for config in (POOLED, OWN):
        for drop in (True, False):
            with pytest.raises(InputError, match=r"init: .*of another shape"):
                weights.start_from(fresh(config), path, drop)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(("name", "head"), [("resnet18", "fc"), ("vit_tiny_patch16_224", "head")])
def test_starting_from_timm(tmp_path: Path, name: str, head: str, ending: str) -> None:
    """ImageNet weights as timm (and for ResNets torchvision) publishes them, under its own keys."""
    timm = networks.import_timm()

    size = {} if name == "resnet18" else {"img_size": SIZE}
    theirs = timm.create_model(name, pretrained=False, num_classes=4, **size).eval()
    path = tmp_path / f"imagenet.{ending}"
    if ending == "pth":
        torch.save(theirs.state_dict(), path)
    else:
        save_file(theirs.state_dict(), path, {"format": "pt"})
    network = fresh(ModelConfig(name="timm." + name))
    with pytest.raises(InputError, match=rf"unexpected: .*{head}.*init_head=drop starts it anew"):
        weights.start_from(network, path, drop_head=False)
    left = weights.start_from(network, path, drop_head=True)
    assert {key.split(".")[0] for key in left} == {"neck", "classifier"}
    got = equal_to(network, {f"backbone.{k}": v for k, v in theirs.state_dict().items()})
    got |= equal_to(network, {f"backbone.body.{k}": v for k, v in theirs.state_dict().items()})
    assert got == {k for k in network.state_dict() if k.startswith("backbone.")}


def test_the_msmt17_weights_start_a_training(shared: Path) -> None:
    path = shared / "weights" / "osnet_x0_25_msmt17.pth"
    whole, pooled = fresh(OWN), fresh()
    weights.start_from(whole, path, drop_head=True)
    assert torch.equal(answer(whole), answer(models.load(path)))
    weights.start_from(pooled, path, drop_head=True)
    with pytest.raises(InputError, match="init_head=drop"):
        weights.start_from(pooled, path, drop_head=False)


# ---- checksums


def test_the_mean_of_a_network_before_and_after(tmp_path: Path) -> None:
    before, after = save(tmp_path / "a.safetensors"), save(tmp_path / "b.safetensors", classes=3, seed=1)
    weights.write_mean(before, after, tmp_path / "mean.safetensors")
    found, told = weights.read(tmp_path / "mean.safetensors")
    one, two = (weights.read(path)[0] for path in (before, after))
    assert {key.split(".")[0] for key in one.keys() - found.keys()} == {"classifier"}
    assert told.classes == 0
    for key, value in found.items():
        wanted = (one[key].double() + two[key].double()) / 2 if value.is_floating_point() else two[key]
        torch.testing.assert_close(value.double(), wanted.double(), rtol=1e-6, atol=1e-7)
    other = save(tmp_path / "c.safetensors", ModelConfig(name="osnet_x0_25", embedding=8))
    with pytest.raises(
        InputError, match=r"c\.safetensors: not the weights of the network of .*another shape"
    ):
        weights.write_mean(before, other, tmp_path / "none.safetensors")
    network, told = weights.load_network(after)
    weights.save_network(tmp_path / "small.safetensors", network, replace(told, size=(32, 16)))
    with pytest.raises(InputError, match=r"small\.safetensors: takes crops of 32 x 16 px, .* of 64 x 32 px"):
        weights.write_mean(before, tmp_path / "small.safetensors", tmp_path / "none.safetensors")
    weights.write_mean(before, tmp_path / "small.safetensors", tmp_path / "mean.safetensors", resized=True)
    assert weights.read(tmp_path / "mean.safetensors")[1].size == (32, 16)
    with pytest.raises(InputError, match=r"mean\.onnx: expected a name that ends in \.safetensors"):
        weights.write_mean(before, after, tmp_path / "mean.onnx")
    assert not (tmp_path / "none.safetensors").exists()


def flipped(path: Path, at: int) -> Path:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("share", [0.35, 0.5, 0.8, 0.999])
def test_a_flipped_bit_is_noticed(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "a.safetensors")
    flipped(path, int(share * path.stat().st_size))
    with pytest.raises(InputError, match=r"a\.safetensors: (is damaged|not readable)"):
        weights.load_network(path)


def test_a_changed_recipe_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors")
    at = path.read_bytes().index(b"[64, 32]")
    data = path.read_bytes()
    path.write_bytes(data[:at] + b"[32, 64]" + data[at + 8 :])
    with pytest.raises(InputError, match="is damaged: its weights or how they are run do not match"):
        weights.load_network(path)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    """The library's table of metadata has an order of its own each time: alike by chance once in 2^11."""
    network, told = fresh(), recipe()
    for k in range(12):
        weights.save_network(tmp_path / f"{k}.safetensors", network, told)
    assert len({path.read_bytes() for path in tmp_path.glob("*.safetensors")}) == 1
    tensors, again = weights.read(tmp_path / "0.safetensors")
    assert again == told
    assert all(torch.equal(value, tensors[key]) for key, value in network.state_dict().items())


def test_files_without_a_checksum_are_still_read(tmp_path: Path) -> None:
    save_file(dict(fresh().state_dict()), tmp_path / "a.safetensors", {KEY: recipe().to_json()})
    weights.load_network(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"size": [10**9, 10**9]},
        {"size": [128, 10**6]},
        {"classes": 10**12},
        {"model": POOLED.model_dump() | {"embedding": 10**9}},
    ],
)
def test_sizes_that_nobody_means_are_refused_before_memory_is_taken(tmp_path: Path, change: Any) -> None:
    told = json.loads(recipe().to_json()) | change
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {KEY: json.dumps(told)})
    with pytest.raises(InputError, match=r"a\.safetensors: ") as error:
        weights.load_network(tmp_path / "a.safetensors")
    assert len(str(error.value)) <= 500
