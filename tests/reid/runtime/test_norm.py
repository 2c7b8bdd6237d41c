"""BatchNorm by what is seen: the arithmetic of the statistics, and that nothing of the file is touched."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from retrace.configs import InputError  # noqa: E402
from retrace.reid import Embedder, embedder  # noqa: E402
from retrace.reid.embedder import find_weights  # noqa: E402
from retrace.reid.recipe import Recipe  # noqa: E402
from retrace.reid.runtime.adaptive_norm import MEMORY, PRIOR, AdaptiveNorm, adapt  # noqa: E402
from retrace.reid.runtime.feed import Feed  # noqa: E402
from retrace.reid.runtime.network import Network  # noqa: E402
from retrace.reid.runtime.torch_runtime import TorchRun  # noqa: E402
from retrace.reid.weights import shipped  # noqa: E402
from retrace.tools.runs.runner import open_run  # noqa: E402
from retrace.tools.track import jobs_of, parser  # noqa: E402
from tests.reid.networks_by_hand import little_network, use_network  # noqa: E402

SIZE = (16, 8)


def stored(mean: float = 0.0, var: float = 1.0, eps: float = 0.0) -> nn.BatchNorm1d:
    """A layer whose statistics are these; the affine part is the identity."""
    layer = nn.BatchNorm1d(1, eps=eps)
    layer.load_state_dict(
        {**layer.state_dict(), "running_mean": torch.tensor([mean]), "running_var": torch.tensor([var])}
    )
    return layer.eval()


def column(*values: float) -> Any:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def seen_by(layer: Any, *calls: Any) -> list[np.ndarray]:
    with torch.inference_mode():
        return [layer(call).numpy().ravel() for call in calls]


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (24, *SIZE, 3), dtype=np.uint8)


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Embedder.from_weights of the network that `networks_by_hand` has, on the CPU."""
    use_network(monkeypatch, little_network, Recipe("little", SIZE))
    path = tmp_path / "little.safetensors"
    path.touch()
    return partial(Embedder.from_weights, path, "cpu")


def test_eight_crops_of_a_frame_stand_alone() -> None:
    # Mean 5, deviation 2; the stored statistics (100, 9) have no say.
    [found] = seen_by(AdaptiveNorm(stored(100, 9), video=False), column(3, 7, 3, 7, 3, 7, 3, 7))
    np.testing.assert_allclose(found, [-1, 1] * 4, atol=1e-6)


def test_two_crops_are_filled_up_with_six_stored_ones() -> None:
    # The two: mean 8, variance 4. Six stored: mean 0, variance 1. All eight: mean 2/8 * 8 = 2,
    # variance (2 * 4 + 6 * 1) / 8 + 2/8 * 6/8 * 8^2 = 1.75 + 12 = 13.75.
    [found] = seen_by(AdaptiveNorm(stored(), video=False), column(6, 10))
    np.testing.assert_allclose(found, [4 / 13.75**0.5, 8 / 13.75**0.5], rtol=1e-6)


def test_a_lone_crop_is_not_measured_by_itself() -> None:
    # By itself alone it would be 0 whatever it is. Mean 1/8 * 8, variance 7/8 * 1 + 1/8 * 7/8 * 64 = 7.875.
    [found] = seen_by(AdaptiveNorm(stored(), video=False), column(8))
    np.testing.assert_allclose(found, [7 / 7.875**0.5], rtol=1e-6)


@pytest.mark.parametrize("spread", [0.0, 0.01])
def test_crops_of_one_value_are_finite(spread: float) -> None:
    for video in (False, True):
        [found] = seen_by(AdaptiveNorm(stored(eps=1e-5), video), column(*[5 + spread] * 8))
        assert np.isfinite(found).all()


@pytest.mark.parametrize("shape", [(9, 4), (8, 4, 6, 5), (300, 4, 3, 2)])
def test_a_full_frame_is_what_torch_does_while_training(shape: tuple[int, ...]) -> None:
    """The published trick: the network is left in train mode."""
    torch.manual_seed(0)
    maps = torch.randn(shape) * 3 + 2
    if len(shape) == 4:
        maps = maps.to(memory_format=torch.channels_last)
    layer = nn.BatchNorm2d(4) if len(shape) == 4 else nn.BatchNorm1d(4)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2)
        layer.bias.normal_()
        found = AdaptiveNorm(layer.eval(), video=False)(maps)
        want = layer.train()(maps)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)


def test_a_frame_does_not_see_brightness_or_contrast() -> None:
    maps = torch.randn((10, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    layer = AdaptiveNorm(nn.BatchNorm2d(3, eps=0.0).eval(), video=False)
    a, b = seen_by(layer, maps, maps * 3 - 7)
    np.testing.assert_allclose(a, b, atol=1e-5)


def slow_video(calls: list[np.ndarray]) -> tuple[float, float]:
    """Mean and variance of all numbers and of PRIOR crops with mean 0, variance 1 (half -1, half 1)."""
    values = np.concatenate([np.repeat([-1.0, 1.0], PRIOR // 2), *calls])
    return float(values.mean()), float(values.var())


def test_a_video_is_all_its_crops_and_sixteen_stored_ones() -> None:
    layer = AdaptiveNorm(stored(), video=True)
    rng = np.random.default_rng(0)
    calls = [rng.normal(4, 3, n).astype(np.float32) for n in (5, 1, 12)]
    found = seen_by(layer, *(torch.tensor(call)[:, None] for call in calls))
    for last in range(3):
        mean, var = slow_video(calls[: last + 1])
        np.testing.assert_allclose(found[last], (calls[last] - mean) / var**0.5, rtol=2e-5, atol=1e-5)
    layer.forget()
    np.testing.assert_array_equal(seen_by(layer, torch.tensor(calls[0])[:, None])[0], found[0])


def test_a_long_video_forgets_its_beginning() -> None:
    layer = AdaptiveNorm(stored(), video=True)
    dark, light = column(*[0.0, 2.0] * 512), column(*[100.0, 102.0] * 512)
    seen_by(layer, *[dark] * 40)  # 40,960 crops: without a limit light would take as many to come through
    *_, last = seen_by(layer, *[light] * (3 * MEMORY // 1024))
    # Each call moves it by 1024 / (4096 + 1024) = 1/5: after twelve 0.8^12 of the dark is left.
    assert float(layer.known[0]) == pytest.approx(101 - 100 * 0.8**12, abs=0.05)
    assert np.isfinite(last).all()


@pytest.mark.parametrize("norm", ["frame", "video"])
def test_the_statistics_of_the_file_are_only_read(norm: str) -> None:
    body = little_network()
    before = {key: value.clone() for key, value in body.state_dict().items()}
    run = TorchRun(body, torch.device("cpu"), Feed(), torch.zeros(3), torch.ones(3), torch.float32, 1)
    network, _ = adapt(Network(run, SIZE, None, "torch on cpu"), norm)
    assert network.place == f"torch on cpu, BatchNorm by the {norm}"
    for _ in range(3):
        network.run(np.random.default_rng(0).integers(0, 256, (9, *SIZE, 3), dtype=np.uint8))
    after = {key.replace(".layer.", "."): value for key, value in body.state_dict().items()}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_stored_is_the_default(little: Any, crops: np.ndarray) -> None:
    plain = little()
    np.testing.assert_array_equal(little(norm="stored").crops(crops), plain.crops(crops))
    assert "BatchNorm" not in plain.description
    plain.reset()  # nothing to forget


def test_a_frame_depends_on_its_own_people_only(little: Any, crops: np.ndarray) -> None:
    frame = little(norm="frame")
    first = frame.crops(crops[:12])
    frame.crops(crops[12:])
    np.testing.assert_array_equal(frame.crops(crops[:12]), first)
    assert np.abs(frame.crops(crops[:10])[0] - first[0]).max() > 1e-4  # two companions fewer
    assert "BatchNorm by the frame" in frame.description


def test_a_video_remembers_until_reset(little: Any, crops: np.ndarray) -> None:
    video = little(norm="video")
    first = video.crops(crops[:12])
    assert np.abs(video.crops(crops[:12]) - first).max() > 1e-4
    video.reset()
    np.testing.assert_array_equal(video.crops(crops[:12]), first)
    np.testing.assert_array_equal(little(norm="video").crops(crops[:12]), first)


@pytest.mark.parametrize("norm", ["frame", "video"])
def test_a_call_is_one_batch(little: Any, crops: np.ndarray, norm: str) -> None:
    """What `batch_size` says would cut a frame's statistics into pieces."""
    np.testing.assert_array_equal(
        little(norm=norm, batch_size=2).crops(crops), little(norm=norm).crops(crops)
    )


def test_no_boxes_leave_a_video_as_it_was(little: Any, crops: np.ndarray) -> None:
    video, image = little(norm="video"), np.zeros((50, 50, 3), np.uint8)
    assert video(image, np.zeros((0, 4))).shape == (0, 5)
    assert video.crops([]).shape == (0, 5)
    np.testing.assert_array_equal(video.crops(crops), little(norm="video").crops(crops))


def test_a_large_crowd_is_cut_into_equal_parts(little: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """130 = 128 + 2 would leave two people to the stored statistics."""
    monkeypatch.setattr(embedder, "TOGETHER", 20)
    frame, sizes = little(norm="frame"), []
    vectors = frame._vectors

    def counted(part: np.ndarray) -> np.ndarray:
        sizes.append(len(part))
        return vectors(part)

    monkeypatch.setattr(frame, "_vectors", counted)
    frame.crops(np.zeros((41, *SIZE, 3), np.uint8))
    assert sizes == [14, 14, 13]


def test_mirrored_too(little: Any, crops: np.ndarray) -> None:
    both, alone = little(norm="frame", flip=True).crops(crops), little(norm="frame")
    want = alone.crops(crops) + alone.crops(crops[:, :, ::-1])
    np.testing.assert_allclose(both, want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-6)


def test_half_precision(little: Any, crops: np.ndarray) -> None:
    exact, rough = (little(norm="frame", precision=kind).crops(crops) for kind in ("f32", "bf16"))
    np.testing.assert_allclose(rough, exact, atol=0.05)


@pytest.mark.parametrize("norm", ["frame", "video"])
def test_onnx_weights_are_refused_and_told_what_lies_beside(tmp_path: Path, norm: str) -> None:
    path = tmp_path / "mine.onnx"
    path.touch()
    with pytest.raises(InputError, match=r"mine\.onnx: norm .* give the \.safetensors or \.pth"):
        find_weights(path, norm)
    (tmp_path / "mine.pth").touch()
    with pytest.raises(InputError, match=r"needs weights for torch; give .*mine\.pth"):
        Embedder.from_weights(path, norm=norm)


def test_names_of_shipped_weights_mean_the_file_for_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    monkeypatch.setattr(shipped, "NAMED", {"auto": "net"})
    for ending in (".onnx", ".safetensors"):
        (tmp_path / f"net{ending}").touch()
    for name in ("auto", "net"):
        assert find_weights(name) == tmp_path / "net.onnx"
        assert find_weights(name, "frame") == tmp_path / "net.safetensors"


def test_unknown_norm() -> None:
    with pytest.raises(InputError, match="norm must be one of stored, frame, video, got 'batch'"):
        Embedder.from_weights("auto", norm="batch")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript is on its way out
def test_networks_that_cannot_adapt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain.safetensors"
    path.touch()
    flat = lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 8, 4))  # noqa: E731
    use_network(monkeypatch, flat, Recipe("flat", SIZE))
    with pytest.raises(InputError, match="no BatchNorm layers"):
        Embedder.from_weights(path, "cpu", norm="frame")
    script = tmp_path / "net.torchscript"
    text = Recipe("flat", SIZE).to_json()
    torch.jit.save(
        torch.jit.trace(little_network(), torch.zeros(2, 3, *SIZE)), script, _extra_files={"retrace": text}
    )
    with pytest.raises(InputError, match="TorchScript cannot be changed"):
        Embedder.from_weights(script, "cpu", norm="frame")


def test_statistics_of_a_video_are_kept_and_restored(little: Any, crops: np.ndarray) -> None:
    whole, stopped, resumed = (little(norm="video") for _ in range(3))
    for part in (crops[:9], crops[9:12]):
        whole.crops(part)
        stopped.crops(part)
    state = {key: value.copy() for key, value in stopped.state_dict().items()}
    assert {key: (value.shape, value.dtype.name) for key, value in state.items()} == {
        "mean": ((16,), "float32"),
        "var": ((16,), "float32"),
        "seen": ((1,), "int64"),
    }
    assert state["seen"] == PRIOR + 12
    stopped.crops(crops[:5])  # what is kept does not change with it
    resumed.load_state_dict(state)
    for _ in range(2):
        np.testing.assert_array_equal(resumed.crops(crops[12:]), whole.crops(crops[12:]))
    resumed.reset()
    np.testing.assert_array_equal(resumed.crops(crops), little(norm="video").crops(crops))


def test_statistics_of_another_network_are_refused(little: Any) -> None:
    video, plain = little(norm="video"), little()
    state = video.state_dict()
    for wrong in ({}, {**state, "mean": state["mean"][:5]}, {**state, "more": state["mean"]}):
        with pytest.raises(InputError, match="not the statistics of this network"):
            video.load_state_dict(wrong)
    assert plain.state_dict() == {}
    plain.load_state_dict({})
    with pytest.raises(InputError, match="keeps no statistics"):
        plain.load_state_dict(state)


def test_live_sources_would_share_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "retrace.tools.runs.runner.open_job_source",
        lambda job: SimpleNamespace(live=job.source.startswith("rtsp")),
    )
    words = ["rtsp://one", "a.mp4", "rtsp://two", "--reid-norm", "video"]
    with pytest.raises(
        InputError, match="`reid_norm` video: live sources would share its statistics; run each"
    ):
        open_run(jobs_of(parser().parse_args(words)))


@pytest.mark.parametrize("off", [["--tracker", "sort"], ["--reid", "none"]])
def test_a_norm_that_nobody_would_use(off: list[str], shared: Path, tmp_path: Path) -> None:
    sequence = shared / "MOT15-train" / "TUD-Campus"
    words = [
        str(sequence),
        "--detections",
        "det/det.txt",
        "--reid-norm",
        "frame",
        "--out",
        str(tmp_path),
        *off,
    ]
    with pytest.raises(InputError, match="`reid_norm` frame: nobody looks at appearance"):
        open_run(jobs_of(parser().parse_args(words)))


def test_auto_with_a_norm_is_the_shipped_network_in_torch(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    sequence = shared / "MOT15-train" / "TUD-Campus"
    words = [str(sequence), "--detections", "det/det.txt", "--reid-norm", "frame", "--device", "cpu"]
    words += ["--out", str(tmp_path)]
    (one,) = open_run(jobs_of(parser().parse_args(words))).opened
    assert "BatchNorm by the frame" in one.appearance.description  # which a checkpoint's fingerprint contains
    assert any(path.endswith(".safetensors") for path in one.hashes)
