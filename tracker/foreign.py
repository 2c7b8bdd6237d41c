"""Results of other libraries as plain arrays, and ours as theirs. None of these libraries is imported for reading.

What every detection has beside its box (masks, keypoints, corners of turned boxes) goes into ``extras``: one array a
name, one row a detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from retrace.configs import InputError

if TYPE_CHECKING:
    import supervision

MASK_FROM = 0.5  # a pixel of a soft mask that belongs to the object, as Ultralytics and torchvision have it
Arrays = dict[str, Any]  # the arguments of `Detections`


def of_ultralytics(result: Any) -> Arrays:
    """One image's ``Results``: boxes, or turned boxes by the upright ones around them.

    Masks are brought to the image's size: (N, H, W) bool.

    Raises:
        InputError: no such object, results of several images, a result without boxes.
    """
    result = _only(result, "from_ultralytics", "Results")
    turned = getattr(result, "obb", None)
    boxes = turned if turned is not None else getattr(result, "boxes", None)
    if boxes is None:
        raise InputError(
            f"from_ultralytics: expected the Results of a model that finds boxes, got {_named(result)} without boxes"
        )
    class_id = plain(boxes.cls).astype(int)
    extras: Arrays = {}
    if turned is not None:
        extras["xyxyxyxy"] = plain(turned.xyxyxyxy)
    if getattr(result, "masks", None) is not None:
        extras["mask"] = _at_image_size(plain(result.masks.data), tuple(result.orig_shape))
    if getattr(result, "keypoints", None) is not None:
        extras["keypoints"] = plain(result.keypoints.data)
    names = getattr(result, "names", None)
    if names:
        extras["class_name"] = np.array([str(names[k]) for k in class_id], np.str_)
    return {"xyxy": plain(boxes.xyxy), "score": plain(boxes.conf), "class_id": class_id, "extras": extras}


def of_supervision(detections: Any) -> Arrays:
    """``supervision.Detections``: mask, tracker_id and ``data`` become extras; no confidence counts as 1.

    Raises:
        InputError: no such object.
    """
    if not all(hasattr(detections, name) for name in ("xyxy", "confidence", "class_id", "data")):
        raise InputError(f"from_supervision: expected supervision.Detections, got {_named(detections)}")
    n = len(detections.xyxy)
    extras: Arrays = {name: np.asarray(values) for name, values in detections.data.items()}
    for name in ("mask", "tracker_id"):
        if getattr(detections, name, None) is not None:
            extras[name] = np.asarray(getattr(detections, name))
    score = np.ones(n) if detections.confidence is None else detections.confidence
    class_id = np.zeros(n, int) if detections.class_id is None else detections.class_id
    return {"xyxy": detections.xyxy, "score": score, "class_id": class_id, "extras": extras}


def of_torchvision(output: Any) -> Arrays:
    """One image's output of a torchvision detector: a dict of tensors. Labels stay as they are (COCO: 1 is a person).

    Masks (N, 1, H, W) in [0, 1] become (N, H, W) bool.

    Raises:
        InputError: no such dict, or outputs of several images.
    """
    output = _only(output, "from_torchvision", "a dict")
    missing = [k for k in ("boxes", "scores") if not isinstance(output, Mapping) or k not in output]
    if missing:
        raise InputError(
            f"from_torchvision: expected a dict of boxes, labels and scores, got {_named(output)} without {missing[0]}"
        )
    arrays = {name: plain(values) for name, values in output.items()}
    xyxy, score = arrays.pop("boxes"), arrays.pop("scores")
    class_id = arrays.pop("labels", np.zeros(len(xyxy), int))
    if "masks" in arrays:
        soft = arrays.pop("masks")
        arrays["mask"] = (soft[:, 0] if soft.ndim == 4 else soft) >= MASK_FROM
    return {"xyxy": xyxy, "score": score, "class_id": class_id, "extras": arrays}


def as_supervision(
    ids: np.ndarray, xyxy: np.ndarray, score: np.ndarray, class_id: np.ndarray, data: Mapping[str, np.ndarray]
) -> supervision.Detections:
    """(K,) ids and their boxes as ``supervision.Detections``; ``mask`` of ``data`` becomes its mask.

    Raises:
        InputError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError:
        raise InputError("to_supervision needs the package supervision: pip install supervision") from None
    data = dict(data)
    mask = data.pop("mask", None)
    data.pop("tracker_id", None)  # of whoever tracked before us
    return supervision.Detections(
        xyxy,
        mask=mask,
        confidence=score,
        class_id=class_id.astype(int),
        tracker_id=ids.astype(int),
        data=data,
    )


def plain(value: Any) -> np.ndarray:
    """``value`` as NumPy has it; a tensor (or a list of them) leaves its graph and its device."""
    if isinstance(value, list | tuple) and any(hasattr(one, "detach") for one in value):
        return np.array([plain(one) for one in value])
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError
    return np.asarray(value)


def _at_image_size(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, h, w) masks of the network's input, letterboxed in its middle -> (N, H, W) bool of the image."""
    import cv2

    height, width = masks.shape[1:]
    if (height, width) == size:
        return masks > MASK_FROM
    gain = min(height / size[0], width / size[1])
    inner = round(size[0] * gain), round(size[1] * gain)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    cut = masks[:, top : top + inner[0], left : left + inner[1]].astype(np.float32)
    grown = [cv2.resize(mask, size[::-1], interpolation=cv2.INTER_LINEAR) > MASK_FROM for mask in cut]
    return np.array(grown, bool).reshape(len(masks), *size)


def _only(result: Any, what: str, kind: str) -> Any:
    """The result of one image; a list of one is what most models give."""
    if not isinstance(result, list | tuple):
        return result
    if len(result) != 1:
        raise InputError(
            f"{what}: expected {kind} of one image, got a list of {len(result)}; give them one by one"
        )
    return result[0]


def _named(value: object) -> str:
    return type(value).__name__
