"""Builds the Cython modules: those of pyx/ once, those of pyx/isa/ for each instruction set.

Metadata is in pyproject.toml, the instruction sets in fastconv/kernels/isas.py. A set whose flags the compiler does not know is
left out. If the compiler lacks OpenMP, the library is serial. The modules use the Limited API, so that one wheel is for every
later Python too; free-threaded Pythons have no such API, and get a wheel for their version. Variables of the environment:

- FASTCONV_OPENMP=0 builds without OpenMP.
- FASTCONV_ISAS=avx2,baseline builds these sets only. FASTCONV_ISAS=avx512-lowered,neon-lowered builds the kernels of other
  machines for this one, with the same width of vectors and number of registers: the compiler splits the vectors.
- FASTCONV_BUILD_DEBUG=1 builds with checks of bounds and -fsanitize=address,undefined; another value, as thread, takes the
  place of these two. setup.py does not build modules again for it: it takes a tree of its own, as .ci/sanitizers makes it.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

if sys.platform == "win32" or sys.maxsize < 1 << 32:
    bits = 64 if sys.maxsize >> 32 else 32
    raise SystemExit(f"fastconv: this system is not supported: {sys.platform}, {bits} bits; fastconv needs Linux with 64 bits")


def loaded(name, path):
    """A module by its path: the package cannot be imported before it is built."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


isas = loaded("isas", "fastconv/kernels/isas.py")
commit = loaded("commit", "fastconv/bench/commit.py")

# set for a cross build, as linux-aarch64 or macosx-11.0-arm64: sysconfig takes it for the platform's name
CROSS = os.environ.get("_PYTHON_HOST_PLATFORM", "")
MACHINE = (CROSS.rpartition("-")[2] or platform.machine()).lower()
KINDS = {"x86_64": isas.X86, "amd64": isas.X86, "aarch64": isas.ARM64, "arm64": isas.ARM64}

LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")
# 3.11 is the first version whose Limited API has buffers, which memoryviews need
MACROS = [("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else []
OPTIONS = {"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {}

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
# For GCC, if the compiler is one. bench/hot_loops.py shows what they change.
GCC = [
    # by its own limits GCC does not unroll the loops over a register tile's R * J sums and a block's V channels: the sums would
    # stay in memory
    "--param=max-completely-peel-times=32",
    "--param=max-completely-peeled-insns=1000",
    # takes most of the build time for functions as long as the register tile's, and gains nothing
    "-fno-gcse",
    "-fno-gcse-after-reload",
    # puts counters and addresses into vectors, two at a time: each then waits for the store of the one before
    "-fno-tree-slp-vectorize",
    # move loads before registers are allocated (on arm64), or keep loads for the next rounds of a loop (neighbouring pixels,
    # remaining channels): the register tile's sums would spill
    "-fno-schedule-insns",
    "-fno-predictive-commoning",
    # fuses multiply-adds in builds at -O1 too, as sanitizers want them: two ways to compute a sum then have the same bits
    "-fexpensive-optimizations",
]
NAIVE = ["-O2", "-ffp-contract=off", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"]
DEBUG = os.environ.get("FASTCONV_BUILD_DEBUG", "0")
SANITIZERS = {"": "", "0": "", "1": "address,undefined"}.get(DEBUG, DEBUG)
DEBUG_FLAGS = [
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fno-wrapv",  # Python's own flags define what signed integers do at an overflow, which would not be reported
    "-ftrivial-auto-var-init=pattern",  # what is read before it is written is wrong in every run, and not in some
    f"-fsanitize={SANITIZERS}",
    "-fno-sanitize-recover=undefined",
]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": bool(SANITIZERS),
    "wraparound": bool(SANITIZERS),
    "cdivision": True,
    "initializedcheck": bool(SANITIZERS),
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


def instruction_sets():
    """The instruction sets to build: those of this kind of machine, or those that FASTCONV_ISAS names."""
    kind = KINDS.get(MACHINE, isas.OTHER)
    possible = [isa for isa, row in isas.ISAS.items() if kind in row.machines or not row.machines]
    wanted = os.environ.get("FASTCONV_ISAS")
    names = wanted.split(",") if wanted else [isa for isa in possible if isas.ISAS[isa].machines]
    if unknown := [isa for isa in names if isa not in possible]:
        raise SystemExit(f"fastconv: FASTCONV_ISAS: no {', '.join(unknown)} for {MACHINE}; possible: {', '.join(possible)}")
    for isa in names:  # and the parents that they take kernels from
        if isas.ISAS[isa].kernels is not None and isas.ISAS[isa].parent not in names:
            names.append(isas.ISAS[isa].parent)
    return names


def isa_of(extension):
    """The instruction set that a module is built for, or None."""
    names = isas.kernel_and_isa(extension.name)
    return names and names[1]


def cythonized(sources, folder):
    """The extensions {name: Cython source}, as C in a build folder of their own."""
    return cythonize(
        [Extension(name, [str(path)], define_macros=MACROS, py_limited_api=LIMITED_API) for name, path in sources.items()],
        include_path=["pyx"],
        build_dir=f"build/cython/{folder}",
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
    )


def extensions():
    """Every module, cythonized: once for each instruction set, as the names of modules differ in C."""
    once, kernels = sorted(Path("pyx").glob("*.pyx")), sorted(Path("pyx/isa").glob("*.pyx"))
    if not once or not kernels:
        raise SystemExit(
            "fastconv: there are no Cython sources in pyx/ beside setup.py: build from a checkout or a whole sdist"
        )
    sets = instruction_sets()
    modules = cythonized({f"fastconv._{p.stem}": p for p in once}, "once")
    for isa in sets:
        names = isas.ISAS[isa].kernels
        own = {isas.module_name(p.stem, isa): p for p in kernels if names is None or p.stem in names}
        modules += cythonized(own, isa)
    return modules


class SourceDistribution(sdist):
    """Holds all that a checkout has, and nothing that a build has made."""

    def make_distribution(self):
        """Pack what setuptools has found and the folders and pages that it does not know."""
        for folder in ("pyx", "tests", "bench", "docs", "examples", ".ci", "fastconv/report/web"):
            self.filelist.graft(folder)
        self.filelist.extend(["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".pre-commit-config.yaml", ".gitignore"])
        self.filelist.prune("build")
        self.filelist.prune("fastconv/report/web/node_modules")
        self.filelist.recursive_exclude("pyx", "*.html")
        for pattern in ("*.so", "*.py[cod]"):
            self.filelist.global_exclude(pattern)
        super().make_distribution()

    def make_release_tree(self, base_dir, files):
        """Add the commit, which the folder that is unpacked from it no longer knows."""
        super().make_release_tree(base_dir, files)
        write_commit(base_dir)


class BuildPy(build_py):
    """Builds the Python files, and one that has the commit: benchmarks name it."""

    def run(self):
        """Build them; an editable install asks git each time."""
        super().run()
        if not self.editable_mode:
            write_commit(self.build_lib)


def write_commit(folder):
    """Write the commit, if one is known, into a tree that will be packed."""
    if found := commit.commit():
        Path(folder, "fastconv", "bench", commit.FILE.name).write_text(found, encoding="ascii")


class Wheel(bdist_wheel):
    """Adds what the wheel is made of and with (PEP 770). auditwheel adds the libraries that it puts in."""

    def egg2dist(self, egginfo_path, distinfo_path):
        """Write the bill of materials beside the metadata."""
        super().egg2dist(egginfo_path, distinfo_path)
        path = Path(distinfo_path, "sboms", "fastconv.cdx.json")
        path.parent.mkdir()
        path.write_text(json.dumps(self.bill_of_materials(), indent=1), encoding="utf-8")

    def bill_of_materials(self):
        """In CycloneDX's format, without the time, so that the same build has the same bits."""
        own = component("fastconv", self.distribution.get_version(), "library")
        needed = [component(re.match(r"[\w.-]+", line)[0], None, "library") for line in self.distribution.install_requires]
        tools = [component(name, importlib.metadata.version(name), "application") for name in ("cython", "setuptools")]
        if compiler := getattr(self.get_finalized_command("build_ext"), "compiler", None):
            command = [*compiler.compiler[:1], "--version"]
            version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
            tools.append({"type": "application", "name": "C compiler", "version": version})
        return {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "metadata": {"component": own},
            "components": [*needed, *({**tool, "scope": "excluded"} for tool in tools)],  # excluded: not at run time
            "dependencies": [{"ref": own["bom-ref"], "dependsOn": [c["bom-ref"] for c in needed]}],
        }


def component(name, version, kind):
    """A package in CycloneDX's format; without a version if any will do that the metadata allows."""
    purl = f"pkg:pypi/{name}" + (f"@{version}" if version else "")
    return {"type": kind, "bom-ref": purl, "name": name, **({"version": version} if version else {}), "purl": purl}


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
        if not self.works("int main(void) { return 0; }", []):
            raise SystemExit(f"fastconv: no C compiler: {self.compiler.compiler[0]} does not work; install GCC or Clang")
        openmp = os.environ.get("FASTCONV_OPENMP", "1") != "0" and self.works(OPENMP_PROGRAM, ["-fopenmp"], run=True)
        if not openmp:
            self.announce("fastconv: building without OpenMP: the library will use one thread", level=3)
        wanted = dict.fromkeys(isa for e in self.extensions if (isa := isa_of(e)))
        lost = [isa for isa in wanted if not self.works("int main(void) { return 0; }", isas.flags(isa))]
        for isa in lost:
            self.announce(f"fastconv: this compiler cannot build for {isa}: left out", level=3)
        self.extensions = [e for e in self.extensions if isa_of(e) not in lost]
        gcc = GCC if self.works("int main(void) { return 0; }", GCC) else []
        for e in self.extensions:
            isa = isa_of(e)
            e.extra_compile_args = [*FLAGS, *([*gcc, *isas.flags(isa)] if isa else [])]
            e.extra_link_args = ["-s"] if MACHINE != "arm64" and not SANITIZERS else []
            if e.name == "fastconv._naive":
                e.extra_compile_args += NAIVE
            if e.name == "fastconv._executor" and openmp:
                e.extra_compile_args += ["-fopenmp"]
                e.extra_link_args += ["-fopenmp"]
            if SANITIZERS:
                e.extra_compile_args += DEBUG_FLAGS
                e.extra_link_args += DEBUG_FLAGS
        super().build_extensions()

    def copy_extensions_to_source(self):
        """Put the modules beside their package, and remove earlier ones of other names that this Python would take first."""
        super().copy_extensions_to_source()
        build_py = self.get_finalized_command("build_py")
        for e in self.extensions:
            built = Path(self._get_inplace_equivalent(build_py, e)[0])
            stem = e.name.rpartition(".")[2]
            for file in (built.with_name(stem + suffix) for suffix in EXTENSION_SUFFIXES):
                if file != built:
                    file.unlink(missing_ok=True)


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy, "bdist_wheel": Wheel, "sdist": SourceDistribution},
    options=OPTIONS,
)
