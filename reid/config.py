"""What a training preset may say (configs/reid/*.yaml)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from retrace.configs.loader import Strict

Probability = Field(ge=0, le=1)


class Group(Strict):
    """A part of a preset: numbers that are none are errors, too."""

    model_config = ConfigDict(allow_inf_nan=False)


class HeadConfig(Group):
    """Another vector of the network, beside the embedding (`reid.networks.heads`).

    It is there for terms to be put on; with ``keep`` the exported vector holds it too: the unit vectors side by
    side, each with its share of the dimensions as its weight in the cosine.
    """

    on: Literal["pooled", "embedding", "maps"] = "pooled"  # stripes, moments, attention: always the map
    kind: Literal["linear", "mlp", "slice", "stripes", "moments", "attention"] = "linear"
    dim: int = Field(default=512, ge=1)  # stripes: of each
    start: int = Field(default=0, ge=0)  # slice: its first dimension
    parts: int = Field(default=4, ge=1)  # stripes
    order: int = Field(default=2, ge=1)  # moments
    width: int = Field(default=256, ge=1)  # moments: of the projections before their product
    keep: bool = False


class ModelConfig(Group):
    """The network: images -> vectors, with a classifier over the training identities while it trains.

    ``name`` is a network of torchreid's zoo ("osnet_x0_25"), or of timm with the prefix "timm.". With neck
    "own" the zoo's network is used as it is, head included, and its checkpoints fit; else its feature map is
    pooled, mapped to ``embedding`` dimensions (null: left as it is) and, with "bnneck", normalised by a batch
    norm before the classifier (Luo et al. 2019, "Bag of Tricks"): terms on distances see the vector before
    it, the classifier and the user the one after it.
    """

    name: str
    neck: Literal["own", "none", "bnneck"] = "bnneck"
    pool: Literal["avg", "gem", "max"] = "avg"
    embedding: int | None = Field(default=None, ge=1)
    # timm's convolutional networks: of the last stage; null: as built
    last_stride: Literal[1, 2] | None = None
    frozen: tuple[str, ...] = ()  # parts of the backbone that stay as ``init`` has them, e.g. blocks.0
    non_local: bool = False  # timm ResNets: the non-local blocks of AGW (Ye et al. 2021, section 4)
    instance_norm: bool = False  # OSNets: in the stem and the first stage, as OSNet-IBN (Zhou et al. 2021)
    heads: dict[str, HeadConfig] = Field(default_factory=dict)
    # whole networks whose vectors stand beside this one's when it is used; they stay as ``init`` has them
    beside: dict[str, BesideConfig] = Field(default_factory=dict)


class BesideConfig(Group):
    """A second network, fed with the same crops made smaller inside (`reid.networks.beside`, `reid.join`)."""

    model: ModelConfig
    # px, (H, W): what it was trained on
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class AugmentConfig(Group):
    """Random changes of a training image; strengths are half-widths of a uniform factor around 1."""

    flip: float = Field(default=0.5, ge=0, le=1)
    pad: int = Field(default=10, ge=0)  # px of black border before the random crop back to size
    brightness: float = Field(default=0.0, ge=0, le=1)
    contrast: float = Field(default=0.0, ge=0, le=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    cast: float = Field(default=0.0, ge=0, le=1)  # of each colour by itself: another camera's white balance
    grey: float = Field(default=0.0, ge=0, le=1)  # share of images that lose their colours
    shrink: float = Field(default=0.0, ge=0, le=1)  # share of images seen from afar: half the pixels a side
    erase: float = Field(default=0.0, ge=0, le=1)  # random erasing (Zhong et al. 2017): share of images
    box: float = Field(default=0.0, ge=0, lt=0.5)  # each edge of the box off by up to this share of its side
    occlude: float = Field(default=0.0, ge=0, le=1)  # share of images with somebody else's crop in front
    blur: float = Field(default=0.0, ge=0, le=1)  # share of images out of focus
    coarse: float = Field(default=0.0, ge=0, le=1)  # share of images of lower resolution, at random how low
    hue: float = Field(default=0.0, ge=0, le=0.5)  # in turns of the colour circle, half-width
    gamma: float = Field(default=0.0, ge=0, le=1)  # of the logarithm of the exponent, half-width
    swap: float = Field(default=0.0, ge=0, le=1)  # share of images whose colour channels change places
    recolour: float = Field(default=1.0, ge=0, le=1)  # share of images whose colours change at all


class BatchConfig(Group):
    """P identities with K images each, and who comes together (`reid.sampling`)."""

    identities: int = Field(default=16, ge=2)
    images: int = Field(default=4, ge=2)
    order: Literal["largest", "spread", "source"] = "largest"


class SamplerConfig(Group):
    """Which rule makes the batches (`reid.sampling`)."""

    kind: Literal["identity", "neighbour", "cluster", "random", "together"] = "identity"
    anchors: int = Field(default=4, ge=1)  # neighbour: people drawn at random; the others are their nearest
    clusters: int = Field(default=4, ge=2)  # cluster: of the training images


class CensusConfig(Group):
    """How often the training set is looked at as a whole, where a sampler or a term reads what is found."""

    every: float = Field(default=1, gt=0)  # epochs
    levels: int = Field(default=16, ge=1)  # of the class tree (Ge et al. 2018)
    top: Literal["sphere", "max"] = "max"  # its last level: squared distance 4, or the largest there is
    held: float = Field(default=0, ge=0, lt=1)  # share of each identity's images that nobody trains on
    # iterations between looks at those, for terms that read what is found
    look: int = Field(default=30, ge=1)


class TeacherConfig(Group):
    """A second network that looks at the same augmented images; one of the two.

    (``teachers`` looks once at the images as they are, which costs nothing in a step.)
    """

    weights: str | None = None  # for torch: .safetensors or a checkpoint
    ema: float | None = Field(default=None, gt=0, lt=1)  # the network's own average, decay an iteration

    @model_validator(mode="after")
    def _one(self) -> TeacherConfig:
        if (self.weights is None) == (self.ema is None):
            raise ValueError("teacher: give weights or ema, one of them")
        return self


class OptimizerConfig(Group):
    name: Literal["adam", "amsgrad", "adamw", "radam", "sgd"] = "adam"
    lr: float = Field(default=3.5e-4, gt=0)
    weight_decay: float = Field(default=5e-4, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)  # sgd only
    clip_norm: float | None = Field(default=None, gt=0)  # of the whole gradient


class ScheduleConfig(Group):
    """The learning rate over time, in epochs; linear warm-up from ``warmup_factor`` times the rate."""

    kind: Literal["constant", "step", "cosine"] = "step"
    warmup: float = Field(default=10, ge=0)
    warmup_factor: float = Field(default=0.01, gt=0, le=1)
    steps: tuple[float, ...] = ()  # step: where the rate is multiplied by ``factor``
    factor: float = Field(default=0.1, gt=0, le=1)
    start: float = Field(default=0, ge=0)  # cosine: where it begins to fall
    final_factor: float = Field(default=0.01, ge=0, le=1)  # cosine: where it ends


class TrainConfig(Group):
    """One training run. An epoch is N // (P * K) iterations, N the number of training images."""

    source: str = ""  # paper, or where the numbers come from
    model: ModelConfig
    size: tuple[int, int] = (256, 128)  # px, height and width
    init: str | None = None  # weights to start from (ours or torchreid's)
    init_head: Literal["keep", "drop"] = "keep"  # drop: the classifier of ``init`` starts anew
    init_wider: bool = False  # ``init`` has fewer channels, which are copied (`reid.weights.wider`)
    teachers: tuple[str, ...] = ()  # weights whose vectors of the training images the teacher terms use
    teacher: TeacherConfig | None = None
    augment: AugmentConfig = AugmentConfig()
    views: Literal[1, 2] = 1  # 2: every image is augmented twice; terms read the other view as ``second``
    batch: BatchConfig = BatchConfig()
    sampler: SamplerConfig = SamplerConfig()
    census: CensusConfig = CensusConfig()
    losses: dict[str, dict[str, Any]] = Field(min_length=1)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    epochs: float = Field(gt=0)
    accumulate: int = Field(default=1, ge=1)  # parts a batch is cut into, by identity; terms see a part
    precision: Literal["float32", "bfloat16"] = "float32"  # of the forward pass; weights stay float32
    channels_last: bool = True
    compile: bool = False
    ema: float | None = Field(default=None, gt=0, lt=1)  # decay an iteration of the averaged weights
    evaluate_every: float | None = Field(default=10, gt=0)  # epochs; null: only at the end
    patience: int | None = Field(default=None, ge=1)  # evaluations without a better mAP; then training stops
    checkpoint_every: float = Field(default=1, gt=0)  # epochs
    seed: int = Field(default=1, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if min(self.size) < 16:
            raise ValueError(f"size must be at least 16 px each way, got {list(self.size)}")
        if self.batch.identities % self.accumulate:
            raise ValueError(
                f"accumulate={self.accumulate} must divide batch.identities={self.batch.identities}"
            )
        if self.schedule.kind == "step" and list(self.schedule.steps) != sorted(self.schedule.steps):
            raise ValueError("schedule.steps must rise")
        if self.model.neck == "own" and (self.model.embedding or self.model.pool != "avg"):
            raise ValueError("neck 'own' keeps the network's own pool and embedding: leave both out")
        if self.model.neck == "own" and (self.model.last_stride or self.model.non_local):
            raise ValueError("neck 'own' keeps the network as it is: leave last_stride and non_local out")
        if self.model.neck == "own" and self.model.instance_norm:
            raise ValueError("neck 'own' keeps the network as it is: leave instance_norm out")
        if self.model.neck == "own" and self.model.heads:
            raise ValueError("neck 'own' keeps the network as it is: leave heads out")
        if self.model.neck == "own" and self.model.beside:
            raise ValueError("neck 'own' keeps the network as it is: leave beside out")
        if self.teacher is not None and self.teachers:
            raise ValueError("give teachers (images as they are) or teacher (as augmented), not both")
        if self.model.frozen and (self.init is None or self.model.neck == "own"):
            raise ValueError("model.frozen keeps parts of a pooled backbone as init has them: give init")
        if self.init_wider and self.init is None:
            raise ValueError("init_wider copies the channels of a narrower network: give init")
        if self.model.beside and self.init is None:
            raise ValueError("model.beside keeps whole networks as init has them: give init")
        if self.census.held and self.sampler.kind != "identity":
            raise ValueError("census.held goes with sampler.kind identity only")
        if self.sampler.kind == "neighbour" and self.batch.identities % self.sampler.anchors:
            raise ValueError(
                f"sampler.anchors={self.sampler.anchors} must divide batch.identities={self.batch.identities}"
            )
        return self
