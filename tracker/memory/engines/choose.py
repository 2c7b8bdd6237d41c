"""Which engine: by name, or by how many vectors there are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from retrace.configs.errors import InputError, nearest
from retrace.tracker.memory.engines.engine import Engine
from retrace.tracker.memory.engines.exact import Exact
from retrace.tracker.memory.engines.hnsw import Hnsw, faiss, flat_scan
from retrace.tracker.memory.engines.postgres import Postgres
from retrace.tracker.memory.engines.qdrant import Qdrant

NAMES = ("auto", "exact", "flat", "hnsw", "postgres", "qdrant")
MANY = 1_000_000  # vectors from which comparing all takes long: a quarter of a second


def open_engine(name: str, memory: Path, collection: str, dimension: int, count: int) -> Engine:
    """An engine by name.

    Args:
        name: "exact" (NumPy), "flat" (faiss, the same answers), "hnsw" or "hnsw:N" (a graph, of which N vectors are
            looked at; its file is MEMORY.hnsw), "postgres:ADDRESS", "qdrant:ADDRESS" (their classes say what that may
            be), or "auto": the fastest installed one that answers exactly, from `MANY` vectors on the graph.
        memory: the memory's file.
        collection: what a server calls this memory's vectors.
        dimension: of the vectors.
        count: how many there are.

    Raises:
        InputError: no such engine, its extra is not installed, no such server.

    Example:
        >>> from pathlib import Path
        >>> from retrace.tracker.memory.engines import open_engine
        >>> engine = open_engine("exact", Path("people.db"), "people", dimension=512, count=0)
        >>> engine.held()[0].shape
        (0,)
    """
    kind, rest = check_engine(name)
    if kind == "auto":
        kind = "exact" if find_spec("faiss") is None else "hnsw" if count >= MANY else "flat"
    match kind:
        case "exact":
            return Exact(dimension)
        case "flat":
            faiss()
            return Exact(dimension, flat_scan)
        case "hnsw":
            return Hnsw(dimension, cache_of(memory), _look_at(rest))
        case "postgres":
            return Postgres(rest, collection, dimension)
        case _:
            return Qdrant(rest, collection, dimension)


def cache_of(memory: Path) -> Path:
    """The file beside a memory that holds its vectors once more, where a graph was made of them.

    Example:
        >>> from pathlib import Path
        >>> from retrace.tracker.memory.engines import cache_of
        >>> cache_of(Path("runs/people.db")).name
        'people.db.hnsw'
    """
    return memory.with_name(memory.name + ".hnsw")


def check_engine(name: str) -> tuple[str, str]:
    """The engine, and what follows its name; nothing is opened.

    Raises:
        InputError: no such engine, an address too many or too few.

    Example:
        >>> from retrace.tracker.memory.engines import check_engine
        >>> check_engine("hnsw:200")
        ('hnsw', '200')
    """
    kind, _, rest = name.partition(":")
    if kind not in NAMES:
        raise InputError(f"engine {kind[:40]}: {nearest(kind, NAMES)}")
    if (kind in ("postgres", "qdrant")) != bool(rest) and kind != "hnsw":
        raise InputError(
            f"engine {kind} takes nothing more" if rest else f"engine {kind} takes an address: {kind}:ADDRESS"
        )
    if kind == "hnsw":
        _look_at(rest)
    return kind, rest


def _look_at(text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 10_000):
        raise InputError(f"engine hnsw:{text[:20]}: expected how many vectors are looked at, 1 to 10000")
    return int(text) if text else None
