"""Inputs of a model from the command line: shapes, arrays from files, random arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Container, Iterable, Mapping

import numpy as np

from ..errors import InputError, did_you_mean
from ..file_kinds import regular
from ..graph import shape_text
from ..inputs import random_array
from ..model import Model
from .arguments import NamedShape


def given_shapes(model: Model, shapes: Iterable[NamedShape]) -> dict[str, tuple[int, ...]]:
    """The shapes given by --shape, by input."""
    return {_input_name(model, name, shape_text(dims)): dims for name, dims in shapes}


def all_shapes(model: Model, given: Iterable[NamedShape], but: Container[str] = ()) -> dict[str, tuple[int, ...]]:
    """A shape for every input not in `but`: the one given, else the declared one with 1 for an open batch."""
    shapes = given_shapes(model, given)
    for t in model.inputs:
        if t.name not in shapes and t.name not in but:
            if t.shape is None or not all(isinstance(d, int) for d in t.shape[1:]):
                raise InputError(f"input {t.name!r} is {shape_text(t.shape)}: give its sizes with --shape {t.name}=...")
            shapes[t.name] = tuple(d if isinstance(d, int) else 1 for d in t.shape)
    return shapes


def random_arrays(
    model: Model, shapes: Iterable[NamedShape], arrays: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """`arrays`, and random ones for the other inputs, the same on every run."""
    arrays = arrays or {}
    rng, dims = np.random.default_rng(0), all_shapes(model, shapes, arrays)
    try:
        return {t.name: arrays[t.name] if t.name in arrays else random_array(t, dims[t.name], rng) for t in model.inputs}
    except ValueError as e:  # "Maximum allowed dimension exceeded"
        raise InputError(f"{', '.join(map(shape_text, dims.values()))}: {e}") from None


def read_arrays(model: Model, specs: Iterable[str]) -> dict[str, np.ndarray]:
    """The inputs in files: all arrays of a .npz by their names, or its only array for the input that is named."""
    arrays: dict[str, np.ndarray] = {}
    for spec in specs:
        name, path = spec.split("=", 1) if "=" in spec else (None, spec)
        found: dict[str | None, np.ndarray]
        try:
            with open(path, "rb", opener=regular) as file:
                loaded = np.load(file, allow_pickle=False)
                found = {None: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):  # NumPy's message would suggest to unpickle
            raise InputError(f"{path}: not a .npy or .npz file of numbers") from None
        if len(found) == 1 and (name or len(model.inputs) == 1):
            found = {name: next(iter(found.values()))}
        arrays |= {_input_name(model, n, path): a for n, a in found.items()}
    return arrays


def _input_name(model: Model, name: str | None, given: str) -> str:
    """The input that `given`, a shape or a file, is for."""
    names = [t.name for t in model.inputs]
    if name is None and len(names) == 1:
        return names[0]
    if name not in names:
        problem = "for which input? Say NAME=" if name is None else f"there is no input {name!r}"
        hint = did_you_mean(name, names) if name else ""
        raise InputError(f"{given}: {problem}; the model's inputs are {', '.join(map(repr, names)) or 'none'}{hint}")
    return name
