"""Engines out of a trained network: exported, quantised, and proved to give its codes."""

from bitreid.training.exporting.artifacts import INT8, ONNX, export_engine
from bitreid.training.exporting.proof import Known, known_from, known_of

__all__ = ["INT8", "ONNX", "Known", "export_engine", "known_from", "known_of"]
