"""Qdrant: a server, its client's own local mode (extra `qdrant`), or the same engine within this process
(extra `qdrant-edge`). Vectors are compared one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np

from retrace.configs.errors import InputError, install, one_line
from retrace.configs.files import CREDENTIALS
from retrace.tracker.memory.engines.engine import EVERYWHERE, SLACK, Rows, Where, ranked

PAGE = 10_000  # points listed at once
PIECE = 512  # points told at once: a request may have 32 MB


class PointStore(Protocol):
    """What a Qdrant of either kind does: a client's collection, or a shard in this process."""

    def put(self, ids: list[int], vectors: list[list[float]], labels: list[dict[str, Any]]) -> None: ...

    def drop(self, ids: list[int]) -> None: ...

    def near(self, vector: list[float], most: int, where: Where) -> Sequence[Any]: ...

    def listed(self, start: Any) -> tuple[Sequence[Any], Any]: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Qdrant:
    """One collection."""

    def __init__(self, address: str, collection: str, dimension: int) -> None:
        """
        Args:
            address: http://HOST:PORT or https://:KEY@HOST:PORT of a server, a folder or ":memory:" for the client's
                local mode, edge:FOLDER for the engine in this process.
            collection: its name; made if it is not there.
            dimension: of the vectors.

        Raises:
            InputError: the extra is not installed, no server there, a folder that is in use.
        """
        self._address, self._dimension = CREDENTIALS.sub(r"\1", address), dimension
        edge = address.removeprefix("edge:")
        extra = "qdrant" if edge == address else "qdrant-edge"
        try:
            with self._explained():
                self._points: PointStore = (
                    _Collection(address, collection, dimension)
                    if edge == address
                    else _Shard(Path(edge) / collection, dimension)
                )
        except ModuleNotFoundError:
            raise InputError(f"this engine needs the extra `{extra}`: {install(extra)}") from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the server, the network or the folder refuses, in one line; its own errors are of many kinds."""
        try:
            yield
        except (InputError, ModuleNotFoundError):
            raise
        except Exception as error:
            raise InputError(f"{self._address}: {one_line(error)}") from None

    def add(self, rows: Rows) -> None:
        for start in range(0, len(rows.id), PIECE):
            some = rows.take(np.arange(start, min(len(rows.id), start + PIECE)))
            names = ("check", "camera", "begin", "end")
            values = zip(*(getattr(some, name).tolist() for name in names), strict=True)
            labels = [dict(zip(names, line, strict=True)) for line in values]
            with self._explained():
                self._points.put(some.id.tolist(), some.vector.tolist(), labels)

    def remove(self, ids: np.ndarray) -> None:
        if len(ids):
            with self._explained():
                self._points.drop(ids.tolist())

    def search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        vectors = np.asarray(vectors, np.float32)
        found = [self._nearest(vector, most, where) for vector in vectors]
        none = np.zeros((0, most))
        ids, cosine = (np.concatenate([one[k] for one in found]) if found else none for k in (0, 1))
        return ids.astype(np.int64), cosine

    def _nearest(self, vector: np.ndarray, most: int, where: Where) -> tuple[np.ndarray, np.ndarray]:
        """(1, most) of each: more are asked for, until those that are left out are surely less like it. Among equals
        Qdrant has an order of its own."""
        off, ask = 2.0 * self._dimension * 2.0**-24, most + SLACK
        while True:
            with self._explained():
                points = self._points.near(vector.tolist(), ask, where)
            ids = np.array([[point.id for point in points]], np.int64).reshape(1, -1)
            theirs = np.array([[point.vector for point in points]], np.float32).reshape(
                1, -1, self._dimension
            )
            ids, cosine = ranked(vector[None], ids, theirs, most)
            if len(points) < ask or points[-1].score < cosine[0, -1] - off:
                return ids, cosine
            ask *= 4

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        both: list[tuple[int, int]] = []
        start = None
        while True:
            with self._explained():
                points, start = self._points.listed(start)
            both += [(point.id, point.payload["check"]) for point in points]
            if start is None:
                told = np.array(both, np.int64).reshape(-1, 2)
                return told[:, 0], told[:, 1]

    def flush(self) -> None:
        with self._explained():
            self._points.flush()

    def close(self) -> None:
        with self._explained():
            self._points.close()


class _Collection:
    """By `qdrant-client`."""

    def __init__(self, address: str, collection: str, dimension: int) -> None:
        import qdrant_client
        from qdrant_client import models

        self._models, self._name = models, collection
        # a server may have a graph; the client's own mode has none, and warns of being told so
        self._how = models.SearchParams(exact=True) if "://" in address else None
        if address == ":memory:":
            self._client = qdrant_client.QdrantClient(":memory:")
        elif "://" in address:
            key, bare = urlsplit(address).password, CREDENTIALS.sub(r"\1", address)
            self._client = qdrant_client.QdrantClient(
                url=bare, api_key=key, timeout=60, check_compatibility=False
            )
        else:
            self._client = qdrant_client.QdrantClient(path=address)
        if not self._client.collection_exists(collection):
            like = models.VectorParams(size=dimension, distance=models.Distance.DOT)
            self._client.create_collection(collection, vectors_config=like)

    def put(self, ids: list[int], vectors: list[list[float]], labels: list[dict[str, Any]]) -> None:
        some: Any = self._models.Batch(ids=[*ids], vectors=vectors, payloads=labels)
        self._client.upsert(self._name, some, wait=True)

    def drop(self, ids: list[int]) -> None:
        self._client.delete(self._name, self._models.PointIdsList(points=[*ids]), wait=True)

    def near(self, vector: list[float], most: int, where: Where) -> Sequence[Any]:
        m = self._models
        fits: list[Any] = []
        if where.cameras is not None:
            fits.append(m.FieldCondition(key="camera", match=m.MatchAny(any=[*where.cameras])))
        if where.since is not None:
            fits.append(m.FieldCondition(key="end", range=m.Range(gte=where.since)))
        if where.until is not None:
            fits.append(m.FieldCondition(key="begin", range=m.Range(lte=where.until)))
        told = self._client.query_points(
            self._name,
            vector,
            query_filter=m.Filter(must=fits),
            limit=most,
            with_payload=False,
            with_vectors=True,
            search_params=self._how,
        )
        return told.points

    def listed(self, start: Any) -> tuple[Sequence[Any], Any]:
        return self._client.scroll(self._name, limit=PAGE, offset=start, with_payload=["check"])

    def flush(self) -> None:
        """Each step was waited for."""

    def close(self) -> None:
        self._client.close()


class _Shard:
    """By `qdrant-edge-py`."""

    def __init__(self, folder: Path, dimension: int) -> None:
        import qdrant_edge

        self._edge = edge = qdrant_edge
        config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Dot))
        if folder.is_dir():
            self._shard = edge.EdgeShard.load(str(folder))
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._shard = edge.EdgeShard.create(str(folder), config)

    def put(self, ids: list[int], vectors: list[list[float]], labels: list[dict[str, Any]]) -> None:
        points = [self._edge.Point(*one) for one in zip(ids, vectors, labels, strict=True)]
        self._shard.update(self._edge.UpdateOperation.upsert_points(points))

    def drop(self, ids: list[int]) -> None:
        self._shard.update(self._edge.UpdateOperation.delete_points([*ids]))

    def near(self, vector: list[float], most: int, where: Where) -> Sequence[Any]:
        e = self._edge
        fits: list[Any] = []
        if where.cameras is not None:
            fits.append(e.FieldCondition(key="camera", match=e.MatchAny([*where.cameras])))
        if where.since is not None:
            fits.append(e.FieldCondition(key="end", range=e.RangeFloat(gte=where.since)))
        if where.until is not None:
            fits.append(e.FieldCondition(key="begin", range=e.RangeFloat(lte=where.until)))
        asked = e.QueryRequest(
            limit=most,
            query=e.Query.Nearest(vector),
            filter=e.Filter(must=fits),
            with_vector=True,
            params=e.SearchParams(exact=True),
        )
        return self._shard.query(asked)

    def listed(self, start: Any) -> tuple[Sequence[Any], Any]:
        asked = self._edge.ScrollRequest(offset=start, limit=PAGE, with_payload=True)
        return self._shard.scroll(asked)

    def flush(self) -> None:
        self._shard.flush()

    def close(self) -> None:
        self._shard.close()
