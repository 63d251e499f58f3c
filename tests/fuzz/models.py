"""Models as files: the smallest of ONNX's node cases of each operator, and the text of a model's dict."""

import base64
import functools
import json
import math
from pathlib import Path

from fastconv.onnx_json import wire

CORPUS = Path(__file__).with_name("corpus")
NAMES = sorted(path.stem for path in (CORPUS / "models").iterdir())


@functools.cache
def seed(name):
    """The text in JSON of the model of an operator."""
    return text(wire.parse((CORPUS / "models" / f"{name}.onnx").read_bytes()))


def text(model):
    """A model's dict in JSON, as protobuf writes bytes and numbers that JSON does not have."""
    return json.dumps(_plain(model)).encode()


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("inf", "Infinity").replace("nan", "NaN")
    return value
