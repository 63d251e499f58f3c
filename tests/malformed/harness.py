"""What each case is checked for, through every reader: the type of the error, and one line that names the place."""

import re
import unicodedata

import pytest
from google.protobuf import json_format
from onnx import ModelProto

from fastconv.errors import InputError, ModelError, UnsupportedError
from fastconv.onnx_json import read

from ..support.onnx_dicts import text

#: The classes of SECURITY.md, by what readers of models have got wrong. A case's id begins with its class.
CLASSES = [f"T{i:02}" for i in range(1, 31)]


def onnx_bytes(m):
    """The model in protobuf's wire format; None if that cannot express it."""
    try:
        return json_format.Parse(text(m), ModelProto()).SerializeToString()
    except (json_format.ParseError, UnicodeEncodeError):
        return None


def sources(m):
    """The model for each reader: the dict, JSON, and ONNX where that can express it."""
    yield m
    yield text(m)
    if (wire := onnx_bytes(m)) is not None:
        yield wire


def message_of(error):
    """The message of an error, which is for a log and a terminal: one short line, or one for each place of UnsupportedError."""
    assert isinstance(error, (ModelError, InputError)), repr(error)
    message = str(error)
    message.encode("utf-8")
    assert len(message) < 2000
    lines = message.split("\n") if isinstance(error, UnsupportedError) else [message]
    bad = {c for line in lines for c in line if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert not bad, f"what a terminal would obey is to be escaped: {message!r}"
    return message


def refused(m, match, kind=ModelError, **options):
    """Check that each reader refuses a model (or the one that a path or bytes are for); the last error's message."""
    for source in sources(m) if isinstance(m, dict) else [m]:
        with pytest.raises(kind) as e:
            read(source, **options)
        message = message_of(e.value)
        assert re.search(match, message), message
    return message


def named(cases):
    """The cases of a test by id: {"T09-offset-negative": values}."""
    return [pytest.param(*(v if isinstance(v, tuple) else (v,)), id=name) for name, v in cases.items()]
