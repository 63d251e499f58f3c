"""The inputs of a call: their arrays and shapes, checked against the model's. An error says how to correct the input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from .arguments import is_masked, whole_number
from .dtypes import element_of, is_sequence, sequence
from .errors import InputError, did_you_mean
from .graph import Dim, Shape, shape_text
from .tensor_info import TensorInfo, quoted_names

# ---- arrays


def input_arrays(infos: Sequence[TensorInfo], inputs: Any) -> list[np.ndarray]:
    """The inputs in order, contiguous and of the model's dtypes, of any shapes; InputError for one that does not fit."""
    if not isinstance(inputs, np.ndarray) and isinstance(inputs, Mapping):  # an abstract class's isinstance takes 0.1 µs
        if unknown := set(inputs) - {i.name for i in infos}:
            raise _unknown_input(infos, unknown)
        if missing := [i.name for i in infos if i.name not in inputs]:
            raise InputError(f"input {missing[0]!r} is missing; the model has {quoted_names(infos)}")
        given = [inputs[i.name] for i in infos]
    elif len(infos) == 1:
        given = [inputs]
    else:
        raise InputError(f"the model has {len(infos)} inputs ({quoted_names(infos)}): give them as a mapping by name")
    return [_array(i, x) for i, x in zip(infos, given, strict=True)]


def _array(info: TensorInfo, x: Any) -> np.ndarray:
    """The input as a contiguous array of the model's dtype."""
    if type(x) is np.ndarray and x.dtype == info.dtype and not x.dtype.hasobject and x.flags.c_contiguous and x.flags.aligned:
        return x
    if is_sequence(info.dtype):
        element = element_of(info.dtype)
        if not (isinstance(x, list | tuple) and all(isinstance(a, np.ndarray) and a.dtype == element for a in x)):
            raise _wrong(info, f"a list of arrays of {element}", f"{type(x).__name__}")
        return sequence(x)
    if info.dtype == object:
        array = np.asarray(x, object)
        if not all(isinstance(s, str) for s in array.flat):
            raise _wrong(info, "strings", f"{type(x).__name__}")
    elif isinstance(x, list | tuple):
        try:
            numbers = np.array(x)
            if numbers.dtype.kind not in "biuf":
                raise TypeError
            with np.errstate(over="ignore"):
                array = numbers.astype(info.dtype, casting="same_kind")
        except (TypeError, ValueError):
            raise _wrong(info, f"numbers of {info.dtype}", f"a {type(x).__name__} that is not an array of them") from None
    else:
        if x is None or isinstance(x, str | bytes | os.PathLike):
            raise _not_an_array(info, x)
        try:
            array = np.from_dlpack(x) if not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__") else np.asarray(x)
        except MemoryError:
            raise
        except Exception as e:  # the caller's own __dlpack__ or __array__ may raise anything
            raise _wrong(info, f"an array of {info.dtype}", f"{type(x).__name__} ({e})") from e
    if isinstance(x, np.ndarray) and is_masked(x):
        raise _wrong(info, "a plain array", "a masked array", ": fill it first, x.filled(…)")
    if array.dtype.newbyteorder("=") != info.dtype:
        hint = f": x{_cast(info)}" if array.dtype.kind in "fiub" else ""
        code = "x" if isinstance(x, np.ndarray) else "np.asarray(x)"
        raise _wrong(info, str(info.dtype), str(array.dtype), _picture_hint(info, array.shape, array.dtype, code) or hint)
    return np.require(array, info.dtype, ("C", "ALIGNED"))


def _wrong(info: TensorInfo, expected: str, got: str, hint: str = "") -> InputError:
    return InputError(f"input {info.name!r:.200}: expected {expected}, got {got}{hint}")


def _unknown_input(infos: Sequence[TensorInfo], unknown: Iterable[Any]) -> InputError:
    name, names = min(map(str, unknown)), [i.name for i in infos]
    return InputError(f"the model has no input {name!r}; it has {quoted_names(infos)}{did_you_mean(name, names)}")


def _not_an_array(info: TensorInfo, x: Any) -> InputError:
    """The error for None, bytes or the path of a file in place of an array."""
    expected = f"an array of {info.dtype} {shape_text(info.shape)}"
    if x is None or isinstance(x, bytes):
        return _wrong(info, expected, "None" if x is None else "bytes")
    path = os.fspath(x)
    if path.endswith((".npy", ".npz")):
        hint = f", np.load({path!r})"
    else:
        hint = f", fastconv.vision.to_nchw(fastconv.vision.read({path!r}))" if _takes_pictures(info) else ""
    return _wrong(info, expected, f"a path, {path!r}", f": read it first{hint}")


def _cast(info: TensorInfo) -> str:
    return f".astype({'np' if hasattr(np, info.dtype.name) else 'ml_dtypes'}.{info.dtype})"


def _takes_pictures(info: TensorInfo) -> bool:
    """Whether the input is N×3×H×W of floats."""
    return info.shape is not None and len(info.shape) == 4 and info.shape[1] == 3 and info.dtype.kind == "f"


def _picture_hint(info: TensorInfo, shape: tuple[int, ...], dtype: np.dtype, code: str = "x") -> str:
    """Code that makes this input of a picture (H×W×3, or H×W×4 with transparency) or several; "" if `code` is no picture."""
    rank = len(shape)
    if not _takes_pictures(info) or rank not in (3, 4) or shape[-1] not in (3, 4) or dtype.kind not in "fiu":
        return ""
    assert info.shape is not None
    if _all_fit(info.shape[-rank:], shape):  # the channels are first already
        return ""
    code += "[..., :3]" if shape[-1] == 4 else ""
    to_floats = "" if dtype in (np.uint8, info.dtype) else _cast(info)
    if rank == 3 and is_known(info.shape[2:]) and not _all_fit(info.shape[2:], shape[:2]):
        code = f"fastconv.vision.resize({code}{to_floats}, {info.shape[2:]})"
        to_floats = ""
    if dtype == np.uint8:
        return f": a picture becomes an input by fastconv.vision.to_nchw({code})" + (
            "" if info.dtype == np.float32 else _cast(info)
        )
    return f": channels come first, {code}.transpose({'2, 0, 1)[None]' if rank == 3 else '0, 3, 1, 2)'}{to_floats}"


def random_array(info: TensorInfo, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """An input of normal numbers; integers are 0 and 1, which are valid as most indices."""
    values = rng.standard_normal(shape, np.float32) if info.dtype.kind == "f" else rng.integers(0, 2, shape)
    return values.astype(info.dtype)


# ---- shapes


def check_shapes(infos: Sequence[TensorInfo], shapes: Sequence[tuple[int, ...]]) -> str | None:
    """InputError, naming the input, for a shape that the model does not take; a message if sizes of one symbol differ."""
    symbols: dict[str, tuple[int, str]] = {}
    differ = None
    for info, shape in zip(infos, shapes, strict=True):
        if info.shape is None:
            continue
        if len(shape) != len(info.shape):
            more = len(info.shape) - len(shape)
            fits = more > 0 and _all_fit(info.shape, (1,) * more + shape)
            axes = "batch axis" if more == 1 else "first axes"
            hint = f": add the {axes}, x[{', '.join(['None'] * more)}]" if fits else _picture_hint(info, shape, info.dtype)
            raise _wrong(info, shape_text(info.shape), shape_text(shape), hint)
        if not all(map(_fits, info.shape, shape)):
            raise _wrong(info, shape_text(info.shape), shape_text(shape), _picture_hint(info, shape, info.dtype))
        for dim, size in zip(info.shape, shape, strict=True):
            if isinstance(dim, str):
                before, owner = symbols.setdefault(dim, (size, info.name))
                if before != size and differ is None:
                    sizes = f"{before} and {size}" if owner == info.name else f"{size}, but {before} in input {owner!r}"
                    given = f"expected {shape_text(info.shape)}, got {shape_text(shape)}"
                    differ = f"input {info.name!r:.200}: {given}: {dim} is {sizes}"
    return differ


def input_shapes(infos: Sequence[TensorInfo], shapes: Mapping[str, Sequence[int]] | None) -> list[Shape]:
    """The shape of each input: the one given, or the declared one, with 1 for an open first axis if it alone is open."""
    given = shapes or {}
    if not isinstance(given, Mapping):
        raise InputError(f"shapes: expected a mapping of names to shapes, got {given!r:.60}")
    if unknown := set(given) - {i.name for i in infos}:
        raise _unknown_input(infos, unknown)
    out = []
    for i in infos:
        shape: Shape = _given_shape(i, given[i.name]) if i.name in given else i.shape
        if i.name not in given and shape is not None and is_known(shape[1:]):
            shape = tuple(1 if not isinstance(d, int) else d for d in shape)
        if not _all_fit(i.shape, shape):
            raise InputError(f"input {i.name!r:.200}: expected {shape_text(i.shape)}, got {shape_text(shape)}")
        out.append(shape)
    return out


def _given_shape(info: TensorInfo, sizes: Any) -> Shape:
    """A shape that a caller gave; InputError unless it has ints of 0 or more, symbols, or None."""
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise _wrong(info, "a shape", repr(sizes))
    return tuple(d if d is None or isinstance(d, str) else whole_number(f"input {info.name!r}: a size", d) for d in sizes)


def known_input_shapes(infos: Sequence[TensorInfo], shapes: Mapping[str, Sequence[int]] | None) -> tuple[tuple[int, ...], ...]:
    """The same; InputError if a size stays unknown."""
    known = []
    for i, shape in zip(infos, input_shapes(infos, shapes), strict=True):
        if not is_known(shape):
            raise InputError(f"input {i.name!r:.200}: give sizes for {shape_text(i.shape)}: shapes={{{i.name!r}: (…)}}")
        known.append(shape)
    return tuple(known)


def is_known(shape: Shape) -> TypeGuard[tuple[int, ...]]:
    """Whether every size is an int."""
    return shape is not None and all(isinstance(d, int) for d in shape)


def _fits(dim: Dim, size: Dim) -> bool:
    return not isinstance(dim, int) or dim == size


def _all_fit(declared: Shape, given: Shape) -> bool:
    return declared is None or given is None or (len(declared) == len(given) and all(map(_fits, declared, given)))


__all__ = ["check_shapes", "input_arrays", "input_shapes", "is_known", "known_input_shapes", "random_array"]
