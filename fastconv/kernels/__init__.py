"""The compiled kernels: `available()` names the instruction sets, `load(isa)` gives the kernels of one as an object."""

import os
from functools import cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType

from .. import _cpu
from ..errors import FastconvError
from .isas import ISAS, features, kernel_and_isa, lineage, module_name


class Kernels:
    """The kernels of one instruction set, each a compiled module: `kernels.conv_direct.step(fields)`.

    A kernel that was not built for the set is that of the set's parent. All are imported at once: a process that forks while
    another thread imports a module leaves its child with the module's lock.
    """

    def __init__(self, isa: str):
        self.isa = isa
        #: the instruction set that each kernel was built for: this one, or the nearest ancestor that has it
        self.sources = {name: source for source in reversed(lineage(isa)) for name in built().get(source, ())}
        for name, source in self.sources.items():
            setattr(self, name, import_module(module_name(name, source)))
        #: floats in a vector: the channels of one block of the nChw{V}c layout
        self.V: int = self.conv_direct.vector_floats()

    def __getattr__(self, name: str) -> ModuleType:
        raise AttributeError(f"no kernel {name!r} for {self.isa}")

    def __repr__(self) -> str:
        return f"<kernels for {self.isa}>"


@cache
def built() -> dict[str, frozenset[str]]:
    """The kernels that were built, by instruction set, slowest set first; a set with none is left out."""
    found: dict[str, set[str]] = {isa: set() for isa in ISAS}
    for file in (file for folder in __path__ for file in os.listdir(folder)):
        module, dot, suffix = file.partition(".")
        if dot + suffix in EXTENSION_SUFFIXES and (names := kernel_and_isa(module)) is not None:
            kernel, isa = names
            found[isa].add(kernel)
    return {isa: frozenset(names) for isa, names in found.items() if names}


def available(kernel: str | None = None) -> tuple[str, ...]:
    """The instruction sets that were built and that this machine can run, slowest first; those with a `kernel` of their own."""
    possible = (isa for isa in built() if features(isa) <= _cpu.FEATURES)
    return tuple(isa for isa in possible if kernel is None or kernel in built()[isa])


def load(isa: str | None = None) -> Kernels:
    """The kernels of `isa`, else of FASTCONV_ISA, else the fastest; an impossible one is an error that lists the possible."""
    possible = available()
    if not possible:
        raise FastconvError(f"this machine can run none of the instruction sets that were built: {', '.join(built())}")
    isa = isa or os.environ.get("FASTCONV_ISA") or possible[-1]
    if isa not in possible:
        raise FastconvError(f"instruction set {isa!r} is not possible here; possible: {', '.join(possible)}")
    return _kernels(isa)


_kernels = cache(Kernels)
