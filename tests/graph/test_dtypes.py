"""The table of element types, including those that NumPy lacks."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastconv
from fastconv import onnx_json
from fastconv.dtypes import DATA_TYPES, data_type, kind, limits, number_of, pack_bits, unpack_bits
from fastconv.errors import InputError, ModelError, UnsupportedError

from ..support.graphs import Net
from ..support.nodes import compute

ml_dtypes = pytest.importorskip("ml_dtypes")
NUMBERS = [number for number, t in DATA_TYPES.items() if t.numpy not in ("", "object")]
SMALL = [number for number in NUMBERS if DATA_TYPES[number].bits]


def test_the_table_is_onnx_own():
    assert {number: t.name for number, t in DATA_TYPES.items()} == {
        n: name for name, n in TensorProto.DataType.items() if name != "UNDEFINED"
    }
    for number in NUMBERS:
        assert data_type(number).dtype == helper.tensor_dtype_to_np_dtype(number)
        assert data_type(number).field == helper.tensor_dtype_to_field(number)
        assert number_of(data_type(number).dtype) == number


def test_what_is_not_in_it():
    with pytest.raises(ModelError, match="unknown data type 77"):
        data_type(77)
    with pytest.raises(UnsupportedError, match="data type COMPLEX64 is not supported"):
        _ = data_type(14).dtype
    for dtype in (np.dtype(np.complex64), np.dtype("V8"), None):
        with pytest.raises(ModelError, match="no number for dtype"):
            number_of(dtype)


@pytest.mark.parametrize("number", NUMBERS)
def test_kinds_and_limits(number):
    dtype = data_type(number).dtype
    name = data_type(number).name
    assert kind(dtype) == ("b" if name == "BOOL" else "u" if name[0] == "U" else "i" if name[0] == "I" else "f")
    if kind(dtype) == "b":
        assert limits(dtype) == (False, True)
        return
    info = (ml_dtypes.finfo if kind(dtype) == "f" else ml_dtypes.iinfo)(dtype)
    assert limits(dtype) == (info.min, info.max)


@pytest.mark.parametrize("number", SMALL)
@pytest.mark.parametrize("count", range(9))
def test_small_elements_are_packed_as_onnx_packs_them(number, count):
    t = data_type(number)
    codes = np.random.default_rng(count).integers(0, 1 << t.bits, count, np.uint8)
    packed = numpy_helper.from_array(codes.view(t.dtype)).raw_data
    assert pack_bits(codes.view(t.dtype), t.bits).tobytes() == packed
    assert len(packed) == t.nbytes(count)
    np.testing.assert_array_equal(unpack_bits(np.frombuffer(packed, np.uint8), t.bits, count), codes)


@pytest.mark.parametrize("number", NUMBERS)
def test_weights_of_every_type_are_written_and_read_again(number, tmp_path):
    dtype = data_type(number).dtype
    weights = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    net = Net()
    x = net.input("x", dtype=dtype)
    onnx_json.write(net.graph(net("Identity", x), net("Identity", weights)), tmp_path / "m.json")
    y, w = fastconv.load(tmp_path / "m.json")(np.ones((), dtype))
    assert w.dtype == y.dtype == dtype
    assert w.tobytes() == weights.tobytes()


def test_a_wrong_dtype_says_where_the_right_one_is(tmp_path):
    net = Net()
    onnx_json.write(net.graph(net("Identity", net.input("x", 2, dtype=ml_dtypes.bfloat16))), tmp_path / "m.json")
    with pytest.raises(InputError, match=r"expected bfloat16, got float32: x\.astype\(ml_dtypes\.bfloat16\)"):
        fastconv.load(tmp_path / "m.json")(np.ones(2, np.float32))


SPECIAL = np.array([np.nan, np.inf, -np.inf, 1e9, -1e9, 0.3, -0.0, 448, 464.1], np.float32)


@pytest.mark.parametrize("to", range(17, 21))
def test_casts_to_floats_of_8_bits_saturate(to):
    dtype = data_type(to).dtype
    most = limits(dtype)[1]
    y = compute("Cast", SPECIAL, to=to)
    assert y.dtype == dtype
    assert np.isnan(y[0])
    assert y[1:5].tolist() == [most, -most, most, -most]
    assert (y[5:] == np.clip(SPECIAL[5:], -most, most).astype(dtype)).all()
    np.testing.assert_array_equal(
        compute("Cast", SPECIAL, to=to, saturate=0).view(np.uint8), SPECIAL.astype(dtype).view(np.uint8)
    )


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("up", [1, 2, 2, 2, 4, 2.0**127, 2.0**-127, 1]),
        ("down", [1, 1, 1, 1, 2, 2.0**127, 2.0**-127, 0.5]),
        ("nearest", [1, 1, 2, 2, 4, 2.0**127, 2.0**-127, 1]),
    ],
)
def test_casts_to_powers_of_two(mode, expected):
    x = np.array([1, 1.25, -1.5, 1.75, 3, 3e38, 0, 0.75], np.float32)
    assert compute("Cast", x, to=24, round_mode=mode).astype(np.float64).tolist() == expected
    special = compute("Cast", np.array([np.nan, np.inf, 3e38], np.float32), to=24, round_mode="up", saturate=0)
    assert np.isnan(special.astype(np.float32)).all()
    with pytest.raises(ModelError, match="round_mode: expected up, down, nearest"):
        compute("Cast", x, to=24, round_mode="even")
