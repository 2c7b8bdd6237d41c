"""tools/models.py: what can be had, and getting it."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import models
from retrace.tools.terminal.console import OK
from retrace.tracker.detection import download


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RETRACE_OFFLINE", "1")
    return tmp_path / "cache"


def test_every_detector_has_a_line_with_its_licence(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.mkdir()
    (cache / "yolox_nano.onnx").write_bytes(b"x")
    (cache / "nanodet.onnx").write_bytes(b"x" * 100_000)
    (cache / "osnet.onnx").write_bytes(b"x")  # no detector's name
    assert models.main([]) == OK
    lines = capsys.readouterr().out.splitlines()
    tiny, nano = (
        next(line for line in lines if line.startswith(name)) for name in ("yolox_tiny", "yolox_nano")
    )
    assert tiny.split()[1:5] == ["Apache-2.0", "20.2", "to", "download"]
    assert nano.split()[1:6] == ["Apache-2.0", "3.7", "in", "the", "cache"]
    assert any(line.startswith("nanodet.onnx") and " 0.1 in the cache" in line for line in lines)
    assert not any("osnet" in line for line in lines)
    assert any("AGPL-3.0" in line for line in lines)
    assert max(map(len, lines)) < 250


def test_one_is_got_by_name(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="RETRACE_OFFLINE is set"):
        models.main(["--get", "yolox_tiny"])
    with pytest.raises(
        InputError, match=r"--get yolox_tny: nothing of that name; did you mean 'yolox_tiny\.onnx'"
    ):
        models.main(["--get", "yolox_tny"])
    monkeypatch.setattr(download, "fetch", lambda offer: (cache / offer.name, "downloaded"))
    assert models.main(["--get", "yolox_tiny"]) == OK
    assert "yolox_tiny.onnx (Apache-2.0, downloaded)" in capsys.readouterr().out
