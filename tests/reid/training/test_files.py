"""The files of a run: a damaged checkpoint is never gone on from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError

torch = pytest.importorskip("torch")
if importlib.util.find_spec("torchreid") is None:
    pytest.skip("needs torchreid: pip install -e .[train]", allow_module_level=True)

from retrace.reid.training.files import read_checkpoint, write_checkpoint  # noqa: E402
from tests.reid.training.small_run import assert_same, begin, go  # noqa: E402


def test_a_flipped_bit_anywhere_is_seen(tmp_path: Path) -> None:
    """Of 60 places spread over the file: refused, or (in padding and dates, which hold nothing) read the same."""
    run = begin()
    go(run, 1)
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, run)
    sound, whole = path.read_bytes(), read_checkpoint(path)
    refused = 0
    for place in np.linspace(0, len(sound) - 1, 60).astype(int):
        broken = bytearray(sound)
        broken[place] ^= 16
        path.write_bytes(broken)
        try:
            found = read_checkpoint(path)
        except InputError as error:
            refused += str(path) in str(error) and "\n" not in str(error)
        else:
            assert_same(found, whole)
    assert refused > 50


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, begin())
    sound = path.read_bytes()
    path.write_bytes(sound[: int(share * len(sound))])
    with pytest.raises(InputError, match="not readable as a checkpoint"):
        read_checkpoint(path)
