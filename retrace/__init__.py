"""Track people through video, and know them again when they come back.

This is the declared surface; each name is imported when it is first used, so `import retrace` costs nothing.
The folders are `retrace.tracker`, `retrace.reid`, `retrace.eval`, `retrace.configs` and `retrace.tools`; start
reading at `retrace.tracker.pipeline`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrace.configs import InputError as InputError
    from retrace.eval.mot import evaluate as evaluate
    from retrace.eval.ranking import evaluate_ranking as evaluate_ranking
    from retrace.reid import Embedder as Embedder
    from retrace.tracker import Detections as Detections
    from retrace.tracker import Tracker as Tracker
    from retrace.tracker import Tracks as Tracks
    from retrace.tracker.data import MotTable as MotTable
    from retrace.tracker.detection import open_detector as open_detector
    from retrace.tracker.mot_file import read_ground_truth as read_ground_truth
    from retrace.tracker.mot_file import write_results as write_results
    from retrace.tracker.outputs.pictures import VideoSink as VideoSink
    from retrace.tracker.pipeline import run as run
    from retrace.tracker.run import Job as Job
    from retrace.tracker.run import track_source as track_source
    from retrace.tracker.sources import open_source as open_source

__version__ = "0.1.0"

_HOMES = {
    "Detections": "retrace.tracker",
    "Embedder": "retrace.reid",
    "InputError": "retrace.configs",
    "Job": "retrace.tracker.run",
    "MotTable": "retrace.tracker.data",
    "Tracker": "retrace.tracker",
    "Tracks": "retrace.tracker",
    "VideoSink": "retrace.tracker.outputs.pictures",
    "evaluate": "retrace.eval.mot",
    "evaluate_ranking": "retrace.eval.ranking",
    "open_detector": "retrace.tracker.detection",
    "open_source": "retrace.tracker.sources",
    "read_ground_truth": "retrace.tracker.mot_file",
    "run": "retrace.tracker.pipeline",
    "track_source": "retrace.tracker.run",
    "write_results": "retrace.tracker.mot_file",
}
__all__ = ["__version__", *_HOMES]

# In a checkout the folders lie beside this folder, not in it.
if not (Path(__file__).parent / "tracker").is_dir():
    __path__.append(str(Path(__file__).parents[1]))
    # and with them what is no part of the package: itself, and the tests
    sys.modules |= dict.fromkeys(f"{__name__}.{folder}" for folder in ("retrace", "tests"))  # type: ignore[arg-type]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'retrace' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
