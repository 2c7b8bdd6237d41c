"""The batched 2x2 filters against a textbook 8-state filter, one track at a time."""

import numpy as np
import pytest

from retrace.tracker import Detections, Tracker
from retrace.tracker.motion import filters
from retrace.tracker.motion.filters import VV, XV, XX, V, X
from retrace.tracker.motion.models import MODELS
from tests.tracker.textbook import Textbook, boxes

FILTERS = [kind for kind in MODELS if kind != "linear"]  # which knows no uncertainty


def assert_same(some, books, diagonal_only=False):
    mean = np.concatenate((some[X], some[V]), axis=1)
    assert np.allclose(mean, [b.mean for b in books], rtol=1e-9, atol=1e-9)
    cov = np.array([b.cov for b in books])
    i = np.arange(4)
    for part, (row, col) in {XX: (i, i), XV: (i, i + 4), VV: (i + 4, i + 4)}.items():
        assert np.allclose(some[part], cov[:, row, col], rtol=1e-9, atol=1e-12)
    if not diagonal_only:  # nothing is coupled that we do not keep
        cov[:, i, i] = cov[:, i, i + 4] = cov[:, i + 4, i] = cov[:, i + 4, i + 4] = 0
        assert np.allclose(cov, 0)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("steps", [1.0, 0.4, 3.0])
def test_equals_the_textbook_filter(kind, steps):
    rng = np.random.default_rng(3)
    model = MODELS[kind]
    first = boxes(rng, 6)
    z = model.from_xyxy(first)
    some = filters.initiate(model, z)
    books = [Textbook(kind, row) for row in z]
    for _ in range(12):
        filters.predict(model, some, steps)
        [b.predict(steps) for b in books]
        rows = np.flatnonzero(rng.random(6) < 0.7)
        seen = model.from_xyxy(first[rows] + rng.normal(0, 3, (len(rows), 4)))
        doubt = rng.random(len(rows)) if rng.random() < 0.5 else None
        filters.update(model, some, rows, seen, doubt)
        scale = np.ones(len(rows)) if doubt is None else doubt
        [books[r].update(s, d) for r, s, d in zip(rows, seen, scale, strict=True)]
        assert_same(some, books)


@pytest.mark.parametrize("kind", MODELS)
def test_warp_without_rotation_equals_the_textbook_filter(kind):
    rng = np.random.default_rng(5)
    model = MODELS[kind]
    z = model.from_xyxy(boxes(rng, 4))
    some, books = filters.initiate(model, z), [Textbook(kind, row) for row in z]
    for _ in range(3):
        filters.predict(model, some)
        [b.predict() for b in books]
        matrix = np.array([[1.05, 0, 4.0], [0, 1.05, -2.0]])
        filters.warp(model, some, matrix)
        [b.warp(matrix, model.power) for b in books]
        assert_same(some, books)


@pytest.mark.parametrize("kind", MODELS)
def test_warp_with_rotation_drops_only_the_coupling(kind):
    angle = np.deg2rad(7)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate((turn, [[3.0], [5.0]]), axis=1)
    model = MODELS[kind]
    z = model.from_xyxy(boxes(np.random.default_rng(1), 5))
    some, books = filters.initiate(model, z), [Textbook(kind, row) for row in z]
    filters.predict(model, some)
    [b.predict() for b in books]
    filters.warp(model, some, matrix)
    variance = [np.diag(b.cov)[:2] for b in books]
    [b.warp(matrix, model.power) for b in books]
    assert_same(some, books, diagonal_only=True)
    for book, (vx, vy) in zip(books, variance, strict=True):  # what is dropped, by the docstring's formula
        assert np.isclose(book.cov[0, 1], np.sin(2 * angle) / 2 * (vx - vy))


@pytest.mark.parametrize("kind", MODELS)
def test_sizes_never_vanish(kind):
    model = MODELS[kind]
    some = filters.initiate(model, model.from_xyxy(np.array([[0.0, 0, 10, 20]])))
    some[V, :, 2:] = -1000
    filters.predict(model, some)
    box = model.to_xyxy(some[X])
    assert (box[:, 2:] > box[:, :2]).all()
    assert (some[V, :, 2:] == 0).all()


def test_one_pixel_a_step_by_hand():
    """Variances of the xywh model for a 20 x 40 box: start (2, 4)^2, speed (1.25, 2.5)^2, process (1, 2)^2."""
    model = MODELS["xywh"]
    some = filters.initiate(model, np.array([[0.0, 0, 20, 40]]))
    assert np.allclose(some[XX, 0], [4, 16, 4, 16])
    filters.predict(model, some)
    assert np.allclose(some[XX, 0, 0], 4 + 1.25**2 + 1)  # P_x + P_v + Q
    assert np.allclose(some[XV, 0, 0], 1.25**2)
    filters.update(model, some, np.array([0]), np.array([[3.0, 0, 20, 40]]))
    gain = 6.5625 / (6.5625 + 1)  # measurement noise 1
    assert np.allclose(some[X, 0, 0], 3 * gain)
    assert np.allclose(some[XX, 0, 0], 6.5625 * (1 - gain))


def test_a_sure_detection_corrects_fully():
    """NSA: R times (1 - score); at score 1 the track stands where the detection is, and goes on working."""
    model = MODELS["xywh"]
    some = filters.initiate(model, np.array([[0.0, 0, 20, 40]]))
    for x in (3.0, 6.0):
        filters.predict(model, some)
        filters.update(model, some, np.array([0]), np.array([[x, 0, 20, 40]]), np.array([0.0], np.float32))
        assert np.allclose(some[X, 0], [x, 0, 20, 40])
        assert np.allclose(some[XX, 0], 0, atol=1e-12)
    filters.predict(model, some)
    assert some[X, 0, 0] > 7


def test_distance_by_hand():
    """xywh, 20 x 40 at rest: variance of x, w 4 + noise 1 = 5, of y, h 16 + 4 = 20."""
    model = MODELS["xywh"]
    some = filters.initiate(model, np.array([[0.0, 0, 20, 40], [100, 0, 20, 40]]))
    z = np.array([[5.0, 10, 30, 50], [100, 0, 20, 40]])
    found = filters.distance(model, some, np.array([0, 1]), z, 2)
    assert np.allclose(found, [25 / 5 + 100 / 20, 0])
    found = filters.distance(model, some, np.array([0, 1]), z, 4)
    assert np.allclose(found, [25 / 5 + 100 / 20 + 100 / 5 + 100 / 20, 0])
    own = 25 / 4 + 100 / 16 + 100 / 4 + 100 / 16  # without the noise
    assert np.allclose(filters.own_distance(some, np.array([0, 1]), z), [own, 0])
    row, col, squared = filters.nearby(some, z, 43.76)
    assert (row.tolist(), col.tolist()) == ([0, 1], [0, 1])
    assert np.allclose(squared, [own, 0])
    assert filters.nearby(some, z, 43.74)[0].tolist() == [1]
    assert all(len(part) == 0 for part in filters.nearby(some, z[:0], 13.0))


@pytest.mark.parametrize("kind", FILTERS)
def test_distance_equals_the_textbook(kind):
    rng, model = np.random.default_rng(4), MODELS[kind]
    first = model.from_xyxy(boxes(rng, 5))
    some, books = filters.initiate(model, first), [Textbook(kind, row) for row in first]
    z = model.from_xyxy(boxes(rng, 3))
    filters.predict(model, some)
    expected, own = np.zeros((5, 3)), np.zeros((5, 3))
    for a, book in enumerate(books):
        book.predict()
        p = book.cov[:4, :4]
        s = p + np.diag(np.square(book.measurement(book.mean[:4])))
        for b, row in enumerate(z):
            off = row - book.mean[:4]
            expected[a, b], own[a, b] = off @ np.linalg.inv(s) @ off, off @ np.linalg.inv(p) @ off
    limit = np.median(own)
    row, col, squared = filters.nearby(some, z, limit * (1 + 1e-9))
    assert list(zip(row, col, strict=True)) == list(zip(*(own <= limit).nonzero(), strict=True))
    assert np.allclose(squared, own[row, col])
    row, col = np.indices((5, 3)).reshape(2, -1)
    assert np.allclose(filters.distance(model, some, row, z[col], 4), expected.ravel())


def test_reupdate_stands_between_as_if_it_had_been_seen():
    """Gaps of 3 and 1 steps: two virtual detections a third of the way each, none; both end predicted to now."""
    model = MODELS["sort"]
    last = np.array([[0.0, 0, 20, 40], [100, 0, 120, 40]])
    found = np.array([[30.0, 0, 50, 40], [105, 0, 125, 40]])
    some = filters.initiate(model, model.from_xyxy(last))
    books = [Textbook("sort", row) for row in model.from_xyxy(last)]
    filters.reupdate(model, some, last, found, np.array([3, 1]))
    for x in (10, 20):
        books[0].predict()
        books[0].update(model.from_xyxy(np.array([[x, 0.0, x + 20, 40]]))[0])
    [book.predict() for book in books]
    assert_same(some, books)
    assert some[V, 0, 0] == pytest.approx(10, rel=0.1), "the speed of the line, learnt"
    filters.reupdate(model, some[:, :0], last[:0], found[:0], np.zeros(0, np.int64))


def test_reupdate_is_for_who_was_lost():
    """Frames three steps apart: nobody was missed, so nothing is reupdated. A miss, and it is."""
    for reupdate in (False, True):
        tracker = Tracker.from_config("ocsort", reupdate=reupdate)
        slow = Tracker.from_config("ocsort", reupdate=False)
        for k in range(4):
            frame = Detections([[4 * k, 0, 4 * k + 40, 80]], [0.9])
            tracker.update(frame, k * 0.1)
            slow.update(frame, k * 0.1)
        assert np.array_equal(tracker._live.filters, slow._live.filters)
        for engine in (tracker, slow):
            engine.update(Detections.empty(), 0.4)
            engine.update(Detections([[30, 0, 70, 80]], [0.9]), 0.5)
        assert np.array_equal(tracker._live.filters, slow._live.filters) != reupdate


def test_a_long_stall_is_not_reupdated_step_by_step(monkeypatch):
    """A stream that hangs for a day must not be replayed frame by frame."""
    monkeypatch.setattr(filters, "reupdate", lambda *a: pytest.fail("reupdated"))
    tracker = Tracker.from_config("ocsort")
    for time in (0.0, 0.1, 86400.0):
        assert tracker.update(Detections([[0, 0, 40, 80]], [0.9]), time).id.tolist() == [1]
    tracker.update(Detections.empty(), 86400.1)
    assert len(tracker.update(Detections([[0, 0, 40, 80]], [0.9]), 2 * 86400.0)) == 0, "forgotten: max_age"


def test_follow_is_the_mean_speed_of_the_last_boxes_by_hand():
    """Steps of 1 and 2 between three boxes: speeds 4 and 3, mean 3.5; with one box none."""
    some = filters.initiate(MODELS["linear"], np.tile([0.0, 0, 20, 40], (2, 1)))
    past = np.tile([0.0, 0, 20, 40], (2, 3, 1))
    past[0, :, 0] = 10, 6, 0
    gap = np.array([[1.0, 2.0], [np.nan, np.nan]])
    filters.follow(some, np.array([1, 0]), past[:, 0], past, gap)
    assert some[X, 1].tolist() == [10, 0, 20, 40]
    assert some[V, 1].tolist() == [3.5, 0, 0, 0]
    assert some[V, 0].tolist() == [0, 0, 0, 0]
    filters.predict(MODELS["linear"], some, 2.0)
    assert some[X, 1].tolist() == [17, 0, 20, 40]
    assert not some[XX:].any()


def test_warped_boxes_by_hand():
    """Twice as large and shifted: the centre (10, 20) lands on (25, 37), the size doubles."""
    matrix = np.array([[2.0, 0, 5], [0, 2, -3]])
    assert filters.warp_boxes(np.array([[0.0, 0, 20, 40]]), matrix).tolist() == [[5, -3, 45, 77]]
    quarter = np.array([[0.0, -1, 0], [1, 0, 0]])  # turned: the centre moves, the box stays upright
    assert np.allclose(filters.warp_boxes(np.array([[0.0, 0, 20, 40]]), quarter), [[-30, -10, -10, 30]])
    deep = filters.warp_boxes(np.tile([0.0, 0, 20, 40], (3, 2, 1)), matrix)
    assert deep.shape == (3, 2, 4)


@pytest.mark.parametrize("kind", MODELS)
def test_filters_and_boxes_go_through_a_warp_alike(kind):
    model, first = MODELS[kind], boxes(np.random.default_rng(7), 4)
    angle = np.deg2rad(20)
    turn = 1.3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate((turn, [[3.0], [5.0]]), axis=1)
    some = filters.initiate(model, model.from_xyxy(first))
    filters.warp(model, some, matrix)
    assert np.allclose(model.to_xyxy(some[X]), filters.warp_boxes(first, matrix))
