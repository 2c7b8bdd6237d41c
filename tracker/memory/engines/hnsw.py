"""What faiss does: a faster exact scan, and a graph for about a million vectors on.

The graph is Malkov and Yashunin's HNSW (2018) over float16, which is what the memory's file holds, so nothing is lost
by it. Cells and product codes (IVF, PQ) are not offered: vectors of many people are clusters of a few views each, which
k-means fits badly (recall .33 to .96 where the graph has .99).
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from retrace.configs.errors import InputError, install
from retrace.configs.files import atomic_write, writing
from retrace.tracker.memory.engines.engine import EVERYWHERE, NONE, SLACK, Rows, Where, ranked
from retrace.tracker.memory.engines.exact import Labels, exactly

LINKS = 32  # of a vector in the graph
BUILD = 100  # vectors looked at when one is put in
LEAST, UTMOST = 32, 1024  # vectors looked at in a search
ASKED = 0.98  # recall of the nearest
# So many nearest tell the recall: a person has few tracklets. Strangers, who come after them, a graph finds late, and
# nobody asks for them.
JUDGED = 5
SAMPLE = 200  # of its own vectors, whose nearest tell the recall
FEW = 50_000  # so many are compared one by one: a graph that may use only some of its vectors finds little
GROWN = 1.1  # times as many: the recall is measured anew
DEAD = 0.25  # share of removed vectors from which the graph is made anew
FORMAT = "retrace hnsw 1"
PIECE = 2**24  # bytes read at once


def faiss() -> Any:
    """The package; the extra `search`."""
    try:
        import faiss as found
    except ModuleNotFoundError:
        raise InputError(f"this engine needs the extra `search`: {install('search')}") from None
    return found


def flat_scan(vectors: np.ndarray, gallery: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """See `exact.Scan`."""
    library = faiss()
    if not (len(vectors) and len(gallery)):
        return np.zeros((len(vectors), 0), np.int64), np.zeros((len(vectors), 0), np.float32)
    most = min(most, len(gallery))
    cosine, place = library.knn(vectors, gallery, most, metric=library.METRIC_INNER_PRODUCT)
    return place, cosine


class Hnsw:
    """A graph of near vectors, and its file: a cache beside the memory's, which is made anew when it does not fit.

    How many vectors a search looks at is chosen on the gallery itself: the least of `LEAST`, half as many more, twice
    that, ... whose recall is `ASKED`, as measured on the `JUDGED` nearest of `SAMPLE` of its vectors against comparing
    all.
    """

    def __init__(self, dimension: int, path: Path | None = None, look_at: int | None = None) -> None:
        """
        Args:
            dimension: of the vectors.
            path: where the graph is kept; None: nowhere.
            look_at: vectors looked at in a search; None: as many as the recall asks for.

        Raises:
            InputError: the extra `search` is not installed.
        """
        self._faiss, self._dimension, self._path = faiss(), dimension, path
        self._fixed = look_at
        self.recall = float("nan")  # of the `JUDGED` nearest, on its own vectors; NaN: not measured
        self._empty()
        if path is not None and path.is_file():
            self._load(path)

    def _empty(self) -> None:
        library = self._faiss
        kind = library.ScalarQuantizer.QT_fp16
        self._index = library.IndexHNSWSQ(self._dimension, kind, LINKS, library.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = BUILD
        self._index.is_trained = True  # float16 has nothing to learn
        there = self._path is not None and self._path.is_file()  # of what is no longer: not to stay
        self._labels, self._measured, self._written = Labels(), 0, -1 if there else 0
        self.look_at = self._fixed or LEAST

    def _gallery(self) -> np.ndarray:
        """(N, D) float16, the graph's own."""
        codes = self._faiss.downcast_index(self._index.storage).codes
        size = self._labels.size
        if not size:
            return np.zeros((0, self._dimension), "<f2")
        flat = self._faiss.rev_swig_ptr(codes.data(), codes.size())
        return np.asarray(flat.view("<f2").reshape(size, self._dimension))

    def add(self, rows: Rows) -> None:
        if not len(rows.id):
            return
        self._labels.add(rows)
        self._index.add(np.ascontiguousarray(rows.vector, np.float32))
        self._written = -1

    def remove(self, ids: np.ndarray) -> None:
        labels = self._labels
        before = int(labels.here[: labels.size].sum())
        labels.remove(ids)
        here = labels.here[: labels.size]
        if int(here.sum()) == before:
            return
        self._written = -1
        self._gallery()[~here] = 0  # nothing of them is in the file
        if (~here).mean() > DEAD:
            keep = here.nonzero()[0]
            vectors = self._gallery()[keep].astype(np.float32)
            kept = (labels.id, labels.check, labels.camera, labels.begin, labels.end)
            ids, check, camera, begin, end = (array[keep] for array in kept)
            told = Rows(ids, check, camera, begin, end, vectors)
            self._empty()
            self.add(told)

    def search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        self._measure()
        return self._search(np.ascontiguousarray(vectors, np.float32), most, where)

    def _search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        labels, library = self._labels, self._faiss
        rows = labels.fitting(where)
        count = labels.size if rows is None else len(rows)
        if count <= max(FEW, 2 * most) and self._fixed is None:
            return self._exactly(vectors, most, rows)
        ask = min(count, most + SLACK)
        told = {"efSearch": max(self.look_at, ask)}
        if rows is not None:
            told["sel"] = self._only(rows)
        _, place = self._index.search(vectors, ask, params=library.SearchParametersHNSW(**told))
        ids = np.where(place < 0, NONE, labels.id[np.maximum(place, 0)])
        return ranked(vectors, ids, self._gallery()[np.maximum(place, 0)], most)

    def _exactly(
        self, vectors: np.ndarray, most: int, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """All of them, or some places, compared one by one."""
        library, storage = self._faiss, self._faiss.downcast_index(self._index.storage)
        only = None if rows is None else library.SearchParameters(sel=self._only(rows))

        def near(asked: np.ndarray, ask: int) -> tuple[np.ndarray, np.ndarray]:
            if not ask:
                return np.zeros((len(asked), 0), np.int64), np.zeros((len(asked), 0), np.float32)
            cosine, place = storage.search(asked, ask, params=only)
            return place, cosine

        count = self._labels.size if rows is None else len(rows)
        return exactly(near, count, vectors, self._gallery(), self._labels, most)

    def _only(self, rows: np.ndarray) -> Any:
        """What lets faiss look at some places only."""
        bits = np.zeros(self._labels.size, bool)
        bits[rows] = True
        return self._faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        here = self._labels.here[: self._labels.size]
        return self._labels.id[: self._labels.size][here], self._labels.check[: self._labels.size][here]

    def _measure(self) -> None:
        """Choose how many vectors a search looks at, and say the recall that this has here."""
        size = self._labels.size
        if size <= max(FEW, int(GROWN * self._measured)):
            return
        here = self._labels.here[:size].nonzero()[0]
        some = here[np.linspace(0, len(here) - 1, SAMPLE).astype(int)]
        vectors = self._gallery()[some].astype(np.float32)
        judge, _ = self._exactly(vectors, JUDGED + 1, here)
        self._measured = size
        steps = sorted(part << k for k in range(20) for part in (LEAST, 3 * LEAST // 2))
        looks = [self._fixed] if self._fixed else [step for step in steps if step <= UTMOST]
        for self.look_at in looks:
            found, _ = self._search(vectors, JUDGED + 1)
            self.recall = overlap(found, judge, self._labels.id[some])
            if self.recall >= ASKED:
                return
        if not self._fixed:
            raise InputError(
                f"the graph finds {self.recall:.3f} of the nearest among {size} vectors, {ASKED} is asked: use the "
                "engine flat, which compares all"
            )

    # -- the file

    def flush(self) -> None:
        """Write the graph beside the memory, whole or not at all.

        Raises:
            InputError: the place cannot be written.
        """
        if self._path is None or self._written == self._labels.size:
            return
        labels = self._labels
        told = {
            "format": FORMAT, "rows": labels.size, "dimension": self._dimension, "look_at": self.look_at,
            "recall": self.recall, "measured": self._measured,
        }  # fmt: skip
        with writing(self._path), atomic_write(self._path, "wb", shared=True) as file:
            summed = _Summed(file)
            summed.write(json.dumps(told).encode() + b"\n")
            for name in ("id", "check", "camera", "begin", "end", "here"):
                summed.write(getattr(labels, name)[: labels.size].tobytes())
            writer = self._faiss.PyCallbackIOWriter(summed.write)
            self._faiss.write_index(self._index, writer)
            del writer  # it keeps back what has not filled its buffer
            file.write(summed.sum.to_bytes(4, "little"))
        self._written = labels.size

    def _load(self, path: Path) -> None:
        """What the file holds; nothing, where it is not whole or of another kind."""
        with path.open("rb") as file:
            told = _head(file) if _whole(file) else {}
            if told.get("format") != FORMAT or told.get("dimension") != self._dimension:
                return
            labels, size = Labels(size=int(told["rows"])), int(told["rows"])
            for name in ("id", "check", "camera", "begin", "end", "here"):
                kind = getattr(labels, name).dtype
                setattr(labels, name, np.frombuffer(file.read(size * kind.itemsize), kind).copy())
            try:
                index = self._faiss.read_index(self._faiss.PyCallbackIOReader(file.read))
            except RuntimeError:
                return
        if index.ntotal != size or index.d != self._dimension:
            return
        self._index, self._labels, self._written = index, labels, size
        if self._fixed is None:
            self.look_at, self.recall, self._measured = told["look_at"], told["recall"], told["measured"]

    def close(self) -> None:
        """Nothing is open."""


class _Summed:
    """A file that is written, and the checksum of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sum = file, 0

    def write(self, data: bytes) -> int:
        self.sum = zlib.crc32(data, self.sum)
        return self._file.write(data)


def _whole(file: IO[bytes]) -> bool:
    """Whether a file's last 4 bytes are the checksum of the others; then at its beginning. faiss is given nothing
    else: what it reads it believes."""
    left = file.seek(0, 2) - 4
    file.seek(0)
    found = 0
    while left > 0:
        piece = file.read(min(PIECE, left))
        found, left = zlib.crc32(piece, found), left - len(piece)
    told = int.from_bytes(file.read(4), "little")
    file.seek(0)
    return left == 0 and found == told


def _head(file: IO[bytes]) -> dict[str, Any]:
    try:
        told = json.loads(file.readline(10_000))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def overlap(found: np.ndarray, judge: np.ndarray, own: np.ndarray) -> float:
    """The mean share of the judge's ids (K, A) that were found, each query's own id (K,) not counted."""
    wanted = (judge != own[:, None]) & (judge != NONE)
    hit = np.array([np.isin(line, told) for line, told in zip(judge, found, strict=True)]) & wanted
    return float(hit.sum() / max(1, int(wanted.sum())))
