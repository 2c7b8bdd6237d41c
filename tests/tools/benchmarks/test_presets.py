"""tools/bench.py presets on a sequence made by hand: the second half, the boxes offered, the boxes kept."""

import json

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks.presets import boxes_from, kept
from retrace.tracker.data import Detections, MotTable

INFO = "[Sequence]\nname=MOT99-01\nframeRate=10\nseqLength={}\nimWidth=400\nimHeight=300\nimExt=.jpg\nimDir=img1\n"
LENGTH = 41  # its second half: frames 21 to 40, from 0


def test_boxes_of_the_least_score_stay_with_all_that_is_theirs():
    given = Detections(np.arange(3)[:, None] * 50 + [0, 0, 9, 9], [0.1, 0.05, 0.9], [0, 1, 2])
    found = boxes_from(given, 0.1)
    assert found.class_id.tolist() == [0, 2]
    assert found.index.tolist() == [0, 2]


def test_the_box_filter_by_hand():
    """Areas 100 (not above it) and 110; 16 by 10 is just not too wide, 17 by 10 is."""
    size = np.array([[10, 10], [10, 11], [16, 10], [17, 10]], float)
    one = np.ones(4)
    rows = MotTable(
        np.arange(4), np.arange(4), np.concatenate((0 * size, size), axis=1), one, one.astype(int), one
    )
    assert kept(rows).id.tolist() == [1, 2]


@pytest.fixture
def data(tmp_path):
    """A person who walks: in the first half of the boxes nobody is found, in the second always."""
    folder = tmp_path / "MOT17" / "MOT99-01"
    (folder / "gt").mkdir(parents=True)
    (folder / "det").mkdir()
    (folder / "seqinfo.ini").write_text(INFO.format(LENGTH))
    truth = [f"{k + 1},1,{5 * k},20,40,90,1,1,1\n" for k in range(LENGTH)]
    boxes = [f"{k + 1},-1,{5 * k},20,40,90,0.9\n" for k in range(LENGTH // 2 + 1, LENGTH)]
    (folder / "gt" / "gt.txt").write_text("".join(truth))
    (folder / "det" / "det.txt").write_text("".join(boxes))
    return folder.parent


def test_only_the_second_half_counts(data, tmp_path, capsys):
    """Found in each of its frames: everything is 1. Over the whole sequence half of the person would be missed."""
    out = tmp_path / "out.json"
    given = ["--data", str(data), "--detections", "det/det.txt", "--json", str(out)]
    assert bench.main(["presets", *given, "--presets", "bytetrack"]) == 0
    found = json.loads(out.read_text())["presets"]["bytetrack"]
    assert set(found) == {"no camera motion", "gmc", "gmc, offline"}
    for row in found.values():
        assert row["IDF1"] == row["MOTA"] == 1
        assert row["TP"] == LENGTH - LENGTH // 2 - 1
    assert "| bytetrack | 100.00 / 100.00 / 100.00 / 0 |" in capsys.readouterr().out


def test_what_is_missing_is_named(data, tmp_path):
    with pytest.raises(InputError, match="det_yolox"):
        bench.main(["presets", "--data", str(data), "--presets", "sort"])
    with pytest.raises(InputError, match="no such folder"):
        bench.main(["presets", "--data", str(tmp_path / "none")])
    with pytest.raises(InputError, match="byttrack"):
        bench.main(["presets", "--data", str(data), "--detections", "det/det.txt", "--presets", "byttrack"])
