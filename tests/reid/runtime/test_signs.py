"""Somebody else's network is fed as its own file says: the same answer wherever the normalisation stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from retrace.reid import Embedder  # noqa: E402
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from retrace.reid.runtime.feed import NOTHING, ONE, Feed  # noqa: E402
from retrace.reid.runtime.network import Wish  # noqa: E402
from retrace.reid.runtime.onnx_file import read_onnx  # noqa: E402
from retrace.reid.runtime.open import open_network  # noqa: E402

FLOAT, BYTE = TensorProto.FLOAT, TensorProto.UINT8
MEAN, STD = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
ORANGE = np.full((2, 8, 4, 3), (0, 127, 255), np.uint8)  # BGR 0, 127, 255
IMAGENET = ((np.array([255, 127, 0]) / 255 - MEAN) / STD).tolist()  # red, green, blue
RAW, UNIT = Feed(NOTHING, ONE, 255.0), Feed(NOTHING, ONE, 1.0)
Step = tuple[str, Any]


def channels(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(1, -1, 1, 1)


def with_front(
    path: Path,
    steps: list[Step],
    shape: list | None = None,
    kind: int = FLOAT,
    metadata: dict | None = None,
    name: str = "g",
    as_nodes: bool = False,
) -> Path:
    """The means of three channels after these steps: ("Sub", array), ("Transpose", perm), ("Gather", order) ..."""
    nodes, constants, at = [], [], "image"
    for k, (operation, value) in enumerate(steps):
        inputs, extra = [at], {}
        if operation == "Transpose":
            extra = {"perm": value}
        elif operation == "Cast":
            extra = {"to": value}
        else:
            tensor = numpy_helper.from_array(
                np.array(value, np.int64) if operation == "Gather" else np.asarray(value, np.float32), f"c{k}"
            )
            extra = {"axis": 1} if operation == "Gather" else {}
            if as_nodes:
                nodes.append(helper.make_node("Constant", [], [f"c{k}"], value=tensor))
            else:
                constants.append(tensor)
            inputs.append(f"c{k}")
        nodes.append(helper.make_node(operation, inputs, [f"t{k}"], **extra))
        at = f"t{k}"
    nodes += [
        helper.make_node("GlobalAveragePool", [at], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["out"]),
    ]
    entry = helper.make_tensor_value_info("image", kind, shape or ["B", 3, 8, 4])
    end = helper.make_tensor_value_info("out", FLOAT, ["B", 3])
    graph = helper.make_graph(nodes, name, [entry], [end], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, text in (metadata or {}).items():
        model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return path


FRONTS: dict[str, tuple[list[Step], Feed]] = {
    "FastReID: (x - 255 mean) / (255 std)": (
        [("Sub", channels(255 * MEAN)), ("Div", channels(255 * STD))],
        RAW,
    ),
    "x / 255, then mean and std": (
        [("Div", 255.0), ("Sub", channels(MEAN)), ("Div", channels(STD))],
        RAW,
    ),
    "x / 255 by multiplying, then scale and lift": (
        [("Mul", 1 / 255), ("Mul", channels(1 / STD)), ("Add", channels(-MEAN / STD))],
        RAW,
    ),
    "mean and std of 0..1": ([("Sub", channels(MEAN)), ("Div", channels(STD))], UNIT),
    "blue first, turned inside": (
        [("Gather", [2, 1, 0]), ("Sub", channels(255 * MEAN)), ("Div", channels(255 * STD))],
        Feed(NOTHING, ONE, 255.0, "bgr"),
    ),
    "height, width, colours": (
        [("Transpose", [0, 3, 1, 2]), ("Sub", channels(255 * MEAN)), ("Div", channels(255 * STD))],
        Feed(NOTHING, ONE, 255.0, "rgb", "nhwc"),
    ),
}


@pytest.mark.parametrize("as_nodes", [False, True], ids=["initializers", "constant nodes"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("case", FRONTS)
def test_what_stands_in_front_is_not_done_twice(
    tmp_path: Path, case: str, runtime: str, as_nodes: bool
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    steps, want = FRONTS[case]
    shape = ["B", 8, 4, 3] if want.layout == "nhwc" else None
    network = open_network(with_front(tmp_path / "a.onnx", steps, shape, as_nodes=as_nodes), runtime)
    assert network.feed == want
    assert (network.size, network.batch) == ((8, 4), None)
    np.testing.assert_allclose(network.run(ORANGE), [IMAGENET] * 2, atol=1e-4)


def test_means_in_the_order_blue_green_red_tell_the_order(tmp_path: Path) -> None:
    caffe = with_front(tmp_path / "caffe.onnx", [("Sub", channels([103.5, 116.3, 123.7]))])
    network = open_network(caffe)
    assert (network.feed.colour, network.feed.range, network.feed.mean) == ("bgr", 255.0, NOTHING)
    np.testing.assert_allclose(network.run(ORANGE)[0], [0 - 103.5, 127 - 116.3, 255 - 123.7], atol=1e-3)
    assert "it subtracts 103.5/116.3/123.7 itself" in network.fed


def test_one_mean_for_all_colours_says_nothing_about_their_order(tmp_path: Path) -> None:
    network = open_network(with_front(tmp_path / "half.onnx", [("Sub", 0.5), ("Div", 0.5)]))
    assert network.feed == UNIT
    network = open_network(with_front(tmp_path / "half255.onnx", [("Sub", 127.5), ("Mul", 1 / 127.5)]))
    assert network.feed == RAW


@pytest.mark.parametrize(
    ("file", "metadata", "graph", "want", "because"),
    [
        ("a.onnx", {}, "g", Feed(), "assumed: the file does not say"),
        ("a.onnx", {"author": "Ultralytics"}, "g", UNIT, "its metadata name Ultralytics"),
        ("person-reidentification-retail-0288.onnx", {}, "g", Feed(NOTHING, ONE, 255.0, "bgr"), "model zoo"),
        ("person_reid_youtu_2021nov.onnx", {}, "g", Feed(), "as Youtu's are fed"),
        ("a.onnx", {}, "torch-jit-export", Feed(), "assumed"),
    ],
)
def test_names_and_metadata(
    tmp_path: Path, file: str, metadata: dict, graph: str, want: Feed, because: str
) -> None:
    network = open_network(with_front(tmp_path / file, [], metadata=metadata, name=graph))
    assert network.feed == want
    assert because in network.fed


def test_bytes_are_fed_as_bytes(tmp_path: Path) -> None:
    network = open_network(with_front(tmp_path / "bytes.onnx", [("Cast", FLOAT)], kind=BYTE))
    assert network.feed == RAW
    np.testing.assert_allclose(network.run(ORANGE)[0], [255, 127, 0])


def test_numbers_in_front_that_nobody_understands_are_said(tmp_path: Path) -> None:
    odd = with_front(tmp_path / "odd.onnx", [("Sub", np.zeros((1, 1, 8, 4)) + 0.3)])
    assert open_network(odd).fed.endswith("(assumed: its first operations are not understood)")


def test_what_the_caller_says_wins_over_what_the_file_shows(tmp_path: Path) -> None:
    path = with_front(tmp_path / "a.onnx", [("Sub", channels(MEAN)), ("Div", channels(STD))])
    network = open_network(path, wish=Wish(input="raw,colour=bgr"))
    assert network.feed == Feed(NOTHING, ONE, 255.0, "bgr")
    assert network.fed == "input BGR 0..255, as it is (as told)"
    np.testing.assert_allclose(network.run(ORANGE)[0], (np.array([0, 127, 255]) - MEAN) / STD, rtol=1e-4)


def test_an_ir_and_torchscript_show_the_same_signs(tmp_path: Path) -> None:
    openvino, torch = pytest.importorskip("openvino"), pytest.importorskip("torch")
    steps, _ = FRONTS["FastReID: (x - 255 mean) / (255 std)"]
    source = with_front(tmp_path / "a.onnx", steps)
    openvino.save_model(openvino.Core().read_model(source), tmp_path / "a.xml", compress_to_fp16=True)
    network = open_network(tmp_path / "a.xml")
    assert network.feed == RAW
    np.testing.assert_allclose(network.run(ORANGE)[0], IMAGENET, atol=2e-2)  # half precision

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor(channels(255 * MEAN)))
            self.register_buffer("std", torch.tensor(channels(255 * STD)))

        def forward(self, images: Any) -> Any:
            return ((images - self.mean) / self.std).mean((2, 3))

    torch.jit.trace(Wrapped().eval(), torch.zeros(1, 3, 8, 4)).save(str(tmp_path / "a.torchscript"))
    network = open_network(tmp_path / "a.torchscript", wish=Wish("cpu", size=(8, 4)))
    assert network.feed == RAW
    np.testing.assert_allclose(network.run(ORANGE)[0], IMAGENET, atol=1e-4)


def test_our_own_files_say_it_themselves(tmp_path: Path) -> None:
    assert Embedder.from_weights("auto").description.endswith("onnxruntime on cpu")


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_gives_no_signs_and_no_traceback(tmp_path: Path, seed: int) -> None:
    steps, _ = FRONTS["x / 255, then mean and std"]
    data = bytearray(with_front(tmp_path / "a.onnx", steps).read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(data), 12):
        data[place] = rng.integers(0, 256)
    (tmp_path / "b.onnx").write_bytes(bytes(data[: rng.integers(0, len(data) + 1)]))
    read_onnx(tmp_path / "b.onnx")


def test_the_shared_faults_give_the_vectors_of_the_plain_file(shared: Path) -> None:
    """faults/reid/onnx-normalises-itself: largest distance of the two files' vectors was 0.85."""
    cv2 = pytest.importorskip("cv2")
    folder = shared.parent / "faults/reid/onnx-normalises-itself"
    crops = [cv2.imread(str(path)) for path in sorted((folder / "set/query").glob("*.jpg"))]
    plain, inside = (
        Embedder.from_weights(folder / f"{name}.onnx", "cpu") for name in ("plain", "normalises")
    )
    assert 1 - (plain.crops(crops) * inside.crops(crops)).sum(1).min() < 1e-5
    assert "it subtracts 123.7/116.3/103.5 itself" in inside.description
