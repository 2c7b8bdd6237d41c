"""Files that have their name only once they are whole (what sinks do with them: test_sinks.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.configs.files import atomic_write, writing


def test_interrupted_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(28, "No space left on device"), "No space left on device"), (ValueError(), "ValueError")],
)
def test_what_is_refused_becomes_one_line(error: Exception, said: str) -> None:
    with pytest.raises(InputError) as caught, writing(Path("a.txt"), ValueError):
        raise error
    assert str(caught.value) == f"a.txt: cannot be written ({said}); choose another output folder"


def test_what_nobody_named_a_refusal_goes_through() -> None:
    with pytest.raises(ValueError, match="ours"), writing(Path("a.txt")):
        raise ValueError("ours")
