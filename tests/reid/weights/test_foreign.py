"""Weights of other projects: taken by a stated mapping, or refused with the keys as they are in the file."""

from __future__ import annotations

import argparse
import copy
import importlib.util
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm", "safetensors"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from retrace.configs import InputError  # noqa: E402
from retrace.reid.config import ModelConfig  # noqa: E402
from retrace.reid.networks import build as networks  # noqa: E402
from retrace.reid.weights.files import read, start_from  # noqa: E402
from retrace.reid.weights.shipped import shipped_weights  # noqa: E402

SIZE = (64, 32)
Tensors = dict[str, Any]


@cache
def _resnet() -> Tensors:
    timm = networks.import_timm()
    torch.manual_seed(0)
    return dict(timm.create_model("resnet18", pretrained=False, num_classes=10).state_dict())


def resnet() -> Tensors:
    """Drawn once: tensors to be read, in a mapping of one's own."""
    return dict(_resnet())


@lru_cache(maxsize=1)
def _ours(name: str, size: tuple[int, int]) -> Any:
    torch.manual_seed(9)
    return networks.build(ModelConfig(name=name), 4, size)


def ours(name: str = "timm.resnet18", size: tuple[int, int] = SIZE) -> Any:
    """A network of one's own, copied from one whose weights were drawn once."""
    return copy.deepcopy(_ours(name, size))


def saved(folder: Path, content: Any, name: str = "theirs.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def headless(tensors: Tensors) -> Tensors:
    return {key: value for key, value in tensors.items() if not key.startswith("fc.")}


def under(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + key: value for key, value in tensors.items()}


HEADS = {"bottleneck.weight": torch.zeros(512), "classifier.weight": torch.zeros(10, 512)}
FAST = {"pixel_mean": torch.zeros(1, 3, 1, 1), "heads.bottleneck.0.weight": torch.zeros(512)}
PROJECTS: dict[str, Any] = {  # what they write
    "timm, torchvision": lambda t: t,
    "DeiT, MAE": lambda t: {"model": t, "epoch": 3, "args": argparse.Namespace(lr=0.1)},
    "fast-reid": lambda t: {"model": under("backbone.", headless(t)) | FAST, "iteration": 1},
    "BoT, TransReID": lambda t: under("base.", headless(t)) | HEADS,
    "in parallel": lambda t: {"state_dict": under("module.base.", headless(t)) | under("module.", HEADS)},
    "compiled": lambda t: under("_orig_mod.", t),
    "MMLab": lambda t: {"meta": {"a": 1}, "state_dict": under("backbone.", headless(t))},
    "self-supervised": lambda t: {"teacher": under("backbone.", headless(t))},
}


@pytest.mark.parametrize("project", PROJECTS)
def test_every_tensor_of_the_body_arrives(tmp_path: Path, project: str) -> None:
    theirs, network, notes = resnet(), ours(), list[str]()
    fresh = start_from(network, saved(tmp_path, PROJECTS[project](theirs)), True, notes)
    own = network.state_dict()
    for key, value in headless(theirs).items():
        assert torch.equal(own[f"backbone.{key}"], value), key
    assert {key.split(".")[0] for key in fresh} == {"neck", "classifier"}
    if project == "fast-reid":
        assert notes == [
            "theirs.pth: 2 tensors of other parts left out: pixel_mean, heads.bottleneck.0.weight",
            "theirs.pth: keys begin with 'backbone.', taken off",
        ]


def renamed(tensors: Tensors) -> Tensors:
    """As a project that numbers its layers would write them: the last word stays."""
    return {f"layers.{i}.{key.split('.')[-1]}": value for i, (key, value) in enumerate(tensors.items())}


@pytest.mark.parametrize("counters", [True, False], ids=["with counters", "without counters"])
def test_other_names_in_our_order_arrive(tmp_path: Path, counters: bool) -> None:
    theirs = {k: v for k, v in resnet().items() if counters or not k.endswith("num_batches_tracked")}
    network, notes = ours(), list[str]()
    start_from(network, saved(tmp_path, renamed(theirs)), True, notes)
    assert any("every shape of the backbone in its order" in note for note in notes)
    mine = [v for k, v in network.state_dict().items() if k.startswith("backbone.") and v.ndim]
    given = [v for k, v in theirs.items() if not k.startswith("fc.") and v.ndim]
    assert len(mine) == len(given) > 50
    assert all(torch.equal(a, b) for a, b in zip(mine, given, strict=True))


@pytest.mark.parametrize("fault", ["swapped", "short", "longer", "another role"])
def test_nearly_our_order_is_not_taken(tmp_path: Path, fault: str) -> None:
    theirs = list(renamed(resnet()).items())
    if fault == "swapped":
        theirs[0], theirs[-6] = theirs[-6], theirs[0]
    elif fault == "short":
        theirs = theirs[:-10]
    elif fault == "longer":  # another stage after it: not a classifier
        theirs.insert(-2, ("more.weight", torch.zeros(8, 512, 1, 1)))
    else:
        theirs[1] = ("layers.1.gamma", theirs[1][1])
    with pytest.raises(InputError):
        start_from(ours(), saved(tmp_path, dict(theirs)), True)


def test_a_misfit_is_told_in_the_keys_of_the_file(tmp_path: Path) -> None:
    broken = under("backbone.", headless(resnet()))
    broken["backbone.extra"] = torch.zeros(1)
    del broken["backbone.conv1.weight"]
    broken["backbone.bn1.bias"] = torch.zeros(3)
    with pytest.raises(InputError) as error:
        start_from(ours(), saved(tmp_path, broken), True)
    text = str(error.value)
    assert "1 missing: backbone.conv1.weight" in text
    assert "1 unexpected: backbone.extra" in text
    assert "backbone.bn1.bias (3,), not (64,)" in text
    assert "backbone.backbone" not in text
    assert "body." not in text
    with pytest.raises(
        InputError, match=r"unexpected: bottleneck\.weight; .*classifier\.weight.*init_head=drop"
    ):
        start_from(ours(), saved(tmp_path, PROJECTS["BoT, TransReID"](resnet())), False)


def test_what_is_quite_another_network_is_told_so(tmp_path: Path) -> None:
    other = saved(tmp_path, {"layers.0.weight": torch.zeros(3), "layers.1.weight": torch.zeros(3)})
    with pytest.raises(
        InputError,
        match=r"the file has 2 keys such as layers\.0\.weight, .*; the network has keys such as conv1",
    ):
        start_from(ours(), other, True)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"model": {"a": 1}}, {}, torch.zeros(3)])
def test_what_is_no_state_dict_is_refused_with_what_is_there(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match="expected a state_dict") as error:
        start_from(ours(), saved(tmp_path, content), True)
    assert len(str(error.value)) <= 500


def test_a_network_of_our_own_as_a_plain_checkpoint(tmp_path: Path) -> None:
    mine = ours()
    network = networks.build(ModelConfig(name="timm.resnet18"), 4, SIZE)
    assert start_from(network, saved(tmp_path, mine.state_dict()), False) == []
    assert all(
        torch.equal(a, b)
        for a, b in zip(mine.state_dict().values(), network.state_dict().values(), strict=True)
    )


def test_auto_means_the_shipped_weights() -> None:
    shipped = shipped_weights()
    assert shipped is not None
    tensors, recipe = read(shipped.with_suffix(".safetensors"))
    network = networks.build(ModelConfig.model_validate(recipe.model), 4, recipe.size)
    for name in ("auto", shipped.stem, shipped):
        fresh = start_from(network, name, True)
        assert fresh == ["classifier.weight"]
        assert torch.equal(network.state_dict()["neck.weight"], tensors["neck.weight"])
    with pytest.raises(InputError, match="init: osnet_x9: no such weights file"):
        start_from(network, "osnet_x9", True)
    with pytest.raises(InputError, match="`name` strnog: did you mean 'strong'"):
        shipped_weights("strnog")


# ---- transformers at 256 x 128


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("vit_tiny_patch16_224", "pos_embed (1, 197, 192) -> (1, 129, 192)"),
        ("deit_tiny_distilled_patch16_224", "pos_embed (1, 198, 192) -> (1, 130, 192)"),
        ("deit3_small_patch16_224", "pos_embed (1, 196, 384) -> (1, 128, 384)"),
        ("vit_small_patch14_dinov2", "pos_embed (1, 1370, 384) -> (1, 163, 384)"),
        ("eva02_tiny_patch14_224", "pos_embed (1, 257, 192) -> (1, 163, 192)"),
        ("swin_tiny_patch4_window7_224", "relative_position_bias_table"),
    ],
)
def test_image_net_weights_start_at_another_size(tmp_path: Path, name: str, grid: str) -> None:
    timm = networks.import_timm()
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, num_classes=10).state_dict()
    network, notes = ours(f"timm.{name}", (256, 128)), list[str]()
    start_from(network, saved(tmp_path, theirs), True, notes)
    assert any("resampled to this image size: " in note and grid in note for note in notes), notes
    own, kept = network.state_dict(), 0
    for key, value in theirs.items():
        mine = own.get(f"backbone.body.{key}")
        if mine is not None and mine.shape == value.shape:
            assert torch.equal(mine, value), key
            kept += 1
    assert kept > 0.8 * len(theirs)
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, 256, 128)).isfinite().all()


def test_a_resampled_grid_is_the_same_picture(tmp_path: Path) -> None:
    """Embeddings that grow from top to bottom grow from top to bottom afterwards."""
    timm = networks.import_timm()
    theirs = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0).state_dict()
    rows = torch.linspace(0, 1, 14)[:, None].expand(14, 14).reshape(-1, 1).expand(196, 192)
    theirs["pos_embed"] = torch.cat([torch.full((1, 192), 7.0), rows])[None]
    network = ours("timm.vit_tiny_patch16_224", (256, 128))
    start_from(network, saved(tmp_path, theirs), True)
    found = network.state_dict()["backbone.body.pos_embed"][0]
    assert (found[0] == 7).all()  # the class token is no place
    grid = found[1:, 0].reshape(16, 8)
    torch.testing.assert_close(grid, grid[:, :1].expand(16, 8), atol=1e-4, rtol=0)
    assert (grid[1:, 0] > grid[:-1, 0]).all()


def test_trans_reid_keeps_its_prefix_and_its_grid(tmp_path: Path) -> None:
    timm = networks.import_timm()
    theirs = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0, img_size=(256, 128))
    tensors = under("base.", dict(theirs.state_dict())) | {"bottleneck.weight": torch.zeros(192)}
    network, notes = ours("timm.vit_tiny_patch16_224", (256, 128)), list[str]()
    start_from(network, saved(tmp_path, tensors), True, notes)
    assert not any("resampled" in note for note in notes)
    own = network.state_dict()
    assert torch.equal(own["backbone.body.pos_embed"], theirs.state_dict()["pos_embed"])


def test_clip_reid_is_brought_to_timm_s_names(tmp_path: Path) -> None:
    """OpenAI's names under image_encoder., beside the text encoder, the prompts and the heads."""
    network, notes = ours("timm.vit_xsmall_patch16_clip_224", (256, 128)), list[str]()
    own = network.backbone.body.state_dict()
    wide, inner = own["cls_token"].shape[-1], own["blocks.0.mlp.fc1.weight"].shape[0]
    torch.manual_seed(0)
    theirs = {
        "class_embedding": (wide,),
        "positional_embedding": (129, wide),
        "conv1.weight": (wide, 3, 16, 16),
    }
    theirs |= {f"{norm}.{part}": (wide,) for norm in ("ln_pre", "ln_post") for part in ("weight", "bias")}
    for k in range(len(network.backbone.body.blocks)):
        sizes = {"attn.in_proj": (3 * wide, wide), "attn.out_proj": (wide, wide)}
        sizes |= {"mlp.c_fc": (inner, wide), "mlp.c_proj": (wide, inner), "ln_1": (wide,), "ln_2": (wide,)}
        for name, size in sizes.items():
            joint = "_" if name == "attn.in_proj" else "."
            theirs[f"transformer.resblocks.{k}.{name}{joint}weight"] = size
            theirs[f"transformer.resblocks.{k}.{name}{joint}bias"] = size[:1]
    tensors = {f"image_encoder.{key}": torch.randn(size) for key, size in theirs.items()}
    more = {
        "text_encoder.x": torch.zeros(3),
        "prompt_learner.c": torch.zeros(2),
        "classifier.weight": torch.zeros(9, wide),
    }
    start_from(network, saved(tmp_path, tensors | more), True, notes)
    got = network.backbone.body.state_dict()
    assert torch.equal(got["patch_embed.proj.weight"], tensors["image_encoder.conv1.weight"])
    assert torch.equal(got["pos_embed"][0], tensors["image_encoder.positional_embedding"])
    for ours_, their in (("attn.qkv.weight", "attn.in_proj_weight"), ("mlp.fc2.bias", "mlp.c_proj.bias")):
        assert torch.equal(
            got[f"blocks.1.{ours_}"], tensors[f"image_encoder.transformer.resblocks.1.{their}"]
        )
    assert notes[0].startswith("theirs.pth: 3 tensors of other parts left out: text_encoder.x")
