"""Class names, where a file does not tell them, and which of them are kept."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.configs.files import reading

PERSON = ("person", "pedestrian")  # kept by default where a model knows one
LISTED = 80  # at most so many names in an error message
COCO_TABLE = """
person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign
parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie
suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard
tennis_racket bottle wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot
hot_dog pizza donut cake chair couch potted_plant bed dining_table toilet tv laptop mouse remote keyboard
cell_phone microwave oven toaster sink refrigerator book clock vase scissors teddy_bear hair_drier
toothbrush
"""  # the 80 of COCO 2017, in the order every 80-class network has them
COCO = tuple(name.replace("_", " ") for name in COCO_TABLE.split())
COCO_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # of COCO's own category ids, which go from 1 to 90
COCO_IDS = tuple(number for number in range(1, 91) if number not in COCO_UNUSED)


def coco_names(own_ids: bool = False) -> dict[int, str]:
    """COCO's 80 names by 0..79, or by COCO's own category ids, as torchvision, TensorFlow and RF-DETR count."""
    return dict(zip(COCO_IDS if own_ids else range(len(COCO)), COCO, strict=True))


def choose_classes(names: Mapping[int, str], classes: str | None) -> list[int]:
    """The class ids to keep; see :func:`retrace.tracker.detection.open.open_detector`.

    Raises:
        InputError: a class that the model does not have; the message names the nearest.
    """
    by_name = {name.lower(): number for number, name in names.items()}
    if classes is None:
        return [by_name[name] for name in PERSON if name in by_name] or list(names)
    if classes.strip().lower() == "all":
        return list(names)
    chosen = []
    for word in (word.strip().lower() for word in classes.split(",")):
        number = int(word) if word.isdecimal() and len(word) < 10 else by_name.get(word)
        if number is None or number not in names:
            known = [*by_name, "all"] if len(by_name) <= LISTED else ["all"]
            raise InputError(f"class {word!r}: the detector does not know it; {nearest(word, known)}")
        chosen.append(number)
    return sorted(set(chosen))


def names_in(metadata: Mapping[str, str], origin: str | Path) -> dict[int, str] | None:
    """The class names that an export carries under "names": a mapping or a list, as Python or JSON writes them.

    Raises:
        InputError: there is something else under that key.
    """
    told = metadata.get("names")
    if told is None:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return named(parse(told), origin)
        except (ValueError, SyntaxError) as error:
            if isinstance(error, InputError):
                raise
    return named(told.split(","), origin)


def names_from_file(path: Path) -> dict[int, str]:
    """One name a line, the first is class 0.

    Raises:
        InputError: not readable, or empty.
    """
    with reading(path, "expected class names, one a line", UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").splitlines()
    return named([line.strip() for line in lines if line.strip()], path)


def named(told: object, origin: str | Path) -> dict[int, str]:
    """A list or mapping of names by class id.

    Raises:
        InputError: it is neither, or empty, or its keys are no class ids.
    """
    if isinstance(told, list | tuple):
        told = dict(enumerate(told))
    try:
        names = {int(number): str(name) for number, name in told.items()}  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        names = {}
    if not names or min(names) < 0:
        raise InputError(f"{origin}: class names must be a list, or a mapping of numbers from 0 to names")
    return names
