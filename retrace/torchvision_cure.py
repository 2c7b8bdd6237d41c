"""Makes `import torchvision` work beside a torch that its compiled operators do not fit.

The torchvision wheel of PyPI is linked against CUDA libraries. Beside a CPU-only torch its operators cannot
load, and `import torchvision` itself fails with "operator torchvision::nms does not exist". timm and
ultralytics both need that import; of the operators they need only non-maximum suppression, given here.

Where torchvision loads by itself nothing is touched. deform_conv2d and torchvision.io's JPEG stay unavailable
under it. Delete this file, and its two callers' lines, once people get wheels that fit a CPU torch.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SYMPTOM = "operator torchvision::nms does not exist"
_kept_alive: list[Any] = []  # an operator lives as long as the Library object that defined it


def cure_torchvision() -> bool:
    """Import torchvision, with its missing operators defined first where that is needed.

    Returns:
        True when the workaround is in place, False when torchvision loads by itself.

    Raises:
        ImportError: torch or torchvision is not installed.
        RuntimeError: torchvision fails for another reason than the one known here.
    """
    if _kept_alive:
        return True
    try:
        import torchvision
    except RuntimeError as error:
        if SYMPTOM not in str(error):
            raise
    else:
        return False
    import torch

    library = torch.library.Library("torchvision", "DEF")
    _kept_alive.append(library)
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    import torchvision.ops.boxes

    torchvision.ops.boxes._assert_has_ops = lambda: None
    return True


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression, as torchvision.ops.nms defines it.

    Args:
        dets: (N, 4) x1, y1, x2, y2.
        scores: (N,); of equal scores the first row wins.
        iou_threshold: a box is dropped when its IoU with a kept, better one is larger than this.

    Returns:
        (K,) int64 rows that are kept, best score first.
    """
    import torch

    order = torch.argsort(scores, descending=True, stable=True)
    boxes = dets.index_select(0, order).float()
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = torch.arange(len(boxes), device=boxes.device)  # places in `boxes` still undecided, best first
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[left, :2])
        high = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        inter = (high - low).clamp(min=0).prod(1)
        iou = inter / (area[best] + area[left] - inter)
        left = left[~(iou > iou_threshold)]  # 0/0 of two empty boxes counts as no overlap
    return order[torch.stack(kept)] if kept else order
