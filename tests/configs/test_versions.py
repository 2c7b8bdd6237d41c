"""configs/versions.py: asked for with every source of a run, found out once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest

from retrace.configs import versions


@pytest.fixture(autouse=True)
def _nothing_is_known_yet() -> Iterator[None]:
    for known in (versions.commit, versions._versions):
        known.cache_clear()
    yield
    for known in (versions.commit, versions._versions):
        known.cache_clear()


def test_they_are_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def git(words: list[str], **_: Any) -> Any:
        asked.append(words[1])
        return subprocess.CompletedProcess(words, 0, " M a.py\n" if words[1] == "status" else "abc\n", "")

    real = metadata.version
    monkeypatch.setattr(subprocess, "run", git)
    monkeypatch.setattr(metadata, "version", lambda name: asked.append(name) or real(name))
    assert [versions.commit() for _ in range(3)] == ["abc+dirty"] * 3
    first = versions.versions()
    first["numpy"] = "what a caller does with its answer is its own affair"
    assert versions.versions()["numpy"] == real("numpy")
    assert asked == ["rev-parse", "status", "retrace-mot", *versions.PACKAGES]
