"""What several tools ask of the names of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retrace.configs import InputError
from retrace.eval.mot import preprocess, sequences, submission
from retrace.eval.ranking import features
from retrace.tools import calibrate, eval_mot, eval_reid, submit_mot, track, tune
from retrace.tools.terminal.options import check_outputs
from retrace.tools.tuning import settings
from retrace.tracker.run import job


@pytest.mark.parametrize("name", ["vtest.txt", "run.json", "vectors.npz", "best.safetensors"])
def test_json_overwrites_no_file_of_another_kind(tmp_path: Path, name: str) -> None:
    """A slip of the hand would turn tracks, vectors or weights into a table of scores."""
    path = tmp_path / name
    check_outputs({"json": str(path)}, ("json",))  # not there
    path.write_text("worth keeping")
    with pytest.raises(InputError, match="is there and is not of this kind; choose another name"):
        check_outputs({"json": str(path)}, ("json",))
    (tmp_path / "scores.json").write_text("{}")
    check_outputs({"json": str(tmp_path / "scores.json")}, ("json",))


@pytest.mark.parametrize(
    ("tool", "dest", "known"),
    [
        (eval_mot, "split", sequences.SPLITS),
        (eval_mot, "numbering", sequences.NUMBERINGS),
        (eval_mot, "benchmark", ("auto", *preprocess.BENCHMARKS)),
        (calibrate, "benchmark", ("auto", *preprocess.BENCHMARKS)),
        (tune, "split", sequences.SPLITS),
        (tune, "metric", settings.METRICS),
        (submit_mot, "benchmark", submission.BENCHMARKS),
        (submit_mot, "set", ("auto", *submission.SETS)),
        (eval_reid, "centre", features.CENTRES),
        (track, "reid_norm", job.NORMS),
        (track, "embed", job.EMBED),
    ],
)
def test_words_are_those_of_the_library(tool: Any, dest: str, known: tuple[str, ...]) -> None:
    """Written twice, because help must not import the library; and kept equal here."""
    (action,) = (a for a in tool.parser()._actions if a.dest == dest)
    assert {*action.choices} == {*known}
