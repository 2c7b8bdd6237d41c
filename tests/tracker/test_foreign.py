"""Detections of other libraries become ours, tracks become theirs, and what boxes carry stays with its box."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Detections, Tracker, Tracks

BOXES = [[10.0, 20, 50, 120], [5, 5, 5, 9], [100, 20, 140, 120]]  # the second has no width
SCORES = [0.9, 0.5, 0.8]


@pytest.fixture
def sv() -> Any:
    return pytest.importorskip("supervision")


def test_supervision_there_and_back(sv: Any) -> None:
    """Box 1 is dropped: mask, data and tracker_id of boxes 0 and 2 stay with them."""
    mask = np.zeros((3, 6, 8), bool)
    mask[0, 1], mask[2, 2] = True, True
    theirs = sv.Detections(
        np.array(BOXES),
        mask=mask,
        confidence=np.array(SCORES),
        class_id=np.array([0, 0, 2]),
        tracker_id=np.array([7, 8, 9]),
        data={"class_name": np.array(["person", "person", "car"]), "speed": [1.5, 2.5, 3.5]},
    )
    ours = Detections.from_supervision(theirs)
    assert ours.dropped == 1
    assert ours.index.tolist() == [0, 2]
    assert ours.class_id.tolist() == [0, 2]
    assert ours.extras["speed"].tolist() == [1.5, 3.5]
    assert ours.extras["tracker_id"].tolist() == [7, 9]
    tracks = Tracker.from_config("sort").update(ours)
    back = tracks.to_supervision()
    assert back.tracker_id.tolist() == [1, 2]
    assert back.data["det_index"].tolist() == [0, 2]
    assert back.data["class_name"].tolist() == ["person", "car"]
    np.testing.assert_array_equal(back.xyxy, np.array(BOXES)[[0, 2]])
    np.testing.assert_array_equal(back.mask, mask[[0, 2]])
    np.testing.assert_allclose(back.confidence, [0.9, 0.8], atol=1e-7)
    assert len(back[back.class_id == 2]) == 1  # it is theirs: it can be cut as theirs can


def test_supervision_without_scores_classes_and_boxes(sv: Any) -> None:
    ours = Detections.from_supervision(sv.Detections(np.array(BOXES[:1])))
    assert ours.score.tolist() == [1]
    assert ours.class_id.tolist() == [0]
    assert len(Detections.from_supervision(sv.Detections.empty())) == 0
    nobody = Tracker.from_config("sort").update(Detections.empty()).to_supervision()
    assert nobody.xyxy.shape == (0, 4)
    assert nobody.tracker_id.shape == (0,)


def test_supervision_s_annotators_take_our_tracks(sv: Any) -> None:
    tracks = Tracker.from_config("sort").update(Detections([BOXES[0]], [0.9]))
    scene = np.zeros((150, 160, 3), np.uint8)
    drawn = sv.BoxAnnotator().annotate(scene.copy(), tracks.to_supervision())
    assert drawn[20:120, 8:13].any()  # the box's left side
    assert not drawn[:, 100:].any()


def test_without_supervision_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match="pip install supervision"):
        Tracker.from_config("sort").update(Detections.empty()).to_supervision()


def ultralytics_result(**parts: Any) -> Any:
    """Stands in for one image's Results: tensors with `detach`, as torch's."""
    torch = pytest.importorskip("torch")
    boxes = SimpleNamespace(
        xyxy=torch.tensor(BOXES), conf=torch.tensor(SCORES), cls=torch.tensor([0.0, 0.0, 2.0])
    )
    given = {"boxes": boxes, "names": {0: "person", 2: "car"}, "orig_shape": (60, 80), **parts}
    return SimpleNamespace(**given)


def test_ultralytics_boxes_keypoints_and_names() -> None:
    torch = pytest.importorskip("torch")
    points = torch.arange(3 * 17 * 3).reshape(3, 17, 3).float()
    result = ultralytics_result(keypoints=SimpleNamespace(data=points))
    for given in (result, [result]):  # a model answers with a list of one
        ours = Detections.from_ultralytics(given)
        assert ours.class_id.tolist() == [0, 2]
        assert ours.extras["class_name"].tolist() == ["person", "car"]
        np.testing.assert_array_equal(ours.extras["keypoints"], points.numpy()[[0, 2]])
    tracks = Tracker.from_config("sort").update(ours)
    np.testing.assert_array_equal(tracks.extras["keypoints"][1], points.numpy()[2])


def test_ultralytics_masks_grow_to_the_image() -> None:
    """An image of 60 x 80 in a network of 64 x 64: shown at 48 x 64 with 8 rows of border above and below.

    The mask covers the left half of the picture: 32 of the network's columns, 40 of the image's.
    """
    torch = pytest.importorskip("torch")
    masks = torch.zeros(3, 64, 64)
    masks[:, 8:56, :32] = 1
    ours = Detections.from_ultralytics(ultralytics_result(masks=SimpleNamespace(data=masks)))
    mask = ours.extras["mask"]
    assert mask.shape == (2, 60, 80)
    assert mask.dtype == bool
    assert mask[:, :, :40].all()
    assert not mask[:, :, 40:].any()
    whole = torch.ones(3, 60, 80)  # retina_masks=True: already the image's size
    assert (
        Detections.from_ultralytics(ultralytics_result(masks=SimpleNamespace(data=whole)))
        .extras["mask"]
        .all()
    )


def test_ultralytics_turned_boxes() -> None:
    torch = pytest.importorskip("torch")
    corners = torch.rand(3, 4, 2)
    turned = SimpleNamespace(
        xyxy=torch.tensor(BOXES), conf=torch.tensor(SCORES), cls=torch.zeros(3), xyxyxyxy=corners
    )
    ours = Detections.from_ultralytics(SimpleNamespace(obb=turned, boxes=None, names={0: "ship"}))
    np.testing.assert_array_equal(ours.extras["xyxyxyxy"], corners.numpy()[[0, 2]])


def test_the_real_results_of_ultralytics() -> None:
    from retrace.tracker.detection.yolo_torch import import_ultralytics, installed

    if not installed():
        pytest.skip("needs ultralytics")
    torch = pytest.importorskip("torch")
    import_ultralytics()
    from ultralytics.engine.results import Results

    rows = torch.tensor([[*box, score, 0.0] for box, score in zip(BOXES, SCORES, strict=True)])
    masks = torch.zeros(3, 64, 64)
    masks[0, 20:30, 10:20] = 1
    result = Results(np.zeros((60, 80, 3), np.uint8), "a.jpg", {0: "person"}, boxes=rows, masks=masks)
    ours = Detections.from_ultralytics(result)
    np.testing.assert_allclose(ours.score, [0.9, 0.8], atol=1e-7)
    empty = Results(np.zeros((60, 80, 3), np.uint8), "a.jpg", {0: "person"}, boxes=torch.zeros(0, 6))
    assert len(Detections.from_ultralytics(empty)) == 0
    theirs = pytest.importorskip("supervision").Detections.from_ultralytics(result)
    np.testing.assert_array_equal(ours.extras["mask"], theirs.mask[[0, 2]])


def test_torchvision() -> None:
    torch = pytest.importorskip("torch")
    soft = torch.full((3, 1, 6, 8), 0.2)
    soft[0, 0, 2] = 0.5  # torchvision: "0.5 and above"
    output = {
        "boxes": torch.tensor(BOXES, requires_grad=True),
        "labels": torch.tensor([1, 1, 3]),
        "scores": torch.tensor(SCORES),
        "masks": soft,
        "keypoints": torch.ones(3, 17, 3),
        "keypoints_scores": torch.ones(3, 17),
    }
    ours = Detections.from_torchvision([output])
    assert ours.class_id.tolist() == [1, 3]
    assert ours.extras["mask"].shape == (2, 6, 8)
    assert ours.extras["mask"][0].sum() == 8
    assert not ours.extras["mask"][1].any()
    assert ours.extras["keypoints_scores"].shape == (2, 17)
    people = ours.take(ours.class_id == 1)
    assert len(people) == 1
    assert Tracker.from_config("sort").update(people).det_index.tolist() == [0]


def test_a_real_torchvision_network() -> None:
    """Random weights put out what trained ones do: masks of the picture's size, a row a box."""
    torch = pytest.importorskip("torch")
    from retrace.torchvision_cure import cure_torchvision

    cure_torchvision()
    detection = pytest.importorskip("torchvision.models.detection")
    from torchvision.models.detection.backbone_utils import mobilenet_backbone

    torch.manual_seed(0)
    backbone = mobilenet_backbone(
        backbone_name="mobilenet_v3_small", weights=None, fpn=True, trainable_layers=6
    )
    anchors = detection.anchor_utils.AnchorGenerator(((16, 32),) * 3, ((0.5, 1.0),) * 3)
    settings = {"min_size": 64, "max_size": 96, "box_detections_per_img": 6, "box_score_thresh": 0.0}
    settings |= {"rpn_pre_nms_top_n_test": 40, "rpn_post_nms_top_n_test": 20}
    network = detection.MaskRCNN(backbone, 3, rpn_anchor_generator=anchors, **settings).eval()
    # without its own kernels it compiles: a minute
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        output = network([torch.rand(3, 60, 80)])
    ours = Detections.from_torchvision(output)
    theirs = {name: value.numpy() for name, value in output[0].items()}
    assert len(ours) > 0
    np.testing.assert_array_equal(ours.xyxy, theirs["boxes"][ours.index])
    np.testing.assert_array_equal(ours.score, theirs["scores"][ours.index])
    np.testing.assert_array_equal(ours.class_id, theirs["labels"][ours.index])
    assert ours.extras["mask"].shape[1:] == (60, 80)
    np.testing.assert_array_equal(ours.extras["mask"], theirs["masks"][ours.index, 0] >= 0.5)


@pytest.mark.parametrize(
    ("make", "value", "said"),
    [
        ("from_ultralytics", [1, 2], "Results of one image, got a list of 2"),
        ("from_ultralytics", SimpleNamespace(boxes=None, probs=1), "without boxes"),
        ("from_ultralytics", np.zeros((3, 6)), "got ndarray without boxes"),
        ("from_supervision", {"xyxy": []}, "expected supervision.Detections, got dict"),
        ("from_torchvision", {"boxes": np.zeros((0, 4))}, "without scores"),
        ("from_torchvision", [{}, {}], "a dict of one image, got a list of 2"),
        ("from_torchvision", np.zeros((3, 6)), "got ndarray without boxes"),
        ("from_torchvision", {"boxes": np.zeros((0, 4)), "scores": [], "image": np.zeros((3, 4))}, "'image'"),
    ],
)
def test_what_is_refused(make: str, value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        getattr(Detections, make)(value)


def test_nothing_of_theirs_is_imported() -> None:
    """Reading their results needs no import of ours: whoever has results has the library."""
    text = (Path(__file__).parents[2] / "tracker" / "foreign.py").read_text()
    assert "import ultralytics" not in text
    assert "import torch" not in text


def test_a_track_that_is_only_predicted_carries_nothing() -> None:
    """Track 5 was seen in row 1, track 6 not at all."""
    extras = {
        "weight": np.array([1.5, 2.5]),
        "name": np.array(["Ada", "Bob"]),
        "shape": np.array([[[1, 2]], [[3, 4]]]),
        "seen": np.array([True, True]),
        "any": np.array([{}, {"a": 1}], object),
    }
    detections = Detections([BOXES[0], BOXES[2]], [0.9, 0.8], extras=extras)
    none = np.array([1, -1])
    tracks = Tracks(np.array([5, 6]), detections.xyxy, detections.score, detections.class_id, none)
    carried = tracks.carrying(detections).extras
    assert carried["weight"].tolist()[0] == 2.5
    assert np.isnan(carried["weight"][1])
    assert carried["name"].tolist() == ["Bob", ""]
    assert carried["shape"].tolist() == [[[3, 4]], [[0, 0]]]
    assert carried["seen"].tolist() == [True, False]
    assert carried["any"].tolist() == [{"a": 1}, None]


@pytest.mark.parametrize("rows", [[], [0], [2], [0, 2]])
def test_detections_of_another_frame_are_no_track_s(rows: list[int]) -> None:
    tracks = Tracks(np.array([5]), np.array(BOXES[:1]), np.ones(1), np.zeros(1, int), np.array([1]))
    other = Detections([BOXES[0]] * len(rows), [0.9] * len(rows), index=rows, extras={"a": rows})
    with pytest.raises(InputError, match="of another frame"):
        tracks.carrying(other)


def test_extras_follow_their_boxes_for_ever() -> None:
    """40 frames in another order each: whoever is called 3 there is called 3 here, as the slow look-up says."""
    rng = np.random.default_rng(0)
    tracker = Tracker.from_config("bytetrack", fps=25)
    who: dict[int, set[int]] = {}
    for k in range(40):
        order = rng.permutation(5)
        left = 200.0 * order + k
        xyxy = np.stack([left, 0 * left + 20, left + 40, 0 * left + 120], 1)
        xyxy = np.insert(xyxy, 2, [1, 1, 1, 1], axis=0)  # of no size
        called = np.insert(order, 2, 99)
        tracks = tracker.update(Detections(xyxy, np.full(6, 0.9), extras={"who": called}))
        slow = [called[row] for row in tracks.det_index]
        assert tracks.extras["who"].tolist() == slow
        for number, name in zip(tracks.id.tolist(), slow, strict=True):
            who.setdefault(number, set()).add(int(name))
    assert sorted(who.values(), key=min) == [{0}, {1}, {2}, {3}, {4}]
