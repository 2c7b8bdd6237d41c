"""Files on a Ray cluster: what is ours on a small stand-in for Ray, the whole on Ray itself with `-m long`."""

import json
import os
import pickle
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools import eval_mot, eval_reid, tune
from retrace.tools.runs import cluster
from retrace.tools.runs.cluster import track_on_cluster
from retrace.tools.runs.models import Models
from retrace.tools.runs.runner import open_run, track_all
from retrace.tools.runs.spread import executor_of
from retrace.tools.runs.workers import TRIES
from retrace.tools.terminal.console import OK
from retrace.tracker.run import Job
from tests.conftest import ROOT
from tests.eval.ranking.people import people
from tests.small_video import LENGTH
from tests.tools.run_track import fails, run
from tests.tools.runs.sequences import sequence
from tests.tools.runs.sequences import walked as write_sequence


class Crashed(Exception):
    pass


class StandIn:
    """Ray's few names that are used, everything done at once in this process."""

    exceptions = SimpleNamespace(WorkerCrashedError=Crashed, RayError=RuntimeError)

    def __init__(self, **odd: str) -> None:
        self.told, self.cancelled, self.odd = list[dict[str, Any]](), list[object](), odd
        self.crash: str | None = None
        self.on = False

    def is_initialized(self) -> bool:
        return self.on

    def init(self, **how: Any) -> None:
        self.told.append(how)
        if how["address"] == "auto":
            raise ConnectionError("no cluster")
        self.on = True

    def shutdown(self) -> None:
        self.on = False

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "Resources": {"CPU": 8}, "NodeManagerAddress": "10.0.0.9", "NodeID": "b"}
        return [{**dead, "Alive": True, "NodeManagerAddress": "10.0.0.1", "NodeID": "a"}, dead]

    def remote(self, *functions: Any, **how: Any) -> Any:
        def of(function: Callable[..., Any]) -> Any:
            def call(*given: Any) -> Callable[[], Any]:
                if function is cluster.look_around:
                    return lambda: {**function(*given), **self.odd}
                if self.crash is not None and self.crash == getattr(given[0], "name", None):
                    return self._crash
                return Asked(partial(function, *given))

            task = SimpleNamespace(remote=call)
            task.options = lambda **how: task
            return task

        return of(functions[0]) if functions else of

    def _crash(self) -> None:
        raise Crashed

    def wait(self, tasks: list[Any], **how: Any) -> tuple[list[Any], list[Any]]:
        return tasks[:1], tasks[1:]

    def get(self, task: Callable[[], Any]) -> Any:
        return task()

    def cancel(self, task: object) -> None:
        self.cancelled.append(task)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 3.0, "memory": 1e9}


class Asked:
    """A task's reference: what it gives is copied on its way, as between processes."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def __call__(self) -> Any:
        return pickle.loads(pickle.dumps(self._function))()

    def future(self) -> Future[Any]:
        found = Future[Any]()
        try:
            found.set_result(self())
        except Exception as error:
            found.set_exception(error)
        return found


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., StandIn]:
    def put(**odd: str) -> StandIn:
        ray = StandIn(**odd)
        strategies = ModuleType("ray.util.scheduling_strategies")
        strategies.NodeAffinitySchedulingStrategy = lambda node, soft: None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setitem(sys.modules, "ray.util", ModuleType("ray.util"))
        monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
        return ray

    return put


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files; Ray's sockets need a short path."""
    folder = tempfile.mkdtemp(prefix="rt")
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["stand-in", pytest.param("ray", marks=pytest.mark.long)])
def either(
    request: pytest.FixtureRequest,
    install: Callable[..., StandIn],
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], object]:
    """Before each call: a stand-in as new, or nothing, and Ray itself is asked."""
    if request.param == "stand-in":
        return install
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    return lambda: None


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    made = [sequence(tmp_path / name, LENGTH) for name in ("one", "two", "three")]
    (tmp_path / "o").mkdir()
    return [Job(folder, tmp_path / "o", name=folder.name, reid="none") for folder in made]


def test_the_outcomes_of_all(install: Callable[..., StandIn], jobs: list[Job], tmp_path: Path) -> None:
    """One fails by its input, one has its process killed too often, one is tracked. No cluster runs: one is begun."""
    ray = install()
    ray.crash = "two"
    (tmp_path / "three" / "seqinfo.ini").unlink()
    found = {o.name: o for o in track_on_cluster(jobs, "auto", threading.Event())}
    assert [how["address"] for how in ray.told] == ["auto", "local"]
    assert not ray.on
    report = found["one"].report
    assert report is not None
    assert (report.frames, report.notes) == (LENGTH, [])
    assert (tmp_path / "o" / "one.txt").is_file()
    assert found["two"].why == "its process was killed 3 times"
    assert "three: no images" in found["three"].why


def test_a_task_goes_on_from_the_checkpoint_of_the_one_that_died(
    install: Callable[..., StandIn], jobs: list[Job], tmp_path: Path
) -> None:
    stop = threading.Event()
    stop.set()
    Models().track(jobs[0], stop=stop)  # dies after a frame
    install()
    (outcome,) = track_on_cluster(jobs[:1], "local", threading.Event())
    assert outcome.report is not None
    assert (outcome.report.frames, outcome.report.new) == (LENGTH, LENGTH - 1)
    assert outcome.report.notes == ["resumed at frame 1"]


def test_results_come_by_the_storage(
    install: Callable[..., StandIn], jobs: list[Job], tmp_path: Path
) -> None:
    """Machines that share nothing but a storage: the output folder is the driver's alone, checkpoints lie in it."""
    url, stop = f"file://{tmp_path}/storage", threading.Event()
    stop.set()
    Models().track(replace(jobs[0], out=str(tmp_path / "died"), storage=url), stop=stop)
    ray = install(**{str(tmp_path / "o"): "not there"})  # nobody asks for it
    run = open_run(
        [replace(job, name=None, storage=url, resume=True) for job in jobs], quiet=True, cluster="local"
    )
    track_all(run)
    assert ray.told
    assert run.reports["one"].notes == ["resumed at frame 1"]
    assert sorted(p.name for p in (tmp_path / "storage").iterdir()) == [
        "one.txt",
        "run.json",
        "three.txt",
        "two.txt",
    ]
    for path in (tmp_path / "storage").iterdir():
        assert (tmp_path / "o" / path.name).read_bytes() == path.read_bytes()
    fresh = [replace(job, name=None, out=str(tmp_path / "p"), storage=url, resume=True) for job in jobs]
    again = open_run(fresh, quiet=True, cluster="local")  # a driver on another machine
    track_all(again)
    assert {report.new for report in again.reports.values()} == {0}
    assert (tmp_path / "p" / "two.txt").read_bytes() == (tmp_path / "o" / "two.txt").read_bytes()


def test_stopping_cancels_what_is_left(install: Callable[..., StandIn], jobs: list[Job]) -> None:
    ray, stop = install(), threading.Event()
    outcomes = track_on_cluster(jobs, "local", stop)
    assert next(outcomes).name == "one"
    stop.set()
    assert list(outcomes) == []
    assert len(ray.cancelled) == 2
    assert not ray.on


@pytest.mark.parametrize(
    ("odd", "said"),
    [({"Retrace": "9.9"}, "Retrace is 9.9 on 10.0.0.1"), ({"{out}": "not there"}, "o is not there on")],
)
def test_a_machine_that_is_unlike(
    odd: dict[str, str], said: str, install: Callable[..., StandIn], jobs: list[Job], tmp_path: Path
) -> None:
    install(**{key.format(out=tmp_path / "o"): value for key, value in odd.items()})
    with pytest.raises(InputError, match=said):
        list(track_on_cluster(jobs, "local", threading.Event()))


def test_what_is_wrong_is_said_before_anything(
    install: Callable[..., StandIn], jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "fresh"
    what = [jobs[0].source, jobs[1].source, "--out", out, "--cluster"]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        assert f"--cluster {address}: does not answer (Connection refused)" in fails(capsys, *what, address)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "--cluster needs the extra `ray`" in fails(capsys, *what, "local")
    assert not out.exists()


def test_a_machine_that_cannot_write_to_the_storage(
    install: Callable[..., StandIn], jobs: list[Job], tmp_path: Path
) -> None:
    install(**{"the storage": "`storage` x: cannot be written (NoCredentialsError)"})
    told = [replace(job, storage=f"file://{tmp_path}/storage") for job in jobs]
    with pytest.raises(
        InputError, match=r"the storage is `storage` x: cannot be written .* on 10\.0\.0\.1, writable here"
    ):
        list(track_on_cluster(told, "local", threading.Event()))


def test_a_storage_that_cannot_be_written_is_said_first(
    jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    said = fails(
        capsys, jobs[0].source, "--out", tmp_path / "fresh", "--storage", f"file://{tmp_path}/file/x"
    )
    assert f"--storage file://{tmp_path}/file/x: cannot be written (NotADirectoryError" in said
    assert not (tmp_path / "fresh").exists()


def test_a_cluster_that_is_slow_to_begin_is_begun_again(
    install: Callable[..., StandIn], jobs: list[Job]
) -> None:
    ray, tries = install(), list[int]()

    def init(**how: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Exception("The current node timed out during startup.")
        ray.init(**how)

    assert len(list(track_on_cluster(jobs[:1], "local", threading.Event(), init=init))) == 1
    assert len(tries) == 3


def test_ray_that_does_not_start_is_one_line(install: Callable[..., StandIn], jobs: list[Job]) -> None:
    install()

    def init(**how: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with Ray: 2.40.0\nand Python 3.9")

    with pytest.raises(
        InputError,
        match=r"`cluster` local: Ray does not start: RuntimeError: Version mismatch: .* and Python 3\.9",
    ):
        list(track_on_cluster(jobs, "local", threading.Event(), init=init))


def refuse(what: str) -> None:
    raise InputError(f"`data` {what}: is not there")


def fall(what: str) -> None:
    raise ZeroDivisionError(what)


def test_functions_on_a_cluster(install: Callable[..., StandIn], tmp_path: Path) -> None:
    """What a task gives, refuses and breaks on; folders that another machine does not see are told of first."""
    ray = install()
    with executor_of("local", [tmp_path], init=ray.init) as executor:
        assert executor is not None
        assert executor.cores == 3
        assert [executor.submit(pow, 2, k).result() for k in range(4)] == [1, 2, 4, 8]
        with pytest.raises(InputError, match=r"^`data` x: is not there$"):
            executor.submit(refuse, "x").result()
        with pytest.raises(InputError, match=r"`cluster`: a task failed: ZeroDivisionError: y"):
            executor.submit(fall, "y").result()
    assert not ray.on
    with executor_of(None) as nobody:
        assert nobody is None
    ray = install(**{str(tmp_path): "not there"})
    with (
        pytest.raises(InputError, match=re.escape(f"{tmp_path} is not there on 10.0.0.1, there here")),
        executor_of("local", [tmp_path]),
    ):
        pass


def test_hundreds_of_sequences_are_scored_alike(
    either: Callable[[], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """300 short sequences, a quarter of a million bytes of tables: the JSON of one process, byte for byte."""
    rng, results = np.random.default_rng(0), tmp_path / "results"
    results.mkdir()
    for k in range(300):
        folder = tmp_path / "gt" / f"s{k:03d}"
        write_sequence(folder, seed=k, frames=4, people=2)
        rows = [line.split(",") for line in (folder / "gt" / "gt.txt").read_text().splitlines()]
        lines = [",".join([f, i, *box, "1,-1,-1,-1"]) for f, i, *box, _, _, _ in rows if rng.random() < 0.8]
        (results / f"s{k:03d}.txt").write_text("\n".join(lines) + "\n")
    what = ["--gt", str(tmp_path / "gt"), "--results", str(results), "--json", "-"]
    said = []
    for how in ([], ["--jobs", "2"], ["--cluster", "local"]):
        either()
        assert eval_mot.main([*what, *how]) == OK
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert len(json.loads(said[0])["sequences"]) == 300
    with pytest.raises(InputError, match="--jobs are processes of this machine"):
        eval_mot.main([*what, "--jobs", "2", "--cluster", "local"])


def test_a_gallery_in_shards_is_scored_alike(
    either: Callable[[], object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    qf, q, qc, gf, g, gc = people(2, queries=30, gallery=4300)
    names = (
        "query_features",
        "query_ids",
        "query_cameras",
        "gallery_features",
        "gallery_ids",
        "gallery_cameras",
    )
    np.savez(tmp_path / "f.npz", **dict(zip(names, (qf, q, qc, gf, g, gc), strict=True)))
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--rerank", "zhong-d2", "--per-camera", "--intervals"]):
        said = []
        for how in ([], ["--shards", "1"], ["--cluster", "local"], ["--cluster", "local", "--shards", "2"]):
            either()
            assert eval_reid.main(["--features", "f.npz", "--json", "-", *more, *how]) == OK
            said.append(capsys.readouterr().out)
        assert len({*said}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]  # nothing is left
    with pytest.raises(InputError, match="--shards 0: expected a whole number from 1"):
        eval_reid.main(["--features", "f.npz", "--shards", "0"])


def test_a_tuning_on_a_cluster_is_the_tuning_here(either: Callable[[], object], tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="needs optuna: pip install -e .[tune]")
    for name, seed in (("A", 1), ("B", 2)):
        write_sequence(tmp_path / "data" / name, seed, frames=8, people=2)
    what = ["--tracker", "bytetrack", "--data", str(tmp_path / "data"), "--trials", "3", "--quiet"]
    for out, how in (("here", ["--jobs", "1"]), ("there", ["--cluster", "local"])):
        either()
        assert tune.main([*what, "--out", str(tmp_path / out), *how]) == OK
    a, b = ((tmp_path / out / "tuned.yaml").read_text().splitlines() for out in ("here", "there"))
    assert [line for line in a if "out" not in line] == [line for line in b if "out" not in line]


SOURCES, KILLS, FRAMES = 6, 5, 6000


@pytest.mark.long  # Ray is 240 MB, and starts a dozen processes: not what every `make test` should wait for
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("how", [("--workers", "2"), ("--cluster", "local")], ids=["workers", "ray"])
def test_processes_killed_at_random(how: tuple[str, str], tmp_path: Path, short: Path) -> None:
    """Whoever is at work on a source is killed at random moments, twice at most on any but the doomed one."""
    if "--cluster" in how:
        pytest.importorskip("ray")
    names = [*(f"s{k}" for k in range(SOURCES)), "doomed"]
    what = [str(sequence(tmp_path / name, FRAMES)) for name in names]
    out = tmp_path / "out"
    command = [sys.executable, "tools/track.py", *what, "--reid", "none", *how, "--out", str(out)]
    command += ["--storage", f"file://{tmp_path}/storage"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(short)},
    )  # fmt: skip
    chance, killed, begun = random.Random(1), Counter[str](), time.monotonic()
    while process.poll() is None:
        assert time.monotonic() - begun < 1200 + 60 * SOURCES  # on a busy machine
        for pid, name in at_work(out, short):
            left = KILLS - killed.total() + killed["doomed"]
            # few sources are left
            hurry = left >= sum(not (out / f"{one}.txt").exists() for one in names[:-1])
            mortal = left and killed[name] < TRIES - 1 and chance.random() < (0.3 if hurry else 0.02)
            if name == "doomed" or mortal:
                killed[name] += 1
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    said, errors = process.communicate(timeout=60)
    print(f"killed {dict(killed)} in {time.monotonic() - begun:.0f} s")
    assert process.returncode == 2, errors
    assert "doomed: its process was killed 3 times; going on without it" in errors
    assert f"1 of {SOURCES + 1} sources not tracked" in errors.splitlines()[-1], errors
    assert killed["doomed"] == TRIES
    assert killed.total() - TRIES == KILLS, said
    assert run(what[0], "--reid", "none", "--out", tmp_path / "alone") == OK  # all have the same boxes
    whole = {f"{name}.txt" for name in names[:-1]}
    for place in (out, tmp_path / "storage"):
        assert {p.name for p in place.iterdir() if not p.name.startswith("doomed.")} == whole | {"run.json"}
        for name in whole:
            assert (place / name).read_bytes() == (tmp_path / "alone" / "s0.txt").read_bytes()
    ended = time.monotonic()
    while processes(short):
        assert time.monotonic() - ended < 60, "orphans"
        time.sleep(0.2)


def processes(temporary: Path) -> set[int]:
    """Those that were begun with this folder for temporary files, and their children."""
    found = set()
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if (
                process.name.isdecimal()
                and b"TMPDIR=" + os.fsencode(temporary) in (process / "environ").read_bytes()
            ):
                found.add(int(process.name))
    return found


def at_work(out: Path, temporary: Path) -> list[tuple[int, str]]:
    """Of those the ones that write a result, and of which source."""
    found = []
    for process in processes(temporary):
        with suppress(OSError):
            for handle in Path(f"/proc/{process}/fd").iterdir():
                place = handle.readlink()
                if {out, temporary} & {*place.parents} and place.name.endswith(".txt.partial"):
                    found.append((process, place.name.removesuffix(".txt.partial")))
    return found
