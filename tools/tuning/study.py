"""The file of a tuning: finished trials as Optuna studies in SQLite; and what Optuna is asked: the next points."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.errors import install, one_line
from retrace.eval.mot.score import Metrics, combine
from retrace.tools.tuning.clips import metrics_from_json, metrics_to_json
from retrace.tools.tuning.space import Params, Space

LEASE = 600.0  # s after which a point that another machine's process took is taken again
POOL = "pool"  # the search that is all searches' beginning
TRIES = 50  # draws for one point that the preset does not refuse
SAME = 1e-9  # figures of one configuration differ by less, whatever the machine


@dataclass(frozen=True, slots=True)
class Trial:
    """One point and what it scored, by sequence."""

    params: Params
    metrics: Mapping[str, Metrics]

    def value(self, names: Sequence[str], metric: str) -> float:
        """The metric of these sequences combined."""
        return figure([self.metrics[name] for name in names], metric)


def figure(parts: Sequence[Metrics], metric: str) -> float:
    return float(combine(parts).row()[metric])


class StudyFile:
    """Finished trials as Optuna studies in a SQLite file; in a table beside them, who is at which point."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Open or begin.

        Args:
            path: the file.
            about: all that a score depends on; a file begun with anything else is refused.

        Raises:
            InputError: no such study file, or one of another tuning; the message says what differs.
        """
        with explained(path):
            _check_kind(path)
            import optuna

            optuna.logging.set_verbosity(optuna.logging.WARNING)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._storage = optuna.storages.RDBStorage(
                f"sqlite:///{path.resolve()}", engine_kwargs={"connect_args": {"timeout": 60.0}}
            )
            self._studies: dict[str, Any] = {}
            self._claims = sqlite3.connect(path, timeout=60.0, isolation_level=None)
            self._claims.execute(
                "CREATE TABLE IF NOT EXISTS retrace_claims (search TEXT, number INTEGER, host TEXT, pid INTEGER, "
                "at REAL, PRIMARY KEY (search, number))"
            )
            self._me = (socket.gethostname(), os.getpid())
            self._claims.execute("DELETE FROM retrace_claims WHERE host = ? AND pid = ?", self._me)
            pool = self._study(POOL)
            if "about" not in pool.user_attrs:
                pool.set_user_attr("about", about)
        before = pool.user_attrs["about"]
        for key in about:
            if before.get(key) != about[key]:
                raise InputError(
                    f"`study` {path}: its trials were made with other {key}; name another file for a new tuning"
                )

    def close(self) -> None:
        self._claims.close()
        self._storage.engine.dispose()

    def _study(self, search: str) -> Any:
        import optuna

        if search not in self._studies:
            self._studies[search] = optuna.create_study(
                storage=self._storage, study_name=search, direction="maximize", load_if_exists=True
            )
        return self._studies[search]

    def learn(self, search: str, known: dict[int, Trial]) -> None:
        """Add to ``known`` the trials of a search that are not there yet, by number."""
        for kept in self._study(search).get_trials(deepcopy=False):
            number = kept.user_attrs["number"]
            if number not in known:
                metrics = {name: metrics_from_json(m) for name, m in kept.user_attrs["metrics"].items()}
                known[number] = Trial(kept.params, metrics)

    def same_as_before(self, preset: Mapping[str, float]) -> bool:
        """Whether the preset's figures are those of the study's beginning, which this call may be."""
        pool = self._study(POOL)
        if "preset" not in pool.user_attrs:
            pool.set_user_attr("preset", dict(preset))
        before = pool.user_attrs["preset"]
        return all(abs(before[name] - preset[name]) < SAME for name in preset)

    def claim(self, search: str, number: int) -> bool:
        """Take a point, so that no other process works on it; False: another one does."""
        key = (search, number)
        row = self._claims.execute(
            "SELECT host, pid, at FROM retrace_claims WHERE search = ? AND number = ?", key
        ).fetchone()
        if row is not None:
            host, pid, at = row
            if time.time() - at < LEASE and (host != self._me[0] or _lives(pid)):
                return False
            self._claims.execute(
                "DELETE FROM retrace_claims WHERE search = ? AND number = ? AND host = ? AND pid = ? AND at = ?",
                (*key, *row),
            )
        done = self._claims.execute(
            "INSERT OR IGNORE INTO retrace_claims VALUES (?, ?, ?, ?, ?)", (*key, *self._me, time.time())
        )
        return done.rowcount == 1

    def add(self, search: str, number: int, trial: Trial, value: float, space: Space) -> None:
        """Keep a finished trial: all of it, or nothing."""
        import optuna

        kept = {name: metrics_to_json(m) for name, m in trial.metrics.items()}
        self._study(search).add_trial(
            optuna.trial.create_trial(
                params=trial.params,
                distributions=distributions(space),
                value=value,
                user_attrs={"number": number, "metrics": kept},
            )
        )


def _check_kind(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    names = sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True).execute(
        "SELECT name FROM sqlite_master"
    )
    if "studies" not in {name for (name,) in names}:
        raise InputError(f"`study` {path}: a database, but not of a tuning; name another file")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What can go wrong with the file, in one line."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"tuning needs {error.name}: {install('tune')}") from None
    except sqlite3.DatabaseError as error:
        raise InputError(f"`study` {path}: not a usable SQLite file ({error})") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: Optuna's, for a file of another Optuna
        raise InputError(f"`study` {path}: {one_line(error)}") from None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def distributions(space: Space) -> dict[str, Any]:
    """The space in Optuna's words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for key, p in space.parameters.items():
        if p.choices is not None:
            found[key] = CategoricalDistribution(p.choices)
            continue
        low, high = p.ends
        if p.whole:
            found[key] = IntDistribution(int(low), int(high), log=p.log, step=int(p.step or 1))
        else:
            found[key] = FloatDistribution(float(low), float(high), log=p.log, step=p.step)
    return found


def propose(space: Space, history: Sequence[tuple[Params, float]], seed: int, count: int) -> list[Params]:
    """The next ``count`` points by TPE (Bergstra 2011), from points and their values (larger is better).

    The points of one batch are asked for without an answer in between: Optuna's constant liar takes the
    ones before for bad, so that they do not crowd. Combinations that the preset refuses are not proposed.

    Raises:
        InputError: hardly any combination is valid.
    """
    import optuna

    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    asked = distributions(space)
    study.add_trials(
        [optuna.trial.create_trial(params=p, distributions=asked, value=value) for p, value in history]
    )
    found: list[Params] = []
    for _ in range(TRIES * count):
        trial = study.ask(asked)
        params = {key: space.parameters[key].tidy(value) for key, value in trial.params.items()}
        if not space.allows(params):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        found.append(params)
        if len(found) == count:
            return found
    raise space.unfit()
