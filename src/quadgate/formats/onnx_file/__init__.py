"""ONNX models: reads the LSTMs and GRUs of a file, whatever subgraph they are in, and writes complete networks."""

from quadgate.formats.onnx_file.reader import read_model
from quadgate.formats.onnx_file.writer import loading_code, write_model

__all__ = ["loading_code", "read_model", "write_model"]
