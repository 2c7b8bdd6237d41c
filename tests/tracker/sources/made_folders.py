"""Folders of images and files made for the tests."""

from __future__ import annotations

from pathlib import Path

import cv2

from tests.tracker.sources.made_videos import picture

INI = "[Sequence]\nname=other\nimDir=img1\nframeRate=20\nseqLength={length}\nimWidth=128\nimHeight=96\nimExt=.png\n"


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def images(folder: Path, names: list[str]) -> Path:
    """A folder with picture(0), picture(1), ... under the names."""
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), picture(index))
    return folder


def sequence(tmp_path: Path, length: int, names: list[str] | None) -> Path:
    folder = tmp_path / "SEQ-01"
    folder.mkdir()
    (folder / "seqinfo.ini").write_text(INI.format(length=length))
    if names is not None:
        images(folder / "img1", names)
    return folder
