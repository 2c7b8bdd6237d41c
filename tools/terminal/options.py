"""What several tools read from their options, and write because of them. Values come by name, as ``vars(args)``."""

from __future__ import annotations

import json
import os
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrace.eval.report import Section


def option(name: str) -> str:
    """``min_score`` -> ``--min-score``."""
    return f"--{name.replace('_', '-')}"


def add_looks(p: ArgumentParser) -> None:
    """The options of track.py about appearance."""
    p.add_argument(
        "--reid",
        default="auto",
        metavar="auto|fast|strong|WEIGHTS|none",
        help="who looks: the shipped network, it for smaller crops, a larger one beside it, .onnx or torchreid "
        "checkpoint, nobody",
    )
    p.add_argument(
        "--reid-input",
        metavar="HOW",
        help="how foreign appearance weights take images: raw (0..255), unit (0..1), imagenet, then e.g. "
        ",colour=bgr,mean=...,std=...,layout=nhwc; default: as the file says or shows",
    )
    p.add_argument(
        "--reid-norm",
        default="stored",
        choices=("stored", "frame", "video"),
        help="BatchNorm statistics of the appearance network: its own, those of each frame's people (GHOST) or of "
        "the video so far; the last two need torch",
    )
    p.add_argument(
        "--reid-uncalibrated",
        action="store_true",
        help="leave out what the weights' card says of distances: opens weights whose card is damaged",
    )
    p.add_argument(
        "--embed",
        default="all",
        choices=("all", "ambiguous", "always"),
        help="boxes to look at; ambiguous: where place does not say whose they are; always: all, also where looks of "
        "this video rather mislead (else looking stops there, and is said to)",
    )
    p.add_argument(
        "--embed-budget", type=float, metavar="MS", help="a frame, for looking; with --embed ambiguous"
    )


def add_benchmark(p: ArgumentParser) -> None:
    known = ("auto", "MOT15", "MOT16", "MOT17", "MOT20", "DanceTrack", "custom")
    p.add_argument("--benchmark", default="auto", choices=known, help="auto: by the sequences' names")


def add_ranking_extras(p: Any) -> None:
    """What eval_reid.py measures beside the figures."""
    p.add_argument(
        "--rerank", metavar="VARIANT", help="zhong-d2 or torchreid-d4; transductive, and flagged so"
    )
    p.add_argument(
        "--centre", choices=("set", "camera"), help="vectors less the mean of all images, or of each camera's"
    )
    p.add_argument(
        "--normalise",
        choices=("z", "s", "adaptive"),
        help="distances in units of how far strangers are from the gallery image; from the query, too (s); by the 200 "
        "nearest of them (adaptive)",
    )
    p.add_argument(
        "--cohort",
        metavar="DIR|FILE.npz",
        help="the strangers: a data set or a features file; nobody who is asked for may be in it",
    )
    p.add_argument("--multi-query", action="store_true", help="one mean query an identity and camera")
    p.add_argument("--intervals", action="store_true", help="95 %% bootstrap intervals by identity")
    p.add_argument("--per-camera", action="store_true", help="a row a pair of cameras")
    p.add_argument(
        "--verification",
        action="store_true",
        help="TPR at FPR 1e-4 to 1e-2, with thresholds; are the weights' probabilities true here?",
    )
    p.add_argument(
        "--fpr",
        type=fractions,
        metavar="LIST",
        help="other rates of false matches, such as 1e-3,0.05; with --verification",
    )
    p.add_argument("--reliability", metavar="FILE.svg", help="their diagram; with --verification")
    p.add_argument("--single-shot", action="store_true", help="CUHK03's classic single-gallery-shot rank-k")
    p.add_argument("--nmi", action="store_true", help="of k-means clusters and identities")
    p.add_argument(
        "--also",
        metavar="NAMES",
        help="whole-set, clusters, space, few-shot, open-set, probe, ladders, distractors; or all",
    )
    p.add_argument(
        "--adapt", action="store_true", help="2 and 5 images of each person teach the last layer (torch)"
    )
    p.add_argument("--audit", action="store_true", help="the score under common protocol mistakes")


def check_cohort(values: Mapping[str, Any]) -> None:
    """Raises InputError for a cohort that cannot do its work, or that has none, before minutes of embedding."""
    from retrace.configs import InputError

    cohort, compare = values["cohort"], values["compare"]
    refuse_idle(values, ("normalise",), "--cohort DIR|FILE.npz, the strangers", cohort is not None)
    refuse_idle(values, ("cohort",), "--normalise z|s|adaptive", values["normalise"] is not None)
    if cohort is None:
        return
    of_file = cohort.lower().endswith(".npz")
    if values["features"] is not None and not of_file:
        raise InputError(
            f"--cohort {cohort}: with --features, give a features file (.npz) by the same network"
        )
    if compare is not None and (of_file or compare.lower().endswith(".npz")):
        raise InputError(
            "--compare: each network needs its own vectors of the cohort; with --normalise, give weights to --weights "
            "and --compare, and a data set to --cohort"
        )
    if values["shards"] is not None or values["cluster"] is not None:
        raise InputError("--normalise ranks the gallery here, in one part: leave --shards and --cluster out")
    if values["reliability"] is not None:
        raise InputError("--reliability is of plain distances: leave --normalise out")
    if Path(cohort).resolve() == Path(values["features"] or values["data"]).resolve():
        raise InputError(f"--cohort {cohort}: is the very set that is scored; expected other people's images")


def refuse_empty(values: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises InputError for an option that was given as ''."""
    from retrace.configs import InputError

    for name in names:
        if values[name] == "":
            raise InputError(f"{option(name)} '': expected a name")


def refuse_idle(values: Mapping[str, Any], given: Iterable[str], needed: str, there: bool) -> None:
    """Raises InputError for one of the options ``given`` that does nothing unless ``needed`` is there."""
    from retrace.configs import InputError

    for name in given:
        if values[name] not in (None, False) and not there:
            raise InputError(f"{option(name)} does nothing without {needed}")


def names_in(text: str | None, name: str) -> list[str]:
    """ "a, b" -> ["a", "b"]; None: no names.

    Raises:
        InputError: an empty name, or one that is there twice.
    """
    from retrace.configs import InputError

    if text is None:
        return []
    names = [part.strip() for part in text.split(",")]
    twice = sorted({part for part in names if names.count(part) > 1})
    if not all(names) or twice:
        fault = f"{twice[0]!r} is there twice" if twice and twice[0] else "a name is empty"
        raise InputError(f"{option(name)} {text!r}: {fault}; expected different names separated by commas")
    return names


def check_outputs(
    values: Mapping[str, Any],
    files: Iterable[str],
    folders: Iterable[str] = (),
    inputs: Mapping[str, str] | None = None,
) -> None:
    """Every file to write has a name of its own and a place to be, before any work is done.

    Args:
        values: of these options, by name; None is none, and ``--json -`` standard output.
        files, folders: options that name what is to be written.
        inputs: arguments that name files, or lists of them, which must stay as they are: what the user calls each.

    Raises:
        InputError: one of them cannot be meant, or cannot be written.
    """
    from retrace.configs import InputError

    read = [(called, values[name]) for name, called in (inputs or {}).items()]
    several = [(called, given if isinstance(given, list) else [given]) for called, given in read]
    seen = {Path(one).resolve(): called for called, given in several for one in given if one is not None}
    folders = tuple(folders)
    for name in (*files, *folders):
        given = values[name]
        if given is None or (name, given) == ("json", "-"):
            continue
        if given == "-":
            raise InputError(f"{option(name)} -: expected a name; only --json writes to standard output")
        path = Path(given).resolve()
        if name in folders and path.exists() and not path.is_dir():
            raise InputError(f"{option(name)} {given}: is a file; expected a folder")
        if name not in folders and path.is_dir():
            raise InputError(f"{option(name)} {given!r}: is a folder; expected the name of a file")
        if path in seen:
            raise InputError(f"{seen[path]} and {option(name)} name the same file: {given}")
        if name == "json" and path.is_file() and (path.suffix != ".json" or path.name == "run.json"):
            raise InputError(f"--json {given}: is there and is not of this kind; choose another name")
        seen[path] = option(name)
        place = next(folder for folder in path.parents if folder.exists())  # the rest is made
        if not place.is_dir() or not os.access(place, os.W_OK):
            raise InputError(
                f"{option(name)} {given}: cannot be written, {place} is no folder that takes files"
            )


def given(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The options that were given, by name: what is None has its default in the library."""
    return {name: values[name] for name in names if values[name] is not None}


def check_ending(values: Mapping[str, Any], name: str, ending: str) -> None:
    """Raises InputError for a file whose name ends otherwise."""
    from retrace.configs import InputError

    value = values[name]
    if value is not None and not value.lower().endswith(ending):
        raise InputError(f"{option(name)} {value}: expected a name that ends in {ending}")


def refuse_below_one(values: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises InputError for a number below 1."""
    from retrace.configs import InputError

    for name in names:
        value = values[name]
        if value is not None and value < 1:
            raise InputError(f"{option(name)} {value}: expected a whole number from 1")


def size(text: str) -> tuple[int, int]:
    """ "256x128" -> (256, 128), height and width: a ``type`` for argparse."""
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r}: expected HEIGHTxWIDTH in pixels, such as 256x128")
    return int(found[1]), int(found[2])


def fractions(text: str) -> tuple[float, ...]:
    """ "1e-3,0.05" -> (0.001, 0.05): a ``type`` for argparse."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r}: expected fractions separated by commas, such as 1e-3,0.05"
        ) from None


def add_table_outputs(p: Any) -> None:
    """--json, --csv and --markdown, as :func:`write_tables` reads them."""
    p.add_argument("--json", metavar="FILE", help="all figures; - for standard output instead of the tables")
    p.add_argument("--csv", metavar="FILE.csv", help="other tables go to FILE.intervals.csv and so on")
    p.add_argument("--markdown", metavar="FILE")


def add_files(p: Any) -> None:
    """What is for files only: cameras have times, and processes, of their own."""
    p.add_argument("--fps", type=float, help="frame rate of an image folder (default 30)")
    p.add_argument("--length", type=int, metavar="N", help="only the first N frames, to see what comes out")
    p.add_argument("--workers", default="1", metavar="N|auto", help="processes that track files side by side")
    p.add_argument(
        "--split",
        type=int,
        default=1,
        metavar="N",
        help="track each file in N parts and join them (docs/scale.md)",
    )


def add_answers(p: Any, files: bool = True) -> None:
    """What track.py leaves, and what its pictures look like; without what cameras that are kept alive cannot have."""
    pictures = ", heat (a map of feet); video, sheet" if files else ""
    p.add_argument(
        "--save",
        default="mot",
        metavar="LIST",
        help="mot (always written), csv (a row a box), jsonl, coco, cvat; persons (a row a person), people (a row a "
        f"minute), crops (pictures of each person){pictures}; detections, looks (for another run), camera, ledger",
    )
    p.add_argument(
        "--regions", metavar="FILE", help="YAML with lines and zones, as count.py says: counted, and drawn"
    )
    p.add_argument("--crops", type=int, metavar="N", help="pictures of each person, the sharpest (5)")
    p.add_argument(
        "--blur",
        metavar="faces|people",
        help="make them unrecognisable in all pictures; faces: heads of people's "
        "boxes and what OpenCV takes for a face, which is no guarantee",
    )
    if not files:
        return
    p.add_argument(
        "--label",
        type=lambda text: tuple(filter(None, (word.strip() for word in text.split(",")))),
        metavar="LIST",
        help="what stands on labels: of id,class,score (default: id, and class where there are several); '' for none",
    )
    p.add_argument("--codec", default="h264", metavar="h264|vp9|av1", help="of the video; vp9 makes a .webm")
    p.add_argument("--show", action="store_true", help="a window to look on; q ends the run")


EMBEDDING = (
    *("layout", "split", "strict", "flip", "size", "model", "input", "uncalibrated"),
    *("batch_size", "device", "runtime", "threads", "cache"),
)


def add_embedding(p: Any) -> None:
    """How images become vectors: what EMBEDDING names."""
    p.add_argument(
        "--flip", action="store_true", default=None, help="mean of each image and its mirror image"
    )
    p.add_argument("--layout", metavar="NAME", help="of the data; default: found out")
    p.add_argument(
        "--split", type=int, metavar="N", help="of CUHK03's classic protocol, 0 to 19 (default: 0)"
    )
    p.add_argument(
        "--strict", action="store_true", default=None, help="a broken image is an error, not skipped"
    )
    p.add_argument(
        "--size", type=size, metavar="HxW", help="of a crop, px; default: as the weights say, else 256x128"
    )
    p.add_argument(
        "--input",
        metavar="HOW",
        help="how foreign weights take images: raw (0..255), unit (0..1), imagenet, then e.g. ,colour=bgr; default: as "
        "the file says or shows",
    )
    p.add_argument(
        "--uncalibrated",
        action="store_true",
        default=None,
        help="leave out what the weights' card says of distances: opens weights whose card is damaged",
    )
    p.add_argument("--model", metavar="NAME", help="the network, if a .pth's file name does not contain it")
    p.add_argument("--batch-size", type=int, metavar="N", help="images at a time (default: 16)")
    p.add_argument("--device", metavar="auto|cpu|cuda[:N]")
    p.add_argument("--runtime", metavar="auto|torch|onnxruntime|openvino")
    p.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: the runtime's choice")
    p.add_argument("--cache", metavar="DIR", help="of decoded images; default: ~/.cache/retrace/images")


def write_tables(
    values: Mapping[str, Any],
    data: Any,
    first: tuple[str, str],
    sections: Iterable[Section],
    more: Mapping[Path, str] | None = None,
) -> None:
    """The files that --json, --csv and --markdown ask for.

    Args:
        values: of these options, by name.
        data: for JSON.
        first: the main table as CSV, and as Markdown with what stands below it.
        sections: the other tables.
        more: other files and what goes into them.
    """
    sections = list(sections)
    texts: dict[Path, str] = {}
    if values["json"] not in (None, "-"):
        texts[Path(values["json"])] = json.dumps(data, indent=2) + "\n"
    if values["csv"] is not None:
        path = Path(values["csv"])
        texts |= {path: first[0]}
        texts |= {path.with_name(f"{path.stem}.{s.key}{path.suffix}"): s.as_csv() for s in sections}
    if values["markdown"] is not None:
        texts[Path(values["markdown"])] = first[1] + "".join(s.as_markdown() for s in sections)
    write_texts(texts | dict(more or {}))


def write_texts(texts: Mapping[Path, str]) -> None:
    """UTF-8 files; what no text can hold (a file name of broken bytes) shows as a replacement character.

    Raises:
        InputError: one of them cannot be written.
    """
    from retrace.configs.files import atomic_write, writing

    for path, text in texts.items():
        with writing(path), atomic_write(path, "wb") as file:
            file.write(as_utf8(text))


def as_utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
