"""Files: they have their name only once they are whole (written as ``NAME.partial`` beside it, then renamed);
JSON, hashes and locks; where caches lie; how many cores there are; and pixels of an image file.

Before it gets its name a file's bytes are on the disk, so that a crash leaves the old one or the new one, whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from retrace.configs.errors import InputError, system_reason
from retrace.configs.image_size import declared_pixels

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy as np

CREDENTIALS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"/]*@")  # scheme://user:password@
LARGEST_IMAGE = 2**30  # bytes of a file
MOST_PIXELS = 2**28  # of a picture: 16384 x 16384
# What OpenCV decodes, by the names such files have.
IMAGE_ENDINGS = (
    ".avif", ".bmp", ".dib", ".gif", ".hdr", ".jfif", ".jif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pam", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp",
)  # fmt: skip


@contextmanager
def atomic_write(path: str | Path, mode: str = "w", shared: bool = False) -> Iterator[IO]:
    """A file that appears under its name only when it is complete; until then it is ``NAME.partial``.

    ``shared``: others may be writing the same file, as into a cache; each grows its own, ``NAME.RANDOM.partial``, and
    the last to finish gives it its name.
    """
    path = Path(path)
    _expect_a_file(path)
    partial = partial_of(path.with_name(f"{path.name}.{secrets.token_hex(8)}") if shared else path)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(partial, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _expect_a_file(path: Path) -> None:
    """A new file takes the place of an old one: never that of a device or a pipe."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileExistsError(errno.EEXIST, "is a device or a pipe, no file")


def partial_of(path: Path) -> Path:
    """Where a file grows until it is whole."""
    return path.with_name(path.name + ".partial")


def claim(path: Path) -> None:
    """Make the folder and an empty partial file: better to fail now than after an hour.

    Raises:
        InputError: that does not work, or the target is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a place for a file; choose another output folder")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_of(path).write_bytes(b"")


def reveal(grown: Path, path: Path) -> Path:
    """Give a whole file its name; its bytes are on the disk before.

    Raises:
        InputError: it cannot be written there.
    """
    with writing(path):
        _expect_a_file(path)
        with open(grown, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(grown, path)
    return path


@contextmanager
def reading(
    path: object, advice: str = "", refusal: type[Exception] = OSError, inside: bool = False
) -> Iterator[None]:
    """What the operating system refuses becomes one line, with ``advice`` at its end.

    Args:
        path: what is read, as the caller called it.
        refusal: what else means that it cannot be read: ValueError of a path that no system has (a zero byte in it),
            UnicodeDecodeError of what is no text.
        inside: ``path`` is a folder; what in it was refused is named instead, where that is known.

    Raises:
        InputError: instead of OSError, and of ``refusal``; an InputError goes through as it is.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, refusal) as error:
        where = (getattr(error, "filename", None) if inside else None) or path
        why = system_reason(error) if isinstance(error, OSError) else str(error)
        then = f"; {advice}" if advice else ""
        raise InputError(f"{where}: cannot be read ({why}){then}") from None


@contextmanager
def writing(path: object, refusal: type[Exception] = OSError, what: str = "output folder") -> Iterator[None]:
    """What the operating system refuses becomes one line, which tells to choose another ``what``.

    Raises:
        InputError: instead of OSError, and of ``refusal`` (what an encoder raises).
    """
    try:
        yield
    except (OSError, refusal) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room there, or choose" if full else "choose"
        why = system_reason(error)
        raise InputError(f"{path}: cannot be written ({why}); {remedy} another {what}") from None


def make_folder(path: Path, called: object = None) -> None:
    """Make a folder, and those above it, where it is not there.

    Raises:
        InputError: it cannot be; the message says ``called`` of it, else ``path``.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        where = path if called is None else called
        raise InputError(f"{where}: cannot be made a folder ({system_reason(error)})") from None


def check_folder(path: Path) -> None:
    """Raises InputError where a folder cannot come: what is there is a file, or a link."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path}: a folder is to be there, and there is something else; move it away")


@contextmanager
def atomic_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder that grows beside its place and takes it when it is whole; nothing is left of one that does not.

    Args:
        replace: a folder that is there then goes; else it stays, unless it is empty, and the new one is refused.

    Raises:
        InputError: the place is taken, or cannot be written.
    """
    check_folder(path)
    partial, before = partial_of(path), partial_of(path.with_name(f"{path.name}.before"))
    try:
        with writing(path):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial
            if not (replace and path.is_dir()):
                partial.rename(path)
                return
            shutil.rmtree(before, ignore_errors=True)
            path.rename(before)  # aside, so that one of both is there whatever happens
            partial.rename(path)
            shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def append_line(file: IO[bytes], line: str) -> None:
    """Add a line to a file that is open for reading, too, on the disk when this returns. A line that broke off before
    (somebody was killed in the middle of it) goes."""
    end = file.seek(0, os.SEEK_END)
    if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
    file.write(line.encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, written beside and renamed. No URL in it keeps its user and password.

    Raises:
        InputError: the place cannot be written.
    """
    with writing(path), atomic_write(path) as file:
        file.write(CREDENTIALS.sub(r"\1", json.dumps(value, indent=2)))
        file.write("\n")


def path_for(name: str, argument: str, given: str) -> str:
    """The path that a user gave for several sources, for the one of this name: ``{name}`` in it stands for that.

    Args:
        name: of a source or a sequence.
        argument: what the path is called where the user gave it.
        given: the path.

    Raises:
        InputError: it says ``{sequence}``, as some tools once had it: it would be looked for as it stands.
    """
    if "{sequence}" in given:
        raise InputError(f"`{argument}` {given}: write {{name}} instead of {{sequence}}")
    return given.replace("{name}", name)


def file_hash(path: str | Path) -> str:
    """sha256 of a file's bytes, as hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, doing: str) -> Iterator[None]:
    """Hold ``path`` as a lock: no other process, and no other thread of this one, does the same meanwhile.

    The operating system lets go of it when the process ends, however that happens, so none is ever stale. The file
    names its holder while it is held and goes afterwards. On file systems without locks nothing is held.

    Args:
        path: of the lock file.
        doing: in words what is done meanwhile, for the refusal of the other: "tracks into this folder".

    Raises:
        InputError: somebody holds it, who is named; or it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _taken(path)
    try:
        os.ftruncate(handle, 0)
        told = f"process {os.getpid()} on {platform.node()} {doing}"
        os.write(handle, told.encode(errors="backslashreplace"))
        yield
    finally:
        path.unlink(missing_ok=True)  # before letting go: who waits for this file finds that it has gone
        os.close(handle)


def _taken(path: Path) -> int:
    """The open and locked file."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace") or "another process"
            os.close(handle)
            raise InputError(f"{path}: {holder}; wait for it, or choose another output folder") from None
        except OSError:  # a file system without locks
            pass
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # its holder let go between our opening and locking, and took the file along


def cache_folder() -> Path:
    """Where caches go unless told otherwise: $RETRACE_CACHE, or ~/.cache/retrace."""
    return Path(os.environ.get("RETRACE_CACHE") or Path.home() / ".cache" / "retrace")


def cores() -> int:
    """How many CPU cores this process may use: those of the machine, fewer where its affinity or container says so."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # a container's share (cgroup v2): "200000 100000" is two cores
        share, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(1, int(share) // int(period)))  # "max" is no number
    return count


def read_image(path: str | Path, deep: bool = False) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, upright by its EXIF tag; None when it cannot be read.

    A JPEG that breaks off comes as far as it goes, with grey below. Not read, and so without hanging or filling the
    memory, is what is no plain file (a folder, a pipe that nobody writes to) or says it has more than
    ``MOST_PIXELS``. With ``deep`` what has more than eight bits keeps them: (H, W[, 3]) of its own type.
    """
    import numpy as np

    try:  # not imread: it fails on some systems where a path is not plain ASCII, and warns on standard error
        if not os.path.isfile(path) or os.path.getsize(path) > LARGEST_IMAGE:
            return None
        return decode_image(np.fromfile(path, np.uint8).data, deep)
    except (OSError, ValueError, MemoryError):  # a path with a zero byte
        return None


def decode_image(data: bytes | memoryview, deep: bool = False) -> np.ndarray | None:
    """The bytes of an image file as pixels, as :func:`read_image` gives them; None where they are none."""
    import cv2
    import numpy as np

    try:
        if declared_pixels(memoryview(data)) > MOST_PIXELS:
            return None
        buffer = np.frombuffer(data, np.uint8)
        depth = cv2.IMREAD_ANYDEPTH if deep else 0
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR | depth)
        if image is None and deep:  # floating point is refused in colour
            image = cv2.imdecode(buffer, cv2.IMREAD_ANYCOLOR | depth)
        return image
    except (ValueError, MemoryError, cv2.error):  # no bytes at all
        return None
