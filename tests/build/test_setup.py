"""setup.py, on a checkout with two modules of a line, and the version."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import fastconv

ROOT = Path(__file__).parents[2]
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
#: the end of the names of some other Python's modules
OTHER = ".cpython-10-somewhere.so"
needs_checkout = pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="needs a checkout")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What setup.py needs: a module that is built once, a kernel, and the package's files that it reads."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools", minversion="80")
    folder = tmp_path_factory.mktemp("checkout")
    package = ("fastconv/version.py", "fastconv/bench/commit.py", "fastconv/kernels/isas.py")
    for path in ("setup.py", "pyproject.toml", "README.md", "LICENSE", *package):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    pyproject = (folder / "pyproject.toml").read_text("utf-8")
    two = re.sub(r"(?<=^packages = \[)[^]]*", '"fastconv", "fastconv.kernels"', pyproject, flags=re.MULTILINE)
    (folder / "pyproject.toml").write_text(two, "utf-8")
    (folder / "fastconv/__init__.py").touch()
    (folder / "pyx/isa").mkdir(parents=True)
    (folder / "pyx/cpu.pyx").write_text("def module(): return __name__\n")
    (folder / "pyx/isa/copy.pyx").write_text("def total(const float[::1] x): return x[0] + x[1]\n")
    return folder


def run(checkout, *command, **environment):
    """(exit code, what it prints) of setup.py, which builds the kernel for an instruction set that any compiler can build."""
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", *command],
        cwd=checkout,
        env=os.environ | {"FASTCONV_ISAS": "neon-lowered"} | environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(checkout):
    """The checkout, with modules in place and a wheel. Before, it had modules of an earlier build and of another Python."""
    for name in ("_cpu", "kernels/_copy_neon_lowered"):
        for suffix in (sysconfig.get_config_var("EXT_SUFFIX"), OTHER):
            (checkout / f"fastconv/{name}{suffix}").touch()
    code, out = run(checkout, "build_ext", "-i", "bdist_wheel")
    assert code == 0, out
    return checkout


@pytest.mark.slow
@needs_checkout
def test_one_wheel_is_for_every_later_python(built):
    (wheel,) = (built / "dist").iterdir()
    this = f"cp{sys.version_info.major}{sys.version_info.minor}t"
    assert wheel.name.split("-")[1:4] == [fastconv.__version__, *([this, this] if FREE_THREADED else ["cp311", "abi3"])]


@pytest.mark.slow
@needs_checkout
def test_a_wheel_says_what_it_is_made_of_and_with(built):
    (wheel,) = (built / "dist").iterdir()
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if "/sboms/" in name)
        bill = json.loads(file.read(name))
    assert name == f"fastconv-{fastconv.__version__}.dist-info/sboms/fastconv.cdx.json"
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/fastconv@{fastconv.__version__}"
    assert {c["name"]: c.get("scope") for c in bill["components"]} == {
        "numpy": None, "cython": "excluded", "setuptools": "excluded", "C compiler": "excluded"
    }  # fmt: skip
    assert "timestamp" not in bill["metadata"]


@pytest.mark.slow
@needs_checkout
def test_modules_of_an_earlier_build_are_not_imported_in_place_of_new_ones(built):
    """A Python looks for modules of its own version first, then for those of the Limited API."""
    code = """
import array, sys
from fastconv import _cpu
from fastconv.kernels import _copy_neon_lowered as kernel
print(_cpu.module(), kernel.total(array.array("f", [3, 4])), getattr(sys, "_is_gil_enabled", lambda: True)())
"""
    env = os.environ | {"PYTHONPATH": str(built)}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"fastconv._cpu 7.0 {not FREE_THREADED}\n", "")
    assert len([*built.glob(f"fastconv/**/*{OTHER}")]) == 2, "another Python's"


@pytest.mark.slow
@needs_checkout
def test_a_debug_build_finds_what_lies_outside_memory(checkout, tmp_path):
    """An index by Cython's checks, an address by AddressSanitizer, arithmetic by UndefinedBehaviorSanitizer."""
    gcc = shutil.which("gcc")
    asan = gcc and subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not asan or not Path(asan).is_absolute():
        pytest.skip("needs GCC with AddressSanitizer")
    folder = tmp_path / "checkout"
    shutil.copytree(checkout, folder, ignore=shutil.ignore_patterns("build", "*.so"))
    (folder / "pyx/isa/copy.pyx").touch()
    (folder / "pyx/cpu.pyx").write_text(
        "def index(bytes x): return x[5]\n"
        "def address(const unsigned char* x): return x[6]\n"
        "def product(int n): return n * n\n"
    )
    code, out = run(folder, "build_ext", "-i", CC=gcc, FASTCONV_BUILD_DEBUG="1")
    assert code == 0, out
    env = os.environ | {"LD_PRELOAD": asan, "PYTHONMALLOC": "malloc", "PYTHONPATH": str(folder)}
    env["ASAN_OPTIONS"] = "detect_leaks=0"
    for call, report in {
        "index(bytes(range(5)))": "IndexError",
        "address(bytes(range(5)))": "AddressSanitizer: heap-buffer-overflow",
        "product(2**31 - 1)": "runtime error: signed integer overflow",
    }.items():
        code = f"from fastconv import _cpu; _cpu.{call}"
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.returncode
        assert report in done.stderr


@pytest.mark.slow
@needs_checkout
@pytest.mark.parametrize("name", ["mmx", "neon" if platform.machine() == "x86_64" else "avx2"])
def test_an_instruction_set_that_is_none_of_the_machine_s_is_refused(checkout, name):
    code, out = run(checkout, "build_ext", FASTCONV_ISAS=f"{name},neon-lowered", PATH="")
    possible = f"fastconv: FASTCONV_ISAS: no {name} for {platform.machine().lower()}; possible: avx512-lowered, "
    assert code
    assert out.startswith(possible)


@pytest.mark.slow
@needs_checkout
def test_a_machine_without_a_compiler_says_so(checkout):
    code, out = run(checkout, "build_ext", CC="no-such-compiler")
    assert code
    assert out.splitlines()[-1] == "fastconv: no C compiler: no-such-compiler does not work; install GCC or Clang"


@pytest.mark.slow
@needs_checkout
@pytest.mark.parametrize("attribute, value, named", [("platform", "win32", "win32, 64 bits"), ("maxsize", 2**31 - 1, "32 bits")])
def test_a_system_that_is_not_supported_is_named(attribute, value, named):
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    imports = "import runpy, sys, Cython.Build, setuptools.command.build_ext, setuptools.command.sdist"
    code = f"{imports}; sys.{attribute} = {value!r}; runpy.run_path('setup.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode
    assert done.stderr.startswith("fastconv: this system is not supported: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


@needs_checkout
def test_the_version_is_written_once_and_the_change_log_has_it():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in pyproject["project"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "fastconv.version.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", fastconv.__version__)
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] in {"Unreleased", fastconv.__version__}


def test_the_installed_package_has_this_version():
    try:
        installed = importlib.metadata.distribution("fastconv")
        installed.locate_file("fastconv/__init__.py").resolve(strict=True).relative_to(Path(fastconv.__file__).parents[1])
    except (importlib.metadata.PackageNotFoundError, FileNotFoundError, ValueError):
        pytest.skip("the package that is tested is not installed")
    assert installed.version == fastconv.__version__
