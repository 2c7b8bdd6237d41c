"""What a run of tools/track.py needs, opened and checked before the first frame."""

from __future__ import annotations

import argparse
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.configs.loader import parse_assignments
from retrace.tools.offline import read_config
from retrace.tools.runs.manifest import file_hash
from retrace.tools.track import SAVES
from retrace.tracker import Tracker
from retrace.tracker.camera.estimators import METHODS
from retrace.tracker.camera.warps import Camera, EstimatedCamera, FileCamera, read_warps
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector, open_detections
from retrace.tracker.offline.passes import OfflineConfig
from retrace.tracker.pipeline import Embed
from retrace.tracker.sources import ReadAhead, Source, open_source

if TYPE_CHECKING:
    from retrace.reid import Embedder


@dataclass(slots=True)
class Plan:
    """Everything a run needs, opened and checked before the first frame."""

    sources: list[Source]
    detectors: list[Detector]  # one for each source; the same object where they share one
    cameras: list[Camera | None]
    trackers: list[Tracker]
    embed: Embed | None
    appearance: str  # one line: which weights, or why none
    save: tuple[str, ...]
    out: Path
    resume: bool
    quiet: bool
    arguments: list[str]
    paths: list[str]  # of the sources, as given
    hashes: dict[str, str]  # sha256 of the weights and files a run reads
    offline: OfflineConfig | None = None  # what is done to a result when it is whole
    adaptive: Embedder | None = None  # one that goes by what it has seen of the video
    stop: threading.Event = field(default_factory=threading.Event)
    live_frames: list[ReadAhead] = field(default_factory=list)  # of running live sources; closing ends them

    def camera_note(self, i: int) -> str:
        """How source i's camera motion is known, in words."""
        camera = self.cameras[i]
        return camera.description if camera else "none"

    @property
    def post_processing(self) -> list[dict[str, Any]]:
        """The offline passes, for a manifest."""
        return self.offline.describe() if self.offline else []

    def begin_live(self, frames: ReadAhead) -> None:
        self.live_frames.append(frames)
        if self.stop.is_set():  # the signal came before we were on the list
            frames.close()

    def end_live(self) -> None:
        """End every live source: one that waits for the network would not notice a flag."""
        self.stop.set()
        for frames in self.live_frames:
            frames.close()

    def fingerprint(self, i: int) -> dict[str, object]:
        """All that source i's result depends on; a checkpoint of another fingerprint is refused."""
        source = self.sources[i]
        return {
            "source": [source.name, source.length, source.fps, source.size, *_identity(self.paths[i])],
            "tracker": self.trackers[i].config.model_dump(mode="json"),
            "detector": self.detectors[i].description,
            "appearance": self.appearance,
            "camera": self.camera_note(i),
            "files": self.hashes,
            "save": sorted(self.save),
            "post_processing": self.post_processing,
        }


def _identity(path: str) -> list[object]:
    """What tells one file from another of the same name: size and time of change."""
    file = Path(path)
    return [str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] if file.is_file() else [path]


def make_plan(args: argparse.Namespace, argv: list[str]) -> Plan:
    """Open and check everything; nothing has been written when this raises InputError."""
    save = tuple(dict.fromkeys(["mot", *filter(None, args.save.split(","))]))
    for kind in save:
        if kind not in SAVES:
            raise InputError(f"--save {kind}: {nearest(kind, SAVES)}")
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", args.device) is None:
        raise InputError(f"--device {args.device}: expected auto, cpu, cuda or cuda:N")
    overrides = parse_assignments(args.set)
    offline = open_offline(args.offline, overrides)
    asked = any(key.split(".")[0] == "hidden" for key in overrides)
    if offline is not None and "interpolate" in offline.passes and not asked:
        overrides["hidden"] = None  # what is seen on both sides of a gap beats a guess within it
    trial = Tracker.from_config(args.tracker, **overrides)  # a typing mistake shows before anything is opened
    sources = [open_source(spec, **({} if args.fps is None else {"fps": args.fps})) for spec in args.source]
    if args.reid_norm == "video" and sum(source.live for source in sources) > 1:
        raise InputError("--reid-norm video: live sources would share its statistics; run each alone")
    name_apart(sources)
    hashes: dict[str, str] = {}
    detectors = open_detectors(args, sources, hashes)
    for source, spec in zip(sources, args.source, strict=True):
        if {"video", "sheet"} & set(save) and not source.has_images:
            raise InputError(f"{spec}: has no images to draw on; leave video and sheet out of --save")
    cameras = [open_camera(args.camera, source, hashes) for source in sources]
    for spec, camera in zip(args.source, cameras, strict=True):
        if "camera" in save and camera is None:
            raise InputError(
                f"{spec}: no camera motion to save; leave camera out of --save, or give --camera METHOD"
            )
    embed, appearance = open_embedder(args, trial, hashes)
    out = writable_folder(Path(args.out))
    trackers = [Tracker(trial.config, source.fps, ledger="ledger" in save) for source in sources]
    return Plan(
        sources,
        detectors,
        cameras,
        trackers,
        embed,
        appearance,
        save,
        out,
        args.resume,
        args.quiet,
        argv,
        args.source,
        hashes,
        offline,
        embed if args.reid_norm == "video" else None,
    )


def open_offline(given: str | None, overrides: dict[str, Any]) -> OfflineConfig | None:
    """What --offline asks for; takes its own keys ("offline.smooth.noise") out of ``overrides``."""
    own = {key: overrides.pop(key) for key in [*overrides] if key.startswith("offline.")}
    if given is None:
        if own:
            raise InputError(f"--set {next(iter(own))} does nothing without --offline")
        return None
    return read_config(given, {key.removeprefix("offline."): value for key, value in own.items()})


def writable_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "run.json").is_dir():
            raise InputError(f"--out {folder}: its run.json is a folder; name another folder")
        probe = folder / ".write-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"--out {folder}: cannot be written ({error.strerror}); name another folder"
        ) from None
    return folder


def name_apart(sources: list[Source]) -> None:
    """Sources of the same name would overwrite each other: the second becomes NAME-2. Case does not tell apart."""
    taken: set[str] = set()
    for source in sources:
        name, number = source.name, 1
        while source.name.lower() in taken:
            number += 1
            source.name = f"{name}-{number}"
        taken.add(source.name.lower())


def open_detectors(args: argparse.Namespace, sources: list[Source], hashes: dict[str, str]) -> list[Detector]:
    """A file of boxes for each source (--detections, or a sequence's own where there is nothing to look at),
    else one detector for all."""
    if args.detections:
        if args.detector not in ("auto", "none"):
            raise InputError("--detections replaces the detector: leave --detector out")
        return [_boxes_of(find_detections(args.detections, one, len(sources)), hashes) for one in sources]
    if args.detector == "none":
        raise InputError("--detector none leaves nothing to track: give --detections FILE")
    found: list[Detector] = []
    shared: Detector | None = None
    for source, spec in zip(sources, args.source, strict=True):
        own = source.folder / "det" / "det.txt" if source.folder else None
        if source.has_images:
            if shared is None:
                shared = _open_shared_detector(args, hashes, many=len(sources) > 1)
            found.append(shared)
        elif own and own.is_file():
            found.append(_boxes_of(own, hashes))
        else:
            raise InputError(f"{spec}: has neither images nor det/det.txt; give --detections FILE")
    return found


def _open_shared_detector(args: argparse.Namespace, hashes: dict[str, str], many: bool) -> Detector:
    from retrace.tracker.detection.open import open_detector

    detector = open_detector(args.detector, device=args.device, classes=args.classes)
    if Path(args.detector).is_file():
        hashes[args.detector] = file_hash(args.detector)
    if not many:
        return detector
    lock = threading.Lock()  # live sources run at the same time; a detector is one machine

    def one_at_a_time(frame: Frame) -> Detections:
        with lock:
            return detector.find(frame)

    return Detector(detector.description, one_at_a_time, detector.names)


def find_detections(given: str, source: Source, sources: int) -> Path:
    """The file inside the sequence folder, or else as named, which several sources cannot share."""
    if source.folder and not Path(given).is_absolute() and (source.folder / given).is_file():
        return source.folder / given
    if sources > 1:
        raise InputError(
            f"--detections {given}: not there for {source.name}; "
            "with several sources it is looked for in each one's folder"
        )
    return Path(given)


def _boxes_of(path: Path, hashes: dict[str, str]) -> Detector:
    detector = open_detections(path)
    hashes[str(path)] = file_hash(path)
    return detector


def open_camera(given: str, source: Source, hashes: dict[str, str]) -> Camera | None:
    """Warps from a file, as named or in the sequence folder, or estimated from the pictures. "auto": the
    sequence's gmc.txt where it is, else an estimate where there are pictures."""
    own = source.folder / ("gmc.txt" if given == "auto" else given) if source.folder else None
    if given == "none":
        return None
    if given in METHODS or (given == "auto" and not (own and own.is_file())):
        if not source.has_images and given != "auto":
            raise InputError(
                f"--camera {given}: {source.name} has no images to estimate from; give a file of warps"
            )
        return EstimatedCamera(given if given in METHODS else "sparse-flow") if source.has_images else None
    path = own if own and own.is_file() else Path(given)
    if not path.is_file():
        known = ", ".join(METHODS)
        raise InputError(f"--camera {given}: no such file; expected auto, none, {known} or a file of warps")
    warps = read_warps(path)
    missing = set(range(1, source.length or 0)) - warps.keys()
    if missing:
        raise InputError(
            f"{path}: no warp for frame {min(missing)}; {source.name} has {source.length} frames"
        )
    hashes[str(path)] = file_hash(path)
    return FileCamera(warps, f"warps of {path.name}")


def open_embedder(
    args: argparse.Namespace, tracker: Tracker, hashes: dict[str, str]
) -> tuple[Embedder | None, str]:
    """The embedder, and one line on it; None where the tracker or the user has no use for one."""
    from retrace.reid.embedder import Embedder, find_weights, shipped_weights

    if args.reid_norm != "stored" and (tracker.appearance_from > 1 or args.reid == "none"):
        raise InputError(f"--reid-norm {args.reid_norm}: nobody looks at appearance here; leave it out")
    if tracker.appearance_from > 1:
        if args.reid not in ("auto", "none"):
            raise InputError(
                f"--reid {args.reid}: tracker {args.tracker!r} does not compare appearance; use default"
            )
        return None, f"off: tracker {args.tracker!r} does not use it"
    if args.reid == "none":
        return None, "off, as asked"
    if args.reid == "auto" and shipped_weights() is None:
        return None, "off: no weights are shipped yet; --reid FILE (.onnx or torchreid .pth) turns it on"
    weights = str(find_weights(args.reid, args.reid_norm))
    embedder = Embedder.from_weights(weights, device=args.device, norm=args.reid_norm)
    hashes[weights] = file_hash(weights)
    return embedder, embedder.description
