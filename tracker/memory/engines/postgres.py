"""PostgreSQL with pgvector: every vector compared, on another machine (extra `postgres`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from retrace.configs.errors import FOREIGN, InputError, install, one_line, shorten
from retrace.configs.files import CREDENTIALS
from retrace.tracker.memory.engines.engine import EVERYWHERE, NONE, SLACK, Rows, Where, ranked

# numbers of a vector that fit beside each other in a page; longer ones lie apart and are slower
INLINE = 1_900


class Postgres:
    """One table of one database. Adding is a transaction, so the table is whole whatever breaks."""

    def __init__(self, address: str, table: str, dimension: int) -> None:
        """
        Args:
            address: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or ...?host=/FOLDER for a socket there.
            table: its name, letters, digits and _; made if it is not there.
            dimension: of the vectors.

        Raises:
            InputError: the extra is not installed, no server there, one without pgvector, no right to make a table.
        """
        try:
            import pg8000.native as driver
        except ModuleNotFoundError:
            raise InputError(f"this engine needs the extra `postgres`: {install('postgres')}") from None
        self._errors = (driver.DatabaseError, driver.InterfaceError, OSError)
        self._name, self._table, self._dimension = CREDENTIALS.sub(r"\1", address), table, dimension
        with self._explained():
            self._link = driver.Connection(**_told(address), timeout=60)
            self._link.run("CREATE EXTENSION IF NOT EXISTS vector")
            self._link.run(
                f"CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, told bigint NOT NULL, "
                f"camera bigint NOT NULL, began float8 NOT NULL, ended float8 NOT NULL, "
                f"vector vector({dimension}) NOT NULL)"
            )
            if dimension <= INLINE:
                self._link.run(f"ALTER TABLE {table} ALTER vector SET STORAGE PLAIN")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the server or the network refuses, in one line."""
        try:
            yield
        except self._errors as error:
            told = error.args[0] if error.args else None
            said = told.get("M") if isinstance(told, dict) else None  # the server's own words
            why = one_line(error) if said is None else shorten(said, FOREIGN)
            hint = "; install pgvector there" if 'extension "vector"' in why else ""
            raise InputError(f"{self._name}: {why}{hint}") from None

    def add(self, rows: Rows) -> None:
        with self._explained():
            self._link.run(f"COPY {self._table} FROM STDIN (FORMAT binary)", stream=BytesIO(_copied(rows)))

    def remove(self, ids: np.ndarray) -> None:
        if len(ids):
            with self._explained():
                self._link.run(f"DELETE FROM {self._table} WHERE id = ANY(:ids)", ids=ids.tolist())

    def search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        conditions = {
            "camera = ANY(:cameras)": ("cameras", None if where.cameras is None else list(where.cameras)),
            "ended >= :since": ("since", where.since),
            "began <= :until": ("until", where.until),
        }
        told = {name: value for name, value in conditions.values() if value is not None}
        fits = [condition for condition, (name, _) in conditions.items() if name in told]
        query = (
            f"SELECT id, vector FROM {self._table} {'WHERE ' + ' AND '.join(fits) if fits else ''} "
            "ORDER BY vector <#> CAST(:photo AS vector), id LIMIT :most"
        )
        ids = np.full((len(vectors), most + SLACK), NONE, np.int64)
        found = np.zeros((*ids.shape, self._dimension), np.float32)
        with self._explained():
            for k, vector in enumerate(vectors.tolist()):
                lines = self._link.run(query, photo=str(vector), most=most + SLACK, **told)
                ids[k, : len(lines)] = [one for one, _ in lines]
                for j, (_, text) in enumerate(lines):
                    found[k, j] = np.fromstring(text[1:-1], np.float32, sep=",")
        return ranked(np.asarray(vectors, np.float32), ids, found, most)

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        with self._explained():
            lines = self._link.run(f"SELECT id, told FROM {self._table}")
        both = np.array(lines, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def flush(self) -> None:
        """Each step was a transaction."""

    def close(self) -> None:
        with self._explained():
            self._link.close()


def _told(address: str) -> dict[str, Any]:
    """What the driver calls the parts of an address."""
    parts, shown = urlsplit(address), CREDENTIALS.sub(r"\1", address)[:100]
    if parts.scheme not in ("postgresql", "postgres"):
        raise InputError(f"{shown}: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    try:
        port = parts.port or 5432
    except ValueError:
        raise InputError(f"{shown}: no such port") from None
    user = unquote(parts.username or "postgres")
    password = unquote(parts.password) if parts.password else None
    told = {"user": user, "password": password, "database": parts.path.strip("/") or "postgres"}
    folder = parse_qs(parts.query).get("host", [""])[0]
    if folder.startswith("/"):
        return told | {"unix_sock": f"{folder}/.s.PGSQL.{port}"}
    return told | {"host": parts.hostname or "localhost", "port": port}


def _copied(rows: Rows) -> bytes:
    """PostgreSQL's binary form of COPY: before each row how many fields it has, before each field its bytes."""
    dimension = rows.vector.shape[1]
    fields = [("id", ">i8"), ("check", ">i8"), ("camera", ">i8"), ("begin", ">f8"), ("end", ">f8")]
    kind = [("fields", ">i2")]
    for name, one in fields:
        kind += [(f"bytes_{name}", ">i4"), (name, one)]
    kind += [("bytes_vector", ">i4"), ("numbers", ">i2"), ("unused", ">i2")]
    told = np.zeros(len(rows.id), np.dtype([*kind, ("vector", ">f4", (dimension,))]))
    told["fields"], told["numbers"], told["bytes_vector"] = len(fields) + 1, dimension, 4 + 4 * dimension
    for name, _ in fields:
        told[f"bytes_{name}"], told[name] = 8, getattr(rows, name)
    told["vector"] = rows.vector
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + told.tobytes() + b"\xff\xff"
