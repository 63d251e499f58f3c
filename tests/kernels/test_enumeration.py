"""No implementation without a test: each module of this folder names those it tests in `COVERS`, {operator: (name, …)}."""

import importlib
import pkgutil

import tests.kernels
from fastconv.implementations import IMPLEMENTATIONS


def covered():
    """(operator, implementation) of every test module."""
    pairs = set()
    for module in pkgutil.iter_modules(tests.kernels.__path__):
        covers = getattr(importlib.import_module(f"tests.kernels.{module.name}"), "COVERS", {})
        pairs |= {(op, name) for op, names in covers.items() for name in names}
    return pairs


def registered():
    return {(op.key(), i.name) for op, ways in IMPLEMENTATIONS.items() for i in ways}


def test_every_implementation_has_a_test():
    assert registered() - covered() == set()


def test_every_implementation_tested_is_there():
    assert covered() - registered() == set()


def test_an_operators_implementations_differ_in_name():
    """Names are unique: tests, plans and benchmarks tell implementations apart by them."""
    for op, ways in IMPLEMENTATIONS.items():
        names = [i.name for i in ways]
        assert len(set(names)) == len(names), f"{op.key()}: {names}"
