"""The table of instruction sets: setup.py builds the kernels by it, and `fastconv.kernels` loads them by it.

setup.py runs this file by its path, before the package can be imported: it imports nothing of the package.
"""

from typing import NamedTuple


class InstructionSet(NamedTuple):
    """How kernels are built for an instruction set, and what a machine needs to run them.

    A set has the flags and needs the features of its parent too.
    """

    #: the set that this one extends; a kernel that is not built for this set is the parent's
    parent: str | None = None
    #: kinds of machines that it is built for; empty: for any machine, but only if FASTCONV_ISAS names it
    machines: tuple[str, ...] = ()
    #: flags of the compiler
    flags: tuple[str, ...] = ()
    #: features that the CPU must have, and whose registers the operating system must save; named as in `_cpu.FEATURES`
    features: tuple[str, ...] = ()
    #: the kernels that are built for it, files of pyx/isa without ".pyx"; None: all
    kernels: tuple[str, ...] | None = None


X86 = "x86-64"
ARM64 = "arm64"
OTHER = "other"

#: the kernels that multiply bytes, see pyx/dot.pxd
DOT = ("conv_int8", "conv_depthwise_int8", "peak")

#: name -> row, slowest first: of the sets that were built and that the machine can run, the last is the default.
#: No kernel multiplies bfloat16 yet: the set that adds instructions for it only (kernels=()) is not built.
ISAS = {
    # The compiler splits vectors of another machine's width: slow, exact, and for tests only. -O2: GCC takes five times as long
    # at -O3 to split them.
    "avx512-lowered": InstructionSet(flags=("-DVBYTES=64", "-DREGS=32", "-DLOWERED", "-Wno-psabi", "-O2")),
    "amx-lowered": InstructionSet("avx512-lowered", flags=("-DAMX_LOWERED",), kernels=("conv_int8",)),
    "neon-lowered": InstructionSet(flags=("-DVBYTES=16", "-DREGS=32", "-DLOWERED", "-O2")),
    "baseline": InstructionSet(machines=(X86, OTHER)),
    "avx2": InstructionSet("baseline", (X86,), ("-mavx2", "-mfma", "-mf16c"), ("avx2", "fma", "f16c")),
    "avxvnni": InstructionSet("avx2", (X86,), ("-mavxvnni",), ("avxvnni",), kernels=DOT),
    "avx512": InstructionSet(
        "avx2",
        (X86,),
        ("-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mprefer-vector-width=512"),
        ("avx512f", "avx512vl", "avx512bw", "avx512dq"),
    ),
    "avx512vnni": InstructionSet("avx512", (X86,), ("-mavx512vnni",), ("avx512vnni",), kernels=DOT),
    "avx512bf16": InstructionSet("avx512vnni", (X86,), ("-mavx512bf16",), ("avx512bf16",), kernels=()),
    "amx": InstructionSet("avx512vnni", (X86,), ("-mamx-tile", "-mamx-int8"), ("amx-int8",), kernels=("conv_int8", "peak")),
    "neon": InstructionSet(machines=(ARM64,)),
    "neon-dotprod": InstructionSet("neon", (ARM64,), ("-march=armv8.2-a+dotprod",), ("asimddp",), kernels=DOT),
}


def lineage(isa: str) -> list[str]:
    """The instruction set, its parent, the parent's parent and so on.

    Examples
    --------
    >>> from fastconv.kernels.isas import lineage
    >>> lineage("avx512")
    ['avx512', 'avx2', 'baseline']
    """
    parent = ISAS[isa].parent
    return [isa] if parent is None else [isa, *lineage(parent)]


def flags(isa: str) -> list[str]:
    """The compiler's flags for an instruction set, the parent's first."""
    return [flag for name in reversed(lineage(isa)) for flag in ISAS[name].flags]


def features(isa: str) -> set[str]:
    """The features that a machine must have to run an instruction set."""
    return {feature for name in lineage(isa) for feature in ISAS[name].features}


def _suffix(isa: str) -> str:
    return f"_{isa.replace('-', '_')}"  # names of modules have no hyphens


def module_name(kernel: str, isa: str) -> str:
    """The module of a kernel for an instruction set, whether it was built or not.

    Examples
    --------
    >>> from fastconv.kernels.isas import module_name
    >>> module_name("gemm", "neon-lowered")
    'fastconv.kernels._gemm_neon_lowered'
    """
    return f"fastconv.kernels._{kernel}{_suffix(isa)}"


def kernel_and_isa(module: str) -> tuple[str, str] | None:
    """The kernel and the instruction set that a module is named after; None if it is named after none.

    Examples
    --------
    >>> from fastconv.kernels.isas import kernel_and_isa
    >>> kernel_and_isa("fastconv.kernels._conv_direct_avx512_lowered")
    ('conv_direct', 'avx512-lowered')
    """
    name = module.rpartition(".")[2]
    for isa in ISAS:
        if name.endswith(_suffix(isa)):
            return name.removeprefix("_").removesuffix(_suffix(isa)), isa
    return None
