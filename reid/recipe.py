"""What a network takes and where it comes from: the JSON that travels inside our weights, in every format."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from retrace.configs import InputError
from retrace.configs.errors import one_line

KEY = "retrace"  # of the recipe in a file's metadata
SUM = "retrace_sha256"  # of the checksum beside it: of the weights and the recipe
FORMAT = 1
SIZE = (256, 128)  # px, height and width: what person networks are trained on, where the file does not say
LARGEST = 4096  # px each way of a crop, and numbers in a vector: more is a damaged or hostile file
MOST_CLASSES = 10_000_000
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of images in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
KINDS: dict[str, Any] = {"name": str, "classes": int, "model": (dict, type(None)), "card": dict}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to know about a network.

    The defaults are of weights that say nothing about themselves: fed as torchreid trains.

    Attributes:
        name: the network's name.
        size: px, (H, W).
        mean, std: RGB, of images in [0, 1].
        classes: rows of the classifier; 0: it has none.
        model: the `reid.config.ModelConfig` as a plain dict; None: not one of ours.
        card: the protocol card of its training: data, recipe, figures.
    """

    name: str = ""
    size: tuple[int, int] = SIZE
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    classes: int = 0
    model: dict[str, Any] | None = None
    card: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, origin: object) -> Recipe:
        """What :meth:`to_json` wrote; the defaults where there is no text.

        Raises:
            InputError: anything else; the message begins with ``origin``.
        """
        if not text:
            return cls()
        try:
            raw = json.loads(text)
            if raw.pop("format") != FORMAT:
                raise ValueError(f"format is not {FORMAT}")
            height, width = (int(side) for side in raw["size"])
            mean, std = (tuple(float(value) for value in raw[key]) for key in ("mean", "std"))
            finite = all(map(math.isfinite, mean + std))
            if not finite or len(mean) != 3 or len(std) != 3 or min(height, width, *std) <= 0:
                raise ValueError("size, mean or std out of range")
            if max(height, width) > LARGEST:
                raise ValueError(f"size {height}x{width} is above {LARGEST} px")
            odd = [key for key, kind in KINDS.items() if key in raw and not isinstance(raw[key], kind)]
            if odd or not 0 <= raw.get("classes", 0) <= MOST_CLASSES:
                raise ValueError(f"{odd[0] if odd else 'classes'} is not what it should be")
            embedding = (raw.get("model") or {}).get("embedding")
            if isinstance(embedding, int) and embedding > LARGEST:
                raise ValueError(f"vectors of {embedding} numbers are above {LARGEST}")
            return cls(**{**raw, "size": (height, width), "mean": mean, "std": std})
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"{origin}: its {KEY!r} metadata is not readable: {one_line(error)}") from None
