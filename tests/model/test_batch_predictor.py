"""BatchPredictor: columns in, columns out, the same bits for any batch, and errors that name the row."""

import json
import pickle

import numpy as np
import pytest

import fastconv
from fastconv import BatchPredictor, InputError
from fastconv.data import DIGITS, DIGITS_IMAGES


@pytest.fixture(scope="module")
def images():
    with np.load(DIGITS_IMAGES, allow_pickle=False) as file:
        return (file["images"][:11, None] / 16).astype(np.float32)


def digits(batch):
    """The digits network for batches of one size only."""
    model = json.loads(DIGITS.read_text())
    model["graph"]["input"][0]["type"]["tensor_type"]["shape"]["dim"][0] = {"dim_value": batch}
    return json.dumps(model).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 11])
def test_the_same_bits_for_any_size_of_batches(images, size):
    predict = BatchPredictor(DIGITS)
    parts = [predict({"image": images[i : i + size]})["logits"] for i in range(0, len(images), size)]
    np.testing.assert_array_equal(np.concatenate(parts), fastconv.load(DIGITS)(images))


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 11])
def test_a_model_with_a_fixed_batch_takes_any(images, rows):
    predict = BatchPredictor(digits(4))
    np.testing.assert_array_equal(
        predict({"image": images[:rows]})["logits"], BatchPredictor(DIGITS)({"image": images[:rows]})["logits"]
    )


def test_it_loads_once_and_late_and_travels_without_its_model(images, monkeypatch):
    loads = []
    load = fastconv.load
    monkeypatch.setattr(fastconv, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    predict = BatchPredictor(DIGITS, outputs="relu1")
    assert not loads
    predict({"image": images})
    predict({"image": images})
    assert len(loads) == 1
    pickled = pickle.dumps(predict)
    assert len(pickled) < 1000
    assert list(pickle.loads(pickled)({"image": images})) == ["relu1"]


@pytest.mark.parametrize("column, options", [
    ("image", {}),
    ("x", {}),
    ("x", {"input": "x"}),
    ("x", {"input": {"image": "x"}}),
])  # fmt: skip
def test_columns(images, column, options):
    batch = {column: images} | ({"id": np.arange(len(images))} if options or column == "image" else {})
    assert BatchPredictor(DIGITS, **options)(batch)["logits"].shape == (11, 10)


def test_rows_of_a_list_are_preprocessed(images):
    wanted = BatchPredictor(DIGITS)({"image": images})["logits"]
    rows = [np.repeat(np.rint(255 * i[0]).astype(np.uint8)[..., None], 3, axis=-1) for i in images]
    got = BatchPredictor(DIGITS, preprocess="0..1")({"image": rows})["logits"]
    assert (got.argmax(1) == wanted.argmax(1)).all()
    got = BatchPredictor(DIGITS, preprocess=lambda row: row / np.float32(2))({"image": images * 2})["logits"]
    np.testing.assert_array_equal(got, wanted)


def broken(row):
    raise KeyError("label")


@pytest.mark.parametrize("batch, options, message", [
    ({}, {}, "no column 'image'; the batch has none"),
    ({"imag": 1, "y": 2}, {}, "no column 'image'; the batch has 'imag', 'y'; did you mean 'imag'?"),
    ({"image": 5}, {}, "column 'image': expected an array or a list of rows, got int"),
    ({"image": [np.zeros((1, 8, 8)), np.zeros((1, 8, 7))]}, {},
     "column 'image', row 1: expected 1×8×8 float64 as row 0, got 1×8×7 float64"),
    ({"image": np.zeros((2, 1, 8, 8))}, {}, "input 'image': expected float32, got float64: x.astype(np.float32)"),
    ({"image": [1, 2]}, {"preprocess": broken}, "column 'image', row 0: KeyError: 'label'"),
    ({"image": [1, 2]}, {"preprocess": "0..1"},
     "column 'image', row 0: picture: expected a picture, uint8 H×W×3 (RGB), got int 1"),
    ({"image": np.zeros((2, 1, 8, 8))}, {"input": {"x": "image"}}, "input: no column for the model's input 'image'"),
])  # fmt: skip
def test_errors_name_the_column_and_the_row(batch, options, message):
    with pytest.raises(InputError) as e:
        BatchPredictor(DIGITS, **options)(batch)
    assert str(e.value).startswith(message)


@pytest.mark.parametrize("options, message", [
    ({"preprocess": "imagnet"}, "preprocess: expected one of "),
    ({"preprocess": 3}, "preprocess: expected a function or a name, got 3"),
    ({"outputs": []}, "outputs: expected the names of values, got []"),
])  # fmt: skip
def test_wrong_arguments_are_found_at_once(options, message):
    with pytest.raises(InputError) as e:
        BatchPredictor("nowhere.json", **options)
    assert str(e.value).startswith(message)


def test_an_output_without_rows():
    with pytest.raises(InputError, match=r"^output 'c' has no row for each row of the batch: 3 for 2 rows$"):
        BatchPredictor({
            "graph": {
                "input": [{"name": "x", "type": {"tensorType": {"elemType": 1, "shape": {"dim": [{"dimParam": "N"}]}}}}],
                "output": [{"name": "c"}],
                "node": [{"opType": "Add", "input": ["w", "w"], "output": ["c"]}],
                "initializer": [{"name": "w", "dataType": 1, "dims": ["3"], "floatData": [1, 2, 3]}],
            },
            "opsetImport": [{"version": "17"}],
        })({"x": np.zeros(2, np.float32)})  # fmt: skip
