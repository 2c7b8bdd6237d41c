"""A source's checkpoints and results at an fsspec URL beside its output folder, so that another machine goes on from
there to the same bytes.

What is kept of a run that goes on is one object, ``NAME.checkpoint.zip``: the checkpoint and the text files it counts
on. It is there whole or not at all, so whoever takes over finds what fits together, whatever was on its way when a
machine died.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from retrace.configs import InputError
from retrace.configs.errors import install, one_line
from retrace.configs.files import atomic_write, writing
from retrace.tracker.run.checkpoint import checkpoint_of, kept_at
from retrace.tracker.sources.address import shown

ENDING = ".checkpoint.zip"
SHARE = 0.05  # of the time that keeping may take: what takes 2 s to send is sent every 40 s
PAUSES = (0.5, 2.0)  # s before the second and the third attempt to write


class Storage:
    """A folder at a URL: ``s3://bucket/runs``, ``file:///mnt/runs``, ``memory://runs``, or a path."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            InputError: no fsspec, or nothing that it knows of such URLs.
        """
        self.url = shown(url)
        if url.startswith("file://") and not url.startswith("file:///"):
            raise InputError(
                f"`storage` {self.url}: a file's URL has three slashes and a whole path, file:///..."
            )
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise InputError(f"`storage` needs the extra `storage`: {install('storage')}") from None
        try:
            self._fs, root = url_to_fs(url)
        except Exception as error:  # an unknown protocol, or one whose package is not there; its own kinds
            raise InputError(f"`storage` {self.url}: cannot be opened ({one_line(error)})") from None
        self._root = str(root).rstrip("/")

    def check(self) -> None:
        """
        Raises:
            InputError: it cannot be written.
        """
        probe = f"{self._root}/.write-probe.{secrets.token_hex(4)}"
        with self._refusing("written"):
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(probe, b"retrace")
            self._fs.rm_file(probe)

    def put(self, path: Path, name: str | None = None) -> None:
        """A file, or a folder with all that it holds; a file is there whole or not at all.

        Raises:
            InputError: it cannot be written, three times.
        """
        if path.is_dir():
            for inner in sorted(p for p in path.rglob("*") if p.is_file()):
                self.put(inner, f"{path.name}/{inner.relative_to(path).as_posix()}")
            return
        target = f"{self._root}/{name or path.name}"
        for pause in (*PAUSES, None):
            try:
                with self._refusing("written"):
                    self._place(path, target)
                return
            except InputError:
                if pause is None:
                    raise
                time.sleep(pause)

    def _place(self, path: Path, target: str) -> None:
        grown = f"{target}.{secrets.token_hex(8)}.partial"
        self._fs.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
        try:
            self._fs.put_file(str(path), grown)
            self._fs.mv(grown, target)
        except BaseException:
            with suppress(Exception):
                self._fs.rm_file(grown)
            raise

    def get(self, name: str, path: Path) -> bool:
        """Fetch a file, or a folder; False: it is not there.

        Raises:
            InputError: it cannot be read, or the place here not be written.
        """
        source = f"{self._root}/{name}"
        with self._refusing("read"):
            self._fs.invalidate_cache()  # others write there
            if self._fs.isdir(source):
                inner = [str(found) for found in self._fs.find(source)]
            else:
                inner = None
        if inner is None:
            return self._get_file(source, path)
        for found in inner:
            below = PurePosixPath(found.split(source.strip("/") + "/", 1)[1])
            if ".." not in below.parts:
                self._get_file(found, path / below)
        return True

    def _get_file(self, source: str, path: Path) -> bool:
        with self._refusing("read"):
            try:
                there = self._fs.open(source, "rb")
            except FileNotFoundError:
                return False
        with there, writing(path), atomic_write(path, "wb") as file, self._refusing("read"):
            shutil.copyfileobj(there, file)
        return True

    def remove(self, name: str) -> None:
        """Take a file away; one that is not there is no error.

        Raises:
            InputError: the storage refuses.
        """
        with self._refusing("written"), suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    @contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # every kind of storage has its own
            raise InputError(f"`storage` {self.url}: cannot be {what} ({one_line(error)})") from None


class Mirror:
    """What one source's run keeps in storage: after a checkpoint all that goes on from it, at the end its results."""

    def __init__(
        self, storage: Storage, out: Path, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            storage: where.
            out: the source's output folder here.
            name: of its results.
            clock: s.
        """
        self._storage, self._out, self._name, self._clock = storage, out, name, clock
        self._ended, self._took = -float("inf"), 0.0  # of the last keeping
        self._missed, self._why = 0, ""  # keepings that failed, and why the last one did

    def fetch(self) -> bool:
        """Put what was kept into the output folder, in the place of what is there and has got less far; False: nothing
        was kept.

        Raises:
            InputError: it is damaged, or cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix="retrace-") as folder:
            kept = Path(folder) / "kept.zip"
            if not self._storage.get(self._name + ENDING, kept):
                return False
            try:
                with zipfile.ZipFile(kept) as archive:
                    if archive.testzip() is not None:
                        raise self._damaged("a checksum differs")
                    if self._got_less_far(archive, Path(folder)):
                        return True
                    for name in archive.namelist():
                        path = self._out / name
                        with archive.open(name) as inner, writing(path), atomic_write(path, "wb") as file:
                            shutil.copyfileobj(inner, file)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                raise self._damaged(one_line(error)) from None
        return True

    def _got_less_far(self, archive: zipfile.ZipFile, folder: Path) -> bool:
        """Whether what was kept has done fewer frames than the checkpoint that lies in the output folder."""
        for name in archive.namelist():
            self._refuse_stranger(name)
        here, name = kept_at(checkpoint_of(self._out, self._name)), checkpoint_of(folder, self._name).name
        if here is None or name not in archive.namelist():
            return False
        there = kept_at(Path(archive.extract(name, folder)))
        return there is not None and there[0] < here[0]

    def keep(self, grown: Sequence[Path], at_once: bool = False) -> None:
        """Send the checkpoint and the files it counts on, unless that was done a moment ago. What fails is counted:
        here all is well, so the run goes on.

        Args:
            grown: the text files as they grow.
            at_once: however long ago the last was.
        """
        begun = self._clock()
        if not at_once and begun - self._ended < self._took / SHARE:
            return
        try:
            with tempfile.TemporaryDirectory(prefix="retrace-") as folder:
                kept = Path(folder) / "kept.zip"
                _pack(kept, [checkpoint_of(self._out, self._name), *grown])
                self._storage.put(kept, self._name + ENDING)
        except (InputError, OSError) as error:
            self._missed, self._why = self._missed + 1, str(error)
        self._ended = self._clock()
        self._took = self._ended - begun

    def finish(self, files: Iterable[Path]) -> None:
        """Send a whole source's results; then nobody goes on from a checkpoint any more.

        Raises:
            InputError: they cannot be written.
        """
        for path in files:
            self._storage.put(path, path.relative_to(self._out).as_posix())
        self.forget()

    def forget(self) -> None:
        """Remove what was kept."""
        self._storage.remove(self._name + ENDING)

    @property
    def warnings(self) -> list[str]:
        """What went wrong on the way."""
        return (
            [f"{self._missed} checkpoints were not kept in the storage: {self._why}"] if self._missed else []
        )

    def _refuse_stranger(self, name: str) -> None:
        if PurePosixPath(name).name != name or not name.startswith(f"{self._name}."):
            raise self._damaged(f"{name[:80]!r} is not this source's")

    def _damaged(self, why: str) -> InputError:
        return InputError(
            f"{self._storage.url}/{self._name}{ENDING}: damaged ({why}); delete it to begin anew"
        )


def mirror_of(storage: str | None, out: Path, name: str) -> Mirror | None:
    """Where a source is kept beside its output folder; None: nowhere."""
    return None if storage is None else Mirror(Storage(storage), out, name)


def _pack(archive: Path, files: Sequence[Path]) -> None:
    """A zip of the files, without times: the same bytes of the same files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in files:
            about = zipfile.ZipInfo(path.name)
            about.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as file, packed.open(about, "w", force_zip64=True) as inner:
                shutil.copyfileobj(file, inner)
