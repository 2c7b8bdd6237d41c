"""Adapting to one's own cameras: which tracklets are believed, what is written, and the whole way on a small video."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.reassociation import auc, reassociation
from retrace.reid import Embedder
from retrace.reid.calibration.card import KEY, Calibration, fingerprint
from retrace.reid.embedder import find_weights
from retrace.reid.weights.shipped import as_trained, locate
from retrace.tools import adapt_reid
from retrace.tools.adapting import adapt as the_way
from retrace.tools.adapting.adapt import adapt, told
from retrace.tools.adapting.held_out import LEAST_PAIRS, HeldOut, after_gap, gained
from retrace.tools.adapting.tracking import idf1
from retrace.tools.adapting.tracklets import TrackletFilter, confident, write_sequence
from retrace.tools.adapting.training import check_training, settings_of
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_ground_truth, read_sequence_info
from tests.passers_by import SLOT, passers_by
from tests.served import served


def table(rows: list[tuple[int, int, float, float]]) -> MotTable:
    """(frame, id, left, score), boxes of 10 x 20 px."""
    frame, who, left, score = (np.array(column) for column in zip(*rows, strict=True))
    xyxy = np.stack([left, 0 * left, left + 10, 0 * left + 20], 1)
    return MotTable(frame, who, xyxy, score, np.ones(len(frame), np.int64), np.ones(len(frame)))


def test_confident_tracklets() -> None:
    rows = [(k, 1, 0.0, 0.9) for k in range(21)]  # 2.0 s: long enough
    rows += [(k, 2, 100.0, 0.9) for k in range(20)]  # 1.9 s: too short
    rows += [(k, 3, 200.0, 0.5) for k in range(40)]  # too unsure
    rows += [(k, 4, 300.0, 0.8) for k in range(40)] + [(10, 5, 304.0, 0.9)]  # IoU 6/14 at frame 10
    found = confident(table(rows), 10, TrackletFilter())
    assert {*found.id.tolist()} == {1, 4}
    assert found.frame[found.id == 4].tolist() == [k for k in range(40) if k != 10]
    assert len(confident(table(rows).take(slice(0, 0)), 10, TrackletFilter())) == 0


def test_a_sequence_folder_reads_as_ground_truth(tmp_path: Path) -> None:
    rows = [(0, 1, 3.0, 0.9), (1, 1, 4.0, 0.9)]
    write_sequence(tmp_path / "door", table(rows), 12.5, 40, (120, 300))
    truth, info = (
        read_ground_truth(tmp_path / "door" / "gt" / "gt.txt"),
        read_sequence_info(tmp_path / "door"),
    )
    assert truth.xyxy.tolist() == table(rows).xyxy.tolist()
    assert (info.fps, info.length, info.width, info.height) == (12.5, 40, 300, 120)


def test_a_gain_is_sure_where_all_draws_of_people_have_it() -> None:
    """Of four people each gains .1 in AUC, so any draw does; in mAP one gains .4 and three lose .05, so a draw in three
    (.75^4) is without him, and the interval begins at -.05."""
    before = HeldOut({}, {"auc": np.full(4, 0.8), "mAP": np.full(4, 0.5)})
    after = HeldOut({}, {"auc": np.full(4, 0.9), "mAP": np.array([0.9, 0.45, 0.45, 0.45])})
    found = gained(before, after)
    assert found["auc"] == pytest.approx((0.1, 0.1))
    assert found["mAP"][0] == pytest.approx(-0.05)
    assert found["mAP"][1] > 0.15
    assert gained(before, after) == found
    assert gained(before, before) == {"auc": (0, 0), "mAP": (0, 0)}
    # Of two people the one gains what the other loses.
    later = [
        replace(one, each={**one.each, "gap_auc": np.array(few)})
        for one, few in ((before, [0.5, 0.5]), (after, [0.7, 0.3]))
    ]
    assert gained(*later)["gap_auc"] == pytest.approx((-0.2, 0.2))
    assert gained(*later)["mAP"] == found["mAP"]
    only = [replace(one, each={"auc": one.each["auc"]}) for one in later]
    assert gained(*only) == {"auc": found["auc"]}


def test_pairs_after_a_gap_are_those_of_does_reid_pay() -> None:
    """Of two videos with gaps of their own; what is asked of whom is there after the gap is asked everywhere alike."""
    rng = np.random.default_rng(0)
    ids, frame = np.tile(np.arange(1, 5), 10), np.repeat(np.arange(0, 20, 2), 4)
    vectors = rng.normal(0, 1, (40, 3)) + np.eye(4, 3)[ids - 1]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    moments = [("door", k) for k in frame.tolist()]
    one, two = after_gap(ids, moments, {"door": 6})
    assert (one.sum(), two.sum()) == (7 * 4, 7 * 4 * 3)
    (found,) = reassociation(vectors, ids, frame, [6])
    assert auc((1 - vectors @ vectors.T)[one], (1 - vectors @ vectors.T)[two]) == pytest.approx(found.auc)
    # Two people in each video.
    halls = [("door" if k % 2 else "hall", frame) for k, (_, frame) in enumerate(moments)]
    one, two = after_gap(ids, halls, {"door": 6, "hall": 18})
    assert (one.sum(), two.sum()) == (7 * 2 + 1 * 2, 7 * 2 + 1 * 2)


def test_new_tracks_by_the_old_ones() -> None:
    """Of ten boxes of one person five get another id: IDTP 5 of 10 and 10, so IDF1 is one half."""
    one = table([(k, 1, 0.0, 1.0) for k in range(10)])
    cut = table([(k, 1 + (k > 4), 0.0, 1.0) for k in range(10)])
    nobody = one.take(slice(0, 0))
    assert idf1([one], [one]) == 1
    assert idf1([cut], [one]) == 0.5
    assert idf1([cut, one], [one, one]) == 0.75
    assert (idf1([nobody], [nobody]), idf1([nobody], [one]), idf1([one], [nobody])) == (1, 0, 0)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return passers_by(tmp_path_factory.mktemp("door"), "door")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network and its calibration at a quarter of the pixels: what adapting does with its weights, and
    which it keeps, is the same at any size. That it begins with the shipped ones, `test_the_whole_way` shows."""
    pytest.importorskip("torch")
    from retrace.reid.weights.files import add_to_card, load_network, save_network

    network, recipe = load_network(find_weights("auto").with_suffix(".safetensors"))
    out, card = tmp_path_factory.mktemp("small") / "small.safetensors", dict(recipe.card)
    old = Calibration.from_card(card.pop(KEY), "auto")
    save_network(out, network, replace(recipe, size=(96, 48), card=card))
    embedder = Embedder.from_weights(out, device="cpu")
    card = replace(old, print=fingerprint(embedder.crops, embedder.size)).to_card()
    add_to_card(out, out, KEY, card)
    return out


def test_the_whole_way(door: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    video, boxes = door
    out, few = tmp_path / "out", ["epochs=1", "schedule.warmup=0", "batch.identities=4", "batch.images=2"]
    few += ["size=[64,32]"]
    options = [part for change in few for part in ("--set", change)]
    with served(video) as address:
        code = adapt_reid.main(
            [address, "--detections", str(boxes), "--out", str(out), "--gap", "1", *options]
        )
    assert code == 0
    kept = json.loads((out / "adapted.json").read_text())
    assert kept["videos"][0].startswith("http://127.0.0.1:")
    assert kept["videos"][0].endswith(f"/{video.name}")
    assert kept["tracklets"] >= kept["people"] >= 4
    assert kept["crops"] >= 50
    assert 0.5 < kept["before"]["auc"] <= 1
    assert (kept["gap"], {*kept["gain"]}) == (1, {"auc", "mAP"})
    assert 0 < kept["before"]["gap_pairs"] == kept["after"]["gap_pairs"] < LEAST_PAIRS
    surely = all(low > 0 for low, _ in kept["gain"].values())
    assert surely is (out / "weights.safetensors").is_file() is (kept["looks"] is not None)
    assert kept["better"] is (surely and kept["alike"] < the_way.SAME_TRACKS)
    begun = find_weights("auto").with_suffix(".safetensors")
    assert Path(kept["weights"]) == (out / "weights.safetensors" if kept["better"] else begun)
    assert Path(kept["weights"]).is_file()
    last = capsys.readouterr().out.splitlines()[-1]
    few = f"not judged 1 s apart: only {kept['before']['gap_pairs']:.0f} pairs, people in them: "
    assert few in last  # most tracklets lose their middle between early and late
    assert last.endswith("weights.safetensors" if surely else "the old weights stay")
    with pytest.raises(InputError, match="is not empty; name another folder"):
        adapt([str(video)], out, detections=str(boxes))


def test_with_ground_truth_the_later_part_must_be_tracked_better(
    door: tuple[Path, Path], small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """IDF1 of the frames after the cut, by both weights; where it is no higher, the old ones stay. The network is that
    of the given weights."""
    from retrace.reid.weights.files import read

    video, boxes = door
    truth = tmp_path / "gt.txt"
    rows = [line.split(",") for line in boxes.read_text().splitlines()]
    people = {tuple(row[2:6]): k for k, row in enumerate(rows)}  # a person a box: no tracker has that right
    lines = [f"{row[0]},{people[tuple(row[2:6])] + 1},{','.join(row[2:6])},1,1,1" for row in rows]
    truth.write_text("\n".join(lines) + "\n")
    few = ["epochs=1", "schedule.warmup=0", "batch.identities=4", "batch.images=2"]
    options = [part for change in few for part in ("--set", change)]
    options += [
        "--detections",
        str(boxes),
        "--gt",
        str(truth),
        "--weights",
        str(small),
    ]
    assert adapt_reid.main([str(video), *options, "--out", str(tmp_path / "out")]) == 0
    _, trained = read(tmp_path / "out" / "training" / "mean.safetensors")
    assert trained.size == (96, 48)
    kept = json.loads((tmp_path / "out" / "adapted.json").read_text())
    assert 0 < kept["before"]["IDF1"] < 1
    assert all((tmp_path / "out" / f"later-{when}" / "door.txt").is_file() for when in ("before", "after"))
    assert 0 < kept["alike"] <= 1
    assert kept["better"] is (
        all(low > 0 for low, _ in kept["gain"].values()) and kept["after"]["IDF1"] > kept["before"]["IDF1"]
    )
    said = capsys.readouterr().out
    assert "IDF1 of the later part" in said
    assert "not judged 3 s apart: only 0 pairs, people in them: 0)" in said  # nobody is there for so long


def test_new_weights_have_a_calibration_of_their_own(
    door: tuple[Path, Path], small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They gain here whatever they do. Within tracklets the map is of those held out; of returns it is the old one's,
    in the unit of how far apart people are here. Passers-by of different colours are tracked the same by any weights,
    so tracking has nothing of the new ones."""
    monkeypatch.setattr(the_way, "gained", lambda before, after: {"auc": (1, 1), "mAP": (1, 1)})
    few = {"epochs": 1, "schedule.warmup": 0, "batch.identities": 4, "batch.images": 2}
    every = TrackletFilter(every=0.1)
    given: dict[str, str] = {"weights": str(small), "detections": str(door[1])}
    found = adapt([str(door[0])], tmp_path / "out", **given, wish=every, gap=0.2, changes=few)
    assert (found.better, found.alike, found.weights) == (False, 1, small)
    assert found.looks == tmp_path / "out" / "weights.safetensors"
    assert (found.gap, found.before["gap_people"]) == (0.2, 9)
    assert found.before["gap_pairs"] == found.after["gap_pairs"] >= LEAST_PAIRS
    assert 0.5 < found.before["gap_auc"] <= 1
    assert "AUC 0.2 s apart 100.0 -> " in told(found)
    assert told(found).endswith(
        f"tracks are 100.0 % the same: the old weights stay; those that tell people apart better are {found.looks}"
    )
    card = Embedder.from_weights(found.looks, device="cpu").calibration
    old = Embedder.from_weights(small, device="cpu").calibration
    assert card is not None
    assert old is not None
    assert card.map("tracklet").source == "video"
    assert card.map("tracklet").same == found.after["pairs"]
    assert card.map("camera").source == "labels"
    assert card.strangers is not None
    assert old.strangers is not None
    assert card.map("later").knots == pytest.approx(old.suited(card.strangers).map("later").knots)


def test_weights_are_those_that_are_given(tmp_path: Path) -> None:
    """Not a .safetensors that happens to lie beside an .onnx."""
    auto = find_weights("auto")
    for ending in (".onnx", ".safetensors"):
        (tmp_path / f"mine{ending}").write_bytes(auto.with_suffix(ending).read_bytes())
    with pytest.raises(InputError, match=r"mine\.onnx: a training begins with \.safetensors"):
        adapt(["nothing.mp4"], tmp_path / "out", str(tmp_path / "mine.onnx"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.name": "nonsense"}, "nonsense"),
        ({"model.name": "resnet50"}, "init: "),
        ({"losses": {"nonsense": {}}}, "nonsense"),
    ],
)
def test_a_training_that_cannot_begin_is_refused_before_tracking(
    door: tuple[Path, Path], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=said):
        adapt([str(door[0])], tmp_path / "out", detections=str(door[1]), changes=changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("gap", [0.0, -1.0, float("nan"), 1e300])
def test_a_gap_is_seconds(tmp_path: Path, gap: float) -> None:
    with pytest.raises(InputError, match=r"`gap` .*: expected seconds above 0"):
        adapt(["nothing.mp4"], tmp_path / "out", gap=gap)


def test_a_gap_that_no_video_has(door: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`gap` 1000: no video is so many seconds long"):
        adapt([str(door[0])], tmp_path / "out", detections=str(door[1]), gap=1000)
    assert not (tmp_path / "out").exists()


def test_how_many_people_a_batch_wants_is_not_tried_before_they_are_known() -> None:
    """A trial batch of 100,000 people took 40 GB."""
    pytest.importorskip("torch")
    check_training({**settings_of(as_trained(locate("auto")), None), "batch.identities": 100_000})


def test_too_few(small: Path, tmp_path: Path) -> None:
    weights = str(small)
    video, boxes = passers_by(tmp_path, "door", slots=3)
    lines = boxes.read_text().splitlines(keepends=True)
    (tmp_path / "few.txt").write_text("".join(line for line in lines if int(line.split(",")[0]) <= SLOT))
    stays = r"only 2 people to learn from, at least 4.*; crops/, tracks/ stay in \S+a: remove them, or name another"
    with pytest.raises(InputError, match=stays):
        adapt([str(video)], tmp_path / "a", weights, detections=str(tmp_path / "few.txt"))
    with pytest.raises(InputError, match=r"only 0 pairs of later people to measure with"):
        adapt([str(video)], tmp_path / "c", weights, detections=str(boxes), cut=0.9)
    (tmp_path / "none.txt").write_text("1,-1,10,10,28,64,0.1\n")
    with pytest.raises(InputError, match="no confident tracklet in these videos"):
        adapt([str(video)], tmp_path / "b", weights, detections=str(tmp_path / "none.txt"))
