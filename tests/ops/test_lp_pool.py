"""GlobalLpPool, of which ONNX has no case: the p-norm of each channel. LpPool has many."""

import numpy as np
import pytest

from fastconv.errors import ModelError

from ..support.nodes import compute, infer
from ..support.rng import generator

RNG = generator(__name__)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("size", [(5,), (3, 4), (2, 3, 4)])
def test_the_norm_of_each_channel(p, size):
    x = RNG.standard_normal((2, 3, *size))
    y = compute("GlobalLpPool", x, p=p)
    assert y.shape == infer("GlobalLpPool", x.shape, p=p) == (2, 3, *(1 for _ in size))
    np.testing.assert_allclose(y.reshape(2, 3), np.linalg.norm(x.reshape(2, 3, -1), p, axis=2))


def test_p_is_2_and_was_a_float_in_opset_1():
    x = RNG.standard_normal((2, 3, 4, 5))
    np.testing.assert_array_equal(compute("GlobalLpPool", x), compute("GlobalLpPool", x, p=2.0, opset=1))
    with pytest.raises(ModelError, match="p: expected 1 or more, got 0"):
        infer("GlobalLpPool", x.shape, p=0)
