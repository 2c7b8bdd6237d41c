"""Training images, changed at random, on whatever device trains: whole batches, no loop over images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from retrace.reid.config import AugmentConfig

ERASE_AREA = (0.02, 0.4)  # share of the image (Zhong et al. 2017, random erasing)
ERASE_ASPECT = (0.3, 1 / 0.3)  # height over width
ERASE_TRIES = 10  # rectangles drawn for an image; the first that fits counts
GREY = (0.299, 0.587, 0.114)  # RGB, ITU-R BT.601


def augment(
    pixels: torch.Tensor,
    config: AugmentConfig,
    mean: torch.Tensor,
    std: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Flip, shift, change colours, normalise, erase.

    Args:
        pixels: (B, H, W, 3) uint8 BGR, on the device.
        mean, std: (3,) float32 RGB of images in [0, 1], on the device.
        generator: of the CPU; all that is random comes from it, so devices agree.

    Returns:
        (B, 3, H, W) float32 normalised RGB, channels last in memory.
    """
    images = _move(pixels, config, generator).permute(0, 3, 1, 2).flip(1).float().div_(255)
    images = _recolour(images, config, generator)
    images = (images - mean[:, None, None]) / std[:, None, None]
    return _erase(images, config, generator) if config.erase else images


def normalise(pixels: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) uint8 BGR -> (B, 3, H, W) float32 normalised RGB."""
    images = pixels.permute(0, 3, 1, 2).flip(1).float().div_(255)
    return (images - mean[:, None, None]) / std[:, None, None]


def _move(pixels: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Mirror, and shift by up to ``pad`` px each way; what comes in from outside is black."""
    count, height, width, _ = pixels.shape
    device, pad = pixels.device, config.pad
    mirrored = torch.rand(count, generator=generator) < config.flip
    top, left = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator)
    y = top + torch.arange(height)
    x = torch.arange(width)
    x = left + torch.where(mirrored[:, None], x.flip(0), x)
    padded = F.pad(pixels, (0, 0, pad, pad, pad, pad))
    image = torch.arange(count, device=device)[:, None, None]
    return padded[image, y.to(device)[:, :, None], x.to(device)[:, None, :]]


def _recolour(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Brightness and colour cast, contrast around the mean grey, then saturation; factors 1 +- strength."""
    strengths = (config.brightness, config.contrast, config.saturation)
    if any((*strengths, config.cast, config.grey)):
        factors = 1 + (2 * torch.rand(3, len(images), 1, 1, 1, generator=generator) - 1) * torch.tensor(
            strengths
        ).view(3, 1, 1, 1, 1)
        brightness, contrast, saturation = factors.to(images.device)
        if config.grey:
            saturation = saturation * _coins(len(images), 1 - config.grey, generator, images.device)
        if config.cast:
            cast = 1 + (2 * torch.rand(len(images), 3, 1, 1, generator=generator) - 1) * config.cast
            brightness = brightness * cast.to(images.device)
        images = images * brightness
        mean_grey = _grey(images).mean((2, 3), keepdim=True)
        images = mean_grey + (images - mean_grey) * contrast
        grey = _grey(images)
        images = (grey + (images - grey) * saturation).clamp_(0, 1)
    return _shrink(images, config, generator) if config.shrink else images


def _shrink(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Some images as if seen from twice as far: half the size and back."""
    small = F.interpolate(images, scale_factor=0.5, mode="area")
    afar = F.interpolate(small, size=images.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(_coins(len(images), config.shrink, generator, images.device) > 0, afar, images)


def _coins(count: int, share: float, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """(B, 1, 1, 1) float32, 1 for about ``share`` of the images, else 0."""
    return (torch.rand(count, 1, 1, 1, generator=generator) < share).float().to(device)


def _grey(images: torch.Tensor) -> torch.Tensor:
    red, green, blue = images.unbind(1)
    return (GREY[0] * red + GREY[1] * green + GREY[2] * blue)[:, None]


def _erase(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Set a rectangle of some images to the mean colour (0 once normalised)."""
    count, _, height, width = images.shape
    chosen = torch.rand(count, generator=generator) < config.erase
    area, aspect, top, left = torch.rand(4, count, ERASE_TRIES, generator=generator)
    area = (ERASE_AREA[0] + area * (ERASE_AREA[1] - ERASE_AREA[0])) * height * width
    aspect = ERASE_ASPECT[0] + aspect * (ERASE_ASPECT[1] - ERASE_ASPECT[0])
    tall, wide = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(1, keepdim=True)
    chosen &= fits.any(1)
    tall, wide, top, left = (v.gather(1, first) for v in (tall, wide, top, left))
    top, left = (top * (height - tall + 1)).floor(), (left * (width - wide + 1)).floor()
    y, x = torch.arange(height), torch.arange(width)
    rows = (y >= top) & (y < top + tall) & chosen[:, None]
    columns = (x >= left) & (x < left + wide)
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(hole.to(images.device), 0)
