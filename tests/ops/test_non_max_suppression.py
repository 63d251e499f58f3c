"""NonMaxSuppression compiled, against its reference, on integer boxes, whose overlaps are exact."""

import numpy as np
import pytest

from fastconv import _boxes, onnx_json
from fastconv.model import load
from fastconv.ops.non_max_suppression import NonMaxSuppression

from ..support.graphs import Net
from ..support.rng import generator

RNG = generator(__name__)


def draw(N, C, B):
    """Boxes that often overlap or have no area, with scores that are often equal."""
    return RNG.integers(0, 9, (N, B, 4)).astype(np.float32), RNG.integers(0, 6, (N, C, B)).astype(np.float32) / 5


def same(op, *inputs):
    with np.errstate(all="ignore"):
        expected = op.reference(*inputs)
    np.testing.assert_array_equal(op.compute(*inputs), expected, strict=True)
    return expected


@pytest.mark.parametrize("centre", [0, 1])
@pytest.mark.parametrize("least", [None, np.array([0.3], np.float32)])
@pytest.mark.parametrize("overlap", [None, *(np.array([v], np.float32) for v in (-1, 0, 0.3, 0.5))])
def test_it_is_the_reference(centre, least, overlap):
    op = NonMaxSuppression(center_point_box=centre)
    for most in (0, 1, 3, 2**40):
        for N, C, B in ((1, 1, 1), (1, 1, 40), (2, 3, 17), (2, 1, 0), (0, 2, 5), (1, 0, 5)):
            same(op, *draw(N, C, B), np.array([most]), overlap, least)


def test_nan():
    """A score that is NaN comes last, or not at all; a box with one overlaps none."""
    boxes, scores = draw(1, 2, 20)
    scores[0, 0, 3:6] = boxes[0, 7, 1] = boxes[0, 9] = np.nan
    for least in (None, np.array([0.1], np.float32)):
        chosen = same(NonMaxSuppression(), boxes, scores, np.array([20]), np.array([0.5], np.float32), least)
        assert (least is None) == bool({3, 4, 5} & set(chosen[chosen[:, 1] == 0, 2]))


def test_a_model_calls_it(tmp_path, monkeypatch):
    """But its reference does not, nor a network of other numbers than float32."""
    calls = []
    monkeypatch.setattr(_boxes, "suppress", lambda *a, own=_boxes.suppress: calls.append(a) or own(*a))
    net = Net()
    boxes, scores = net.input("boxes", 1, 20, 4), net.input("scores", 1, 2, 20)
    y = net("NonMaxSuppression", boxes, scores, np.array([5]), 0.5, name="y")
    onnx_json.write(net.graph(y), tmp_path / "m.json")
    model = load(tmp_path / "m.json")
    inputs = dict(zip(("boxes", "scores"), draw(1, 2, 20), strict=True))
    chosen = model(inputs)
    assert len(calls) == 1
    np.testing.assert_array_equal(model.reference(inputs), chosen)
    assert len(calls) == 1
    half = [v.astype(np.float16) for v in inputs.values()]
    NonMaxSuppression().compute(*half, np.array([5]), np.array([0.5], np.float16))
    assert len(calls) == 1


def test_arrays_that_do_not_fit():
    boxes, scores = draw(2, 3, 5)
    for wrong in (boxes[:1], boxes[:, :4], boxes[..., :3]):
        with pytest.raises(ValueError, match="do not belong together"):
            _boxes.suppress(np.ascontiguousarray(wrong), scores, 1, 0.5)
