"""The search of tools/tune.py: who proposes which point, and from which scores.

No score of a held-out sequence may guide a search. There is one search for each fold, which sees the fold's
other sequences only, and one for the preset to ship, which sees all. Their first points fill the space
without a look at any score; so they are drawn once, scored on every sequence, and shared ("the pool").
Everything after them is proposed by TPE, by each search from its own scores.

Proposals come in batches of ``BATCH``: a batch depends on the seed and on the batches before it, not on how
many processes work, which of them is first, or how often the search was stopped.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import numpy as np

from retrace.configs import InputError
from retrace.eval.mot.score import Metrics
from retrace.tools.tuning.clips import ClipFiles, Score, score
from retrace.tools.tuning.space import Params, Space
from retrace.tools.tuning.study import POOL, StudyFile, Trial, figure, propose

SHARED = 16  # points drawn before any score is known; TPE wants ten at least
BATCH = 4  # points proposed at a time; more keep more processes busy, and learn later
LOOK = 2.0  # s between looks at what other processes have done


@dataclass(frozen=True, slots=True)
class Search:
    """One search: the sequences whose scores guide it, and those it must not know."""

    name: str
    train: tuple[str, ...]
    held: tuple[str, ...] = ()


@dataclass(slots=True)
class Plan:
    """All that a tuning is made of."""

    space: Space
    clips: tuple[ClipFiles, ...]
    benchmark: str
    metric: str
    searches: tuple[Search, ...]  # the folds', then the one that sees all sequences
    trials: int  # of each search, the pool's included
    seed: int
    cold: bool  # the preset's own values are no candidate


@dataclass(slots=True)
class Tuning:
    """A tuning in progress."""

    plan: Plan
    file: StudyFile
    finished: dict[str, dict[int, Trial]] = field(default_factory=dict)  # by search, then number
    seconds: dict[str, float] = field(default_factory=dict)  # of CPU, by stage, of this run
    scored: int = 0  # sequences scored by this run
    _batches: dict[tuple[str, int], list[Params]] = field(default_factory=dict)
    _first: list[Params] = field(default_factory=list)

    def __post_init__(self) -> None:
        preset = None if self.plan.cold else self.plan.space.preset_params()
        own = [] if preset is None else [preset]
        drawn = self.plan.space.spread(SHARED - len(own), self.plan.seed)
        self._first = [*own, *drawn][: self.plan.trials]
        self.refresh()

    @property
    def pool(self) -> Search:
        """The shared points are scored on every sequence."""
        return Search(POOL, tuple(one.name for one in self.plan.clips))

    @property
    def shared(self) -> int:
        """How many points the searches have in common."""
        return len(self._first)

    @property
    def total(self) -> int:
        """Trials to be done in all."""
        return len(self._first) + len(self.plan.searches) * (self.plan.trials - len(self._first))

    @property
    def done(self) -> int:
        """Of them, those that are."""
        return sum(sum(n < self.plan.trials for n in found) for found in self.finished.values())

    def refresh(self) -> None:
        """Learn what other processes have finished."""
        for search in (self.pool, *self.plan.searches):
            self.file.learn(search.name, self.finished.setdefault(search.name, {}))

    def run(self, executor: Executor, jobs: int, told: Callable[[int, int], None]) -> None:
        """Work until every search has its trials, whoever did them."""
        working: dict[Future, tuple[Search, int, Params, dict[str, Metrics]]] = {}
        looked = time.monotonic()
        while True:
            told(self.done, self.total)
            for search, number in self._open({(s.name, n) for s, n, *_ in working.values()}):
                if len(working) >= jobs + (jobs > 1):  # one more waits, so that nobody does
                    break
                if self.file.claim(search.name, number):
                    params = self._params(search, number)
                    known = self._known(params, search)
                    working[self._submit(executor, params, search, known)] = (search, number, params, known)
            if not working and self.done >= self.total:
                return
            ready = wait(working, timeout=LOOK, return_when=FIRST_COMPLETED).done if working else set()
            for future in ready:
                search, number, params, known = working.pop(future)
                self._keep(search, number, params, {**known, **self._answer(future)})
            if time.monotonic() - looked > LOOK or not (ready or working):
                if not (ready or working):
                    time.sleep(LOOK / 4)  # all that can be done is in other hands
                self.refresh()
                looked = time.monotonic()

    def check_preset(self, executor: Executor) -> dict[str, Metrics]:
        """The preset's own metrics, scored anew.

        Raises:
            InputError: they are not what they were: the tracker has changed, and the file's trials are stale.
        """
        plan = self.plan
        future = executor.submit(score, plan.clips, plan.benchmark, plan.space.config({}))
        found = self._answer(future)
        if not self.file.same_as_before({n: figure([m], plan.metric) for n, m in found.items()}):
            raise InputError(
                "the preset scores otherwise than when this study began: the code has changed; name another `study`"
            )
        return found

    def score(
        self, executor: Executor, wanted: Sequence[tuple[Params, tuple[str, ...]]]
    ) -> list[dict[str, Metrics]]:
        """Metrics of points on sequences, in the searches' scores or not; nothing is kept."""
        waiting = []
        for params, names in wanted:
            search = Search("", names)
            known = self._known(params, search)
            waiting.append((names, known, self._submit(executor, params, search, known)))
        answers = [{**known, **self._answer(future)} for _, known, future in waiting]
        return [{n: a[n] for n in names} for (names, *_), a in zip(waiting, answers, strict=True)]

    def trials_of(self, search: Search) -> list[Trial]:
        """A search's candidates: the shared points, then its own, in order."""
        pool, own = self.finished[POOL], self.finished[search.name]
        shared = [pool[n] for n in range(len(self._first))]
        return shared + [own[n] for n in range(len(shared), self.plan.trials)]

    def best(self, search: Search) -> Trial:
        """The first of the best by the sequences that the search may see."""
        return max(self.trials_of(search), key=lambda t: t.value(search.train, self.plan.metric))

    def _open(self, working: set[tuple[str, int]]) -> list[tuple[Search, int]]:
        """Points that can be worked on now: the pool's, then each search's batch, those behind first."""
        pool = self.finished[POOL]
        left = [n for n in range(len(self._first)) if n not in pool]
        if left:
            return [(self.pool, n) for n in left if (POOL, n) not in working]
        ready = []
        for search in self.plan.searches:
            own, shared = self.finished[search.name], len(self._first)
            behind = next((n for n in range(shared, self.plan.trials) if n not in own), self.plan.trials)
            start = behind - (behind - shared) % BATCH
            for n in range(behind, min(start + BATCH, self.plan.trials)):
                if n not in own and (search.name, n) not in working:
                    ready.append((n, search))
        return [(search, n) for n, search in sorted(ready, key=lambda entry: entry[0])]

    def _params(self, search: Search, number: int) -> Params:
        """The point that this number stands for, today and after any interruption."""
        if search.name == POOL:
            return self._first[number]
        batch, place = divmod(number - SHARED, BATCH)
        if (search.name, batch) not in self._batches:
            until = SHARED + batch * BATCH
            before = [self.finished[POOL][n] for n in range(SHARED)]
            before += [self.finished[search.name][n] for n in range(SHARED, until)]
            metric, plan = self.plan.metric, self.plan
            history = [(trial.params, trial.value(search.train, metric)) for trial in before]
            words = np.random.SeedSequence([plan.seed, zlib.crc32(search.name.encode()), batch])
            points = propose(plan.space, history, int(words.generate_state(1)[0]), BATCH)
            self._batches[search.name, batch] = points
        return self._batches[search.name, batch][place]

    def _known(self, params: Params, search: Search) -> dict[str, Metrics]:
        """What is known already of a point on the search's sequences: TPE proposes some points again."""
        known: dict[str, Metrics] = {}
        for trials in self.finished.values():
            for trial in trials.values():
                if trial.params == params:
                    known |= {n: m for n, m in trial.metrics.items() if n in search.train}
        return known

    def _submit(
        self, executor: Executor, params: Params, search: Search, known: Mapping[str, Metrics]
    ) -> Future:
        files = tuple(one for one in self.plan.clips if one.name in search.train and one.name not in known)
        return executor.submit(score, files, self.plan.benchmark, self.plan.space.config(params))

    def _answer(self, future: Future) -> dict[str, Metrics]:
        try:
            answer: Score = future.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed (memory?): try fewer `jobs`; the study goes on where it stood"
            ) from None
        self.scored += len(answer.metrics)
        for stage, seconds in answer.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        return answer.metrics

    def _keep(self, search: Search, number: int, params: Params, metrics: dict[str, Metrics]) -> None:
        trial = Trial(params, {name: metrics[name] for name in search.train})
        value = trial.value(search.train, self.plan.metric)
        self.file.add(search.name, number, trial, value, self.plan.space)
        self.finished[search.name][number] = trial
