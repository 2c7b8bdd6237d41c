"""The command: figures, tables, files, and one line for every mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.eval.ranking import features
from retrace.eval.ranking.features import Features, Side, save_features
from retrace.eval.ranking.measures import MEASURES
from retrace.tools import eval_reid
from retrace.tools.eval_reid import main
from retrace.tools.scoring import embedding
from retrace.tools.terminal import options
from retrace.tools.terminal.console import guarded
from tests.reid.mini_market import write_mini_market
from tests.reid.resealed import CARD, changed, resealed

ROOT = Path(__file__).resolve().parents[2]


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        guarded(main, [str(a) for a in argv])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def found(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> dict[str, Any]:
    code, out, err = run(capsys, *argv, "--json", "-")
    assert (code, err) == (0, "")
    return json.loads(out)


def mistake(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    """The one line."""
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def angle(*degrees: float) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1).astype(np.float32)


# Person 7 by camera 1: same camera (left out), wrong, junk (left out), right, distractor, right.
# Person 3 by camera 2: right at once.
HAND: dict[str, Any] = {
    "query_features": angle(0, 20),
    "query_ids": np.array([7, 3]),
    "query_cameras": np.array([1, 2]),
    "gallery_features": angle(50, 10, 30, 20, 60, 40),
    "gallery_ids": np.array([0, 7, -1, 3, 7, 7]),
    "gallery_cameras": np.array([1, 1, 1, 1, 2, 3]),
}


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    np.savez(tmp_path / "hand.npz", **HAND)
    return tmp_path / "hand.npz"


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """--weights and --data of a miniature: the network hands on the pixels as they are."""
    pytest.importorskip("onnx")
    from tests.reid.networks_by_hand import all_pixels

    folder = tmp_path_factory.mktemp("mini")
    write_mini_market(folder / "data", ids=3, cameras=2, images=2, size=(16, 8))
    weights = all_pixels(folder / "pixels.onnx", (16, 8))
    return ["--weights", weights, "--data", folder / "data", "--cache", folder / "cache"]


def test_figures_by_hand(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = found(capsys, "--features", hand)
    # Ranks 2 and 4 for the first query, 1 for the second.
    assert row["rank"] == {"1": 0.5, "5": 1.0, "10": 1.0}
    assert row["mAP"] == pytest.approx((0.5 + 1) / 2)
    # Trapezoid, first query: (1/2 + 0/1) / 2 and (2/4 + 1/3) / 2.
    assert row["mAP_trapezoid"] == pytest.approx(((0.25 + 5 / 12) / 2 + 1) / 2)
    assert row["mINP"] == pytest.approx((2 / 4 + 1) / 2)
    assert row["MAP@R"] == pytest.approx((0.5 / 2 + 1) / 2)
    assert (row["queries"], row["gallery"], row["junk"], row["distractors"]) == (2, 5, 1, 1)
    assert row["transductive"] is False
    assert row["protocol"] == (
        "single query, same identity and camera dropped, junk dropped, distractors kept, rectangle AP, cosine"
    )


def test_table(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--features", hand)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[:2] == ["query: 2 images, 2 people, 2 cameras", "gallery: 6 images, 2 people, 3 cameras"]
    assert lines[4].split() == [
        *("weights", "rank-1", "rank-5", "rank-10", "mAP", "mAP", "trapezoid", "mINP", "MAP@R", "R-prec"),
    ]
    assert lines[5].split()[:5] == ["hand", "50.00", "100.00", "100.00", "75.00"]
    assert lines[6] == "2 of 2 queries scored, gallery 5 images, 1 of them distractors; 1 junk left out"
    assert lines[7].startswith("protocol: single query")


def test_rerank_is_flagged_everywhere(hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        *(capsys, "--features", hand, "--rerank", "torchreid-d4", "--intervals"),
        *("--per-camera", "--single-shot"),
        *("--json", tmp_path / "a.json", "--markdown", tmp_path / "a.md", "--csv", tmp_path / "a.csv"),
    )
    assert code == 0
    row = json.loads((tmp_path / "a.json").read_text())
    assert row["transductive"] is True
    assert "torchreid-d4" in row["distance"]
    assert "transductive" in row["protocol"]
    for text in (out, (tmp_path / "a.md").read_text(), *(p.read_text() for p in tmp_path.glob("a*.csv"))):
        assert "transductive" in text
    assert len(list(tmp_path.glob("a*.csv"))) == 4


def test_rerank_is_the_same_with_junk_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    case = {
        "query_features": rng.standard_normal((12, 4)),
        "query_ids": rng.integers(1, 5, 12),
        "query_cameras": rng.integers(1, 3, 12),
        "gallery_features": rng.standard_normal((60, 4)),
        "gallery_ids": np.repeat([-1, 1, 2, 3, 4, 0], 10),
        "gallery_cameras": rng.integers(1, 3, 60),
    }
    np.savez(tmp_path / "all.npz", **case)
    np.savez(tmp_path / "clean.npz", **{k: v[10:] if k.startswith("gallery") else v for k, v in case.items()})
    rows = [
        found(capsys, "--features", tmp_path / name, "--rerank", "zhong-d2")
        for name in ("all.npz", "clean.npz")
    ]
    assert (rows[0]["junk"], rows[1]["junk"]) == (10, 0)
    assert rows[0]["mAP"] == pytest.approx(rows[1]["mAP"], abs=1e-7)


def test_all_extras(hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extras = ("--intervals", "--per-camera", "--verification", "--single-shot", "--nmi", "--audit")
    code, out, err = run(
        capsys, "--features", hand, *extras, "--csv", tmp_path / "a.csv", "--markdown", tmp_path / "a.md"
    )
    assert (code, err) == (0, "")
    keys = ("intervals", "single_gallery_shot", "camera_pairs", "verification", "audit")
    assert {p.name for p in tmp_path.glob("*.csv")} == {"a.csv", *(f"a.{key}.csv" for key in keys)}
    assert (tmp_path / "a.md").read_text().count("\n## ") == 1 + len(keys)
    assert "2 of 2 queries scored" in (tmp_path / "a.md").read_text()
    assert "query: 2 images" in (tmp_path / "a.md").read_text()
    # Fractions in CSV, differences too.
    switch = dict(line.rsplit(",", 4)[::4] for line in (tmp_path / "a.audit.csv").read_text().splitlines())
    assert float(switch["camera filter off"]) == pytest.approx((1 + 2 / 3 + 3 / 5) / 6 + 0.5 - 0.75)
    assert "\n\n\n" not in out
    row = found(capsys, "--features", hand, *extras)
    assert set(keys) | {"NMI"} <= set(row)
    assert row["intervals"]["mAP"] == [0.5, 1.0]  # of two identities: both the first, or both the second
    assert [r["rank-1"] for r in row["camera_pairs"] if r["query_camera"] == 2] == [1.0]
    assert row["audit"][0]["mAP"] == row["mAP"]
    off = next(r for r in row["audit"] if r["name"] == "camera filter off")
    # The query's own camera at 10 degrees comes first: ranks 1, 3, 5 of the first query.
    assert off["rank-1"] == 1.0
    assert off["mAP"] == pytest.approx(((1 + 2 / 3 + 3 / 5) / 3 + 1) / 2)


def test_more_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them on 20 people and distractors; what the hand-made case cannot give says why."""
    draw = np.random.default_rng(0)
    ids = np.repeat(np.arange(21), 8)  # 0: distractors
    own = draw.standard_normal((21, 16))[ids] + 0.8 * draw.standard_normal((168, 16))
    cameras, query = (
        np.tile([1, 1, 2, 2, 3, 3, 4, 4], 21),
        np.tile([1, 0, 0, 0, 1, 0, 0, 0], 21) * (ids > 0) > 0,
    )
    case = {"features": own, "ids": ids, "cameras": cameras}
    sides = {f"query_{k}": v[query] for k, v in case.items()} | {
        f"gallery_{k}": v[~query] for k, v in case.items()
    }
    np.savez(tmp_path / "people.npz", **sides)
    row = found(capsys, "--features", tmp_path / "people.npz", "--also", "all", "--rerank", "zhong-d2")
    assert set(row) >= {k.replace("-", "_") for k in MEASURES}
    assert row["whole_set"]["recall@1"] > 0.5
    assert 0 < row["clusters"]["ami"] < row["clusters"]["nmi"]
    assert row["distractors"][0]["mAP"] >= row["distractors"][-1]["mAP"]
    assert row["probe"]["identity"]["accuracy"] > row["probe"]["camera"]["accuracy"]
    assert {e["across"] for e in row["few_shot"]} == {False, True}
    assert row["ladders"]["people_slope"][0]["points"] >= 3
    assert "transductive" not in run(capsys, "--features", tmp_path / "people.npz", "--also", "space")[1]


def test_a_measure_that_cannot_be_taken(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "open set: expected at least 4 people" in mistake(capsys, "--features", hand, "--also", "open-set")
    assert "unknown measure 'cluster'; did you mean 'clusters'" in mistake(
        capsys, "--features", hand, "--also", "cluster"
    )
    code, out, err = run(capsys, "--features", hand, "--also", "all")
    assert (code, err) == (0, "")
    assert "open-set: not here" in out


def test_verification_thresholds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # One person's query at 0 degrees; right at 10, wrong at 20: all wrong pairs lie behind the right one.
    case = HAND | {
        "query_features": angle(0),
        "query_ids": np.array([1]),
        "query_cameras": np.array([1]),
        "gallery_features": angle(10, 20),
        "gallery_ids": np.array([1, 2]),
        "gallery_cameras": np.array([2, 2]),
    }
    np.savez(tmp_path / "a.npz", **case)
    point = found(capsys, "--features", tmp_path / "a.npz", "--verification")["verification"]["tpr_at_fpr"][
        "0.01"
    ]
    assert (point["tpr"], point["fpr"]) == (1.0, 0.0)
    assert point["threshold"] == pytest.approx(1 - np.cos(np.radians(20)), abs=1e-6)


def test_verification_at_rates_that_a_user_chooses(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = found(capsys, "--features", hand, "--verification", "--fpr", "0.2,5e-3")
    assert [*row["verification"]["tpr_at_fpr"]] == ["0.005", "0.2"]
    for rates, said in (
        ("0.2,x", "expected fractions separated by commas, such as 1e-3,0.05"),
        ("0.2,1", "--fpr 0.2, 1: expected one or more fractions between 0 and 1"),
        ("nan", "--fpr nan: expected one or more fractions between 0 and 1"),
    ):
        assert said in mistake(capsys, "--features", hand, "--verification", "--fpr", rates)
    assert "--fpr does nothing without --verification" in mistake(capsys, "--features", hand, "--fpr", "0.2")


def test_weights_with_a_damaged_card(
    mini: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scored when asked, which is said once, and no probabilities are judged."""
    pytest.importorskip("onnx")
    (tmp_path / "whole").mkdir()
    weights = changed(resealed(tmp_path / "whole" / "w.onnx"), tmp_path, CARD)
    words = ["--weights", weights, *mini[2:], "--verification"]
    assert "(--uncalibrated)" in mistake(capsys, *words)
    code, out, err = run(capsys, *words, "--uncalibrated")
    assert (code, err) == (0, "")
    assert out.count("w.onnx: without its calibration, as asked") == 1
    assert "states no probabilities" not in out
    assert "wanted FPR" in out
    picture = ["--reliability", tmp_path / "r.svg", "--uncalibrated"]
    assert "leave --uncalibrated out" in mistake(capsys, *words, *picture)


def test_a_picture_of_reliability_that_cannot_be(
    hand: Path, mini: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Features hold no calibration, and these weights neither."""
    picture = ["--verification", "--reliability", tmp_path / "r.svg"]
    assert "--reliability does nothing without --weights" in mistake(capsys, "--features", hand, *picture)
    normalised = ["--normalise", "z", "--cohort", "c.npz"]
    assert "--reliability is of plain" in mistake(capsys, *mini, *picture, *normalised)
    code, out, err = run(capsys, *mini, *picture)
    assert (code, err) == (0, "")
    assert f"states no probabilities; calibrate_reid.py fits them; {tmp_path / 'r.svg'} is not written" in out
    assert not (tmp_path / "r.svg").exists()


def test_compare_features(hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "other.npz", **HAND | {"query_features": angle(58, 20)})  # right at once for both
    row = found(capsys, "--features", hand, "--compare", tmp_path / "other.npz")
    assert row["compared_with"]["name"] == "other"
    assert (row["rank"]["1"], row["compared_with"]["rank"]["1"]) == (0.5, 1.0)
    # The first person loses 1, the second nothing: a draw of both, of the first twice, of the second twice.
    assert row["difference"]["rank-1"] == {"difference": -0.5, "low": -1.0, "high": 0.0}
    assert row["difference"]["mAP"]["difference"] == pytest.approx(row["mAP"] - row["compared_with"]["mAP"])
    out = run(capsys, "--features", hand, "--compare", tmp_path / "other.npz", "--intervals")[1]
    assert "hand minus other" in out
    assert "-50.00" in out
    assert "bootstrap by identity: other" in out


def test_a_data_folder(mini: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = found(capsys, *mini)
    # 3 people by 2 cameras: 6 queries, 6 gallery images of theirs, 4 distractors, 3 junk.
    assert (row["queries"], row["gallery"], row["junk"], row["distractors"]) == (6, 10, 3, 4)
    assert (row["name"], row["data"], row["flip"]) == ("pixels", "data", False)
    assert any("query: 6 images" in note for note in row["notes"])
    flipped = found(capsys, *mini, "--flip")
    assert flipped["flip"] is True
    assert "flip" in flipped["protocol"]
    assert flipped["mAP"] != row["mAP"]


def test_saved_features_score_the_same(
    mini: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "saved.npz"
    row = found(capsys, *mini, "--flip", "--save-features", path)
    again = found(capsys, "--features", path)
    for key in ("rank", "mAP", "mINP", "queries", "gallery", "protocol", "flip", "notes"):
        assert again[key] == row[key]
    with np.load(path, allow_pickle=False) as file:
        assert file["query_features"].shape == (6, 3 * 16 * 8)
        assert [Path(str(p)).name for p in file["query_paths"][:1]] == ["0004_c1s1_000000_00.jpg"]
        assert Path(str(file["gallery_paths"][0])).is_file()
    assert [p.name for p in path.parent.iterdir()] == ["saved.npz"]
    copied = found(capsys, "--features", path, "--save-features", tmp_path / "copy.npz")
    assert copied["features"] == "saved.npz"
    again = found(capsys, "--features", tmp_path / "copy.npz")
    assert (again["features"], again["notes"]) == ("copy.npz", row["notes"])
    # And weights may be compared with features of before.
    assert found(capsys, *mini, "--compare", path)["compared_with"]["mAP"] == row["mAP"]


def test_page(mini: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *mini, "--html", tmp_path / "page", "--top-k", "3", "--html-queries", "2")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == str(tmp_path / "page/index.html")
    assert (tmp_path / "page/index.html").read_text(encoding="utf-8").count("<article") == 2


@pytest.mark.parametrize("locale", ["ours", "ASCII"])
def test_names_that_are_no_text(locale: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken image with a name of broken bytes, and an output's name beyond ASCII, also under an ASCII locale."""
    pytest.importorskip("onnx")
    from tests.reid.networks_by_hand import all_pixels

    write_mini_market(tmp_path / "data", ids=3, cameras=2, images=2, size=(16, 8))
    broken = os.fsencode(tmp_path) + b"/data/query/0101_c1s1_\xff\xe9.jpg"
    with open(broken, "wb") as file:
        file.write(b"nonsense")
    weights = all_pixels(tmp_path / "pixels.onnx", (16, 8))
    words = ["--weights", weights, "--data", tmp_path / "data", "--cache", tmp_path / "cache"]
    words += [
        "--html",
        tmp_path / "page",
        "--json",
        tmp_path / "a.json",
        "--markdown",
        tmp_path / "\xe4\xf6.md",
    ]
    if locale == "ours":
        code, _, err = run(capsys, *words)
        assert (code, err) == (0, "")
    else:
        ascii_only = os.environ | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
        command = [sys.executable, ROOT / "tools" / "eval_reid.py", *words]
        done = subprocess.run(command, capture_output=True, env=ascii_only)
        assert (done.returncode, done.stderr) == (0, b"")
    assert "0101_c1s1_\ufffd\ufffd.jpg" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "0101_c1s1_\ufffd\ufffd.jpg" in (tmp_path / "\xe4\xf6.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text())["queries"] == 6


def test_multi_query(mini: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Two queries of one person and camera, at 0 and 80 degrees: their mean lies at 40, where the right answer is.
    case = {
        "query_features": angle(0, 80),
        "query_ids": np.array([7, 7]),
        "query_cameras": np.array([1, 1]),
        "gallery_features": angle(0, 80, 41),
        "gallery_ids": np.array([3, 4, 7]),
        "gallery_cameras": np.array([2, 2, 2]),
    }
    np.savez(tmp_path / "two.npz", **case)
    assert found(capsys, "--features", tmp_path / "two.npz")["rank"]["1"] == 0
    row = found(capsys, "--features", tmp_path / "two.npz", "--multi-query")
    assert (row["queries"], row["rank"]["1"], row["multi_query"]) == (1, 1.0, True)
    assert row["protocol"].startswith("multi-query")
    assert "nothing to pool" in found(capsys, *mini, "--multi-query")["notes"][-1]


def test_centred_vectors_have_no_calibration(
    mini: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--centre changes distances" in mistake(capsys, *mini, "--centre", "camera", "--verification")
    assert "says little of camera" in mistake(capsys, *mini, "--centre", "camera")


def test_what_is_saved_of_centred_vectors_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are those of the network, so that asking for the centre again does the same again."""
    rng, ids = np.random.default_rng(0), np.arange(1, 41)
    sides = [Side(rng.normal(size=(40, 8)).astype(np.float32), ids, np.full(40, c), None) for c in (0, 1)]
    save_features(tmp_path / "a.npz", Features("mine", *sides, (), {}))
    words = ["--features", str(tmp_path / "a.npz"), "--centre", "camera", "--save-features"]
    assert main([*words, str(tmp_path / "b.npz")]) == 0
    assert "b.npz: vectors as the network made them; --centre centres them again" in capsys.readouterr().out
    with np.load(tmp_path / "a.npz") as one, np.load(tmp_path / "b.npz") as other:
        assert np.array_equal(one["query_features"], other["query_features"])


@pytest.fixture(scope="module")
def strangers(mini: list[str | Path]) -> Path:
    """Another miniature, of other colours."""
    folder = Path(mini[3]).parent / "strangers"
    write_mini_market(folder, ids=4, cameras=2, images=2, size=(16, 8), seed=9)
    return folder


def test_normalised_from_images_and_from_files(
    mini: list[str | Path], strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """8 queries, 8 gallery images of theirs and 4 distractors are strangers; 3 junk images are not."""
    told = "s-normalised by 20 images of "
    row = found(capsys, *mini, "--normalise", "s", "--cohort", strangers)
    assert (row["normalise"], row["cohort"], row["cohort_images"]) == ("s", "strangers", 20)
    assert row["protocol"].endswith(f"cosine, {told}strangers")
    assert any(note.startswith("cohort, query: 8 images") for note in row["notes"])
    assert row["mAP"] != found(capsys, *mini)["mAP"]
    # The same from files: features of both, or the cohort's beside weights.
    mine, theirs = tmp_path / "mine.npz", tmp_path / "theirs.npz"
    weights = mini[:2] + mini[4:]
    found(capsys, *mini, "--save-features", mine)
    found(capsys, *weights, "--data", strangers, "--save-features", theirs)
    for words in (["--features", mine], mini):
        again = found(capsys, *words, "--normalise", "s", "--cohort", theirs)
        assert (again["cohort"], again["rank"], again["mAP"]) == ("theirs.npz", row["rank"], row["mAP"])
    # Other networks, and the very set under another name.
    (tmp_path / "copy.npz").write_bytes(mine.read_bytes())
    assert "--cohort copy.npz: is the very set" in mistake(
        capsys, "--features", mine, "--normalise", "z", "--cohort", tmp_path / "copy.npz"
    )
    assert "theirs.npz: was made without --flip" in mistake(
        capsys, *mini, "--flip", "--normalise", "z", "--cohort", theirs
    )


def test_normalised_is_said_everywhere(
    mini: list[str | Path], strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        *(capsys, *mini, "--normalise", "z", "--cohort", strangers, "--verification", "--per-camera"),
        *("--compare", mini[1], "--csv", tmp_path / "a.csv", "--markdown", tmp_path / "a.md"),
        *("--html", tmp_path / "page"),
    )
    assert (code, err) == (0, "")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    for text in (out, page, (tmp_path / "a.md").read_text(), (tmp_path / "a.csv").read_text()):
        assert "z-normalised by 20 images of strangers" in text
    files = [*tmp_path.glob("a.*.csv")]
    assert len(files) == 5
    assert all("normalised" in file.read_text() for file in files)
    assert "calibration" not in out


def test_a_mistake_in_the_cohort_costs_no_embedding(
    mini: list[str | Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "embed", lambda *_: pytest.fail("embedded all the same"))
    for cohort, says in (
        ("none", "no such folder"),
        ("none.npz", "no such features file"),
        (mini[3], "very set"),
    ):
        assert says in mistake(capsys, *mini, "--normalise", "z", "--cohort", cohort)
    words = [*mini, "--normalise", "z", "--cohort", tmp_path]
    assert "--rerank orders by neighbours" in mistake(capsys, *words, "--rerank", "zhong-d2")


def test_a_broken_image_is_left_out_or_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    from tests.reid.networks_by_hand import all_pixels

    write_mini_market(tmp_path / "data", ids=3, cameras=2, images=2, size=(16, 8))
    weights = all_pixels(tmp_path / "pixels.onnx", (16, 8))
    options = ["--weights", weights, "--data", tmp_path / "data", "--cache", tmp_path / "cache"]
    (tmp_path / "data/bounding_box_test/0004_c1s1_000001_00.jpg").write_text("no image")
    row = found(capsys, *options)
    assert row["gallery"] == 9
    assert "gallery: 1 broken images left out" in row["notes"][-1]
    assert "0004_c1s1_000001_00.jpg" in mistake(capsys, *options, "--strict")


def test_quiet(hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--features", hand, "--quiet", "--json", tmp_path / "a.json") == (0, "", "")
    assert json.loads((tmp_path / "a.json").read_text())["mAP"] == 0.75


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"query_ids": None}, "has no query_ids (it has gallery_cameras, gallery_features"),
        ({"query_ids": np.array([7])}, "expected query_features (N, D), query_ids (N,)"),
        ({"query_ids": np.array([7, object()])}, "not readable as an .npz file of plain arrays"),
        ({"query_ids": np.array([0, 3])}, "wrong.npz: query_ids: expected identities from 1, got 0 in row 0"),
        ({"query_ids": np.array(["7", "3"])}, "wrong.npz: query_ids: expected whole numbers"),
        ({"query_ids": np.array([[7], [3]])}, "expected query_features (N, D), query_ids (N,)"),
        ({"gallery_ids": HAND["gallery_ids"] + 100}, "no identity of the queries is in the gallery"),
        ({"query_features": np.zeros((2, 2))}, "query_features: row 0 is all zero"),
        ({"query_cameras": np.ones(2, int), "gallery_cameras": np.ones(6, int)}, "one camera only (1)"),
        ({"gallery_features": np.zeros((6, 3))}, "query_features have 2 numbers a row, gallery_features 3"),
        ({"query_features": np.full((2, 2), np.nan)}, "wrong.npz: query_features: row 0 has NaN"),
        ({"query_paths": np.array(["a"])}, "expected query_paths (2,), got (1,)"),
    ],
)
def test_features_files_that_are_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], says: str
) -> None:
    arrays = {key: value for key, value in (HAND | change).items() if value is not None}
    np.savez(tmp_path / "wrong.npz", **arrays)
    path = tmp_path / "wrong.npz"
    for extra in ([], ["--multi-query"]):
        assert says in mistake(capsys, "--features", path, "--json", tmp_path / "a.json", *extra)
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("how", ["cut", "flipped", "text member", "npy", "empty", "folder"])
def test_features_files_that_are_broken(
    hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    path = tmp_path / "broken.npz"
    if how == "cut":
        path.write_bytes(hand.read_bytes()[:700])
    elif how == "flipped":  # in the middle of a compressed array
        np.savez_compressed(path, **HAND | {"query_features": np.random.default_rng(0).random((2, 999))})
        data = bytearray(path.read_bytes())
        data[3000:3100] = bytes(100)
        path.write_bytes(data)
    elif how == "text member":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("query_features", "no array")
    elif how == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif how == "folder":
        path.mkdir()
    else:
        path.touch()
    line = mistake(capsys, "--features", path)
    assert str(path) in line
    assert "pickle.load" not in line  # numpy's advice for what is not its own


def test_a_features_file_that_unpacks_to_too_much(
    hand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "LARGEST", 100)
    assert "more than 100 bytes when unpacked" in mistake(capsys, "--features", hand)


def test_damage_anywhere_is_one_short_line(
    hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred files with bytes flipped or cut: scored where the damage hits nothing, else one line."""
    whole, rng = hand.read_bytes(), np.random.default_rng(0)
    path = tmp_path / "damaged.npz"
    refused = 0
    for _ in range(100):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)
        code, _, err = run(capsys, "--features", path, "--quiet")
        assert (code, err) == (0, "") or (code == 2 and err.count("\n") == 1 and len(err) < 600), err
        refused += code == 2
    assert refused > 50


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "expected --weights FILE|NAME|auto with --data DIR, or --features"),
        (["--weights", "a.onnx"], "expected --weights"),
        (["--features", "a.npz", "--data", "d"], "not both"),
        (["--features", ""], "--features '': expected a name"),
        (["--features", "HAND", "--flip"], "--flip does nothing without --weights"),
        (["--features", "HAND", "--batch-size", "4"], "--batch-size does nothing without --weights"),
        (["--features", "HAND", "--top-k", "4"], "--top-k does nothing without --html"),
        (["--features", "HAND", "--html", "p", "--top-k", "0"], "--top-k 0: expected a whole number from 1"),
        (["--features", "HAND", "--html", "p"], "does not say where its images are"),
        (["--features", "HAND", "--html", "HAND"], "is a file; expected a folder"),
        (["--features", "HAND", "--json", "x", "--csv", "x"], "name the same file"),
        (["--features", "HAND", "--save-features", "x.np"], "ends in .npz"),
        (["--features", "HAND", "--csv", "-"], "only --json writes to standard output"),
        (["--features", "HAND", "--json", "HAND"], "--features and --json name the same file"),
        (["--features", "HAND", "--json", "HAND/x.json"], "is no folder that takes files"),
        (["--features", "HAND", "--html", "HAND/page"], "is no folder that takes files"),
        (["--weights", "w.onnx", "--data", "."], "no ReID data set"),
        (["--features", "HAND", "--rerank", "zhong"], "did you mean 'zhong-d2'?"),
        (["--features", "HAND", "--compare", "other.onnx"], "give a features file"),
        (["--features", "none.npz"], "no such features file"),
        (["--features", __file__], "not readable as an .npz file"),
        (["--weights", "w", "--data", "d", "--size", "256"], "expected HEIGHTxWIDTH"),
        (["--weights", "w", "--data", "no/such/folder"], "no such folder"),
        (["--nonsense"], "unrecognized arguments"),
    ],
)
def test_mistakes(hand: Path, capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    assert says in mistake(capsys, *[a.replace("HAND", str(hand)) for a in argv])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--normalise z", "--normalise does nothing without --cohort DIR|FILE.npz"),
        ("--cohort c.npz", "--cohort does nothing without --normalise z|s|adaptive"),
        ("--normalise t --cohort c.npz", "invalid choice: 't'"),
        ("--normalise z --cohort d", "with --features, give a features file"),
        ("--normalise z --cohort HAND", "is the very set that is scored"),
        ("--normalise z --cohort c.npz --shards 2", "in one part"),
        ("--normalise z --cohort c.npz --compare b.npz", "its own vectors of the cohort"),
        ("--normalise z --cohort c.npz --csv c.npz", "--cohort and --csv name the same file"),
    ],
)
def test_mistakes_of_a_cohort(hand: Path, capsys: pytest.CaptureFixture[str], words: str, says: str) -> None:
    assert says in mistake(capsys, "--features", hand, *words.replace("HAND", str(hand)).split())


def test_mistakes_with_weights(mini: list[str | Path], capsys: pytest.CaptureFixture[str]) -> None:
    data = mini[2:]
    assert "no such weights" in mistake(capsys, "--weights", "no_such_weights", *data)
    assert "takes only 16x8" in mistake(capsys, *mini, "--size", "32x16")
    assert "unknown layout" in mistake(capsys, *mini, "--layout", "nonsense")
    assert "is a features file; give it as --features" in mistake(capsys, "--weights", "a.npz", *data)


def test_a_mistake_in_the_second_name_costs_no_embedding(
    mini: list[str | Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "embed", lambda *_: pytest.fail("embedded all the same"))
    assert "no such weights" in mistake(capsys, *mini, "--compare", "no_such_weights")
    assert "no such features file" in mistake(capsys, *mini, "--compare", "none.npz")


def test_other_images_do_not_compare(hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "other.npz", **HAND | {"gallery_ids": np.array([0, 7, -1, 3, 7, 5])})
    assert "not of the same gallery images" in mistake(
        capsys, "--features", hand, "--compare", tmp_path / "other.npz"
    )
    # The same labels in the same order, but other images.
    paths = {"query_paths": np.array(["a/1.jpg", "a/2.jpg"])}
    gallery = np.array([f"{k}.jpg" for k in range(6)])
    np.savez(hand, **HAND, **paths, gallery_paths=gallery)
    np.savez(tmp_path / "other.npz", **HAND, **paths, gallery_paths=gallery[::-1])
    assert "not of the same gallery images" in mistake(
        capsys, "--features", hand, "--compare", tmp_path / "other.npz"
    )
    moved = np.array([f"elsewhere/{name}" for name in gallery])
    np.savez(tmp_path / "other.npz", **HAND, **paths, gallery_paths=moved)
    assert run(capsys, "--features", hand, "--compare", tmp_path / "other.npz")[0] == 0


def test_features_need_neither_torch_nor_a_runtime(hand: Path) -> None:
    """And --help nothing but the standard library."""
    probe = (
        "import sys, retrace.tools.eval_reid as t; t.parser().format_help()\n"
        "assert not {'numpy', 'scipy', 'rich'} & {*sys.modules}\n"
        f"t.main(['--features', {str(hand)!r}, '--audit'])\n"
        "print('heavy', *({'torch', 'cv2', 'onnxruntime', 'onnx'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy"


def test_every_option_of_the_weights_is_refused_without_them() -> None:
    """The list that check_options goes by is the group of the help."""
    group = next(g for g in eval_reid.parser()._action_groups if "with --weights" in (g.title or ""))
    assert {a.dest for a in group._group_actions} == set(options.EMBEDDING)


def test_golden_cuhk03(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured with other software on the same images, camera A to B: rank-1 40.8, mAP 41.0."""
    weights, data = shared / "weights" / "osnet_x0_25_msmt17.onnx", shared / "cuhk03-detected-val"
    row = found(capsys, "--weights", weights, "--data", data, "--cache", tmp_path, "--threads", "1")
    assert (row["rank"]["1"], row["mAP"]) == pytest.approx((0.408, 0.410), abs=5e-4)
    assert (row["queries"], row["valid_queries"], row["gallery"]) == (451, 451, 487)
