"""The kernel cast: float32 from and to other types, with NumPy's bits."""

import ml_dtypes
import numpy as np
import pytest

from fastconv.dtypes import DATA_TYPES, number_of
from fastconv.implementations.cast import INTEGERS, TYPES
from fastconv.ops.cast import Cast

from ..support.harness import ISAS, choice, refusals, run_threads, same_bits

EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
EVERY_TYPE = pytest.mark.parametrize("dtype", [t.dtype for t in DATA_TYPES.values() if t.numpy in TYPES[:-1]], ids=str)
COVERS = {"Cast": ("view", "row-major")}
FLOAT = np.dtype(np.float32)
ITEM = 1024
#: what is half way between two floats of 16 bits, and where their ranges end
EDGES = [0.0, 2.0**-25, 2.0**-24, 1.5 * 2.0**-24, 2.0**-14, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 2048.5, 65504, 65520, 1e30]


def cast(x, dtype, isa, name="row-major", **options):
    """x as `dtype`, by the implementation `name`."""
    (y,), plan = run_threads(Cast(to=number_of(np.dtype(dtype))), [x], isa, **options)
    assert choice(plan) == name
    return y


def floats():
    """float32 with every exponent and sign, and fractions on both sides of what rounding to 16 bits tells apart."""
    rng = np.random.default_rng(0)
    fractions = [0, 1, 0xFFF, 0x1000, 0x1001, 0x2000, 0x2FFF, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x17FFF, 0x18000, 0x7FFFFF]
    bits = np.arange(512, dtype=np.uint32)[:, None] << 23 | np.uint32([*fractions, *rng.integers(0, 1 << 23, 40)])
    edges = np.array(EDGES, np.float32)
    around = [np.nextafter(edges, np.float32(s)) for s in (-np.inf, np.inf)]
    return np.concatenate([bits.reshape(-1).view(np.float32), edges, *around])


def values(dtype):
    """Numbers of each type, with its smallest and largest."""
    rng = np.random.default_rng(1)
    if dtype.itemsize <= 2 and dtype.kind != "b":
        return np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)  # all
    if dtype.kind == "f":
        return np.concatenate([rng.standard_normal(999), [0, -0.0, np.inf, -np.inf, np.nan, 1e300, 1 + 2.0**-24, 3e38]])
    if dtype.kind == "b":
        return rng.integers(0, 2, 999).astype(bool)
    ends = np.iinfo(dtype)
    near = [2**24 + 1, -(2**24) - 3, 2**30 + 63, ends.min, ends.max]
    return np.concatenate([rng.integers(ends.min, ends.max, 999, dtype), np.array(near, dtype)])


@EVERY_ISA
@EVERY_TYPE
def test_every_type_becomes_float32(isa, dtype):
    x = values(dtype)
    with np.errstate(over="ignore"):
        assert same_bits(cast(x, FLOAT, isa, accuracy="exact"), x.astype(np.float32))


@EVERY_ISA
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)], ids=str)
@pytest.mark.parametrize("accuracy", ["default", "exact"])
def test_floats_of_16_bits_are_rounded_to_the_nearest(isa, dtype, accuracy):
    """Denormals, infinities and NaN too, also where the CPU takes denormals of float32 for zero."""
    with np.errstate(all="ignore"):
        assert same_bits(cast(floats(), dtype, isa, accuracy=accuracy), floats().astype(dtype))
    x = values(dtype)
    assert same_bits(cast(x, FLOAT, isa, accuracy=accuracy), x.astype(np.float32))


@EVERY_ISA
@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("uint8", "int8", "int32", "int64")], ids=str)
def test_floats_become_integers_towards_zero(isa, dtype):
    """As in NumPy, a number that a type of one byte cannot hold keeps its low bits."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(-2000, 2000, 3000), [0.99, -0.99, 127.5, 255.9, -128.9, -0.0, 2**24 - 1, -(2**30)]])
    x = x.astype(np.float32)
    assert same_bits(cast(x, dtype, isa), x.astype(np.int64).astype(dtype))


@EVERY_ISA
@pytest.mark.parametrize("given", [np.dtype(t) for t in INTEGERS], ids=str)
@pytest.mark.parametrize("wanted", [np.dtype(t) for t in INTEGERS], ids=str)
def test_integers_become_others(isa, given, wanted):
    """Integers keep their low bits; as bool, all but 0 are true."""
    x = np.concatenate([values(given), np.zeros(ITEM, given), values(given)[:7]])
    for n in (1, 7, 33, ITEM, len(x)):
        if given != wanted:
            assert same_bits(cast(x[:n], wanted, isa, guard="after"), x[:n].astype(wanted))


@EVERY_ISA
def test_all_that_is_not_zero_is_true(isa):
    x = np.array([0, -0.0, 1, -1, 0.5, np.nan, np.inf, 1e-30], np.float32)
    assert same_bits(cast(x, np.bool_, isa), x.astype(bool))


@EVERY_ISA
def test_float64_is_rounded_once(isa):
    x = np.concatenate([np.random.default_rng(3).standard_normal(999).astype(np.float32), floats()[::7]])
    with np.errstate(invalid="ignore"):
        wide = cast(x, np.float64, isa, accuracy="exact")
        np.testing.assert_array_equal(wide, x.astype(np.float64))


@EVERY_ISA
@EVERY_TYPE
@pytest.mark.parametrize("guard", ["before", "after"])
def test_every_length(isa, dtype, guard):
    """The kernel reads and writes exactly the tensor's elements."""
    rng = np.random.default_rng(4)
    for n in (*range(35), ITEM - 1, ITEM, ITEM + 1, 5 * ITEM + 3):
        x = rng.integers(0, 2, n).astype(dtype)
        y = cast(x, FLOAT, isa, guard=guard)
        assert same_bits(y, x.astype(np.float32))
        assert same_bits(cast(y, dtype, isa, guard=guard), x)


@EVERY_ISA
def test_any_rank_and_a_blocked_input(isa):
    x = np.random.default_rng(5).standard_normal((2, 19, 3, 5), np.float32)
    assert same_bits(cast(x, np.float16, isa, blocked=(0,)), x.astype(np.float16))
    for shape in ((), (1,), (2, 19, 3, 5, 1), (2, 19, 1, 3, 5, 1)):
        part = x.reshape(-1)[: int(np.prod(shape))].reshape(shape)
        assert same_bits(cast(part, np.float16, isa), part.astype(np.float16))


@EVERY_ISA
@EVERY_TYPE
def test_what_has_the_type_already_stays_where_it_is(isa, dtype):
    x = np.array([0, 1, 1], dtype)
    assert same_bits(cast(x, dtype, isa, "view"), x)


@pytest.mark.parametrize(
    "x, dtype, reason",
    [
        (np.int64([1]), np.float64, "dtype int64 to float64"),
        (np.float32([1]), ml_dtypes.float8_e5m2, "dtype float32 to float8_e5m2"),
        (np.uint16([1]), np.float32, "dtype uint16"),
    ],
)
def test_other_types_are_refused(x, dtype, reason):
    assert refusals(Cast(to=number_of(np.dtype(dtype))), [x], ISAS[-1])["row-major"] == reason
