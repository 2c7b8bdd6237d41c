"""Label columns of a CSV set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrace.reid.data.columns import label_columns
from retrace.reid.data.sets import read_reid_set


def test_every_other_column_is_a_label(tmp_path: Path) -> None:
    header = "path,id,camera,split,viewpoint,clothes,note"
    lines = [
        "a.png,7,1,train,2,red,",
        "b.png,7,2,train,10,blue,x",
        "c.png,9,1,query,2,green,x",
        "d.png,8,1,train,2,red,x",
    ]
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(b"")
    (tmp_path / "set.csv").write_text("\n".join([header, *lines]))
    for place in (tmp_path, tmp_path / "set.csv"):
        train = read_reid_set(place).train
        assert train is not None
        found, notes = label_columns(place, train)
        assert [path.name for path in train.paths] == ["a.png", "b.png", "d.png"]
        assert found.keys() == {"viewpoint", "clothes"}
        assert found["viewpoint"].tolist() == [0, 1, 0]  # 2 before 10: numbers, not names
        assert found["clothes"].tolist() == [1, 0, 1]  # of the training images only: no green
        assert found["viewpoint"].dtype == np.int64
        assert notes == ["column 'note': 1 blanks, so it is no label for training"]


def test_other_layouts_have_none(tmp_path: Path) -> None:
    from tests.reid.mini_market import write_mini_market

    write_mini_market(tmp_path / "mini", ids=2, cameras=2, images=2, size=(32, 16))
    train = read_reid_set(tmp_path / "mini").train
    assert train is not None
    assert label_columns(tmp_path / "mini", train) == ({}, [])
