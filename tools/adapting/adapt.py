"""A network for one's own cameras: tracklets of unlabelled video become identities, the given weights learn from them.

Nothing leaves the machine: videos are tracked, confident tracklets cut out, those of one person put together
(`people.py`), the earlier part of each video trains, the later part measures, and the new weights stay only
if they are better there: at telling people apart, and in tracking. New are the mean of the weights before and after the
training: they know the place nearly as well, and forget less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from retrace.configs import InputError
from retrace.configs.files import path_for, write_json
from retrace.reid.data.sets import read_reid_set
from retrace.reid.embedder import Embedder
from retrace.reid.weights.shipped import as_trained, locate
from retrace.tools.adapting.held_out import LEAST_JUDGES, gained, held_out
from retrace.tools.adapting.people import to_people
from retrace.tools.adapting.tracking import boxes_of, in_tracking
from retrace.tools.adapting.tracklets import Say, TrackletFilter, cut_tracklets, track_confident, when_seen
from retrace.tools.adapting.training import (
    check_people,
    check_training,
    settings_of,
    train_on,
    write_calibrated,
)
from retrace.tools.scoring.pay_report import LONGEST_GAP
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_ground_truth, read_sequence_info
from retrace.tracker.run import Job
from retrace.tracker.sources import open_source
from retrace.tracker.sources.address import without_secrets

GAP = 3.0  # s between two looks at one person, after which a tracker has lost him: 30 frames of PETS09-S2L1's video
SAME_TRACKS = 0.99  # IDF1 of new tracks by the old ones from which nothing is gained


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
    gt: str | None = None,
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
        gt: gt.txt of each video, named likewise: the new weights must then track its later part better, too.
        wish: which tracklets and boxes.
        cut: share of each video that trains; the rest measures.
        gap: s between two looks at one person, at which they are compared, too.
        changes: of the training's preset, as for `fit`.
        say: told a line a step.

    Raises:
        InputError: too few tracklets to train or to measure, or anything that cannot be read.
    """
    wish, out = wish or TrackletFilter(), Path(out)
    begin = _begin_with(weights, out, cut, gap)
    names = _names(videos, {"detections": detections, "gt": gt})
    settings = settings_of(begin, changes)
    check_training(settings)
    _check_gap(videos, gap)
    true = {} if gt is None else {name: read_ground_truth(path_for(name, "gt", gt)) for name in names}
    with _telling_what_stays(out):
        folders = [
            track_confident(video, out, str(begin), detector, detections, wish, device, say)
            for video in videos
        ]
        later = [int(cut * read_sequence_info(folder).length) for folder in folders]
        _check_later(true, later)
        frames = {folder.name: video for folder, video in zip(folders, videos, strict=True)}
        fps = {folder.name: read_sequence_info(folder).fps for folder in folders}
        every = cut_tracklets(folders, frames, out / "crops", wish, cut, say)
        who = to_people(out / "crops", Embedder.from_weights(begin, device=device), fps)
        say(
            f"to learn from: {who.tracklets} tracklets of {who.people} people, {who.blurred} blurred crops left out"
        )
        data = read_reid_set(out / "crops", "csv", need=("train",))
        train = check_people(data)
        new = train_on(data, begin, out / "training", settings, device, say)
        steps = {name: every * max(1, round(gap * rate / every)) for name, rate in fps.items()}
        seen = when_seen(out / "crops")
        before, after = (held_out(data, path, seen, steps, device) for path in (begin, new))
        gain = gained(before, after)
        better = surely = len(before.each["auc"]) >= LEAST_JUDGES and all(low > 0 for low, _ in gain.values())
        looks = alike = None
        if surely:
            looks = out / "weights.safetensors"
            write_calibrated(data, begin, new, looks, device, say)
        if surely or true:
            jobs = [
                Job(video, str(out), detector=detector, detections=boxes_of(detections, name), device=device)
                for name, video in zip(names, videos, strict=True)
            ]
            alike, by_truth = in_tracking(jobs, later, (begin, new), [*true.values()])
            if true:
                before.figures["IDF1"], after.figures["IDF1"] = by_truth
                better &= by_truth[1] > by_truth[0]
            else:
                better &= alike < SAME_TRACKS
        kept = looks if better and looks is not None else begin
        figures = before.figures, after.figures, gain, gap
        found = Adapted(kept, better, looks, alike, *figures, who.tracklets, who.people, len(train))
        _write(found, out / "adapted.json", videos)
        return found


def _begin_with(weights: str, out: Path, cut: float, gap: float) -> Path:
    """The file of weights as they were trained, and nothing else wrong."""
    if out.exists() and any(out.iterdir()):
        raise InputError(f"`out` {out}: is not empty; name another folder")
    begin = as_trained(locate(weights))
    if begin.suffix != ".safetensors":
        raise InputError(f"`weights` {weights}: a training begins with .safetensors weights of ours")
    if not 0 < cut < 1:
        raise InputError(f"`cut` {cut}: expected a share above 0 and below 1")
    if not 0 < gap <= LONGEST_GAP:
        raise InputError(f"`gap` {gap}: expected seconds above 0, up to {LONGEST_GAP:g}")
    return begin


def _names(videos: Sequence[str], files: Mapping[str, str | None]) -> list[str]:
    """Of the videos, each of its own; ``files``, by argument, are then one of each."""
    names = [open_source(video).name for video in videos]
    if len({*names}) < len(names):
        raise InputError(f"two videos are called alike: {', '.join(names)}; rename one")
    for what, given in files.items():
        if given is not None and len(names) > 1 and "{name}" not in given:
            raise InputError(f"`{what}` {given}: one file for {len(names)} videos; expected {{name}} in it")
    return names


def _check_gap(videos: Sequence[str], gap: float) -> None:
    if all(one.length is not None and one.length / one.fps <= gap for one in map(open_source, videos)):
        raise InputError(f"`gap` {gap:g}: no video is so many seconds long; give a shorter one")


def _check_later(true: Mapping[str, MotTable], later: Sequence[int]) -> None:
    for (name, whole), first in zip(true.items(), later, strict=False):
        if not (whole.frame >= first).any():
            raise InputError(
                f"`gt` of {name}: has no box from frame {first + 1} on, where the later part begins"
            )


def _write(found: Adapted, path: Path, videos: Sequence[str]) -> None:
    looks = None if found.looks is None else str(found.looks)
    told = {"weights": str(found.weights), "looks": looks, "videos": without_secrets(videos)}
    write_json(path, asdict(found) | told)


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
