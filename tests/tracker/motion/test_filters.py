"""The batched 2x2 filters against a textbook 8-state filter, one track at a time."""

import numpy as np
import pytest

from retrace.tracker import Detections, Tracker
from retrace.tracker.motion import filters as motion
from retrace.tracker.motion.filters import VV, XV, XX, V, X
from retrace.tracker.motion.models import MODELS

FILTERS = [kind for kind in MODELS if kind != "linear"]  # which knows no uncertainty


def textbook(kind):
    """Standard deviations as the papers write them: (start, process, measurement) of an 8-state filter, from z."""
    if kind == "sort":  # 7 states there: the aspect has no speed
        root = np.sqrt
        return (
            lambda z: root([10, 10, 10, 10, 1e4, 1e4, 1e4, 0]),
            lambda z: root([1, 1, 1, 1, 0.01, 0.01, 0.0001, 0]),
            lambda z: root([1, 1, 10, 10]),
        )
    if kind == "xyah":
        return (
            lambda z: [z[3] / 10, z[3] / 10, 1e-2, z[3] / 10, z[3] / 16, z[3] / 16, 1e-5, z[3] / 16],
            lambda z: [z[3] / 20, z[3] / 20, 1e-2, z[3] / 20, z[3] / 160, z[3] / 160, 1e-5, z[3] / 160],
            lambda z: [z[3] / 20, z[3] / 20, 1e-1, z[3] / 20],
        )
    if kind == "xyhr":  # SORT's, and the aspect measured almost exactly
        root = np.sqrt
        return (
            lambda z: root([10, 10, 10, 10, 1e4, 1e4, 1e4, 1e4]),
            lambda z: root([1, 1, 1, 1, 0.01, 0.01, 0.01, 0.01]),
            lambda z: root([1, 1, 10, 0.01]),
        )
    if kind == "linear":  # no filter: nothing is uncertain
        return lambda z: np.zeros(8), lambda z: np.zeros(8), lambda z: np.zeros(4)
    side = lambda z: np.array([z[2], z[3], z[2], z[3]])  # noqa: E731
    return (
        lambda z: np.concatenate((side(z) / 10, side(z) / 16)),
        lambda z: np.concatenate((side(z) / 20, side(z) / 160)),
        lambda z: side(z) / 20,
    )


class Textbook:
    """mean (8,), covariance (8, 8): predict and update with full matrices."""

    def __init__(self, kind, z):
        self.start, self.process, self.measurement = textbook(kind)
        self.mean = np.concatenate((z, np.zeros(4)))
        self.cov = np.diag(np.square(self.start(z)))

    def predict(self, steps=1.0):
        move = np.eye(8)
        move[:4, 4:] = np.eye(4) * steps
        noise = np.diag(np.square(self.process(self.mean[:4]))) * steps
        for size in (2, 3):  # a size that would vanish stands still
            if self.mean[size] + steps * self.mean[4 + size] <= 0:
                self.mean[4 + size] = 0
        self.mean = move @ self.mean
        self.cov = move @ self.cov @ move.T + noise

    def update(self, z, doubt=1.0):
        see = np.eye(4, 8)
        s = see @ self.cov @ see.T + doubt * np.diag(np.square(self.measurement(self.mean[:4])))
        gain = self.cov @ see.T @ np.linalg.inv(s)
        self.mean = self.mean + gain @ (z - self.mean[:4])
        self.cov = self.cov - gain @ see @ self.cov

    def warp(self, matrix, power):
        zoom = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        block = np.diag(zoom ** np.array(power, float))
        block[:2, :2] = matrix[:, :2]
        full = np.kron(np.eye(2), block)
        self.mean = full @ self.mean
        self.mean[:2] += matrix[:, 2]
        self.cov = full @ self.cov @ full.T


def boxes(rng, n):
    corner = rng.uniform(0, 500, (n, 2))
    return np.concatenate((corner, corner + rng.uniform(20, 90, (n, 2)) * [1, 2.5]), axis=1)


def assert_same(filters, books, diagonal_only=False):
    mean = np.concatenate((filters[X], filters[V]), axis=1)
    assert np.allclose(mean, [b.mean for b in books], rtol=1e-9, atol=1e-9)
    cov = np.array([b.cov for b in books])
    i = np.arange(4)
    for part, (row, col) in {XX: (i, i), XV: (i, i + 4), VV: (i + 4, i + 4)}.items():
        assert np.allclose(filters[part], cov[:, row, col], rtol=1e-9, atol=1e-12)
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
    filters = motion.initiate(model, z)
    books = [Textbook(kind, row) for row in z]
    for _ in range(12):
        motion.predict(model, filters, steps)
        [b.predict(steps) for b in books]
        rows = np.flatnonzero(rng.random(6) < 0.7)
        seen = model.from_xyxy(first[rows] + rng.normal(0, 3, (len(rows), 4)))
        doubt = rng.random(len(rows)) if rng.random() < 0.5 else None
        motion.update(model, filters, rows, seen, doubt)
        scale = np.ones(len(rows)) if doubt is None else doubt
        [books[r].update(s, d) for r, s, d in zip(rows, seen, scale, strict=True)]
        assert_same(filters, books)


@pytest.mark.parametrize("kind", MODELS)
def test_warp_without_rotation_equals_the_textbook_filter(kind):
    rng = np.random.default_rng(5)
    model = MODELS[kind]
    z = model.from_xyxy(boxes(rng, 4))
    filters, books = motion.initiate(model, z), [Textbook(kind, row) for row in z]
    for _ in range(3):
        motion.predict(model, filters)
        [b.predict() for b in books]
        matrix = np.array([[1.05, 0, 4.0], [0, 1.05, -2.0]])
        motion.warp(model, filters, matrix)
        [b.warp(matrix, model.power) for b in books]
        assert_same(filters, books)


@pytest.mark.parametrize("kind", MODELS)
def test_warp_with_rotation_drops_only_the_coupling(kind):
    angle = np.deg2rad(7)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate((turn, [[3.0], [5.0]]), axis=1)
    model = MODELS[kind]
    z = model.from_xyxy(boxes(np.random.default_rng(1), 5))
    filters, books = motion.initiate(model, z), [Textbook(kind, row) for row in z]
    motion.predict(model, filters)
    [b.predict() for b in books]
    motion.warp(model, filters, matrix)
    variance = [np.diag(b.cov)[:2] for b in books]
    [b.warp(matrix, model.power) for b in books]
    assert_same(filters, books, diagonal_only=True)
    for book, (vx, vy) in zip(books, variance, strict=True):  # what is dropped, by the docstring's formula
        assert np.isclose(book.cov[0, 1], np.sin(2 * angle) / 2 * (vx - vy))


@pytest.mark.parametrize("kind", MODELS)
def test_sizes_never_vanish(kind):
    model = MODELS[kind]
    filters = motion.initiate(model, model.from_xyxy(np.array([[0.0, 0, 10, 20]])))
    filters[V, :, 2:] = -1000
    motion.predict(model, filters)
    box = model.to_xyxy(filters[X])
    assert (box[:, 2:] > box[:, :2]).all()
    assert (filters[V, :, 2:] == 0).all()


def test_one_pixel_a_step_by_hand():
    """Variances of the xywh model for a 20 x 40 box: start (2, 4)^2, speed (1.25, 2.5)^2, process (1, 2)^2."""
    model = MODELS["xywh"]
    filters = motion.initiate(model, np.array([[0.0, 0, 20, 40]]))
    assert np.allclose(filters[XX, 0], [4, 16, 4, 16])
    motion.predict(model, filters)
    assert np.allclose(filters[XX, 0, 0], 4 + 1.25**2 + 1)  # P_x + P_v + Q
    assert np.allclose(filters[XV, 0, 0], 1.25**2)
    motion.update(model, filters, np.array([0]), np.array([[3.0, 0, 20, 40]]))
    gain = 6.5625 / (6.5625 + 1)  # measurement noise 1
    assert np.allclose(filters[X, 0, 0], 3 * gain)
    assert np.allclose(filters[XX, 0, 0], 6.5625 * (1 - gain))


def test_a_sure_detection_corrects_fully():
    """NSA: R times (1 - score); at score 1 the track stands where the detection is, and goes on working."""
    model = MODELS["xywh"]
    filters = motion.initiate(model, np.array([[0.0, 0, 20, 40]]))
    for x in (3.0, 6.0):
        motion.predict(model, filters)
        motion.update(model, filters, np.array([0]), np.array([[x, 0, 20, 40]]), np.array([0.0], np.float32))
        assert np.allclose(filters[X, 0], [x, 0, 20, 40])
        assert np.allclose(filters[XX, 0], 0, atol=1e-12)
    motion.predict(model, filters)
    assert filters[X, 0, 0] > 7


def test_distance_by_hand():
    """xywh, 20 x 40 at rest: variance of x, w 4 + noise 1 = 5, of y, h 16 + 4 = 20."""
    model = MODELS["xywh"]
    filters = motion.initiate(model, np.array([[0.0, 0, 20, 40], [100, 0, 20, 40]]))
    z = np.array([[5.0, 10, 30, 50], [100, 0, 20, 40]])
    found = motion.distance(model, filters, np.array([0, 1]), z, 2)
    assert np.allclose(found, [25 / 5 + 100 / 20, 0])
    found = motion.distance(model, filters, np.array([0, 1]), z, 4)
    assert np.allclose(found, [25 / 5 + 100 / 20 + 100 / 5 + 100 / 20, 0])
    own = 25 / 4 + 100 / 16 + 100 / 4 + 100 / 16  # without the noise
    assert np.allclose(motion.own_distance(filters, np.array([0, 1]), z), [own, 0])
    row, col, squared = motion.nearby(filters, z, 43.76)
    assert (row.tolist(), col.tolist()) == ([0, 1], [0, 1])
    assert np.allclose(squared, [own, 0])
    assert motion.nearby(filters, z, 43.74)[0].tolist() == [1]
    assert all(len(part) == 0 for part in motion.nearby(filters, z[:0], 13.0))


@pytest.mark.parametrize("kind", FILTERS)
def test_distance_equals_the_textbook(kind):
    rng, model = np.random.default_rng(4), MODELS[kind]
    first = model.from_xyxy(boxes(rng, 5))
    filters, books = motion.initiate(model, first), [Textbook(kind, row) for row in first]
    z = model.from_xyxy(boxes(rng, 3))
    motion.predict(model, filters)
    expected, own = np.zeros((5, 3)), np.zeros((5, 3))
    for a, book in enumerate(books):
        book.predict()
        p = book.cov[:4, :4]
        s = p + np.diag(np.square(book.measurement(book.mean[:4])))
        for b, row in enumerate(z):
            off = row - book.mean[:4]
            expected[a, b], own[a, b] = off @ np.linalg.inv(s) @ off, off @ np.linalg.inv(p) @ off
    limit = np.median(own)
    row, col, squared = motion.nearby(filters, z, limit * (1 + 1e-9))
    assert list(zip(row, col, strict=True)) == list(zip(*(own <= limit).nonzero(), strict=True))
    assert np.allclose(squared, own[row, col])
    row, col = np.indices((5, 3)).reshape(2, -1)
    assert np.allclose(motion.distance(model, filters, row, z[col], 4), expected.ravel())


def test_relive_stands_between_as_if_it_had_been_seen():
    """Gaps of 3 and 1 steps: two virtual detections a third of the way each, none; both end predicted to now."""
    model = MODELS["sort"]
    last = np.array([[0.0, 0, 20, 40], [100, 0, 120, 40]])
    found = np.array([[30.0, 0, 50, 40], [105, 0, 125, 40]])
    filters = motion.initiate(model, model.from_xyxy(last))
    books = [Textbook("sort", row) for row in model.from_xyxy(last)]
    motion.relive(model, filters, last, found, np.array([3, 1]))
    for x in (10, 20):
        books[0].predict()
        books[0].update(model.from_xyxy(np.array([[x, 0.0, x + 20, 40]]))[0])
    [book.predict() for book in books]
    assert_same(filters, books)
    assert filters[V, 0, 0] == pytest.approx(10, rel=0.1), "the speed of the line, learnt"
    motion.relive(model, filters[:, :0], last[:0], found[:0], np.zeros(0, np.int64))


def test_reupdate_is_for_who_was_lost():
    """Frames three steps apart: nobody was missed, so nothing is relived. A miss, and it is."""
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


def test_a_long_stall_is_not_relived_step_by_step(monkeypatch):
    """A stream that hangs for a day must not be replayed frame by frame."""
    monkeypatch.setattr(motion, "relive", lambda *a: pytest.fail("relived"))
    tracker = Tracker.from_config("ocsort")
    for time in (0.0, 0.1, 86400.0):
        assert tracker.update(Detections([[0, 0, 40, 80]], [0.9]), time).id.tolist() == [1]
    tracker.update(Detections.empty(), 86400.1)
    assert len(tracker.update(Detections([[0, 0, 40, 80]], [0.9]), 2 * 86400.0)) == 0, "forgotten: max_age"


def test_follow_is_the_mean_speed_of_the_last_boxes_by_hand():
    """Steps of 1 and 2 between three boxes: speeds 4 and 3, mean 3.5; with one box none."""
    filters = motion.initiate(MODELS["linear"], np.tile([0.0, 0, 20, 40], (2, 1)))
    past = np.tile([0.0, 0, 20, 40], (2, 3, 1))
    past[0, :, 0] = 10, 6, 0
    gap = np.array([[1.0, 2.0], [np.nan, np.nan]])
    motion.follow(filters, np.array([1, 0]), past[:, 0], past, gap)
    assert filters[X, 1].tolist() == [10, 0, 20, 40]
    assert filters[V, 1].tolist() == [3.5, 0, 0, 0]
    assert filters[V, 0].tolist() == [0, 0, 0, 0]
    motion.predict(MODELS["linear"], filters, 2.0)
    assert filters[X, 1].tolist() == [17, 0, 20, 40]
    assert not filters[XX:].any()


def test_warped_boxes_by_hand():
    """Twice as large and shifted: the centre (10, 20) lands on (25, 37), the size doubles."""
    matrix = np.array([[2.0, 0, 5], [0, 2, -3]])
    assert motion.warp_boxes(np.array([[0.0, 0, 20, 40]]), matrix).tolist() == [[5, -3, 45, 77]]
    quarter = np.array([[0.0, -1, 0], [1, 0, 0]])  # turned: the centre moves, the box stays upright
    assert np.allclose(motion.warp_boxes(np.array([[0.0, 0, 20, 40]]), quarter), [[-30, -10, -10, 30]])
    deep = motion.warp_boxes(np.tile([0.0, 0, 20, 40], (3, 2, 1)), matrix)
    assert deep.shape == (3, 2, 4)


@pytest.mark.parametrize("kind", MODELS)
def test_filters_and_boxes_go_through_a_warp_alike(kind):
    model, first = MODELS[kind], boxes(np.random.default_rng(7), 4)
    angle = np.deg2rad(20)
    turn = 1.3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate((turn, [[3.0], [5.0]]), axis=1)
    filters = motion.initiate(model, model.from_xyxy(first))
    motion.warp(model, filters, matrix)
    assert np.allclose(model.to_xyxy(filters[X]), motion.warp_boxes(first, matrix))
