"""tools/track.py from its arguments to its files."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import av
import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.terminal.console import INTERRUPTED, OK, guarded
from retrace.tracker.mot_file import read_results
from retrace.tracker.run import checkpoint
from tests.conftest import ROOT
from tests.small_video import FPS, LENGTH, boxes, make_video, write_boxes
from tests.tools.forked import Forked
from tests.tools.run_track import fails, run, stop_at


@pytest.fixture
def video(tmp_path):
    return make_video(tmp_path / "squares.mp4")


@pytest.fixture
def det(tmp_path):
    return write_boxes(tmp_path / "det.txt")


@pytest.fixture
def sequence(tmp_path):
    """A MOTChallenge folder without images."""
    folder = tmp_path / "MOT99-01"
    (folder / "det").mkdir(parents=True)
    write_boxes(folder / "det" / "det.txt")
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=MOT99-01\nframeRate={FPS}\nseqLength={LENGTH}\nimWidth=192\nimHeight=96\n"
    )
    return folder


def test_everything_from_a_video(video, det, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(video, "--detections", det, "--out", out, "--save", "mot,video,jsonl,sheet") == OK
    rows = read_results(out / "squares.txt")
    assert sorted(set(rows.id.tolist())) == [1, 2]
    assert rows.frame.max() == LENGTH - 1
    for k in (0, 7, LENGTH - 1):
        left = sorted(rows.xyxy[rows.frame == k, 0])
        assert np.allclose(left, sorted(x for x, *_ in boxes(k)), atol=6)
    with av.open(str(out / "squares.mp4")) as made:
        assert made.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in made.decode(video=0)) == LENGTH
    lines = [json.loads(line) for line in (out / "squares.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(LENGTH))
    assert {t["det_index"] for line in lines for t in line["tracks"]} == {0, 1}
    assert cv2.imread(str(out / "squares.png")) is not None
    said = capsys.readouterr().out
    assert "squares: 30 frames, 2 tracks" in said
    for stage in ("decode", "detect", "track", "draw", "encode"):
        assert f"{stage} " in said
    assert str(out / "squares.mp4") in said
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["tracker"]["high"] == 0.5
    assert manifest["sequences"]["squares"]["complete"] is True
    assert len(manifest["sequences"]["squares"]["detections_sha256"]) == 64
    assert not list(out.glob("*.partial")) + list(out.glob("*.npz"))


def test_the_same_input_gives_the_same_bytes(video, det, tmp_path):
    for name in "ab":
        run(video, "--detections", det, "--out", tmp_path / name, "--quiet")
    assert (tmp_path / "a/squares.txt").read_bytes() == (tmp_path / "b/squares.txt").read_bytes()


def test_a_sequence_without_images(sequence, tmp_path, capsys):
    for more in ([], ["--detections", "det/det.txt"], ["--tracker", "bytetrack", "--set", "max_age=2"]):
        assert run(sequence, "--out", tmp_path / "out", *more) == OK
        assert len(read_results(tmp_path / "out" / "MOT99-01.txt")) > LENGTH
    said = capsys.readouterr().out
    assert "MOT99-01: 30 frames, 2 tracks" in said
    assert re.search(r"frames/s by stage: decode \d+, detect \d+, track \d+, write \d+\)", said)
    assert "has no images to draw on" in fails(capsys, sequence, "--save", "video", "--out", tmp_path / "out")


def test_several_sources(sequence, video, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for k in range(5):
        cv2.imwrite(str(images / f"{k}.png"), np.zeros((64, 64, 3), np.uint8))
    other = tmp_path / "x"
    other.mkdir()
    again = make_video(other / "squares.mp4", length=5)
    out = tmp_path / "out"
    assert run(sequence, video, images, again, "--detector", "hog", "--out", out) == OK
    names = {path.stem for path in out.glob("*.txt")}
    assert names == {"MOT99-01", "squares", "images", "squares-2"}
    assert (out / "images.txt").read_text() == "", "nobody there: an empty file, as MOTChallenge wants it"
    assert set(json.loads((out / "run.json").read_text())["sequences"]) == names


def test_the_first_frames_to_try(video, det, tmp_path):
    """And a sheet that is as full as of a video of that length: seven pictures, four in a row."""
    what = (video, "--detections", det, "--reid", "none", "--out", tmp_path / "o")
    assert run(*what, "--length", "7", "--save", "sheet") == OK
    assert read_results(tmp_path / "o" / "squares.txt").frame.max() == 6
    sheet = cv2.imread(str(tmp_path / "o" / "squares.png"))
    assert sheet.shape[0] == 2 * (480 // 2 + 22)
    assert json.loads((tmp_path / "o" / "run.json").read_text())["sequences"]["squares"]["frames"] == 7


def test_answers_of_several_sources(tmp_path, capsys):
    """Two videos with one file of lines; a later run without crops leaves no old ones beside the new result."""
    sources = [make_video(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    (tmp_path / "r.yaml").write_text("lines: [{name: door, points: [[40, 0], [40, 96]]}]")
    common = (*sources, "--detector", "hog", "--reid", "none", "--out", tmp_path / "o")
    assert run(*common, "--regions", tmp_path / "r.yaml", "--save", "csv,crops,persons,coco") == OK
    said = capsys.readouterr().out
    assert said.count("\n  nobody\n") == 2  # HOG takes no square for a person
    for name in "ab":
        assert (tmp_path / "o" / f"{name}.lines.csv").read_text() == "line,time,id,direction,x,y\n"
        assert (tmp_path / "o" / f"{name}.crops").is_dir()
    assert run(*common, "--save", "csv") == OK
    left = {path.name for path in (tmp_path / "o").iterdir()}
    assert left == {"run.json", *(f"{name}.{ending}" for name in "ab" for ending in ("txt", "csv"))}


@pytest.mark.parametrize("in_the_way", ["file", "link"])
def test_crops_have_no_place(video, det, tmp_path, capsys, in_the_way):
    """Said before the first frame, and what is there stays."""
    (tmp_path / "o").mkdir()
    taken = tmp_path / "o" / "squares.crops"
    taken.write_text("mine") if in_the_way == "file" else taken.symlink_to(tmp_path)
    what = (video, "--detections", det, "--reid", "none", "--out", tmp_path / "o", "--save", "crops")
    assert "a folder is to be there, and there is something else" in fails(capsys, *what)
    assert taken.is_symlink() or taken.read_text() == "mine"


def test_names_that_collide(tmp_path):
    """a, a, a-2: three results, not two."""
    places = []
    for k, name in enumerate(("x/a", "y/a", "z/a-2")):
        (tmp_path / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / name / "0.png"), np.full((64, 64, 3), k, np.uint8))
        places.append(tmp_path / name)
    assert run(*places, "--detector", "hog", "--out", tmp_path / "out") == OK
    assert {path.stem for path in (tmp_path / "out").glob("*.txt")} == {"a", "a-2", "a-2-2"}


def test_images_in_another_folder_than_img1(sequence, tmp_path):
    (sequence / "frames").mkdir()
    for k in range(3):
        cv2.imwrite(str(sequence / "frames" / f"{k + 1:06}.png"), np.zeros((96, 192, 3), np.uint8))
    with open(sequence / "seqinfo.ini", "a") as ini:
        ini.write("imDir=frames\n")
    arguments = (sequence, "--detections", "det/det.txt", "--save", "mot,sheet", "--out", tmp_path / "out")
    assert run(*arguments) == OK
    assert (tmp_path / "out" / "MOT99-01.png").is_file()


def test_odd_boxes_are_told(video, tmp_path, capsys):
    (tmp_path / "det.txt").write_text("1,-1,5,5,0,9,0.9\n2,-1,5,5,9,-5,0.9\n9999,-1,5,5,9,9,0.9\n")
    assert run(video, "--detections", tmp_path / "det.txt", "--out", tmp_path / "o") == OK
    said = capsys.readouterr()
    assert "boxes of no size dropped: 2" in said.out
    assert "the detections go up to frame 9999, squares has 30" in said.err


def test_a_reader_who_leaves_does_not_stop_the_work(video, sequence, tmp_path):
    command = f"{sys.executable} -u tools/track.py {sequence} {video} --detector hog --out {tmp_path / 'o'} | head -1"
    subprocess.run(["bash", "-c", command], cwd=ROOT, check=True, capture_output=True)
    assert len(json.loads((tmp_path / "o" / "run.json").read_text())["sequences"]) == 2


def test_a_new_run_forgets_an_older_ones_checkpoint(video, det, tmp_path, monkeypatch):
    """Stopped under sort, begun anew under bytetrack and killed: sort's checkpoint must not meet those bytes."""
    out = tmp_path / "out"
    took = checkpoint.Checkpoint.took

    def die(self, step):
        took(self, step)
        if step.frame.index == 12:
            raise KeyboardInterrupt

    for preset, every in (("sort", 0.0), ("bytetrack", 1e9)):
        monkeypatch.setattr(checkpoint, "EVERY", every)
        monkeypatch.setattr(checkpoint.Checkpoint, "took", die)
        with pytest.raises(KeyboardInterrupt):
            run(video, "--detections", det, "--out", out, "--tracker", preset)
    monkeypatch.setattr(checkpoint.Checkpoint, "took", took)
    assert run(video, "--detections", det, "--out", out, "--tracker", "sort", "--resume") == OK
    assert run(video, "--detections", det, "--out", tmp_path / "whole", "--tracker", "sort") == OK
    assert (out / "squares.txt").read_bytes() == (tmp_path / "whole" / "squares.txt").read_bytes()


def test_camera_motion_from_a_file(sequence, tmp_path):
    """A camera that jumps by 500 px at frame 15: with its warps nobody is lost."""
    lines = [
        f"{k + 1},-1,{x + (500 if k >= 15 else 0)},{y},{w},{h},0.9"
        for k in range(LENGTH)
        for x, y, w, h in boxes(k)
    ]
    (sequence / "det" / "det.txt").write_text("\n".join(lines))
    assert run(sequence, "--out", tmp_path / "without") == OK
    rows = "".join(f"{k}\t1\t0\t{500 if k == 15 else 0}\t0\t1\t0\t\n" for k in range(LENGTH))
    (sequence / "gmc.txt").write_text(rows)
    assert run(sequence, "--out", tmp_path / "with") == OK
    assert run(sequence, "--out", tmp_path / "none", "--camera", "none") == OK
    ids = {
        name: read_results(tmp_path / name / "MOT99-01.txt").id.max() for name in ("without", "with", "none")
    }
    assert ids == {"without": 4, "with": 2, "none": 4}


def test_a_stopped_run_goes_on_with_the_same_bytes(video, det, tmp_path, monkeypatch, capsys):
    save = ("--save", "mot,jsonl,video,sheet")
    assert run(video, "--detections", det, "--out", tmp_path / "whole", *save) == OK
    out = tmp_path / "out"
    stop_at(monkeypatch, 17, video, "--detections", det, "--out", out, *save)
    assert {p.name for p in out.iterdir()} == {
        "run.json",
        "squares.checkpoint.npz",
        *(f"squares.{e}.partial" for e in ("txt", "jsonl", "mp4", "png", "drawn")),
    }
    assert run(video, "--detections", det, "--out", out, *save, "--resume") == OK
    assert "resumed at frame 17" in capsys.readouterr().out
    for ending in ("txt", "jsonl"):
        name = f"squares.{ending}"
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    hashes = [
        json.loads((folder / "run.json").read_text())["sequences"]["squares"]["detections_sha256"]
        for folder in (out, tmp_path / "whole")
    ]
    assert hashes[0] == hashes[1]
    assert json.loads((out / "run.json").read_text())["sequences"]["squares"]["frames"] == LENGTH
    with av.open(str(out / "squares.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == LENGTH
    assert not list(out.glob("*.partial")) + list(out.glob("*.npz"))


def test_resuming_another_run_is_refused(video, det, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint.Checkpoint, "forget", lambda self: None)
    out = tmp_path / "out"
    run(video, "--detections", det, "--out", out)
    capsys.readouterr()
    error = fails(capsys, video, "--detections", det, "--out", out, "--resume", "--tracker", "sort")
    assert "left by a run with another appearance, files, tracker" in error
    (out / "squares.checkpoint.npz").write_bytes(b"no")
    (out / "squares.txt").unlink()
    assert "damaged" in fails(capsys, video, "--detections", det, "--out", out, "--resume")


def test_resume_without_a_checkpoint_begins_anew(video, det, tmp_path, capsys):
    assert run(video, "--detections", det, "--out", tmp_path / "o", "--resume") == OK
    assert "no checkpoint, so from the beginning" in capsys.readouterr().out


def test_resuming_with_fewer_frames_leaves_the_finished_run_alone(video, det, tmp_path, capsys):
    out = tmp_path / "out"
    what = (video, "--detections", det, "--out", out)
    assert run(*what) == OK
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    error = fails(capsys, *what, "--length", "5", "--resume")
    assert f"--length 5: squares in --out {out} is complete, {LENGTH} frames; leave --resume out" in error
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run(*what, "--length", "5") == OK
    assert run(*what, "--resume") == OK  # more than there is
    assert "squares: complete with other settings; anew with these" in capsys.readouterr().out
    assert (out / "squares.txt").read_bytes() == before["squares.txt"]


def test_resuming_with_another_memory_begins_anew(video, det, tmp_path, capsys):
    """Whose ids the results have is part of what was asked for."""
    what = (video, "--detections", det, "--out", tmp_path / "out", "--resume")
    for memory, said in (
        ((), "no checkpoint"),
        (("--memory", tmp_path / "a.db"), "complete with other settings; anew with these"),
        (("--memory", tmp_path / "a.db"), "complete already"),
        (("--memory", tmp_path / "b.db"), "complete with other settings; anew with these"),
        ((), "complete with other settings; anew with these"),
    ):
        assert run(*what, *memory) == OK
        assert said in capsys.readouterr().out
    assert (tmp_path / "a.db").is_file()
    assert (tmp_path / "b.db").is_file()


def test_resuming_leaves_finished_sources_alone(video, sequence, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = (sequence, video, "--detector", "hog", "--out", out)
    assert run(*arguments) == OK
    (out / "squares.txt").unlink()
    written = (out / "MOT99-01.txt").stat().st_mtime_ns
    assert run(*arguments, "--resume") == OK
    assert "MOT99-01: complete already" in capsys.readouterr().out
    assert (out / "MOT99-01.txt").stat().st_mtime_ns == written
    assert (out / "squares.txt").is_file()
    assert json.loads((out / "run.json").read_text())["sequences"]["MOT99-01"]["frames"] == LENGTH


def test_streams_run_side_by_side_and_end_by_ctrl_c(tmp_path):
    """Two streams that never end, tracked at the same time; Ctrl-C is how that ends: with whole files, exit 0."""
    from tests.rtsp_server import RtspServer, transport_stream

    out = tmp_path / "out"
    content = transport_stream(frames=500)
    slow = {"connections": 5, "pace": 0.01, "lifetime": 90.0}
    with RtspServer(content, **slow) as one, RtspServer(content, **slow) as two:
        what = [one.url, two.url, "--detector", "hog", "--out", str(out)]
        process = Forked("track", what, tmp_path / "said")
        begun = time.monotonic()
        while process.poll() is None and len(list(out.glob("*.txt.partial"))) < 2:
            assert time.monotonic() - begun < 60
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        said, error = process.communicate(timeout=60)
    assert process.returncode == OK, error
    assert len(list(out.glob("*.txt"))) == 2, said
    assert not list(out.glob("*.partial"))
    assert {r["complete"] for r in json.loads((out / "run.json").read_text())["sequences"].values()} == {True}


def test_a_signal_during_a_file_does_not_begin_the_live_source(tmp_path):
    from tests.rtsp_server import RtspServer, transport_stream

    length = 3000
    folder = tmp_path / "MOT99-01"
    folder.mkdir()
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=x\nframeRate={FPS}\nseqLength={length}\nimWidth=192\nimHeight=96\n"
    )
    (folder / "det").mkdir()
    write_boxes(folder / "det" / "det.txt", length)
    out = tmp_path / "out"
    with RtspServer(transport_stream(frames=300), connections=5, pace=0.01, lifetime=60.0) as server:
        what = [str(folder), server.url, "--detector", "hog", "--out", str(out)]
        process = Forked("track", what, tmp_path / "said")
        grown = out / "MOT99-01.txt.partial"
        while process.poll() is None and not (grown.exists() and grown.stat().st_size):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED
    assert {p.name for p in out.iterdir()} == {"run.json", "MOT99-01.txt.partial", "MOT99-01.checkpoint.npz"}


def test_torch_stays_out_when_nothing_needs_it(video, det, tmp_path):
    words = [str(video), "--detections", str(det), "--out", str(tmp_path / "o"), "--save", "mot,video,sheet"]
    heavy = ["torch", "ultralytics"]
    code = (
        f"import sys, retrace.tools.track as t; t.main({words!r}); print([m in sys.modules for m in {heavy}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[False, False]"


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Three minutes of video with its boxes as arguments, and the result of tracking them to the end."""
    place, length = tmp_path_factory.mktemp("long"), 1800
    video, det = make_video(place / "long.mp4", length), write_boxes(place / "det.txt", length)
    what = [str(video), "--detections", str(det), "--reid", "none"]
    assert run(*what, "--out", place / "whole") == OK
    return what, (place / "whole" / "long.txt").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_named_partial_result(long, tmp_path, number):
    out = tmp_path / "out"
    what, whole = long
    process = Forked("track", [*what, "--out", str(out)], tmp_path / "said")
    grown = out / "long.txt.partial"
    while process.poll() is None and not (grown.exists() and grown.stat().st_size):
        time.sleep(0.01)
    os.kill(process.pid, number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert "resume it to go on" in said
    assert {p.name for p in out.iterdir()} == {"long.txt.partial", "long.checkpoint.npz", "run.json"}
    assert json.loads((out / "run.json").read_text())["sequences"]["long"]["complete"] is False
    assert run(*what, "--out", out, "--resume") == OK
    assert (out / "long.txt").read_bytes() == whole


def test_an_earlier_result_stays_until_the_new_one_is_whole(video, det, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(video, "--detections", det, "--out", out)
    before = (out / "squares.txt").read_bytes()
    monkeypatch.setattr(
        checkpoint.Checkpoint, "took", lambda *_: (_ for _ in ()).throw(RuntimeError("broken"))
    )
    with pytest.raises(RuntimeError):
        run(video, "--detections", det, "--out", out)
    assert (out / "squares.txt").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: source"),
        (["{video}", "--trakcer", "sort"], "unrecognized arguments"),
        (["nowhere.mp4"], "nowhere.mp4: no such file or folder"),
        (["{broken}"], "not readable as a video"),
        (["{empty}"], "no images"),
        (["97"], "camera 97"),
        (["{video}", "--tracker", "bytetrak"], "did you mean 'bytetrack'?"),
        (["{video}", "--set", "max_agee=2"], "did you mean 'max_age'?"),
        (["{video}", "--set", "max_age"], "expected key=value"),
        (["{video}", "--save", "mot,vido"], "did you mean 'video'?"),
        (["{video}", "--detections", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["{video}", "--detections", "{bad}"], "bad.txt, line 2: column 4 is not a number: 'x'"),
        (["{video}", "--detections", "{det}", "--reid", "{broken}"], "broken.mp4"),
        (["{video}", "--detections", "{det}", "--reid", "{notonnx}"], "not.onnx"),
        (
            ["{video}", "--detections", "{det}", "--tracker", "sort", "--reid", "x.onnx"],
            "does not compare appearance",
        ),
        (
            ["{video}", "--detections", "{det}", "--classes", "person"],
            "--classes does nothing with --detections",
        ),
        (["{video}", "--save", ","], "--save ,: expected names"),
        (["{video}", "--save", "video", "--label", "di"], "--label di: did you mean 'id'?"),
        (["{video}", "--save", "video", "--codec", "theora"], "--codec theora: known: av1, h264, vp9"),
        (["{video}", "--blur", "faces"], "--blur does nothing without --save video"),
        (["{video}", "--regions", "{bad}"], "bad.txt: expected a mapping of keys to values, got str"),
        (
            ["{video}", "--detections", "{det}", "--reid", "none", "--device", "cuda:9"],
            "--device cuda:9: no network is used here",
        ),
        (["{video}", "--detections", "{det}", "--detector", "hog"], "--detections replaces the detector"),
        (["{video}", "--detections", "{det}", "--camera", "nowhere"], "--camera nowhere: no such file"),
        (["{video}", "--detections", "{det}", "--camera", "{bad}"], "bad.txt, line 1: expected a frame"),
        (["{video}", "--device", "banana"], "--device banana"),
        (["{video}", "--detector", "none"], "give --detections FILE"),
        (["{video}", "--detector", "nowhere.pt"], "nowhere.pt"),
        (["{video}", "--detections", "{det}", "--out", "{det}/x"], "cannot be written"),
        (["{video}", "{video}", "--detections", "{det}"], "is looked for in each one's folder"),
    ],
)
def test_mistakes(arguments, message, video, det, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.txt"
    bad.write_text("1,-1,1,1,5,5,0.9\n1,-1,1,x,5,5,0.9\n")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video" * 99)
    (tmp_path / "not.onnx").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    names = {
        "video": video, "det": det, "bad": bad, "broken": broken, "empty": tmp_path / "empty",
        "notonnx": tmp_path / "not.onnx",
    }  # fmt: skip
    assert message in fails(capsys, *(a.format(**names) for a in arguments))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("*.txt*"))


def test_a_detectors_infinite_box_is_refused_with_its_frame(video, tmp_path, capsys):
    np.savez(tmp_path / "d.npz", frame=[3], xyxy=[[0, 0, np.inf, 5]], score=[0.5])
    assert "xyxy must be finite" in fails(
        capsys, video, "--detections", tmp_path / "d.npz", "--out", tmp_path / "o"
    )


def test_guarded_lets_bugs_through():
    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(broken, [])

    def wrong(_):
        raise InputError("two\nlines")

    with pytest.raises(SystemExit) as caught:
        guarded(wrong, [])
    assert caught.value.code == 2
