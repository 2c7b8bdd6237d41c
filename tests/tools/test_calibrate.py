"""tools/calibrate.py: sequences with ground truth in, a preset with fitted tables out; the fit by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from retrace.configs import InputError
from retrace.tools.calibrate import main
from retrace.tools.terminal.console import guarded
from retrace.tools.tuning.calibrating import calibrate
from retrace.tools.tuning.clips import find_clips, load_clip
from retrace.tools.tuning.log_odds import KNOTS, OddsPairs, fit_log_odds, held_out, odds_pairs, told_odds
from retrace.tracker import Tracker
from retrace.tracker.association.log_odds import nats
from retrace.tracker.config import LogOdds
from tests.tools.looking_sequences import FRAMES, PEOPLE, write_sequence


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, seed in (("A", 1), ("B", 2)):
        write_sequence(tmp_path / "data" / name, seed)
    return tmp_path / "data"


def drawn(count: int = 400, seed: int = 0) -> OddsPairs:
    """Pairs of all kinds, and who is one person drawn by what looks say."""
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(at[0] - 0.1, at[-1] + 0.1, count) for name, at in KNOTS.items()}
    values["look"][: count // 4] = np.nan
    same = rng.random(count) < 1 / (1 + np.exp(6 * np.nan_to_num(values["look"], nan=0.65) - 4))
    return OddsPairs(values, rng.integers(0, 4, count), same, np.ones(count))


def flat(look: float, same: int, other: int) -> OddsPairs:
    """So many pairs of one person and of two, all alike but for what looks say."""
    count = same + other
    values = {name: np.full(count, float(at[1])) for name, at in KNOTS.items()} | {
        "look": np.full(count, look)
    }
    return OddsPairs(values, np.zeros(count, np.int64), np.arange(count) < same, np.ones(count))


def test_the_tables_are_the_logarithm_of_odds() -> None:
    """Looks .15 apart: 90 of 100 are one person, .9: 10 of 100; the tables say log 9 and -log 9, or nearly."""
    near, far = flat(0.15, 90, 10), flat(0.9, 10, 90)
    tables = fit_log_odds([near, far])
    assert told_odds(tables, near)[0] == pytest.approx(np.log(9), abs=0.1)
    assert told_odds(tables, far)[0] == pytest.approx(-np.log(9), abs=0.1)


def test_boxes_looked_at_by_two_networks(data: Path) -> None:
    with np.load(data / "B" / "det.npz") as kept:
        arrays = dict(kept)
    narrow = arrays["embedding"][:, :4]
    np.savez(
        data / "B" / "det.npz", **{**arrays, "embedding": narrow / np.linalg.norm(narrow, axis=1)[:, None]}
    )
    with pytest.raises(InputError, match=r"B det.npz: vectors of 4, \d+ numbers in one calibration"):
        calibrate(data, ["det.npz"], data / "x.yaml")
    with pytest.raises(InputError, match="named twice"):
        calibrate(data, ["det.npz", "./det.npz"], data / "x.yaml")


def test_a_place_that_takes_no_file_is_named_first(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        guarded(main, ["--data", str(data), "--detections", "missing.npz", "--out", str(data)])
    assert ended.value.code == 2
    assert "is a folder; expected the name of a file" in capsys.readouterr().err


def test_a_pair_counts_as_many_as_it_stands_for() -> None:
    few = flat(0.15, 100, 100)
    weight = np.where(few.same, 9.0, 1.0)
    tables = fit_log_odds([few.take(np.arange(200), weight)])
    assert told_odds(tables, few)[0] == pytest.approx(np.log(9), abs=0.1)


def test_what_the_fit_says_is_what_the_tracker_says() -> None:
    pairs = drawn()
    tables = fit_log_odds([pairs])
    expected = tables.bias + sum(
        nats(getattr(tables, name), pairs.age, pairs.values[name]) for name in LogOdds.TERMS
    )
    assert np.allclose(told_odds(tables, pairs), expected, atol=1e-9)
    assert tables.look.nats[0][0] > 1 > -1 > tables.look.nats[0][-1]


def test_the_fit_is_the_least_of_what_it_minimises() -> None:
    """Twin: no stretched or shifted tables explain the pairs better; the penalties cost little."""
    pairs = drawn(2000, 3)
    odds = told_odds(fit_log_odds([pairs]), pairs)

    def loss(z: np.ndarray) -> float:
        return float(np.mean(np.logaddexp(0, z) - pairs.same * z))

    for other in (1.3 * odds, 0.8 * odds, odds + 0.3, odds - 0.3):
        assert loss(odds) < loss(other)


def test_pairs_of_a_sequence_are_labelled_by_whom_a_track_mostly_was(data: Path) -> None:
    clip = load_clip(find_clips(data, "det.npz")[0], "custom")
    pairs = odds_pairs(clip, "custom", Tracker.from_config("odds").config)
    assert 100 < pairs.same.sum() < FRAMES * PEOPLE
    looks = pairs.values["look"]
    assert np.nanmean(looks[pairs.same]) < 0.5 < np.nanmean(looks[~pairs.same])
    assert pairs.values["overlap"][pairs.same].mean() > pairs.values["overlap"][~pairs.same].mean()
    again = odds_pairs(clip, "custom", Tracker.from_config("odds").config)
    assert all(np.array_equal(again.values[n], pairs.values[n], equal_nan=True) for n in LogOdds.TERMS)


def test_a_preset_comes_out(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.yaml"
    arguments = ["--data", str(data), "--detections", "det.npz", "--out", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "held out" in said
    assert f"{out}: the tables of all" in said
    tracker = Tracker.from_config(out)
    told = tracker.config.log_odds
    assert told is not None
    assert told.look.nats[0][0] > told.look.nats[0][-1]
    assert yaml.safe_load(out.read_text())["source"].startswith(
        "Tables fitted by tools/calibrate.py on A det.npz, B"
    )
    assert main([*arguments, "--quiet"]) == 0
    assert Tracker.from_config(out).config == tracker.config, "the same again"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--out": "a.txt"}, "ends in .yaml"),
        ({"--sequences": "A"}, "one video only"),
        ({"--tracker": "bytetrack"}, "tables of log-odds are of the preset odds"),
        ({"--detections": "blind.npz"}, "carry no vectors"),
    ],
)
def test_mistakes_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str
) -> None:
    write_sequence(tmp_path / "blind", 3, vectors=False)
    for name in ("A", "B"):
        (data / name / "blind.npz").write_bytes((tmp_path / "blind/det.npz").read_bytes())
    given = {"--data": str(data), "--detections": "det.npz", "--out": str(tmp_path / "a.yaml")} | changes
    with pytest.raises(SystemExit) as ended:
        guarded(main, [word for pair in given.items() for word in pair])
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_boxes_of_one_detector_are_not_counted_twice(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`detections` det\.npz: named twice"):
        calibrate(data, ["det.npz", "det.npz"], tmp_path / "a.yaml")


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="10 pairs of one person and 90 of two: at least 100"):
        fit_log_odds([flat(0.5, 10, 90)])


def test_each_video_is_judged_by_the_others() -> None:
    """B is A turned round: judged by A's tables its probabilities are as wrong as can be."""
    a, b = flat(0.15, 900, 100), flat(0.15, 100, 900)
    tables, errors = held_out({"A x": a, "A y": a, "B x": b}, lambda name: name[0])
    assert set(tables) == {"A", "B"}
    assert errors["B x"] == pytest.approx(0.8, abs=0.02)
