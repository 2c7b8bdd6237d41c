"""Class names and which of them are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tracker.detection.classes import choose_classes, coco_names, named, names_from_file, names_in

NAMES = {0: "person", 1: "bicycle", 2: "traffic light"}


def test_people_are_kept_by_default_and_everything_where_there_are_none() -> None:
    assert choose_classes(NAMES, None) == [0]
    assert choose_classes({0: "car", 4: "Pedestrian"}, None) == [4]
    assert choose_classes({0: "car", 4: "dog"}, None) == [0, 4]


def test_classes_are_named_or_numbered() -> None:
    assert choose_classes(NAMES, "all") == [0, 1, 2]
    assert choose_classes(NAMES, "Traffic Light, 0") == [0, 2]
    assert choose_classes(NAMES, "1,bicycle") == [1]


@pytest.mark.parametrize("word", ["bicicle", "3", "", "-1"])
def test_an_unknown_class_is_refused(word: str) -> None:
    with pytest.raises(InputError, match=f"class '{word}': the detector does not know it"):
        choose_classes(NAMES, word)
    with pytest.raises(InputError, match="did you mean 'bicycle'"):
        choose_classes(NAMES, "bicicle")


def test_coco_counts_in_two_ways() -> None:
    plain, own = coco_names(), coco_names(own_ids=True)
    assert (len(plain), len(own)) == (80, 80)
    assert (plain[0], plain[9], plain[79]) == ("person", "traffic light", "toothbrush")
    assert (own[1], own[13], own[90]) == ("person", "stop sign", "toothbrush")  # 12 is not used
    assert list(plain.values()) == list(own.values())


@pytest.mark.parametrize(
    "text", ["{0: 'person', 1: 'dog'}", '{"0": "person", "1": "dog"}', "['person', 'dog']", "person,dog"]
)
def test_exports_write_names_in_several_ways(text: str) -> None:
    assert names_in({"names": text}, "net.onnx") == {0: "person", 1: "dog"}
    assert names_in({}, "net.onnx") is None


@pytest.mark.parametrize("text", ["3", "{}", "[]", "{-1: 'a'}", "{'a': 'b'}"])
def test_what_are_no_names_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^net\.onnx: class names must be a list"):
        names_in({"names": text}, "net.onnx")


def test_a_names_file_has_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "coco.names").write_text("person\n\ndog\n")
    assert names_from_file(tmp_path / "coco.names") == {0: "person", 1: "dog"}
    (tmp_path / "empty.names").write_text("\n")
    with pytest.raises(InputError, match=r"empty\.names: class names must be a list"):
        names_from_file(tmp_path / "empty.names")
    (tmp_path / "binary.names").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.names: cannot be read .*expected class names"):
        names_from_file(tmp_path / "binary.names")
    assert named(("a", "b"), "x") == {0: "a", 1: "b"}
