"""How crops become numbers, and how a caller says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe
from retrace.reid.runtime.feed import NOTHING, ONE, Feed, Guess, normalise, settle

CROP = np.array([[[[0, 51, 255]]]], np.uint8)  # blue 0, green 51, red 255


@pytest.mark.parametrize(
    ("feed", "want"),
    [
        (Feed((0.5, 0.25, 0.0), (0.5, 0.25, 1.0)), [(1 - 0.5) / 0.5, (0.2 - 0.25) / 0.25, 0.0]),
        (Feed(NOTHING, ONE, 255.0), [255, 51, 0]),
        (Feed(NOTHING, ONE, 255.0, "bgr"), [0, 51, 255]),
        (Feed((1.0, 51.0, 5.0), (2.0, 1.0, 10.0), 255.0, "bgr"), [-0.5, 0, 25]),
    ],
)
def test_range_mean_deviation_and_order(feed: Feed, want: list[float]) -> None:
    found = normalise(CROP, feed)
    assert found.shape == (1, 3, 1, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, :, 0, 0], want, atol=1e-5)
    flat = Feed(feed.mean, feed.std, feed.range, feed.colour, "nhwc")
    np.testing.assert_array_equal(normalise(CROP, flat), found.transpose(0, 2, 3, 1))


def test_torch_feeds_like_numpy() -> None:
    torch = pytest.importorskip("torch")
    from retrace.reid.runtime.torch_runtime import TorchRun

    crops = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    for feed in (
        Feed(),
        Feed((1.0, 51.0, 5.0), (2.0, 1.0, 10.0), 255.0, "bgr"),
        Feed(NOTHING, ONE, 1.0, "rgb", "nhwc"),
    ):
        mean, std = (torch.tensor(values) for values in (feed.mean, feed.std))
        run = TorchRun(torch.nn.Identity(), torch.device("cpu"), feed, mean, std, torch.float32, None)
        np.testing.assert_allclose(run(crops), normalise(crops, feed), atol=1e-4)


GUESS = Guess(Feed(NOTHING, ONE, 255.0, "bgr", "nhwc"), "made up")
OWN = Recipe(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))


@pytest.mark.parametrize("wish", [None, "auto"])
def test_left_alone_the_file_decides(wish: Any) -> None:
    assert settle(wish, OWN, None) == (Feed(OWN.mean, OWN.std), "")
    assert settle(wish, Recipe(), GUESS) == (GUESS.feed, "input BGR 0..255, as it is, NHWC (made up)")


@pytest.mark.parametrize(
    ("wish", "want"),
    [
        ("raw", Feed(NOTHING, ONE, 255.0)),
        ("imagenet", Feed()),
        ("unit,colour=BGR", Feed(NOTHING, ONE, 1.0, "bgr")),
        (" range=255 , mean=123.7/116.3/103.5,std=58", Feed((123.7, 116.3, 103.5), (58.0,) * 3, 255.0, "bgr", "nhwc")),
        # What is not said stays as guessed; a new range begins without mean and deviation.
        ("layout=nchw", Feed(NOTHING, ONE, 255.0, "bgr", "nchw")),
        ({"range": 1}, Feed(NOTHING, ONE, 1.0, "bgr", "nhwc")),
        ({"mean": [1, 2, 3], "colour": "rgb"}, Feed((1.0, 2.0, 3.0), ONE, 255.0, "rgb", "nhwc")),
        (Feed(IMAGENET_MEAN, IMAGENET_STD), Feed()),
    ],
)  # fmt: skip
def test_said_wins(wish: Any, want: Feed) -> None:
    feed, words = settle(wish, Recipe(), GUESS)
    assert feed == want
    assert words.endswith("(as told)")


def test_a_range_alone_starts_ours_without_mean_and_deviation() -> None:
    assert settle("range=255", OWN, None)[0] == Feed(NOTHING, ONE, 255.0)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("rwa", "did you mean 'raw'"),
        ("raw,color=bgr", "did you mean 'colour'"),
        ("raw,unit", "'unit' is not known"),
        ("range=2", "range must be 1 or 255"),
        ("mean=1/2", "mean must be 3 number"),
        ("mean=a", "mean must be 3 number"),
        ("std=1/0/1", "std must be above 0"),
        ("std=nan", "std must be 3 number"),
        ("colour=yuv", "colour must be rgb or bgr"),
        ("layout=hwc", "layout must be nchw or nhwc"),
        ({"gamma": 1}, "unknown key 'gamma'"),
        (7, "`input` must be text, a mapping or a Feed, got int"),
        (Feed(colour="x"), "colour must be"),
        ("", "is not known"),
        ("x" * 10_000, "is not known"),
    ],
)
def test_mistakes_are_named(wish: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        settle(wish, Recipe(), GUESS)
    assert len(str(error.value)) <= 500
