"""The outputs of a call: the arrays that they are computed into, and Outputs, which returns several of them."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any, cast

import numpy as np

from .arguments import is_masked
from .dtypes import type_name
from .errors import InputError, did_you_mean, printable
from .graph import Value, shape_text
from .tensor_info import TensorInfo, quoted_names


class Outputs:
    """The results of a run by name and by position, in order.

    Iterating yields the arrays, so that `boxes, scores = out` unpacks them. An ONNX sequence is a list of arrays.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        The results, in order.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> out = fastconv.load(fastconv.data.DIGITS).run(np.zeros((1, 1, 8, 8), np.float32))
    >>> out
    Outputs(logits: 1×10 float32)
    >>> out["logits"] is out[0]
    True
    >>> (logits,) = out
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._arrays = dict(arrays)

    def __getitem__(self, key: str | int) -> np.ndarray:
        return self._arrays[key] if isinstance(key, str) else list(self._arrays.values())[key]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._arrays.values())

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def keys(self) -> KeysView[str]:
        """The names, in order.

        Returns
        -------
        KeysView of str
            A view, as a dict's.
        """
        return self._arrays.keys()

    def values(self) -> ValuesView[np.ndarray]:
        """The arrays, in order.

        Returns
        -------
        ValuesView of numpy.ndarray
            A view, as a dict's.
        """
        return self._arrays.values()

    def items(self) -> ItemsView[str, np.ndarray]:
        """(name, array) pairs, in order.

        Returns
        -------
        ItemsView of str and numpy.ndarray
            A view, as a dict's.
        """
        return self._arrays.items()

    def __repr__(self) -> str:
        def text(v: Any) -> str:
            return f"{len(v)} arrays" if isinstance(v, list) else f"{shape_text(v.shape)} {type_name(v.dtype)}"

        return f"Outputs({', '.join(f'{printable(k):.200}: {text(v)}' for k, v in self.items())})"


def one_or_all(results: Mapping[str, np.ndarray]) -> np.ndarray:
    """The only result itself, or Outputs of several: typed as an array, as a call is."""
    return next(iter(results.values())) if len(results) == 1 else cast(np.ndarray, Outputs(results))


def value_names(outputs: str | Sequence[str] | None) -> tuple[str, ...]:
    """The argument `outputs` of a run as names, each once; none for None."""
    if outputs is None:
        return ()
    names = [outputs] if isinstance(outputs, str) else list(outputs) if isinstance(outputs, Iterable) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"outputs: expected the names of values, got {outputs!r:.60}")
    return tuple(dict.fromkeys(names))


def arrays_by_name(infos: Sequence[TensorInfo], out: Any) -> Mapping[str, Any]:
    """The argument `out` of a call as a mapping; InputError if it names no output of the model."""
    if not isinstance(out, Mapping):
        if len(infos) > 1:
            raise InputError(f"the model has {len(infos)} outputs ({quoted_names(infos)}): give out as a mapping by name")
        return {infos[0].name: out}
    if unknown := out.keys() - {i.name for i in infos}:
        name, names = sorted(unknown)[0], [i.name for i in infos]
        raise InputError(f"out: the model has no output {name!r}; it has {quoted_names(infos)}{did_you_mean(name, names)}")
    return out


def output_array(value: Value, given: np.ndarray | None, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """The array that a plan computes an output into: `given`, if it is contiguous and shares no memory with an input."""
    dtype = value.dtype or np.dtype(np.float32)
    if given is not None:
        _check(value.name, value.dims, dtype, given)
        if given.flags.carray and not any(np.may_share_memory(given, a) for a in inputs):
            return given
    return np.empty(value.dims, dtype)


def copy_to_given(results: dict[str, Any], out: Mapping[str, Any]) -> None:
    """Replace the results for which the caller gave an array by that array, with the values copied into it."""
    for name, array in out.items():
        if results[name] is not array:
            _check(name, results[name].shape, results[name].dtype, array)
            array[...], results[name] = results[name], array


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype, out: Any) -> None:
    plain = isinstance(out, np.ndarray) and not is_masked(out)
    if not plain or out.dtype != dtype or out.shape != shape or not out.flags.writeable:
        got = f"{shape_text(out.shape)} {out.dtype}" if plain else type(out).__name__
        kind = " (read-only)" if plain and not out.flags.writeable else ""
        raise InputError(f"out {name!r}: expected a writable array {shape_text(shape)} {dtype}, got {got}{kind}")


__all__ = ["Outputs", "arrays_by_name", "copy_to_given", "one_or_all", "output_array", "value_names"]
