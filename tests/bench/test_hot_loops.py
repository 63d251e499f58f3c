"""The compiler keeps the sums of every tile in registers, for every instruction set that was built: bench/hot_loops.py."""

import platform
import shutil
import subprocess
from pathlib import Path

import hot_loops
import pytest

from fastconv import kernels

EVERY = [
    pytest.param(name, isa, id=f"{name}-{isa}")
    for isa, names in kernels.built().items()
    if hot_loops.tiles_of(isa) is not None
    for name in sorted(names)
]
needs_objdump = pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump (binutils)")


@needs_objdump
@pytest.mark.parametrize("name, isa", EVERY)
def test_every_tile_has_a_loop_with_its_sums_in_registers(name, isa):
    assert hot_loops.faults(name, isa, hot_loops.hot_loops(hot_loops.disassemble(hot_loops.built(name, isa)))) == []


@pytest.mark.parametrize(
    "isa", [isa for isa in kernels.available("conv_direct") if isa in hot_loops.TILES]
)  # not the lowered ones
def test_the_tiles_are_those_of_the_kernels(isa):
    built = kernels.load(isa)
    most = built.conv_direct.tile_rows(), built.conv_depthwise.tile_pixels(), built.recurrent.tile_sequences()
    tiles = hot_loops.Tiles(4 * built.V, *most)
    assert hot_loops.TILES[isa] == tiles
    assert (1, *built.conv_depthwise.ROW_WIDTHS) == hot_loops.KERNEL_WIDTHS


@pytest.mark.parametrize("isa", [isa for isa in kernels.available("conv_int8") if hot_loops.tiles_of(isa)])
def test_the_tiles_of_bytes_are_those_of_the_kernels(isa):
    built = kernels.load(isa)
    words = built.conv_int8.packing()[1] == "words"
    rows = hot_loops.tiles_of(isa).rows[:2]
    assert built.conv_int8.tile_rows()[:2] == tuple(min(r, hot_loops.WORD_ROWS) if words else r for r in rows)
    instructions = {name for _, name in built.peak.kinds().values()} - {"multiply-add"}
    assert {name for name, _ in hot_loops.products_of_bytes(isa, hot_loops.tiles_of(isa))} == instructions


def compiled(tmp_path, body, *flags):
    """The hot loops of a C function that sums products of v with `float` vectors at x into acc."""
    if shutil.which("gcc") is None or shutil.which("objdump") is None:
        pytest.skip("needs gcc and objdump")
    source, target = tmp_path / "loop.c", tmp_path / "loop.so"
    source.write_text(
        "typedef float vf __attribute__((vector_size(16), aligned(4), may_alias));\n"
        f"void f(vf *restrict acc, const vf *x, float v, long n) {{ {body} }}\n"
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", *flags, "-o", target, source], check=True)
    return list(hot_loops.hot_loops(hot_loops.disassemble(Path(target))))


def test_sums_in_registers_and_in_memory_are_told_apart(tmp_path):
    (loop,) = compiled(tmp_path, "vf a = acc[0]; for (long i = 0; i < n; i++) a += v * x[i]; acc[0] = a;")
    assert (loop.multiply_adds, loop.in_memory, loop.stores) == (1, 0, 0)
    (loop,) = compiled(tmp_path, "for (long k = 0; k < n; k++) acc[k] += v * x[k];")
    assert (loop.multiply_adds, loop.in_memory, loop.stores) == (1, 1, 1)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs x86-64")
def test_products_of_bytes_are_counted_and_their_copies(tmp_path):
    body = (
        "typedef short vh __attribute__((vector_size(16))); typedef int vi __attribute__((vector_size(16)));"
        "const vh *w = (const vh*) x; {sums} for (long i = 0; i < n; i++) {{ {inner} }} {end}"
    )
    product = "__builtin_ia32_pmaddwd128(w[2 * i], w[2 * i + 1])"
    (loop,) = compiled(tmp_path, body.format(sums="vi a = {0};", inner=f"a += {product};", end="acc[0] = (vf) a;"))
    assert (loop.instruction, loop.multiply_adds, loop.in_memory, loop.copies) == ("pmaddwd", 1, 0, 0)
    (loop,) = compiled(tmp_path, body.format(sums="vi *a = (vi*) acc;", inner=f"a[i] += {product};", end=""))
    assert (loop.instruction, loop.multiply_adds, loop.in_memory, loop.stores) == ("pmaddwd", 1, 1, 1)


def test_copies_are_a_fault_of_large_tiles_of_bytes():
    many = [hot_loops.Loop([], 104, 64, 0, 0, 0, copies, "vpdpbusd") for copies in (9, 10)]
    faults = hot_loops.faults("conv_int8", "avx512vnni", many)
    assert faults[-1] == "a loop has 104 vpdpbusd of 64 bytes, 0 spills, 0 stores, 10 copies"
    assert "no loop has 112 vpdpbusd of 64 bytes without a spill" in faults
    assert sum("104" in fault for fault in faults) == 1


def test_spills_are_seen(tmp_path):
    """More sums than there are registers."""
    names = [f"a{i}" for i in range(20)]
    begin = "".join(f"vf {a} = acc[{i}]; " for i, a in enumerate(names))
    inner = "".join(f"{a} += v * x[20 * i + {i}]; " for i, a in enumerate(names))
    end = "".join(f"acc[{i}] = {a}; " for i, a in enumerate(names))
    (loop,) = compiled(tmp_path, f"{begin} for (long i = 0; i < n; i++) {{ {inner} }} {end}")
    assert loop.multiply_adds == 20
    assert loop.spills > 0


def test_a_tile_without_a_loop_is_a_fault():
    loops = [hot_loops.Loop([], n, 32, 0, 0, 0) for n in range(1, 12)]
    assert hot_loops.faults("gemm", "avx2", loops) == ["no loop has 12 multiply-adds of 32 bytes without a spill"]
    memory = hot_loops.Loop([], 12, 32, 2, 1, 1)
    assert hot_loops.faults("gemm", "avx2", [*loops, memory])[1:] == [
        "a loop has 12 multiply-adds of 32 bytes, 2 spills, 1 stores, 0 copies, 1 sums in memory"
    ]
    assert hot_loops.faults("gemm", "avx2", [*loops, hot_loops.Loop([], 48, 32, 0, 0, 0)]) == []
