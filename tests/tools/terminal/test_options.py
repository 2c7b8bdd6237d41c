"""What several tools ask of the names of files."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools.terminal.options import check_outputs


@pytest.mark.parametrize("name", ["vtest.txt", "run.json", "vectors.npz", "best.safetensors"])
def test_json_overwrites_no_file_of_another_kind(tmp_path: Path, name: str) -> None:
    """A slip of the hand would turn tracks, vectors or weights into a table of scores."""
    path = tmp_path / name
    check_outputs(Namespace(json=str(path)), ("json",))  # not there
    path.write_text("worth keeping")
    with pytest.raises(InputError, match="is there and is not of this kind; choose another name"):
        check_outputs(Namespace(json=str(path)), ("json",))
    (tmp_path / "scores.json").write_text("{}")
    check_outputs(Namespace(json=str(tmp_path / "scores.json")), ("json",))
