"""tools/tune.py: that nothing leaks, that every interruption leads to the same result, one line for a mistake."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("optuna", reason="needs optuna: pip install -e .[tune]")

from retrace.configs import InputError, load_preset
from retrace.configs.errors import install
from retrace.configs.loader import HERE
from retrace.eval.mot.score import combine, evaluate
from retrace.tools import tune
from retrace.tools.terminal.console import guarded
from retrace.tools.tune import parser
from retrace.tools.tuning import study as tuning_study
from retrace.tools.tuning.clips import (
    find_clips,
    load_clip,
    metrics_from_json,
    metrics_to_json,
    track,
)
from retrace.tools.tuning.report import record
from retrace.tools.tuning.space import Parameter, load_space
from retrace.tools.tuning.study import StudyFile, propose
from retrace.tools.tuning.tuning import make_searches
from retrace.tracker import Tracker
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections, Tracks
from tests.conftest import ROOT
from tests.tools.forked import Forked
from tests.tools.runs.sequences import walked as write_sequence

FRAMES = 16
TRIALS = "22"  # 16 shared, a batch, half a batch
SPACE = """
high: {low: 0.3, high: 0.9}
stages.0.limit: {low: 0.3, high: 0.95, step: 0.01}
confirm_hits: {low: 1, high: 4}
"""
Made = tuple[Path, Path, dict[str, Any]]


def data_in(folder: Path, **seeds: int) -> Path:
    for name, seed in (seeds or {"A": 1, "B": 2, "C": 3}).items():
        write_sequence(folder / name, seed)
    return folder


def options(data: Path, out: Path, *more: str) -> list[str]:
    space = out.parent / f"{out.name}.space.yaml"
    space.write_text(SPACE)
    given = {"--data": data, "--out": out, "--space": space, "--tracker": "bytetrack"}
    return [*(str(x) for pair in given.items() for x in pair), "--quiet", *more]


def run(data: Path, out: Path, *more: str) -> dict[str, Any]:
    """Tune in this process; what run.json says."""
    assert tune.main(options(data, out, "--jobs", "1", *more)) == 0
    return json.loads((out / "run.json").read_text())


def trials_of(study: Path, search: str) -> list[dict[str, Any]]:
    import optuna

    kept = optuna.load_study(study_name=search, storage=f"sqlite:///{study}").trials
    return [t.params for t in sorted(kept, key=lambda t: t.user_attrs["number"])]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """(data, out, run.json) of one tuning of three sequences, 24 trials."""
    place = tmp_path_factory.mktemp("tuned")
    data = data_in(place / "data")
    return data, place / "out", run(data, place / "out", "--trials", TRIALS)


@pytest.fixture
def bytetrack() -> TrackerConfig:
    return load_preset("bytetrack", TrackerConfig, "tracker")


# -- the space


def test_a_place_in_a_range() -> None:
    quarters = Parameter(low=0.0, high=1.0, step=0.25)  # 5 values
    assert [quarters.at(x) for x in (0, 0.19, 0.21, 0.5, 0.999)] == [0, 0, 0.25, 0.5, 1]
    whole = Parameter(low=1, high=3)
    assert [whole.at(x) for x in (0, 0.34, 0.67)] == [1, 2, 3]
    assert all(isinstance(whole.at(x), int) for x in (0, 0.5, 0.9))
    assert Parameter(low=0.1, high=10.0, log=True).at(0.5) == pytest.approx(1.0)
    assert Parameter(low=1, high=1000, log=True).at(1 / 3) == 10
    assert Parameter(low=2.0, high=4.0).at(0.25) == 2.5
    assert Parameter(choices=("a", None)).at(0.5) is None
    assert Parameter(low=0.0, high=1.0, step=0.3).ends == (0, 0.9)


def test_what_a_range_holds() -> None:
    grid = Parameter(low=0.0, high=1.0, step=0.3)
    assert [grid.holds(x) for x in (0.6, 0.9, 0.5, 1.0, None, True)] == [True, True, *[False] * 4]
    assert Parameter(low=1, high=9).holds(3.0)
    assert not Parameter(low=1, high=9).holds(3.5)
    assert Parameter(low=0.1, high=1.0, log=True).holds(0.1)
    choice = Parameter(choices=(1, "x"))
    assert [choice.holds(x) for x in (1, "x", True, 2)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hihg: {low: 0.1, high: 0.2}", "no 'hihg'; did you mean 'high'"),
        ("stages.0.limits: {low: 0.1, high: 0.2}", "did you mean 'stages.0.limit'"),
        ("stages.7.limit: {low: 0.1, high: 0.2}", "no 'stages.7.limit'"),
        ("xyzzy: {low: 0.1, high: 0.2}", "known: .*max_age"),
        ("high: {low: 0.1, hihg: 0.2}", "unknown key 'hihg'; did you mean 'high'"),
        ("high: {low: 0.5, high: 0.2}", "expected low < high, got low 0.5, high 0.2"),
        ("high: {low: 0.5}", "expected low < high"),
        ("high: {low: 0.0, high: 1.0, log: true}", "log needs low > 0"),
        ("high: {low: 0.1, high: 1.0, step: 3}", "step is 3"),
        ("high: {low: 0.1, high: .inf}", "finite"),
        ("high: {choices: [0.5]}", "two or more"),
        ("high: {choices: [0.5, 0.6], low: 0.1}", "either"),
        ("high: 0.5", "expected {low, high}"),
        ("high: {low: 0.5, high: 1.5}", "high: 1.5 is refused"),
        ("confirm_hits: {low: 1.5, high: 3.0}", "confirm_hits: 1.5 is refused"),
        ("motion: {choices: [xyah, xyzw]}", "'xyzw' is refused"),
        ("stages.0.limit: {low: -1.0, high: 0.5}", "stages.0.limit: -1.0 is refused"),
        ("stages: {choices: [a, b]}\nstages.0.limit: {low: 0.5, high: 0.6}", "refused|lies inside"),
        ("[1, 2]", "expected a mapping of keys to values, got list"),
        ("", "expected a mapping of keys to values, got NoneType"),
        ("a: [", "not readable as YAML"),
    ],
)
def test_a_space_that_is_wrong(tmp_path: Path, bytetrack: TrackerConfig, text: str, fault: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=fault) as caught:
        load_space(path, bytetrack)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted((HERE / "tune").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_space_fits_its_preset(path: Path) -> None:
    space = load_space(path.stem, load_preset(path.stem, TrackerConfig, "tracker"))
    assert len(space.spread(16, 0)) == 16


def test_points_fill_the_space_and_are_valid(tmp_path: Path, bytetrack: TrackerConfig) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("new: {low: 0.0, high: 1.0}\nmax_age: {low: 1.0, high: 16.0, log: true}\n")
    points = load_space(path, bytetrack).spread(16, 5)
    assert sorted(int(16 * p["new"]) for p in points) == list(range(16))  # one in each sixteenth
    assert sorted(int(4 * np.log2(p["max_age"])) for p in points) == list(range(16))
    path.write_text("low: {low: 0.0, high: 1.0}\nhigh: {low: 0.0, high: 1.0}\n")
    space = load_space(path, bytetrack)
    points = space.spread(16, 5)
    assert all(p["low"] <= p["high"] for p in points)  # what the preset asks
    assert points == space.spread(16, 5) != space.spread(16, 6)


def test_proposals_are_valid_and_follow_the_values(tmp_path: Path, bytetrack: TrackerConfig) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "low: {low: 0.0, high: 1.0}\nhigh: {low: 0.0, high: 1.0}\nconfirm_hits: {low: 1, high: 4}\n"
    )
    space = load_space(path, bytetrack)
    history = [(p, -abs(p["high"] - 0.8)) for p in space.spread(60, 0)]
    points = propose(space, history, seed=3, count=8)
    assert points == propose(space, history, seed=3, count=8) != propose(space, history, seed=4, count=8)
    assert all(p["low"] <= p["high"] for p in points)
    assert all(isinstance(p["confirm_hits"], int) for p in points)
    assert np.mean([abs(p["high"] - 0.8) for p in points]) < 0.15  # anywhere: 0.34


# -- sequences and scores


def test_metrics_survive_json(made: Made, bytetrack: TrackerConfig) -> None:
    (one, *_) = find_clips(made[0], "det/det.txt")
    clip = load_clip(one, "custom")
    metrics = evaluate(clip.truth, track(clip, bytetrack), FRAMES)
    again = metrics_from_json(json.loads(json.dumps(metrics_to_json(metrics))))
    assert combine([again, metrics]).row() == combine([metrics, again]).row()
    assert again.row() == metrics.row()
    assert again.clear == metrics.clear


def test_val_half_is_cut_from_the_whole_or_taken_as_cut(tmp_path: Path) -> None:
    whole = data_in(tmp_path / "whole", A=1)
    half = shutil.copytree(whole, tmp_path / "half")
    (whole / "A" / "gmc.txt").write_text("".join(f"{k}\t1\t0\t0\t0\t1\t{k}\n" for k in range(FRAMES)))
    skip = FRAMES // 2 + 1
    text = (half / "A" / "det" / "det.txt").read_text().splitlines()
    cut = [(int(line.split(",", 1)[0]) - skip, line.split(",", 1)[1]) for line in text]
    (half / "A" / "det" / "det.txt").write_text("".join(f"{k},{rest}\n" for k, rest in cut if k > 0))
    (one,), (other,) = (find_clips(folder, "det/det.txt", split="val-half") for folder in (whole, half))
    ours, theirs = load_clip(one, "custom"), load_clip(other, "custom")
    assert len(ours.frames) == FRAMES - skip
    assert ours.truth.frame.min() == 0
    assert (
        ours.truth.xyxy[0].tolist()
        != load_clip(find_clips(whole, "det/det.txt")[0], "custom").truth.xyxy[0].tolist()
    )
    for a, b in zip(ours.frames, theirs.frames, strict=True):
        np.testing.assert_array_equal(a.xyxy, b.xyxy)
    assert ours.warps is not None
    assert ours.warps[0][1, 2] == skip  # the warp of the first frame that is kept
    assert theirs.warps is None


def test_vectors_come_with_npz_detections(tmp_path: Path) -> None:
    data = data_in(tmp_path, A=1, B=2)
    for name in "AB":
        boxes = np.tile([10.0, 10, 40, 80], (FRAMES, 1))
        vectors = np.tile([0.6, 0.8], (FRAMES, 1))
        np.savez(
            data / name / "det.npz",
            frame=np.arange(FRAMES),
            xyxy=boxes,
            score=np.ones(FRAMES),
            embedding=vectors,
        )
    for one in find_clips(data, str(data / "{name}" / "det.npz")):
        assert all(f.embedding is not None for f in load_clip(one, "custom").frames)
    assert run(data, tmp_path / "out", "--detections", "det.npz", "--trials", "2")["trials"] == 2


def test_sequences_of_one_video_stay_together(tmp_path: Path) -> None:
    names = ["MOT17-02-FRCNN", "MOT17-02-SDP", "MOT17-05-FRCNN", "MOT17-09-FRCNN"]
    for name in names:
        write_sequence(tmp_path / name, 1)
    searches = make_searches(find_clips(tmp_path, "det/det.txt"), "leave-one-out")
    assert [s.held for s in searches] == [tuple(names[:2]), (names[2],), (names[3],), ()]
    for search in searches:
        assert sorted(search.train + search.held) == names
    two = make_searches(find_clips(tmp_path, "det/det.txt"), "2")
    assert [s.held for s in two] == [(*names[:2], names[3]), (names[2],), ()]
    with pytest.raises(InputError, match="3 video"):
        make_searches(find_clips(tmp_path, "det/det.txt"), "4")


# -- the search


def test_held_out_figures_can_be_had_by_hand(made: Made, tmp_path: Path) -> None:
    from retrace.tools.eval_mot import main as eval_mot
    from retrace.tools.track import main as track_main

    data, out, found = made
    for name in "ABC":
        preset = out / "folds" / f"without-{name}.yaml"
        arguments = [
            str(data / name),
            "--tracker",
            str(preset),
            "--detections",
            "det/det.txt",
            "--camera",
            "none",
        ]
        assert track_main([*arguments, "--out", str(tmp_path / "held"), "--quiet"]) == 0
        arguments[2] = str(out / "tuned.yaml")
        assert track_main([*arguments, "--out", str(tmp_path / "all"), "--quiet"]) == 0
    for results, row in (("held", "held out"), ("all", "in sample")):
        judged = tmp_path / f"{results}.json"
        eval_mot(["--gt", str(data), "--results", str(tmp_path / results), "--json", str(judged)])
        theirs = json.loads(judged.read_text())
        for name in "ABC":
            ours = found["scores"][row]["sequences"][name]
            assert {k: ours[k] for k in theirs["sequences"][name]} == theirs["sequences"][name]
        assert found["scores"][row]["combined"]["HOTA"] == theirs["combined"]["HOTA"]


def test_what_is_held_out_guides_nothing(made: Made, tmp_path: Path) -> None:
    _, out, found = made
    other = shutil.copytree(made[0], tmp_path / "data")
    write_sequence(other / "C", seed=99, people=9)
    again = run(other, tmp_path / "out", "--trials", TRIALS)
    assert again["scores"]["preset"]["sequences"]["C"] != found["scores"]["preset"]["sequences"]["C"]
    ours, theirs = (trials_of(place / "study.db", "without C") for place in (out, tmp_path / "out"))
    assert ours == theirs
    assert len(ours) == int(TRIALS) - 16
    assert again["searches"]["without C"] == found["searches"]["without C"]
    knowing = ("without A", "without B", "all")  # these do see C, or the test could not tell
    before, after = (
        [trials_of(place / "study.db", name) for name in knowing] for place in (out, tmp_path / "out")
    )
    assert before != after


def test_a_search_chooses_by_its_own_sequences(made: Made) -> None:
    _, out, found = made
    import optuna

    pool, own = (
        optuna.load_study(study_name=name, storage=f"sqlite:///{out / 'study.db'}").trials
        for name in ("pool", "without C")
    )
    assert all(set(t.user_attrs["metrics"]) == set("AB") for t in own)
    values = []
    for trial in (*pool, *own):
        parts = [metrics_from_json(trial.user_attrs["metrics"][name]) for name in "AB"]
        values.append(combine(parts).row()["HOTA"])
    assert found["searches"]["without C"]["HOTA"] == max(values)
    assert found["searches"]["without C"]["held_out"] == ["C"]
    assert found["scores"]["in sample"]["combined"]["HOTA"] >= found["scores"]["preset"]["combined"]["HOTA"]


def test_the_preset_is_the_first_point_unless_cold(made: Made, tmp_path: Path) -> None:
    data, out, _ = made
    own = {"high": 0.6, "stages.0.limit": 0.9, "confirm_hits": 2}
    assert trials_of(out / "study.db", "pool")[0] == own
    run(data, tmp_path / "cold", "--trials", "3", "--cold")
    assert own not in trials_of(tmp_path / "cold" / "study.db", "pool")
    run(data, tmp_path / "off", "--trials", "3", "--set", "high=0.2")  # outside the space
    assert all(p["high"] >= 0.3 for p in trials_of(tmp_path / "off" / "study.db", "pool"))


def test_the_tuned_preset_is_complete_and_says_where_it_is_from(
    made: Made,
) -> None:
    _, out, found = made
    tuned = load_preset(out / "tuned.yaml", TrackerConfig, "tracker")
    assert set(yaml.safe_load((out / "tuned.yaml").read_text())) == set(TrackerConfig.model_fields)
    chosen = found["searches"]["all"]["chosen"]
    assert tuned.high == chosen["high"]
    assert tuned.stages[0].limit == chosen["stages.0.limit"]
    figure = 100 * found["scores"]["held out"]["combined"]["HOTA"]
    assert f"held out {figure:.2f}" in tuned.source
    assert "A, B, C" in tuned.source
    assert "without C" in load_preset(out / "folds" / "without-C.yaml", TrackerConfig, "tracker").source
    assert found["files (truth, detections or warps)"].keys() == {
        f"{name}: {what}" for name in "ABC" for what in ("truth", "detections")
    }


def test_a_study_that_grows_is_the_study_made_at_once(made: Made, tmp_path: Path) -> None:
    data, _, found = made
    for trials in ("5", "18", TRIALS):  # in the pool, within a batch
        last = run(data, tmp_path / "out", "--trials", trials)
    assert last["searches"] == found["searches"]
    assert last["scores"] == found["scores"]
    again = run(data, tmp_path / "out", "--trials", TRIALS)
    assert again["scores"] == found["scores"]
    assert again["this_run"]["sequences_scored"] <= 3 + 3  # the preset, the held-out ones: no trial again
    assert run(data, tmp_path / "out", "--trials", "5")["trials"] == 5  # and back


def test_killed_and_joined_it_comes_to_the_same(made: Made, tmp_path: Path) -> None:
    data, _, found = made
    study = tmp_path / "shared.db"

    def given(name: str, jobs: str) -> list[str]:
        return options(data, tmp_path / name, "--trials", TRIALS, "--study", str(study), "--jobs", jobs)

    def finished() -> int:
        try:
            with sqlite3.connect(f"file:{study}?mode=ro", uri=True) as file:
                return file.execute("SELECT count(*) FROM trials").fetchone()[0]
        except sqlite3.Error:
            return 0

    first = Forked("tune", given("killed", "1"), tmp_path / "said")
    until = time.monotonic() + 120
    while finished() < 3 and time.monotonic() < until:
        time.sleep(0.02)
    first.kill()
    first.wait()
    assert 3 <= finished() < 40
    two = Forked("tune", given("two", "2"), tmp_path / "said too")
    assert tune.main(given("one", "1")) == 0  # meanwhile, in this process
    assert two.wait(300) == 0
    for name in ("one", "two"):
        last = json.loads((tmp_path / name / "run.json").read_text())
        assert last["searches"] == found["searches"]
        assert last["scores"] == found["scores"]


def test_a_point_is_one_process_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    ours = StudyFile(path, {})
    assert ours.claim("all", 16)
    assert not ours.claim("all", 16)
    assert ours.claim("all", 17)
    monkeypatch.setattr(tuning_study.socket, "gethostname", lambda: "elsewhere")
    theirs = StudyFile(path, {})
    assert not theirs.claim("all", 16)
    assert theirs.claim("without C", 16)
    now = time.time()
    monkeypatch.setattr(tuning_study.time, "time", lambda: now + tuning_study.LEASE + 1)
    assert theirs.claim("all", 16)  # nobody holds a point for ever
    monkeypatch.undo()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE retrace_claims SET host = ?, pid = ?", (ours._me[0], ended.pid))
    assert ours.claim("all", 17)  # whose process is gone
    ours.close()
    theirs.close()


# -- mistakes


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (("--metric", "IDF1"), "made with other metric"),
        (("--seed", "1"), "made with other seed"),
        (("--sequences", "A,B"), "made with other sequences"),
        (("--set", "low=0.2"), "made with other preset"),
        (("--cold",), "made with other --cold"),
    ],
)
def test_another_tuning_needs_another_study(made: Made, more: tuple[str, ...], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        tune.main(options(made[0], made[1], "--trials", TRIALS, "--jobs", "1", *more))


def test_a_changed_tracker_is_noticed(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out, _ = made
    shutil.copy(out / "study.db", tmp_path / "study.db")
    update = Tracker.update

    def blind_for_a_while(self: Tracker, seen: Detections, timestamp: float, warp: object = None) -> Tracks:
        return update(self, seen if timestamp > 0.3 else Detections.empty(), timestamp=timestamp)

    monkeypatch.setattr(Tracker, "update", blind_for_a_while)
    with pytest.raises(InputError, match="code has changed"):
        tune.main(
            options(data, out, "--trials", TRIALS, "--jobs", "1", "--study", str(tmp_path / "study.db"))
        )


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (("--trials", "0"), "--trials 0: expected"),
        (("--jobs", "0"), "--jobs 0: expected"),
        (("--seed", "-1"), "--seed -1: expected"),
        (("--folds", "1"), "--folds 1: expected"),
        (("--folds", "half"), "--folds half: expected"),
        (("--folds", "9"), "--folds 9: 3 video"),
        (("--sequences", "A,,B"), "different names"),
        (("--sequences", "A"), "1 video"),
        (("--sequences", "A,X"), "no sequence 'X'; it has: A, B, C"),
        (("--data", "nowhere"), "nowhere: no such folder"),
        (("--data", "{out}"), "no sequence folder"),
        (("--detections", "det/no.txt"), "no such file for A"),
        (("--camera", "no.txt"), "--camera no.txt: no such file for A"),
        (("--space", "bytetracks"), "unknown tune preset 'bytetracks'; did you mean 'bytetrack'"),
        (("--tracker", "bytetracks"), "did you mean 'bytetrack'"),
        (("--set", "hihg=1"), "did you mean 'high'"),
        (("--metric", "HOTAA"), "invalid choice"),
        (("--study", "{text}"), "not a usable SQLite file"),
        (("--study", "{foreign}"), "not of a tuning"),
        (("--out", "{text}"), "cannot be made a folder"),
    ],
)
def test_a_mistake_is_one_line(
    made: Made,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    fault: str,
) -> None:
    files = {"{text}": tmp_path / "text.db", "{foreign}": tmp_path / "foreign.db", "{out}": tmp_path}
    files["{text}"].write_text("no database at all, but long enough to be looked at as one" * 20)
    with sqlite3.connect(files["{foreign}"]) as file:
        file.execute("CREATE TABLE other (x)")
    given = [str(files.get(word, word)) for word in more]
    with pytest.raises(SystemExit) as left:
        guarded(tune.main, options(made[0], tmp_path / "out", "--trials", "2", "--jobs", "1", *given))
    told = capsys.readouterr().err
    assert left.value.code == 2
    assert re.search(fault, told), told
    assert told.count("\n") == 1


def test_a_missing_optuna_is_told(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=re.escape(install("tune"))):
        tune.main(options(made[0], tmp_path / "out"))


def test_a_fault_in_a_file_is_told(tmp_path: Path) -> None:
    data = data_in(tmp_path / "data")
    with open(data / "B" / "det" / "det.txt", "a") as file:
        file.write("99,-1,1,1,5,5,0.5,-1,-1,-1\n")
    with pytest.raises(InputError, match=r"det\.txt: frame 99 is outside"):
        run(data, tmp_path / "out", "--trials", "2")


def test_what_was_typed_is_told_without_secrets() -> None:
    plan = SimpleNamespace(trials=0, searches=[], metric="HOTA")
    tuning: Any = SimpleNamespace(plan=plan, seconds={}, shared=0, scored=0)
    typed = ["--cluster", "ray://me:s3cret@host:10001?token=t0ken"]
    assert record(tuning, {}, {}, typed, {})["arguments"] == ["--cluster", "ray://host:10001"]


def test_tables_say_what_is_honest(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    data, out, found = made
    given = options(data, out, "--trials", TRIALS, "--jobs", "1")
    given.remove("--quiet")
    assert tune.main(given) == 0
    told = capsys.readouterr().out
    assert "in sample (optimistic)" in told
    for row in ("preset", "held out"):
        assert f"{100 * found['scores'][row]['combined']['HOTA']:.2f}" in told
    gain = 100 * (
        found["scores"]["held out"]["combined"]["HOTA"] - found["scores"]["preset"]["combined"]["HOTA"]
    )
    assert f"HOTA {gain:+.2f} against the preset" in told
    assert ("keep the preset" in told) == (gain <= 0)


def test_help_is_light() -> None:
    probe = (
        "import sys, retrace.tools.tune as t; t.parser().format_help();"
        "print(*{'numpy', 'optuna'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()
    assert "--folds" in parser().format_help()
