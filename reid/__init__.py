"""Images of people -> unit vectors. Importing it loads neither torch nor onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrace.reid.embedder import Embedder, shipped_weights

if TYPE_CHECKING:
    from retrace.reid.training.fit import fit

__all__ = ["Embedder", "fit", "shipped_weights"]


def __getattr__(name: str) -> Any:
    if name == "fit":  # it needs torch
        from retrace.reid.training.fit import fit

        return fit
    raise AttributeError(f"module 'retrace.reid' has no attribute {name!r}")
