"""Runtimes behind one function: the same vectors from each, fed as the file says."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from retrace.configs import InputError
from retrace.configs.errors import install
from retrace.reid import Embedder
from retrace.reid.recipe import Recipe
from retrace.reid.runtime.feed import Feed, normalise
from retrace.reid.runtime.network import Wish
from retrace.reid.runtime.open import open_network, pick_runtime
from tests.reid.networks_by_hand import channel_means, little_network, use_network

OURS = {
    "format": 1,
    "size": [16, 8],
    "mean": [0.5, 0.25, 0.0],
    "std": [0.5, 0.25, 1.0],
    "card": {"data": "made up"},
}
ORANGE = np.full((1, 16, 8, 3), (0, 127, 255), np.uint8)  # BGR 0, 127, 255


def needs_torchreid() -> None:
    if importlib.util.find_spec("torchreid") is None:  # importing it may need torchvision_cure first
        pytest.skip("needs torchreid")


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 16, 8, 3), dtype=np.uint8)


def test_normalise_is_rgb_minus_mean_over_std() -> None:
    crop = np.array([[[[0, 51, 255]]]], np.uint8)  # blue 0, green 51, red 255
    found = normalise(crop, Feed((0.5, 0.25, 0.0), (0.5, 0.25, 1.0)))
    want = [(1 - 0.5) / 0.5, (0.2 - 0.25) / 0.25, 0.0]  # red, green, blue
    assert found.shape == (1, 3, 1, 1)
    np.testing.assert_allclose(found[0, :, 0, 0], want, atol=1e-6)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_recipe_in_the_file_says_how_to_feed_it(tmp_path: Path, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    path = channel_means(tmp_path / "ours.onnx", ["B", 3, "H", "W"], json.dumps(OURS))
    network = open_network(path, runtime, Wish("cpu"))
    assert network.size == (16, 8)
    assert network.card == {"data": "made up"}
    assert network.place == f"{runtime} on cpu"
    found = network.run(ORANGE)
    np.testing.assert_allclose(found, [[(1 - 0.5) / 0.5, (127 / 255 - 0.25) / 0.25, 0.0]], atol=1e-5)


def test_without_a_recipe_imagenet_units_and_256x128(tmp_path: Path) -> None:
    network = open_network(channel_means(tmp_path / "foreign.onnx", ["B", 3, "H", "W"]))
    assert (network.size, network.card) == ((256, 128), {})
    want = [(1 - 0.485) / 0.229, (127 / 255 - 0.456) / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(network.run(ORANGE), [want], atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({**OURS, "std": [1, 0, 1]}),
        json.dumps({**OURS, "mean": [1, 0]}),
        json.dumps({**OURS, "size": [16]}),
        json.dumps({**OURS, "size": [0, 8]}),
    ],
)
def test_a_broken_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = channel_means(tmp_path / "broken.onnx", ["B", 3, 16, 8], text)
    with pytest.raises(InputError, match=r"broken\.onnx: its 'retrace' metadata is not readable"):
        open_network(path)


def test_no_recipe_is_no_error() -> None:
    assert Recipe.from_json(None, "x") == Recipe.from_json("", "x") == Recipe()


def test_a_size_that_the_file_does_not_take_is_refused(tmp_path: Path) -> None:
    fixed = channel_means(tmp_path / "fixed.onnx", ["B", 3, 16, 8])
    with pytest.raises(
        InputError, match=r"takes only 16x8 .* crops, size 8x16 was asked for; leave size out"
    ):
        open_network(fixed, wish=Wish(size=(8, 16)))
    assert open_network(fixed, wish=Wish(size=(16, 8))).size == (16, 8)
    half_open = channel_means(tmp_path / "half_open.onnx", ["B", 3, 16, "W"])
    with pytest.raises(InputError, match="takes only 16x4"):
        open_network(half_open, wish=Wish(size=(8, 4)))
    assert open_network(half_open, wish=Wish(size=(16, 4))).size == (16, 4)


def test_a_size_asked_for_wins_over_the_recipe(tmp_path: Path) -> None:
    path = channel_means(tmp_path / "ours.onnx", ["B", 3, "H", "W"], json.dumps(OURS))
    assert open_network(path, wish=Wish(size=(32, 16))).size == (32, 16)


@pytest.mark.parametrize(
    ("name", "auto"),
    [
        ("a.onnx", "onnxruntime"),
        ("A.ONNX", "onnxruntime"),
        ("a.xml", "openvino"),
        ("a.safetensors", "torch"),
        ("a.torchscript", "torch"),
        ("a.pth", "torch"),
        ("model.pth.tar-60", "torch"),
    ],
)
def test_the_ending_picks_the_runtime(name: str, auto: str) -> None:
    assert pick_runtime(Path(name)) == auto == pick_runtime(Path(name), auto)


@pytest.mark.parametrize(
    ("name", "runtime", "message"),
    [
        ("a.pth", "onnxruntime", "does not read it; use torch, or convert .* `retrace export-reid`"),
        ("a.onnx", "torch", "use onnxruntime or openvino"),
        ("a.xml", "onnxruntime", "use openvino"),
        ("a.onnx", "tensorflow", "`runtime` must be one of auto, torch, .*, got 'tensorflow'"),
        ("a.bin", "auto", r"expected weights that end in \.onnx, \.safetensors"),
    ],
)
def test_runtimes_and_files_that_do_not_go_together(name: str, runtime: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pick_runtime(Path(name), runtime)


@pytest.mark.parametrize(
    ("runtime", "wish", "message"),
    [
        ("auto", Wish("gpu"), "`device` must be auto, cpu, cuda"),
        ("auto", Wish(precision="f8"), "`precision` must be one of f32, bf16, f16, got 'f8'"),
        (
            "auto",
            Wish(precision="bf16"),
            "onnxruntime computes as the file says, not in 'bf16'; use runtime 'openvino'",
        ),
        ("auto", Wish(size=(0, 8)), "size must be"),
        ("openvino", Wish("cuda:0"), "OpenVINO has no CUDA; use device 'cpu'"),
    ],
)
def test_wishes_that_cannot_be_met(tmp_path: Path, runtime: str, wish: Wish, message: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    path = channel_means(tmp_path / "any.onnx", ["B", 3, 16, 8])
    with pytest.raises(InputError, match=message):
        open_network(path, runtime, wish)


def test_a_runtime_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = channel_means(tmp_path / "any.onnx", ["B", 3, 16, 8])
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(
        InputError, match=re.escape(f"runtime 'openvino' needs openvino: {install('openvino')}")
    ):
        open_network(path, "openvino")


def test_openvino_takes_a_fixed_batch_and_refuses_what_is_no_embedder(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    assert open_network(channel_means(tmp_path / "two.onnx", [2, 3, 16, 8]), "openvino").batch == 2
    grey = channel_means(tmp_path / "grey.onnx", ["B", 1, 16, 8])
    with pytest.raises(InputError, match=r"expected a network .* got f32 \['\?', 1, 16, 8\]"):
        open_network(grey, "openvino")
    (tmp_path / "text.xml").write_text("<not a network>")
    with pytest.raises(InputError, match=r"text\.xml: not readable by OpenVINO"):
        open_network(tmp_path / "text.xml")


def test_torch_feeds_as_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crops: np.ndarray
) -> None:
    torch = pytest.importorskip("torch")
    from retrace.reid.recipe import Recipe

    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
    use_network(monkeypatch, little_network, Recipe("little", (16, 8), mean, std, card={"seed": 3}))
    path = tmp_path / "little.safetensors"
    path.touch()
    threads = torch.get_num_threads()
    network = open_network(path, wish=Wish("cpu", threads=threads + 1))
    with torch.inference_mode():
        want = little_network()(torch.from_numpy(normalise(crops, Feed(mean, std)))).numpy()
    np.testing.assert_allclose(network.run(crops), want, atol=1e-5)
    assert torch.get_num_threads() == threads
    assert (network.size, network.card, network.place) == ((16, 8), {"seed": 3}, "torch on cpu")
    mirrored = crops[:, :, ::-1]  # negative strides, which torch does not take by itself
    assert not np.allclose(network.run(mirrored), want, atol=1e-3)
    rough = open_network(path, wish=Wish("cpu", precision="bf16")).run(crops)
    assert 1e-4 < np.abs(rough - want).max() < 0.1


def test_our_own_weights_file_is_run_as_it_was_trained(tmp_path: Path, crops: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    needs_torchreid()
    from retrace.reid.config import ModelConfig
    from retrace.reid.networks import build as networks
    from retrace.reid.recipe import Recipe
    from retrace.reid.weights.files import save_network

    config = ModelConfig(name="osnet_x0_25", neck="bnneck", embedding=12)
    network = networks.build(config, 4, (64, 32)).eval()
    recipe = Recipe("osnet_x0_25", (64, 32), (0.4, 0.4, 0.4), (0.2, 0.2, 0.2), 4, config.model_dump())
    save_network(tmp_path / "small.safetensors", network, recipe)
    embed = Embedder.from_weights(tmp_path / "small.safetensors", "cpu", threads=1)
    assert embed.description == "small.safetensors, 64x32 -> 12, torch on cpu"
    found = embed.crops(np.repeat(np.repeat(crops, 4, 1), 4, 2))
    with torch.inference_mode():
        big = np.repeat(np.repeat(crops, 4, 1), 4, 2)
        want = network(torch.from_numpy(normalise(big, Feed(recipe.mean, recipe.std)))).numpy()
    np.testing.assert_allclose(found, want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-5)


def test_every_runtime_gives_the_vectors_of_the_checkpoint(shared: Path) -> None:
    """The shared ONNX file and checkpoint are the same network; real crops."""
    needs_torchreid()
    pytest.importorskip("openvino")
    import cv2

    folder = shared / "cuhk03-detected-val"
    people = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))[:40:10]]
    stem = shared / "weights" / "osnet_x0_25_msmt17"
    found = {
        runtime: Embedder.from_weights(stem.with_suffix(ending), "cpu", runtime=runtime, threads=1).crops(
            people
        )
        for runtime, ending in (("torch", ".pth"), ("onnxruntime", ".onnx"), ("openvino", ".onnx"))
    }
    for runtime in ("onnxruntime", "openvino"):
        assert 1 - (found[runtime] * found["torch"]).sum(1).min() < 1e-5, runtime


def test_threads_of_a_session_do_not_spin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would take the cores that the detector's runtime works on meanwhile."""
    import onnxruntime

    seen = []
    real = onnxruntime.InferenceSession

    def watched(
        path: object, options: onnxruntime.SessionOptions, **other: object
    ) -> onnxruntime.InferenceSession:
        seen.append(options.get_session_config_entry("session.intra_op.allow_spinning"))
        return real(path, options, **other)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    Embedder.from_weights("auto")
    assert seen == ["0"]


def test_a_signal_after_two_networks_on_openvino(tmp_path: Path) -> None:
    """Ctrl-C once a detector and an embedder are gone: a core each would have left their process no stack for it."""
    pytest.importorskip("openvino")
    path = channel_means(tmp_path / "ours.onnx", [None, 3, 8, 4])
    code = (
        "import signal, sys; from pathlib import Path; from retrace.reid.runtime.network import Wish\n"
        "from retrace.reid.runtime.open import open_network\n"
        "first, second = (open_network(Path(sys.argv[1]), 'openvino', Wish('cpu')) for _ in 'ab')\n"
        "del first; del second\n"
        "signal.signal(signal.SIGINT, lambda *_: print('heard')); signal.raise_signal(signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
