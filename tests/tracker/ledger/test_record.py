"""The account of a frame: complete, consistent with itself, and without effect on the tracks."""

import numpy as np
import pytest

from retrace.tracker import Detections, Tracker
from retrace.tracker.ledger.record import FATES, REASONS
from tests.tracker.crowds import crowd
from tests.tracker.presets import PRESETS, assert_same
from tests.tracker.slow_costs import SLOW_TERMS
from tests.tracker.slow_tracker import SlowTracker


@pytest.mark.parametrize("preset", PRESETS)
def test_every_detection_has_a_fate_that_the_tracks_bear_out(preset):
    plain = Tracker.from_config(preset)
    tracker = Tracker(plain.config, ledger=True)
    for frame in crowd(4, dimension=6, classes=2, camera=True):
        tracks = tracker.update(*frame)
        assert_same(tracks, plain.update(*frame))
        ledger, detections = tracker.ledger, frame[0]
        fate = np.array(FATES)[ledger.fate]
        assert len(fate) == len(ledger.id) == len(detections)
        shown = tracks.det_index[tracks.det_index >= 0]
        assert np.isin(fate[shown], ["matched", "new"]).all()
        assert ledger.id[shown].tolist() == tracks.id[tracks.det_index >= 0].tolist()
        assert (ledger.id[np.isin(fate, ["matched", "new"])] > 0).all()
        assert (ledger.id[np.isin(fate, ["below", "unconfirmed"])] == 0).all()
        score = detections.score
        if tracker.config.boost is None:
            assert (score[fate == "below"] < tracker.config.new).all()
            assert (score[fate == "new"] >= tracker.config.new).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_stages_account_for_who_was_joined(preset):
    """Joined pairs are one to one over all stages, below the limit, through every gate; the cost is the sum."""
    tracker = Tracker(Tracker.from_config(preset).config, ledger=True)
    joined_at_all = 0
    for frame in crowd(9, dimension=6):
        tracker.update(*frame)
        taken = [], []
        blind = tracker.config.blind_stages or tracker.config.stages
        for record in tracker.ledger.stages:
            stages = [s[record.number] for s in (tracker.config.stages, blind) if record.number < len(s)]
            stage = next(s for s in stages if list(s.terms) == list(record.terms))
            total = sum(weight * record.terms[name] for name, weight in stage.terms.items())
            known = np.isfinite(record.cost)
            extra = (record.cost[known] - total[known]).round(9)
            assert np.isin(extra, np.round(list(stage.bands.values()), 9)).all()
            which = record.joined
            assert (record.cost[which] < record.limit[which]).all()
            assert all((record.gates[name][which] <= most).all() for name, most in stage.gates.items())
            taken[0].extend(record.row[which].tolist())
            taken[1].extend(record.col[which].tolist())
        assert len(set(taken[0])) == len(taken[0]) == len(set(taken[1]))
        joined_at_all += len(taken[0])
    assert joined_at_all > 50


def test_terms_in_the_account_are_the_terms():
    tracker = Tracker(Tracker.from_config("tracktrack").config, ledger=True)
    slow = SlowTracker(tracker.config)
    scene = list(crowd(3, dimension=6, frames=12))
    for frame in scene[:-1]:
        tracker.update(*frame)
        slow.update(*frame)
    asked, choose = [], slow.choose
    slow.choose = lambda stage, gain: asked.append((stage, gain)) or choose(stage, gain)
    order = {t: k for k, t in enumerate(slow.tracks)}
    tracker.update(*scene[-1])
    slow.update(*scene[-1])
    for record, (stage, gain) in zip(tracker.ledger.stages, asked, strict=True):
        found = {(int(r), int(c)): k for k, (r, c) in enumerate(zip(record.row, record.col, strict=True))}
        for (track, j), g in gain.items():
            k = found[order[track], j]
            assert record.limit[k] - record.cost[k] == pytest.approx(g, abs=1e-6)
        assert set(record.terms) == set(stage.terms) <= set(SLOW_TERMS)


ANY = {"tracks": ["active", "lost", "tentative"], "cost": "iou", "limit": 0.7}
LIMITS = [
    *((preset, {}) for preset in PRESETS),
    *((preset, {"low": 0.4, "nms": 0.5, "birth_iou": 0.3}) for preset in ("sort", "bytetrack", "default")),
    ("sort", {"low": 0.4, "blind_stages": [{**ANY, "detections": {"high": 0, "low": 0.1}}]}),
    ("bytetrack", {"stages": [{**ANY, "detections": "low", "cost": "appearance"}],
                   "blind_stages": [{**ANY, "detections": "high"}]}),
]  # fmt: skip


def limit_below(config, blind, score):
    """Twin: of a detection that begins no track, which limit it is below; blind: blind_stages ran."""
    stages = config.blind_stages if blind else config.stages
    bands = [band for stage in stages for band in stage.bands]
    if score < config.low:
        return "low"
    return "high" if score < config.high and "low" not in bands else "new"


@pytest.mark.parametrize("dimension", [0, 6], ids=["blind", "looks"])
@pytest.mark.parametrize(("preset", "changes"), LIMITS)
def test_reasons_are_the_limits_applied_by_hand(preset, changes, dimension):
    config = Tracker.from_config(preset, **changes).config
    tracker, told = Tracker(config, ledger=True), set()
    for frame in crowd(5, dimension=dimension):
        tracker.update(*frame)
        ledger = tracker.ledger
        for score, fate, reason in zip(ledger.score, ledger.fate, ledger.reason, strict=True):
            verdict = FATES[fate], REASONS[reason]
            if verdict[0] == "below":
                assert verdict[1] == limit_below(config, ledger.blind, score)
                assert score < config.new
            elif verdict[0] == "suppressed":
                assert verdict[1] in ("nms", "live", "birth", "duplicate")
                assert score >= config.low
            told.add(verdict)
    assert ("below", "low") in told


def test_an_empty_frame_is_accounted_for():
    tracker = Tracker(Tracker.from_config("bytetrack").config, ledger=True)
    for detections in (Detections.empty(), Detections([[0, 0, 20, 40]], [0.9]), Detections.empty()):
        tracker.update(detections)
        assert len(tracker.ledger.fate) == len(detections)
    assert tracker.ledger.stages == []


def test_fates_by_hand():
    """Too low to begin; begun; the same box again; not yet confirmed; on a live track's place."""
    config = Tracker.from_config("tracktrack", confirm_hits=2).config
    tracker = Tracker(config, ledger=True)
    seen = []
    for boxes, scores in (
        ([[0, 0, 20, 40], [300, 0, 320, 40]], [0.9, 0.65]),
        ([[0, 0, 20, 40], [200, 0, 220, 40]], [0.9, 0.8]),
        ([[0, 0, 20, 40], [3, 0, 23, 40]], [0.9, 0.8]),
    ):
        tracker.update(Detections(boxes, scores))
        seen.append([FATES[k] for k in tracker.ledger.fate])
    assert seen == [["new", "below"], ["matched", "unconfirmed"], ["matched", "suppressed"]]
