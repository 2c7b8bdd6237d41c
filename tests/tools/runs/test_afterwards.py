"""Results worked on afterwards, from Python: the tools' own tests say what comes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrace.configs import InputError, load_preset
from retrace.tools.runs import afterwards
from retrace.tools.runs.afterwards import improve_into, link_into
from retrace.tracker.offline.files import read_passes
from retrace.tracker.site import SiteConfig


def test_a_folder_is_not_its_own_result(tmp_path: Path) -> None:
    said = "`out` .*: is `results` itself; name another folder"
    with pytest.raises(InputError, match=rf"{said}"):
        improve_into(tmp_path, tmp_path, read_passes("default", {}), [])
    with pytest.raises(InputError, match=rf"{said}"):
        link_into(tmp_path, tmp_path, load_preset("default", SiteConfig, "site", {}), [])


def test_no_result_goes_unmarked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full after the manifest, there is a manifest without results, never the reverse."""
    results, out = tmp_path / "results", tmp_path / "out"
    results.mkdir()
    (results / "a.txt").write_text("1,1,0,0,9,9,1,-1,-1,-1\n2,1,0,0,9,9,1,-1,-1,-1\n")

    def full(*_: object) -> None:
        raise InputError("no room")

    monkeypatch.setattr(afterwards, "write_results", full)
    with pytest.raises(InputError, match="no room"):
        improve_into(out, results, read_passes("default", {}), ["asked"], fps=10.0)
    told = json.loads((out / "run.json").read_text())
    assert (told["online"], told["offline"]["arguments"]) == (False, ["asked"])
    assert [path.name for path in out.iterdir()] == ["run.json"]
