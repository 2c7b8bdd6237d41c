"""The offline passes: hand-made tables, slow twins, invariants."""

from dataclasses import replace

import numpy as np
import pytest

from retrace.configs import InputError, load_preset
from retrace.tracker.offline.passes import (
    OfflineConfig,
    gsi_length,
    improve,
    interpolate,
    remove_short,
    smooth,
)
from retrace.tracker.offline.reconnect import Looks
from tests.tracker.offline.tables import by_frame, random_table, same, table

FPS = 10.0
PASSES = ("link", "reconnect", "interpolate", "smooth", "remove_short")


def config(*passes, **overrides):
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_preset(
        "default", OfflineConfig, "offline", given | ({"passes": list(passes)} if passes else {})
    )


def tracks_of(t):
    """id -> its rows by frame."""
    return {i: t.take(np.flatnonzero(t.id == i)) for i in np.unique(t.id).tolist()}


def test_a_gap_is_filled_by_straight_lines():
    rows = [(2, 5, 0, 0, 10, 20, 0.9, 3), (6, 5, 40, 8, 54, 36, 0.5, 3), (4, 6, 7, 7, 9, 9)]
    filled = interpolate(table(rows), 4)
    assert filled.frame.tolist() == [2, 3, 4, 4, 5, 6]
    assert filled.id.tolist() == [5, 5, 5, 6, 5, 5]
    one = filled.take(np.flatnonzero(filled.id == 5))
    assert one.xyxy[1:4].tolist() == [[10, 2, 21, 24], [20, 4, 32, 28], [30, 6, 43, 32]]
    assert one.score == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5])
    assert set(one.class_id) == {3}


def test_longer_gaps_stay_open():
    rows = table([(0, 1, 0, 0, 1, 1), (4, 1, 4, 0, 5, 1), (9, 1, 9, 0, 10, 1), (10, 1, 9, 0, 10, 1)])
    assert len(interpolate(rows, 3)) == 4
    assert interpolate(rows, 4).frame.tolist() == [0, 1, 2, 3, 4, 9, 10]
    assert interpolate(rows, 5).frame.tolist() == list(range(11))


@pytest.mark.parametrize("seed", range(10))
def test_interpolation_equals_numpy_s_track_by_track(seed):
    rows = random_table(seed)
    filled = interpolate(rows, np.inf)
    before, after = tracks_of(rows), tracks_of(filled)
    assert before.keys() == after.keys()
    for i, t in before.items():
        frames = np.arange(t.frame[0], t.frame[-1] + 1)
        assert after[i].frame.tolist() == frames.tolist()
        for column in range(4):
            expected = np.interp(frames, t.frame, t.xyxy[:, column])
            assert after[i].xyxy[:, column] == pytest.approx(expected, abs=1e-9)
        seen = np.isin(frames, t.frame)
        same(after[i].take(seen), t)  # what was observed is as it was, to the bit


def dense(frame, values, length, noise):
    """The Gaussian process as the paper writes it, about the straight line through the values."""
    line = np.polynomial.polynomial.polyfit(frame, values, 1)
    trend = line[0] + frame[:, None] * line[1]
    kernel = np.exp(-((frame[:, None] - frame) ** 2) / (2 * length**2))
    return trend + kernel @ np.linalg.inv(kernel + noise * np.eye(len(frame))) @ (values - trend)


def centre_and_half(xyxy):
    return np.hstack((xyxy[:, :2] + xyxy[:, 2:], xyxy[:, 2:] - xyxy[:, :2])) / 2


@pytest.mark.parametrize("noise", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("length", [2.0, 5.0, None])
def test_smoothing_is_the_gaussian_process(length, noise):
    rows = random_table(1)
    after = tracks_of(smooth(rows, length, noise))
    for i, t in tracks_of(rows).items():
        expected = centre_and_half(t.xyxy)
        if len(t) > 2:
            scale = gsi_length(len(t)) if length is None else length
            expected = dense(t.frame.astype(float), expected, scale, noise)
        assert centre_and_half(after[i].xyxy) == pytest.approx(expected, abs=1e-4)


def test_windows_of_a_long_track_change_nothing_to_speak_of():
    rng = np.random.default_rng(0)
    frame = np.flatnonzero(rng.random(1500) < 0.9)
    xy = np.stack((200 * np.sin(frame / 60), frame * 0.3), 1) + rng.normal(0, 2, (len(frame), 2))
    rows = table([(k, 1, x, y, x + 40, y + 90) for k, (x, y) in zip(frame.tolist(), xy, strict=True)])
    after = centre_and_half(smooth(rows, 10, 1e-3).xyxy)
    whole = dense(frame.astype(float), centre_and_half(rows.xyxy), 10, 1e-3)
    assert np.abs(after - whole).max() < 0.01


def test_gsi_length_by_hand():
    """10 ln(1000 / 100) = 23.03; ln 1 = 0 is raised to 1/10; 10 ln 1000 is 69."""
    assert gsi_length(100) == pytest.approx(10 * np.log(10))
    assert gsi_length(1000) == gsi_length(5000) == 0.1
    assert gsi_length(1) == pytest.approx(69.0776, abs=1e-3)


def test_smoothing_takes_noise_out_and_leaves_straight_lines():
    rng = np.random.default_rng(0)
    still = np.array([[k, 1, 3 * k, 50 - k, 3 * k + 20 + k / 10, 90 - k] for k in range(60)], float)
    np.testing.assert_allclose(smooth(table(still), 5, 0.01).xyxy, still[:, 2:], atol=1e-9)
    noisy = still.copy()
    noisy[:, 2:] += rng.normal(0, 2, (60, 4))
    after = smooth(table(noisy), 5, 1.0).xyxy
    assert np.abs(after - still[:, 2:]).mean() < 0.6 * np.abs(noisy - still)[:, 2:].mean()


@pytest.mark.parametrize("seed", range(5))
def test_smoothing_touches_nothing_but_boxes_and_moves_along(seed):
    rows = random_table(seed)
    after = smooth(rows, 4, 0.01)
    same(replace(after, xyxy=rows.xyxy), rows)
    assert (after.xyxy != rows.xyxy).any()
    assert (after.xyxy[:, 2:] > after.xyxy[:, :2]).all()
    moved = smooth(replace(rows, xyxy=rows.xyxy + 1000), 4, 0.01)
    np.testing.assert_allclose(moved.xyxy, after.xyxy + 1000, atol=1e-6)
    one = np.flatnonzero(rows.id == rows.id[0])
    same(smooth(rows.take(one), 4, 0.01), after.take(one))  # the others do not matter


def test_a_wild_swing_turns_no_box_inside_out():
    sizes = [100, 1, 100, 1, 1, 1, 100, 1, 100] * 3
    after = smooth(table([(k, 1, 0, 0, s, s) for k, s in enumerate(sizes)]), 3, 1e-6)
    assert (after.xyxy[:, 2:] > after.xyxy[:, :2]).all()


def test_short_tracks_go():
    rows = [
        (0, 1, 0, 0, 1, 1),
        (4, 1, 0, 0, 1, 1),
        (1, 2, 0, 0, 1, 1),
        (2, 2, 0, 0, 1, 1),
        (3, 3, 0, 0, 1, 1),
    ]
    for frames, left in ((0, {1, 2, 3}), (1, {1, 2, 3}), (2, {1, 2}), (3, {1}), (5, {1}), (5.1, set())):
        assert set(remove_short(table(rows), frames).id) == left, frames


@pytest.mark.parametrize("seed", range(15))
def test_invariants_of_all_passes(seed):
    """No id twice in a frame, nobody before or after their track's life, no new ids, order of rows no matter."""
    rows = random_table(seed, ids=40, area=150)
    loose = {"link__distance": 2, "link__size": 2, "link__cost": 0.7}
    all_passes = config(*PASSES, **loose)
    after = improve(rows, FPS, all_passes)
    assert len(np.unique(np.stack((after.frame, after.id)), axis=1).T) == len(after)
    same(by_frame(after), after)
    joined = tracks_of(improve(rows, FPS, config("link", **loose)))
    assert len(joined) < len(tracks_of(rows))
    for i, t in tracks_of(after).items():
        assert joined[i].frame[0] == t.frame[0]
        assert joined[i].frame[-1] == t.frame[-1]
        assert np.isin(joined[i].frame, t.frame).all()
    shuffled = rows.take(np.random.default_rng(seed).permutation(len(rows)))
    same(improve(shuffled, FPS, all_passes), after)
    same(improve(rows, FPS, all_passes), after)


@pytest.mark.parametrize("name", PASSES)
def test_nobody_and_one_box(name):
    assert len(improve(table([]), FPS, config(name))) == 0
    alone = table([(3, 1, 0, 0, 10, 20)])
    same(improve(alone, FPS, config(name, remove_short__seconds=0)), alone)


def test_durations_are_seconds():
    rows = [(0, 1, 0, 0, 10, 20), (9, 1, 0, 0, 10, 20)]
    one_second = config("interpolate", interpolate__gap=1.0)
    assert len(improve(table(rows), 8, one_second)) == 2
    assert len(improve(table(rows), 9, one_second)) == 10
    brief = config("remove_short", remove_short__seconds="30 frames at 30 fps")
    assert len(improve(table(rows), 10, brief)) == 2
    assert len(improve(table(rows), 11, brief)) == 0


def test_passes_run_in_their_order():
    """Two boxes in ten frames: without the line between them the gap of 5 frames is too long for the link."""
    rows = [(k, 1, 0, 0, 10, 20) for k in range(4)] + [(k, 2, 0, 0, 10, 20) for k in range(8, 12)]
    given = {"link__gap": 0.5, "link__cost": 0.5, "interpolate__gap": 0.5}
    assert len(improve(table(rows), FPS, config("link", "interpolate", **given))) == 12
    assert len(improve(table(rows), FPS, config("interpolate", "link", **given))) == 8


def test_looks_follow_their_ids_through_the_links():
    """1 and 2 are linked by motion, 3 comes back 5 s later and looks like both together, beside 9 all the time."""
    rows = [(k, i, x, 100, x + 10, 120) for i, x, frames in (
        (1, 50, range(10)), (2, 50, range(12, 20)), (3, 80, range(70, 90)), (9, 150, range(90))
    ) for k in frames]  # fmt: skip
    looks = Looks.of(np.array([1, 2, 3, 9]), np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]]))
    both = config("link", "reconnect", reconnect__distance=0.1)
    joined = improve(table(rows), FPS, both, looks, (200, 300))
    assert {(i, len(t)) for i, t in tracks_of(joined).items()} == {(1, 38), (9, 90)}
    assert len(tracks_of(improve(table(rows), FPS, both))) == 3  # nobody's looks are known
    alone = improve(table(rows), FPS, config("reconnect", reconnect__distance=0.1), looks, (200, 300))
    assert len(tracks_of(alone)) == 4  # each of the two looks like 3 by half
    with pytest.raises(InputError, match="reconnect must know the size of the picture"):
        improve(table(rows), FPS, both, looks)


def test_what_a_manifest_says():
    said = config("smooth", "interpolate", interpolate__gap=2).describe()
    assert [one["pass"] for one in said] == ["smooth", "interpolate"]
    assert said[1] == {"pass": "interpolate", "gap": 2.0}
    assert set(said[0]) == {"pass", "length", "noise"}


def test_bad_input():
    two = table([(4, 7, 0, 0, 1, 1), (4, 7, 5, 5, 6, 6)])
    with pytest.raises(InputError, match="frame 5: expected each id once, id 7 comes twice"):
        improve(two, FPS, config())
    for fps in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError, match="fps"):
            improve(table([]), fps, config())
    for key, value, text in (
        (
            "passes",
            ["polish"],
            "'link', 'reconnect', 'interpolate', 'smooth' or 'remove_short', got 'polish'",
        ),
        ("passes", [], "passes"),
        ("smooth.noise", 0, "at least"),
        ("smooth.length", 0, "above 0"),
        ("smooth.lenght", 1, "did you mean 'length'"),
        ("interpolate.gap", -1, "interpolate.gap"),
    ):
        with pytest.raises(InputError, match=text):
            load_preset("default", OfflineConfig, "offline", {key: value})


def test_gsi_can_be_asked_for():
    rows = random_table(0)
    same(
        improve(rows, FPS, config("smooth", smooth__length="gsi")), smooth(rows, None, config().smooth.noise)
    )
