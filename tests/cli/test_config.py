"""`fastconv config`: what it reports about the machine, read from the files of Linux."""

import platform

import pytest

from fastconv import _cpu, config, kernels

X86 = "cpu family\t: 6\nmodel\t\t: 143\nmodel name\t: {}\nstepping\t: 8\nflags\t\t: fpu sse2 smep {}\n"
ARM = "BogoMIPS\t: 243.75\nFeatures\t: fp asimd aes asimdhp\nCPU implementer\t: 0x41\nCPU part\t: {}\n"


@pytest.fixture
def machine(tmp_path):
    """A root folder whose /proc/cpuinfo describes these processors."""

    def machine(*processors, end=""):
        (tmp_path / "proc").mkdir(exist_ok=True)
        text = "".join(f"processor\t: {i}\n{p}\n" for i, p in enumerate(processors))
        (tmp_path / "proc" / "cpuinfo").write_text(text + end)
        return tmp_path

    return machine


@pytest.mark.parametrize("name", ["AMD EPYC 7763 64-Core Processor", "Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz"])
def test_a_name_that_says_which_cpu_stands_alone(machine, name):
    assert config.cpu(machine(*2 * [X86.format(name, "")])) == name


@pytest.mark.parametrize("name", ["AMD EPYC", "Intel(R) Xeon(R) Processor", "Intel(R) Xeon(R) CPU @ 2.20GHz"])
def test_a_name_that_many_cpus_have_comes_with_numbers(machine, name):
    assert config.cpu(machine(*2 * [X86.format(name, "")])) == f"{name} (family 6, model 143, stepping 8)"


def test_cores_that_differ_are_all_named(machine, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    root = machine(*(ARM.format(part) for part in ("0xd05", "0xd0b", "0xd05")), end="Hardware\t: a board\n")
    one, other = (f"aarch64 (implementer 0x41, part {part})" for part in ("0xd05", "0xd0b"))
    assert config.cpu(root) == f"{one} + {other}"


def test_flags_are_those_of_vectors_that_all_have(machine):
    assert config.cpu_flags(machine(X86.format("A", "avx fma avx512f avx2"), X86.format("A", "avx2 fma avx"))) == "avx avx2 fma"
    assert config.cpu_flags(machine(ARM.format("0xd0c"))) == "asimd asimdhp"


def test_without_the_file_python_names_the_cpu(tmp_path):
    assert config.cpu(tmp_path) == (platform.processor() or platform.machine())
    assert config.cpu_flags(tmp_path) == ""


def test_what_was_built_need_not_be_possible(monkeypatch):
    assert config.built()[: len(kernels.available())] == list(kernels.available())
    assert set(config.built()) == set(kernels.built())
    monkeypatch.setattr(_cpu, "FEATURES", frozenset())
    possible = kernels.available()
    assert config.built()[: len(possible)] == list(possible)
    assert set(config.built()) == set(kernels.built())
