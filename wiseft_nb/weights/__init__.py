"""Weights on disk: our own format, other code's, ONNX."""
