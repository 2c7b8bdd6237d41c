"""Networks to train: a backbone of torchreid's zoo or of timm, and the head that a preset asks for."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from retrace.configs import InputError
from retrace.configs.errors import install, nearest, one_line
from retrace.reid.config import ModelConfig
from retrace.reid.networks import zoo as models
from retrace.reid.networks.beside import Beside
from retrace.reid.networks.heads import make_head, side_by_side, source_of
from retrace.torchvision_cure import cure_torchvision

TIMM = "timm."
GEM_POWER, GEM_SMALLEST = 3.0, 1e-6  # where the learned power starts (Radenovic et al. 2018)
INSTANCE_NORM = ("osnet_x0_25", "osnet_x0_5", "osnet_x0_75", "osnet_x1_0")  # the zoo can build them with it
# The last blocks of a ResNet-50's stages, as in AGW.
NON_LOCAL_AFTER = {"layer2": (2, 3), "layer3": (3, 4, 5)}


class Output(NamedTuple):
    """What a network answers while it trains."""

    embeddings: torch.Tensor  # (B, D) before the neck: what distances are taken of
    logits: torch.Tensor  # (B, C)
    features: torch.Tensor  # (B, D) after the neck: what the user gets
    pooled: torch.Tensor | None = None  # (B, c) before the embedding layer
    maps: torch.Tensor | None = None  # (B, c, h, w)
    heads: dict[str, torch.Tensor] | None = None  # name -> (B, D_k)


class OwnHead(nn.Module):
    """A network of torchreid's zoo as it is."""

    def __init__(self, body: nn.Module, dimensions: int) -> None:
        super().__init__()
        self.body = body
        self.dimensions = dimensions
        self.channels = 0  # no map to be seen

    def answer(self, images: torch.Tensor) -> Output:
        """What a term sees, without training; there are no logits."""
        vectors = self.body(images)
        return Output(vectors, vectors[:, :0], vectors)

    def forward(self, images: torch.Tensor) -> Any:
        if not self.training:
            return self.body(images)
        logits, embeddings = self.body(images)
        return Output(embeddings, logits, embeddings)


class PooledHead(nn.Module):
    """Feature map -> pool -> embedding -> neck -> classifier.

    ``classes`` 0: no classifier, for a network that is only used. What stands ``beside`` it answers only then.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        config: ModelConfig,
        classes: int,
        map_size: tuple[int, int] = (1, 1),
        size: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.frozen = [_part(backbone, name, config.name) for name in config.frozen]
        for part in self.frozen:
            part.requires_grad_(False)
        self.pool = {"avg": AveragePool, "max": MaxPool, "gem": GeneralisedMean}[config.pool]()
        self.channels, self.map_size = channels, map_size
        self.dimensions = config.embedding or channels
        bnneck = config.neck == "bnneck"
        self.embedding = (
            nn.Linear(channels, self.dimensions, bias=not bnneck) if config.embedding else nn.Identity()
        )
        self.neck = bn_neck(self.dimensions) if bnneck else nn.Identity()
        self.classifier = nn.Linear(self.dimensions, classes, bias=not bnneck) if classes else None
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.001)
        self.heads = nn.ModuleDict(
            {
                name: make_head(name, head, channels, self.dimensions, map_size)
                for name, head in config.heads.items()
            }
        )
        self.reads = {name: source_of(head) for name, head in config.heads.items()}
        # In the order of their names, as files have them: vectors of a run and of its export are alike.
        self.kept = sorted(name for name, head in config.heads.items() if head.keep)
        self.beside = nn.ModuleDict(
            {
                name: Beside(build(other.model, 0, other.size), size, other.size)
                for name, other in sorted(config.beside.items())
            }
        )
        self.frozen.append(self.beside.requires_grad_(False))

    def train(self, mode: bool = True) -> PooledHead:
        """Frozen parts keep their batch statistics, too."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def answer(self, images: torch.Tensor) -> Output:
        """Everything that a term may see; logits of no columns without a classifier."""
        maps = self.backbone(images)
        pooled = self.pool(maps)
        embeddings = self.embedding(pooled)
        features = self.neck(embeddings)
        logits = features[:, :0] if self.classifier is None else self.classifier(features)
        sources = {"maps": maps, "pooled": pooled, "embedding": embeddings}
        heads = {name: head(sources[self.reads[name]]) for name, head in self.heads.items()}
        return Output(embeddings, logits, features, pooled, maps, heads)

    def forward(self, images: torch.Tensor) -> Any:
        if self.training:
            if self.classifier is None:
                raise RuntimeError("a network without classifier cannot train")
            return self.answer(images)
        if not self.kept and not self.beside:
            return self.neck(self.embedding(self.pool(self.backbone(images))))
        seen = self.answer(images)
        others = [network(images) for network in self.beside.values()]
        return side_by_side([seen.features, *(seen.heads[name] for name in self.kept), *others])  # type: ignore[index]


def without_aids(network: nn.Module, config: ModelConfig, size: tuple[int, int]) -> tuple[Any, ModelConfig]:
    """The network without heads that only training needs, and its description.

    Raises:
        InputError: the description does not fit a network.
    """
    kept = {name: head for name, head in config.heads.items() if head.keep}
    if len(kept) == len(config.heads):
        return network, config
    config = config.model_copy(update={"heads": kept})
    tensors = network.state_dict()
    rows = tensors["classifier.weight"].shape[0] if "classifier.weight" in tensors else 0
    with torch.random.fork_rng(devices=[]):
        bare = build(config, rows, size)
    bare.load_state_dict({key: tensors[key] for key in bare.state_dict()})
    return bare.eval(), config


def bn_neck(dimensions: int) -> nn.BatchNorm1d:
    """A batch norm whose bias stays 0: the classes' hyperplanes go through the origin (BoT, section 3.5)."""
    neck = nn.BatchNorm1d(dimensions)
    neck.bias.requires_grad_(False)
    return neck


class AveragePool(nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))


class MaxPool(nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.amax((2, 3))


class GeneralisedMean(nn.Module):
    """(mean x^p)^(1/p) with a learned p (Radenovic et al. 2018, equation 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor([GEM_POWER]))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.float().clamp_min(GEM_SMALLEST).pow(self.power).mean((2, 3)).pow(1 / self.power)


class NonLocal(nn.Module):
    """x + W y, y the dot-product attention of x over x, without softmax (Wang et al. 2018, equations 4, 6).

    The norm after W starts at 0, so that the block starts as the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        query, key, value = (f(maps).flatten(2) for f in (self.query, self.key, self.value))
        # (q^T k) v / n, with the two small products first: no (HW, HW) matrix.
        mixed = value @ key.transpose(1, 2) @ query / query.shape[2]
        return maps + self.norm(self.out(mixed.unflatten(2, maps.shape[2:])))


def build(config: ModelConfig, classes: int, size: tuple[int, int]) -> OwnHead | PooledHead:
    """A network with random weights; nothing is ever downloaded.

    Args:
        config: see ModelConfig.
        classes: C, training identities; 0: without classifier (with neck "own": with one of no rows).
        size: px, (H, W); transformers need it.

    Raises:
        InputError: unknown network, or one that does not go with the head asked for.
    """
    _suggest_timm(config.name)
    if config.neck == "own":
        return _own_head(config, classes, size)
    if config.name.startswith(TIMM):
        if config.instance_norm:
            raise InputError(f"model.instance_norm is for {', '.join(INSTANCE_NORM)}, not {config.name!r}")
        backbone = _timm(config, size)
    else:
        if config.last_stride or config.non_local:
            raise InputError(
                "model.last_stride and model.non_local are for timm's networks (e.g. name: timm.resnet50)"
            )
        backbone = _zoo_maps(config)
    shape = _map_shape(backbone, size, config)
    return PooledHead(backbone, shape[0], config, classes, shape[1:], size)


def import_timm() -> ModuleType:
    """timm, whose import needs a torchvision that loads."""
    cure_torchvision()
    import timm

    return timm


def _suggest_timm(name: str) -> None:
    """Refuse a name that only timm knows, and say how to ask for it."""
    if name.startswith(TIMM) or name in models.zoo():
        return
    with suppress(ImportError):
        if import_timm().is_model(name):
            raise InputError(f"unknown network {name!r}; timm has it: say {TIMM}{name}")


def _own_head(config: ModelConfig, classes: int, size: tuple[int, int]) -> OwnHead:
    if config.name.startswith(TIMM):
        raise InputError(
            f"model.neck 'own' is for torchreid's networks, not {config.name!r}; use bnneck or none"
        )
    body = models.build(config.name, classes, loss="triplet")
    probe = models.build(config.name, 2, loss="triplet").train()
    answer = _probe(probe, 2, size, config)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], torch.Tensor)):
        raise InputError(f"model.name: {config.name!r} does not answer (logits, vectors) while it trains")
    return OwnHead(body, answer[1].shape[1])


class _ZooMaps(nn.Module):
    """Only the convolutions of a torchreid network, under the keys they have in its checkpoints."""

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.whole: Any = whole

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.whole.featuremaps(images)


def _zoo_maps(config: ModelConfig) -> nn.Module:
    name = config.name
    if config.instance_norm and name not in INSTANCE_NORM:
        raise InputError(f"model.instance_norm is for {', '.join(INSTANCE_NORM)}, not {name!r}")
    options: dict[str, Any] = {"IN": True} if config.instance_norm else {}
    whole = models.build(name, 1, **options)
    if not hasattr(whole, "featuremaps"):
        raise InputError(f"model.name: {name!r} has no feature map to pool; use model.neck=own")
    for head in ("fc", "classifier"):
        if hasattr(whole, head):
            setattr(whole, head, None)
    return _ZooMaps(whole)


def _timm(config: ModelConfig, size: tuple[int, int]) -> nn.Module:
    try:
        timm = import_timm()
    except ImportError:
        raise InputError(f"{config.name!r} needs timm: {install('train')}") from None
    name = config.name.removeprefix(TIMM)
    if not timm.is_model(name):
        raise InputError(
            f"unknown network {config.name!r}; {nearest(config.name, [TIMM + known for known in timm.list_models()])}"
        )
    transformer = name.startswith(("vit", "deit", "swin", "beit", "eva", "cait", "flexivit"))
    # A transformer's own pooling gives one vector; of a convolutional network we want the map.
    extra: dict[str, Any] = {"img_size": size} if transformer else {"global_pool": ""}
    try:
        network = timm.create_model(name, pretrained=False, num_classes=0, **extra)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise InputError(f"model.name: {config.name!r} cannot be used here: {one_line(error)}") from None
    if config.last_stride:
        _set_last_stride(network, config)
    if config.non_local:
        _insert_non_local(network, config)
    return _Vector(network) if transformer else network


class _Vector(nn.Module):
    """A transformer's one vector as a 1 x 1 feature map."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)[:, :, None, None]


def _set_last_stride(network: nn.Module, config: ModelConfig) -> None:
    """Of a ResNet's last stage (its shortcut included), or of the last convolution that halves the map."""
    stage = getattr(network, "layer4", None)
    blocks = network.modules() if stage is None else stage[0].modules()
    halving = [part for part in blocks if isinstance(part, nn.Conv2d) and part.stride == (2, 2)]
    if not halving:
        raise InputError(f"model.last_stride: no convolution of {config.name!r} halves its map")
    for part in halving if stage is not None else halving[-1:]:
        part.stride = (config.last_stride or 1, config.last_stride or 1)


def _part(backbone: nn.Module, name: str, network: str) -> nn.Module:
    try:
        return backbone.get_submodule(name)
    except AttributeError:
        known = [key for key, _ in backbone.named_modules() if len(key) > 0 and key.count(".") < 2]
        raise InputError(f"model.frozen: {network!r} has no part {name!r}; {nearest(name, known)}") from None


def _insert_non_local(network: nn.Module, config: ModelConfig) -> None:
    for stage_name, places in NON_LOCAL_AFTER.items():
        stage = getattr(network, stage_name, None)
        if stage is None or len(stage) <= max(places):
            raise InputError(f"model.non_local is for ResNet-50 and deeper, not {config.name!r}")
        parts: dict[str, nn.Module] = {}  # the blocks keep their names, so that ImageNet weights fit
        for place, block in enumerate(stage):
            parts[str(place)] = block
            if place in places:
                norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
                parts[f"non_local{place}"] = NonLocal(norms[-1].num_features)
        setattr(network, stage_name, nn.Sequential(OrderedDict(parts)))


def _map_shape(backbone: nn.Module, size: tuple[int, int], config: ModelConfig) -> tuple[int, int, int]:
    """(c, h, w) of the feature map; asked of the network itself, which stays as it was."""
    training = backbone.training
    maps = _probe(backbone.eval(), 1, size, config)
    backbone.train(training)
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        answer = tuple(maps.shape) if isinstance(maps, torch.Tensor) else type(maps).__name__
        raise InputError(f"model.name: {config.name!r} answers {answer}, not a feature map (B, C, h, w)")
    told = [getattr(backbone, key, None) for key in ("num_features", "head_hidden_size")]
    if config.name.startswith(TIMM) and any(told) and maps.shape[1] not in told:
        raise InputError(
            f"model.name: {config.name!r} answers {tuple(maps.shape)}, which is not (B, C, h, w) with its own "
            f"{told[0]} channels"
        )
    return int(maps.shape[1]), int(maps.shape[2]), int(maps.shape[3])


def _probe(network: nn.Module, count: int, size: tuple[int, int], config: ModelConfig) -> Any:
    """What the network answers to ``count`` black images."""
    try:
        with torch.no_grad():
            return network(torch.zeros(count, 3, *size))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise InputError(
            f"model {config.name!r} does not work on images of {size[0]}x{size[1]} px with these settings: "
            f"{one_line(error)}"
        ) from None
