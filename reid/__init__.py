"""Images of people -> unit vectors. Importing this room loads neither torch nor onnxruntime."""

from retrace.reid.embedder import Embedder, shipped_weights

__all__ = ["Embedder", "shipped_weights"]
