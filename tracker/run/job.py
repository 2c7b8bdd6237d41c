"""A job: all that tracking one source takes, as plain values; it can be pickled and sent to another process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from retrace.configs import InputError, load_preset
from retrace.configs.errors import expect, nearest, number
from retrace.configs.files import writing
from retrace.tracker.config import TrackerConfig
from retrace.tracker.detection.network import RUNTIMES
from retrace.tracker.memory.engines import check_engine
from retrace.tracker.offline.files import read_passes
from retrace.tracker.offline.passes import OfflineConfig
from retrace.tracker.sources.address import is_url, redact

SAVES = (
    *("mot", "csv", "jsonl", "coco", "cvat", "persons", "people", "crops", "heat"),
    *("video", "sheet", "detections", "camera", "ledger", "looks"),
)
NORMS = ("stored", "frame", "video")
EMBED = ("all", "ambiguous", "always")
KINDS: dict[str, tuple[Any, str]] = {  # of a Job's fields, by annotation
    "str": ((str, os.PathLike), "text"),
    "float": (Real, "a number"),
    "int": (Integral, "a whole number"),
    "bool": (bool, "True or False"),
    "Mapping[str, Any]": (Mapping, "a mapping of keys to values"),
    "tuple[str, ...]": ((tuple, list), 'several words, such as ("mot", "video")'),
}
LONGEST_NAME = 200  # bytes; endings come to it, and systems take 255
LARGEST = 1e15  # of a Job's numbers; s on a clock, at most


@dataclass(frozen=True, slots=True)
class Job:
    """One source, how it is tracked, and where the result goes.

    Raises:
        InputError: a value that is wrong by itself. What must be looked at first (files, weights, the preset) is
            refused when the job is opened.

    Example:
        >>> import pickle
        >>> from retrace import Job
        >>> job = Job("video.mp4", out="runs/mine", tracker="bytetrack", overrides={"max_age": 2.0}, save=("video",))
        >>> job.save  # MOT text is always written
        ('mot', 'video')
        >>> job.tracker_config().max_age  # s, of the preset with its overrides
        2.0
        >>> pickle.loads(pickle.dumps(job)) == job  # so another process can do it
        True
    """

    source: str  # a video file, image folder, MOTChallenge sequence folder, camera index or stream URL
    out: str  # folder
    name: str | None = None  # of the result's files; None: the source's own
    tracker: str = "default"  # a preset's name, or a YAML file
    overrides: Mapping[str, Any] = field(default_factory=dict)  # of the preset: {"max_age": 2.0}
    detector: str = "auto"  # "auto", "hog", a name or a file: see `open_detector`
    detector_format: str | None = None  # of weights that are not recognised: a family's name or a YAML file
    conf: float | None = None  # lowest score as the detector itself counts; None: 0.1 after calibration
    detections: str | None = None  # a file of boxes instead; may be given relative to the sequence folder
    classes: str | None = None  # names separated by commas, or "all"; None: people, if the model knows any
    reid: str = "auto"  # "auto": the shipped weights, "none", or weights
    # how foreign weights take images: "raw", "unit,colour=bgr"; None: as their file says
    reid_input: str | None = None
    reid_norm: str = "stored"  # BatchNorm by the weights' own statistics, or those of the "frame" or "video"
    reid_uncalibrated: bool = False  # leave out what the weights' card says of distances: it may be damaged
    # Boxes that are looked at: "all", "ambiguous" (where place does not say whose they are); both stop where looks
    # rather mislead, "always" does not.
    embed: str = "all"
    embed_budget: float | None = None  # ms a frame that looking may take; with "ambiguous"
    camera: str = "auto"  # "auto", "none", a method of estimating, or a file of warps
    fps: float | None = None  # of an image folder
    first: int = 0  # number of the frame to begin at
    length: int | None = None  # the first so many frames; None: all
    offline: str | None = None  # passes over the whole result at its end, or a YAML file of them
    offline_overrides: Mapping[str, Any] = field(default_factory=dict)  # {"interpolate.gap": 2.0}
    save: tuple[str, ...] = ("mot",)  # of SAVES; "mot" is always written
    regions: str | None = None  # a YAML file of lines and zones: they are counted, and drawn
    # "id", "class", "score"; None: ids, and classes where there are several
    label: tuple[str, ...] | None = None
    blur: str | None = None  # "faces" or "people", in every picture that is kept
    codec: str = "h264"  # of the video; "vp9" and "av1" too
    crops: int | None = None  # pictures of each person, the sharpest; None: 5
    # a window in which the source is seen as it is tracked; q closes it, which stops the run
    show: bool = False
    # an identity memory's file: results carry the ids of people, here and in other sources
    memory: str | None = None
    memory_camera: str | None = None  # what the memory calls this camera; None: as the result is called
    # s, where time 0 lies on the memory's clock; None: after all that it holds
    memory_start: float | None = None
    memory_engine: str | None = None  # where its vectors are searched, kept in step (tracker/memory/engines)
    memory_config: str | None = None  # of the memory: a preset, or a YAML file; None: that of the weights
    # a YAML file of cameras' ground: the memory knows people by where they stand, too
    homography: str | None = None
    device: str = "auto"  # "auto", "cpu", "cuda" or "cuda:N"
    # of ONNX files: "onnxruntime", "openvino" or "tensorrt"; "auto": what their ending says
    runtime: str = "auto"
    threads: int | None = None  # CPU cores to be used; None: all there are. Results do not depend on it
    storage: str | None = None  # an fsspec URL: checkpoints and results are kept there, too
    resume: bool = False  # go on from the checkpoint of a stopped run

    def __post_init__(self) -> None:
        for one in fields(self):
            kind, _, optional = str(one.type).partition(" | ")
            value = getattr(self, one.name)
            if value is None and optional:
                continue
            types, what = KINDS[kind]
            expect(one.name, value, types, what)
            if kind == "tuple[str, ...]":
                for word in value:
                    expect(one.name, word, str, what)
            if kind == "str":
                object.__setattr__(self, one.name, str(value))
                if one.name not in ("source", "out") and not str(value).strip():
                    raise InputError(f"`{one.name}` is empty: give it a value, or leave it out")
            elif kind == "float":
                number(one.name, value, -LARGEST, LARGEST)
        name = self.name
        if name and (Path(name).name != name or name == ".." or len(os.fsencode(name)) > LONGEST_NAME):
            raise InputError(
                f"`name` {name[:40]!r}: expected a file's name without its ending: no folder, at most "
                f"{LONGEST_NAME} bytes"
            )
        object.__setattr__(self, "save", tuple(dict.fromkeys(["mot", *self.save])))
        for kind in self.save:
            if kind not in SAVES:
                raise InputError(f"`save` {kind}: {nearest(kind, SAVES)}")
        if re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is None:
            raise InputError(f"`device` {self.device}: expected auto, cpu, cuda or cuda:N")
        if self.runtime not in RUNTIMES:
            raise InputError(f"`runtime` {self.runtime}: {nearest(self.runtime, RUNTIMES)}")
        if self.reid_norm not in NORMS:
            raise InputError(f"`reid_norm` {self.reid_norm}: {nearest(self.reid_norm, NORMS)}")
        if self.detections and self.detector not in ("auto", "none"):
            raise InputError("`detections` replaces the detector: leave `detector` out")
        if self.detections and (self.detector_format is not None or self.conf is not None):
            raise InputError("`detections` replaces the detector: leave `detector_format` and `conf` out")
        if self.detections and self.classes is not None:
            raise InputError(
                "`classes` does nothing with `detections`: leave out what is not to be tracked there"
            )
        if self.detector == "none" and not self.detections:
            raise InputError("`detector` none leaves nothing to track: give `detections` FILE")
        if self.detections and self.reid == "none" and self.runtime != "auto":
            raise InputError(
                f"`runtime` {self.runtime}: no network is used here that could run on it; leave it out"
            )
        if self.embed not in EMBED:
            raise InputError(f"`embed` {self.embed}: {nearest(self.embed, EMBED)}")
        if self.embed_budget is not None and self.embed != "ambiguous":
            raise InputError("`embed_budget` goes with `embed` ambiguous")
        if self.embed == "ambiguous" and self.reid == "none":
            raise InputError("`embed` ambiguous does nothing with `reid` none; leave one of them out")
        if self.length is not None and self.length < 1:
            raise InputError(f"`length` must be at least 1 frame, got {self.length}")
        if self.first and (
            {"video", "sheet", "heat"} & set(self.save) or self.show or self.memory is not None
        ):
            raise InputError(
                "`first` goes with tables only: leave `save` video, sheet and heat, `show` and `memory` out"
            )
        if not 0 <= self.first < (self.length or self.first + 1):
            raise InputError(f"`first` must be at least 0 and below `length`, got {self.first}")
        self._check_pictures()
        if self.threads is not None and self.threads < 1:
            raise InputError(f"`threads` must be at least 1, got {self.threads}")
        for name in ("memory_camera", "memory_start", "memory_engine", "memory_config", "homography"):
            if self.memory is None and getattr(self, name) is not None:
                raise InputError(f"`{name}` does nothing without `memory`")
        if self.memory_engine is not None:
            check_engine(self.memory_engine)
        if self.memory is not None and self.reid == "none" and not (self.detections or "").endswith(".npz"):
            raise InputError(
                "`memory` knows people by their looks: it needs `reid`, or `detections` FILE.npz with vectors"
            )
        if self.memory is not None and self.reid_norm != "stored":
            raise InputError(
                f"`memory` compares vectors over videos, `reid_norm` {self.reid_norm} makes each its own"
            )
        if self.offline is None and self.offline_overrides:
            raise InputError(f"offline.{next(iter(self.offline_overrides))} does nothing without `offline`")

    def _check_pictures(self) -> None:
        """What says how pictures look does so where there are some, and says what there is."""
        from retrace.tracker.outputs.style import Style

        if self.label is not None:
            object.__setattr__(self, "label", tuple(self.label))
        Style(self.label or (), blur=self.blur)
        made = set(self.save)
        drawn = self.show or made & {"video", "sheet"}
        if self.label is not None and not drawn:
            raise InputError("`label` does nothing without `save` video or sheet, or `show`")
        if self.blur is not None and not (drawn or made & {"crops", "heat"}):
            raise InputError("`blur` does nothing without `save` video, sheet, crops or heat, or `show`")
        if self.blur == "people" and "crops" in made:
            raise InputError("`blur` people leaves nothing to see in crops: leave them out of `save`")
        if self.codec != "h264" and "video" not in made:
            raise InputError(f"`codec` {self.codec} does nothing without `save` video")
        if self.crops is not None and self.crops < 1:
            raise InputError(f"`crops` must be at least 1 picture of each person, got {self.crops}")
        if self.crops is not None and "crops" not in made:
            raise InputError("`crops` does nothing without `save` crops")

    @property
    def shown(self) -> str:
        """The source as it may be shown and written: a URL without what may be secret.

        Example:
            >>> from retrace import Job
            >>> Job("rtsp://me:secret@10.0.0.7/door", out="runs/door").shown
            'rtsp://10.0.0.7/door'
        """
        return redact(self.source) if is_url(self.source) else self.source

    def offline_config(self) -> OfflineConfig | None:
        """The passes over the whole result at its end, resolved; None: there are none.

        Raises:
            InputError: no such file or pass, an unknown key, a value out of range.

        Example:
            >>> from retrace import Job
            >>> job = Job("video.mp4", "runs/mine", offline="interpolate", offline_overrides={"interpolate.gap": 2.0})
            >>> job.offline_config().passes, job.offline_config().interpolate.gap  # s
            (('interpolate',), 2.0)
        """
        return None if self.offline is None else read_passes(self.offline, self.offline_overrides)

    def tracker_config(self) -> TrackerConfig:
        """The preset with its overrides, resolved. Gaps that are filled afterwards are not guessed at before:
        what is seen on both sides of a gap beats a guess within it.

        Raises:
            InputError: no such preset, an unknown key, a value out of range.
        """
        passes, overrides = self.offline_config(), dict(self.overrides)
        asked = any(key.split(".")[0] == "hidden" for key in overrides)
        if passes is not None and "interpolate" in passes.passes and not asked:
            overrides["hidden"] = None
        return load_preset(self.tracker, TrackerConfig, "tracker", overrides)

    def folder(self) -> Path:
        """The output folder, made and seen to be writable.

        Raises:
            InputError: it cannot be made or written, or its run.json is a folder.

        Example:
            >>> from retrace import Job
            >>> Job("video.mp4", out="runs/tuesday").folder().is_dir()
            True
        """
        folder = Path(self.out)
        with writing(f"`out` {folder}", what="folder"):
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / "run.json").is_dir():
                raise InputError(f"`out` {folder}: its run.json is a folder; name another folder")
            probe = folder / ".write-probe"
            probe.touch()
            probe.unlink(missing_ok=True)  # missing: another run that begins here now has removed it
        return folder
