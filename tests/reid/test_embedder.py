"""Crops -> unit vectors, on networks small enough to work out by hand."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.errors import install
from retrace.reid import Embedder, shipped_weights
from retrace.reid.weights import shipped

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from tests.reid.networks_by_hand import all_pixels  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FLOAT, HALF, BYTE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8
BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)  # BGR
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # RGB


def save(path: Path, nodes: list, shape: list, kind: int = FLOAT, out: list | None = None) -> Path:
    """A network of these nodes, "image" -> "out"."""
    outputs = [helper.make_tensor_value_info("out", kind, [shape[0], 3] if out is None else out)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("image", kind, shape)], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def colour_mean(folder: Path, batch: int | str = "B", kind: int = FLOAT, size: tuple = (8, 4)) -> Path:
    """A network whose feature is the mean of each channel: (B, 3, H, W) -> (B, 3)."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["out"]),
    ]
    return save(folder / f"mean_{batch}.onnx", nodes, [batch, 3, *size], kind)


def unit_of_colour(bgr: tuple[int, int, int]) -> np.ndarray:
    """What `colour_mean` must answer for a crop of one colour."""
    normal = (np.array(bgr[::-1]) / 255 - MEAN) / STD
    return normal / np.linalg.norm(normal)


def painted() -> np.ndarray:
    """20 rows, 30 columns: blue, green and red in blocks of ten columns."""
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :10], image[:, 10:20], image[:, 20:] = BLUE, GREEN, RED
    return image


BLOCKS = np.array([[0, 0, 10, 20], [10, 0, 20, 20], [20, 0, 30, 20]], np.float32)


def test_colours_reach_the_network_as_rgb_in_imagenet_units(tmp_path: Path) -> None:
    features = Embedder.from_weights(colour_mean(tmp_path))(painted(), BLOCKS)
    want = [unit_of_colour(c) for c in (BLUE, GREEN, RED)]
    np.testing.assert_allclose(features, want, atol=1e-5)
    assert features.dtype == np.float32
    assert np.allclose(np.linalg.norm(features, axis=1), 1)


@pytest.mark.parametrize("batch", ["B", 1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_batches_of_any_size_give_the_same_rows_in_order(
    tmp_path: Path, batch: int | str, batch_size: int
) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    corner = rng.uniform(0, 40, (7, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(2, 15, (7, 2))], axis=1)
    found = Embedder.from_weights(colour_mean(tmp_path, batch), batch_size=batch_size)(image, boxes)
    np.testing.assert_allclose(found, slow_colour_mean(image, boxes), atol=1e-5)


def slow_colour_mean(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """One box at a time, step by step."""
    import cv2

    rows = []
    for x1, y1, x2, y2 in boxes:
        crop = image[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))]
        crop = cv2.resize(crop, (4, 8), interpolation=cv2.INTER_LINEAR)[:, :, ::-1] / 255
        mean = ((crop - MEAN) / STD).mean((0, 1))
        rows.append(mean / np.linalg.norm(mean))
    return np.array(rows)


def test_no_boxes_give_no_rows_of_the_right_width(tmp_path: Path) -> None:
    embed = Embedder.from_weights(colour_mean(tmp_path))
    assert embed(painted(), np.zeros((0, 4))).shape == (0, 3)
    assert embed(painted(), np.array([])).shape == (0, 3)
    assert embed.dim == 3


def test_boxes_are_cut_to_the_image(tmp_path: Path) -> None:
    embed = Embedder.from_weights(colour_mean(tmp_path))
    hanging = [[-50, -50, 10, 90], [20, -1e30, 1e30, 1e30]]
    np.testing.assert_allclose(
        embed(painted(), np.array(hanging)), [unit_of_colour(BLUE), unit_of_colour(RED)], atol=1e-5
    )
    assert embed.unseen == 0


def test_a_box_outside_the_image_has_an_all_zero_row_and_is_counted(tmp_path: Path) -> None:
    from retrace.tracker import Detections

    embed = Embedder.from_weights(colour_mean(tmp_path))
    boxes = np.array(
        [
            [-30, 0, -10, 20],  # left of the image
            [0, 0, 10, 20],
            [29.5, 0, 45, 20],  # half a pixel inside
            [5, 40, 9, 60],  # below
            [28.5, 0, 29.5, 20],  # exactly one pixel wide
            [9, 5, 2, 9],  # inside out
        ]
    )
    features = embed(painted(), boxes)
    assert features.any(axis=1).tolist() == [False, True, False, False, True, False]
    assert embed.unseen == 4
    Detections(boxes, np.ones(6), embedding=features)  # takes such rows as "no appearance known"
    assert embed(painted(), boxes[:1]).tolist() == [[0, 0, 0]]
    assert embed.unseen == 5


def test_the_same_input_gives_the_same_bytes_and_is_not_changed(tmp_path: Path) -> None:
    image, boxes = painted(), BLOCKS + 0.3
    before = image.copy(), boxes.copy()
    first, second = (Embedder.from_weights(colour_mean(tmp_path)) for _ in range(2))
    assert first(image, boxes).tobytes() == first(image, boxes).tobytes() == second(image, boxes).tobytes()
    assert np.array_equal(image, before[0])
    assert np.array_equal(boxes, before[1])


def test_an_image_that_is_a_view_is_read_rightly(tmp_path: Path) -> None:
    mirrored = painted()[:, ::-1]
    features = Embedder.from_weights(colour_mean(tmp_path))(mirrored, BLOCKS)
    np.testing.assert_allclose(features, [unit_of_colour(c) for c in (RED, GREEN, BLUE)], atol=1e-5)


def test_half_precision_input_is_fed(tmp_path: Path) -> None:
    features = Embedder.from_weights(colour_mean(tmp_path, kind=HALF))(painted(), BLOCKS)
    np.testing.assert_allclose(features[2], unit_of_colour(RED), atol=2e-3)


def test_a_size_that_the_file_leaves_open_is_256x128_or_as_told(tmp_path: Path) -> None:
    path = colour_mean(tmp_path, size=("H", "W"))
    assert "256x128 -> 3" in Embedder.from_weights(path).description
    assert "16x12 -> 3" in Embedder.from_weights(path, size=(16, 12)).description


def test_a_zero_vector_stays_zero(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Sub", ["flat", "flat"], ["out"]),
    ]
    features = Embedder.from_weights(save(tmp_path / "zero.onnx", nodes, ["B", 3, 8, 4]))(painted(), BLOCKS)
    assert features.tolist() == [[0, 0, 0]] * 3


@pytest.mark.parametrize(
    ("image", "boxes", "message"),
    [
        (np.zeros((4, 4), np.uint8), BLOCKS, r"image must be \(H, W, 3\) uint8 BGR, got \(4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), BLOCKS, "float32"),
        (painted(), np.zeros((2, 5)), r"shape \(N, 4\), got \(2, 5\)"),
        (painted(), np.array([[0, 0, 1, 1], [0, 0, np.nan, 1]]), "finite; row 1"),
    ],
)
def test_wrong_images_and_boxes_are_refused(
    tmp_path: Path, image: np.ndarray, boxes: np.ndarray, message: str
) -> None:
    embed = Embedder.from_weights(colour_mean(tmp_path))
    with pytest.raises(InputError, match=message):
        embed(image, boxes)


def test_a_network_that_answers_nan_is_refused_by_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Log", ["flat"], ["out"]),  # of negative numbers
    ]
    with pytest.raises(InputError, match=r"broken\.onnx.*NaN or infinity"):
        Embedder.from_weights(save(tmp_path / "broken.onnx", nodes, ["B", 3, 8, 4]))


def test_files_that_are_no_image_embedders_are_refused(tmp_path: Path) -> None:
    same = [helper.make_node("Identity", ["image"], ["out"])]
    rank2 = save(tmp_path / "rank2.onnx", same, ["B", 3])
    map_out = save(tmp_path / "map.onnx", same, ["B", 3, 8, 4], out=["B", 3, 8, 4])
    channels = save(tmp_path / "one_channel.onnx", same, ["B", 1, 8, 4], out=["B", 4])
    pool = [
        helper.make_node("Cast", ["image"], ["f"], to=FLOAT),
        helper.make_node("GlobalAveragePool", ["f"], ["p"]),
        helper.make_node("Flatten", ["p"], ["q"]),
        helper.make_node("Cast", ["q"], ["out"], to=TensorProto.INT32),
    ]
    whole_in = save(tmp_path / "whole.onnx", pool, ["B", 3, 8, 4], TensorProto.INT32)
    for path in (rank2, map_out, channels, whole_in):
        with pytest.raises(InputError, match=rf"{path.name}: expected a network .* -> \[B, D\], got"):
            Embedder.from_weights(path)


def test_a_file_that_only_pretends_to_take_any_batch_is_refused_at_once(tmp_path: Path) -> None:
    shape = helper.make_node(
        "Constant", [], ["shape"], value=helper.make_tensor("s", TensorProto.INT64, [2], [1, -1])
    )
    nodes = [
        shape,
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["out"]),
    ]
    path = save(tmp_path / "baked.onnx", nodes, ["B", 3, 8, 4], out=["C", "D"])
    with pytest.raises(InputError, match=r"expected one vector a crop, got \(1, 6\) for 2 crops"):
        Embedder.from_weights(path)


def test_unreadable_files_unknown_names_and_endings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    (tmp_path / "weights.bin").write_text("x")
    with pytest.raises(InputError, match=r"text\.onnx: not readable as an ONNX network"):
        Embedder.from_weights(tmp_path / "text.onnx")
    with pytest.raises(InputError, match=r"expected weights that end in \.onnx"):
        Embedder.from_weights(tmp_path / "weights.bin")
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "none")
    assert shipped_weights() is None
    with pytest.raises(InputError, match="no such weights file"):
        Embedder.from_weights("osnet")
    for name in shipped.NAMED:
        with pytest.raises(InputError, match=f"{name}: no such ReID weights in this installation"):
            Embedder.from_weights(name)


def test_shipped_weights_are_found_by_name_and_by_auto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = colour_mean(tmp_path)
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    monkeypatch.setattr(shipped, "NAMED", {"auto": "mean_B", "strong": "mean_S"})
    assert shipped_weights() == path
    assert shipped_weights("strong") is None
    assert Embedder.from_weights("auto").description == Embedder.from_weights("mean_B").description
    with pytest.raises(InputError, match="did you mean 'mean_B'"):
        Embedder.from_weights("mean_C")


@pytest.mark.parametrize("name", shipped.NAMED)
def test_what_ships_is_small_calibrated_and_there_for_torch_too(name: str) -> None:
    path = shipped_weights(name)
    assert path is not None
    assert path.with_suffix(".safetensors").is_file()
    assert max(path.stat().st_size, path.with_suffix(".safetensors").stat().st_size) < 9e6
    embedder = Embedder.from_weights(name, device="cpu", threads=1)
    assert embedder.calibration is not None
    assert embedder.calibration.strangers is not None
    assert embedder.dim == (1024 if name == "strong" else 512)


def test_devices_that_are_not_there_are_refused(tmp_path: Path) -> None:
    import onnxruntime

    path = colour_mean(tmp_path)
    with pytest.raises(InputError, match="`device` must be auto, cpu, cuda or cuda:N, got 'gpu'"):
        Embedder.from_weights(path, device="gpu")
    with pytest.raises(InputError, match="batch_size"):
        Embedder.from_weights(path, batch_size=0)
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(InputError, match="no CUDA"):
            Embedder.from_weights(path, device="cuda:1")
    assert Embedder.from_weights(path, device="cpu").description.startswith(
        "mean_B.onnx, 8x4 -> 3, onnxruntime on cpu; input"
    )


def test_onnx_weights_never_import_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, {str(ROOT)!r})
sys.modules["torch"] = sys.modules["torchvision"] = sys.modules["torchreid"] = None  # importing them fails
from retrace import reid
assert not {{"onnxruntime", "cv2", "retrace.reid.networks.zoo"}} & set(sys.modules), "import reid is not light"
import numpy as np
embed = reid.Embedder.from_weights({str(colour_mean(tmp_path))!r})
print(embed(np.zeros((9, 9, 3), np.uint8), np.array([[1, 1, 5, 8]])).shape)
try:
    reid.Embedder.from_weights({str(tmp_path / "osnet_x0_25.pth")!r})
except ValueError as error:
    print(error)
"""
    (tmp_path / "osnet_x0_25.pth").write_bytes(b"")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("(1, 3)\n"), done.stderr
    assert f"torch weights need torch: {install('train')}, or use ONNX weights" in done.stdout


def test_crops_of_any_kind_give_the_rows_that_boxes_give(tmp_path: Path) -> None:
    embed = Embedder.from_weights(colour_mean(tmp_path), batch_size=2)
    rng = np.random.default_rng(2)
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((8, 4), (20, 9), (5, 30))]
    want = np.concatenate([embed(i, np.array([[0, 0, i.shape[1], i.shape[0]]])) for i in images])
    np.testing.assert_array_equal(embed.crops(images), want)
    np.testing.assert_array_equal(embed.image(images[1]), want[1])
    same = np.stack([images[0]] * 3)  # of the network's own size
    np.testing.assert_allclose(embed.crops(same), want[[0, 0, 0]], atol=1e-6)
    large = np.stack([images[1]] * 3)
    np.testing.assert_array_equal(embed.crops(large), want[[1, 1, 1]])
    assert embed.crops([]).shape == embed.crops(same[:0]).shape == (0, 3)
    np.save(tmp_path / "crops.npy", same)
    mapped = np.load(tmp_path / "crops.npy", mmap_mode="r")
    np.testing.assert_allclose(embed.crops(mapped), want[[0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("crops", "message"),
    [
        ([painted(), np.zeros((4, 4), np.uint8)], r"crop 1 must be \(H, W, 3\) uint8 BGR, got \(4, 4\)"),
        (np.zeros((2, 8, 4, 3), np.float32), "crop 0 must be .* float32"),
        ([painted(), painted(), painted()[:0]], r"crop 2 has no pixels, its shape is \(0, 30, 3\)"),
    ],
)
def test_wrong_crops_are_refused_by_number(tmp_path: Path, crops: list, message: str) -> None:
    embed = Embedder.from_weights(colour_mean(tmp_path), batch_size=2)
    with pytest.raises(InputError, match=message):
        embed.crops(crops)


def test_flip_is_the_mean_of_both_unit_vectors(tmp_path: Path) -> None:
    path = all_pixels(tmp_path / "pixels.onnx")
    plain, flipped = Embedder.from_weights(path), Embedder.from_weights(path, flip=True)
    crops = np.random.default_rng(4).integers(0, 256, (3, 8, 4, 3), dtype=np.uint8)
    one, other = plain.crops(crops), plain.crops(np.ascontiguousarray(crops[:, :, ::-1]))
    assert not np.allclose(one, other, atol=0.1)
    mean = (one + other) / 2
    found = flipped.crops(crops)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(flipped.crops(crops[:, :, ::-1]), found, atol=1e-5)


def test_a_folder_is_read_in_order_and_broken_files_are_named(tmp_path: Path) -> None:
    import cv2

    folder = tmp_path / "people"
    (folder / "deeper").mkdir(parents=True)
    for name, colour in (("b.png", RED), ("a.PNG", BLUE), ("c.bmp", GREEN), ("deeper/d.png", RED)):
        cv2.imwrite(str(folder / name), np.full((6, 5, 3), colour, np.uint8))
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("x")
    embed = Embedder.from_weights(colour_mean(tmp_path), batch_size=2)
    names, features = embed.folder(folder)
    assert names == ["a.PNG", "b.png", "c.bmp"]
    np.testing.assert_allclose(features, [unit_of_colour(c) for c in (BLUE, RED, GREEN)], atol=1e-5)
    assert embed.skipped == ["bad.jpg", "empty.png"]
    embed.folder(folder / "deeper")
    assert embed.skipped == []
    with pytest.raises(InputError, match=r"bad\.jpg: not readable as an image"):
        embed.folder(folder, strict=True)
    with pytest.raises(InputError, match=r"d_deep: no such folder"):
        embed.folder(folder / "d_deep")
    (folder / "deeper" / "d.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of its 1 image files is readable"):
        embed.folder(folder / "deeper")
    (folder / "deeper" / "d.png").unlink()
    with pytest.raises(InputError, match=r"no image files in it \(looked for \.avif, \.bmp"):
        embed.folder(folder / "deeper")


def test_the_shared_network_tells_people_apart(shared: Path) -> None:
    """Real crops: two sights of one person are nearer than two people, for nearly all pairs."""
    import cv2

    folder = shared / "cuhk03-detected-val"
    people = sorted({p.name[:4] for p in folder.glob("*.jpg")})[:12]
    embed = Embedder.from_weights(shared / "weights" / "osnet_x0_25_msmt17.onnx", threads=1)
    sights = []
    for index in (0, 1):  # two pictures by camera A
        crops = [cv2.imread(str(folder / f"{person}_{index:02d}.jpg")) for person in people]
        whole = [np.array([[0, 0, c.shape[1], c.shape[0]]]) for c in crops]
        sights.append(np.concatenate([embed(c, box) for c, box in zip(crops, whole, strict=True)]))
    similarity = sights[0] @ sights[1].T
    assert (similarity.argmax(1) == np.arange(len(people))).mean() >= 0.9


def test_what_a_library_user_has_is_taken(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    embed = Embedder.from_weights(colour_mean(tmp_path))
    image, want = painted(), embed(painted(), BLOCKS)
    boxes = torch.tensor(BLOCKS, requires_grad=True)
    for given in (
        BLOCKS.tolist(),
        BLOCKS.astype(np.int16),
        boxes,
        boxes.to(torch.bfloat16),
        SimpleNamespace(xyxy=BLOCKS),  # Detections of anybody
    ):
        np.testing.assert_array_equal(embed(image, given), want)
    np.testing.assert_array_equal(embed(torch.from_numpy(image), BLOCKS), want)
    assert embed(image, []).shape == (0, 3)
    assert Embedder.from_weights(colour_mean(tmp_path), device=torch.device("cpu")).dim == 3


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([["a", 1, 2, 3]], "xyxy must be an array"),
        ([[1, 2, 3], [1, 2]], "xyxy must be an array"),
        (None, "xyxy must"),
        ("text", "xyxy must be an array"),
        ([[1, 2, 3]], r"xyxy must have shape \(N, 4\)"),
    ],
)
def test_boxes_that_are_none_are_one_line(tmp_path: Path, boxes: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Embedder.from_weights(colour_mean(tmp_path))(painted(), boxes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 2.5}, "`batch_size` must be at least 1, got 2.5"),
        ({"threads": 1.5}, "`threads` must be at least 1, got 1.5"),
        ({"size": (10**9, 8)}, "size must be .* each 1 to 4096"),
        ({"size": 7}, "size must be"),
        ({"size": ("a", 8)}, "size must be"),
        ({"device": "x" * 10_000}, "`device` must be"),
    ],
)
def test_options_that_are_none_are_one_line(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        Embedder.from_weights(colour_mean(tmp_path), **options)
    assert len(str(error.value)) <= 500


def test_a_picture_of_pil_has_its_colours_the_other_way_round(tmp_path: Path) -> None:
    picture = SimpleNamespace(getbands=lambda: ("R", "G", "B"))
    with pytest.raises(InputError, match=r"is a PIL image, which is RGB; give np\.asarray"):
        Embedder.from_weights(colour_mean(tmp_path))(picture, BLOCKS)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["x" * 300, "a" * 5000, "a\0b", "."])
def test_names_that_no_system_has_are_one_line(name: str) -> None:
    with pytest.raises(InputError, match=r"no such weights file|is a folder, expected a file") as error:
        Embedder.from_weights(name)
    assert len(str(error.value)) <= 500


def test_the_alarm_rings_where_strangers_look_alike(tmp_path: Path) -> None:
    """Means of the channels of nearly one colour: cosines near 1. Five boxes a frame make ten pairs."""
    embed = Embedder.from_weights(colour_mean(tmp_path))
    image = np.full((40, 100, 3), (10, 120, 240), np.uint8)
    boxes = np.array([[20 * k, 0, 20 * k + 10, 30] for k in range(5)])
    for frame in range(3):
        assert embed.strangers[0] == 10 * frame
        assert embed.alarm is None
        embed(image, boxes)
    assert embed.alarm is not None
    assert "different people of one frame look alike (mean cosine 1.00 of 30 pairs" in embed.alarm
    embed.reset()
    assert embed.alarm is None
    for _ in range(3):
        embed(np.repeat(painted(), 2, 0), np.repeat(BLOCKS, 2, 0) * [1, 1, 1, 1])  # three colours, twice each
    assert embed.strangers[0] == 3 * 12  # boxes on top of each other make no pair
    assert embed.alarm is None


def test_several_images_together_and_several_threads_give_the_same_bytes() -> None:
    """The shipped network on crops of 12 pictures, 0 to 11 boxes each, some outside."""
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 256, (60, 80, 3), np.uint8) for _ in range(12)]
    corners = [rng.uniform(-20, 60, (n, 4)) for n in range(12)]
    boxes = [np.sort(c.reshape(-1, 2, 2), axis=1).reshape(-1, 4) for c in corners]
    embedder = Embedder.from_weights("auto", device="cpu", threads=1)
    alone = [embedder(image, xyxy) for image, xyxy in zip(images, boxes, strict=True)]
    counted = embedder.unseen, embedder.strangers[0]
    assert counted[0] > 0
    assert counted[1] > 0
    with ThreadPoolExecutor(4) as pool:
        parts = [slice(0, 5), slice(5, 6), slice(6, 9), slice(9, 12)]
        found = pool.map(lambda part: embedder.many(images[part], boxes[part]), parts)
        together = [vectors for part in found for vectors in part]
    for one, other in zip(alone, together, strict=True):
        assert one.tobytes() == other.tobytes()
    assert (embedder.unseen, embedder.strangers[0]) == (2 * counted[0], 2 * counted[1])
    assert embedder.many([], []) == []
    for few in (1, 2):
        with pytest.raises(InputError, match=f"got 3 for {few} images"):
            embedder.many(images[:few], boxes[:3])
