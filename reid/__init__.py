"""Images of people -> unit vectors: `Embedder`, trained by `fit`, written for other runtimes by `export`.

Importing it loads neither torch nor onnxruntime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from retrace.reid.embedder import Embedder, shipped_weights

if TYPE_CHECKING:
    from retrace.reid.exporting.job import Exported, ExportJob, export
    from retrace.reid.exporting.join import join, part
    from retrace.reid.training.fit import fit

__all__ = ["Embedder", "ExportJob", "Exported", "export", "fit", "join", "part", "shipped_weights"]

_HOMES = {  # what needs torch or a runtime is imported when it is first used
    "ExportJob": "retrace.reid.exporting.job",
    "Exported": "retrace.reid.exporting.job",
    "export": "retrace.reid.exporting.job",
    "fit": "retrace.reid.training.fit",
    "join": "retrace.reid.exporting.join",
    "part": "retrace.reid.exporting.join",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'retrace.reid' has no attribute {name!r}")
