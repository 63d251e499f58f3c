"""The loader of the kernels. Importing the package changes nothing in a process."""

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastconv
from fastconv import kernels
from fastconv._constants import AXES
from fastconv.errors import FastconvError
from fastconv.implementations.move import LARGEST_BLOCK
from fastconv.kernels import isas

ISAS = kernels.available()


def python(code, **environment):
    """(what a fresh interpreter prints, its errors, its exit code)."""
    env = {k: v for k, v in os.environ.items() if k != "FASTCONV_ISA"} | environment
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True, timeout=60)
    return done.stdout, done.stderr, done.returncode


def test_those_available_are_of_this_machine_slowest_first():
    assert ISAS
    assert list(ISAS) == [isa for isa in isas.ISAS if isa in ISAS]
    widths = [kernels.load(isa).V for isa in ISAS if not isa.endswith("-lowered")]
    assert widths == sorted(widths)
    assert all(V in (4, 8, 16) for V in widths)
    assert all(V <= LARGEST_BLOCK for V in widths)


@pytest.mark.parametrize("isa", ISAS)
def test_every_kernel_is_there_for_every_instruction_set(isa):
    loaded = kernels.load(isa)
    assert loaded.isa == isa
    assert repr(loaded) == f"<kernels for {isa}>"
    for name in kernels.built()[ISAS[0]]:
        assert getattr(loaded, name).__name__ in {isas.module_name(name, i) for i in isas.lineage(isa)}


@pytest.mark.parametrize("isa", ISAS)
def test_a_step_needs_every_field_of_its_kernel(isa):
    axes = [1] * AXES
    fields = dict.fromkeys(("src", "dst", "rows", "chunk", "itemsize"), 1)
    fields |= dict.fromkeys(("dims", "src_strides", "dst_strides"), axes)
    copy = kernels.load(isa).copy
    copy.step(fields)
    for name in fields:
        with pytest.raises(ValueError, match=f"No value specified for struct attribute '{name}'"):
            copy.step({n: v for n, v in fields.items() if n != name})
    for wrong, error in (({"rows": 1.5}, TypeError), ({"rows": 1 << 64}, OverflowError), ({"dims": axes[1:]}, IndexError)):
        with pytest.raises(error):
            copy.step(fields | wrong)


def test_a_kernel_that_is_not_there():
    with pytest.raises(AttributeError, match=f"no kernel 'conv_quantum' for {ISAS[0]}"):
        kernels.load(ISAS[0]).conv_quantum  # noqa: B018


def test_the_fastest_is_the_default(monkeypatch):
    monkeypatch.delenv("FASTCONV_ISA", raising=False)
    assert kernels.load().isa == ISAS[-1]
    assert kernels.load() is kernels.load()


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_forces_one(monkeypatch, isa):
    monkeypatch.setenv("FASTCONV_ISA", isa)
    assert kernels.load().isa == isa
    assert fastconv.load(fastconv.data.DIGITS).plan().target.kernels.isa == isa
    assert kernels.load(ISAS[0]).isa == ISAS[0], "the argument comes first"


def test_an_empty_variable_forces_nothing(monkeypatch):
    monkeypatch.setenv("FASTCONV_ISA", "")
    assert kernels.load().isa == ISAS[-1]


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_an_impossible_one_is_an_error_that_lists_the_possible(monkeypatch, how):
    monkeypatch.setenv("FASTCONV_ISA", "mmx" if how == "environment" else "")
    with pytest.raises(FastconvError) as caught:
        kernels.load("mmx" if how == "argument" else None)
    assert str(caught.value) == f"instruction set 'mmx' is not possible here; possible: {', '.join(ISAS)}"


@pytest.mark.slow
def test_an_impossible_one_does_not_spoil_the_import():
    out, err, _ = python("import fastconv; print(1); fastconv.load(fastconv.data.DIGITS)", FASTCONV_ISA="mmx")
    assert out == "1\n"
    assert err.splitlines()[-1].startswith(
        "fastconv.errors.FastconvError: instruction set 'mmx' is not possible here; possible: "
    )


# ---- importing


@pytest.mark.slow
def test_importing_prints_nothing_and_warns_of_nothing():
    assert python("import warnings; warnings.simplefilter('error'); import fastconv, fastconv.cli") == ("", "", 0)


def test_a_source_folder_that_is_not_compiled_says_so(tmp_path):
    source = tmp_path / "fastconv"
    source.mkdir()
    (source / "__init__.py").write_bytes(Path(fastconv.__file__).read_bytes())
    out, err, code = python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fastconv")
    assert (out, code) == ("", 1)
    assert err.splitlines()[-1].startswith(f"ImportError: {source} is the source of fastconv, not compiled: ")


def test_importing_the_package_imports_nothing_else():
    out, err, code = python("import sys; before = set(sys.modules); import fastconv; print(*(set(sys.modules) - before))")
    assert (err, code) == ("", 0)
    modules = set(out.split())
    assert [m for m in modules if m.startswith("fastconv")] == ["fastconv"]
    slow = {"dataclasses", "importlib.metadata", "inspect", "ipaddress", "json", "pathlib", "pickle", "pkgutil", "platform"}
    assert not modules & (slow | {"numpy", "onnx", "PIL", "torch"})


@pytest.mark.slow
def test_running_a_network_imports_no_other_package_and_no_slow_module():
    code = """
    import numpy, sys
    before = set(sys.modules)
    import fastconv
    fastconv.load(fastconv.data.DIGITS)(numpy.zeros((1, 1, 8, 8), numpy.float32))
    print(*(set(sys.modules) - before))
    """
    modules = set(python(code)[0].split())
    assert "fastconv.ops.conv" in modules
    others = {"Cython", "PIL", "google", "matplotlib", "ml_dtypes", "numpy.ma", "onnx", "scipy", "torch"}
    assert not modules & (others | {"email", "http", "importlib.metadata", "inspect", "multiprocessing", "platform"})


@pytest.mark.slow
def test_importing_leaves_the_floating_point_mode_alone():
    """A library linked with -ffast-math would flush denormals in the importing thread and those that it starts."""
    code = """
    import threading
    import numpy as np
    import fastconv
    from fastconv import kernels

    tiny = np.float32(2) ** np.float32(-126)

    def keeps_subnormals():
        half = np.full(9, tiny) / np.float32(2)  # flushed to zero by FTZ
        print((half > 0).all(), (half * np.float32(2) == tiny).all())  # read as zero by DAZ

    for isa in kernels.available():
        kernels.load(isa)
    keeps_subnormals()
    thread = threading.Thread(target=keeps_subnormals)
    thread.start()
    thread.join()
    model = fastconv.load(fastconv.data.DIGITS)
    model(np.zeros((64, 1, 8, 8), np.float32))
    keeps_subnormals()
    """
    assert python(code) == ("True True\n" * 3, "", 0)


def test_importing_starts_no_thread():
    code = "import fastconv, os; print(len(os.listdir('/proc/self/task')) - before)"
    before = "import numpy, os; before = len(os.listdir('/proc/self/task')); "  # NumPy's BLAS has threads of its own
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("needs Linux's /proc")
    assert python(before + code) == ("0\n", "", 0)


def test_no_module_but_the_executor_knows_threads():
    """Kernels must not open parallel regions of their own: the plan's executor has the only one."""
    if sys.platform != "linux":
        pytest.skip("reads ELF")
    for isa, names in kernels.built().items():
        for name in names:
            path = importlib.util.find_spec(isas.module_name(name, isa)).origin
            assert b"GOMP_parallel" not in Path(path).read_bytes()
