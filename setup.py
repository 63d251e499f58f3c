"""Builds the Cython modules: those of pyx/ once, those of pyx/isa/ once per instruction set.

Metadata is in pyproject.toml. A compiler that lacks an instruction set's flags loses that build only; one without OpenMP
builds a serial library. FASTCONV_OPENMP=0 opts out of OpenMP, FASTCONV_ISAS=avx2,baseline builds only those.

FASTCONV_ISAS=avx512-lowered,neon-lowered builds the kernels as those instruction sets have them, with the same width of vectors
and number of registers, for any machine: the compiler splits the vectors. They are slow and right. They are for tests, and not
built unless asked for.
"""

import os
import platform
import subprocess
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# name -> flags; on x86 the packages' loader picks the last one that CPU and operating system allow
X86 = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mprefer-vector-width=512"],
}
ARM64 = {"neon": []}
# set for a cross build, as linux-aarch64 or macosx-11.0-arm64: sysconfig takes it for the platform's name
CROSS = os.environ.get("_PYTHON_HOST_PLATFORM", "")
MACHINE = (CROSS.rpartition("-")[2] or platform.machine()).lower()
# -O2: split vectors take GCC five times as long at -O3
LOWERED = {
    "avx512-lowered": ["-DVBYTES=64", "-DREGS=32", "-DLOWERED", "-Wno-psabi", "-O2"],
    "neon-lowered": ["-DVBYTES=16", "-DREGS=32", "-DLOWERED", "-O2"],
}
ISAS = X86 if MACHINE in ("x86_64", "amd64") else ARM64 if MACHINE in ("aarch64", "arm64") else {"baseline": []}
if wanted := os.environ.get("FASTCONV_ISAS"):
    ISAS = {name: (ISAS | LOWERED)[name] for name in wanted.split(",")}

# Never -ffast-math or -Ofast: linking with them changes the floating point mode of the whole process.
FLAGS = [
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-g0",
    "-Wno-unused-function",
]
# For GCC, where the compiler is one. Its own limits would leave the tile's loop over R * J sums as a loop, with the sums in
# memory, and that over the V channels of a block: bench/hot_loops.py tells. Its elimination of common subexpressions between
# blocks takes most of the build for functions as long as the tile's, for nothing. Counters and addresses that it updates two at
# a time, as vectors, wait for the store of the one before.
GCC = [
    "--param=max-completely-peel-times=32",
    "--param=max-completely-peeled-insns=1000",
    "-fno-gcse",
    "-fno-gcse-after-reload",
    "-fno-tree-slp-vectorize",
    # loads moved ahead before registers are given out (GCC does so on arm64), or kept for the loop's next rounds (tiles of
    # neighbouring pixels, tails of channels), push the tile's sums out of the registers
    "-fno-schedule-insns",
    "-fno-predictive-commoning",
]
NAIVE = ["-O2", "-ffp-contract=off", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}
OPENMP_PROGRAM = """
#include <omp.h>
#include <stdio.h>
int main(void) { int n = 0;
#pragma omp parallel num_threads(2) reduction(+:n)
    n += 1;
    printf("%d", n); return n < 1; }
"""


def suffix(isa):
    """How the names of an instruction set's modules end: names of modules have no hyphens."""
    return isa.replace("-", "_")


def isa_of(extension):
    """The instruction set that a module is built for, or None."""
    inside = extension.name.startswith("fastconv.kernels.")
    return next((isa for isa in ISAS if inside and extension.name.endswith(f"_{suffix(isa)}")), None)


def extensions():
    """Every module, cythonized: an own build directory per instruction set, as the C names differ."""
    jobs = os.cpu_count() or 1
    if not list(Path("pyx").glob("*.pyx")) or not list(Path("pyx/isa").glob("*.pyx")):
        raise SystemExit(
            "fastconv: there are no Cython sources in pyx/ beside setup.py: build from a checkout or a whole sdist"
        )
    once = [Extension(f"fastconv._{p.stem}", [str(p)]) for p in sorted(Path("pyx").glob("*.pyx"))]
    modules = cythonize(
        once, include_path=["pyx"], build_dir="build/cython/once", compiler_directives=DIRECTIVES, nthreads=jobs
    )
    for isa in ISAS:
        sources = sorted(Path("pyx/isa").glob("*.pyx"))
        kernels = [Extension(f"fastconv.kernels._{p.stem}_{suffix(isa)}", [str(p)]) for p in sources]
        modules += cythonize(
            kernels, include_path=["pyx"], build_dir=f"build/cython/{isa}", compiler_directives=DIRECTIVES, nthreads=jobs
        )
    return modules


class SourceDistribution(sdist):
    """Holds all that a checkout has, and nothing that a build has made."""

    def make_distribution(self):
        """Pack what setuptools has found and the folders and pages that it does not know."""
        for folder in ("pyx", "tests", "bench", "docs", "examples", ".ci"):
            self.filelist.graft(folder)
        self.filelist.extend(["CHANGELOG.md", "SECURITY.md", ".pre-commit-config.yaml", ".gitignore"])
        self.filelist.prune("build")
        for pattern in ("*.so", "*.html", "*.py[cod]"):
            self.filelist.global_exclude(pattern)
        super().make_distribution()


class BuildExt(build_ext):
    """Adds each module's flags, once the compiler is known, and compiles on every core."""

    def finalize_options(self):
        """Compile as many modules at once as there are cores."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def works(self, program, flags, run=False):
        """Whether a C program compiles and links with the flags (and runs, where that is asked; a cross build cannot)."""
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "check.c"), str(Path(folder, "check"))
            source.write_text(program)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir="/" if os.path.isabs(folder) else "", extra_postargs=flags
                )
                self.compiler.link_executable(objects, target, extra_postargs=flags)
                return not run or bool(CROSS) or subprocess.run([target], timeout=60, stdout=subprocess.DEVNULL).returncode == 0
            except Exception:
                return False

    def build_extensions(self):
        """Drop the instruction sets this compiler cannot build, then build with flags for each module."""
        openmp = os.environ.get("FASTCONV_OPENMP", "1") != "0" and self.works(OPENMP_PROGRAM, ["-fopenmp"], run=True)
        if not openmp:
            self.announce("fastconv: building without OpenMP: the library will use one thread", level=3)
        lost = [isa for isa, flags in ISAS.items() if not self.works("int main(void) { return 0; }", flags)]
        for isa in lost:
            self.announce(f"fastconv: this compiler cannot build for {isa}: left out", level=3)
        self.extensions = [e for e in self.extensions if isa_of(e) not in lost]
        gcc = GCC if self.works("int main(void) { return 0; }", GCC) else []
        for e in self.extensions:
            isa = isa_of(e)
            e.extra_compile_args = [*FLAGS, *([*gcc, *ISAS[isa]] if isa else [])]
            e.extra_link_args = ["-s"] if MACHINE != "arm64" else []
            if e.name == "fastconv._naive":
                e.extra_compile_args += NAIVE
            if e.name == "fastconv._executor" and openmp:
                e.extra_compile_args += ["-fopenmp"]
                e.extra_link_args += ["-fopenmp"]
        super().build_extensions()


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt, "sdist": SourceDistribution})
