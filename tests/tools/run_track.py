"""tools/track.py called as its tests call it."""

from __future__ import annotations

import pytest

from retrace.tools import track
from retrace.tools.terminal.console import guarded
from retrace.tracker.data import Step
from retrace.tracker.run import checkpoint


def run(*arguments: object) -> int:
    return track.main([str(a) for a in arguments])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Exit code 2 and one line on standard error, which is returned."""
    with pytest.raises(SystemExit) as caught:
        guarded(track.main, [str(a) for a in arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


def stop_at(monkeypatch: pytest.MonkeyPatch, frame: int, *arguments: object) -> None:
    """A run that keeps a checkpoint at every frame and is killed when it has done ``frame``, before its checkpoint."""
    took = checkpoint.Checkpoint.took

    def die(self: checkpoint.Checkpoint, step: Step) -> None:
        took(self, step)
        if step.frame.index == frame:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "EVERY", 0.0)
        patch.setattr(checkpoint.Checkpoint, "took", die)
        with pytest.raises(KeyboardInterrupt):
            run(*arguments)
