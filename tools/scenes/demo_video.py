"""The demo's video: OpenCV's ``vtest.avi`` (PETS09-S2L1: 795 frames, 768x576), from the first place that has it.

The places: the cache folder, the data folder beside the checkout, OpenCV's repository, Debian's package
opencv-doc; when none answers, a scene that is drawn.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from retrace.configs import InputError, files
from retrace.configs.files import atomic_write

NAME = "vtest.avi"
SHA256 = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
SIZE = 8_131_690  # bytes
LENGTH, WIDTH, HEIGHT = 795, 768, 576  # frames, px
URL = "https://raw.githubusercontent.com/opencv/opencv/4.x/samples/data/vtest.avi"
CONNECT_TIMEOUT = 5.0  # s, also the longest silence while bytes arrive
DOWNLOAD_TIME = 120.0  # s, for all of the 8 MB
PACKAGE = "opencv-doc"
APT_OPTIONS = (
    "-o",
    "Acquire::Retries=0",
    "-o",
    "Acquire::http::Timeout=10",
    "-o",
    "Acquire::https::Timeout=10",
)

Take = Callable[[Path], tuple[Path, str]]  # cache folder -> the video, and a word on where it was


class Missing(Exception):
    """A place does not have the video; the message says why."""


def from_cache(cache: Path) -> tuple[Path, str]:
    path = cache / NAME
    verify(path)
    return path, "from the cache"


def from_shared(_: Path) -> tuple[Path, str]:
    root = Path(__file__).resolve().parents[2]
    path = Path(os.environ.get("RETRACE_SHARED", root.parent / "shared")) / "data" / "videos" / NAME
    verify(path)
    return path, "from the data folder beside the checkout"


def from_github(cache: Path, url: str = URL) -> tuple[Path, str]:
    """Download into the cache; nothing is left there unless the hash is right."""
    target = cache / NAME
    ends = time.monotonic() + DOWNLOAD_TIME
    digest, received = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT) as answer, atomic_write(target, "wb") as file:
        while chunk := answer.read(1 << 16):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            if received > SIZE or time.monotonic() > ends:
                raise Missing(
                    f"{url}: {received} bytes, not done within {SIZE} bytes and {DOWNLOAD_TIME:.0f} s"
                )
        if digest.hexdigest() != SHA256:
            raise Missing(
                f"{url}: {received} bytes with sha256 {digest.hexdigest()[:12]}..., not {SHA256[:12]}..."
            )
    return target, "from OpenCV's GitHub repository, now in the cache"


def from_debian(cache: Path) -> tuple[Path, str]:
    """Take it out of the package, which needs no root: nothing is installed, everything else is removed."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise Missing("no apt-get and dpkg here")
    with tempfile.TemporaryDirectory(prefix="retrace-demo-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        unpacked = work / "unpacked"
        _run(["dpkg", "-x", str(_download_package(work)), str(unpacked)], work, 120)
        found = next(iter(sorted(unpacked.rglob(f"{NAME}*"))), None)
        if found is None:
            raise Missing(f"package {PACKAGE} holds no {NAME}")
        if found.suffix == ".gz":
            found = _gunzip(found, work / NAME)
        same = verify(found)
        with atomic_write(cache / NAME, "wb") as file, open(found, "rb") as source:
            shutil.copyfileobj(source, file)
    build = "" if same else " (another build of the file: its hash differs, size and length agree)"
    return cache / NAME, f"from Debian's package {PACKAGE}, now in the cache{build}"


def _download_package(work: Path) -> Path:
    """The .deb: by the system's package lists or, where these are empty or stale, by fresh private ones."""
    download = ["apt-get", *APT_OPTIONS, "download", PACKAGE]
    try:
        _run(download, work, 300)
    except Missing:
        private = ["-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work / 'cache'}"]
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "cache" / "archives" / "partial").mkdir(parents=True)
        with suppress(Missing):  # one dead source fails the whole update; the lists that came may be enough
            _run(["apt-get", *APT_OPTIONS, *private, "-o", "Acquire::Languages=none", "update"], work, 120)
        _run([*download, *private], work, 300)
    package = next(iter(sorted(work.glob(f"{PACKAGE}_*.deb"))), None)
    if package is None:
        raise Missing(f"apt-get brought no {PACKAGE}")
    return package


def _run(command: list[str], folder: Path, seconds: float) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{command[0]} took longer than {seconds:g} s") from None
    if done.returncode:
        raise Missing(f"{' '.join(command)} ended with {done.returncode}")


def _gunzip(packed: Path, target: Path) -> Path:
    with gzip.open(packed) as source, open(target, "wb") as file:
        shutil.copyfileobj(source, file)
    return target


def from_drawing(cache: Path) -> tuple[Path, str]:
    from retrace.tools.scenes.drawing import save_scene  # it needs OpenCV, the places before do not

    path = save_scene(cache)
    return path, f"drawn here, as no place had {NAME}; true identities: {path.with_suffix('')}"


PLACES: Mapping[str, Take] = {
    "cache": from_cache,
    "shared data": from_shared,
    "GitHub": from_github,
    "Debian": from_debian,
    "drawing": from_drawing,
}


def verify(path: Path) -> bool:
    """Whether the file is byte for byte the known one; another build of the same video is False.

    Raises:
        Missing: it is not there, or neither that file nor a video of the same size and length.
    """
    if not path.is_file():
        raise Missing(f"{path}: no such file")
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == SHA256:
            return True
    found = measure(path)
    if found != (LENGTH, WIDTH, HEIGHT):
        raise Missing(f"{path}: {found[0]} frames of {found[1]}x{found[2]}, not {LENGTH} of {WIDTH}x{HEIGHT}")
    return False


def measure(path: Path) -> tuple[int, int, int]:
    """Frames that decode, width, height; zeros for what is no video."""
    import av

    count = width = height = 0
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                count, width, height = count + 1, frame.width, frame.height
    except (av.FFmpegError, IndexError):
        pass
    return count, width, height


def obtain(cache: Path, places: Mapping[str, Take], note: Callable[[str], None]) -> tuple[Path, str]:
    """The video from the first place that has it, and where that was; ``note`` hears of every miss.

    Raises:
        InputError: not even the last place served.
    """
    for name, take in places.items():
        try:
            return take(cache)
        except (Missing, OSError, HTTPException, EOFError, zlib.error) as error:  # the last two: a broken .gz
            note(f"{name}: {error}")
    raise InputError("no demo video; give one as `video`, or see with `verbose` what failed")


def video_folder(out: Path) -> Path:
    """$RETRACE_CACHE or ~/.cache/retrace; inside ``out`` where that cannot be written."""
    try:
        folder = files.cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return out / "source"
