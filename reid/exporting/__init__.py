"""Trained weights for ONNX Runtime, OpenVINO or torch, compared with the original first: `reid.export(...)`."""
