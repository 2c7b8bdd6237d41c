"""Damage to files, the same for the same seed, and the limits within which a reader must survive it."""

from __future__ import annotations

import random
import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from retrace.configs import InputError

SECONDS, MEGABYTES = 20.0, 300  # that reading one file may take

EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\x00\x00\x00", bytes(4))
WORDS = (
    *(b"-", b".", b"e", b";", b",,", b"=", b"[", b"nan", b"inf", b"1e999", b"1e18", b"9" * 30),
    *(b"1" * 5000, b"0x1", b"1_0", b"-0", b"%(a)s", b"\x00", b"\r", b"\x0c", b" " * 100),
    *("²".encode(), "\u2028".encode(), b"\xef\xbb\xbf"),
)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes changed, lost, doubled, zeroed, cut off, or a field set to an extreme; in one to 64 places."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        if not out:
            break
        # headers stand at the front, and much depends on them
        at = rng.randrange(min(len(out), 1500) if rng.random() < 0.4 else len(out))
        count = rng.choice((1, 1, 2, 4, 8, 100, 3000))
        match rng.randrange(7):
            case 0:
                out[at : at + count] = rng.randbytes(count)
            case 1:
                del out[at : at + count]
            case 2:
                out[at:at] = out[at : at + count]
            case 3:
                out[at : at + 4] = rng.choice(EXTREMES)
            case 4:
                del out[at:]
            case 5:
                out[at : at + count] = bytes(count)
            case _:
                out[at] ^= 1 << rng.randrange(8)
    return bytes(out)


def damaged_text(rng: random.Random, data: bytes) -> bytes:
    """As :func:`damaged`, and with words put in that numbers and settings may be mistaken for."""
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        if rng.random() < 0.5:
            data = data[:at] + rng.choice(WORDS) + data[at + rng.choice((0, 0, 1, 3)) :]
        else:
            data = damaged(rng, data)
    return data


class Late(AssertionError):
    """No TimeoutError, which is an OSError: a tool would take it for what the user got wrong."""


@contextmanager
def bounded(seconds: float, megabytes: int) -> Iterator[None]:
    """What is inside may take so long, and make this process so much larger, at most."""

    def late(*_: object) -> None:
        raise Late(f"still busy after {seconds:g} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # ru_maxrss: kB on Linux
    assert grown <= megabytes, f"{grown:.0f} MB more"


def assert_one_line(error: InputError) -> None:
    assert re.search(r"[\x00-\x1f\x7f\u2028\u2029]", str(error)) is None
    assert len(str(error)) <= 500


def survive(
    folder: Path,
    files: dict[str, bytes],
    read: Callable[[Path], object],
    seeds: range,
    damage: Callable[[random.Random, bytes], bytes] = damaged,
) -> None:
    """Damage one of the files for each seed and read it; at least one of them must be refused."""
    refused = 0
    for seed in seeds:
        rng = random.Random(seed)
        path = folder / rng.choice(sorted(files))
        path.write_bytes(damage(rng, files[path.name]))
        try:
            with bounded(SECONDS, MEGABYTES):
                read(path)
        except InputError as error:
            assert_one_line(error)
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, {path.name}") from error
        path.unlink()
    assert refused
