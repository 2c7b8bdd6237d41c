from pathlib import Path

import pydantic
import pytest

from retrace.configs import InputError, load_preset
from retrace.configs.loader import HERE, _override, parse_assignments
from retrace.tracker.config import TrackerConfig

STAGES = "stages: [{tracks: [active], detections: high, cost: iou, limit: 0.7}]\n"


def load(name="bytetrack", **overrides):
    return load_preset(name, TrackerConfig, "tracker", overrides)


@pytest.mark.parametrize("path", sorted((HERE / "tracker").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_preset_loads_and_names_its_source(path):
    config = load_preset(path.stem, TrackerConfig, "tracker")
    assert len(config.source) > 40


def test_a_fault_names_what_was_changed_in_a_preset():
    """Not the file alone, which is sound."""
    with pytest.raises(InputError, match=r"bytetrack\.yaml with max_age: max_age: "):
        load(max_age=-1)
    with pytest.raises(InputError, match=r"bytetrack\.yaml with max_age and 1 more: max_age: "):
        load(max_age=-1, high=0.5)


def test_durations_in_frames_convert():
    assert load("bytetrack").max_age == 1.0
    assert load("bytetrack", max_age="45 frames at 30 fps").max_age == 1.5
    assert load("bytetrack", max_age=2).max_age == 2.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"max_agee": 2}, r"unknown key 'max_agee'; did you mean 'max_age'\?"),
        ({"stages.0.limt": 1}, r"unknown key 'stages.0.limt'; did you mean 'limit'\?"),
        ({"stages.7.limit": 1}, "no '7' here"),
        ({"stage.0.limit": 1}, r"no 'stage' here; did you mean 'stages'\?"),
        ({"high": 1.5}, "high: must be at most 1, got 1.5"),
        ({"high": "x"}, "high: expected a number, got 'x'"),
        ({"max_age": "3 weeks"}, 'max_age: expected seconds, or "N frames at F fps"'),
        ({"max_age": -1}, "max_age: must be at least 0, got -1"),
        ({"motion": "xyz"}, "motion: expected 'sort', 'xyah', 'xyhr', 'xywh' or 'linear'"),
        ({"low": 0.9}, r"low \(0.9\) must not exceed high \(0.6\)"),
        ({"stages.0.limit": {"active": 0.5}}, r"limit names \['active'\], tracks names \['active', 'lost'\]"),
        ({"stages": []}, "stages"),
        ({"high.x": 1}, "'high' is a value"),
    ],
)
def test_mistakes_are_named_in_one_line(overrides, message):
    with pytest.raises(InputError, match=message) as caught:
        load(**overrides)
    assert "\n" not in str(caught.value)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(
        InputError, match=r"unknown tracker preset 'bytetrak'; did you mean 'bytetrack'\? known: .*sort"
    ):
        load("bytetrak")


def test_a_preset_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("high: 5e-1\n" + STAGES)  # PyYAML reads 5e-1 as a string
    assert load(path).high == 0.5
    with pytest.raises(InputError, match="no such preset file"):
        load(tmp_path / "other.yaml")


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just words", "\x00"])
def test_files_that_are_no_preset(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.yaml"):
        load(path)


def test_assignments():
    assert parse_assignments(["a=2", "b.0.c=x", "d=[1, 2]", "e="]) == {
        "a": 2,
        "b.0.c": "x",
        "d": [1, 2],
        "e": None,
    }
    for wrong in ("a", "=3"):
        with pytest.raises(InputError, match="expected key=value"):
            parse_assignments([wrong])
    with pytest.raises(InputError, match="not readable as YAML"):
        parse_assignments(["a=[1"])


def test_a_name_with_a_dot_inside_is_one_step() -> None:
    """losses: {pml.ContrastiveLoss: {weight: 1}} is reached as losses.pml.ContrastiveLoss.weight."""

    class Free(pydantic.BaseModel):
        losses: dict[str, dict[str, float]]

    raw = {"losses": {"pml.ContrastiveLoss": {"weight": 1.0}, "centre": {}}}
    for key, value in {
        "losses.pml.ContrastiveLoss.weight": 0.5,
        "losses.pml.CircleLoss": {"weight": 2.0},
        "losses.pml.TripletLoss.margin": 0.3,
        "losses.centre.weight": 4.0,
    }.items():
        _override(raw, key, value, Free)
    assert raw["losses"] == {
        "pml.ContrastiveLoss": {"weight": 0.5},
        "centre": {"weight": 4.0},
        "pml.CircleLoss": {"weight": 2.0},
        "pml.TripletLoss": {"margin": 0.3},
    }
    with pytest.raises(InputError, match="no 'contre' here; did you mean 'centre'"):
        _override(raw, "losses.contre.weight", 1.0, Free)


@pytest.mark.parametrize(
    "value",
    ["2026-99-99", "[" * 500, "9" * 5000, "{[1]: 2}", "&a [*a]", "!!python/object:os.system x", "\x07", "?"],
)
def test_yaml_of_every_kind_of_damage_is_one_short_line(value: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load("bytetrack", **parse_assignments([f"max_age={value}"]))
    assert len(str(caught.value)) <= 500
    (tmp_path / "a.yaml").write_text(f"high: {value}\n" + STAGES)
    with pytest.raises(InputError) as caught:
        load(tmp_path / "a.yaml")
    assert len(str(caught.value)) <= 500


def test_superscripts_are_no_numbers() -> None:
    """'²'.isdigit() is true, and int('²') fails."""
    with pytest.raises(InputError, match="no '²' here"):
        load("bytetrack", **{"stages.².limit": 1})


def test_on_is_a_word():
    """YAML 1.1 reads on, off, yes and no as truth values; here they are keys and names."""
    found = parse_assignments(
        ["losses={classifier: {on: pooled}}", "flag=off", "true_one=true", "truth=trueish"]
    )
    assert found == {
        "losses": {"classifier": {"on": "pooled"}},
        "flag": "off",
        "true_one": True,
        "truth": "trueish",
    }
