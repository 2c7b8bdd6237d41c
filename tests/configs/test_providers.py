"""Which of ONNX Runtime's providers are asked for."""

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.configs.providers import CPU, CUDA, TENSORRT, place_of, providers

GPU = [TENSORRT, CUDA, CPU]  # as onnxruntime-gpu lists them


@pytest.mark.parametrize(
    ("available", "device", "wanted"),
    [
        ([CPU], "auto", [CPU]),
        (GPU, "cpu", [CPU]),
        (GPU, "auto", [(CUDA, {"device_id": 0}), CPU]),
        (GPU, "cuda:3", [(CUDA, {"device_id": 3}), CPU]),
    ],
)
def test_without_tensorrt(available: list[str], device: str, wanted: list[object]) -> None:
    assert providers(available, device) == wanted


def test_tensorrt_keeps_its_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "cache"))
    first, *rest = providers(GPU, "cuda:1", tensorrt=True)
    assert first[0] == TENSORRT
    assert first[1]["device_id"] == 1
    assert first[1]["trt_fp16_enable"] is False
    assert Path(first[1]["trt_engine_cache_path"]).is_dir()
    assert rest == [(CUDA, {"device_id": 1}), CPU]


@pytest.mark.parametrize(
    ("available", "device", "tensorrt", "said"),
    [
        ([CPU], "cuda", False, "this onnxruntime has no CUDA; install onnxruntime-gpu"),
        ([CUDA, CPU], "auto", True, "this onnxruntime has no TensorRT"),
        (GPU, "cpu", True, "'tensorrt' needs a GPU"),
    ],
)
def test_what_is_not_there(available: list[str], device: str, tensorrt: bool, said: str) -> None:
    with pytest.raises(InputError, match=said):
        providers(available, device, tensorrt)


def test_places() -> None:
    asked = [(CPU, "auto"), (CUDA, "auto"), (CUDA, "cuda:2"), (TENSORRT, "cuda:2")]
    assert [place_of(*one) for one in asked] == ["cpu", "cuda", "cuda:2", "tensorrt on cuda:2"]
