"""The calibration of weights: maps by relation, and the false-match thresholds, as they stand in the weights' card.

It belongs to one network: what its vectors say of a few drawn crops is kept beside it, in any format of the file the
same to two decimals, and a calibration of other weights is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.reid.calibration.maps import LEAST, Map, fit_map
from retrace.reid.calibration.measures import threshold
from retrace.reid.calibration.pairs import RELATIONS, LabelledPairs, video_pairs
from retrace.reid.recipe import need, number, numbers

KEY = "calibration"  # in the card
FORMAT = 1
GO_ON = "go on without it (`uncalibrated`)"  # the end of a message
WITHIN = "; within tracklets: "  # in `Calibration.data`, before whose they are
RATES = (1e-1, 1e-2, 1e-3, 1e-4)  # of false matches
# Power of the strangers' shift that a map follows: the least bad everywhere, with five networks (LOG.md)
FOLLOWS = 0.25
FLAT = 1e-6  # of the mean: a smaller deviation is rounding
CLOSE = 0.03  # how far cosines of the drawn crops may be off for the same network in another format


@dataclass(frozen=True, slots=True)
class Calibration:
    """What distances of one network mean.

    Attributes:
        maps: by relation, some of ``RELATIONS``; one without enough pairs is absent.
        thresholds: by relation, false-match rate -> distance; only rates that the pairs support.
        print: cosines between the network's vectors of drawn crops, see :func:`fingerprint`.
        data: what it was fitted on, in words.
        strangers: mean distance of two people in one camera there; None: not known, and it cannot be suited to a video.
        spread: the standard deviation of these distances; None: not known.

    Example:
        >>> from retrace.reid.calibration import Calibration, Map
        >>> later = Map((0.2, 1.0), (4.0, -4.0), same=100, different=100)  # log-odds at cosine distances
        >>> card = Calibration({"later": later}, {"later": {0.01: 0.5}})
        >>> round(float(card.map("later").probability(0.5)), 3), card.limit("later", 0.01)
        (0.731, 0.5)
    """

    maps: Mapping[str, Map]
    thresholds: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    print: tuple[float, ...] = ()
    data: str = ""
    strangers: float | None = None
    spread: float | None = None

    def map(self, relation: str) -> Map:
        """The map of a relation.

        Raises:
            InputError: it is absent, or no such relation.
        """
        _expect_relation(relation)
        if relation not in self.maps:
            have = ", ".join(self.maps) or "none"
            raise InputError(
                f"no calibration for {relation!r} (there is {have}): too few pairs were at hand, at least {LEAST} "
                "of one person and of two are wanted"
            )
        return self.maps[relation]

    def limit(self, relation: str, rate: float) -> float:
        """The cosine distance with this false-match rate; between two known rates linear in the rate's logarithm.

        Between rates a decade apart, as :func:`calibrate` stores them, up to a seventh more false matches come than
        were asked for, where strangers' distances are Gaussian; between rates further apart, more.

        Raises:
            InputError: the rate is beyond those that the pairs supported, or no such relation.
        """
        _expect_relation(relation)
        known = self.thresholds.get(relation, {})
        if rate in known:
            return known[rate]
        rates = sorted(known)
        if not rates or not rates[0] < rate < rates[-1]:
            told = ", ".join(f"{r:g}" for r in reversed(rates)) or "none"
            between = ", and what lies between" if len(rates) > 1 else ""
            raise InputError(
                f"no threshold for {relation!r} at a false-match rate of {rate:g}; known: {told}{between}"
            )
        return float(np.interp(math.log(rate), np.log(rates), [known[r] for r in rates]))

    def suited(
        self, strangers: float | Sequence[float] | np.ndarray, spread: float | None = None
    ) -> Calibration:
        """The calibration where strangers are so far apart: what is seen of a place without labels.

        Elsewhere a network finds everybody more alike. Distances are counted in units of what two people of one
        camera are apart: thresholds wholly, maps a little. And where strangers are apart now less,
        now more, a distance says less: log-odds are divided by how much wider they are spread, beside their mean, than
        where the maps were fitted. Where the distances themselves are given, thresholds of one camera are theirs: at
        the rates that so many support.

        Args:
            strangers: mean cosine distance of people who were in one frame (or one camera, if labels tell); or (N,)
                their distances.
            spread: standard deviation of these distances; None: that of the distances given (of ``LEAST`` or more),
                else not known, and maps are as steep as they were.

        Raises:
            InputError: not above 0, or where it was fitted is not known in this respect.

        Example:
            >>> from retrace.reid.calibration import Calibration, Map
            >>> later = Map((0.2, 1.0), (4.0, -4.0), 100, 100)
            >>> card = Calibration({"later": later}, {"later": {0.01: 0.5}}, strangers=0.9)
            >>> card.suited(0.45).limit("later", 0.01)
            0.25
        """
        seen = np.asarray(strangers, np.float64)
        own = _limits(seen) if seen.ndim and len(seen) else {}
        apart = float(seen.mean()) if seen.size else math.nan
        if spread is None and seen.size >= LEAST:
            spread = spread_of(seen)
        if not (math.isfinite(apart) and apart > 0):
            raise InputError(f"expected a mean distance of strangers above 0, got {apart!r}")
        if self.strangers is None:
            raise InputError(
                "the calibration does not say how far apart strangers were where it was fitted: calibrate again"
            )
        if spread is not None and not FLAT * apart < spread < math.inf:
            raise InputError(f"expected a spread of strangers above 0, got {spread!r}")
        scale = apart / self.strangers
        wider = 1.0 if spread is None or self.spread is None else spread / self.spread / scale
        maps = {
            name: replace(
                found,
                knots=tuple(knot * scale**FOLLOWS for knot in found.knots),
                log_odds=tuple(odds / wider for odds in found.log_odds),
            )
            for name, found in self.maps.items()
        }
        limits = {
            name: {rate: distance * scale for rate, distance in known.items()}
            for name, known in self.thresholds.items()
        }
        here = {"later": own} if own and "later" in limits else {}
        # Where the spread is not known here, it is taken to be as wide beside the mean as it was.
        known = self.spread and self.spread * scale * wider
        return replace(self, maps=maps, thresholds={**limits, **here}, strangers=apart, spread=known)

    def to_card(self) -> dict[str, Any]:
        """Plain numbers and texts, for JSON; :meth:`from_card` reads them."""
        return {
            "format": FORMAT,
            "distance": "cosine",
            "data": self.data,
            "strangers": self.strangers,
            "spread": self.spread,
            "print": [round(value, 4) for value in self.print],
            "relations": {
                name: {
                    "knots": list(found.knots),
                    "log_odds": list(found.log_odds),
                    "same": found.same,
                    "different": found.different,
                    "source": found.source,
                    "thresholds": {f"{rate:g}": d for rate, d in self.thresholds.get(name, {}).items()},
                }
                for name, found in self.maps.items()
            },
        }

    @classmethod
    def from_card(cls, card: object, origin: object) -> Calibration:
        """What :meth:`to_card` gave.

        Raises:
            InputError: anything else; the message begins with ``origin``.

        Example:
            >>> import json
            >>> from retrace.reid.calibration import Calibration, Map
            >>> card = Calibration({"later": Map((0.2, 1.0), (4.0, -4.0), 100, 100)}, {"later": {0.01: 0.5}})
            >>> text = json.dumps(card.to_card())
            >>> Calibration.from_card(json.loads(text), "card.json") == card
            True
        """
        try:
            return cls(**_read(card))
        except ValueError as error:
            raise InputError(
                f"{origin}: its calibration is not readable: {error}; calibrate again, or {GO_ON}"
            ) from None

    def belongs_to(self, cosines: Sequence[float], origin: object) -> None:
        """Compare with the :func:`fingerprint` of a network.

        Raises:
            InputError: it is of other weights; the message begins with ``origin``.

        Example:
            >>> from retrace.reid.calibration import Calibration
            >>> card = Calibration({}, print=(0.91, 0.12))
            >>> card.belongs_to((0.9, 0.13), "mine.onnx")  # the same, in another format
            >>> card.belongs_to((0.35, 0.6), "other.onnx")
            Traceback (most recent call last):
            retrace.configs.errors.InputError: other.onnx: the calibration is of other weights;
                calibrate these, or go on without it (`uncalibrated`)
        """
        mine = np.asarray(self.print)
        if mine.shape != np.shape(cosines) or np.abs(mine - cosines).max(initial=0) > CLOSE:
            raise InputError(f"{origin}: the calibration is of other weights; calibrate these, or {GO_ON}")


def _expect_relation(name: str) -> None:
    if name not in RELATIONS:
        raise InputError(f"unknown relation {name!r}; {nearest(name, RELATIONS)}")


def calibrate(
    sets: Sequence[Mapping[str, LabelledPairs]], data: str = "", cosines: Sequence[float] = ()
) -> Calibration:
    """Fit the maps of all relations on labelled sets.

    Every set counts alike: measured on sets that were left out, a map of several sets transfers better than one of the
    training set, and better than one refitted on unlabelled pairs (LOG.md).

    Args:
        sets: what `labelled_pairs` gave of each.
        data: their names.
        cosines: the network's :func:`fingerprint`.

    Raises:
        InputError: no relation has enough pairs.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import calibrate, labelled_pairs
        >>> ids, cameras = np.repeat(np.arange(1, 21), 8), np.tile([1, 2], 80)  # 20 people, 8 images each
        >>> features = np.eye(20)[ids - 1] + np.random.default_rng(0).normal(0, 0.2, (160, 20))
        >>> features /= np.linalg.norm(features, axis=1, keepdims=True)
        >>> card = calibrate([labelled_pairs(features, ids, cameras)], "drawn people")
        >>> card.map("camera").probability([0.4, 1.0]).round(2).tolist()  # of one person, by distance
        [1.0, 0.0]
    """
    maps, limits, refused = {}, {}, ""
    for relation in RELATIONS:
        parts = [found[relation] for found in sets if relation in found and found[relation].same.any()]
        if not parts:
            continue
        distance, same = (np.concatenate([getattr(p, k) for p in parts]) for k in ("distance", "same"))
        weight = np.concatenate([_share(part.same) for part in parts])
        try:
            maps[relation] = fit_map(distance, same, weight=weight)
        except InputError as error:
            refused = f"{relation}: {error}"
            continue
        limits[relation] = _limits(distance[~same])
    if not maps:
        raise InputError(refused or "no pairs of one person: nothing to calibrate on")
    apart = [
        found["later"].distance[~found["later"].same]
        for found in sets
        if "later" in found and not found["later"].same.all()
    ]
    if not apart:
        return Calibration(maps, limits, tuple(cosines), data)
    mean = float(np.mean([found.mean() for found in apart]))
    spreads = [spread for found in apart if (spread := spread_of(found)) is not None]
    return Calibration(maps, limits, tuple(cosines), data, mean, float(np.mean(spreads)) if spreads else None)


def spread_of(strangers: np.ndarray) -> float | None:
    """The standard deviation of (N,) distances; None: all are the same, and there is nothing to compare.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration.card import spread_of
        >>> spread_of(np.array([0.5, 0.7, 0.9, 0.7])), spread_of(np.full(100, 0.4))
        (0.1414213562373095, None)
    """
    spread = float(np.std(strangers))
    return spread if spread > FLAT * float(np.mean(strangers)) else None


def refit(
    card: Calibration | None,
    features: np.ndarray,
    tracks: np.ndarray,
    seconds: np.ndarray,
    xyxy: np.ndarray,
    scores: np.ndarray | None = None,
    *,
    gap: float = 1.0,
    least: int = LEAST,
    data: str = "this video",
) -> Calibration:
    """The calibration on a tracked video without labels.

    The map within tracklets and the thresholds of one camera come from the video's own pairs (`video_pairs`). Those of
    returns are the card's, suited to how far apart strangers are here (`Calibration.suited`): pairs of one tracklet are
    far easier than returns, and fitted on them a map is deaf to returns.

    Raises:
        InputError: the video has too few pairs; the message says how many, and ``card`` is still right as it is.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import Calibration, Map, refit
        >>> card = Calibration({"later": Map((0.2, 0.5), (4.0, -4.0), 100, 100)}, strangers=0.5)
        >>> tracks, seconds = np.repeat([1, 2], 60), np.tile(np.arange(60) / 10, 2)  # two people for 6 s
        >>> xyxy = np.array([[0, 0, 40, 100], [200, 0, 240, 100]])[tracks - 1]
        >>> here = refit(card, np.eye(2)[tracks - 1], tracks, seconds, xyxy, least=40)
        >>> here.map("tracklet").source, here.strangers  # twice as far apart as where the card was fitted
        ('video', 1.0)
    """
    found = video_pairs(features, tracks, seconds, xyxy, scores, gap=gap)
    return refit_pairs(card, found, data, least=least)


def refit_pairs(
    card: Calibration | None, found: LabelledPairs, data: str, *, least: int = LEAST
) -> Calibration:
    """The calibration where pairs within tracklets are known, which say nothing of returns; see :func:`refit`.

    Args:
        card: of the network, or of the one that it was before it was trained on.
        found: pairs of one tracklet, and of two people who were seen by one camera.
        data: what they are of.
        least: pairs of each kind that a map takes.

    Raises:
        InputError: too few pairs; the message says how many.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import LabelledPairs, refit_pairs
        >>> found = LabelledPairs(np.repeat([0.1, 0.8], 60), np.repeat([True, False], 60))
        >>> refit_pairs(None, found, "the hall", least=40).map("tracklet").probability([0.1, 0.8]).round().tolist()
        [1.0, 0.0]
    """
    own = fit_map(found.distance, found.same, least=least, source="video")
    limits = _limits(found.distance[~found.same])
    strange = found.distance[~found.same]
    apart, spread = float(strange.mean()), spread_of(strange)
    if card is None:
        return Calibration({"tracklet": own}, {"tracklet": limits}, (), data, apart, spread)
    if card.strangers is None:  # its maps cannot be moved; from now on they count as this place's
        known = replace(card, strangers=apart, spread=spread)
    else:
        known = card.suited(apart, spread)
    here: dict[str, Mapping[float, float]] = {
        name: limits for name in ("tracklet", "later") if name in (*known.thresholds, "tracklet")
    }
    return replace(
        known,
        maps={**known.maps, "tracklet": own},
        thresholds={**known.thresholds, **here},
        data=f"{card.data.partition(WITHIN)[0]}{WITHIN}{data}",
    )


def fingerprint(embed: Callable[[np.ndarray], np.ndarray], size: tuple[int, int]) -> tuple[float, ...]:
    """Cosines between the vectors of four drawn crops: the same for one network in every format.

    Args:
        embed: (N, H, W, 3) uint8 BGR -> (N, D) unit rows, e.g. `Embedder.crops`.
        size: px, (H, W).

    Example:
        >>> from retrace import Embedder
        >>> from retrace.reid.calibration import fingerprint
        >>> embedder = Embedder.from_weights("auto", device="cpu")
        >>> cosines = fingerprint(embedder.crops, embedder.size)
        >>> embedder.calibration.belongs_to(cosines, "auto")  # raises where it is of other weights
    """
    ramp = np.linspace(0, 255, size[0])[:, None, None]
    sway = 127 + 127 * np.sin(np.linspace(0, 9, size[1]))[None, :, None]
    ink = (
        np.array([[[255, 40, 0], [0, 200, 120], [90, 0, 255], [160, 160, 20]]], float).reshape(4, 1, 1, 3)
        / 255
    )
    crops = np.stack([ramp + 0 * sway, 255 - ramp + 0 * sway, sway + 0 * ramp, (ramp + sway) / 2]) * ink
    vectors = np.asarray(embed(crops.astype(np.uint8)), np.float64)
    rows, columns = np.triu_indices(4, 1)
    return tuple((vectors @ vectors.T)[rows, columns].tolist())


def _share(same: np.ndarray) -> np.ndarray:
    """(P,) one over how many of its kind a set has, so that sets count alike."""
    return np.where(same, 1 / max(1, int(same.sum())), 1 / max(1, int((~same).sum())))


def _limits(strangers: np.ndarray) -> dict[float, float]:
    """Thresholds at the rates that so many pairs support."""
    return {rate: threshold(strangers, rate).distance for rate in RATES if len(strangers) * rate >= 3}


def _read(card: object) -> dict[str, Any]:
    """The fields of a calibration. Raises ValueError, in words of ours."""
    told = _object(card, "calibration")
    known = told.get("format") == FORMAT and told.get("distance") == "cosine"
    need(known, f"expected format {FORMAT}, of cosine distances")
    relations = _object(told.get("relations"), "relations")
    odd = [str(name)[:40] for name in relations if name not in RELATIONS]
    need(not odd, f"unknown relation {''.join(odd[:1])!r}; known: {', '.join(RELATIONS)}")
    apart = {
        key: None if told.get(key) is None else number(told[key], key) for key in ("strangers", "spread")
    }
    for key, value in apart.items():
        need(value is None or value > 0, f"{key}: expected a number above 0")
    return {
        "maps": {name: _map(each, name) for name, each in relations.items()},
        "thresholds": {name: _thresholds(each, name) for name, each in relations.items()},
        "print": numbers(told.get("print"), "print"),
        "data": str(told.get("data", "")),
        **apart,
    }


def _map(card: object, name: str) -> Map:
    told = _object(card, name)
    knots, odds = (numbers(told.get(key), f"{name}, {key}") for key in ("knots", "log_odds"))
    rising = all(a < b for a, b in zip(knots, knots[1:], strict=False))
    falling = all(a >= b for a, b in zip(odds, odds[1:], strict=False))
    good = 2 <= len(knots) == len(odds) <= 1000 and rising and falling
    need(good, f"{name}: expected knots that rise and log-odds that fall, two of each at least")
    same, different = (int(number(told.get(key), f"{name}, {key}")) for key in ("same", "different"))
    need(isinstance(told.get("source"), str), f"{name}, source: expected text")
    return Map(knots, odds, same, different, told["source"])


def _thresholds(card: object, name: str) -> dict[float, float]:
    name = f"{name}, thresholds"
    told = _object(_object(card, name).get("thresholds"), name)
    return {_rate(rate, name): number(distance, name) for rate, distance in told.items()}


def _rate(text: object, name: str) -> float:
    """A false-match rate, which JSON has as text."""
    try:
        rate = float(str(text))
    except ValueError:
        rate = math.nan
    need(0 < rate < 1, f"{name}: expected false-match rates between 0 and 1")
    return rate


def _object(value: object, name: str) -> Mapping[str, Any]:
    need(isinstance(value, Mapping), f"{name}: expected an object")
    return value  # type: ignore[return-value]
