"""Networks to train: what they answer, and that they are what they say they are."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from torch import nn  # noqa: E402

from retrace.reid.config import ModelConfig  # noqa: E402
from retrace.reid.networks import build as networks  # noqa: E402
from retrace.reid.networks import zoo as models  # noqa: E402

CLASSES, SIZE = 5, (64, 32)


def build(size: tuple[int, int] = SIZE, classes: int = CLASSES, **config: Any) -> Any:
    torch.manual_seed(0)
    return networks.build(ModelConfig(**config), classes, size)


def images(count: int = 4, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "dimensions"),
    [
        ({"name": "osnet_x0_25", "neck": "own"}, 512),
        ({"name": "osnet_x0_25", "neck": "bnneck"}, 128),
        ({"name": "osnet_x0_25", "neck": "none", "pool": "max", "embedding": 32}, 32),
        ({"name": "osnet_ain_x0_25", "neck": "bnneck", "pool": "gem", "embedding": 64}, 64),
        ({"name": "resnet18", "neck": "own"}, 512),
        ({"name": "mobilenetv2_x1_0", "neck": "bnneck"}, 1280),
        ({"name": "timm.resnet18", "neck": "bnneck", "last_stride": 1}, 512),
        ({"name": "timm.regnetx_002", "neck": "none"}, 368),
        ({"name": "timm.vit_tiny_patch16_224", "neck": "bnneck"}, 192),
        ({"name": "timm.mobilenetv3_small_050", "neck": "bnneck"}, 1024),
    ],
    ids=lambda c: "-".join(map(str, c.values())) if isinstance(c, dict) else "",
)
def test_shapes_and_gradients(config: dict[str, Any], dimensions: int) -> None:
    network = build(**config)
    assert network.dimensions == dimensions
    answer = network.train()(images())
    assert answer.embeddings.shape == (4, dimensions)
    assert answer.logits.shape == (4, CLASSES)
    (answer.embeddings.square().sum() + answer.logits.square().sum()).backward()
    idle = [key for key, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle
    with torch.inference_mode():
        features = network.eval()(images())
        assert features.shape == (4, dimensions)
        # no batch needed
        torch.testing.assert_close(network(images()[:1]), features[:1], atol=1e-5, rtol=1e-4)


def test_a_network_with_its_own_head_is_torchreid_s() -> None:
    ours = build(name="osnet_x0_25", neck="own")
    theirs = models.build("osnet_x0_25", CLASSES, loss="triplet")
    theirs.load_state_dict(ours.body.state_dict())
    for mode in (True, False):
        answer, want = ours.train(mode)(images()), theirs.train(mode)(images())
        if mode:
            assert torch.equal(answer.logits, want[0])
            assert torch.equal(answer.embeddings, want[1])
        else:
            assert torch.equal(answer, want)


def test_a_pooled_head_step_by_step() -> None:
    """Pool, embedding, batch norm, classifier, from the backbone's maps, by NumPy."""
    network = build(name="osnet_x0_25", embedding=16)
    with torch.no_grad():
        network.neck.weight.copy_(torch.linspace(0.5, 2, 16))
        maps = network.backbone.train()(images()).numpy()
        answer = network.train()(images())
    embeddings = maps.mean((2, 3)) @ network.embedding.weight.detach().numpy().T
    np.testing.assert_allclose(answer.embeddings.numpy(), embeddings, atol=1e-5)
    normed = (embeddings - embeddings.mean(0)) / np.sqrt(embeddings.var(0) + 1e-5) * np.linspace(0.5, 2, 16)
    logits = normed @ network.classifier.weight.detach().numpy().T
    np.testing.assert_allclose(answer.logits.numpy(), logits, atol=1e-5)


def test_the_neck_s_bias_stays_zero_and_the_classifier_has_none() -> None:
    network = build(name="osnet_x0_25", embedding=16)
    assert not network.neck.bias.requires_grad
    assert not network.neck.bias.any()
    assert network.classifier.bias is None
    assert network.embedding.bias is None
    assert build(name="osnet_x0_25", neck="none", embedding=16).classifier.bias is not None


def test_pools_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert networks.AveragePool()(maps).item() == 3
    assert networks.MaxPool()(maps).item() == 6
    gem = networks.GeneralisedMean()
    assert gem(maps).item() == pytest.approx(((1 + 8 + 27 + 216) / 4) ** (1 / 3))
    gem.power.data.fill_(1.0)
    assert gem(maps).item() == pytest.approx(3)
    gem.power.data.fill_(60.0)
    assert gem(maps / 6).item() == pytest.approx(1, abs=0.03)  # towards the largest


def test_generalised_mean_learns_its_power_and_bears_zeros() -> None:
    gem = networks.GeneralisedMean()
    maps = torch.zeros(2, 3, 4, 2, requires_grad=True)
    gem(maps.relu()).sum().backward()
    assert maps.grad.isfinite().all()
    assert gem.power.grad.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
def test_non_local_starts_as_the_identity(training: bool) -> None:
    maps = torch.randn(2, 8, 4, 2)
    block = networks.NonLocal(8).train(training)
    assert torch.equal(block(maps), maps)


def test_non_local_is_dot_product_attention() -> None:
    torch.manual_seed(0)
    block, maps = networks.NonLocal(6).eval(), torch.randn(2, 6, 4, 3)
    block.norm.weight.data.fill_(1.0)
    q, k, v = (f(maps).flatten(2).detach().numpy() for f in (block.query, block.key, block.value))
    for b in range(2):
        mixed = np.zeros((3, 12), np.float32)
        for i in range(12):
            for j in range(12):
                mixed[:, i] += (q[b, :, i] @ k[b, :, j]) * v[b, :, j] / 12
        out = block.out(torch.from_numpy(mixed.reshape(1, 3, 4, 3)))
        want = maps[b] + block.norm(out)[0]
        torch.testing.assert_close(block(maps)[b], want, atol=1e-5, rtol=1e-4)


def test_non_local_blocks_of_agw_change_nothing_at_first_and_keep_the_keys() -> None:
    """After the last two blocks of the second stage and the last three of the third, of a ResNet-50."""
    with_, without = (build(name="timm.resnet50", non_local=flag).eval() for flag in (True, False))
    keys, plain = set(with_.state_dict()), set(without.state_dict())
    assert plain < keys  # so that ImageNet weights fit
    places = {".".join(key.split(".")[1:3]) for key in keys - plain}
    assert places == {
        *(f"layer2.non_local{i}" for i in (2, 3)),
        *(f"layer3.non_local{i}" for i in (3, 4, 5)),
    }
    order = [name for name, _ in with_.backbone.layer3.named_children()]
    assert order == ["0", "1", "2", "3", "non_local3", "4", "non_local4", "5", "non_local5"]
    with_.load_state_dict(without.state_dict(), strict=False)
    with torch.inference_mode():
        assert torch.equal(with_(images(1)), without(images(1)))


def test_last_stride_doubles_the_map() -> None:
    one, built = (build(name="timm.resnet26", last_stride=stride).eval() for stride in (1, None))
    with torch.inference_mode():
        assert one.backbone(images(1)).shape[2:] == (4, 2)
        assert built.backbone(images(1)).shape[2:] == (2, 1)
    strides = [
        {key: m.stride for key, m in network.named_modules() if isinstance(m, nn.Conv2d)}
        for network in (one, built)
    ]
    changed = {key for key in strides[0] if strides[0][key] != strides[1][key]}
    assert changed == {"backbone.layer4.0.conv2", "backbone.layer4.0.downsample.0"}


def test_a_small_vit_at_256x128() -> None:
    network = build((256, 128), name="timm.vit_tiny_patch16_224", embedding=32).eval()
    with torch.inference_mode():
        assert network(images(1, (256, 128))).shape == (1, 32)
    assert network.backbone.body.pos_embed.shape == (1, 1 + 16 * 8, 192)


def test_without_classes_there_is_no_classifier() -> None:
    network = build(name="osnet_x0_25", classes=0)
    assert not any("classifier" in key for key in network.state_dict())
    assert network.eval()(images(1)).shape == (1, 128)
    with pytest.raises(RuntimeError, match="without classifier cannot train"):
        network.train()(images())


def test_keys_that_files_on_disk_rely_on() -> None:
    keys = set(build(name="osnet_x0_25", embedding=16).state_dict())
    outside = {key for key in keys if not key.startswith("backbone.whole.")}
    running = {f"neck.{k}" for k in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
    assert outside == {"embedding.weight", "classifier.weight"} | running
    theirs = models.build("osnet_x0_25", 1).state_dict()
    convolutions = {f"backbone.whole.{k}" for k in theirs if not k.startswith(("fc.", "classifier."))}
    assert keys - outside == convolutions
    assert set(build(name="osnet_x0_25", neck="own").state_dict()) == {f"body.{k}" for k in theirs}


def test_the_last_stride_of_a_mobile_network_doubles_its_map() -> None:
    images = torch.zeros(1, 3, 64, 32)
    shapes = {}
    for stride in (None, 1):
        network = build(name="timm.mobilenetv2_050", last_stride=stride)
        shapes[stride] = tuple(network.backbone(images).shape[2:])
    assert shapes == {None: (2, 1), 1: (4, 2)}  # 64 x 32 px halved five times, four times


def test_frozen_parts_stay_as_they_are() -> None:
    network = build(name="timm.mobilenetv2_050", frozen=["conv_stem", "bn1", "blocks.0"])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network.train()
    output = network.answer(torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(1)))
    output.embeddings.square().sum().backward()
    optimizer.step()
    after = network.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    whole = "backbone." if "backbone.conv_stem.weight" in before else "backbone.body."
    frozen = tuple(whole + part for part in ("conv_stem.", "bn1.", "blocks.0."))
    assert any(key.startswith(frozen) for key in before)
    assert not any(key.startswith(frozen) for key in changed)  # weights and batch statistics
    assert {f"{whole}blocks.1.0.conv_pw.weight", f"{whole}blocks.1.0.bn1.running_mean"} <= changed


def test_the_channel_probe_leaves_no_trace() -> None:
    network = build(name="osnet_x0_25")
    assert network.training
    assert not [k for k, v in network.state_dict().items() if k.endswith("num_batches_tracked") and v != 0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "osnet_x025"}, r"unknown network 'osnet_x025'; did you mean 'osnet_x0_25'"),
        ({"name": "timm.resnet50x"}, r"unknown network 'timm\.resnet50x'; did you mean 'timm.resnet50'"),
        ({"name": "vit_tiny_patch16_224"}, "timm has it: say timm.vit_tiny_patch16_224"),
        ({"name": "timm."}, r"unknown network 'timm\.'"),
        ({"name": "timm.hf_hub:timm/resnet18"}, "unknown network"),  # would download
        ({"name": "timm.resnet18", "neck": "own"}, "neck 'own' is for torchreid's networks"),
        ({"name": "shufflenet"}, "'shufflenet' has no feature map to pool; use model.neck=own"),
        ({"name": "osnet_x0_25", "last_stride": 1}, "are for timm's networks"),
        ({"name": "osnet_x0_25", "non_local": True}, "are for timm's networks"),
        (
            {"name": "timm.mixer_s32_224", "last_stride": 1},
            "no convolution of 'timm.mixer_s32_224' halves its map",
        ),
        (
            {"name": "timm.mobilenetv2_050", "frozen": ["blocks.00"]},
            "no part 'blocks.00'; did you mean 'blocks.0'",
        ),
        ({"name": "timm.resnet18", "non_local": True}, "non_local is for ResNet-50 and deeper"),
        (
            {"name": "timm.resnet26d", "last_stride": 1},
            "'timm.resnet26d' does not work on images of 64x32 px",
        ),
        ({"name": "timm.mixer_s32_224"}, "does not work on images of 64x32 px.*match"),
        ({"name": "timm.xcit_nano_12_p16_224"}, r"answers \(1, 9, 128\), not a feature map"),
        ({"name": "timm.mambaout_femto"}, r"answers \(1, 2, 1, \d+\), which is not \(B, C, h, w\)"),
        ({"name": "osnet_ain_x0_25", "instance_norm": True}, "instance_norm is for osnet_x0_25"),
        ({"name": "timm.resnet18", "instance_norm": True}, "instance_norm is for osnet_x0_25"),
        ({"name": "hacnn", "neck": "own"}, "'hacnn' does not work on images of 64x32 px"),
    ],
    ids=lambda c: "-".join(map(str, c.values())) if isinstance(c, dict) else "",
)
def test_networks_that_cannot_be_are_refused_in_one_line(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(**config)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_instance_norm_is_in_the_stem_and_the_first_stage() -> None:
    """In the stem, what scales a colour all over the image is gone before the first ReLU."""
    plain, normed = (build(name="osnet_x0_25", instance_norm=on).eval() for on in (False, True))
    before, after = ({*network.state_dict()} for network in (plain, normed))
    assert before - after == {
        f"backbone.whole.conv1.bn.{key}" for key in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert after - before == {
        f"backbone.whole.conv2.{k}.IN.{key}" for k in (0, 1) for key in ("weight", "bias")
    }
    with torch.no_grad():
        for network, same in ((plain, False), (normed, True)):
            stem = network.backbone.whole.conv1
            assert torch.allclose(stem(images()), stem(images() * 3), atol=1e-3) == same
