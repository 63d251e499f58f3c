"""Reading JSON strictly, by protobuf's mapping of messages: the text, single values, and the fields of one object.

Nothing here knows ONNX. A value is read by a function that raises ValueError with what it expected; `Fields` adds the path
and makes it a ModelError.
"""

from __future__ import annotations

import binascii
import json
import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from .errors import ModelError

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
_INTEGER = re.compile("-?[0-9]{1,20}").fullmatch


def parse(text: bytes) -> Any:
    """JSON by the standard, in UTF-8: no duplicate keys, no NaN, no number out of range. ModelError otherwise."""
    try:
        return json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ModelError("not JSON that a model has: nested too deeply") from None
    except ValueError as e:  # the hooks' own, JSONDecodeError, UnicodeDecodeError, and int() of more than 4300 digits
        raise ModelError(f"not JSON: {e}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError(f"duplicate key {_first_twice(key for key, _ in pairs)!r:.60}")
    return out


def _first_twice(keys: Iterable[str]) -> str | None:
    """The first key that comes again; None if none does."""
    counts = Counter(keys)
    return next((key for key, count in counts.items() if count > 1), None)


def _no_constant(text: str) -> Any:
    raise ValueError(f'{text} (as a string, "{text}", it is a number)')


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text:.60} is out of range")
    return number


def integer(value: Any, least: int = INT64_MIN, most: int = INT64_MAX) -> int:
    """An integer: 3, "3" or 3.0."""
    if isinstance(value, str) and _INTEGER(value):
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    else:
        raise ValueError(f"expected an integer, got {brief(value)}")
    if not least <= number <= most:
        raise ValueError(f"expected an integer from {least} to {most}, got {brief(value)}")
    return number


def double(value: Any) -> float:
    """A number: 0.5, "0.5", "NaN", "Infinity" or "-Infinity"."""
    if isinstance(value, float):
        return value
    if isinstance(value, str) and re.fullmatch(r"NaN|-?Infinity|-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", value):
        number = float(value)
        if math.isfinite(number) or value[-1].isalpha():
            return number
    elif isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"expected a number in a double's range, got {brief(value)}")


def single(value: Any) -> float:
    """A number in float32's range, rounded to float32."""
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", double(value)))[0]
        return rounded
    except OverflowError:
        raise ValueError(f"expected a number in float32's range, got {brief(value)}") from None


def string(value: Any) -> str:
    """Text that is Unicode: JSON can escape halves of characters, which nothing can print."""
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {brief(value)}")
    if not value.isascii() and re.search("[\ud800-\udfff]", value):
        raise ValueError(f"expected Unicode text, got {brief(value)}")
    return value


def raw(value: Any) -> bytes:
    """Bytes in base64, of either alphabet, padded or not; bytes as they are if the model never was JSON."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected base64, got {brief(value)}")
    try:
        text = value.encode("ascii")
        if b"-" in text or b"_" in text:
            text = text.translate(bytes.maketrans(b"-_", b"+/"))
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise ValueError(f"expected base64, got {brief(value)}") from None


def text(value: Any) -> str:
    """A string that the format keeps as bytes."""
    try:
        return raw(value).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"expected UTF-8 in base64, got {brief(value)}") from None


def enum(names: Mapping[str, int], value: Any) -> int:
    """A value of an enum: "INTS" or 7."""
    if isinstance(value, str) and value in names:
        return names[value]
    try:
        number = integer(value)
    except ValueError:
        number = -1
    if number not in names.values():
        raise ValueError(f"expected one of {', '.join(names)}, got {brief(value)}")
    return number


def sequence(value: Any) -> list[Any] | tuple[Any, ...]:
    """A list; its items are not checked."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, got {brief(value)}")
    return value


def brief(value: Any) -> str:
    """A value for a message: escaped, and short."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return "a very large integer"
    cut = value[:60] if isinstance(value, str | bytes) else value
    return f"{cut!r}{'...' if cut is not value and len(value) > 60 else ''}"


def spellings(keys: str) -> dict[str, str]:
    """The keys of a message by both their spellings: snake_case as ONNX writes them, camelCase as protobuf's default is."""
    camel = partial(re.sub, "_([a-z0-9])", lambda m: m[1].upper())
    return {spelling: key for key in keys.split() for spelling in (key, camel(key))}


class Fields:
    """One JSON object and its path: strict access to its fields, each under either spelling. Errors are ModelErrors."""

    def __init__(self, value: Any, path: str, keys: Mapping[str, str]):
        self.path = path
        if not isinstance(value, dict):
            raise self.error(f"expected an object, got {brief(value)}")
        if unknown := value.keys() - keys:
            raise self.error(f"unknown key {brief(next(k for k in value if k in unknown))}")
        # in protobuf's JSON, null means absent
        self.values: dict[str, Any] = {keys[spelling]: item for spelling, item in value.items() if item is not None}
        if len(self.values) < len(value) and (twice := _first_twice(keys[spelling] for spelling in value)) is not None:
            raise self.error(f"{twice!r} appears in both spellings")

    def at(self, key: str) -> str:
        """The path of a field."""
        return f"{self.path}.{key}" if self.path else key

    def error(self, message: str, key: str = "", kind: type[ModelError] = ModelError) -> ModelError:
        """A ModelError (or a subclass) that names the object's path, or a field's."""
        return kind(f"{(self.at(key) if key else self.path) or 'the model'}: {message}")

    def has(self, key: str) -> bool:
        """Whether the field is there, and is not an empty string, list or object."""
        value = self.values.get(key)
        return value is not None and bool(value or isinstance(value, int | float))

    def get(self, key: str, read: Callable[[Any], Any], default: Any = None) -> Any:
        """The field as `read` reads it; without a default it must be there."""
        if key not in self.values:
            if default is None:
                raise self.error(f"{key!r} is missing")
            return default
        try:
            return read(self.values[key])
        except ValueError as e:
            raise self.error(str(e), key) from None

    def list(self, key: str, read: Callable[[Any], Any]) -> list[Any]:
        """The field's items as `read` reads them; empty if it is absent."""
        out: list[Any] = []
        try:
            for item in self.get(key, sequence, ()):
                out.append(read(item))  # noqa: PERF401 (its length is the index of a bad item)
        except ModelError:
            raise
        except ValueError as e:
            raise self.error(str(e), f"{key}[{len(out)}]") from None
        return out

    def object(self, key: str, keys: Mapping[str, str]) -> Fields:
        """The field, an object that must be there."""
        return Fields(self.get(key, lambda value: value), self.at(key), keys)

    def objects(self, key: str, keys: Mapping[str, str]) -> Iterator[Fields]:
        """The field's items, which must be objects."""
        path = self.at(key)
        for i, value in enumerate(self.get(key, sequence, ())):
            yield Fields(value, f"{path}[{i}]", keys)
