"""A card that is damaged or not readable: refused in one line that says how to go on, and the network runs without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError

pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("safetensors")

from retrace.reid import Embedder, ExportJob, export, join, part
from retrace.reid.exporting.convert import add_to_onnx_card
from retrace.reid.exporting.job import FORMATS, OF_TORCH
from retrace.reid.recipe import NETWORK_SUM
from retrace.reid.weights import files as weights
from retrace.reid.weights.shipped import shipped_weights
from tests.reid.networks_by_hand import channel_means
from tests.reid.resealed import CARD, changed, resealed

RUNNING = (b"0.485", b"0.585")  # the first mean: vectors would be others


@pytest.fixture(scope="module", params=["safetensors", "onnx"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resealed(tmp_path_factory.mktemp("whole") / f"w.{request.param}")


def flipped(whole: Path, folder: Path) -> Path:
    """One bit in the middle, where the tensors are."""
    data = bytearray(whole.read_bytes())
    data[len(data) // 2] ^= 1
    (folder / whole.name).write_bytes(data)
    return folder / whole.name


def looks(path: Path, uncalibrated: bool = False) -> Embedder:
    return Embedder.from_weights(path, "cpu", threads=1, uncalibrated=uncalibrated)


def test_a_damaged_card_is_told_and_left_out_when_asked(whole: Path, tmp_path: Path) -> None:
    check_left_out(whole, changed(whole, tmp_path, CARD))


def check_left_out(whole: Path, path: Path) -> None:
    with pytest.raises(
        InputError, match=r"is damaged: its card does not match .* its weights do; .*`uncalibrated`"
    ):
        looks(path)
    found, before = looks(path, uncalibrated=True), looks(whole)
    assert found.calibration is None
    assert found.card == {}  # which of its words are wrong is not known
    assert found.description.count("; without its calibration, as asked") == 1
    crops = np.random.default_rng(0).integers(0, 256, (3, *found.size, 3), np.uint8)
    assert np.array_equal(found.crops(crops), before.crops(crops))


@pytest.mark.parametrize(
    "broken", [(b"calibration", b'calibrat"on'), (b"commit", b"co}mit"), (b"knots", b"kno,s")]
)
def test_a_card_that_is_no_json_any_more(whole: Path, tmp_path: Path, broken: tuple[bytes, bytes]) -> None:
    path = changed(whole, tmp_path, broken)
    if whole.suffix == ".safetensors" and b'"' in broken[1]:  # whose header is JSON itself, and ends there
        with pytest.raises(InputError, match="not readable as safetensors"):
            looks(path, uncalibrated=True)
        return
    check_left_out(whole, path)
    with pytest.raises(InputError, match="is damaged: its weights or how they are run do not match"):
        looks(changed(path, tmp_path, RUNNING), uncalibrated=True)


def test_a_card_that_is_no_text_any_more(tmp_path: Path) -> None:
    """In an ONNX file, where the runtimes' own readers take UTF-8 only."""
    path = changed(resealed(tmp_path / "w.onnx"), tmp_path, (b"Roth et al", b"\xd2oth et al"))
    with pytest.raises(InputError, match="its card does not match"):
        looks(path)
    for runtime in ("onnxruntime", "openvino"):
        if runtime == "openvino":
            pytest.importorskip("openvino")
        found = Embedder.from_weights(path, "cpu", runtime=runtime, threads=1, uncalibrated=True)
        assert found.card == {}


def test_a_checksum_that_is_gone_is_damage(whole: Path, tmp_path: Path) -> None:
    """Else whoever damages its name may damage all else."""
    gone = (
        (b'"retrace_sha256"', b'"retrace_shb256"')
        if whole.suffix == ".safetensors"
        else (b"retrace_sha256", b"retrace_shb256")
    )
    with pytest.raises(InputError, match="is damaged: its card does not match"):
        looks(changed(whole, tmp_path, gone))
    with pytest.raises(InputError, match="is damaged: its weights or how they are run do not match"):
        looks(changed(whole, tmp_path, gone, RUNNING), uncalibrated=True)


@pytest.mark.parametrize("uncalibrated", [False, True])
def test_all_else_is_read_as_strictly(whole: Path, tmp_path: Path, uncalibrated: bool) -> None:
    """Weights, and what the network is fed by: those make the vectors, with a damaged card or without."""
    said = "is damaged: its weights or how they are run do not match the checksum"
    for path in (
        changed(whole, tmp_path, RUNNING),
        changed(whole, tmp_path, RUNNING, CARD),
        changed(flipped(whole, tmp_path), tmp_path, CARD),
        flipped(whole, tmp_path),
    ):
        with pytest.raises(InputError, match=said):
            looks(path, uncalibrated)


def test_a_recipe_that_is_no_json_is_told_in_words(whole: Path, tmp_path: Path) -> None:
    path = changed(whole, tmp_path, (b"[0.485", b"x0.485"))
    with pytest.raises(
        InputError, match=r"metadata, .* is not readable: expected a JSON object; take the file anew"
    ):
        looks(path, uncalibrated=True)


def test_files_of_before_do_not_say_which_is_damaged(whole: Path, tmp_path: Path) -> None:
    """They have one checksum; under another key the second is not there."""
    other = NETWORK_SUM.replace("network", "notwork").encode()
    path = changed(whole, tmp_path, (NETWORK_SUM.encode(), other))
    assert looks(path).calibration is not None
    changed(path, tmp_path, CARD)
    for uncalibrated in (False, True):
        with pytest.raises(InputError, match="is damaged: its weights or its card do not match"):
            looks(path, uncalibrated)


def test_a_sound_card_keeps_its_other_words(whole: Path) -> None:
    found, before = looks(whole, uncalibrated=True), looks(whole)
    assert found.calibration is None
    assert {*before.card} - {*found.card} == {"calibration"}


def test_a_calibration_that_is_not_readable_opens_uncalibrated(tmp_path: Path) -> None:
    """The file is as it was written: only who asks for the calibration is refused."""
    source = shipped_weights()
    assert source is not None
    add_to_onnx_card(source, tmp_path / "w.onnx", "calibration", 3)
    with pytest.raises(
        InputError, match=r"expected an object; calibrate again, or go on without it \(`uncal"
    ):
        looks(tmp_path / "w.onnx").calibration  # noqa: B018
    assert looks(tmp_path / "w.onnx", uncalibrated=True).calibration is None


def test_who_needs_no_card_takes_weights_without(tmp_path: Path) -> None:
    """A training, networks beside each other, one of them, and a mean: none of them keeps a calibration."""
    path = changed(resealed(tmp_path / "whole.safetensors"), tmp_path, CARD)
    path = path.rename(tmp_path / "w.safetensors")
    network, notes = weights.load_network(path, uncalibrated=True)[0], list[str]()
    weights.start_from(network, path, drop_head=False, notes=notes)
    both = join(path, ["auto"], tmp_path / "both.safetensors", notes=notes)
    assert notes == ["w.safetensors: its card is damaged and was left out"] * 2
    assert weights.read(both)[1].card.keys() == {"beside"}
    (tmp_path / "broken").mkdir()
    broken = changed(both, tmp_path / "broken", (b'\\"beside\\": {\\"osnet', b'\\"beside\\": {\\"osnot'))
    part(broken, "osnet_x0_25", tmp_path / "alone.safetensors", notes=notes)
    assert notes[-1] == "both.safetensors: its card is damaged and was left out"
    weights.write_mean(path, "auto", tmp_path / "mean.safetensors")
    assert "calibration" not in weights.read(tmp_path / "mean.safetensors")[1].card
    weights.write_mean("auto", path, tmp_path / "mean.safetensors")
    assert weights.read(tmp_path / "mean.safetensors")[1].card == {}


@pytest.mark.parametrize("format", [*FORMATS])
def test_an_export_keeps_a_damaged_card_out_only_when_asked(
    whole: Path,
    tmp_path: Path,
    format: str,  # noqa: A002  # the word that users know
) -> None:
    if format == "openvino":
        pytest.importorskip("openvino")
    path, out = changed(whole, tmp_path, CARD), tmp_path / f"out{FORMATS[format]}"
    if path.suffix == ".onnx" and format in OF_TORCH:
        with pytest.raises(InputError, match="needs the weights as trained"):
            export(path, out, ExportJob(format, uncalibrated=True))
        return
    with pytest.raises(InputError, match="its card does not match"):
        export(path, out, ExportJob(format))
    export(path, out, ExportJob(format, uncalibrated=True))
    assert looks(out).card == {}
    export(whole, out, ExportJob(format, uncalibrated=True))
    assert {*looks(whole).card} - {*looks(out).card} == {"calibration"}


def test_weights_that_never_had_a_card_are_not_said_to_have_lost_it(tmp_path: Path) -> None:
    path = channel_means(tmp_path / "foreign.onnx", ["B", 3, 8, 4])
    found = looks(path, uncalibrated=True)
    assert "as asked" not in found.description
    assert found.without == "no calibration to leave out"
    assert looks(path).without == ""
