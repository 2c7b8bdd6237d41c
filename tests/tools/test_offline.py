"""tools/track.py --offline, tools/offline.py, and how eval_mot.py marks what they made."""

import json

import numpy as np
import pytest

from retrace.eval.manifest import offline_mark, unlike
from retrace.tools import eval_mot, offline, track
from retrace.tools.terminal.console import OK, guarded
from retrace.tracker.mot_file import read_results
from retrace.tracker.offline.files import improve_folder, read_passes
from tests.conftest import ROOT
from tests.small_video import FPS, LENGTH, write_boxes
from tests.tools.run_track import stop_at

HIDDEN = range(10, 14)  # frames in which nobody is detected


@pytest.fixture
def sequence(tmp_path):
    """A MOTChallenge folder without images; the two people are away for four frames."""
    folder = tmp_path / "MOT99-01"
    (folder / "det").mkdir(parents=True)
    lines = write_boxes(tmp_path / "all.txt").read_text().splitlines()
    seen = [line for line in lines if int(line.split(",")[0]) - 1 not in HIDDEN]
    (folder / "det" / "det.txt").write_text("\n".join(seen) + "\n")
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=MOT99-01\nframeRate={FPS}\nseqLength={LENGTH}\nimWidth=192\nimHeight=96\n"
    )
    return folder


def run(tool, *arguments):
    assert tool.main([str(a) for a in arguments]) == OK


def fails(capsys, tool, *arguments):
    with pytest.raises(SystemExit) as caught:
        guarded(tool.main, [str(a) for a in arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def manifest(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture
def online(sequence, tmp_path):
    run(track, sequence, "--out", tmp_path / "online", "--quiet")
    return tmp_path / "online"


def test_a_run_improves_its_result_and_keeps_the_online_one(sequence, online, tmp_path, capsys):
    out = tmp_path / "out"
    run(
        track, sequence, "--out", out, "--offline", "--set", "offline.interpolate.gap=2", "--set", "max_age=3"
    )
    assert (out / "MOT99-01.online.txt").read_bytes() == (online / "MOT99-01.txt").read_bytes()
    before, after = read_results(out / "MOT99-01.online.txt"), read_results(out / "MOT99-01.txt")
    assert not np.isin(before.frame, HIDDEN).any()
    assert np.isin(HIDDEN, after.frame).all()
    assert len(after) == 2 * LENGTH
    said = capsys.readouterr().out
    assert (
        f"offline link, reconnect, interpolate, smooth, remove_short: {len(before)} -> {2 * LENGTH} boxes"
        in said
    )
    assert str(out / "MOT99-01.txt") in said
    told = manifest(out)
    assert told["online"] is False
    assert [one["pass"] for one in told["post_processing"]] == [
        "link",
        "reconnect",
        "interpolate",
        "smooth",
        "remove_short",
    ]
    assert told["post_processing"][2] == {"pass": "interpolate", "gap": 2.0}
    assert told["tracker"]["max_age"] == 3
    assert not list(out.glob("*.partial"))
    assert manifest(online)["online"] is True
    assert manifest(online)["post_processing"] == []


def test_gaps_are_filled_afterwards_instead_of_guessed_at(sequence, tmp_path):
    for passes, hidden in (("interpolate", None), ("remove_short", {"age": 0.5})):
        run(track, sequence, "--out", tmp_path / passes, "--offline", passes)
        told = manifest(tmp_path / passes)["tracker"]["hidden"]
        assert (told is None) == (hidden is None)
    run(track, sequence, "--out", tmp_path / "mine", "--offline", "--set", "hidden.age=0.3")
    assert manifest(tmp_path / "mine")["tracker"]["hidden"]["age"] == 0.3


def test_some_passes_and_a_preset_of_ones_own(sequence, tmp_path):
    run(track, sequence, "--out", tmp_path / "a", "--offline", "interpolate", "--quiet")
    before, after = (read_results(tmp_path / "a" / f"MOT99-01{end}.txt") for end in (".online", ""))
    seen = ~np.isin(after.frame, HIDDEN)
    assert (after.xyxy[seen] == before.xyxy).all()
    own = tmp_path / "own.yaml"
    text = (ROOT / "configs/offline/default.yaml").read_text()
    own.write_text(
        text.replace("passes: [link, reconnect, interpolate, smooth, remove_short]", "passes: [interpolate]")
    )
    run(track, sequence, "--out", tmp_path / "b", "--offline", own, "--quiet")
    assert (tmp_path / "a/MOT99-01.txt").read_bytes() == (tmp_path / "b/MOT99-01.txt").read_bytes()


def test_files_of_a_run_can_be_improved_later(sequence, online, tmp_path, capsys, monkeypatch):
    run(track, sequence, "--out", tmp_path / "at-once", "--offline", "--quiet")
    run(offline, "--results", online, "--out", tmp_path / "later")
    assert "MOT99-01.txt: " in capsys.readouterr().out
    whole = (tmp_path / "at-once/MOT99-01.txt").read_bytes()
    assert (tmp_path / "later/MOT99-01.txt").read_bytes() == whole
    told, before = manifest(tmp_path / "later"), manifest(online)
    assert told["post_processing"] == manifest(tmp_path / "at-once")["post_processing"]
    assert told["tracker"] == before["tracker"]
    assert told["offline"]["fps"] == {"MOT99-01": 10.0}
    assert "online true against false" in unlike(before, told)
    typed = ["--out", "http://me:s3cret@host/improved?token=t0ken"]  # a folder, if a strange one
    monkeypatch.chdir(tmp_path)
    run(offline, "--results", online, *typed)
    assert manifest(tmp_path / typed[1])["offline"]["arguments"][2:] == ["--out", "http://host/improved"]
    # once more: both rounds are told, and the online result beside it is left alone
    run(
        offline,
        "--results",
        tmp_path / "at-once",
        "--out",
        tmp_path / "twice",
        "--passes",
        "smooth",
        "--quiet",
    )
    assert [p.name for p in sorted((tmp_path / "twice").iterdir())] == ["MOT99-01.txt", "run.json"]
    assert len(manifest(tmp_path / "twice")["post_processing"]) == 6
    # a tracking run does not take them for its own
    run(track, sequence, "--out", tmp_path / "later", "--resume", "--quiet")
    assert (tmp_path / "later/MOT99-01.txt").read_bytes() == (online / "MOT99-01.txt").read_bytes()


def test_files_of_another_tracker(sequence, tmp_path, capsys):
    theirs, out = tmp_path / "theirs", tmp_path / "out"
    theirs.mkdir()
    (theirs / "MOT99-01.txt").write_text("1,1,0,0,10,20,1\n11,1,10,0,10,20,1\n")
    (theirs / "other.txt").write_text("")
    assert "give --sequences DIR or --fps F" in fails(capsys, offline, "--results", theirs, "--out", out)
    given = ("--results", theirs, "--passes", "interpolate", "--set", "interpolate.gap=1", "--quiet")
    run(offline, *given, "--fps", "10", "--out", out)
    assert len(read_results(out / "MOT99-01.txt")) == 11
    assert (out / "other.txt").read_text() == ""
    assert manifest(out)["online"] is False
    run(offline, *given, "--fps", "9", "--out", out)
    assert len(read_results(out / "MOT99-01.txt")) == 2
    (theirs / "other.txt").unlink()
    run(offline, *given, "--sequences", sequence.parent, "--out", out)
    assert len(read_results(out / "MOT99-01.txt")) == 11


@pytest.fixture
def returning(tmp_path):
    """A MOTChallenge folder without images, and detections with vectors: A walks, is away for 3 s inside the picture
    and goes on where motion does not expect it; B is there all the time."""
    folder = tmp_path / "MOT99-02"
    folder.mkdir()
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=MOT99-02\nframeRate={FPS}\nseqLength=60\nimWidth=640\nimHeight=480\n"
    )
    who = [(k, 0, 100 + 2 * k) for k in range(15)] + [(k, 0, 300) for k in range(45, 60)]
    who = sorted(who + [(k, 1, 500) for k in range(60)])
    rng = np.random.default_rng(4)
    vectors = np.eye(4)[[i for _, i, _ in who]] + rng.normal(0, 0.02, (len(who), 4))
    np.savez(
        folder / "det.npz",
        frame=[k for k, _, _ in who],
        xyxy=[(x, 200, x + 30, 280) for _, _, x in who],
        score=np.full(len(who), 0.9),
        embedding=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )
    return folder


SHORT = ("--detections", "det.npz", "--tracker", "bytetrack", "--set", "max_age=1", "--quiet")


def ids_in(path):
    return len(set(read_results(path).id.tolist()))


def test_people_are_reconnected_by_looks_at_once_or_later(returning, tmp_path, capsys):
    name = "MOT99-02.txt"
    run(track, returning, *SHORT, "--out", tmp_path / "once", "--offline")
    assert ids_in(tmp_path / "once/MOT99-02.online.txt") == 3
    assert ids_in(tmp_path / "once" / name) == 2
    run(track, returning, *SHORT, "--out", tmp_path / "run", "--save", "looks")
    run(offline, "--results", tmp_path / "run", "--out", tmp_path / "later", "--quiet")
    assert (tmp_path / "later" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    assert manifest(tmp_path / "later")["offline"]["looks"] == {"MOT99-02": 3}
    # whoever's results: from the vectors of the boxes they overlap
    (tmp_path / "run/MOT99-02.looks.npz").unlink()
    given = ("--results", tmp_path / "run", "--out", tmp_path / "theirs", "--quiet")
    run(offline, *given)
    assert ids_in(tmp_path / "theirs" / name) == 3
    run(offline, *given, "--vectors", returning.parent / "{name}" / "det.npz")
    assert (tmp_path / "theirs" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    # and ids that were joined already are not looked up among those of before
    run(track, returning, *SHORT, "--out", tmp_path / "both", "--save", "looks", "--offline", "link")
    run(offline, "--results", tmp_path / "both", "--out", tmp_path / "again")
    assert "nobody's looks are known, so nobody reconnected" in capsys.readouterr().out


def test_a_stopped_run_remembers_looks(returning, tmp_path, monkeypatch):
    words = (returning, *SHORT, "--offline", "--save", "looks", "--out")
    run(track, *words, tmp_path / "whole")
    stop_at(monkeypatch, 30, *words, tmp_path / "out")
    run(track, *words, tmp_path / "out", "--resume")
    for end in (".txt", ".online.txt", ".looks.npz"):
        name = f"MOT99-02{end}"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert ids_in(tmp_path / "out/MOT99-02.txt") == 2


def test_what_vectors_must_be(returning, tmp_path, capsys):
    run(track, returning, *SHORT, "--out", tmp_path / "run")
    given = ("--results", tmp_path / "run", "--out", tmp_path / "o")
    assert "no such" in fails(capsys, offline, *given, "--vectors", tmp_path / "none.npz")
    blind = returning / "blind.npz"
    with np.load(returning / "det.npz") as file:
        np.savez(blind, **{key: file[key] for key in ("frame", "xyxy", "score")})
    assert "has no array 'embedding'" in fails(capsys, offline, *given, "--vectors", blind)
    whole = returning / "det.npz"
    (tmp_path / "run/run.json").unlink()
    said = fails(capsys, offline, *given, "--fps", "10", "--vectors", whole)
    assert (
        "MOT99-02: size of the picture unknown, and reconnect must see who leaves it; give --sequences"
        in said
    )
    np.savez(tmp_path / "run/MOT99-02.looks.npz", id=[1, 1], total=np.ones((2, 3)), count=[1, 1])
    assert "expected id, total and count" in fails(capsys, offline, *given, "--fps", "10")
    (tmp_path / "run/MOT99-02.looks.npz").write_bytes(b"no")
    assert "expected id, total and count" in fails(capsys, offline, *given, "--fps", "10")
    assert not (tmp_path / "o").exists()
    said = fails(capsys, offline, *given, "--fps", "10", "--passes", "interpolate", "--vectors", blind)
    assert "--vectors is for the pass reconnect" in said


def test_mistakes(sequence, online, tmp_path, capsys):
    out = ("--out", tmp_path / "o")
    said = fails(capsys, track, sequence, *out, "--set", "offline.smooth.noise=1")
    assert "offline.smooth.noise does nothing without --offline" in said
    assert "got 'polish'" in fails(capsys, track, sequence, *out, "--offline", "link,polish")
    assert "smooth.nois" in fails(
        capsys, track, sequence, *out, "--offline", "--set", "offline.smooth.nois=1"
    )
    assert "no such preset file" in fails(capsys, track, sequence, *out, "--offline", "mine.yaml")
    assert not (tmp_path / "o").exists()
    assert "name another folder" in fails(capsys, offline, "--results", online, "--out", online)
    assert "no SEQUENCE.txt there" in fails(capsys, offline, "--results", tmp_path / "none", *out)
    assert "fps must be" in fails(capsys, offline, "--results", online, *out, "--fps", "0")
    (online / "MOT99-01.txt").write_text("1,1,0,0,9,9,1\n1,1,5,5,9,9,1\n")
    said = fails(capsys, offline, "--results", online, *out)
    assert "MOT99-01.txt: frame 1: expected each id once, id 1 comes twice" in said
    assert not (tmp_path / "o").exists()


def test_a_stopped_run_goes_on_to_the_same_result(sequence, tmp_path, monkeypatch):
    run(track, sequence, "--out", tmp_path / "whole", "--offline", "--quiet")
    stop_at(monkeypatch, 15, sequence, "--out", tmp_path / "out", "--offline", "--quiet")
    assert not list((tmp_path / "out").glob("*.txt"))
    for _ in range(2):  # the second time everything is there
        run(track, sequence, "--out", tmp_path / "out", "--offline", "--resume", "--quiet")
        for end in (".txt", ".online.txt"):
            name = f"MOT99-01{end}"
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    run(track, sequence, "--out", tmp_path / "out", "--offline", "interpolate", "--resume", "--quiet")
    assert manifest(tmp_path / "out")["sequences"]["MOT99-01"]["frames"] == LENGTH
    assert (tmp_path / "out/MOT99-01.txt").read_bytes() != (tmp_path / "whole/MOT99-01.txt").read_bytes()


def test_the_evaluation_shows_the_mark(sequence, online, tmp_path, capsys):
    run(track, sequence, "--out", tmp_path / "out", "--offline", "--quiet")
    rows = read_results(online / "MOT99-01.txt")
    gt = sequence / "gt" / "gt.txt"
    gt.parent.mkdir()
    size = rows.xyxy[:, 2:] - rows.xyxy[:, :2]
    columns = zip(rows.frame + 1, rows.id, *rows.xyxy[:, :2].T, *size.T, strict=True)
    gt.write_text("".join(f"{','.join(map(str, row))},1,1,1\n" for row in columns))
    score = ("--gt", sequence.parent, "--sequences", "MOT99-01", "--benchmark", "custom")
    run(eval_mot, *score, "--results", tmp_path / "out")
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith("1 sequence, OFFLINE: link, reconnect, interpolate, smooth, remove_short")
    run(eval_mot, *score, "--results", online)
    assert capsys.readouterr().out.splitlines()[0].endswith("1 sequence")
    said = fails(capsys, eval_mot, *score, "--results", tmp_path / "out", "--compare", online)
    assert "online false against true" in said
    for results, told in ((tmp_path / "out", False), (online, True)):
        run(eval_mot, *score, "--results", results, "--json", "-")
        assert json.loads(capsys.readouterr().out)["online"] is told


@pytest.mark.parametrize(
    ("told", "mark"),
    [
        (None, ""),
        ({}, ""),
        ({"online": True, "post_processing": []}, ""),
        ({"online": False}, ", OFFLINE"),
        ({"online": False, "post_processing": [{"pass": "link", "gap": 1}, "gsi"]}, ", OFFLINE: link, gsi"),
        ({"post_processing": "gbi"}, ", OFFLINE: gbi"),
        ({"parameters": {"online": False, "post_processing": []}}, ", OFFLINE"),
    ],
)
def test_marks(told, mark):
    assert offline_mark(told) == mark


@pytest.mark.parametrize("ending", [".tracks.txt", ".online.txt", ".gmc.txt"])
def test_what_lies_beside_a_result_is_no_sequence(tmp_path, ending):
    for name in ("a.txt", f"a{ending}"):
        (tmp_path / name).write_text("1,1,0,0,10,20,1,1,1\n")
    passes = read_passes("interpolate", {})
    assert [*improve_folder(tmp_path, passes, {}, fps=10)] == ["a"]
