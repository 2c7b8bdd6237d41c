"""The truth of an identity memory: one SQLite file in WAL mode.

Tracklets are facts. Who they are is a log of assignments, merges and undos that only grows; a person is a view of it
(`partition`), so whatever was joined can be taken apart by one more row; who was kept apart by hand is kept apart as
long as that operation stands (`apart`). An id whose tracklets are all somebody else's now is nobody, until an undo
gives them back. Only forgetting and deleting remove rows.
What a committed transaction holds survives a killed process (WAL, synchronous=NORMAL).
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError

VERSION = "3"
BEFORE = "2"  # read as it is, and made a file of this version when it is opened to write
FULL = 2**16  # bytes left, below which a disk is full: a side file takes 32 kB
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE camera (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, clock REAL NOT NULL DEFAULT 0);
CREATE TABLE person (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, also after deleting
    created REAL NOT NULL, name TEXT, pinned INTEGER NOT NULL DEFAULT 0,
    total BLOB, folded INTEGER NOT NULL DEFAULT 0 -- sum of the unit vectors of tracklets whose own are gone
);
CREATE TABLE tracklet (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    camera INTEGER NOT NULL REFERENCES camera, source TEXT NOT NULL, track INTEGER NOT NULL,
    begin REAL NOT NULL, end REAL NOT NULL, boxes INTEGER NOT NULL,
    vector BLOB, -- float16 unit; NULL: folded into its person
    first_box BLOB, last_box BLOB, crop BLOB,
    UNIQUE (source, track, begin)
);
CREATE TABLE path (
    tracklet INTEGER PRIMARY KEY REFERENCES tracklet,
    places BLOB NOT NULL -- float64 (M, 4): s by the camera's own clock, x and y of the feet, height of the box, px
);
CREATE INDEX tracklet_time ON tracklet (end);
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, operation INTEGER NOT NULL, at REAL NOT NULL, by TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('assign', 'merge', 'undo', 'suggest', 'reject', 'forget')),
    a INTEGER NOT NULL, b INTEGER, evidence TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX log_assigned ON log (a) WHERE op = 'assign';
CREATE TABLE link (
    kind TEXT NOT NULL CHECK (kind IN ('must', 'cannot')), a INTEGER NOT NULL, b INTEGER NOT NULL,
    reason TEXT NOT NULL, -- 'operation N': by hand, as long as N stands
    PRIMARY KEY (kind, a, b, reason)
) WITHOUT ROWID;
CREATE TABLE transit (
    stop INTEGER PRIMARY KEY, -- camera that people come to
    counts BLOB NOT NULL -- float64 (2, cameras they come from, bins): sure joins, anybody
);
"""


class Store:
    """One open file; every method that writes belongs inside :meth:`writing`."""

    def __init__(
        self, path: str | Path, weights: str = "", dimension: int = 0, readonly: bool = False
    ) -> None:
        """
        Args:
            path: is made where it is not, unless ``readonly``.
            weights: what the vectors come from; a memory of other weights is refused. "": whatever it holds.
            dimension: of the vectors; 0: whatever it holds.

        Raises:
            InputError: not a memory, a damaged one, one of other weights, one that cannot be opened.
        """
        self.path = Path(path)
        if self.path.is_dir():
            raise InputError(f"{path}: is a folder; name a file for the memory")
        if readonly and not self.path.is_file():
            raise InputError(f"{path}: no such memory")
        with self._explained():
            mode = "ro" if readonly else "rwc"
            self.db = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode={mode}", uri=True, timeout=10, isolation_level=None
            )
            self._seen = -1
            try:
                self._prepare(weights, dimension, readonly)
            except BaseException:
                self.db.close()
                raise

    def _tables(self) -> set[str]:
        return {name for (name,) in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _prepare(self, weights: str, dimension: int, readonly: bool) -> None:
        tables = self._tables()
        if not tables and not readonly:
            if not (weights and dimension):
                raise InputError(
                    f"{self.path}: a new memory must know its weights and their vectors' dimension"
                )
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("BEGIN IMMEDIATE")
            if not self._tables():  # else another process has made it meanwhile
                for statement in SCHEMA.split(";\n"):
                    self.db.execute(statement)
                told = {"version": VERSION, "weights": weights, "dimension": str(dimension)}
                self.db.executemany("INSERT INTO meta VALUES (?, ?)", told.items())
            self.db.execute("COMMIT")
        elif not {"meta", "person", "tracklet", "log"} <= tables:
            raise InputError(f"{self.path}: is not an identity memory; name another file")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("PRAGMA secure_delete = ON")  # what is deleted is not to be found in the file
        meta = dict(self.db.execute("SELECT key, value FROM meta"))
        if meta.get("version") not in (BEFORE, VERSION):
            raise InputError(f"{self.path}: a memory of version {meta.get('version')}, this reads {VERSION}")
        if "weights" not in meta or not meta.get("dimension", "").isdecimal():
            raise InputError(
                f"{self.path}: is damaged: it does not say of which weights it is; restore a copy of it"
            )
        self.weights, self.dimension = meta["weights"], int(meta["dimension"])
        if (weights and not _same_file(weights, self.weights)) or (dimension and dimension != self.dimension):
            other = " ".join(word for word in (weights, f"({dimension})" if dimension else "") if word)
            raise InputError(
                f"{self.path}: was made with {self.weights} ({self.dimension} numbers a vector), not with {other}: "
                "vectors of two networks do not compare; use those weights or another memory"
            )
        if meta["version"] == BEFORE and not readonly:
            self._renew()
        if (
            not readonly
            and not self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_assigned'").fetchone()
        ):
            (index,) = (part for part in SCHEMA.split(";\n") if "CREATE INDEX log_assigned" in part)
            with suppress(sqlite3.OperationalError):  # a file of before; it only makes asking fast
                self.db.execute(index.replace("INDEX", "INDEX IF NOT EXISTS"))

    def _renew(self) -> None:
        """A file of the version before: a pair could be kept apart by one reason only."""
        (table,) = (part for part in SCHEMA.split(";\n") if "CREATE TABLE link" in part)
        self.db.execute("BEGIN IMMEDIATE")
        if self.db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone() == (BEFORE,):
            self.db.execute("ALTER TABLE link RENAME TO link_before")
            self.db.execute(table)
            self.db.execute("INSERT INTO link SELECT kind, a, b, reason FROM link_before")
            self.db.execute("DROP TABLE link_before")
            self.db.execute("UPDATE meta SET value = ? WHERE key = 'version'", (VERSION,))
        self.db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's refusals in one line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            why = str(error)
            if "locked" in why or "busy" in why:
                why = "another process is writing to it; try again, or end that one"
            elif "unable to open" in why or "readonly" in why:
                why = f"cannot be opened ({why}); SQLite writes beside it: copy it into a folder that takes files"
            elif "full" in why or ("I/O" in why and self._free() < FULL):
                why = "the disk is full; nothing of this step was kept"
            elif "I/O" in why:
                why = f"the disk failed ({why}); nothing of this step was kept"
            raise InputError(f"{self.path}: {why}") from None
        except sqlite3.ProgrammingError as error:
            known = {
                "closed database": "is closed; open it again",
                "same thread": "belongs to the thread that opened it; open it in each",
            }
            why = next((ours for theirs, ours in known.items() if theirs in str(error)), "")
            if not why:  # a mistake of ours
                raise
            raise InputError(f"{self.path}: {why}") from None
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.path}: is damaged or no memory ({error}); restore a copy of it"
            ) from None

    def _free(self) -> int:
        """Bytes left on its disk; where there are too few for its side files, SQLite calls that an I/O error."""
        return shutil.disk_usage(self.path.resolve().parent).free

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """All or nothing. Yields whether another process has written since `changed` was last asked: what was read
        before must then be read again. That stays so until it is asked: whoever only notes something here takes
        nothing of it away from whoever keeps arrays.

        Raises:
            InputError: another process keeps writing, a full disk, a damaged file.
        """
        with self._explained():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                (version,) = self.db.execute("PRAGMA data_version").fetchone()
                yield self._seen not in (-1, version)
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def as_it_was(self) -> Iterator[None]:
        """Several readings of one moment, whatever others write meanwhile; a transaction is one already."""
        with self._explained():
            if self.db.in_transaction:
                yield
                return
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                if self.db.in_transaction:  # a damaged file may have ended it
                    self.db.execute("COMMIT")

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._explained():
            return self.db.execute(query, values).fetchall()

    def changed(self) -> bool:
        """Whether another process has written since this one last looked."""
        ((version,),) = self.read("PRAGMA data_version")
        changed, self._seen = self._seen not in (-1, version), version
        return changed

    def collection(self) -> str:
        """What a server calls this memory's vectors: a name that no other memory has, but a copy of this file."""
        query = "SELECT value FROM meta WHERE key = 'collection'"
        if not self.read(query):
            with self.writing():
                told = ("collection", f"retrace_{secrets.token_hex(8)}")
                self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", told)
        return str(self.read(query)[0][0])

    def close(self) -> None:
        """Raises InputError: another thread opened it."""
        with self._explained():
            self.db.close()

    # -- writing; inside `writing`

    def camera(self, name: str) -> int:
        """The camera's number; a new name gets the next one."""
        self.db.execute(
            "INSERT OR IGNORE INTO camera (number, name) VALUES ((SELECT COUNT(*) FROM camera), ?)", (name,)
        )
        (number,) = self.db.execute("SELECT number FROM camera WHERE name = ?", (name,)).fetchone()
        return int(number)

    def new_person(self, at: float) -> int:
        """A global id: 64 bit, from 1, never given before."""
        return int(self.db.execute("INSERT INTO person (created) VALUES (?)", (at,)).lastrowid or 0)

    def operation(self) -> int:
        """A number for rows of the log that are undone together: that of the first of them, never given before."""
        last = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        return int(last[0]) + 1 if last else 1

    def append(
        self, operation: int, at: float, by: str, op: str, a: int, b: int | None, **evidence: Any
    ) -> int:
        """One row of the log; returns its number."""
        text = json.dumps({key: value for key, value in evidence.items() if value is not None})
        row = (operation, at, by, op, a, b, text)
        insert = "INSERT INTO log (operation, at, by, op, a, b, evidence) VALUES (?, ?, ?, ?, ?, ?, ?)"
        return int(self.db.execute(insert, row).lastrowid or 0)

    # -- reading

    def partition(self) -> tuple[dict[int, int], dict[int, int]]:
        """What the log says now: tracklet -> person, and merged-away person -> the one it is part of.

        Rows of an operation that was undone do not count; of a tracklet's assignments the newest does, of merges all.
        """
        person_of, alias = self.assigned(), self._merged()
        return {t: canonical(p, alias) for t, p in person_of.items()}, {p: canonical(p, alias) for p in alias}

    def assigned(self) -> dict[int, int]:
        """Tracklet -> person, as if nobody were merged."""
        undone = self.undone()
        rows = self.read("SELECT operation, a, b FROM log WHERE op = 'assign' ORDER BY seq")
        return {a: b for operation, a, b in rows if operation not in undone}

    def _merged(self) -> dict[int, int]:
        """Younger person -> an older one whom he is part of."""
        undone = self.undone()
        rows = self.read("SELECT operation, a, b FROM log WHERE op = 'merge' ORDER BY seq")
        alias: dict[int, int] = {}
        for older, younger in (sorted((a, b)) for operation, a, b in rows if operation not in undone):
            one, other = sorted((canonical(older, alias), canonical(younger, alias)))
            if one != other:  # one already, by a merge that was undone and stands again
                alias[other] = one
        return alias

    def decided(self, tracklet: int) -> tuple[dict[str, Any], list[int]]:
        """Why a tracklet was first put where it was, and whom else it was said to be like, the likeliest first."""
        query = "SELECT seq, evidence FROM log WHERE op = 'assign' AND a = ? ORDER BY seq LIMIT 1"
        found = self.read(query, (tracklet,))
        if not found:
            return {}, []
        operation, text = found[0]
        beside = "SELECT a FROM log WHERE seq IN (?1 + 1, ?1 + 2) AND operation = ?1 AND op = 'suggest' ORDER BY seq"
        return json.loads(text), [a for (a,) in self.read(beside, (operation,))]

    def called(self) -> dict[int, tuple[str | None, bool]]:
        """Person -> name and whether pinned, of those who have tracklets. A name goes with who is merged, unless the
        older one has his own; so does a pin."""
        member, alias = self.partition()
        there = {*member.values()}
        found: dict[int, tuple[str | None, bool]] = {}
        for person, name, pinned in self.read("SELECT id, name, pinned FROM person ORDER BY id"):
            whole = alias.get(person, person)
            if whole in there:
                before, pin = found.get(whole, (None, False))
                found[whole] = before or name, pin or bool(pinned)
        return found

    def undone(self) -> set[int]:
        """Operations that were taken back, and are not there again."""
        found: set[int] = set()
        for operation, of in self.read("SELECT operation, a FROM log WHERE op = 'undo' ORDER BY seq DESC"):
            if operation not in found:  # an undo that was itself undone undoes nothing
                found.add(of)
        return found

    def apart(self) -> list[tuple[int, int, str]]:
        """(tracklet, tracklet, reason) of those who are surely not one person: seen together, or kept apart by an
        operation that stands."""
        taken_back = {f"operation {operation}" for operation in self.undone()}
        rows = self.read("SELECT a, b, reason FROM link WHERE kind = 'cannot'")
        return [(a, b, why) for a, b, why in rows if why not in taken_back]


def begun(path: Path) -> bool:
    """Whether there is something to open: not where a process died while it made a memory, an empty database."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            return db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
    except sqlite3.Error:
        return path.exists()  # :class:`Store` says what is wrong with it


def canonical(person: int, alias: dict[int, int]) -> int:
    """The person whom ``person`` is part of, after all merges."""
    while person in alias:
        person = alias[person]
    return person


def to_blob(vector: np.ndarray) -> bytes:
    """(D,) -> float16 bytes, little endian."""
    return vector.astype("<f2").tobytes()


def from_blob(blob: bytes) -> np.ndarray:
    """float16 bytes -> (D,) float32."""
    return np.frombuffer(blob, "<f2").astype(np.float32)


def _same_file(one: str, other: str) -> bool:
    """Whether two names of weights ("FILE HASH", or whatever a caller calls them) mean the same bytes."""
    words, others = one.split(), other.split()
    return one == other or (len(words) == len(others) == 2 and words[1] == others[1])
