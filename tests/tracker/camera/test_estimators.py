"""The estimators, on pictures warped by known amounts."""

import cv2
import numpy as np
import pytest

from retrace.tracker.camera.estimators import METHODS, Watch, believable, full_size, reach, view_of
from tests.tracker.camera.photographs import SIZE, error, photograph, scene, similarity

NOBODY = np.zeros((0, 4))


def estimated(method, before, after, people=NOBODY, people_now=NOBODY, side=640):
    one, two = view_of(before, people, side), view_of(after, people_now, side)
    small = METHODS[method](one, two)
    return None if small is None else full_size(small, one.grey.shape, before.shape[:2])


MOTIONS = [
    similarity(),
    similarity(0.5, 0.0),
    similarity(7, -4),
    similarity(-20, 12),
    similarity(angle=1.5),
    similarity(3, 2, angle=-2.0),
]
ZOOMS = [similarity(zoom=1.03), similarity(4, -3, angle=1.0, zoom=0.97)]


@pytest.mark.parametrize(("method", "within"), [("sparse-flow", 0.25), ("orb", 0.8), ("ecc", 0.25)])
@pytest.mark.parametrize("truth", MOTIONS)
def test_known_motion(method, within, truth):
    image = scene()
    assert error(estimated(method, image, photograph(image, truth)), truth) < within


@pytest.mark.parametrize(("method", "within"), [("sparse-flow", 0.25), ("orb", 0.8)])
@pytest.mark.parametrize("truth", ZOOMS)
def test_known_zoom(method, within, truth):
    image = scene()
    assert error(estimated(method, image, photograph(image, truth)), truth) < within


def test_ecc_knows_no_zoom():
    """Its model is Euclidean: of a zoom of 3 % the corners' 0.03 x 200 px = 6 px stay."""
    image = scene()
    found = estimated("ecc", image, photograph(image, ZOOMS[0]))
    assert np.linalg.det(found[:, :2]) == pytest.approx(1, abs=1e-4)
    assert error(found, ZOOMS[0]) > 3


@pytest.mark.parametrize("method", ["sparse-flow", "orb"])
def test_a_shrunk_picture_tells_the_motion_of_the_whole_one(method):
    """Half the size: the shift doubles, turn and zoom stay, and so does the middle that they are about."""
    size = (480, 640)
    image, truth = scene(3, size), similarity(9, -5, 1.0, 1.02, size)
    assert error(estimated(method, image, photograph(image, truth), side=320), truth, size) < 1.5


def test_half_pixels():
    """A zoom by 2 about the frame's corner maps pixel centre 0 (point 0.5) to point 1, which is centre 0.5."""
    centres = np.array([[2.0, 0, 0.5], [0, 2, 0.5]])
    assert full_size(centres, SIZE, SIZE) == pytest.approx(np.array([[2.0, 0, 0], [0, 2, 0]]))
    shifted = full_size(np.array([[1.0, 0, 3], [0, 1, -2]]), (100, 200), (300, 400))
    assert shifted == pytest.approx(np.array([[1.0, 0, 3 * 2], [0, 1, -2 * 3]]))


def test_reach():
    assert reach(similarity(3, 4), 320, 240) == pytest.approx(5)
    assert reach(similarity(zoom=1.01), 320, 240) == pytest.approx(0.01 * 200)


def with_people(image, offset, seed=9):
    """Half of the picture is covered by people that walk by ``offset`` px; returns the picture and their boxes."""
    boxes = np.array([(x, 30, x + 50, 230) for x in (20, 110, 220)], float)
    image = image.copy()
    boxes += np.array([offset, 0, offset, 0])
    for k, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        image[y1:y2, x1:x2] = scene(seed + k, (y2 - y1, x2 - x1))
    return image, boxes


@pytest.mark.parametrize("method", METHODS)
def test_people_are_looked_past(method):
    """The camera goes 3 px right, everybody walks 8 px left."""
    image, truth = scene(), similarity(-3, 0)
    before, people = with_people(image, 0)
    after, people_now = with_people(photograph(image, truth), -8)
    assert error(estimated(method, before, after, people, people_now), truth) < (
        0.8 if method == "orb" else 0.3
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [0, 128])
def test_a_uniform_picture_tells_nothing(method, level):
    blank, image = np.full((*SIZE, 3), level, np.uint8), scene()
    for before, after in ((blank, blank), (blank, image), (image, blank)):
        assert estimated(method, before, after) is None


@pytest.mark.parametrize("method", METHODS)
def test_everything_masked_tells_nothing(method):
    whole = np.array([[0.0, 0, 320, 240]])
    image = scene()
    assert estimated(method, image, image, whole, whole) is None


@pytest.mark.parametrize("method", METHODS)
def test_another_scene_tells_nothing(method):
    """ECC converges on some of these, to a turn of 6 degrees for example, at a correlation of 0.2."""
    for seed in range(5):
        assert estimated(method, scene(seed), scene(seed + 50)) is None


@pytest.mark.parametrize("method", METHODS)
def test_noise_and_a_gradient_tell_nothing_absurd(method):
    rng = np.random.default_rng(2)
    noise = [rng.integers(0, 255, (*SIZE, 3), np.uint8) for _ in range(2)]
    ramp = np.repeat(np.linspace(0, 255, SIZE[1]).astype(np.uint8)[None, :, None], SIZE[0], 0).repeat(3, 2)
    assert estimated(method, *noise) is None
    found = estimated(method, ramp, ramp)
    assert found is None or error(found, similarity()) < 0.1


def test_warps_beyond_sanity_are_refused():
    """Half the longer side of 320 px, or a zoom of 1.5, is too far from one frame to the next."""
    for sane in (
        similarity(),
        similarity(150),
        similarity(0, -150),
        similarity(angle=20),
        similarity(zoom=1.4),
    ):
        assert believable(sane, SIZE) is sane
    for mad in (similarity(170), similarity(0, -170), similarity(angle=90), similarity(zoom=1.6)):
        assert believable(mad, SIZE) is None
    assert believable(similarity(zoom=0.6), SIZE) is None
    assert believable(np.zeros((2, 3)), SIZE) is None
    assert believable(np.full((2, 3), np.nan), SIZE) is None


@pytest.mark.parametrize("method", METHODS)
def test_the_same_pictures_give_the_same_bytes(method):
    """Whatever OpenCV's global generator was used for before, and with however many threads."""
    before = scene()
    after = photograph(before, similarity(5, -3, 1.0))
    after[60:200, 100:180] = scene(5, (140, 80))  # outliers for RANSAC to draw
    threads, told = cv2.getNumThreads(), set()
    try:
        for k in range(6):
            cv2.setRNGSeed(7919 * k)
            cv2.randu(np.zeros((9, k + 1)), 0, 1)
            cv2.setNumThreads(1 + k % 2)
            told.add(estimated(method, before, after).tobytes())
    finally:
        cv2.setNumThreads(threads)
    assert len(told) == 1


def test_area_votes_not_texture():
    """A finely textured thing on a sixth of the picture goes 6 px; the coarse rest stands."""

    def picture(x):
        image = scene()
        image[80:180, x : x + 120] = np.random.default_rng(5).integers(0, 255, (100, 120, 1), np.uint8)
        return cv2.GaussianBlur(image, (0, 0), 0.7)

    found = estimated("sparse-flow", picture(100), picture(106))
    assert error(found, similarity()) < 0.5


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (5, 400), (20, 20)])
@pytest.mark.parametrize("method", METHODS)
def test_tiny_pictures(method, size):
    image = scene(0, (max(size), max(size)))[: size[0], : size[1]]
    found = estimated(method, image, image)
    assert found is None or error(found, similarity()) < 0.1
    view = view_of(image, NOBODY)
    assert len(Watch.over(image, view).xy) <= size[0] * size[1]


def test_the_mask():
    """Boxes grow by the margin of 6 px; what sticks out of the picture is cut off."""
    view = view_of(
        np.zeros((50, 60, 3), np.uint8), np.array([[10, 20, 20, 30], [-50, -50, 3, 3], [55, 45, 900, 900.0]])
    )
    expected = np.full((50, 60), 255, np.uint8)
    expected[14:37, 4:27] = expected[:10, :10] = expected[39:, 49:] = 0
    assert np.array_equal(view.free, expected)


def test_the_watch_tells_motion_and_not_light():
    image = scene()
    watch = Watch.over(image, view_of(image, NOBODY))
    assert len(watch.xy) > 100
    assert watch.motion(image) == 0
    assert watch.motion(cv2.add(image, (12, 12, 12, 0))) < 0.1
    assert 0.2 < watch.motion(photograph(image, similarity(0.4, 0.4))) < 0.8
    assert watch.motion(photograph(image, similarity(5, 2))) > 0.8


def test_the_watch_has_no_points_on_people_nor_in_the_plain():
    image = scene()
    watch = Watch.over(image, view_of(image, np.array([[100.0, 0, 200, 240]])))
    assert len(watch.xy) > 50
    assert not ((watch.xy[:, 0] > 100) & (watch.xy[:, 0] < 200)).any()
    plain = np.full((*SIZE, 3), 90, np.uint8)
    assert len(Watch.over(plain, view_of(plain, NOBODY)).xy) == 0


@pytest.mark.shared
@pytest.mark.parametrize("method", ["sparse-flow", "orb"])
def test_a_real_street_warped(shared, method):
    image = cv2.imread(str(sorted((shared / "MOT15-train/TUD-Stadtmitte/img1").glob("*.jpg"))[0]))
    size = image.shape[:2]
    for truth in (similarity(11, -6, 0.8, 1.02, size), similarity(-3, 2, -0.3, 0.99, size)):
        assert error(estimated(method, image, photograph(image, truth)), truth, size) < (
            0.5 if method != "orb" else 1.5
        )
