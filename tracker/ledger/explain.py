"""What an identity did in one frame, and why, in a few lines. Frames are printed as MOT files count them, from 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.tracker.ledger.by_identity import History, iou
from retrace.tracker.ledger.file import Columns, LedgerFrame
from retrace.tracker.ledger.pairs_in_words import Pair, box_text, called, takes
from retrace.tracker.memory.tracklet import why

LISTED = 4  # candidates that are listed
CLOSE = 0.1  # IoU from which a detection lies where somebody was expected


def tell_frame(history: History, frame: int, identity: int) -> list[str]:
    """The account of an identity in a frame, which counts from 0.

    Raises:
        InputError: the run has no such frame or identity.
    """
    shown = frame + 1
    if frame not in history.line:
        first, last = min(history.line) + 1, max(history.line) + 1
        what = "could not be read" if first <= shown <= last else f"expected {first} to {last}"
        raise InputError(f"`frame` {shown}: {what} (frames count from 1)")
    if identity not in history.ids():
        here = history.seen["id"][history.seen["frame"] == frame]
        close = sorted(here.tolist(), key=lambda other: abs(other - identity))[:8]
        known = f"nearest in frame {shown}: {', '.join(map(str, sorted(close))) or 'nobody is there'}"
        raise InputError(f"`id` {identity}: no such identity in {history.file.name}; {known}")
    return FrameStory(history, frame).lines(identity)


class FrameStory:
    """One frame of a run, with what is needed to speak about it."""

    def __init__(self, history: History, frame: int, kept: LedgerFrame | None = None) -> None:
        """``frame`` counts from 0 and must be in the run; ``kept`` saves reading it."""
        self.history, self.frame = history, frame
        self.kept: LedgerFrame = kept or history.read(frame)
        config = history.file.config
        self.stages = (config.blind_stages if self.kept.blind else ()) or config.stages
        self.config = config

    # -- looking up

    def pairs(self, *, id: int | None = None, detection: int | None = None) -> list[Pair]:  # noqa: A002
        """The candidate pairs of an identity, or of a detection, by stage, then cost."""
        found = []
        for number, table in self.kept.stages.items():
            own = (
                np.isin(table["id"], [*self.history.labels(id)])
                if id is not None
                else table["detection"] == detection
            )
            rows = own.nonzero()[0]
            for row in rows[np.argsort(table["cost"][rows], kind="stable")]:
                found.append(self._pair(number, table, int(row)))
        return found

    def _pair(self, number: int, table: Columns, row: int) -> Pair:
        stage = self.stages[number]
        return Pair(
            number,
            stage,
            self.history.called(table["id"][row]),
            int(table["detection"][row]),
            float(table["cost"][row]),
            float(table["limit"][row]),
            bool(table["joined"][row]),
            {name: float(table[name][row]) for name in (*stage.terms, *stage.gates)},
        )

    def possible(self, stage: int) -> np.ndarray:
        """(P,) bool: the stage's pairs below their limit, with no gate closed."""
        table = self.kept.stages[stage]
        allowed = table["cost"] < table["limit"]
        for name, most in self.stages[stage].gates.items():
            allowed &= table[name] <= most
        return allowed

    def detection(self, index: int) -> dict[str, Any]:
        """A row of the frame's detections by its index in the input."""
        table = self.kept.detections
        row = int((table["index"] == index).argmax())
        return {name: value[row] for name, value in table.items() if name != "count"}

    def fate_of(self, index: int) -> str:
        """ "went to id 12 in stage 1 at cost 0.214"."""
        found = self.detection(index)
        fate, name = str(found["fate"]), self.history.called(found["id"])
        if fate.startswith("suppressed"):
            return f"was {fate.replace(' ', ' (', 1)}{_by(found, self.history)})"
        if fate.startswith("below"):
            return f"went to nobody (score {found['score']:.2f})"
        if np.isnan(found["stage"]):
            return f"began {called(name)}"
        return f"went to {called(name)} in stage {int(found['stage']) + 1} at cost {found['cost']:.3f}"

    def nearest(self, place: np.ndarray) -> tuple[int, float, float] | None:
        """The detection that overlaps a place most, else the closest: index, IoU, distance in its widths."""
        table = self.kept.detections
        if not table["count"]:
            return None
        overlap, boxes = iou(place, table["xyxy"]), table["xyxy"]
        apart = np.hypot(*((boxes[:, :2] + boxes[:, 2:] - place[:2] - place[2:]) / 2).T)
        best = int(np.lexsort((apart, -overlap))[0])
        return int(table["index"][best]), float(overlap[best]), float(apart[best] / (place[2] - place[0]))

    # -- telling

    def lines(self, identity: int) -> list[str]:
        """The whole account of an identity in this frame."""
        h, frame = self.history, self.frame
        head = (
            f"{h.file.name}, frame {frame + 1} (the first is 1; {self.kept.time:.2f} s), {called(identity)}"
        )
        frames, end = h.frames(identity), h.ended.get(identity)
        if frame < frames[0]:
            return [head, f"  not there yet: it begins in frame {frames[0] + 1}"]
        if end and frame > end[0]:
            return [head, f"  gone since frame {end[0] + 1}: {self._end(identity)}"]
        seen = h.sighting(identity, frame)
        body = self._matched(identity, seen) if seen else self._lost(identity)
        return [head, *(f"  {line}" for line in [*body, *self._remembered(identity)])]

    def _remembered(self, identity: int) -> list[str]:
        """Whom a memory takes it for."""
        found = self.history.remembered(identity, self.frame)
        if found is None:
            return []
        who = f"{'a new person' if found['new'] else 'person'} {found['person']}"
        told = why(found["reason"], found["probability"], found.get("distance"))
        others = f"; may be {' or '.join(map(str, found['maybe']))}" if found.get("maybe") else ""
        span = f"from {found['begin']:.2f} to {found['end']:.2f} s"
        return [f"for the memory {who}, {span}: {told}{others}"]

    def _matched(self, identity: int, seen: dict[str, Any]) -> list[str]:
        h, index = self.history, int(seen["index"])
        what = f"detection {index} (score {seen['score']:.2f}) at {box_text(seen['xyxy'])}"
        if np.isnan(seen["stage"]):
            return [f"began here, with {what}", *self._why_nobody_had(index), *self._naming(identity)]
        pairs = self.pairs(id=identity)
        own = next(pair for pair in pairs if pair.joined)
        lines = [
            f"joined to {what}",
            f"in stage {own.stage + 1} of {len(self.stages)} ({takes(own.config)}), cost {own.sum()}, "
            f"limit {own.limit:g}",
            *own.opened(),
        ]
        for pair in (p for p in pairs if p.detection == index and not p.joined):
            why = pair.refusal() or "possible, but not taken"
            lines.append(f"not in stage {pair.stage + 1} already: cost {pair.sum()}, {why}")
        others = [p for p in pairs if p.detection != index]
        for pair in sorted(others, key=lambda p: (p.stage != own.stage, p.cost))[:1]:
            lines.append(f"runner-up: {self._candidate(pair)}")
        mine = self.pairs(detection=index)
        rivals = sorted((p for p in mine if p.id != identity), key=lambda p: (np.isnan(p.cost), p.cost))
        for pair in rivals[:1]:
            lines.append(f"rival: {self._rival(pair)}")
        if not others and not rivals:
            lines.append("no other pair was in question")
        before = h.last_seen(identity, self.frame)
        if before is not None and before < self.frame - 1:
            lines.append(f"found again: last seen in frame {before + 1}, {self._ago(before)} before")
        return [*lines, *self._naming(identity)]

    def _lost(self, identity: int) -> list[str]:
        h = self.history
        before = h.last_seen(identity, self.frame)
        assert before is not None
        expected = h.expectation(identity, self.frame)
        lines = [f"not found in this frame; last seen in frame {before + 1}, {self._ago(before)} before"]
        if expected is not None:
            lines.append(f"{expected['status']}, expected at {box_text(expected['xyxy'])}")
        if identity in self.kept.predicted:
            lines.append("reported all the same, where it was expected")
        lines.append(f"why: {self.why_lost(identity)}")
        pairs = self.pairs(id=identity)
        for pair in pairs[:LISTED]:
            lines.append(f"stage {pair.stage + 1} ({takes(pair.config)}): {self._candidate(pair)}")
        if len(pairs) > LISTED:
            lines.append(f"and {len(pairs) - LISTED} more pairs that are worse")
        lines += self._open_stages(expected, {pair.stage for pair in pairs})
        return [*lines, *self._afterwards(identity)]

    def why_lost(self, identity: int) -> str:
        """In one line why an identity got no detection in this frame."""
        h, end = self.history, self.history.ended.get(identity)
        if end and end[0] == self.frame and end[1] == "duplicate":
            return self._end(identity)
        pairs = self.pairs(id=identity)
        possible = sorted((pair for pair in pairs if pair.possible), key=lambda pair: pair.cost - pair.limit)
        if possible:
            return self._short(possible[0])
        expected = h.expectation(identity, self.frame)
        place = None if expected is None else expected["xyxy"]
        near = None if place is None else self.nearest(place)
        best = min(pairs, key=lambda pair: (np.isnan(pair.cost), pair.cost - pair.limit), default=None)
        if near and near[1] >= CLOSE and not any(pair.detection == near[0] for pair in pairs):
            return self._out_of_reach(identity, *near[:2])
        if best:
            return self._short(best)
        if expected is None:
            return f"its predicted box was not believed any more ({self._belief()}), and nobody looked alike"
        if near is None:
            return "nothing was detected in this frame"
        if near[1] > 0:
            return self._out_of_reach(identity, *near[:2])
        return f"nothing was detected where it was expected; the nearest box is {near[2]:.1f} widths away"

    def _out_of_reach(self, identity: int, index: int, overlap: float) -> str:
        """Why a box in the right place was no candidate."""
        found, expected = self.detection(index), self.history.expectation(identity, self.frame)
        where = f"detection {index} lay there (IoU {overlap:.2f})"
        if str(found["fate"]) in ("below low", "suppressed nms"):
            low = f"scored {found['score']:.2f}, below low {self.config.low:g}"
            return f"{where} but {low if 'low' in found['fate'] else self.fate_of(index)}"
        band = "high" if found["score"] >= self.config.high else "low"
        status = expected["status"] if expected else "lost"
        open_ = [n + 1 for n, s in enumerate(self.stages) if status in s.tracks and band in s.bands]
        if not open_:
            return f"{where} but scored {found['score']:.2f}, and no stage compares {status} tracks with {band} scores"
        return f"{where} but {self.fate_of(index)}"

    def _candidate(self, pair: Pair) -> str:
        """A detection that it did not get, and why."""
        text = f"detection {pair.detection}, cost {pair.sum()}"
        refusal = pair.refusal()
        if refusal:
            return f"{text}: {refusal}; it {self.fate_of(pair.detection)}"
        owner = self.history.called(self.detection(pair.detection)["id"])
        if pair.id == owner or owner == 0:
            mutual = pair.config.match == "mutual"
            why = "never the nearest to each other while the limit fell" if mutual else "not taken"
            return f"{text}, limit {pair.limit:g}: possible, but {why}; it {self.fate_of(pair.detection)}"
        return f"{text}, limit {pair.limit:g}: possible, but it {self.fate_of(pair.detection)}"

    def _short(self, pair: Pair) -> str:
        """The same without the sum."""
        why = pair.refusal() or f"limit {pair.limit:g}"
        cost = "infinite" if np.isnan(pair.cost) else f"{pair.cost:.3f}"
        return f"its best candidate, detection {pair.detection} (cost {cost}, {why}), {self.fate_of(pair.detection)}"

    def _rival(self, pair: Pair) -> str:
        """Another track that looked at our detection."""
        refusal = pair.refusal()
        own = self.history.sighting(pair.id, self.frame)
        got = f"it got detection {int(own['index'])}" if own else "it got nothing"
        if own and not np.isnan(own["stage"]):
            got += f" at cost {own['cost']:.3f}"
        text = f"{called(pair.id)}, in stage {pair.stage + 1} at cost {pair.sum()}"
        return f"{text}{f', {refusal}' if refusal else ''}; {got}"

    def _why_nobody_had(self, index: int) -> list[str]:
        pairs = sorted(self.pairs(detection=index), key=lambda pair: pair.cost)
        return [f"nearest of the others: {self._rival(pair)}" for pair in pairs[:1]]

    def _naming(self, identity: int) -> list[str]:
        if identity in self.kept.named.values():
            return ["reported from this frame on"]
        if self.history.labels(identity) & {*self.kept.detections["id"].tolist()} - {identity}:
            return ["not reported yet: it was to be confirmed first"]
        return ["never reported: it was not confirmed"] if identity < 0 else []

    def _open_stages(self, expected: dict[str, Any] | None, told: set[int]) -> list[str]:
        """The stages that said nothing about who was expected so."""
        status = str(expected["status"]) if expected is not None else "lost"
        lines = []
        for number, stage in enumerate(self.stages):
            if number in told:
                continue
            why = "no candidate" if status in stage.tracks else f"not for {status} tracks"
            lines.append(f"stage {number + 1} ({takes(stage)}): {why}")
        return lines

    def _afterwards(self, identity: int) -> list[str]:
        h, since = self.history, (self.history.last_seen(identity, self.frame) or 0) + 1
        back, end = h.next_seen(identity, self.frame), h.ended.get(identity)
        lines = []
        if back is not None:
            seen = h.sighting(identity, back)
            assert seen is not None
            lines.append(
                f"back in frame {back + 1}, after {h.time[back] - h.time[since - 1]:.2f} s, in stage "
                f"{int(seen['stage']) + 1} at cost {seen['cost']:.3f}"
            )
        elif end:
            lines.append(f"never back; gone in frame {end[0] + 1}: {self._end(identity)}")
        else:
            lines.append("not back before the end of the run")
        for other, frame, overlap in h.successors(identity, since)[:2]:
            lines.append(
                f"{called(other)} began in frame {frame + 1} where it was expected (IoU {overlap:.2f}): "
                "likely the same person"
            )
        return lines

    def _end(self, identity: int) -> str:
        frame, why, by = self.history.ended[identity]
        if why == "duplicate":
            return f"dropped as a duplicate of {called(by)}, which overlapped it and was there for longer"
        last = self.history.last_seen(identity, frame + 1)
        age = self.history.time[frame] - self.history.time[last] if last is not None else 0.0
        limit = self.config.max_age if identity > 0 else self.config.tentative_max_age
        return (
            f"not seen for {age:.2f} s, more than {'' if identity > 0 else 'tentative_'}max_age {limit:g} s"
        )

    def _belief(self) -> str:
        age = self.config.motion_age
        return f"motion_age {age:g} s" if age is not None else f"max_age {self.config.max_age:g} s"

    def _ago(self, frame: int) -> str:
        return f"{self.history.time[self.frame] - self.history.time[frame]:.2f} s"


def _by(found: dict[str, Any], history: History) -> str:
    reason, by = str(found["fate"]).split()[-1], int(found.get("by", 0))
    return f" of {called(history.called(by))}" if reason in ("live", "duplicate") else f" by detection {by}"
