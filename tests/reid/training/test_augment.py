"""Augmentation of whole batches, against one image at a time in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from retrace.reid.config import AugmentConfig  # noqa: E402
from retrace.reid.training.augment import (  # noqa: E402
    BLUR,
    ERASE_AREA,
    ERASE_ASPECT,
    ERASE_TRIES,
    GREY,
    _hue_matrices,
    _line,
    augment,
    normalise,
)

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


ALL = AugmentConfig(
    flip=0.5,
    pad=4,
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    erase=0.5,
    box=0.1,
    occlude=0.3,
    blur=0.3,
    coarse=0.3,
    hue=0.1,
    gamma=0.3,
    swap=0.1,
)


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


def moved_box(image: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(H, W, 3) seen through a box whose edges (top, bottom, left, right; px) are elsewhere, pixel by pixel."""
    height, width, _ = image.shape
    top, bottom, left, right = edges
    out = np.empty_like(image)
    for i in range(height):
        for j in range(width):
            y = np.clip(top + (i + 0.5) * (bottom - top) / height - 0.5, 0, height - 1)
            x = np.clip(left + (j + 0.5) * (right - left) / width - 0.5, 0, width - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            upper = image[y0, x0] * (1 - x + x0) + image[y0, x1] * (x - x0)
            lower = image[y1, x0] * (1 - x + x0) + image[y1, x1] * (x - x0)
            out[i, j] = upper * (1 - y + y0) + lower * (y - y0)
    return out


def test_a_moved_box_is_cut_pixel_by_pixel() -> None:
    pixels = noise(6, 12, 8)
    got = plain(pixels, seed=4, box=0.3)
    draws = 0.3 * (2 * torch.rand(2, 2, 6, generator=after_the_move(6, 4)).numpy() - 1)
    for i, image in enumerate(rgb(pixels)):
        (top, left), (bottom, right) = draws[:, :, i]
        edges = np.array([12 * top, 12 * (1 + bottom), 8 * left, 8 * (1 + right)])
        np.testing.assert_allclose(got[i], moved_box(image, edges), atol=1e-5)


def after_the_move(count: int, seed: int) -> torch.Generator:
    """The generator as it is when mirroring and shifting have drawn."""
    draw = generator(seed)
    torch.rand(count, generator=draw)
    torch.randint(0, 1, (2, count, 1), generator=draw)
    return draw


def test_blur_is_a_gaussian_of_its_deviation() -> None:
    pixels = torch.zeros((60, 128, 64, 3), dtype=torch.uint8)
    pixels[:, 60, 30] = 255  # a point of light
    seen = plain(pixels, blur=0.5)[..., 0]
    np.testing.assert_allclose(seen.sum((1, 2)), 1, atol=1e-4)
    y, x = np.mgrid[:128, :64]
    across, down = ((seen * (a - at) ** 2).sum((1, 2)) for a, at in ((x, 30), (y, 60)))
    sharp = across < 1e-6
    assert 0.25 < sharp.mean() < 0.75
    np.testing.assert_allclose(across, down, atol=1e-4)
    deviations = np.sqrt(across[~sharp])
    assert BLUR[1] - 0.1 < deviations.max() < BLUR[1] + 0.01
    assert deviations.min() < BLUR[0] + 0.2
    widest = deviations.argmax()
    ratio = seen[~sharp][widest][60, 31] / seen[~sharp][widest][60, 30]
    assert ratio == pytest.approx(np.exp(-1 / (2 * deviations[widest] ** 2)), abs=0.02)


def test_coarse_images_are_means_over_larger_pixels_seen_in_between() -> None:
    """12 x 8 seen as 4 x 3, an image by itself: areas, then interpolation."""
    image = rgb(noise(1, 12, 8))[0, :, :, :1]
    edges_y, edges_x = np.arange(5) * 3.0, np.arange(4) * 8 / 3
    small = np.zeros((4, 3, 1))
    for i in range(4):
        for j in range(3):
            for y in range(12):
                for x in range(8):
                    tall = max(0, min(edges_y[i + 1], y + 1) - max(edges_y[i], y))
                    wide = max(0, min(edges_x[j + 1], x + 1) - max(edges_x[j], x))
                    small[i, j] += image[y, x] * tall * wide / (3 * 8 / 3)
    rows, columns = (
        _line(side, zero, zero, zero, torch.tensor([3.0]))[0].numpy()
        for side, zero in ((12, torch.zeros(1)), (8, torch.zeros(1)))
    )
    want = np.empty((12, 8))
    for i in range(12):
        for j in range(8):
            y, x = np.clip((i + 0.5) / 3 - 0.5, 0, 3), np.clip((j + 0.5) * 3 / 8 - 0.5, 0, 2)
            y0, x0 = int(min(y, 2)), int(min(x, 1))
            part = small[y0 : y0 + 2, x0 : x0 + 2, 0]
            want[i, j] = np.array([1 - y + y0, y - y0]) @ part @ np.array([1 - x + x0, x - x0])
    np.testing.assert_allclose(rows @ image[..., 0] @ columns.T, want, atol=1e-5)


def test_the_share_of_coarse_images_and_flat_ones_stay_flat() -> None:
    seen = plain(noise(400, 16, 16), coarse=0.3)
    changed = (np.abs(seen - rgb(noise(400, 16, 16))).max((1, 2, 3)) > 1e-4).mean()
    assert changed == pytest.approx(0.3, abs=0.08)
    flat = torch.full((20, 24, 16, 3), 77, dtype=torch.uint8)
    np.testing.assert_allclose(plain(flat, box=0.3, blur=1, coarse=1), 77 / 255, atol=1e-5)


def test_somebody_else_stands_in_front() -> None:
    """Images 0 to 3 are one person, 4 to 7 another; what covers a person is the other one, displaced."""
    pixels = noise(8, 40, 20)
    seen, before = plain(pixels, seed=2, occlude=1), rgb(pixels)
    for i in range(8):
        other = before[(i + 4) % 8]
        covered = (seen[i] != before[i]).any(2)
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        hit = seen[i][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        tall, wide = hit.shape[:2]
        left = columns[0] > 0 or wide == 20  # else the crop came in from the left: its right part is seen
        assert np.array_equal(hit, other[:tall, :wide] if left else other[:tall, -wide:])
        assert rows[-1] == 39  # down to the lower edge
        assert covered.mean() < 0.6
    assert (plain(noise(400, 8, 8), occlude=0.25) != rgb(noise(400, 8, 8))).any((1, 2, 3)).mean() == (
        pytest.approx(0.25, abs=0.07)
    )


def test_a_turn_of_the_colour_circle_keeps_grey_and_distance_from_it() -> None:
    pixels = noise(100, 4, 4, 90, 160)  # so that nothing is cut
    before, after = rgb(pixels), plain(pixels, hue=0.5)
    np.testing.assert_allclose(after.mean(3), before.mean(3), atol=1e-5)
    from_grey = [np.linalg.norm(v - v.mean(3, keepdims=True), axis=3) for v in (before, after)]
    np.testing.assert_allclose(*from_grey, atol=1e-5)
    third = _hue_matrices(torch.tensor([2 * np.pi / 3]))[0]
    np.testing.assert_allclose(third.numpy(), [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-6)  # red to green


def test_gamma_is_a_power_within_its_strength() -> None:
    pixels = torch.full((300, 4, 4, 3), 64, dtype=torch.uint8)
    power = np.log(plain(pixels, gamma=0.4)[:, 0, 0, 0]) / np.log(64 / 255)
    assert np.exp(-0.4) <= power.min() + 1e-5 < np.exp(-0.38)
    assert np.exp(0.38) < power.max() - 1e-5 <= np.exp(0.4)


def test_swapped_channels_are_a_permutation() -> None:
    before, seen = rgb(noise(600, 4, 4)), plain(noise(600, 4, 4), swap=0.6)
    np.testing.assert_allclose(np.sort(seen, 3), np.sort(before, 3), atol=1e-6)
    changed = (np.abs(seen - before) > 1e-5).any((1, 2, 3)).mean()
    assert changed == pytest.approx(0.6 * 5 / 6, abs=0.07)  # one of six orders is the one it had


def test_the_share_of_images_that_keep_their_colours() -> None:
    settings = {"brightness": 0.3, "hue": 0.1, "gamma": 0.3}
    seen = plain(noise(400, 8, 8, 100, 150), recolour=0.3, **settings)
    changed = plain(noise(400, 8, 8, 100, 150), **settings)
    kept = (seen == rgb(noise(400, 8, 8, 100, 150))).all((1, 2, 3))
    assert kept.mean() == pytest.approx(0.7, abs=0.08)
    assert np.array_equal(seen[~kept], changed[~kept])
