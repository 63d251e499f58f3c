"""Mutations of valid models: ModelError, InputError or a right answer comes out."""

import copy
import json
import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastconv

from .agree import disagreement
from .check import Finding, only_errors_of_models
from .models import NAMES, seed, text

MAX_BYTES = 1 << 24
NUMBERS = [0, 1, -1, 2, 3, 7, 16, 2**31, 2**32 + 3, 2**40, 2**62, 2**63 - 1, -(2**63), 0.5, 1e30, "NaN"]
OTHERS = [None, True, "", "x", [], {}, ["1"], 1.5, *NUMBERS]


def slots(value, path=()):
    """The paths of all parts of a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from slots(inner, (*path, key))


def parent(model, path):
    """The object or list in which a part is."""
    for key in path[:-1]:
        model = model[key]
    return model


def change(draw, model):
    """Change one part: its type, sign or size, delete or duplicate it, or swap it with another of its type."""
    paths = list(slots(model))
    path = draw(st.sampled_from(paths))
    inside, key = parent(model, path), path[-1]
    value = inside[key]
    how = draw(st.sampled_from(["type", "sign", "size", "delete", "duplicate", "swap"]))
    if how == "type":
        inside[key] = copy.copy(draw(st.sampled_from(OTHERS)))
    elif how == "sign" and isinstance(value, int | float):
        inside[key] = -value
    elif how == "size" and isinstance(value, int | float):
        inside[key] = draw(st.sampled_from(NUMBERS))
    elif how == "size" and isinstance(value, str | list):
        inside[key] = value[: len(value) // 2] if draw(st.booleans()) else value + copy.deepcopy(value)
    elif how == "delete":
        del inside[key]
    elif how == "duplicate" and isinstance(inside, list):
        inside.insert(key, copy.deepcopy(value))
    elif how == "swap":
        other = draw(st.sampled_from(paths))
        far = parent(model, other)
        if type(far[other[-1]]) is type(value) and path[: len(other)] != other and other[: len(path)] != path:
            inside[key], far[other[-1]] = far[other[-1]], value


@st.composite
def mutants(draw):
    """The text of a model of an operator with one to three changes."""
    model = json.loads(seed(draw(st.sampled_from(NAMES))))
    for _ in range(draw(st.integers(1, 3))):
        change(draw, model["graph"])
    return text(model)


def arrays(model, rng):
    """Inputs that fit a model; None if there are none of a size to compute with, or sequences among them."""
    found = {}
    for i in model.inputs:
        dims = [d if isinstance(d, int) else int(rng.integers(1, 4)) for d in i.shape or ()]
        if i.dtype.kind not in "fiub" or i.dtype.metadata or np.prod(dims, dtype=float) > 1e5:
            return None
        found[i.name] = (
            rng.standard_normal(dims) * 2
            if i.dtype.kind == "f"
            else rng.integers(0 if i.dtype.kind in "ub" else -2, 2 if i.dtype.kind == "b" else 5, dims)
        ).astype(i.dtype)
    return found


@settings(max_examples=1000, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutants(), st.integers(0, 1 << 16), st.integers(1, 2))
def mutated_models(data, number, threads):
    with only_errors_of_models(data, ".json"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # NumPy's
        model = fastconv.load(data, threads=threads, max_bytes=MAX_BYTES)
        inputs = arrays(model, np.random.default_rng(number))
        if inputs is None:
            return
        if problem := disagreement(model, inputs, model.run(inputs)):
            raise Finding(problem, data, ".json", "-".join(type(n.op).__name__ for n in model._original.nodes))
