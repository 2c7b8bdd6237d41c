"""A heat map of feet as a picture: where people were, and for how long, over one frame of the source."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from retrace.configs.files import atomic_write, writing
from retrace.tracker.analytics import HeatMap
from retrace.tracker.outputs.draw import BLANK, FONT

SPREAD = 1.0  # cells, deviation of the smoothing: feet are known to about a cell
TOP = 99.8  # percentile of the cells that anybody stood in which gets the strongest colour
STRONGEST = 0.85  # share of the colour where most time was spent
DIM = 0.55  # of the picture's brightness, so that the colours stand out
BAR = 160  # px, length of the scale


def heat_picture(heat: HeatMap, size: tuple[int, int], image: np.ndarray | None = None) -> np.ndarray:
    """(H, W, 3) uint8 BGR: dark blue where somebody was for a moment, yellow where most time was spent.

    Args:
        heat: person-seconds a cell.
        size: (height, width) px of the picture, where there is no image.
        image: (H, W, 3) uint8 BGR, what lies under it; None: grey.
    """
    ground = np.full((*size, 3), BLANK, np.uint8) if image is None else image
    height, width = ground.shape[:2]
    grey = cv2.cvtColor(cv2.cvtColor(ground, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) * (
        1.0 if image is None else DIM
    )
    soft = cv2.GaussianBlur(heat.seconds, (0, 0), SPREAD)
    stood = soft[soft > 1e-3]
    top = float(np.percentile(stood, TOP)) if len(stood) else 1.0
    across, down = round(heat.seconds.shape[1] * heat.cell), round(heat.seconds.shape[0] * heat.cell)
    share = cv2.resize(np.sqrt(np.clip(soft / top, 0, 1)), (across, down), interpolation=cv2.INTER_CUBIC)
    share = np.clip(
        cv2.copyMakeBorder(share, 0, max(0, height - down), 0, max(0, width - across), cv2.BORDER_REPLICATE),
        0,
        1,
    )[:height, :width]
    colour = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_INFERNO)
    alpha = (STRONGEST * np.clip(4 * share, 0, 1))[..., None]
    made = np.rint(grey * (1 - alpha) + colour * alpha).astype(np.uint8)
    _scale(made, top, heat.cell)
    return made


def write_heat(
    path: str | Path, heat: HeatMap, size: tuple[int, int], image: np.ndarray | None = None
) -> Path:
    """:func:`heat_picture` as a PNG.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    with writing(path), atomic_write(path, "wb") as file:
        file.write(cv2.imencode(".png", heat_picture(heat, size, image))[1].tobytes())
    return path


def _scale(canvas: np.ndarray, top: float, cell: float) -> None:
    """What the colours mean, in the lower left corner: the root of the time, as they are."""
    height, width = canvas.shape[:2]
    if height < 60 or width < 2 * BAR:
        return
    ramp = np.linspace(0, 255, BAR).astype(np.uint8)[None].repeat(8, 0)
    x, y = 10, height - 18
    canvas[y - 24 : height - 4, x - 6 : x + BAR + 150] //= 4
    canvas[y : y + 8, x : x + BAR] = cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)
    white = (255, 255, 255)
    cv2.putText(canvas, "0", (x, y - 6), FONT, 0.42, white, 1, cv2.LINE_AA)
    text = f"{top:.3g} s in {cell:g} x {cell:g} px"
    cv2.putText(canvas, text, (x + BAR - 24, y - 6), FONT, 0.42, white, 1, cv2.LINE_AA)
