"""A job opened: its source, detector, camera and tracker, all checked before the first frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.errors import expect
from retrace.configs.files import cores, file_hash
from retrace.tracker import Tracker
from retrace.tracker.ahead import Ahead
from retrace.tracker.analytics import Regions, read_regions
from retrace.tracker.camera.estimators import METHODS
from retrace.tracker.camera.warps import Camera, EstimatedCamera, FileCamera, read_warps
from retrace.tracker.detection.boxes_file import Detector, open_detections
from retrace.tracker.offline.files import LOOKS
from retrace.tracker.offline.passes import OfflineConfig
from retrace.tracker.outputs.style import Style
from retrace.tracker.pipeline import Detect, Embed
from retrace.tracker.run.checkpoint import checkpoint_of, kept_at
from retrace.tracker.run.job import Job
from retrace.tracker.run.storage import mirror_of
from retrace.tracker.sources import Source, open_source
from retrace.tracker.tracks.sparing import Sparing

BATCH = 4  # frames that are looked at together: their crops fill the embedder's batches
LARGE = 2**22  # pixels of a picture that is looked at alone: memory
MOST_THREADS = 8  # that look ahead in one process; further cores are for further processes
TRACKS = ".tracks.txt"  # NAME.txt as it was before it got the ids of a memory's people
ENDINGS = {
    "mot": ".txt",
    "csv": ".csv",
    "jsonl": ".jsonl",
    "coco": ".coco.json",
    "cvat": ".cvat.xml",
    "persons": ".persons.csv",
    "people": ".people.csv",
    "lines": ".lines.csv",  # this and the next where regions are given
    "zones": ".zones.csv",
    "crops": ".crops",
    "heat": ".heat.png",
    "detections": ".detections.npz",
    "video": ".mp4",
    "sheet": ".png",
    "camera": ".gmc.txt",
    "ledger": ".ledger.jsonl",
    "looks": LOOKS,
}
VIDEO_ENDINGS = {"vp9": ".webm"}  # what does not go into an mp4
BLIND = {  # what a report says where nobody looked, by the job's `reid`
    "none": "",
    "auto": 'appearance was not looked at: `reid` auto needs an open embedder, embed=Embedder.from_weights("auto")',
}


@dataclass(frozen=True, slots=True)
class Appearance:
    """What makes appearance vectors, and how it is told of in a manifest.

    Example:
        >>> from retrace.tracker.run import Appearance, Job, open_job
        >>> job = Job("video.mp4", out="runs/example", detections="boxes.txt")
        >>> opened = open_job(job, embed=Appearance(None, "off, as asked"))
        >>> opened.appearance.description
        'off, as asked'
    """

    embed: Embed | None
    description: str  # one line: which weights, or why none
    hashes: Mapping[str, str] = field(default_factory=dict)  # sha256 of its files
    # the embedder, where it goes by what it has seen of the video: reset, state_dict ...
    adaptive: Any = None
    # asked at the end: a line where the vectors cannot be right
    alarm: Callable[[], str | None] | None = None
    blind: str = ""  # told at the end where no box came with a vector

    @property
    def weights(self) -> str:
        """File name and the first half of its sha256, as memories and results call weights; empty: not known.

        Example:
            >>> from retrace import Embedder
            >>> from retrace.tracker.run import Appearance
            >>> embedder = Embedder.from_weights("osnet.onnx", device="cpu")
            >>> name, sha256 = Appearance(embedder, embedder.description, embedder.hashes).weights.split()
            >>> name, len(sha256)
            ('osnet.onnx', 32)
        """
        return " ".join(name_of_weights(*one) for one in self.hashes.items())


def name_of_weights(file: str | Path, sha256: str) -> str:
    """What memories and results call weights: file name and the first half of its sha256."""
    return f"{Path(file).name} {sha256[:32]}"


@dataclass(slots=True)
class OpenedJob:
    """All that a job needs while it runs.

    Example:
        >>> from retrace.tracker.run import Job, open_job
        >>> opened = open_job(Job("MOT17-02-FRCNN", out="runs/example", reid="none", save=("csv",)))
        >>> opened.path("csv").name, opened.camera_note  # a sequence without pictures
        ('MOT17-02-FRCNN.csv', 'none')
        >>> opened.detector.description
        'detections of MOT17-02-FRCNN/det/det.txt: 60 boxes in 30 frames'
        >>> [path.name for path in opened.results()]
        ['MOT17-02-FRCNN.txt', 'MOT17-02-FRCNN.csv']
    """

    job: Job
    name: str  # of the result's files
    source: Source
    detector: Detector
    camera: Camera | None
    tracker: Tracker
    appearance: Appearance
    offline: OfflineConfig | None
    out: Path
    hashes: dict[str, str]  # sha256 of the weights and files that the run reads
    regions: Regions = field(default_factory=Regions)

    def path(self, kind: str) -> Path:
        """Where a kind of ``SAVES`` goes, lines or zones; with offline passes NAME.txt is made from NAME.online.txt at
        the end.

        Raises:
            KeyError: there is no such kind.
        """
        ending = ".online.txt" if kind == "mot" and self.offline else ENDINGS[kind]
        if kind == "video":
            ending = VIDEO_ENDINGS.get(self.job.codec, ending)
        return self.out / f"{self.name}{ending}"

    @property
    def renamed(self) -> list[str]:
        """Kinds of `SAVES` that are told of a memory's people when the source has ended."""
        kinds = ("jsonl", "ledger") if self.offline else ("mot", "jsonl", "ledger")
        return [kind for kind in kinds if kind in self.job.save] if self.job.memory is not None else []

    def results(self) -> list[Path]:
        """Every file that the run leaves when it is whole."""
        counted = ["lines"] * bool(self.regions.lines) + ["zones"] * bool(self.regions.zones)
        kept = (self.path(kind) for kind in (*self.job.save, *counted))
        return [*dict.fromkeys((self.out / f"{self.name}.txt", *kept))]

    @property
    def class_names(self) -> dict[int, str]:
        """class_id -> name, as far as it is known.

        Example:
            >>> from retrace.tracker.run import Job, open_job
            >>> open_job(Job("video.mp4", out="runs/example", detector="hog", reid="none")).class_names
            {0: 'person'}
        """
        return {**self.detector.names, **self.detector.labels}

    @property
    def style(self) -> Style:
        """What its pictures look like."""
        job, several = self.job, bool(self.detector.labels)
        labels = job.label if job.label is not None else ("id", "class") if several else ("id",)
        return Style(labels, self.class_names, self.regions, job.blur)

    @property
    def camera_note(self) -> str:
        """How the camera's motion is known, in words."""
        return self.camera.description if self.camera else "none"

    @property
    def post_processing(self) -> list[dict[str, Any]]:
        """The offline passes, for a manifest."""
        return self.offline.describe() if self.offline else []

    @property
    def ahead(self) -> Ahead:
        """How far frames are looked at ahead: not where they are live, nor where looking goes by the frames before."""
        embed = self.appearance.embed
        callers = min(self.detector.callers, float("inf") if embed is None else getattr(embed, "callers", 0))
        looks = embed is not None or (self.job.detections is None and self.source.has_images)
        if self.source.live or not looks or callers < 1:
            return Ahead()
        height, width = self.source.size or (0, 0)
        threads = int(min(callers, self.job.threads or cores(), MOST_THREADS))
        return Ahead(threads, BATCH if height * width <= LARGE else 1)

    @property
    def may_stop_looking(self) -> bool:
        """Whether to go on blind where looks mislead: not where asked not to, nor where a memory wants them."""
        return self.job.embed != "always" and self.job.memory is None

    def sparing(self) -> Sparing | None:
        """What chooses the boxes that are embedded; None: all are."""
        return Sparing(self.job.embed_budget) if self.job.embed == "ambiguous" else None

    def fingerprint(self) -> dict[str, object]:
        """All that the result depends on; a checkpoint of another fingerprint is refused."""
        source = self.source
        about = [self.name, source.length, source.fps, source.size, *_identity(self.job)]
        return {
            "source": [
                *about,
                *([self.job.length] if self.job.length else []),
                *([self.job.first] if self.job.first else []),
            ],
            "tracker": self.tracker.config.model_dump(mode="json"),
            "detector": self.detector.description,
            "appearance": self.appearance.description,
            "embed": [self.job.embed, self.job.embed_budget],
            "camera": self.camera_note,
            "files": self.hashes,
            "save": sorted(self.job.save),
            "post_processing": self.post_processing,
            "pictures": [self.job.label, self.job.blur, self.job.codec, self.job.crops],
        }

    @property
    def shared(self) -> dict[str, Any]:
        """What a manifest says of a run: the same for jobs that differ by their source only."""
        return {
            "seed": None,  # nothing in a run is random
            "online": self.offline is None,
            "post_processing": self.post_processing,
            "tracker": self.tracker.config.model_dump(mode="json"),
            "appearance": self.appearance.description,
        }

    @property
    def looks(self) -> str:
        """The weights that the vectors are of, as a memory calls them; empty: nobody looks, or nobody says."""
        return self.detector.looks or self.appearance.weights

    def tracks_hash(self) -> str:
        """What a run must have been made with to have the same tracks, whatever it writes of them."""
        about = {
            name: value for name, value in self.fingerprint().items() if name not in ("save", "pictures")
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def settings_hash(self) -> str:
        """What a finished source of a stopped run must have been made with, to be left alone."""
        return hashlib.sha256(json.dumps(self.fingerprint(), sort_keys=True).encode()).hexdigest()


def open_job(
    job: Job,
    *,
    source: Source | None = None,
    detect: Detect | None = None,
    embed: Embed | Appearance | None = None,
) -> OpenedJob:
    """Open and check everything; nothing but the empty output folder is there when this raises.

    Args:
        job: what is to be done.
        source: the job's, where it is open already.
        detect: what finds the boxes, where that is open already; the job names no other then.
        embed: what makes appearance vectors: this library opens no network, the caller does. None: nobody looks, and
            `reid` "auto" then ends in a note.

    Raises:
        InputError: something that the job names is missing, broken or does not fit, or nobody would carry it out.

    Example:
        >>> from retrace.tracker.run import Job, open_job
        >>> opened = open_job(Job("video.mp4", out="runs/example", detections="boxes.txt", reid="none"))
        >>> opened.path("mot").name
        'video.txt'
    """
    expect("job", job, Job, "a Job")
    if source is not None:
        expect("source", source, Source, "what open_source returns")
    if detect is not None:
        expect("detect", detect, Callable, "a function")  # type: ignore[arg-type]
    if embed is not None:
        expect("embed", embed, (Callable, Appearance), "a function")  # type: ignore[arg-type]
    config, offline = job.tracker_config(), job.offline_config()
    source = source or open_job_source(job)
    if source.live and job.first:
        raise InputError(f"{job.shown}: is live and begins now; leave `first` out")
    if source.live and job.resume:
        _as_before(job, source)
    asked = [kind for kind in ("video", "sheet", "crops") if kind in job.save]
    if asked and not source.has_images:
        raise InputError(f"{job.shown}: has no images to draw on; leave {' and '.join(asked)} out of `save`")
    if job.show and not source.has_images:
        raise InputError(f"{job.shown}: has no images to see; leave `show` out")
    hashes: dict[str, str] = {}
    detector = _find_detector(job, source, detect, hashes)
    camera = open_camera(job.camera, source, hashes)
    if "camera" in job.save and camera is None:
        raise InputError(
            f"{job.shown}: no camera motion to save; leave camera out of `save`, or give `camera` METHOD"
        )
    tracker = Tracker(config, source.fps, ledger="ledger" in job.save)
    appearance = _appearance(job, embed, tracker, detector)
    if detector.looks and appearance.weights and detector.looks != appearance.weights:
        raise InputError(
            f"{job.detections}: its vectors are of {detector.looks.split()[0]}, `reid` is another network, "
            f"{appearance.weights.split()[0]}: name the one that made them, or detect again"
        )
    if detector.looks and job.embed == "ambiguous":
        raise InputError(f"`embed` ambiguous saves nothing: the boxes of {job.detections} come with vectors")
    regions = _regions(job, source, hashes)
    opened = OpenedJob(
        job=job,
        name=job.name or source.name,
        source=source,
        detector=detector,
        camera=camera,
        tracker=tracker,
        appearance=appearance,
        offline=offline,
        out=Path(job.out),
        hashes=hashes | dict(appearance.hashes),
        regions=regions,
    )
    if job.show:
        from retrace.tracker.outputs.window import refuse_headless  # OpenCV

        refuse_headless()
    if "video" in job.save:
        from retrace.tracker.outputs.pictures import find_codec  # PyAV

        find_codec(job.codec)
    _refuse_to_overwrite(opened)
    job.folder()
    return opened


def _as_before(job: Job, source: Source) -> None:
    """A live source that is gone on with has the rate that it had: measured anew it would be a little another one."""
    drawn = [kind for kind in ("video", "sheet", "heat") if kind in job.save]
    if drawn:
        raise InputError(
            f"{job.shown}: is live, and what was drawn of it cannot be drawn again; leave {' and '.join(drawn)} out of "
            "`save`, or start without `resume`"
        )
    out, name = Path(job.out), job.name or source.name
    mirror = mirror_of(job.storage, out, name)
    if mirror:
        mirror.fetch()  # on another machine the checkpoint is not here yet
    kept = kept_at(checkpoint_of(out, name))
    source.fps = kept[1] if kept else source.fps


def _refuse_to_overwrite(opened: OpenedJob) -> None:
    """What is read must not lie where the result goes."""
    job = opened.job
    if job.memory is not None:
        written = [*opened.results(), *(opened.out / name for name in ("run.json", f"{opened.name}{TRACKS}"))]
        if Path(job.memory).resolve() in map(Path.resolve, written):
            raise InputError(f"`memory` {job.memory}: is where a result goes; name another file")
    inputs = {job.source: "the source", **dict.fromkeys(opened.hashes, "a file that the run reads")}
    for path in filter(Path.exists, opened.results()):
        for given, what in inputs.items():
            if Path(given).exists() and path.samefile(given):
                raise InputError(f"`out` {job.out}: {path.name} there is {what}; name another folder")


def open_job_source(job: Job) -> Source:
    """The job's source.

    Raises:
        InputError: there is nothing, or nothing that can be read.

    Example:
        >>> from retrace.tracker.run import Job, open_job_source
        >>> open_job_source(Job("video.mp4", out="runs/example")).fps  # frames/s
        10.0
    """
    # boxes of a file are in the pixels that are stored, whatever their shape
    return open_source(job.source, fps=job.fps, square_pixels=job.detections is None)


def needs_detector(job: Job, source: Source) -> bool:
    """Whether boxes are looked for in pictures; else they come from a file: the job's, or the sequence's own.

    Example:
        >>> from retrace.tracker.run import Job, needs_detector, open_job_source
        >>> job = Job("video.mp4", out="runs/example")
        >>> needs_detector(job, open_job_source(job))
        True
    """
    return job.detections is None and source.has_images


def open_job_detector(job: Job, threads: int | None = None) -> Detector:
    """The detector that the job names.

    Args:
        job: names it.
        threads: of one run of its network; None: all there are.

    Raises:
        InputError: as :func:`open_detector`.

    Example:
        >>> from retrace.tracker.run import Job, open_job_detector
        >>> open_job_detector(Job("video.mp4", out="runs/example", detector="hog")).description
        'HOG people detector of OpenCV (as asked)'
    """
    from retrace.tracker.detection.open import open_detector

    return open_detector(
        job.detector,
        device=job.device,
        classes=job.classes,
        conf=job.conf,
        detector_format=job.detector_format,
        threads=threads or job.threads,
        runtime=job.runtime,
    )


def _find_detector(job: Job, source: Source, detect: Detect | None, hashes: dict[str, str]) -> Detector:
    """A file of boxes (the job's, or the sequence's own where there is nothing to look at), else a detector."""
    if detect is not None:
        if job.detections is not None:
            raise InputError("`detections` replaces the detector: leave `detect` out")
        told = [name for name in ("detector", "classes", "conf", "detector_format") if _is_told(job, name)]
        if told and not isinstance(detect, Detector):
            raise InputError(f"`{told[0]}`: `detect` finds the boxes; leave `{told[0]}` out")
    elif job.detections is not None:
        return _boxes_of(find_detections(job.detections, source), hashes)
    elif not source.has_images:
        own = source.folder / "det" / "det.txt" if source.folder else None
        if own and own.is_file():
            return _boxes_of(own, hashes)
        raise InputError(f"{job.shown}: has neither images nor det/det.txt; give `detections` FILE")
    else:
        detect = open_job_detector(job)
    if isinstance(detect, Detector) and detect.weights:
        hashes[str(detect.weights)] = file_hash(detect.weights)
    return detect if isinstance(detect, Detector) else Detector(_named(detect), detect)


def _is_told(job: Job, name: str) -> bool:
    """Whether the job says something else than what a job says by itself."""
    return bool(getattr(job, name) != Job.__dataclass_fields__[name].default)


def _named(function: object) -> str:
    name = getattr(function, "__qualname__", type(function).__name__)
    return str(getattr(function, "description", name))


def find_detections(given: str, source: Source) -> Path:
    """The file inside the sequence folder, or else as named."""
    if source.folder and not Path(given).is_absolute() and (source.folder / given).is_file():
        return source.folder / given
    return Path(given)


def _boxes_of(path: Path, hashes: dict[str, str]) -> Detector:
    detector = open_detections(path)
    hashes[str(path)] = file_hash(path)
    return detector


def open_camera(given: str, source: Source, hashes: dict[str, str]) -> Camera | None:
    """Warps from a file, as named or in the sequence folder, or estimated from the pictures. "auto": the
    sequence's gmc.txt where it is, else an estimate where there are pictures.

    Raises:
        InputError: no such file or method, no pictures to estimate from, warps that do not fit the source.
    """
    own = source.folder / ("gmc.txt" if given == "auto" else given) if source.folder else None
    if given == "none":
        return None
    if given in METHODS or (given == "auto" and not (own and own.is_file())):
        if not source.has_images and given != "auto":
            raise InputError(
                f"`camera` {given}: {source.name} has no images to estimate from; give a file of warps"
            )
        return EstimatedCamera(given if given in METHODS else "sparse-flow") if source.has_images else None
    path = own if own and own.is_file() else Path(given)
    if not path.is_file():
        known = ", ".join(METHODS)
        raise InputError(f"`camera` {given}: no such file; expected auto, none, {known} or a file of warps")
    warps = read_warps(path)
    missing = set(range(1, source.length or 0)) - warps.keys()
    if missing:
        raise InputError(
            f"{path}: no warp for frame {min(missing)}; {source.name} has {source.length} frames"
        )
    hashes[str(path)] = file_hash(path)
    return FileCamera(warps, f"warps of {path.name}")


def _regions(job: Job, source: Source, hashes: dict[str, str]) -> Regions:
    """The lines and zones that the job names, which lie in the picture."""
    if job.regions is None:
        return Regions()
    regions = read_regions(job.regions)
    if source.size is not None:
        regions.check(source.size, job.regions)
    hashes[job.regions] = file_hash(job.regions)
    return regions


def _appearance(
    job: Job, embed: Embed | Appearance | None, tracker: Tracker, detector: Detector
) -> Appearance:
    """Who looks. An `Appearance` was made by somebody who carried out what the job says of looks; else nobody did."""
    if isinstance(embed, Appearance):
        return embed
    if embed is None and job.reid not in ("auto", "none"):
        raise InputError(f"`reid` {job.reid}: names weights, so an open embedder must come with the job")
    if tracker.appearance_from > 1:
        found = Appearance(None, f"off: tracker {job.tracker!r} does not use it")
    elif embed is None:
        off = "off, as asked" if job.reid == "none" else "off: nothing to look with was handed in"
        found = Appearance(None, off, blind=BLIND[job.reid])
    else:
        # what it has seen of the video so far; empty where it does not go by that
        remembers: Mapping[str, Any] = getattr(embed, "state_dict", dict)()
        hashes: Mapping[str, str] = getattr(embed, "hashes", {})
        adaptive = embed if remembers else None
        found = Appearance(embed, _named(embed), hashes, adaptive, lambda: getattr(embed, "alarm", None))
    _refuse_undone(job, found, detector)
    return found


def _refuse_undone(job: Job, appearance: Appearance, detector: Detector) -> None:
    """What a job says of looks, and nobody here would do."""
    asked = {
        "reid_norm": job.reid_norm != "stored",
        "reid_input": job.reid_input,
        "reid_uncalibrated": job.reid_uncalibrated,
    }
    for name in asked:
        if asked[name]:
            raise InputError(
                f"`{name}` {getattr(job, name)}: says how weights are opened, which the caller does: leave it out, and "
                f"open them with `{name.removeprefix('reid_')}`"
            )
    if job.embed != "all" and appearance.embed is None:
        raise InputError(f"`embed` {job.embed}: nobody looks at appearance here; leave it out")
    if job.memory is not None and not (detector.looks or appearance.weights):
        why = "does not say which it has" if appearance.embed else appearance.description
        raise InputError(
            f"`memory` needs vectors of known weights, and appearance {why}: hand in an Embedder, or give `detections` "
            "FILE.npz with embedding and weights"
        )


def _identity(job: Job) -> list[object]:
    """What tells one file from another of the same name: size and time of change."""
    file = Path(job.source)
    return (
        [str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] if file.is_file() else [job.shown]
    )
