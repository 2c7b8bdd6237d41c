"""tools/explain.py: the account of a frame, and the switches of a run."""

import json

import pytest

from retrace.eval.mot.score import evaluate
from retrace.tools import explain, track
from retrace.tools.terminal.console import OK, guarded
from retrace.tracker.ledger.by_identity import read_history
from retrace.tracker.ledger.file import LedgerFile
from retrace.tracker.ledger.switches_in_words import likely_switches
from retrace.tracker.mot_file import read_ground_truth, read_results
from retrace.tracker.run import checkpoint

PLAIN = """
high: 0.6
new: 0.7
confirm_hits: 2
start_frames: 1
max_age: 1
stages:
  - {tracks: [active, lost], detections: high, cost: {iou: 0.5, score_gap: 0.25}, limit: 0.4, gates: {iou: 0.9}}
  - {tracks: [active], detections: low, cost: iou, limit: 0.5}
  - {tracks: [tentative], detections: high, cost: iou, limit: 0.7}
"""
# By frame, from 1: (left, score). Everybody stands still, 40 px wide; id 1 at 100, id 2 at 500.
SCENE = {
    1: [(100, 0.9), (500, 0.9)],
    2: [(100, 0.9), (500, 0.9)],
    3: [(500, 0.9)],  # nothing where id 1 is expected
    4: [(100, 0.05), (500, 0.9)],  # below low
    5: [(100, 0.3), (500, 0.9)],  # low: not for lost tracks
    6: [(138, 0.65), (500, 0.9)],  # 2 of 78 px: gate 1 - 2/78 > 0.9; too weak for a new track
    7: [(110, 0.9), (500, 0.9)],  # back: IoU 30 / 50
    8: [(110, 0.9), (500, 0.9)],
    9: [(500, 0.9)],
    10: [(126, 0.9), (500, 0.9)],  # IoU about 24 / 56: 0.5 x 0.57 < 0.4, so it is taken
    11: [(126, 0.9), (500, 0.9)],
    12: [(500, 0.9)],
    20: [(500, 0.9)],
    24: [(126, 0.9), (500, 0.9)],  # somebody new: id 1 has expired at 10 fps
    25: [(126, 0.9), (500, 0.9)],
    26: [(126, 0.9), (500, 0.9)],
}


def sequence(folder, scene, fps=10):
    """A MOTChallenge folder with these boxes, 40 x 100 px at y 50."""
    (folder / "det").mkdir(parents=True)
    rows = [f"{frame},-1,{x},50,40,100,{score}" for frame, boxes in scene.items() for x, score in boxes]
    (folder / "det" / "det.txt").write_text("\n".join(rows) + "\n")
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate={fps}\nseqLength={max(scene)}\nimWidth=640\nimHeight=240\n"
    )
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run over SCENE."""
    base = tmp_path_factory.mktemp("explain")
    (base / "plain.yaml").write_text(PLAIN)
    source = sequence(base / "S", {frame: SCENE.get(frame, SCENE[12]) for frame in range(1, 27)})
    save = ["--save", "mot,ledger", "--quiet", "--tracker", str(base / "plain.yaml")]
    assert track.main([str(source), "--out", str(base / "out"), *save]) == OK
    return base / "out"


@pytest.fixture
def told(capsys):
    def tell(*arguments):
        assert explain.main([str(a) for a in arguments]) == OK
        return capsys.readouterr().out

    return tell


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        guarded(explain.main, [str(a) for a in arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_a_match(run, told):
    text = told(run, "--frame", 2, "--id", 1)
    assert "S, frame 2 (the first is 1; 0.10 s), id 1" in text
    assert "joined to detection 0 (score 0.90) at left 100 top 50 width 40 height 100" in text
    assert (
        "in stage 1 of 3 (active and lost tracks with high scores), cost 0.000 = 0.5 x iou 0.000 + 0.25 x"
        in text
    )
    assert "limit 0.4" in text
    assert "gate iou open (" in text
    assert "no other pair was in question" in text


def test_lost_because_nothing_was_there(run, told):
    text = told(run, "--frame", 3, "--id", 1)
    assert "not found in this frame; last seen in frame 2, 0.10 s before" in text
    assert "active, expected at left 100 top 50 width 40 height 100" in text
    assert "why: nothing was detected where it was expected; the nearest box is 10.0 widths away" in text
    assert "stage 1 (active and lost tracks with high scores): no candidate" in text
    assert "stage 3 (tentative tracks with high scores): not for active tracks" in text
    assert "back in frame 7, after 0.50 s, in stage 1 at cost 0.200" in text  # 0.5 x (1 - 30 / 50)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (4, "detection 0 lay there (IoU 1.00) but scored 0.05, below low 0.1"),
        (
            5,
            "detection 0 lay there (IoU 1.00) but scored 0.30, and no stage compares lost tracks with low scores",
        ),
        (6, "its best candidate, detection 0 (cost 0.5"),
    ],
)
def test_lost_for_other_reasons(frame, why, run, told):
    assert f"why: {why}" in told(run, "--frame", frame, "--id", 1)


def test_a_limit_exceeded_says_by_whom_it_was_taken(run, told):
    text = told(run, "--frame", 6, "--id", 1)
    assert "not below the limit 0.4; it went to nobody (score 0.65)" in text
    assert "0.5 x iou 0.97" in text  # 1 - 2 / 78


def test_found_again(run, told):
    text = told(run, "--frame", 7, "--id", 1)
    assert "cost 0.200 = 0.5 x iou 0.400 + 0.25 x score_gap 0.000" in text
    assert "found again: last seen in frame 2, 0.50 s before" in text


def test_never_back(run, told):
    text = told(run, "--frame", 15, "--id", 1)
    assert "never back; gone in frame 22: not seen for 1.10 s, more than max_age 1 s" in text
    assert "gone since frame 22" in told(run, "--frame", 25, "--id", 1)


def test_births(run, told):
    assert "not there yet: it begins in frame 24" in told(run, "--frame", 20, "--id", 3)
    text = told(run, "--frame", 24, "--id", 3)
    assert "began here, with detection 0" in text
    assert "not reported yet: it was to be confirmed first" in text
    assert "reported from this frame on" in told(run, "--frame", 25, "--id", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frame", 2, "--id", 9), "--id 9: no such identity in S; nearest in frame 2: 1, 2"),
        (("--frame", 0, "--id", 1), "--frame 0: expected 1 to 26 (frames count from 1)"),
        (("--frame", 27, "--id", 1), "--frame 27: expected 1 to 26"),
        (("--frame", 2), "expected --frame F --id ID, or --switches"),
        (("--switches", "--id", 3), "leave --frame and --id out"),
        (("--frame", 2, "--id", 1, "--gt", "x"), "--gt does nothing without --switches"),
        (("--switches", "--benchmark", "MOT17"), "--benchmark does nothing without --gt"),
        (("--switches", "--gt", "no.txt"), "no.txt"),
        (("--source", "T", "--switches"), "--source T: "),
        (("--frame", "x"), "invalid int value"),
    ],
)
def test_bad_input(arguments, message, run, capsys):
    assert message in fails(capsys, run, *arguments)


def test_runs_without_a_ledger(tmp_path, capsys):
    assert "no such folder" in fails(capsys, tmp_path / "no", "--switches")
    assert "run `retrace track` again and save mot,ledger" in fails(capsys, tmp_path, "--switches")
    (tmp_path / "a.ledger.jsonl.partial").write_text("")
    assert "a.ledger.jsonl.partial is of a stopped run" in fails(capsys, tmp_path, "--switches")
    for name in "bc":
        (tmp_path / f"{name}.ledger.jsonl").write_text("")
    assert "name one with --source: b, c" in fails(capsys, tmp_path, "--frame", 2, "--id", 1)
    assert "is no ledger" in fails(capsys, tmp_path, "--switches", "--source", "b")


def crossing(folder):
    """Two people meet; the second is not detected for a while, and somebody new begins at its place."""
    scene = {}
    for frame in range(1, 41):
        boxes = [(100 + 6 * frame, 0.9)]
        if not 15 <= frame <= 20:
            boxes.append((400 - 6 * frame, 0.9))
        scene[frame] = boxes
    return sequence(folder, scene)


@pytest.fixture
def crossed(tmp_path):
    """A run in which an identity breaks in two, and its ground truth: person 7 and person 8."""
    source = crossing(tmp_path / "C")
    save = ["--save", "mot,ledger", "--quiet", "--tracker", "bytetrack", "--set", "max_age=0.5"]
    assert track.main([str(source), "--out", str(tmp_path / "out"), *save]) == OK
    rows = [
        f"{f},{p},{x},50,40,100,1,1,1" for f in range(1, 41) for p, x in ((7, 100 + 6 * f), (8, 400 - 6 * f))
    ]
    (tmp_path / "gt.txt").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_likely_and_true_switches(crossed, told):
    text = told(crossed / "out", "--switches")
    assert "id 2 -> id 3: id 3 began where id 2 was expected" in text
    assert "id 2 was lost in frame 15" in text
    assert "frame 25: " in text, "where the two boxes are one: the other way round costs nothing more"
    assert "C: 2 switches, likely; frames count from 1" in text
    text = told(crossed / "out", "--switches", "--gt", crossed / "gt.txt")
    assert "person 8 was id 2 until frame 14, is id 3 now: id 2 was lost in frame 15 (" in text
    assert "id 3 began in frame 21" in text
    assert "C: 1 switches, true (CLEAR's IDSW)" in text
    account = told(crossed / "out", "--frame", 16, "--id", 2)
    assert "id 3 began in frame 21 where it was expected" in account


def test_several_sources_one_after_the_other(crossed, told, capsys):
    """A run of two: all switches, also the true ones where the folder has ground truth of both."""
    for path in (crossed / "out").glob("C.*"):
        text = path.read_text().replace('"source":"C"', '"source":"D"')
        path.with_name(path.name.replace("C.", "D.", 1)).write_text(text)
    text = told(crossed / "out", "--switches")
    assert text.index("C: 2 switches, likely") < text.index("D: 2 switches, likely")
    for name in "CD":
        (crossed / "gt" / name / "gt").mkdir(parents=True)
        (crossed / "gt" / name / "gt" / "gt.txt").write_bytes((crossed / "gt.txt").read_bytes())
    text = told(crossed / "out", "--switches", "--gt", crossed / "gt")
    assert text.count("person 8 was id 2 until frame 14") == 2
    assert "name one with --source: C, D" in fails(
        capsys, crossed / "out", "--switches", "--gt", crossed / "gt.txt"
    )


def test_ground_truth_of_other_frames_is_refused(crossed, capsys):
    with open(crossed / "gt.txt", "a") as file:
        file.write("99,7,1,1,10,10,1,1,1\n")
    error = fails(capsys, crossed / "out", "--switches", "--gt", crossed / "gt.txt")
    assert "frame 99 is outside the sequence (1..40); is it of the same frames as C.ledger.jsonl?" in error
    error = fails(capsys, crossed / "out", "--switches", "--gt", crossed / "gt.txt", "--benchmark", "MOT1")
    assert "unknown benchmark 'MOT1'" in error


def test_true_switches_of_real_boxes(shared, tmp_path, capsys):
    """TUD-Campus: as many as eval_mot counts."""
    source = shared / "MOT15-train" / "TUD-Campus"
    save = ["--save", "mot,ledger", "--quiet", "--reid", "none", "--camera", "none"]
    detections = ["--detections", "det_sort_frcnn/det.txt", "--tracker", "bytetrack"]
    if not (source / "det_sort_frcnn" / "det.txt").is_file():
        pytest.skip("needs TUD-Campus's det_sort_frcnn/det.txt")
    assert track.main([str(source), "--out", str(tmp_path), *save, *detections]) == OK
    gt_file = source / "gt" / "gt.txt"
    metrics = evaluate(read_ground_truth(gt_file), read_results(tmp_path / "TUD-Campus.txt"), 71, "MOT15")
    assert explain.main([str(tmp_path), "--switches", "--gt", str(gt_file)]) == OK
    assert f"TUD-Campus: {metrics.clear.IDSW} switches, true" in capsys.readouterr().out


def test_an_offline_run_says_whose_identities_these_are(run, told, tmp_path):
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((run / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(manifest | {"online": False}))
    assert "identities are those of S.online.txt" in told(tmp_path, "--frame", 2, "--id", 1)
    assert "S.online.txt" not in told(run, "--frame", 2, "--id", 1)


def test_a_stopped_run_goes_on_with_the_same_ledger(tmp_path, monkeypatch):
    source = sequence(tmp_path / "S", {frame: SCENE.get(frame, SCENE[12]) for frame in range(1, 27)})
    save = ["--save", "mot,ledger", "--quiet", "--tracker", "bytetrack"]
    assert track.main([str(source), "--out", str(tmp_path / "whole"), *save]) == OK
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    took = checkpoint.Checkpoint.took

    def die(self, step):
        took(self, step)
        if step.frame.index == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "took", die)
    with pytest.raises(KeyboardInterrupt):
        track.main([str(source), "--out", str(tmp_path / "out"), *save])
    assert (tmp_path / "out" / "S.ledger.jsonl.partial").is_file()
    monkeypatch.setattr(checkpoint.Checkpoint, "took", took)
    assert track.main([str(source), "--out", str(tmp_path / "out"), *save, "--resume"]) == OK
    for name in ("S.txt", "S.ledger.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_close_call(tmp_path):
    """Two side by side, then one box between them: 30 / 50 of it fits the one, 29 / 51 the other."""
    scene = {frame: [(100, 0.9), (121, 0.9)] for frame in range(1, 5)}
    scene |= {5: [(110, 0.9)], 6: [(110, 0.9)]}
    source = sequence(tmp_path / "K", scene)
    save = ["--save", "mot,ledger", "--quiet", "--tracker", "bytetrack"]
    assert track.main([str(source), "--out", str(tmp_path / "out"), *save]) == OK
    history = read_history(LedgerFile(tmp_path / "out" / "K.ledger.jsonl"))
    (switch,) = likely_switches(history)
    assert (switch.frame, switch.before, switch.after) == (4, 2, 1)
    # 1 - 0.9 x 30 / 50 and 1 - 0.9 x 29 / 51
    assert "a close call for detection 0, id 1 at cost 0.460, id 2 at 0.488, who was lost" in switch.text


BY_SCORE = """
high: 0.5
new: 0.6
confirm_hits: 2
start_frames: 1
max_age: 1
stages:
  - {tracks: [active, lost], detections: high, cost: COST, limit: 0.4}
  - {tracks: [tentative], detections: high, cost: iou, limit: 0.7}
"""


def suspects(folder, scene, cost):
    """The likely switches of a tracker that goes by scores rather than places."""
    (folder / "score.yaml").write_text(BY_SCORE.replace("COST", cost))
    source = sequence(folder / "T", scene)
    save = ["--save", "mot,ledger", "--quiet", "--tracker", str(folder / "score.yaml")]
    assert track.main([str(source), "--out", str(folder / "out"), *save]) == OK
    return likely_switches(read_history(LedgerFile(folder / "out" / "T.ledger.jsonl")))


def test_a_theft(tmp_path):
    """Id 1 (score 0.95) at 130, id 2 (0.65) at 100; then one box at 126 with id 2's score. It fits id 1's place:
    36 / 44 against 14 / 66. Costs: 0.1 x 8/44 + 0.3, and 0.1 x 52/66: no close call."""
    scene = {frame: [(100, 0.65), (130, 0.95)] for frame in range(1, 5)}
    (switch,) = suspects(tmp_path, scene | {5: [(126, 0.65)], 6: [(126, 0.65)]}, "{iou: 0.1, score_gap: 1}")
    assert (switch.frame, switch.before, switch.after) == (4, 1, 2)
    assert "id 2 took detection 0, where id 1 was expected (IoU 0.82 against 0.21)" in switch.text


def test_who_is_surely_found_again_is_no_suspect(tmp_path):
    """Away for three frames, then back 38 px further: cost 0 with the same score, 0.38 of 0.4 with another."""
    scene = {frame: [(100, 0.9)] for frame in range(1, 5)} | {frame: [] for frame in (5, 6, 7)}
    for name, score, expected in (("sure", 0.9, []), ("hardly", 0.52, [(7, 1, 1)])):
        (tmp_path / name).mkdir()
        found = suspects(tmp_path / name, scene | {8: [(138, score)], 9: [(138, score)]}, "score_gap")
        assert [(s.frame, s.before, s.after) for s in found] == expected
