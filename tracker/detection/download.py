"""Detectors that can be had by name, and how they get into the cache folder: once, whole, and the right bytes."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.configs.files import atomic_write, cache_folder

MIRROR = "RETRACE_MIRROR"  # environment: a URL whose folder holds the same files, instead of their own place
OFFLINE = "RETRACE_OFFLINE"  # environment: 1 asks no network
SILENCE, WHOLE = 10.0, 600.0  # s: without a byte, and for all of a file
YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"


@dataclass(frozen=True, slots=True)
class Offer:
    """Weights that can be had by name."""

    name: str  # of the file
    folder: str  # URL of its place
    size: int  # bytes
    sha256: str
    licence: str
    what: str  # one line


OFFERS = (  # the first is what `auto` gets; sums as several independent projects pin them
    Offer(
        "yolox_tiny.onnx",
        YOLOX,
        20_219_662,
        "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7",
        "Apache-2.0",
        "YOLOX-tiny, COCO (mAP 32.8 as published), 416x416",
    ),
    Offer(
        "yolox_nano.onnx",
        YOLOX,
        3_659_407,
        "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
        "Apache-2.0",
        "YOLOX-nano, COCO (25.8), 416x416",
    ),
    Offer(
        "yolox_s.onnx",
        YOLOX,
        35_858_002,
        "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
        "Apache-2.0",
        "YOLOX-s, COCO (40.5), 640x640",
    ),
)


def offered(name: str) -> Offer | None:
    """The offer of a name, with or without its ending."""
    return next((offer for offer in OFFERS if name in (offer.name, Path(offer.name).stem)), None)


def fetch(offer: Offer) -> tuple[Path, str]:
    """The file, from the cache or downloaded into it, and a phrase on where it came from.

    Raises:
        InputError: it is in neither place; nothing is left behind.
    """
    target = cache_folder() / offer.name
    if target.is_file():
        return target, f"found in {target.parent}"
    url = f"{(os.environ.get(MIRROR) or offer.folder).rstrip('/')}/{offer.name}"
    host = urlsplit(url).hostname or ""
    elsewhere = f"put the file into {target.parent}, or name a mirror in {MIRROR}"
    if os.environ.get(OFFLINE, "").lower() in ("1", "true", "yes", "on"):
        raise InputError(f"no {offer.name} in {target.parent}, and {OFFLINE} is set")
    if not answers(url):
        raise InputError(f"no {offer.name} in {target.parent}, and {host} does not answer; {elsewhere}")
    try:
        _download(url, offer, target)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{offer.name} could not be downloaded from {host}: {one_line(error)}; {elsewhere}"
        ) from None
    return target, f"downloaded from {host} to {target.parent}"


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether a connection comes about in time. In a thread: looking up a name knows no limit.

    Behind a proxy only a download can tell, so there it is True.
    """
    parts = urlsplit(url)
    if parts.scheme in urllib.request.getproxies():
        return True
    port = parts.port or (80 if parts.scheme == "http" else 443)
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname or "", port), timeout=seconds).close()
        except OSError:
            return
        answered.set()

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(seconds)
    return answered.is_set()


def _download(url: str, offer: Offer, target: Path) -> None:
    """Write beside, check, rename; two processes at once may do so."""
    ends = time.monotonic() + WHOLE
    digest, received = hashlib.sha256(), 0
    with atomic_write(target, "wb", shared=True) as file:
        with urllib.request.urlopen(url, timeout=SILENCE) as answer:
            while chunk := answer.read(1 << 16):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                if received > offer.size or time.monotonic() > ends:
                    break
        if received != offer.size:
            raise InputError(
                f"{url}: expected {offer.size} bytes, got {received}{'' if received < offer.size else ' and more'}; "
                "try again, or another mirror"
            )
        if digest.hexdigest() != offer.sha256:
            raise InputError(
                f"{url}: not the released file: sha256 {digest.hexdigest()[:12]}..., expected {offer.sha256[:12]}..."
            )
