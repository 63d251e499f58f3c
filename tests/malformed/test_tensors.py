"""Tensors whose sizes, values and types contradict each other, and attributes of types that their operators do not take."""

import numpy as np
import pytest

from fastconv.errors import ModelError, UnsupportedError
from fastconv.onnx_json import read

from ..support.onnx_dicts import b64, ints, model, node, tensor, text, with_attribute, with_weight
from .harness import named, refused

DIMS = {
    "T10-product-overflows": ["4294967296", "4294967296"],
    "T10-product-overflows-to-0": [str(1 << 32), str(1 << 32), "1"],
    "T10-product-overflows-to-2": [str((1 << 63) + 1), "2"],
    "T10-int64-max": ["9223372036854775807"],
    "T10-twice-int64-max": ["2", "9223372036854775807"],
    "T10-bytes-overflow": ["4611686018427387904"],
    "T10-negative": ["-1"],
    "T10-int64-min": [str(-(1 << 63))],
    "T10-two-negatives": ["-1", "-2"],
    "T10-0-and-negative": ["0", "-1"],
    "T10-0-and-overflow": ["0", "9223372036854775807", "9"],
    "T10-2-to-the-63": ["9223372036854775808"],
    "T10-33-dimensions": ["1"] * 33,
    "T10-20000-dimensions": ["1"] * 20_000,
    "T10-gigabytes": ["1000000000"],
    "T10-list": [[]],
    "T10-text": ["x"],
    "T10-null": [None],
    "T10-float": [2.5],
    "T10-true": [True],
}


@pytest.mark.parametrize("dims", named(DIMS))
def test_dims(dims):
    for m in (with_weight(dims=dims), with_weight(dims=dims, raw_data=None, float_data=[1])):
        refused(m, r"graph\.initializer\[0\]")


@pytest.mark.parametrize("n", named({"T10-empty-and-large": (1 << 61) - 1}))
def test_an_empty_tensor_may_have_a_large_dimension(n):
    assert read(with_weight(dims=["0", str(n)], raw_data=None)).nodes[0].inputs[1].shape == (0, n)


DATA = {
    "T11-a-byte-too-few": ({"raw_data": b64(bytes(7))}, r"raw_data: 7 bytes, but dims \[2\] of FLOAT take 8"),
    "T11-a-byte-too-many": ({"raw_data": b64(bytes(9))}, "9 bytes"),
    "T11-twice-the-bytes": ({"raw_data": b64(bytes(16))}, "16 bytes"),
    "T11-no-bytes": ({"raw_data": ""}, "0 bytes"),
    "T11-no-data": ({"raw_data": None}, "0 bytes"),
    "T11-bytes-of-no-elements": ({"dims": ["0"]}, "8 bytes"),
    "T11-bytes-of-a-scalar": ({"dims": []}, "8 bytes"),
    "T11-a-value-too-few": ({"raw_data": None, "float_data": [1]}, r"float_data: 1 values, but dims are \[2\]"),
    "T11-a-value-too-many": ({"raw_data": None, "float_data": [1, 2, 3]}, "3 values"),
    "T11-a-megabyte-of-4-bytes": ({"dims": ["250000"], "raw_data": b64(bytes(4))}, "4 bytes"),
    "T11-half-a-value": ({"data_type": 10, "raw_data": b64(bytes(3))}, "3 bytes"),
    "T11-bits-too-few": ({"data_type": 22, "dims": ["3"], "raw_data": b64(bytes(1))}, "1 bytes"),
    "T11-data-is-a-number": ({"raw_data": None, "float_data": 5}, "float_data: expected a list, got 5"),
    "T11-data-is-an-object": ({"raw_data": None, "float_data": {"0": 1}}, "float_data: expected a list, got an object"),
    "T11-dims-are-a-text": ({"dims": "2"}, "dims: expected a list"),
}


@pytest.mark.parametrize("fields, match", named(DATA))
def test_data_and_dims_disagree(fields, match):
    refused(with_weight(**fields), match)


TWICE = {
    "T12-float-data": ("float_data", [1, 2]),
    "T12-int32-data": ("int32_data", [1, 2]),
    "T12-int64-data": ("int64_data", ["1"]),
    "T12-double-data": ("double_data", [1]),
    "T12-uint64-data": ("uint64_data", ["1"]),
    "T12-string-data": ("string_data", ["AA=="]),
    "T12-external-data": ("external_data", [{"key": "location", "value": "w.bin"}]),
    "T12-segment": ("segment", {"begin": "0", "end": "1"}),
}


@pytest.mark.parametrize("field, data", named(TWICE))
def test_values_in_two_places(field, data):
    refused(
        with_weight(**{field: data}), rf"graph\.initializer\[0\]: both '(raw_data|{field})' and '(raw_data|{field})' are set"
    )


EXTERNAL = [{"key": "location", "value": "w.bin"}]


@pytest.mark.parametrize(
    "fields",
    named(
        {
            "T12-external-without-entries": {"data_location": "EXTERNAL"},
            "T12-entries-without-external": {"raw_data": None, "external_data": EXTERNAL},
            "T12-default-with-entries": {"raw_data": None, "external_data": EXTERNAL, "data_location": "DEFAULT"},
        }
    ),
)
def test_a_place_that_says_otherwise(fields):
    refused(with_weight(**fields), "data_location EXTERNAL and external_data go together")


TYPES = {
    "T13-data-type-0": ({"data_type": 0}, "data_type: unknown data type 0", ModelError),
    "T13-data-type-99": ({"data_type": 99}, "unknown data type 99", ModelError),
    "T13-data-type-negative": ({"data_type": -1}, "unknown data type -1", ModelError),
    "T13-data-type-missing": ({"data_type": None}, "'data_type' is missing", ModelError),
    "T13-texts-in-raw-data": ({"data_type": 8}, "a tensor of STRING has its 2 values in string_data", ModelError),
    "T13-texts-without-values": ({"data_type": 8, "raw_data": None}, "a tensor of STRING has its 2 values", ModelError),
    "T13-too-few-texts": ({"data_type": 8, "raw_data": None, "string_data": ["eA=="]}, "STRING has its 2 values", ModelError),
    "T13-complex": ({"data_type": 14}, "data type COMPLEX64 is not supported", UnsupportedError),
    "T13-other-item-size": ({"data_type": 22}, r"8 bytes, but dims \[2\] of INT4 take 1", ModelError),
    "T13-floats-in-int32-data": ({"raw_data": None, "int32_data": [1, 2]}, "int32_data: a tensor of FLOAT", ModelError),
    "T13-floats-in-double-data": ({"raw_data": None, "double_data": [1, 2]}, "double_data: a tensor of FLOAT", ModelError),
    "T13-integers-in-float-data": (
        {"data_type": 7, "raw_data": None, "float_data": [1, 2]},
        "float_data: a tensor of INT64",
        ModelError,
    ),
    "T13-neither-false-nor-true": ({"data_type": 9, "raw_data": b64(b"\0\2")}, "a BOOL that is neither 0 nor 1", ModelError),
    "T13-name-missing": ({"name": None}, "'name' is missing", ModelError),
    "T13-name-is-a-number": ({"name": 5}, "name: expected a string, got 5", ModelError),
    "T13-name-is-empty": ({"name": ""}, "the name is empty", ModelError),
    "T13-texts-and-a-number": (
        {"data_type": 8, "raw_data": None, "string_data": ["eA==", 5]},
        r"string_data\[1\]: expected base64",
        ModelError,
    ),
    "T13-integers-and-a-float": (
        {"data_type": 7, "raw_data": None, "int64_data": [1, 2.5]},
        r"int64_data\[1\]: expected an integer",
        ModelError,
    ),
    "T13-int8-beyond-its-range": ({"data_type": 3, "raw_data": None, "int32_data": [1, 200]}, "int32_data", ModelError),
    "T13-float16-beyond-16-bits": ({"data_type": 10, "raw_data": None, "int32_data": [1, 70000]}, "int32_data", ModelError),
}


@pytest.mark.parametrize("fields, match, kind", named(TYPES))
def test_types_of_tensors(fields, match, kind):
    refused(with_weight(**fields), match, kind)


ATTRIBUTES = {
    "T13-int-for-float": ({"name": "alpha", "i": "1", "type": "INT"}, "LeakyRelu", "should be float, not 1"),
    "T13-floats-for-float": ({"name": "alpha", "floats": [1.0], "type": "FLOATS"}, "LeakyRelu", "should be float"),
    "T13-text-for-float": ({"name": "alpha", "s": "AAAA", "type": "STRING"}, "LeakyRelu", "should be float"),
    "T13-floats-for-ints": ({"name": "perm", "floats": [0, 1], "type": "FLOATS"}, "Transpose", "should be"),
    "T13-tensor-for-ints": (
        {"name": "perm", "t": tensor("t", np.int64([0, 1])), "type": "TENSOR"},
        "Transpose",
        "attribute 'perm' should be",
    ),
    "T13-other-field": ({"name": "alpha", "f": 1, "type": "INT"}, "LeakyRelu", "its type says 'i', but 'f' is set"),
    "T13-two-fields": ({"name": "alpha", "f": 1, "i": 1, "type": "FLOAT"}, "LeakyRelu", "but 'i' is set"),
    "T13-reference": ({"name": "alpha", "f": 1, "ref_attr_name": "a", "type": "FLOAT"}, "LeakyRelu", "'ref_attr_name' is set"),
    "T13-list-for-a-number": (
        {"name": "alpha", "f": [1], "type": "FLOAT"},
        "LeakyRelu",
        r"attribute\[0\]\.f: expected a number",
    ),
    "T13-type-missing": ({"name": "alpha", "f": 1}, "LeakyRelu", "'type' is missing"),
    "T13-attribute-name-missing": ({"f": 1, "type": "FLOAT"}, "LeakyRelu", "'name' is missing"),
    "T13-tensor-missing": ({"name": "alpha", "type": "TENSOR"}, "LeakyRelu", "'t' is missing"),
    "T13-text-not-utf-8": ({"name": "auto_pad", "s": "/w==", "type": "STRING"}, "Conv", r"attribute\[0\]\.s: expected UTF-8"),
}


@pytest.mark.parametrize("attribute, op, match", named(ATTRIBUTES))
def test_types_of_attributes(attribute, op, match):
    refused(with_attribute(attribute, op), match)


@pytest.mark.parametrize(
    "attribute, place",
    named(
        {
            "T13-tensor-is-a-list": ({"name": "alpha", "t": [], "type": "TENSOR"}, r"attribute\[0\]\.t"),
            "T13-attribute-is-a-list": ([], r"attribute\[0\]"),
        }
    ),
)
def test_lists_for_objects(attribute, place):
    refused(text(with_attribute(attribute)), rf"graph\.node\[0\]\.{place}: expected an object, got a list")


@pytest.mark.parametrize("alpha", named({"T13-attribute-twice": {"name": "alpha", "f": 1, "type": "FLOAT"}}))
def test_the_same_attribute_twice(alpha):
    refused(
        model([node("LeakyRelu", ["x"], ["y"], alpha, alpha)]),
        r"graph\.node\[0\]\.attribute\[1\]: attribute 'alpha' appears twice",
    )


@pytest.mark.parametrize(
    "attribute",
    named(
        {
            "T23-kernel-shape": ints("kernel_shape", (1 << 32) + 3, (1 << 32) + 3),
            "T23-group": {"name": "group", "i": str((1 << 32) + 1), "type": "INT"},
        }
    ),
)
def test_integers_are_never_cut_to_32_bits(attribute):
    weights = [tensor("w", np.ones((4, 3, 3, 3), np.float32))]
    [value] = read(model([node("Conv", ["x", "w"], ["y"], attribute)], weights)).nodes[0].op.attributes().values()
    assert np.min(value) > 1 << 32
