"""A network for one's own cameras: tracklets of unlabelled video become identities, the given weights learn from them.

Nothing leaves the machine: videos are tracked, confident tracklets cut out, those of one person put together
(`tools.runs.identities`), the earlier part of each video trains, the later part measures, and the new weights stay only
if they are better there: at telling people apart, and in tracking. New are the mean of the weights before and after the
training: they know the place nearly as well, and forget less.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.configs.files import atomic_write, write_json, writing
from retrace.eval.mot import combine, evaluate
from retrace.eval.reassociation import auc
from retrace.reid.calibration import LabelledPairs, fingerprint, refit_pairs
from retrace.reid.calibration.card import KEY as CARD_KEY
from retrace.reid.config import TrainConfig
from retrace.reid.data.image_cache import image_cache_folder, open_sound_images
from retrace.reid.data.sets import ReidImages, ReidSet, read_reid_set
from retrace.reid.embedder import Embedder
from retrace.reid.weights.shipped import as_trained, locate
from retrace.tools.runs.identities import to_people
from retrace.tools.runs.models import Models
from retrace.tools.scoring.pay_report import LONGEST_GAP
from retrace.tracker.boxes import largest_overlap
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import as_ground_truth, read_ground_truth, read_results, read_sequence_info
from retrace.tracker.outputs.crop_choice import CropFilter
from retrace.tracker.outputs.crops import cut_crops
from retrace.tracker.run import Job
from retrace.tracker.sources import open_source
from retrace.tracker.sources.address import without_secrets

PRESET = "osnet_x0_25_adapt"
LEAST_PEOPLE = 4  # that a training takes
GAP = 3.0  # s between two looks at one person, after which a tracker has lost him: 30 frames of PETS09-S2L1's video
LEAST_PAIRS = 30  # pairs of one held-out person that a verdict takes
LEAST_JUDGES = 5  # held-out people, from which an interval means something
SAME_TRACKS = 0.99  # IDF1 of new tracks by the old ones from which nothing is gained
DRAWS = 2000  # of held-out people, for the interval of what was gained
CHUNK = 256
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrackletFilter:
    """Which tracklets are believed to be one person, and which of their boxes are shown whole."""

    seconds: float = 2.0  # long at least
    score: float = 0.6  # mean of its boxes
    overlap: float = 0.3  # IoU with another track's box up to which a box shows one person
    height: float = 48.0  # px
    every: float = 0.3  # s between two crops of a person


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of it.

    Attributes:
        weights: of the network to track with from now on: the new one, or the given one where it is not beaten.
        better: whether the new one is.
        looks: weights of the new network, where it surely tells people apart better; a memory or a search may have
            use for it where tracking has none.
        alike: IDF1 of the later part's tracks with the new weights by those with the old ones, 0..1; None where it was
            not tracked anew (looks not surely better, no ground truth).
        before, after: on held-out tracklets: AUC, rank-1 and mAP at half a tracklet's time, AUC of pairs ``gap``
            apart; with ground truth also IDF1 of the later part of all videos. "pairs", "gap_pairs" and
            "gap_people" say of how many; without "gap_auc" those of the gap were too few.
        gain: by figure, the 95 % interval of what was gained, paired, over held-out people.
        gap: s.
        tracklets, people, crops: that trained; whose tracklets are one person's, the network itself said.
    """

    weights: Path
    better: bool
    looks: Path | None
    alike: float | None
    before: Mapping[str, float]
    after: Mapping[str, float]
    gain: Mapping[str, tuple[float, float]]
    gap: float
    tracklets: int
    people: int
    crops: int


def adapt(
    videos: Sequence[str],
    out: str | Path,
    weights: str = "auto",
    *,
    detector: str = "auto",
    detections: str | None = None,
    truth: str | None = None,
    wish: TrackletFilter | None = None,
    cut: float = 0.5,
    gap: float = GAP,
    changes: Mapping[str, object] | None = None,
    device: str = "auto",
    say: Say = lambda line: None,
) -> Adapted:
    """Track, cut, train, compare.

    Args:
        videos: one a camera; what `open_source` takes, live ones apart.
        out: a new folder: tracks/, crops/, training/, later-before/ and later-after/ (tracks), adapted.json and, if
            people are surely told apart better, weights.safetensors.
        weights: to begin with, as .safetensors or by name; "auto": the shipped ones.
        detections: boxes instead of a detector; ``{name}`` in it is the video's name.
        truth: gt.txt of each video, named likewise: the new weights must then track its later part better, too.
        wish: which tracklets and boxes.
        cut: share of each video that trains; the rest measures.
        gap: s between two looks at one person, at which they are compared, too.
        changes: of the training's preset, as for `fit`.
        say: told a line a step.

    Raises:
        InputError: too few tracklets to train or to measure, or anything that cannot be read.
    """
    wish, out = wish or TrackletFilter(), Path(out)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"`out` {out}: is not empty; name another folder")
    begin = as_trained(locate(weights))
    if begin.suffix != ".safetensors":
        raise InputError(f"`weights` {weights}: a training begins with .safetensors weights of ours")
    if not 0 < cut < 1:
        raise InputError(f"`cut` {cut}: expected a share above 0 and below 1")
    if not 0 < gap <= LONGEST_GAP:
        raise InputError(f"`gap` {gap}: expected seconds above 0, up to {LONGEST_GAP:g}")
    names = [open_source(video).name for video in videos]
    if len({*names}) < len(names):
        raise InputError(f"two videos are called alike: {', '.join(names)}; rename one")
    for what, given in (("detections", detections), ("truth", truth)):
        if given is not None and len(names) > 1 and "{name}" not in given:
            raise InputError(f"`{what}` {given}: one file for {len(names)} videos; expected {{name}} in it")
    settings = _settings(begin, changes)
    _check_training(settings)
    true = {} if truth is None else {name: read_ground_truth(truth.replace("{name}", name)) for name in names}
    with _telling_what_stays(out):
        folders = [
            _tracked(video, out, str(begin), detector, detections, wish, device, say) for video in videos
        ]
        later = [int(cut * read_sequence_info(folder).length) for folder in folders]
        for (name, whole), first in zip(true.items(), later, strict=False):
            if not (whole.frame >= first).any():
                raise InputError(
                    f"`truth` of {name}: has no box from frame {first + 1} on, where the later part begins"
                )
        frames = {folder.name: video for folder, video in zip(folders, videos, strict=True)}
        fps = {folder.name: read_sequence_info(folder).fps for folder in folders}
        every = _cut(folders, frames, out / "crops", wish, cut, say)
        who = to_people(out / "crops", Embedder.from_weights(begin, device=device), fps)
        say(
            f"to learn from: {who.tracklets} tracklets of {who.people} people, {who.blurred} blurred crops left out"
        )
        data = read_reid_set(out / "crops", "csv", need=("train",))
        train = _of_several(data)
        new = _train(data, begin, out / "training", settings, device, say)
        steps = {name: every * max(1, round(gap * rate / every)) for name, rate in fps.items()}
        seen = _when_seen(out / "crops")
        before, after = (held_out(data, path, seen, steps, device) for path in (begin, new))
        gain = gained(before, after)
        surely = len(before.each["auc"]) >= LEAST_JUDGES and all(low > 0 for low, _ in gain.values())
        looks, alike, better = None, None, surely
        if surely:
            looks = out / "weights.safetensors"
            _calibrated(data, begin, new, looks, device, say)
        if surely or true:
            jobs = [
                Job(video, str(out), detector=detector, detections=_boxes_of(detections, name), device=device)
                for name, video in zip(names, videos, strict=True)
            ]
            alike, by_truth = _in_tracking(jobs, later, (begin, new), [*true.values()])
            if true:
                before.figures["IDF1"], after.figures["IDF1"] = by_truth
                better &= by_truth[1] > by_truth[0]
            else:
                better &= alike < SAME_TRACKS
        kept = looks if better and looks is not None else begin
        figures = before.figures, after.figures, gain, gap
        found = Adapted(kept, better, looks, alike, *figures, who.tracklets, who.people, len(train))
        write_json(
            out / "adapted.json",
            {
                **asdict(found),
                "weights": str(kept),
                "looks": None if looks is None else str(looks),
                "videos": without_secrets(videos),
            },
        )
        return found


@contextmanager
def _telling_what_stays(out: Path) -> Iterator[None]:
    """Tracking takes long, and tracks show why people were too few: a refusal leaves them, and says so."""
    try:
        yield
    except InputError as error:
        left = ", ".join(f"{path.name}/" for path in sorted(out.glob("*")))
        if not left:
            raise
        raise InputError(f"{error}; {left} stay in {out}: remove them, or name another folder") from None


def _tracked(
    video: str,
    out: Path,
    weights: str,
    detector: str,
    detections: str | None,
    wish: TrackletFilter,
    device: str,
    say: Say,
) -> Path:
    """A sequence folder of the video's confident tracklets."""
    source = open_source(video)
    if source.live:
        raise InputError(f"{source.name}: is live; record it first")
    boxes = _boxes_of(detections, source.name)
    job = Job(video, str(out / "tracks"), detector=detector, detections=boxes, reid=weights, device=device)
    report = Models().track(job)
    table = confident(read_results(report.files[0]), source.fps, wish)
    people = len({*table.id.tolist()})
    say(
        f"{source.name}: {report.tracks} tracks, {people} of them confident, {len(table):,} boxes shown whole"
    )
    folder = out / "tracks" / source.name
    height, width = source.size or (0, 0)
    write_sequence(folder, table, source.fps, report.frames, (height, width))
    return folder


def _boxes_of(detections: str | None, name: str) -> str | None:
    return None if detections is None else detections.replace("{name}", name)


def _in_tracking(
    jobs: Sequence[Job], first: Sequence[int], weights: tuple[Path, Path], truth: Sequence[MotTable]
) -> tuple[float, list[float]]:
    """IDF1 of the later part's tracks by the second weights, judged by those of the first; and of each of the two by
    the ground truth, none where there is none.

    Args:
        jobs, truth: one a video, whole.
        first: frame of each with which the later part begins.
    """
    before, after = (
        _later_tracks(jobs, first, one, when) for one, when in zip(weights, ("before", "after"), strict=True)
    )
    later = [whole.take(whole.frame >= begin) for whole, begin in zip(truth, first, strict=False)]
    by_truth = [idf1(tables, later) for tables in (before, after)] if later else []
    return idf1(after, [as_ground_truth(table) for table in before]), by_truth


def _later_tracks(jobs: Sequence[Job], first: Sequence[int], weights: Path, when: str) -> list[MotTable]:
    """The later part of each video, from its first frame on, tracked with some weights."""
    found = []
    for job, begin in zip(jobs, first, strict=True):
        out = Path(job.out) / f"later-{when}"
        report = Models().track(replace(job, out=str(out), reid=str(weights), first=begin))
        found.append(read_results(report.files[0]))
    return found


def idf1(found: Sequence[MotTable], truth: Sequence[MotTable]) -> float:
    """IDF1 of all videos together, 0..1; 1 where there is nobody and nobody is found."""
    if not any(map(len, [*found, *truth])):
        return 1.0
    parts = [evaluate(one, table, benchmark="MOT15") for one, table in zip(truth, found, strict=True)]
    return float(combine(parts).row()["IDF1"])


def confident(table: MotTable, fps: float, wish: TrackletFilter) -> MotTable:
    """The rows of tracklets that are believed, of boxes that show one person."""
    _, who, count = np.unique(table.id, return_inverse=True, return_counts=True)
    first, last = np.full(len(count), np.inf), np.full(len(count), -np.inf)
    np.minimum.at(first, who, table.frame)
    np.maximum.at(last, who, table.frame)
    mean = np.bincount(who, table.score, len(count)) / np.maximum(count, 1)
    good = ((last - first) / fps >= wish.seconds) & (mean >= wish.score)
    whole = np.ones(len(table), bool)
    order = np.argsort(table.frame, kind="stable")
    edges = np.flatnonzero(np.diff(table.frame[order], prepend=-1, append=-1))
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        rows = order[start:stop]
        whole[rows] = largest_overlap(table.xyxy[rows]) <= wish.overlap
    return table.take(good[who] & whole)


def write_sequence(folder: Path, table: MotTable, fps: float, length: int, size: tuple[int, int]) -> None:
    """Tracklets as MOTChallenge ground truth: what crops are cut from."""
    lines = [
        f"{frame + 1},{who},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,1,1\n"
        for frame, who, (x1, y1, x2, y2) in zip(table.frame, table.id, table.xyxy, strict=True)
    ]
    with atomic_write(folder / "gt" / "gt.txt") as file:
        file.writelines(lines)
    with atomic_write(folder / "seqinfo.ini") as file:
        file.write(
            f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate={fps:g}\nseqLength={length}\n"
            f"imWidth={size[1]}\nimHeight={size[0]}\nimExt=.jpg\n"
        )


def _cut(
    folders: Sequence[Path], frames: Mapping[str, str], out: Path, wish: TrackletFilter, cut: float, say: Say
) -> int:
    """Write the crops; frames between two of one person."""
    fps = min(open_source(video).fps for video in frames.values())
    every = max(1, round(wish.every * fps))
    try:
        choice = CropFilter(min_height=wish.height, every=every, cut=cut)
        cut_crops(folders, out, choice, frames, say)
    except InputError as error:
        raise InputError(f"no training set in these videos: {error}") from None
    return every


def _when_seen(crops: Path) -> dict[Path, tuple[str, int]]:
    """The video and the frame of each crop."""
    with open(crops / "images.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {crops / row["path"]: (row["id"].rpartition("/")[0], int(row["frame"])) for row in rows}


def _of_several(data: ReidSet) -> ReidImages:
    """The training part.

    Raises:
        InputError: too few people to train on, or none to measure with.
    """
    train, query, gallery = data.train, data.query, data.gallery
    people = 0 if train is None else len({*train.ids.tolist()})
    if train is None or people < LEAST_PEOPLE:
        raise InputError(
            f"only {people} people to learn from, at least {LEAST_PEOPLE} are wanted: give longer videos"
        )
    pairs = 0
    if query is not None and gallery is not None:
        parts = (np.concatenate([getattr(p, name) for p in (query, gallery)]) for name in ("ids", "cameras"))
        pairs = int(_pairs(*parts)[0].sum())
    if pairs < LEAST_PAIRS:
        raise InputError(
            f"only {pairs} pairs of later people to measure with, at least {LEAST_PAIRS} are wanted: "
            "give longer videos, or a smaller `cut`"
        )
    return train


def _settings(begin: Path, changes: Mapping[str, object] | None) -> dict[str, object]:
    """What replaces the preset's values: the network of the given weights, and what the user wants."""
    from retrace.reid.weights.files import read

    _, recipe = read(begin)
    settings: dict[str, object] = {"init": str(begin), "init_head": "drop", "teachers": [str(begin)]}
    settings |= {"evaluate_every": None, "size": [*recipe.size]}
    if recipe.model is not None:
        settings["model"] = recipe.model
    return {**settings, **(changes or {})}


def _check_training(settings: Mapping[str, object]) -> None:
    """Begin a training of one batch of nobody: a mistake in its settings shows before anything is tracked.

    Raises:
        InputError: as `fit`.
    """
    from retrace.reid.training.state import start
    from retrace.reid.training.teachers import teacher_dimensions

    config = load_preset(PRESET, TrainConfig, "reid", settings)
    people, images = config.batch.identities, config.batch.identities * config.batch.images
    start(config, people, images, "cpu", teacher_dimensions=teacher_dimensions(config.teachers))


def _train(
    data: ReidSet, begin: Path, out: Path, settings: Mapping[str, object], device: str, say: Say
) -> Path:
    from retrace.reid.training.fit import fit
    from retrace.reid.training.progress import Progress
    from retrace.reid.weights.files import write_mean

    told = [0.0]

    def on_progress(now: Progress) -> None:
        if now.stage == "train" and now.epoch >= told[0] + 1:
            told[0] = now.epoch
            speed = f"{now.images_per_s:.0f} images/s, {now.seconds_left:.0f} s left"
            say(f"epoch {now.epoch:.0f}: loss {now.loss:.2f}, {speed}")

    assert data.train is not None
    wanted = load_preset(PRESET, TrainConfig, "reid").batch.identities
    people = min(wanted, len({*data.train.ids.tolist()}))
    fitted = fit(
        PRESET,
        data,
        out,
        changes={"batch.identities": people, **settings},
        device=device,
        on_progress=on_progress,
    )
    write_mean(begin, fitted.weights, out / "mean.safetensors")
    return out / "mean.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """How well weights tell people apart that were not trained on."""

    figures: dict[str, float]  # as `Adapted.before`
    each: dict[str, np.ndarray]  # of each person, (P,): "auc", "mAP", of enough pairs "gap_auc"


def _sides(data: ReidSet, embedder: Embedder) -> list[tuple[np.ndarray, ReidImages]]:
    """Vectors and images of query and gallery; as cameras stand the halves of tracklets."""
    sides = []
    for part in (data.query, data.gallery):
        assert part is not None
        images, pixels, _ = open_sound_images(part, embedder.size, image_cache_folder())
        found = [embedder.crops(np.array(pixels[k : k + CHUNK])) for k in range(0, len(images), CHUNK)]
        sides.append((np.concatenate(found), images))
    return sides


def _together(sides: Sequence[tuple[np.ndarray, ReidImages]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, N) distances, (N,) people and (N,) halves."""
    vectors = np.concatenate([found for found, _ in sides])
    ids, cameras = (np.concatenate([getattr(part, k) for _, part in sides]) for k in ("ids", "cameras"))
    return 1 - vectors @ vectors.T, ids, cameras


def _calibrated(data: ReidSet, begin: Path, new: Path, out: Path, device: str, say: Say) -> None:
    """The new weights with a calibration of their own: within tracklets by those held out, of returns the old one's,
    suited to how far apart people are for the new network. Without one where too few pairs are at hand, saying so."""
    from retrace.reid.weights.files import add_to_card

    embedder = Embedder.from_weights(new, device=device)
    distance, ids, cameras = _together(_sides(data, embedder))
    same, other = _pairs(ids, cameras)
    pairs = (
        np.concatenate([distance[same], distance[other]]),
        np.repeat([True, False], [same.sum(), other.sum()]),
    )
    try:
        old = Embedder.from_weights(begin, device=device).calibration
        card = refit_pairs(old, LabelledPairs(*pairs), "tracklets held out")
    except InputError as error:
        say(f"not calibrated: {error}")
        with writing(out), atomic_write(out, "wb") as file:
            file.write(new.read_bytes())
        return
    card = replace(card, print=fingerprint(embedder.crops, embedder.size))
    add_to_card(new, out, CARD_KEY, card.to_card())


def held_out(
    data: ReidSet,
    weights: Path,
    seen: Mapping[Path, tuple[str, int]],
    steps: Mapping[str, int],
    device: str = "auto",
) -> HeldOut:
    """Score weights on the query and gallery of a data set.

    Args:
        seen: the video and the frame of each image.
        steps: frames of each video that the gap takes.
    """
    from retrace.eval.ranking import evaluate_ranking

    sides = _sides(data, Embedder.from_weights(weights, device=device))
    distance, ids, cameras = _together(sides)
    same, other = _pairs(ids, cameras)
    (query, asked), (gallery, known) = sides
    ranked = evaluate_ranking(query, asked.ids, asked.cameras, gallery, known.ids, known.cameras)
    row = ranked.row()
    figures = {"auc": auc(distance[same], distance[other]), "mAP": float(row["mAP"])}
    people = np.unique(ids[(same | same.T).any(1)])
    people = people[np.isin(people, ranked.query_ids[ranked.valid])]
    ap = [float(ranked.ap[ranked.valid & (ranked.query_ids == one)].mean()) for one in people]
    each = {"auc": _auc_of_each(people, ids, distance, same, other), "mAP": np.array(ap)}
    figures |= {"rank-1": float(row["rank"]["1"]), "pairs": float(same.sum())}
    moments = [seen[path] for part in (asked, known) for path in part.paths]
    one, two = after_gap(ids, moments, steps)
    people = np.intersect1d(*(ids[(kind | kind.T).any(1)] for kind in (one, two)))
    figures |= {"gap_pairs": float(one.sum()), "gap_people": float(len(people))}
    if one.sum() >= LEAST_PAIRS and len(people) >= LEAST_JUDGES:
        figures["gap_auc"] = auc(distance[one], distance[two])
        each["gap_auc"] = _auc_of_each(people, ids, distance, one, two)
    return HeldOut(figures, each)


def after_gap(
    ids: np.ndarray, moments: Sequence[tuple[str, int]], steps: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) bool each, of crops of one video a gap apart: pairs of one person, and of two; what a tracker compares who
    looks for somebody after so long.

    Args:
        ids: (N,) people.
        moments: video and frame of each.
        steps: frames of each video that the gap takes.
    """
    _, video = np.unique([name for name, _ in moments], return_inverse=True)
    frame, gap = (np.array(each) for each in zip(*((k, steps[name]) for name, k in moments), strict=True))
    apart = (video[:, None] == video) & (np.abs(frame[:, None] - frame) == gap)
    one = ids[:, None] == ids
    return np.triu(apart & one, 1), np.triu(apart & ~one, 1)


def _auc_of_each(
    people: np.ndarray, ids: np.ndarray, distance: np.ndarray, same: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """(P,) of the pairs that a person is in."""
    found = []
    for one in people:  # a handful
        mine = ids == one
        here = mine[:, None] | mine
        found.append(auc(distance[same & here], distance[other & here]))
    return np.array(found)


def _pairs(ids: np.ndarray, cameras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) bool each: the two halves of one person, and two people."""
    one = ids[:, None] == ids
    return np.triu(one & (cameras[:, None] != cameras), 1), np.triu(~one, 1)


def gained(before: HeldOut, after: HeldOut) -> dict[str, tuple[float, float]]:
    """By figure the 95 % interval of what was gained: the same people drawn for both, with replacement (paired
    percentile bootstrap, Efron and Tibshirani 1993). New weights are better where all lie above 0: with few people
    held out, one more right answer is luck often enough."""
    found = {}
    for name in before.each:
        more = after.each[name] - before.each[name]
        drawn = np.random.default_rng(0).integers(len(more), size=(DRAWS, len(more)))
        low, high = np.percentile(more[drawn].mean(1), (2.5, 97.5))
        found[name] = float(low), float(high)
    return found


def told(found: Adapted) -> str:
    """The verdict as a sentence."""
    names = {"auc": "AUC", "gap_auc": f"AUC {found.gap:g} s apart", "rank-1": "rank-1", "mAP": "mAP"}
    names["IDF1"] = "IDF1 of the later part"
    figures = ", ".join(
        f"{name} {100 * found.before[key]:.1f} -> {100 * found.after[key]:.1f}"
        for key, name in names.items()
        if key in found.before
    )
    sure = ", ".join(
        f"{names[key]} {100 * low:+.1f} to {100 * high:+.1f}" for key, (low, high) in found.gain.items()
    )
    few = ""
    if "gap_auc" not in found.before:
        pairs, people = (f"{found.before[key]:.0f}" for key in ("gap_pairs", "gap_people"))
        few = f", not judged {found.gap:g} s apart: only {pairs} pairs, people in them: {people}"
    return (
        f"{found.tracklets} tracklets of {found.people} people, {found.crops} crops; "
        f"on later tracklets, not trained on: {figures} "
        f"(gain, 95 %: {sure}{few}): {_verdict(found)}"
    )


def _verdict(found: Adapted) -> str:
    if found.better:
        return f"better: use {found.weights}"
    if found.looks is None:
        return "not surely better: the old weights stay"
    assert found.alike is not None
    why = "not tracked better" if "IDF1" in found.after else f"tracks are {100 * found.alike:.1f} % the same"
    return f"{why}: the old weights stay; those that tell people apart better are {found.looks}"
