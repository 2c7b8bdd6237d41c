"""Where people stand: by hand, and equal to TrackEval on the same points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trackeval

from retrace.configs import InputError
from retrace.configs.loader import load_preset
from retrace.eval.mot.ground import Points, evaluate_on_ground, facing, feet_on, prepare_points, together
from retrace.eval.mot.score import score_prepared
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_ground_truth
from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.files import link_tables
from tests.eval import reference
from tests.eval.compare import differences

METRE = 100.0  # px of a picture that looks straight down


def standing(rows: list[tuple[int, int, float, float]]) -> MotTable:
    """(frame, id, x, y) of feet, m -> boxes of a camera that looks straight down."""
    frame, person, x, y = (np.array(column) for column in zip(*rows, strict=True))
    foot = METRE * np.stack((x, y), axis=1).astype(float)
    box = np.concatenate((foot - np.array([20, 90]), foot + np.array([20, 0])), axis=1)
    n = len(rows)
    return MotTable(frame, person, box, np.ones(n), np.ones(n, np.int64), np.ones(n))


def down(*cameras: str, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Each camera's picture is moved by ``shift`` m from that of the one before."""
    return {
        name: np.array([[1 / METRE, 0, -k * shift], [0, 1 / METRE, 0], [0, 0, 1]])
        for k, name in enumerate(cameras)
    }


def test_a_person_is_one_point_whoever_sees_him() -> None:
    """Two cameras see person 1 at 2 m and, by the second one's picture, at 3.4 - 1 m: he stands at the mean, 2.2.
    Half a metre off is .75 similar of a reach of 2; 1.2 m off is no match of CLEAR, whose half is 1 m."""
    ground = down("a", "b", shift=1.0)
    truth = {"a": standing([(0, 1, 2.0, 5.0)]), "b": standing([(0, 1, 3.4, 5.0), (0, 2, 9.0, 5.0)])}
    points = together([(truth["a"], ground["a"]), (truth["b"], ground["b"])])
    assert (points.frame.tolist(), points.id.tolist()) == ([0, 0], [1, 2])
    np.testing.assert_allclose(points.place, [[2.2, 5.0], [8.0, 5.0]])
    result = {"a": standing([(0, 7, 2.7, 5.0)]), "b": standing([(0, 8, 9.0, 6.2)])}
    row = evaluate_on_ground({name: (truth[name], result[name]) for name in truth}, ground).row()
    assert (row["TP"], row["FP"], row["FN"]) == (1, 1, 1)
    assert row["MOTP"] == pytest.approx(0.75)
    assert row["IDF1"] == 0.5
    wider = evaluate_on_ground({name: (truth[name], result[name]) for name in truth}, ground, reach=4.0).row()
    assert (wider["TP"], wider["MOTP"]) == (2, pytest.approx((1 - 0.5 / 4 + 1 - 1.2 / 4) / 2))


def test_nobody_stands_behind_the_horizon() -> None:
    """A plane whose horizon is the line y = 100: feet above it have no place, and meet nobody."""
    plane = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0.01, -1.0]])
    boxes = np.array([[0, 0, 20, 300], [0, 0, 20, 400], [0, 0, 20, 50], [0, 0, 20, 100]], float)
    place = feet_on(boxes, plane)
    np.testing.assert_allclose(place[:2], [[10 / 2, 300 / 2], [10 / 3, 400 / 3]])
    assert np.isinf(place[2:]).all()
    truth = replace(standing([(0, 1, 1, 1), (0, 2, 2, 2)]), xyxy=boxes[:2])
    np.testing.assert_array_equal(facing(-plane, truth), plane)  # as most of the truth stands
    result = replace(standing([(0, k, 1, 1) for k in range(7)]), xyxy=boxes[[0, 1, 2, 2, 2, 3, 3]])
    row = evaluate_on_ground({"a": (truth, result)}, {"a": -plane}).row()
    assert (row["TP"], row["FP"], row["FN"]) == (2, 5, 0)
    points = Points(np.zeros(1, np.int64), np.ones(1, np.int64), place[2:3])
    row = score_prepared(prepare_points(points, points, 2.0, 1)).row()
    assert (row["TP"], row["FN"], row["FP"]) == (0, 1, 1)


@pytest.mark.parametrize("seed", range(6))
def test_equals_trackeval_on_points(seed: int) -> None:
    """TrackEval's own metrics, fed with its own similarity of positions, frame by frame."""
    rng, frames = np.random.default_rng(seed), 12
    given = []
    for _ in range(2):
        there = rng.random((frames, 6)) < 0.8
        frame, person = there.nonzero()
        given.append(Points(frame, person + 3, rng.uniform(0, 6, (len(frame), 2))))
    gt, result = given
    similar = trackeval.datasets._base_dataset._BaseDataset._calculate_euclidean_similarity
    data = {
        "num_gt_dets": len(gt.id), "num_tracker_dets": len(result.id), "num_timesteps": frames, "seq": "points",
        "num_gt_ids": len(np.unique(gt.id)), "num_tracker_ids": len(np.unique(result.id)),
    }  # fmt: skip
    for name, points in (("gt", gt), ("tracker", result)):
        data[f"{name}_ids"] = [
            np.unique(points.id).searchsorted(points.id[points.frame == t]) for t in range(frames)
        ]
    data["similarity_scores"] = [
        similar(gt.place[gt.frame == t], result.place[result.frame == t], 2.0) for t in range(frames)
    ]
    theirs = {metric.get_name(): metric.eval_sequence(data) for metric in reference.METRICS}
    theirs["Count"] = trackeval.metrics.Count().eval_sequence(data)
    ours = score_prepared(prepare_points(gt, result, 2.0, frames))
    assert differences(ours, theirs) == []
    assert ours.count.boxes > 40
    assert ours.clear.TP > 5


def test_mistakes() -> None:
    one = {"a": (standing([(0, 1, 1, 1)]), standing([(0, 1, 1, 1)]))}
    with pytest.raises(InputError, match="no homography of camera a"):
        evaluate_on_ground(one, down("b"))
    with pytest.raises(InputError, match="expected a distance above 0 and below"):
        evaluate_on_ground(one, down("a"), reach=0)
    with pytest.raises(InputError, match="no cameras"):
        evaluate_on_ground({}, down("a"))


def test_nothing_is_found() -> None:
    truth = standing([(0, 1, 1, 1), (1, 1, 1, 1)])
    row = evaluate_on_ground({"a": (truth, truth.take(truth.frame < 0))}, down("a")).row()
    assert (row["FN"], row["IDF1"]) == (2, 0)


def test_five_views_of_one_place(shared: Path) -> None:
    """On ground learned from who walks there a perfect result is perfect, one with ids of each camera's own is not, and
    the linked one, whose ids come from that ground, is nearly so."""
    folder, frames = shared / "multicam-gt" / "PETS09-S2L1", 200
    truth = {f"cam{k}": read_ground_truth(folder / f"cam{k}" / "gt" / "gt.txt") for k in range(1, 6)}
    truth = {name: table.take(table.frame < frames) for name, table in truth.items()}
    apart = {name: replace(table, id=table.id + 1000 * k) for k, (name, table) in enumerate(truth.items())}
    linked = link_tables(apart, load_preset("default", SiteConfig, "site"))
    planes = dict(zip(linked.ground.cameras, linked.ground.plane, strict=True))
    feet = together([(table, planes[name]) for name, table in truth.items()])
    reach = 0.1 * float(np.ptp(feet.place, axis=0).max())
    scored = {
        kind: evaluate_on_ground({n: (truth[n], result[n]) for n in truth}, planes, reach).row()
        for kind, result in (("perfect", truth), ("own", apart), ("linked", linked.tables))
    }
    assert (scored["perfect"]["HOTA"], scored["perfect"]["IDF1"], scored["perfect"]["FP"]) == (1, 1, 0)
    assert scored["linked"]["IDF1"] > 0.9
    assert scored["own"]["IDF1"] < 0.5
    assert scored["own"]["FP"] > 1000
