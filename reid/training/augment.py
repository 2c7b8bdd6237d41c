"""Training images, changed at random, on whatever device trains: whole batches, no loop over images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from retrace.reid.config import AugmentConfig

ERASE_AREA = (0.02, 0.4)  # share of the image (Zhong et al. 2017, random erasing)
ERASE_ASPECT = (0.3, 1 / 0.3)  # height over width
ERASE_TRIES = 10  # rectangles drawn for an image; the first that fits counts
GREY = (0.299, 0.587, 0.114)  # RGB, ITU-R BT.601
BLUR = (0.3, 1.5)  # px at 128 px of height: the deviation of the Gaussian
COARSE = (1.5, 4.0)  # pixels of the image to one that was seen
BESIDE = (0.45, 0.8)  # of the width (height): how far somebody in front stands aside (lower)


def augment(
    pixels: torch.Tensor,
    config: AugmentConfig,
    mean: torch.Tensor,
    std: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Flip, shift, cover, move the box, blur, change colours, normalise, erase.

    Args:
        pixels: (B, H, W, 3) uint8 BGR, on the device.
        mean, std: (3,) float32 RGB of images in [0, 1], on the device.
        generator: of the CPU; all that is random comes from it, so devices agree.

    Returns:
        (B, 3, H, W) float32 normalised RGB, channels last in memory.
    """
    pixels = _move(pixels, config, generator)
    pixels = _occlude(pixels, config, generator) if config.occlude else pixels
    images = pixels.permute(0, 3, 1, 2).flip(1).float().div_(255)
    images = _see(images, config, generator) if config.box or config.blur or config.coarse else images
    before = images
    images = _recolour(images, config, generator)
    images = _tint(images, config, generator) if config.hue or config.swap or config.gamma else images
    if config.recolour < 1:
        images = torch.where(
            _coins(len(images), config.recolour, generator, images.device) > 0, images, before
        )
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
    if not pad:
        return torch.where(mirrored.to(device)[:, None, None, None], pixels.flip(2), pixels)
    y = top + torch.arange(height)
    x = torch.arange(width)
    x = left + torch.where(mirrored[:, None], x.flip(0), x)
    padded = F.pad(pixels, (0, 0, pad, pad, pad, pad))
    image = torch.arange(count, device=device)[:, None, None]
    return padded[image, y.to(device)[:, :, None], x.to(device)[:, None, :]]


def _occlude(pixels: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Somebody else's crop in front of some images: beside the person, or lower, as if nearer to the camera.

    The other one is half a batch away, so another person: images of an identity are side by side.
    """
    count, height, width, _ = pixels.shape
    chosen = torch.rand(count, generator=generator) < config.occlude
    lower, side, far, across = torch.rand(4, count, generator=generator)
    far = BESIDE[0] + far * (BESIDE[1] - BESIDE[0])
    down = torch.where(lower < 0.5, far, 0.25 * across)
    aside = torch.where(lower < 0.5, 0.3 * across, far) * (1 - 2 * (side < 0.5).float())
    image = chosen.nonzero()[:, 0]
    other = (image + count // 2) % max(count, 1)
    y = torch.arange(height) - (down * height).round().long()[image, None]
    x = torch.arange(width) - (aside * width).round().long()[image, None]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    other, y, x, inside, image = (v.to(pixels.device) for v in (other, y, x, inside, image))
    front = pixels[
        other[:, None, None], y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]
    ]
    covered = pixels.clone()
    covered[image] = torch.where(inside[..., None], front, pixels[image])
    return covered


def _see(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Another box, out of focus, with fewer pixels: each is a linear map of rows and one of columns.

    Args:
        images: (B, 3, H, W) float32, channels last in memory; so is the answer.
    """
    count, _, height, width = images.shape
    near, far = config.box * (2 * torch.rand(2, 2, count, generator=generator) - 1)
    blurred, deviation, coarse, stride = torch.rand(4, count, generator=generator)
    deviation = (BLUR[0] + deviation * (BLUR[1] - BLUR[0])) * (blurred < config.blur)
    stride = torch.where(coarse < config.coarse, COARSE[0] + stride * (COARSE[1] - COARSE[0]), 1)
    device = images.device
    scale = height / 128
    rows, columns = (
        _line(
            side, near[axis].to(device), far[axis].to(device), scale * deviation.to(device), stride.to(device)
        )
        for axis, side in enumerate((height, width))
    )
    lines = images.permute(0, 2, 1, 3).reshape(count, height, 3 * width)
    lines = torch.bmm(rows, lines).view(count, height * 3, width)
    seen = torch.bmm(lines, columns.transpose(1, 2)).view(count, height, 3, width)
    return seen.permute(0, 2, 1, 3).contiguous(memory_format=torch.channels_last)


def _line(
    side: int, near: torch.Tensor, far: torch.Tensor, deviation: torch.Tensor, stride: torch.Tensor
) -> torch.Tensor:
    """What :func:`_see` does along one axis, as (B, side, side) matrices that map old pixels to new ones.

    Args:
        near, far: (B,) shares of the side by which the box's edges move towards higher coordinates.
        deviation: (B,) px of the Gaussian; 0: none.
        stride: (B,) pixels to one that was seen; 1: all were.
    """
    place = torch.arange(side, device=near.device, dtype=torch.float32)
    centres = near[:, None] * side + (place + 0.5) * (1 + far - near)[:, None] - 0.5
    found = _between(centres.clamp(0, side - 1), place)  # outside the image its border goes on
    chosen = (deviation > 0).nonzero()[:, 0]
    weights = (-(place[:, None] - place).square() / (2 * deviation[chosen, None, None].square())).exp()
    found[chosen] = torch.bmm(weights / weights.sum(2, keepdim=True), found[chosen])
    chosen = (stride > 1).nonzero()[:, 0]
    kept = (side / stride[chosen]).round().clamp_min(1)[:, None, None]
    left, right = place[:, None] * side / kept, (place[:, None] + 1) * side / kept
    area = (torch.minimum(right, place + 1) - torch.maximum(left, place)).clamp_min(0) * kept / side
    centres = ((place + 0.5) * kept[:, 0] / side - 0.5).clamp_min(0).minimum(kept[:, 0] - 1)
    found[chosen] = torch.bmm(_between(centres, place), torch.bmm(area, found[chosen]))
    return found


def _between(centres: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """(B, n) positions -> (B, n, n) weights of linear interpolation between whole positions."""
    return (1 - (centres[:, :, None] - place).abs()).clamp_min_(0)


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


def _tint(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Turn the colour circle about the grey axis, swap channels, then values to a power."""
    count, _, height, width = images.shape
    turn, swapped, power = torch.rand(3, count, generator=generator)
    order = torch.rand(count, 3, generator=generator).argsort(1)
    order[swapped >= config.swap] = torch.arange(3)
    if config.hue or config.swap:
        mix = torch.eye(3)[order] @ _hue_matrices(2 * torch.pi * config.hue * (2 * turn - 1))
        colours = images.permute(0, 2, 3, 1).reshape(count, height * width, 3)
        colours = torch.bmm(colours, mix.transpose(1, 2).to(images.device)).clamp_(0, 1)
        images = colours.view(count, height, width, 3).permute(0, 3, 1, 2)
    if config.gamma:
        images = images.pow(((2 * power - 1) * config.gamma).exp().to(images.device)[:, None, None, None])
    return images


def _hue_matrices(angles: torch.Tensor) -> torch.Tensor:
    """(B,) radians -> (B, 3, 3) rotations of RGB about the grey axis (Rodrigues' formula)."""
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    return cosine * torch.eye(3) + sine * across + (1 - cosine) / 3


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
