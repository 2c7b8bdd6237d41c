"""A run's checkpoints and results kept at an fsspec URL, and gone on from elsewhere to the same bytes."""

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from retrace.configs import InputError
from retrace.tools.runs.models import Models
from retrace.tracker.data import Step
from retrace.tracker.run import Job, checkpoint
from retrace.tracker.run.checkpoint import checkpoint_of
from retrace.tracker.run.storage import ENDING, Mirror, Storage
from tests.small_video import LENGTH
from tests.tools.runs.sequences import sequence


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "file":
        yield f"file://{tmp_path}/storage"
    elif request.param == "memory":
        memory = fsspec.filesystem("memory")
        yield "memory://storage"
        if memory.exists("/storage"):
            memory.rm("/storage", recursive=True)
    else:
        with object_server(monkeypatch) as bucket:
            yield f"{bucket}/all"


@contextmanager
def object_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server on loopback."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("runs")
        yield "s3://runs"
        fs.invalidate_cache()
        fs.rm("runs", recursive=True)  # the server's memory is this process's
    finally:
        server.stop()
        type(fsspec.filesystem("s3")).clear_instance_cache()


@pytest.fixture
def job(tmp_path: Path, url: str) -> Job:
    folder = sequence(tmp_path / "one", LENGTH)
    return Job(folder, tmp_path / "a", name="one", reid="none", save=("jsonl", "ledger"), storage=url)


def names(url: str) -> list[str]:
    fs, root = fsspec.core.url_to_fs(url)
    fs.invalidate_cache()
    if not fs.isdir(root):  # an object store has no empty folders
        return []
    return sorted(Path(p).name for p in fs.ls(root, detail=False))


def killed_at(monkeypatch: pytest.MonkeyPatch, frame: int, job: Job) -> None:
    """A run that keeps a checkpoint at every frame and dies after ``frame``."""

    def die(step: Step) -> None:
        if step.frame.index == frame:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "EVERY", 0.0)
        patch.setattr("retrace.tracker.run.storage.SHARE", 1e9)
        with pytest.raises(KeyboardInterrupt):
            Models().track(job, die)


def test_another_machine_goes_on_to_the_same_bytes(
    job: Job, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at frame 20; a machine with another, empty folder goes on at frame 20."""
    alone = Models().track(replace(job, out=str(tmp_path / "alone"), storage=None))
    killed_at(monkeypatch, 20, job)
    assert names(url) == ["one" + ENDING]
    report = Models().track(replace(job, out=str(tmp_path / "b"), resume=True))
    assert (report.frames, report.new) == (LENGTH, LENGTH - 20)
    assert report.notes[0] == "resumed at frame 20"
    kept = Storage(url)
    for path in alone.files:
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()
        assert kept.get(path.name, tmp_path / "c" / path.name)
        assert (tmp_path / "c" / path.name).read_bytes() == path.read_bytes()
    assert names(url) == sorted(path.name for path in alone.files)


def test_a_stopped_run_is_kept_and_a_new_one_forgets_it(job: Job, url: str, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert Models().track(job, stop=stop).stopped
    assert names(url) == ["one" + ENDING]

    def look(step: Step) -> None:
        assert names(url) == []  # dying now, it would not go on at the older run's checkpoint

    report = Models().track(replace(job, out=str(tmp_path / "b")), look)
    assert report.new == LENGTH


def test_what_is_kept_fits_together(
    job: Job, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One object holds the checkpoint and the text that it counts on, the same bytes of the same run."""
    found = []
    for name in ("a", "b"):
        killed_at(monkeypatch, 7, replace(job, out=str(tmp_path / name)))
        Storage(url).get("one" + ENDING, tmp_path / f"{name}.zip")
        found.append((tmp_path / f"{name}.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == [
            "one.checkpoint.npz", "one.txt.partial", "one.jsonl.partial", "one.ledger.jsonl.partial",
        ]  # fmt: skip
        assert archive.read("one.jsonl.partial").count(b"\n") == 7
    assert found[0] == found[1]


@pytest.mark.parametrize("damage", ["cut", "noise", "stranger"])
def test_a_damaged_object_is_one_line(
    damage: str, job: Job, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(monkeypatch, 7, job)
    fs, root = fsspec.core.url_to_fs(url)
    place = f"{root}/one{ENDING}"
    whole = fs.cat_file(place)
    if damage == "stranger":
        with zipfile.ZipFile(tmp_path / "odd.zip", "w") as odd:
            odd.writestr("../one.txt", "mine")
        told = (tmp_path / "odd.zip").read_bytes()
    else:
        told = whole[:100] if damage == "cut" else whole[:200] + b"\0" * 50 + whole[250:]
    fs.pipe_file(place, told)
    with pytest.raises(InputError, match=r"one\.checkpoint\.zip: damaged .* delete it to begin anew"):
        Models().track(replace(job, out=str(tmp_path / "b"), resume=True))
    assert not (tmp_path / "one.txt").exists()


def test_keeping_takes_a_twentieth_of_the_time_at_most(tmp_path: Path) -> None:
    """Each sending takes 2 s of this clock, so the next is due 40 s after the last has ended."""
    checkpoint_of(tmp_path, "x").write_bytes(b"c")
    now, sent = [0.0], list[float]()

    class Slow(Storage):
        def __init__(self) -> None:
            pass

        def put(self, path: Path, name: str | None = None) -> None:
            sent.append(now[0])
            now[0] += 2

    mirror = Mirror(Slow(), tmp_path, "x", lambda: now[0])
    for _ in range(10):
        mirror.keep([])
        now[0] += 10
    assert sent == [0, 42, 84]  # asked at 0, 12, 22, 32, 42, 54, ...
    mirror.keep([], at_once=True)
    assert len(sent) == 4


def test_a_storage_that_fails_on_the_way_is_counted_and_at_the_end_told(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrace.tracker.run.storage.PAUSES", (0.0,))
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    (tmp_path / "file").touch()
    mirror = Mirror(Storage(f"file://{tmp_path}/file"), tmp_path, "x")
    checkpoint_of(tmp_path, "x").touch()
    mirror.keep([])
    assert mirror.warnings[0].startswith(
        f"1 checkpoints were not kept in the storage: `storage` file://{tmp_path}/file: cannot be written ("
    )
    with pytest.raises(InputError, match="cannot be written"):
        mirror.finish([checkpoint_of(tmp_path, "x")])


def test_folders_travel_whole(url: str, tmp_path: Path) -> None:
    """Crops are folders of people."""
    for place, told in (("x.crops/1/a.jpg", b"a"), ("x.crops/2/b.jpg", b"b")):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(told)
    storage = Storage(url)
    storage.put(tmp_path / "x.crops")
    assert storage.get("x.crops", tmp_path / "back")
    assert (tmp_path / "back/1/a.jpg").read_bytes() == b"a"
    assert (tmp_path / "back/2/b.jpg").read_bytes() == b"b"
    assert not storage.get("y.crops", tmp_path / "back")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere://x", r"`storage` nowhere://x: cannot be opened \(ValueError: Protocol not known"),
        ("ftp://user:secret@127.0.0.1:1/x", r"`storage` ftp://127.0.0.1:1/x: cannot be opened \(Connection"),
    ],
)
def test_a_storage_that_is_none(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Storage(url).check()
    assert "secret" not in str(caught.value)


def test_a_file_url_without_a_whole_path() -> None:
    with pytest.raises(InputError, match="three slashes"):
        Storage("file://relative/place")
