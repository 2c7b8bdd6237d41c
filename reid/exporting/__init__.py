"""Trained weights for ONNX Runtime, OpenVINO or torch, compared with the original first: `export(...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrace.reid.exporting.job import Exported, Job, export

__all__ = ["Exported", "Job", "export"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # it needs a runtime
        from retrace.reid.exporting import job

        return getattr(job, name)
    raise AttributeError(f"module 'retrace.reid.exporting' has no attribute {name!r}")
