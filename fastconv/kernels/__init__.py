"""The compiled kernels: `available()` names the instruction sets, `load(isa)` gives all kernels of one as an object."""

import importlib
import importlib.util
import os
from functools import cache
from types import ModuleType

from .. import _cpu
from ..errors import FastconvError

NAMES = (
    "average_pool",
    "cast",
    "conv_depthwise",
    "conv_direct",
    "conv_im2col",
    "conv_winograd",
    "copy",
    "elementwise",
    "gemm",
    "group_norm",
    "halo",
    "layer_norm",
    "max_pool",
    "quantize",
    "recurrent",
    "reduce",
    "resize",
    "softmax",
    "top_k",
)


class Kernels:
    """All kernels of one instruction set, each a compiled module: `kernels.conv_direct.step(fields)`."""

    def __init__(self, isa: str):
        self.isa = isa
        for name in NAMES:
            setattr(self, name, importlib.import_module(module_name(name, isa)))
        #: floats in a vector: the channels of one block of the nChw{V}c layout
        self.V: int = self.conv_direct.vector_floats()

    def __getattr__(self, name: str) -> ModuleType:
        raise AttributeError(f"no kernel {name!r} for {self.isa}")

    def __repr__(self) -> str:
        return f"<kernels for {self.isa}>"


def module_name(kernel: str, isa: str) -> str:
    """The module of a kernel for an instruction set, whether it was built or not."""
    return f"fastconv.kernels._{kernel}_{isa.replace('-', '_')}"


def _built(isa: str) -> bool:
    return importlib.util.find_spec(module_name("conv_direct", isa)) is not None


def available() -> tuple[str, ...]:
    """The instruction sets that were built and that this machine can run, slowest first."""
    return tuple(isa for isa in _cpu.isas() if _built(isa))


def load(isa: str | None = None) -> Kernels:
    """The kernels of `isa`, else of FASTCONV_ISA, else the fastest; an impossible one is an error that lists the possible."""
    return _load(isa or os.environ.get("FASTCONV_ISA") or None)


@cache
def _load(isa: str | None) -> Kernels:
    possible = available()
    if isa is None:
        isa = possible[-1]
    if isa not in possible:
        raise FastconvError(f"instruction set {isa!r} is not possible here; possible: {', '.join(possible)}")
    return Kernels(isa)
