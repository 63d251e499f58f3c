"""The table of instruction sets, kernels that a set takes from its parent, and the features of this machine."""

import importlib.machinery
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import _cpu, kernels
from fastconv.kernels import isas

from ..support.harness import same_bits

ROOT = Path(__file__).resolve().parents[2]
#: feature -> its flag in Linux's /proc/cpuinfo and the macro that a compiler defines where it may use it
FEATURES = {
    "avx2": ("avx2", "__AVX2__"),
    "fma": ("fma", "__FMA__"),
    "f16c": ("f16c", "__F16C__"),
    "avxvnni": ("avx_vnni", "__AVXVNNI__"),
    "amx-int8": ("amx_int8", "__AMX_INT8__"),
    "avx512f": ("avx512f", "__AVX512F__"),
    "avx512vl": ("avx512vl", "__AVX512VL__"),
    "avx512bw": ("avx512bw", "__AVX512BW__"),
    "avx512dq": ("avx512dq", "__AVX512DQ__"),
    "avx512vnni": ("avx512_vnni", "__AVX512VNNI__"),
    "avx512bf16": ("avx512_bf16", "__AVX512BF16__"),
    "asimddp": ("asimddp", "__ARM_FEATURE_DOTPROD"),
}
#: an older Linux does not list these
UNLISTED = {"avxvnni", "avx512bf16"}
COMPILERS = {isas.X86: ("x86_64-linux-gnu-gcc", "gcc"), isas.ARM64: ("aarch64-linux-gnu-gcc", "gcc")}
MACROS = {isas.X86: "__x86_64__", isas.ARM64: "__aarch64__"}


def macros(compiler, flags):
    """The macros that a compiler defines with some flags."""
    done = subprocess.run([compiler, *flags, "-dM", "-E", "-"], input="", capture_output=True, text=True, check=True)
    return {line.split()[1] for line in done.stdout.splitlines()}


# ---- the table


def test_parents_are_rows_above_their_children():
    rows = list(isas.ISAS)
    for isa, row in isas.ISAS.items():
        assert row.parent is None or rows.index(row.parent) < rows.index(isa)
        assert set(row.machines) <= {isas.X86, isas.ARM64, isas.OTHER}
        root = isas.lineage(isa)[-1]
        assert isas.ISAS[root].kernels is None, "a set without a parent builds every kernel"
        assert not isas.features(root), "any machine of its kind can run it"


@pytest.mark.skipif(not (ROOT / "pyx").is_dir(), reason="needs a checkout")
def test_rows_build_kernels_that_are():
    files = {p.stem for p in (ROOT / "pyx" / "isa").glob("*.pyx")}
    assert files
    for row in isas.ISAS.values():
        assert row.kernels is None or set(row.kernels) <= files
    for isa, names in kernels.built().items():
        wanted = isas.ISAS[isa].kernels
        assert names == (files if wanted is None else set(wanted))


def test_the_parent_s_flags_and_features_hold_too():
    assert isas.lineage("avx512bf16") == ["avx512bf16", "avx512vnni", "avx512", "avx2", "baseline"]
    assert isas.flags("avxvnni") == ["-mavx2", "-mfma", "-mf16c", "-mavxvnni"]
    assert isas.features("avxvnni") == {"avx2", "fma", "f16c", "avxvnni"}


@pytest.mark.parametrize("isa", [isa for isa, row in isas.ISAS.items() if row.machines])
def test_a_set_asks_for_the_features_that_its_flags_let_the_compiler_use(isa):
    kind = isas.ISAS[isa].machines[0]
    found = [c for c in COMPILERS[kind] if shutil.which(c) and MACROS[kind] in macros(c, [])]
    if not found:
        pytest.skip(f"needs gcc for {kind}")
    if int(subprocess.run([found[0], "-dumpversion"], capture_output=True, text=True).stdout.split(".")[0]) < 12:
        pytest.skip("needs gcc 12, which knows every flag")
    defined = macros(found[0], isas.flags(isa))
    assert {feature for feature, (_, macro) in FEATURES.items() if macro in defined} == isas.features(isa)


@pytest.mark.parametrize("isa", list(isas.ISAS))
def test_names_of_modules_are_read_back(isa):
    for kernel in ("copy", "conv_direct"):
        name = isas.module_name(kernel, isa)
        assert isas.kernel_and_isa(name) == isas.kernel_and_isa(name.rpartition(".")[2]) == (kernel, isa)
    assert isas.kernel_and_isa("fastconv._cpu") is None


# ---- this machine


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs Linux")
def test_the_features_are_those_that_linux_lists():
    listed = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            listed = set(line.split())
    expected = {feature for feature, (flag, _) in FEATURES.items() if flag in listed}
    assert expected - {"amx-int8"} <= _cpu.FEATURES, "the system may refuse AMX to a process"
    assert _cpu.FEATURES - expected <= UNLISTED


def test_the_table_asks_for_no_other_features():
    assert set().union(*map(isas.features, isas.ISAS)) == set(FEATURES)


def test_a_machine_without_features_runs_the_roots(monkeypatch):
    monkeypatch.setattr(_cpu, "FEATURES", frozenset())
    roots = [isa for isa in kernels.built() if isas.ISAS[isa].parent is None or isa.endswith("-lowered")]
    assert list(kernels.available()) == roots


@pytest.mark.skipif("avx512" not in kernels.built(), reason="needs x86")
def test_every_feature_must_be_there(monkeypatch):
    needed = isas.features("avx512")
    monkeypatch.setattr(_cpu, "FEATURES", frozenset(needed))
    assert kernels.available()[-1] == "avx512"
    for feature in needed:
        monkeypatch.setattr(_cpu, "FEATURES", frozenset(needed - {feature}))
        assert "avx512" not in kernels.available()


def test_a_machine_that_can_run_none_says_what_was_built(monkeypatch):
    monkeypatch.setattr(kernels, "available", lambda: ())
    with pytest.raises(fastconv.FastconvError, match=f"can run none .*: {', '.join(kernels.built())}$"):
        kernels.load()


# ---- kernels of the parent


@pytest.fixture
def child(monkeypatch, tmp_path):
    """(a set that extends the fastest one, its parent): only `copy` was built for it, with the functions of the parent's."""
    parent = kernels.available()[-1]
    monkeypatch.setitem(isas.ISAS, "fake-vnni", isas.InstructionSet(parent, kernels=("copy",)))
    (tmp_path / f"_copy_fake_vnni{importlib.machinery.EXTENSION_SUFFIXES[0]}").touch()
    (tmp_path / "_gemm_fake_vnni.cpython-10-somewhere.so").touch()
    monkeypatch.setattr(kernels, "__path__", [*kernels.__path__, str(tmp_path)])
    copy = types.ModuleType("fastconv.kernels._copy_fake_vnni")
    copy.step = kernels.load(parent).copy.step
    monkeypatch.setitem(sys.modules, copy.__name__, copy)
    kernels.built.cache_clear()
    yield "fake-vnni", parent
    kernels.built.cache_clear()
    kernels._kernels.cache_clear()


def test_what_was_built_is_found_by_its_files(child):
    isa, parent = child
    assert kernels.built()[isa] == {"copy"}, "not gemm, which is for another Python"
    assert kernels.available()[-2:] == (parent, isa), "after its parent"


def test_a_kernel_that_was_not_built_is_the_parent_s(child, monkeypatch):
    isa, parent = child
    monkeypatch.delenv("FASTCONV_ISA", raising=False)
    loaded = kernels.load()
    assert loaded.isa == isa
    assert loaded.V == kernels.load(parent).V
    assert loaded.copy is sys.modules["fastconv.kernels._copy_fake_vnni"]
    assert loaded.copy is not kernels.load(parent).copy
    assert loaded.gemm is kernels.load(parent).gemm
    with pytest.raises(AttributeError, match="no kernel 'conv_quantum' for fake-vnni"):
        loaded.conv_quantum  # noqa: B018


def test_a_network_runs_on_kernels_of_both(child, monkeypatch):
    x = np.random.default_rng(3).standard_normal((2, 1, 8, 8), np.float32)
    results = []
    for isa in child:
        monkeypatch.setenv("FASTCONV_ISA", isa)
        model = fastconv.load(fastconv.data.DIGITS)
        assert model.plan().target.kernels.isa == isa
        results.append(model(x))
    assert same_bits(*results)
