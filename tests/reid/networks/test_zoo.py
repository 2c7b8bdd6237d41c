"""torchreid checkpoints: they fit to the last key, or they are refused."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid import Embedder

torch = pytest.importorskip("torch")
if importlib.util.find_spec("torchreid") is None:
    pytest.skip("needs torchreid: pip install -e .[train]", allow_module_level=True)

from retrace.reid.networks import zoo as models  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

CLASSES = 3
Weights = dict[str, Any]


@pytest.fixture(scope="module")
def network() -> Any:
    """An OSNet x0.25 with random weights, as somebody's training would leave it."""
    torch.manual_seed(0)
    return models.build("osnet_x0_25", CLASSES).eval()


@pytest.fixture
def weights(network: Any) -> Weights:
    return dict(network.state_dict())


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(content: Any, name: str = "osnet_x0_25_mine.pth") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


def answers(network: Any) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.linspace(-1, 1, 3 * 64 * 32).reshape(1, 3, 64, 32)).numpy()


def test_networks_come_without_the_rest_of_torchreid() -> None:
    """Which imports torchvision: seconds, for nothing."""
    probe = (
        "import sys; from retrace.reid.networks.zoo import zoo; assert len(zoo()) > 20\n"
        "print({'torchreid', 'torchvision', 'tensorboard'} & {*sys.modules} or '')"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def test_a_checkpoint_comes_back_as_the_same_network(
    network: Any, weights: Weights, saved: Callable[..., Path]
) -> None:
    loaded = models.load(saved(weights))
    assert not loaded.training
    assert answers(loaded).shape == (1, 512)
    assert np.array_equal(answers(loaded), answers(network))


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_forms_that_torchreid_writes_are_read(
    network: Any, weights: Weights, saved: Callable[..., Path], wrapped: bool, prefix: str
) -> None:
    content: Any = {prefix + key: value for key, value in weights.items()}
    if wrapped:
        content = {"state_dict": content, "epoch": 60, "rank1": np.float64(0.5), "mAP": np.float32(0.25)}
    path = saved(content, "osnet_x0_25.pth.tar-60")
    assert np.array_equal(answers(models.load(path)), answers(network))
    assert Embedder.from_weights(path).dim == 512


def test_loading_leaves_the_random_state_alone(weights: Weights, saved: Callable[..., Path]) -> None:
    path, before = saved(weights), torch.get_rng_state()
    models.load(path)
    assert torch.equal(torch.get_rng_state(), before)


def without(weights: Weights, key: str) -> Weights:
    return {k: v for k, v in weights.items() if k != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: without(w, "conv1.conv.weight"), "1 missing: conv1.conv.weight"),
        (lambda w: w | {"head.weight": torch.zeros(1)}, "1 unexpected: head.weight"),
        (
            lambda w: w | {"conv1.conv.weight": torch.zeros(16, 3, 5, 5)},
            r"1 of another shape: conv1.conv.weight \(16, 3, 5, 5\), not \(16, 3, 7, 7\)",
        ),
        (lambda w: {"backbone." + k: v for k, v in w.items()}, "no 'classifier.weight'"),
        (lambda w: {k: v for k, v in w.items() if "classifier" in k}, r"missing: .*, \.\.\."),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_their_keys(
    weights: Weights, saved: Callable[..., Path], change: Callable[[Weights], Weights], message: str
) -> None:
    path = saved(change(weights))
    for load in (models.load, Embedder.from_weights):
        with pytest.raises(InputError, match=rf"osnet_x0_25_mine\.pth: .*{message}") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_weights_of_another_size_of_the_network_are_refused(
    weights: Weights, saved: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=r"not the weights of 'osnet_x0_5'.*of another shape"):
        models.load(saved(weights), model="osnet_x0_5")


def test_every_weight_counts(network: Any, weights: Weights, saved: Callable[..., Path]) -> None:
    """No value of the file is left out: changing any one tensor changes what is loaded."""
    loaded = models.load(saved({k: v + 1 for k, v in weights.items()})).state_dict()
    assert all(torch.equal(loaded[key], value + 1) for key, value in weights.items())


def test_a_batch_norm_without_its_step_counter_is_fine(
    network: Any, weights: Weights, saved: Callable[..., Path]
) -> None:
    old = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}  # torch < 0.4.1
    assert np.array_equal(answers(models.load(saved(old))), answers(network))


def test_the_network_is_told_from_the_longest_name_in_the_file_name() -> None:
    assert models.architecture("a/osnet_x0_25_msmt17.pth", None) == "osnet_x0_25"
    assert models.architecture("OSNet_ibn_x1_0-duke.pt", None) == "osnet_ibn_x1_0"
    assert models.architecture("resnet50_fc512_market.pth", None) == "resnet50_fc512"  # not resnet50
    assert models.architecture("best.pth", "osnet_x0_5") == "osnet_x0_5"
    with pytest.raises(
        InputError, match=r"best\.pth: .*rename it .*or pass model=NAME; .*known: resnet50, .*more"
    ):
        models.architecture("best.pth", None)


def test_an_unknown_network_names_the_nearest(weights: Weights, saved: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="unknown network 'osnet_x025'; did you mean 'osnet_x0_25'"):
        Embedder.from_weights(saved(weights), model="osnet_x025")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def test_a_file_that_brings_code_along_is_refused_and_not_run(
    weights: Weights, saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="not readable as a torch checkpoint"):
        models.load(saved({"state_dict": weights, "extra": Bomb()}))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [1, 2], {"epoch": 3}, {"a": "b"}])
def test_files_without_weights_are_refused(saved: Callable[..., Path], content: Any) -> None:
    with pytest.raises(InputError, match="expected a state_dict"):
        models.load(saved(content))


def test_broken_and_missing_files_are_refused(tmp_path: Path, weights: Weights, saved: Any) -> None:
    whole = saved(weights).read_bytes()
    for cut in (b"", b"garbage", whole[: len(whole) // 2]):
        path = tmp_path / "osnet_x0_25.pth"
        path.write_bytes(cut)
        with pytest.raises(InputError, match="not readable as a torch checkpoint") as caught:
            models.load(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such weights file"):
        models.load(tmp_path / "nothing.pth")


def test_weights_of_nan_are_refused_by_name(weights: Weights, saved: Callable[..., Path]) -> None:
    broken = weights | {"fc.0.weight": weights["fc.0.weight"] * float("nan")}
    with pytest.raises(InputError, match=r"osnet_x0_25_mine\.pth: .*NaN"):
        Embedder.from_weights(saved(broken))


def test_a_gpu_that_is_not_there_is_refused(weights: Weights, saved: Callable[..., Path]) -> None:
    if torch.cuda.device_count() < 9:
        with pytest.raises(InputError, match="CUDA devices; use device 'cpu'"):
            Embedder.from_weights(saved(weights), device="cuda:8")


def test_threads_are_put_back(weights: Weights, saved: Callable[..., Path]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        Embedder.from_weights(saved(weights), threads=1)  # runs once, to see that it does
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_torch_and_onnx_agree_on_real_crops(shared: Path) -> None:
    import cv2

    video = cv2.VideoCapture(str(shared / "videos" / "vtest.avi"))
    image = video.read()[1]
    rows = np.loadtxt(shared / "MOT15-train" / "PETS09-S2L1" / "gt" / "gt.txt", delimiter=",")
    tlwh = rows[rows[:, 0] <= 3, 2:6]  # the same three people, seen where they are and where they will be
    boxes = np.concatenate([tlwh[:, :2], tlwh[:, :2] + tlwh[:, 2:]], axis=1)
    one, other = (
        Embedder.from_weights(shared / "weights" / name, threads=1)(image, boxes)
        for name in ("osnet_x0_25_msmt17.onnx", "osnet_x0_25_msmt17.pth")
    )
    assert len(one) == len(tlwh) > 5
    assert (1 - np.sum(one * other, axis=1)).max() < 1e-4
    assert (one @ one.T).min() < 0.9  # and the crops are not all alike
