"""Exported models: checked, and run by onnxruntime."""

from bitreid.encoding.onnx.engine import OnnxEngine

__all__ = ["OnnxEngine"]
