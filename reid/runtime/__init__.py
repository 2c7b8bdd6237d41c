"""Running weights: torch, ONNX Runtime and OpenVINO behind one function, imported when used."""
