"""The model format, ONNX's ModelProto as JSON (what `onnx.save(model, "model.json")` writes): read to a Graph and written back.

`wire` reads a `.onnx` file to the same dict, so there is one way to build a graph. Nothing here trusts the file: sizes are
checked before memory is allocated, and every error names the JSON path.
"""

from .source import Parsed, Reading, Source, parse, read
from .writer import to_bytes, write

__all__ = ["Parsed", "Reading", "Source", "parse", "read", "to_bytes", "write"]
