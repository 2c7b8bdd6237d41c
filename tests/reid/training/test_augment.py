"""Augmentation of whole batches, against one image at a time in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from retrace.reid.config import AugmentConfig  # noqa: E402
from retrace.reid.training.augment import ERASE_AREA, ERASE_ASPECT, ERASE_TRIES, GREY, augment, normalise  # noqa: E402

MEAN, STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
ZERO, ONE = torch.zeros(3), torch.ones(3)
NOTHING = {"flip": 0.0, "pad": 0}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 8, height: int = 24, width: int = 16, low: int = 0, high: int = 256) -> torch.Tensor:
    return torch.randint(low, high, (count, height, width, 3), generator=generator(9)).to(torch.uint8)


def plain(pixels: torch.Tensor, seed: int = 0, **settings: float) -> np.ndarray:
    """Augmented, but not normalised, RGB (B, H, W, 3)."""
    config = AugmentConfig(**(NOTHING | settings))
    return augment(pixels, config, ZERO, ONE, generator(seed)).permute(0, 2, 3, 1).numpy()


def rgb(pixels: torch.Tensor) -> np.ndarray:
    """(B, H, W, 3) float32 RGB in [0, 1]."""
    return pixels.numpy()[..., ::-1].astype(np.float32) / 255


def slow(pixels: torch.Tensor, config: AugmentConfig, seed: int) -> np.ndarray:
    """What augment does, an image at a time. The order of the draws is pinned: a run that goes on needs it."""
    draw, count = generator(seed), len(pixels)
    _, height, width, _ = pixels.shape
    mirrored = torch.rand(count, generator=draw).numpy() < config.flip
    shifts = torch.randint(0, 2 * config.pad + 1, (2, count, 1), generator=draw).numpy()
    strengths = (config.brightness, config.contrast, config.saturation)
    factors = None
    if any(strengths):
        uniform = 2 * torch.rand(3, count, 1, 1, 1, generator=draw).numpy().reshape(3, count) - 1
        factors = 1 + uniform * np.array(strengths)[:, None]
    if config.erase:
        erased = torch.rand(count, generator=draw).numpy() < config.erase
        tries = torch.rand(4, count, ERASE_TRIES, generator=draw).numpy()
    out = []
    for i, image in enumerate(rgb(pixels)):
        framed = np.zeros((height + 2 * config.pad, width + 2 * config.pad, 3), np.float32)
        framed[config.pad : config.pad + height, config.pad : config.pad + width] = image
        top, left = shifts[:, i, 0]
        image = framed[top : top + height, left : left + width]
        image = image[:, ::-1] if mirrored[i] else image
        if factors is not None:
            brightness, contrast, saturation = factors[:, i]
            image = image * brightness
            mean = (image @ GREY).mean()
            image = mean + (image - mean) * contrast
            grey = (image @ GREY)[..., None]
            image = np.clip(grey + (image - grey) * saturation, 0, 1)
        image = (image - MEAN.numpy()) / STD.numpy()
        if config.erase and erased[i]:
            for share, shape, down, right in tries[:, i].T:
                area = (ERASE_AREA[0] + share * (ERASE_AREA[1] - ERASE_AREA[0])) * height * width
                aspect = ERASE_ASPECT[0] + shape * (ERASE_ASPECT[1] - ERASE_ASPECT[0])
                tall, wide = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
                if tall < height and wide < width:
                    y, x = int(down * (height - tall + 1)), int(right * (width - wide + 1))
                    image[y : y + tall, x : x + wide] = 0
                    break
        out.append(image)
    return np.array(out)


@pytest.mark.parametrize("shape", [(24, 16), (16, 40), (17, 17)])
@pytest.mark.parametrize(
    "settings",
    [
        NOTHING,
        {"flip": 0.5, "pad": 0},
        {"flip": 0.5, "pad": 5},
        NOTHING | {"brightness": 0.5},
        NOTHING | {"contrast": 1.0},
        NOTHING | {"saturation": 0.7},
        NOTHING | {"erase": 0.6},
        {"flip": 0.5, "pad": 3, "brightness": 0.2, "contrast": 0.15, "saturation": 0.2, "erase": 0.5},
    ],
    ids=lambda s: "+".join(k for k, v in s.items() if v) or "nothing",
)
def test_a_batch_is_what_one_image_at_a_time_gives(
    shape: tuple[int, int], settings: dict[str, float]
) -> None:
    config, pixels = AugmentConfig(**settings), noise(12, *shape)
    for seed in (1, 2):
        got = augment(pixels, config, MEAN, STD, generator(seed)).permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(got, slow(pixels, config, seed), atol=2e-5)


def test_values_are_normalised_rgb() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(1, 16, 16, 1)  # blue 0, green 0.2, red 1
    want = [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225]
    for images in (
        normalise(pixels, MEAN, STD),
        augment(pixels, AugmentConfig(**NOTHING), MEAN, STD, generator()),
    ):
        assert images.shape == (1, 3, 16, 16)
        assert images.dtype == torch.float32
        assert images[0, :, 5, 7].tolist() == pytest.approx(want, abs=1e-6)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_every_shift_and_both_sides_come_up_and_nothing_else() -> None:
    pixels = noise(1).expand(400, -1, -1, -1)
    framed = np.pad(rgb(pixels[:1])[0], ((2, 2), (2, 2), (0, 0)))
    known = {}
    for top in range(5):
        for left in range(5):
            crop = framed[top : top + 24, left : left + 16]
            known[crop.tobytes()] = (top, left, False)
            known[np.ascontiguousarray(crop[:, ::-1]).tobytes()] = (top, left, True)
    seen = [known[np.ascontiguousarray(image).tobytes()] for image in plain(pixels, flip=0.5, pad=2)]
    assert len(set(seen)) == 50  # 400 draws of 50 outcomes
    assert 160 < sum(mirrored for *_, mirrored in seen) < 240  # 4 standard deviations


@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
def test_a_factor_is_within_its_strength(kind: str) -> None:
    """The factor of each image, found back by least squares: the whole interval 1 +- 0.3 and nothing beyond."""
    pixels = noise(200, 16, 16, 100, 140)  # so that nothing is cut at 0 or 1
    before, after = rgb(pixels), plain(pixels, **{kind: 0.3})
    grey = before @ np.array(GREY, np.float32)
    around = {
        "brightness": 0 * before,
        "contrast": np.broadcast_to(grey.mean((1, 2))[:, None, None, None], before.shape),
        "saturation": np.broadcast_to(grey[..., None], before.shape),
    }[kind]
    x, y = before - around, after - around
    factor = (x * y).sum((1, 2, 3)) / (x * x).sum((1, 2, 3))
    np.testing.assert_allclose(y, factor[:, None, None, None] * x, atol=2e-6)
    assert 0.7 <= factor.min() + 1e-4 < 0.73
    assert 1.27 < factor.max() - 1e-4 <= 1.3


def test_colours_stay_in_range() -> None:
    images = plain(noise(), brightness=1, contrast=1, saturation=1)
    assert images.min() == 0
    assert images.max() == 1


@pytest.mark.parametrize("shape", [(64, 32), (32, 64), (16, 16), (256, 128)])
def test_erased_rectangles_are_within_bounds(shape: tuple[int, int]) -> None:
    height, width = shape
    count = 300 if height < 256 else 100
    pixels = torch.full((count, height, width, 3), 255, dtype=torch.uint8)
    holes = (augment(pixels, AugmentConfig(**NOTHING, erase=1), MEAN, STD, generator()) == 0).all(1).numpy()
    edges = set()
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        tall, wide = len(rows), len(columns)
        assert hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # one full rectangle
        assert hole.sum() == tall * wide
        assert 0 < tall < height
        assert 0 < wide < width
        # Sides are rounded, so true ones are within half a pixel.
        assert (tall + 0.5) * (wide + 0.5) >= ERASE_AREA[0] * height * width
        assert (tall - 0.5) * (wide - 0.5) <= ERASE_AREA[1] * height * width
        assert (tall - 0.5) / (wide + 0.5) <= ERASE_ASPECT[1]
        assert (tall + 0.5) / (wide - 0.5) >= ERASE_ASPECT[0]
        edges |= {("top", rows[0] == 0), ("bottom", rows[-1] == height - 1)}
        edges |= {("left", columns[0] == 0), ("right", columns[-1] == width - 1)}
    assert len(edges) == 8 or height == 256  # each edge is touched by some and left by some


def test_the_share_of_erased_images() -> None:
    pixels = torch.full((1000, 16, 16, 3), 255, dtype=torch.uint8)
    images = augment(pixels, AugmentConfig(**NOTHING, erase=0.25), MEAN, STD, generator())
    assert 190 < int((images == 0).flatten(1).any(1).sum()) < 310  # 250 +- 4.4 standard deviations


ALL = AugmentConfig(flip=0.5, pad=4, brightness=0.3, contrast=0.3, saturation=0.3, erase=0.5)


def test_a_generator_gives_the_same_bytes_and_nothing_else_is_drawn_from() -> None:
    pixels, state = noise(), torch.get_rng_state()
    one, same, other = (augment(pixels, ALL, MEAN, STD, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(pixels, noise())  # what came in is left alone


@pytest.mark.parametrize("count", [0, 1])
def test_small_batches(count: int) -> None:
    assert augment(noise(count), ALL, MEAN, STD, generator()).shape == (count, 3, 24, 16)
    assert normalise(noise(count), MEAN, STD).shape == (count, 3, 24, 16)


def test_a_border_wider_than_the_image_still_works() -> None:
    assert augment(noise(4, 16, 16), AugmentConfig(pad=40), MEAN, STD, generator()).isfinite().all()


def test_a_cast_scales_each_colour_by_itself() -> None:
    pixels = torch.full((200, 4, 4, 3), 100, dtype=torch.uint8)
    factors = plain(pixels, cast=0.2)[:, 0, 0] / (100 / 255)
    assert 0.8 <= factors.min() < 0.83
    assert 1.17 < factors.max() <= 1.2
    assert abs(np.corrcoef(factors.T) - np.eye(3)).max() < 0.3  # one factor for all would be 1


def test_the_share_of_grey_images() -> None:
    colours = plain(noise(2000, 2, 2), grey=0.3)
    grey = (np.ptp(colours, axis=3) < 1e-6).all((1, 2))
    assert grey.mean() == pytest.approx(0.3, abs=0.04)
    weights = np.array(GREY, np.float32)
    assert np.allclose(colours[grey][..., 0], (rgb(noise(2000, 2, 2)) @ weights)[grey], atol=1e-6)
    assert np.allclose(colours[~grey], rgb(noise(2000, 2, 2))[~grey], atol=1e-6)


def test_images_from_afar_lose_their_finest_pattern() -> None:
    board = torch.zeros((400, 8, 4, 3), dtype=torch.uint8)
    board[:, ::2, ::2] = board[:, 1::2, 1::2] = 255  # a chess board: its mean is one half
    seen = plain(board, shrink=0.25)
    afar = np.abs(seen - 0.5).max((1, 2, 3)) < 1e-6
    assert afar.mean() == pytest.approx(0.25, abs=0.07)
    assert np.array_equal(seen[~afar], rgb(board)[~afar])
