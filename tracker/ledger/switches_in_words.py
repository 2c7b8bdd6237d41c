"""Identity switches of a run in words: where they probably are, and what the ledger says of one that is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrace.tracker.ledger.by_identity import SOON, History, iou
from retrace.tracker.ledger.explain import FrameStory
from retrace.tracker.ledger.pairs_in_words import called

JUMP = 0.1  # IoU with where it was expected, below which an identity has jumped
STEADY = 0.5  # IoU from which it went on as expected
MARGIN = 0.1  # of the limit: a decision that hangs on less is a close call


@dataclass(frozen=True, slots=True)
class Switch:
    """One change of identity."""

    frame: int  # from 0: the first with the new identity
    before: int
    after: int
    text: str  # one line: what changed, and why


def likely_switches(history: History) -> list[Switch]:
    """Where identities may have changed: somebody new begins where a lost one was expected, one takes the box of
    another, an identity turns up far from where it was expected by looks that are hardly alike enough, or two might
    as well have been joined the other way round."""
    thefts, calls = _thefts_and_close_calls(history)
    found = [*_begun(history), *thefts, *_jumped(history), *calls]
    return sorted(found, key=lambda switch: (switch.frame, switch.before, switch.after))


def _begun(history: History) -> list[Switch]:
    """Each birth goes to the lost identity whose place it fits best."""
    best: dict[int, tuple[float, int, int]] = {}
    for identity in history.ids().tolist():
        if identity < 0:
            continue
        for lost in _losses(history, identity):
            for other, frame, overlap in history.successors(identity, lost):
                if other > 0 and overlap > best.get(other, (0.0,))[0]:
                    best[other] = overlap, identity, frame
    lines = []
    for other, (overlap, identity, frame) in best.items():
        last = history.last_seen(identity, frame)
        assert last is not None
        why = FrameStory(history, last + 1).why_lost(identity)
        text = (
            f"id {identity} -> id {other}: id {other} began where id {identity} was expected (IoU {overlap:.2f}); "
            f"id {identity} was lost in frame {last + 2}: {why}"
        )
        lines.append(Switch(frame, identity, other, text))
    return lines


def _losses(history: History, identity: int) -> list[int]:
    """The first frame of each absence."""
    frames = history.frames(identity)
    after = frames[np.append(np.diff(frames) > 1, True)] + 1
    return [int(frame) for frame in after if int(frame) in history.line]


def _jumped(history: History) -> list[Switch]:
    """An identity found again at a box that hardly meets its expected one, by looks that were hardly alike enough."""
    found = []
    for identity in history.ids()[history.ids() > 0].tolist():
        for frame in history.frames(identity)[1:].tolist():
            expected, seen = history.expectation(identity, frame), history.sighting(identity, frame)
            if expected is None or seen is None or expected["missed"] == 0:
                continue
            overlap = iou(expected["xyxy"], seen["xyxy"][None])[0]
            if overlap < JUMP and _hardly(history, identity, frame):
                text = (
                    f"id {identity} jumped: found again after {int(expected['missed'])} frames at detection "
                    f"{int(seen['index'])}, IoU {overlap:.2f} with where it was expected, in stage "
                    f"{int(seen['stage']) + 1} at cost {seen['cost']:.3f}"
                )
                found.append(Switch(frame, identity, identity, text))
    return found


def _hardly(history: History, identity: int, frame: int) -> bool:
    """Whether an identity was joined at a cost close to the limit: one that was sure is no suspect."""
    pairs = FrameStory(history, frame).pairs(id=identity)
    return any(pair.joined and pair.cost >= (1 - MARGIN) * pair.limit for pair in pairs)


@dataclass(frozen=True, slots=True)
class _Call:
    """Two identities that might as well have been joined the other way round."""

    frame: int
    winner: int
    loser: int
    detection: int
    margin: float
    costs: tuple[float, float]  # of the winner, of the loser, for the detection
    instead: int | None  # the detection that the loser got


def _thefts_and_close_calls(history: History) -> tuple[list[Switch], list[Switch]]:
    """Whom another one robbed, and the closest call of each two identities within SOON."""
    thefts: dict[tuple[int, int], Switch] = {}
    last: dict[frozenset[int], _Call] = {}
    found: list[_Call] = []
    for kept in history.file.frames():
        story = FrameStory(history, kept.frame, kept)
        thefts |= {(switch.frame, switch.before): switch for switch in _thefts(story)}
        for call in _calls(story):
            pair = frozenset((call.winner, call.loser))
            known = last.get(pair)
            if known and history.time[call.frame] - history.time[known.frame] <= SOON:
                if call.margin >= known.margin:
                    continue
                found.remove(known)
            last[pair] = call
            found.append(call)
    calls = [Switch(c.frame, c.loser, c.winner, _told(c)) for c in found if (c.frame, c.loser) not in thefts]
    return [*thefts.values()], calls


def _thefts(story: FrameStory) -> Iterator[Switch]:
    """Who went on where expected, lost the box there to another one, and is lost: the box fits the loser better."""
    history, frame = story.history, story.frame
    detections = story.kept.detections
    for index, label, box in (
        zip(*(detections[name] for name in ("index", "id", "xyxy")), strict=True)
        if (detections["count"])
        else ()
    ):
        winner = history.called(int(label))
        got = history.sighting(winner, frame) if winner > 0 else None
        if got is None or int(got["index"]) != int(index) or np.isnan(got["stage"]):
            continue
        loser = _expected_at(story, box, winner)
        if loser is None:
            continue
        fit, identity = loser
        place = history.expectation(winner, frame)
        own = 0.0 if place is None else iou(place["xyxy"], box[None])[0]
        if own < fit:
            text = (
                f"id {identity} -> id {winner}: id {winner} took detection {int(index)}, where id {identity} was "
                f"expected (IoU {fit:.2f} against {own:.2f}), in stage {int(got['stage']) + 1} at cost "
                f"{got['cost']:.3f}; id {identity} was lost"
            )
            yield Switch(frame, identity, winner, text)


def _expected_at(story: FrameStory, box: np.ndarray, winner: int) -> tuple[float, int] | None:
    """(IoU, identity) of the one who was seen in the frame before, was expected here and got nothing."""
    history, table = story.history, story.kept.tracks
    if not table["count"]:
        return None
    overlap = iou(box, table["xyxy"])
    for row in np.argsort(-overlap, kind="stable"):
        if overlap[row] < STEADY:
            return None
        identity = history.called(int(table["id"][row]))
        if identity > 0 and identity != winner and table["missed"][row] == 0:
            return None if history.sighting(identity, story.frame) else (float(overlap[row]), identity)
    return None


def _calls(story: FrameStory) -> Iterator[_Call]:
    """Who could have had another one's detection at a total cost that is hardly higher."""
    for number, table in story.kept.stages.items():
        possible = story.possible(number)
        ids = [story.history.called(label) for label in table["id"].tolist()]
        keys = list(zip(ids, table["detection"].tolist(), strict=True))
        cost = {key: c for key, c, ok in zip(keys, table["cost"].tolist(), possible, strict=True) if ok}
        limit = dict(zip(ids, table["limit"].tolist(), strict=True))
        own = {key[0]: key[1] for key, joined in zip(keys, table["joined"].tolist(), strict=True) if joined}
        owner = {detection: name for name, detection in own.items()}
        for (loser, detection), its in cost.items():
            winner = owner.get(detection, loser)
            if winner == loser or min(winner, loser) < 0:
                continue
            theirs, other = cost[winner, detection], own.get(loser)
            if other is None:
                margin = its - limit[loser] - (theirs - limit[winner])
                if story.history.sighting(loser, story.frame):
                    continue  # another stage had something for it
            else:
                if (winner, other) not in cost:
                    continue
                margin = its + cost[winner, other] - theirs - cost[loser, other]
            if margin < MARGIN * limit[loser]:
                yield _Call(story.frame, winner, loser, detection, margin, (theirs, its), other)


def _told(call: _Call) -> str:
    text = (
        f"id {call.loser} -> id {call.winner}: a close call for detection {call.detection}, id {call.winner} at "
        f"cost {call.costs[0]:.3f}, id {call.loser} at {call.costs[1]:.3f}"
    )
    if call.instead is None:
        return f"{text}, who was lost"
    return (
        f"{text}, who got detection {call.instead}; the other way round costs {max(call.margin, 0):.3f} more"
    )


# -- what is known to be one


def tell_switch(history: History, person: int, frame: int, last: int, before: int, after: int) -> Switch:
    """What the ledger says of a switch that is known: ``person`` was ``before`` until ``last``, is ``after`` now."""
    text = (
        f"person {person} was id {before} until frame {last + 1}, is id {after} now: "
        f"{_of_old(history, before, last, frame)}; {_of_new(history, after, frame)}"
    )
    if all(_undisturbed(history, identity, last, frame) for identity in (before, after)):
        text += "; both went on where they were expected: they are two on one person, or side by side"
    return Switch(frame, before, after, text)


def _undisturbed(history: History, identity: int, since: int, until: int) -> bool:
    """It had a detection in every frame, each where it was expected."""
    for frame in range(since + 1, until + 1):
        expected, seen = history.expectation(identity, frame), history.sighting(identity, frame)
        if expected is None or seen is None or iou(expected["xyxy"], seen["xyxy"][None])[0] < STEADY:
            return False
    return True


def _of_old(history: History, identity: int, last: int, frame: int) -> str:
    """What became of the identity that a person had until ``last``."""
    again = history.next_seen(identity, last)
    if again is None or again > last + 1:
        if last + 1 not in history.line:
            return f"frame {last + 2} could not be read"
        why = FrameStory(history, last + 1).why_lost(identity)
        back = f", found again in frame {again + 1}" if again is not None and again <= frame else ""
        return f"id {identity} was lost in frame {last + 2} ({why}){back}"
    seen = history.sighting(identity, frame)
    if seen is None:
        lost = (history.last_seen(identity, frame) or 0) + 1
        why = FrameStory(history, lost).why_lost(identity)
        return f"id {identity} drifted off the person, and was lost in frame {lost + 1} ({why})"
    stage = "" if np.isnan(seen["stage"]) else f" (stage {int(seen['stage']) + 1}, cost {seen['cost']:.3f})"
    return f"id {identity} is on detection {int(seen['index'])} now{stage}"


def _of_new(history: History, identity: int, frame: int) -> str:
    """Where the identity comes from that a person has at ``frame``."""
    first = int(history.frames(identity)[0])
    if frame - first < history.file.fps:  # a young track
        return f"id {identity} began in frame {first + 1}"
    seen, last = history.sighting(identity, frame), history.last_seen(identity, frame)
    if seen is None or last is None or np.isnan(seen["stage"]):
        return f"{called(identity)} is reported without a detection"
    since = "was found again at" if last < frame - 1 else "took"
    text = f"id {identity} {since} detection {int(seen['index'])} in stage {int(seen['stage']) + 1}"
    return f"{text} at cost {seen['cost']:.3f}" + (
        f", last seen in frame {last + 1}" if last < frame - 1 else ""
    )
