"""What our reader and TrackEval's own accept: the same odd files, on disk, to both.

Nothing that TrackEval refuses may pass. What we refuse and TrackEval takes is listed, with the reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trackeval

from retrace.configs import InputError
from retrace.eval.mot.sequences import find_sequences, read_sequence
from tests.eval.folders import make

GT = "1,1,10,10,20,40,1,1,1\n2,1,10,10,20,40,1,1,1\n"
RESULT = "1,1,10,10,20,40,0.9,-1,-1,-1\n2,1,10,10,20,40,0.9,-1,-1,-1\n"
LINE, NEXT = RESULT.splitlines(keepends=True)

BOTH_TAKE = {
    "plain": RESULT,
    "empty": "",
    "no line end": RESULT.rstrip(),
    "carriage returns": RESULT.replace("\n", "\r\n"),
    "delimiter at line ends": RESULT.replace("\n", ",\n"),
    "blanks after commas": RESULT.replace(",", ", "),
    "blanks": RESULT.replace(",", " "),
    "tabs": RESULT.replace(",", "\t"),
    "semicolons": RESULT.replace(",", ";"),
    "exponents": RESULT.replace("0.9", "9e-1"),
    "frames as floats": "1.0,1,10,10,20,40,0.9,-1,-1,-1\n",
    "seven columns": "1,1,10,10,20,40,0.9\n",
    "frames descend": NEXT + LINE,
    "box of no size": "1,1,10,10,0,0,0.9,-1,-1,-1\n",
    "id 0": "1,0,10,10,20,40,0.9,-1,-1,-1\n",
    "class 1": "1,1,10,10,20,40,0.9,1,-1,-1\n",
}
BOTH_REFUSE = {
    "blank line first": "\n" + RESULT,
    "blank line between": LINE + "\n" + NEXT,
    "blank line last": RESULT + "\n",
    "line of blanks": LINE + "  \n" + NEXT,
    "nothing but a blank line": "\n",
    "nothing but blank lines": "\n\n\n",
    "nothing but blanks": "   \n",
    "byte order mark": "\ufeff" + RESULT,
    "six columns": "1,1,10,10,20,40\n",
    "frame 0": "0,1,10,10,20,40,0.9,-1,-1,-1\n",
    "frame beyond": "4,1,10,10,20,40,0.9,-1,-1,-1\n",
    "frame 1e300": "1e300,1,10,10,20,40,0.9,-1,-1,-1\n",
    "text": "1,1,10,x,20,40,0.9,-1,-1,-1\n",
    "empty cell": "1,1,,10,20,40,0.9,-1,-1,-1\n",
    "head": "frame,id,x,y,w,h,conf,a,b,c\n" + RESULT,
    "id twice": LINE + LINE,
    "class 2": "1,1,10,10,20,40,0.9,2,-1,-1\n",
    "widths in a frame": LINE + "1,2,10,10,20,40,0.9\n",
    "binary": "\x00\x01\x02",
}
WE_REFUSE = {
    "widths of frames": LINE + "2,1,10,10,20,40,0.9\n",  # one file, one layout
    "frame 1.5": "1.5,1,10,10,20,40,0.9,-1,-1,-1\n",  # TrackEval cuts it to 1
    "id 1.5": "1,1.5,10,10,20,40,0.9,-1,-1,-1\n",  # likewise
    "negative id": "1,-1,10,10,20,40,0.9,-1,-1,-1\n",  # TrackEval indexes its tables from their end
    "NaN": "1,1,nan,10,20,40,0.9,-1,-1,-1\n",  # TrackEval scores a box that is nowhere
    "infinite": "1,1,inf,10,20,40,0.9,-1,-1,-1\n",
    "coordinate 1e300": "1,1,1e300,10,20,40,0.9,-1,-1,-1\n",  # TrackEval's areas overflow
}


def theirs(root: Path, benchmark: str, preprocess: bool = True) -> bool:
    """Whether TrackEval reads and preprocesses the one sequence under ``root`` ("results" is the tracker)."""
    (root / "trackers" / "t").mkdir(parents=True)
    (root / "trackers" / "t" / "data").symlink_to(root / "results")
    config = {
        "GT_FOLDER": str(root / "gt"),
        "TRACKERS_FOLDER": str(root / "trackers"),
        "BENCHMARK": benchmark,
        "SEQ_INFO": {"A": None},
        "SKIP_SPLIT_FOL": True,
        "DO_PREPROC": preprocess,
        "PRINT_CONFIG": False,
    }
    dataset = trackeval.datasets.MotChallenge2DBox(config)
    try:
        dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("t", "A"), "pedestrian")
    except Exception:  # it refuses with whatever comes
        return False
    return True


def ours(root: Path, benchmark: str) -> str:
    """ "" if our reader takes the sequence, else its message."""
    try:
        read_sequence(find_sequences(root / "gt", root / "results")[0], benchmark)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
class TestResults:
    @pytest.mark.parametrize("name", BOTH_TAKE)
    def test_both_take(self, tmp_path: Path, name: str) -> None:
        make(tmp_path, "A", GT, BOTH_TAKE[name])
        assert theirs(tmp_path, "MOT17")
        assert ours(tmp_path, "MOT17") == ""

    @pytest.mark.parametrize("name", BOTH_REFUSE)
    def test_both_refuse(self, tmp_path: Path, name: str) -> None:
        make(tmp_path, "A", GT, BOTH_REFUSE[name])
        assert not theirs(tmp_path, "MOT17")
        message = ours(tmp_path, "MOT17")
        assert message.startswith(f"{tmp_path}/results/A.txt, line ")
        assert "\n" not in message
        assert len(message) < len(str(tmp_path)) + 200

    @pytest.mark.parametrize("name", WE_REFUSE)
    def test_we_refuse(self, tmp_path: Path, name: str) -> None:
        make(tmp_path, "A", GT, WE_REFUSE[name])
        theirs(tmp_path, "MOT17")
        assert ours(tmp_path, "MOT17").startswith(f"{tmp_path}/results/A.txt, line ")


@pytest.mark.parametrize("benchmark", ["MOT15", "MOT17", "custom"])
@pytest.mark.parametrize(
    ("gt", "taken"),
    [
        (GT, True),
        ("1,1,10,10,20,40,1\n", False),
        ("1,1,10,10,20,40,1,1\n", True),
        ("1,1,10,10,20,40,1,1,1,1\n", True),
        ("\n" + GT, False),
        (GT + "\n", False),
        ("\ufeff" + GT, False),
        ("", True),
    ],
)
def test_ground_truth(tmp_path: Path, benchmark: str, gt: str, taken: bool) -> None:
    make(tmp_path, "A", gt, RESULT)
    known = benchmark if benchmark != "custom" else "MOT17"
    assert theirs(tmp_path, known, benchmark != "custom") is taken
    assert (ours(tmp_path, benchmark) == "") is taken
