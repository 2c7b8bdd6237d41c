"""A file gets its name only if it answers like the original."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from retrace.configs import InputError  # noqa: E402
from retrace.reid import Embedder  # noqa: E402
from retrace.reid.exporting import convert, job  # noqa: E402
from retrace.reid.exporting.job import FORMATS, ExportJob, export, random_crops  # noqa: E402
from retrace.reid.recipe import Recipe  # noqa: E402
from retrace.reid.weights.files import load_network, read  # noqa: E402
from retrace.reid.weights.shipped import shipped_weights  # noqa: E402
from tests.reid.networks_by_hand import channel_means, little_network, use_network  # noqa: E402

RECIPE = Recipe("little", (16, 8), (0.5, 0.25, 0.0), (0.5, 0.25, 1.0), 0, None, {"data": "made up"})


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_network(monkeypatch, little_network, RECIPE)
    (tmp_path / "little.safetensors").touch()
    return tmp_path / "little.safetensors"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    import cv2

    folder = tmp_path / "people"
    folder.mkdir()
    for k, crop in enumerate(random_crops(40, (16, 8), np.random.default_rng(5))):
        cv2.imwrite(str(folder / f"{k:02d}.png"), crop)
    return folder


@pytest.fixture
def few_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a large network is exported and the comparison is not the matter: 20 crops show no more than 4."""
    monkeypatch.setattr(job, "RANDOM_CROPS", 4)


def only(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("format", ["onnx", "openvino", "torchscript"])
def test_every_format_keeps_vectors_recipe_and_card(weights: Path, tmp_path: Path, format: str) -> None:  # noqa: A002
    if format == "openvino":
        pytest.importorskip("openvino")
    out = tmp_path / "new" / f"little{FORMATS[format]}"
    found = export(weights, out, ExportJob(format))
    assert found.files[0] == out
    assert only(out.parent) == {file.name for file in found.files}
    assert len(found.files) == (2 if format == "openvino" else 1)
    assert 0 <= found.mean <= found.worst < 1e-6
    assert (found.batches, found.crops) == ((1, 3, 16), 20)
    made, original = Embedder.from_weights(out, "cpu"), Embedder.from_weights(weights, "cpu")
    crops = random_crops(19, (16, 8), np.random.default_rng(9))
    np.testing.assert_allclose(made.crops(crops), original.crops(crops), atol=1e-5)
    assert (made.size, made.dim, made.card) == ((16, 8), 5, {"data": "made up"})


@pytest.mark.usefixtures("few_crops")
def test_safetensors_are_the_weights_without_their_classifier(tmp_path: Path) -> None:
    if importlib.util.find_spec("timm") is None:  # importing it may need the cure first
        pytest.skip("needs timm")
    from retrace.reid.config import ModelConfig
    from retrace.reid.networks import build as networks
    from retrace.reid.weights import files as weights

    config = ModelConfig(name="timm.test_resnet", embedding=8)
    network = networks.build(config, 400, (32, 16)).eval()
    recipe = Recipe(
        "timm.test_resnet", (32, 16), classes=400, model=config.model_dump(), card={"data": "made up"}
    )
    weights.save_network(tmp_path / "whole.safetensors", network, recipe)
    found = export(tmp_path / "whole.safetensors", tmp_path / "small.safetensors", ExportJob("safetensors"))
    assert found.worst < 1e-6
    assert "small.safetensors, 32x16 -> 8, torch on cpu" in found.description
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "small")]
    assert sizes[0] - sizes[1] >= 4 * 8 * 400
    made = Embedder.from_weights(tmp_path / "small.safetensors", "cpu")
    assert made.card == {"data": "made up"}
    assert weights.read(tmp_path / "small.safetensors")[1].classes == 0
    # an export of it is no trouble
    from_small = export(tmp_path / "small.safetensors", tmp_path / "small.onnx")
    assert from_small.worst < 1e-6
    with pytest.raises(InputError, match=r"small\.safetensors: would overwrite the weights it is made from"):
        export(tmp_path / "small.safetensors", tmp_path / "small.safetensors", ExportJob("safetensors"))


@pytest.mark.parametrize("format", ["torchscript", "safetensors"])
def test_torch_formats_cannot_come_from_onnx(tmp_path: Path, format: str) -> None:  # noqa: A002
    source = channel_means(tmp_path / "means.onnx", ["B", 3, 16, 8])
    with pytest.raises(InputError, match=rf"means\.onnx: is an export itself; {format} needs the weights as"):
        export(source, tmp_path / f"a{FORMATS[format]}", ExportJob(format))


def test_the_onnx_file_holds_the_whole_recipe_and_nothing_of_this_machine(
    weights: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.onnx", tmp_path / "2.onnx"
    for out in (first, second):
        export(weights, out)
    assert first.read_bytes() == second.read_bytes()
    model = onnx.load(first)
    metadata = {p.key: p.value for p in model.metadata_props}
    assert Recipe.from_json(metadata["retrace"], "test") == RECIPE
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    for path in (str(tmp_path), str(Path(torch.__file__).parent), str(Path(__file__).parent)):
        assert path.encode() not in first.read_bytes()


def test_a_fixed_batch_is_fixed(weights: Path, tmp_path: Path) -> None:
    found = export(weights, tmp_path / "four.onnx", ExportJob(batch=4))
    assert found.batches == (4,)
    entry = onnx.load(tmp_path / "four.onnx").graph.input[0]
    assert [side.dim_value for side in entry.type.tensor_type.shape.dim] == [4, 3, 16, 8]


def test_half_stores_half_and_computes_whole(weights: Path, tmp_path: Path) -> None:
    found = export(weights, tmp_path / "half.onnx", ExportJob(store="half"))
    assert 0 < found.worst < 1e-4
    kinds = {
        t.name: (t.data_type, int(np.prod(t.dims)))
        for t in onnx.load(tmp_path / "half.onnx").graph.initializer
    }
    assert {kind for kind, count in kinds.values() if count >= 64} == {onnx.TensorProto.FLOAT16}
    assert {kind for kind, count in kinds.values() if count < 64} == {onnx.TensorProto.FLOAT}


def test_a_weight_that_float16_cannot_hold_stays_float32(tmp_path: Path) -> None:
    from onnx import helper, numpy_helper

    from tests.reid.networks_by_hand import save_onnx

    large = numpy_helper.from_array(np.full((1, 3, 8, 4), 1e6, np.float32), "large")
    nodes = [helper.make_node("Mul", ["image", "large"], ["m"]), helper.make_node("Flatten", ["m"], ["out"])]
    path = save_onnx(tmp_path / "large.onnx", nodes, ["B", 3, 8, 4], ["B", 96], constants=[large])
    convert.halve(path)
    assert [t.name for t in onnx.load(path).graph.initializer] == ["large"]
    Embedder.from_weights(path)


def test_int8_is_calibrated_and_compared_on_different_people(
    weights: Path, people: Path, tmp_path: Path
) -> None:
    found = export(weights, tmp_path / "q.onnx", ExportJob(store="int8"), calibration=people)
    assert (found.crops, found.people) == (20, 20)  # every other of the 40
    assert 0 < found.worst < 0.05
    model = onnx.load(tmp_path / "q.onnx")
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}
    assert Embedder.from_weights(tmp_path / "q.onnx").card == {"data": "made up"}
    with pytest.raises(InputError, match=r"up to .* more than 1e-09"):
        export(weights, tmp_path / "strict.onnx", ExportJob(store="int8"), calibration=people, limit=1e-9)
    with pytest.raises(InputError, match="int8 with batches of 30 needs 60 crops"):
        export(weights, tmp_path / "many.onnx", ExportJob(batch=30, store="int8"), calibration=people)


def test_crops_of_a_folder_join_the_comparison(weights: Path, people: Path, tmp_path: Path) -> None:
    found = export(weights, tmp_path / "a.onnx", calibration=people)
    assert (found.crops, found.people) == (20 + 40, 40)
    assert export(weights, tmp_path / "b.onnx").people == 0  # which the tool says


@pytest.mark.usefixtures("few_crops")
@pytest.mark.parametrize("name", ["auto", "strong"])
def test_names_of_shipped_weights_mean_the_network_as_it_was_trained(tmp_path: Path, name: str) -> None:
    """Whatever an .onnx cannot become is made of the .safetensors beside it."""
    out = tmp_path / "a.safetensors"
    assert export(name, out, ExportJob("safetensors")).worst < 1e-6
    trained, _ = read(shipped_weights(name).with_suffix(".safetensors"))
    assert all(torch.equal(value, trained[key].to(value.dtype)) for key, value in read(out)[0].items())
    if name == "auto":
        assert export(name, tmp_path / "one.onnx", ExportJob(batch=1)).batches == (1,)
    export(name, tmp_path / "any.onnx")  # the .onnx as it is, no torch needed
    assert initializers(tmp_path / "any.onnx") == initializers(shipped_weights(name))


@pytest.mark.usefixtures("few_crops")
def test_an_ir_of_an_onnx_file_that_has_a_checksum_has_its_own(tmp_path: Path) -> None:
    """OpenVINO keeps what the file said of itself, its checksum too: that speaks of other bytes."""
    openvino = pytest.importorskip("openvino")
    assert export("auto", tmp_path / "ours.xml", ExportJob("openvino")).worst < 1e-5
    text = (tmp_path / "ours.xml").read_bytes()
    assert text.count(b"<retrace_sha256 value=") == 2
    (tmp_path / "ours.xml").write_bytes(text.replace(b'"Convolution"', b'"Convolutiom"', 1))
    with pytest.raises(InputError, match="is damaged"):
        Embedder.from_weights(tmp_path / "ours.xml")
    openvino.save_model(openvino.Core().read_model(shipped_weights()), tmp_path / "theirs.xml")
    crops = random_crops(2, (128, 64), np.random.default_rng(0))
    theirs, ours = (Embedder.from_weights(one).crops(crops) for one in (tmp_path / "theirs.xml", "auto"))
    np.testing.assert_allclose(theirs, ours, atol=2e-3)


def initializers(path: Path | None) -> dict[str, bytes]:
    return {one.name: one.SerializeToString() for one in onnx.load(path).graph.initializer}


def test_an_export_that_answers_otherwise_is_not_kept(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(network: Any, *rest: Any) -> None:
        with torch.no_grad():
            network[4].weight[0] += 0.2
        write_onnx(network, *rest)

    write_onnx = convert.write_onnx
    monkeypatch.setattr(convert, "write_onnx", spoilt)
    out = tmp_path / "out" / "spoilt.onnx"
    out.parent.mkdir()
    out.write_text("the one from last week")
    with pytest.raises(
        InputError, match=r"spoilt\.onnx was not written: its vectors are up to .* more than 0\.001"
    ):
        export(weights, out)
    assert only(out.parent) == {"spoilt.onnx"}
    assert out.read_text() == "the one from last week"


class Baked(torch.nn.Module):
    """Has the batch it was traced with baked in."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)).reshape(int(images.shape[0]) if not torch.jit.is_tracing() else 2, -1)


def test_a_batch_baked_in_is_found_out(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, lambda: Baked().eval(), RECIPE)
    for name in ("a.onnx", "a.torchscript"):
        out = tmp_path / "out" / name
        with pytest.raises(
            InputError, match=rf"{name} was not written: it (expected one vector a crop|does not run)"
        ):
            export(weights, out, ExportJob("onnx" if name == "a.onnx" else "torchscript"))
        assert only(out.parent) == set()


def test_a_network_that_cannot_be_converted_is_one_line(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(images.mean((2, 3)))

    use_network(monkeypatch, lambda: Odd().eval(), RECIPE)
    with pytest.raises(InputError, match=r"cannot be converted to onnx: \w+: [^\n]*$"):
        export(weights, tmp_path / "odd.onnx")


def test_from_onnx_to_openvino(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    source = channel_means(tmp_path / "means.onnx", ["B", 3, 16, 8], RECIPE.to_json())
    export(source, tmp_path / "means.xml", ExportJob("openvino"))
    assert Embedder.from_weights(tmp_path / "means.xml").card == {"data": "made up"}
    one = channel_means(tmp_path / "one.onnx", [1, 3, 16, 8])
    with pytest.raises(
        InputError, match=r"it takes 1 crops of .* not any number .* from the training weights"
    ):
        export(one, tmp_path / "one.xml", ExportJob("openvino"))
    assert export(one, tmp_path / "one.xml", ExportJob("openvino", batch=1)).batches == (1,)


@pytest.mark.usefixtures("few_crops")
def test_half_of_a_safetensors_is_read_back_as_float32(tmp_path: Path) -> None:
    files = {store: tmp_path / f"{store}.safetensors" for store in ("float", "half")}
    shipped = shipped_weights()
    assert shipped is not None
    for store, file in files.items():
        found = export(shipped.with_suffix(".safetensors"), file, ExportJob("safetensors", store=store))
        assert found.worst < 1e-4
    assert files["half"].stat().st_size < 0.62 * files["float"].stat().st_size
    whole, halved = (load_network(file)[0].state_dict() for file in files.values())
    for key, value in whole.items():
        assert halved[key].dtype == value.dtype
        assert torch.equal(halved[key], value.half().to(value.dtype) if value.ndim > 1 else value)


@pytest.mark.parametrize(
    ("out", "job", "message"),
    [
        (
            "a.onnx",
            ExportJob("tflite"),
            "`format` must be one of onnx, openvino, torchscript, safetensors, got 'tflite'",
        ),
        ("a.onnx", ExportJob("openvino"), r"a\.onnx: a file of format openvino ends in \.xml"),
        ("a.onnx", ExportJob(batch=0), "`batch` must be at least 1, got 0"),
        ("a.onnx", ExportJob(store="int4"), "`store` must be one of float, half, int8"),
        ("a.onnx", ExportJob(store="int8"), "needs a folder of person crops"),
        (
            "a.torchscript",
            ExportJob("torchscript", batch=2),
            "takes any batch and is stored as float, got batch 2",
        ),
        ("a.torchscript", ExportJob("torchscript", store="half"), "stored as float, got batch None, half"),
        ("a.safetensors", ExportJob("safetensors", batch=2), "stored as float or half, got batch 2"),
        ("a.ONNX", ExportJob(), r"a\.ONNX: a file of format onnx ends in \.onnx"),
    ],
)
def test_options_that_do_not_go_together(
    weights: Path, tmp_path: Path, out: str, job: ExportJob, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        export(weights, tmp_path / out, job)


def test_what_cannot_be_read_or_written(weights: Path, tmp_path: Path, people: Path) -> None:
    with pytest.raises(InputError, match="no such weights file"):
        export(tmp_path / "none.pth", tmp_path / "a.onnx")
    (tmp_path / "ir.xml").touch()
    with pytest.raises(InputError, match="is an export itself"):
        export(tmp_path / "ir.xml", tmp_path / "a.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"a\.onnx: cannot be written"):
        export(weights, tmp_path / "file" / "a.onnx")
    for picture in sorted(people.iterdir())[1:]:
        picture.unlink()
    with pytest.raises(InputError, match="at least 2 readable person crops, got 1"):
        export(weights, tmp_path / "a.onnx", ExportJob(store="int8"), calibration=people)


def test_random_crops_are_like_photographs_and_repeat() -> None:
    first, again = (random_crops(3, (16, 8), np.random.default_rng(0)) for _ in range(2))
    assert first.shape == (3, 16, 8, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.abs(np.diff(first.astype(int), axis=1)).mean() < 40  # neighbours are alike; of noise it is 85


@pytest.mark.usefixtures("few_crops")
@pytest.mark.parametrize("store", ["float", "half"])
def test_an_exported_file_knows_when_it_was_damaged(tmp_path: Path, store: str) -> None:
    path = export("auto", tmp_path / "a.onnx", ExportJob(store=store)).files[0]
    data = bytearray(path.read_bytes())
    for share in (0.3, 0.6, 0.9):
        broken = data.copy()
        broken[int(share * len(data))] ^= 0x20
        (tmp_path / "b.onnx").write_bytes(bytes(broken))
        with pytest.raises(InputError, match=r"b\.onnx: (is damaged|not readable)"):
            Embedder.from_weights(tmp_path / "b.onnx", "cpu", threads=1)
    assert Embedder.from_weights(path, "cpu", threads=1).dim == Embedder.from_weights("auto", "cpu").dim


@pytest.mark.parametrize("format", ["openvino", "torchscript"])
def test_a_damaged_export_is_refused_or_answers_as_before(
    weights: Path,
    tmp_path: Path,
    format: str,  # noqa: A002
) -> None:
    """One bit somewhere: in a tensor, the graph, the recipe; a zip has some bytes that mean nothing."""
    if format == "openvino":
        pytest.importorskip("openvino")
    made = export(weights, tmp_path / "new" / f"little{FORMATS[format]}", ExportJob(format))
    crops = random_crops(3, (16, 8), np.random.default_rng(9))
    whole = Embedder.from_weights(made.files[0], "cpu").crops(crops)
    refused, rng = 0, np.random.default_rng(1)
    for case in range(24):
        path = made.files[case % len(made.files)]
        before = path.read_bytes()
        broken = bytearray(before)
        broken[rng.integers(len(broken))] ^= 1 << rng.integers(8)
        path.write_bytes(broken)
        try:
            assert np.array_equal(Embedder.from_weights(made.files[0], "cpu").crops(crops), whole), case
        except InputError as error:
            assert "is damaged: " in str(error) or "not readable" in str(error)  # noqa: PT017
            refused += 1
        path.write_bytes(before)
    assert refused >= 12
    assert refused == 24 or format == "torchscript"
