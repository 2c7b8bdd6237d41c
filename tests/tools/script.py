"""Scripts run as Python runs them, one after the other in a process that has nothing else to do.

For tests of what is typed but not of how a process begins: a fresh one spends most of a second on imports.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import traceback
from pathlib import Path


def script(words: list[str], place: Path) -> tuple[int, str]:
    """``python WORDS`` typed in the folder: exit code, what came on standard error. To be called in that process."""
    os.chdir(place)
    before, sys.argv, said = sys.path[:], words, io.StringIO()
    sys.path[:0] = [str(Path(words[0]).parent)]  # as Python does
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as done:
        return (done.code if isinstance(done.code, int) else int(done.code is not None)), said.getvalue()
    except BaseException:
        return 1, traceback.format_exc()
    finally:
        sys.path[:] = before
    return 0, said.getvalue()
