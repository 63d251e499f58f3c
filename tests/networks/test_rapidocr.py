"""The three networks of a text reader, as the package rapidocr-onnxruntime ships them: pictures of three sizes each.

What onnxruntime answers is compared where it is installed. The package has many others in its wake that are not needed here:
`pip install --no-deps rapidocr-onnxruntime==1.4.4`, and `pip install 'fastconv[peers]'`.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import kernels

INSTALLED = all(importlib.util.find_spec(name) for name in ("rapidocr_onnxruntime", "onnxruntime", "onnx"))
pytestmark = pytest.mark.skipif(not INSTALLED, reason="rapidocr-onnxruntime and fastconv[peers] are not installed")
SHAPES = {
    "ch_PP-OCRv4_det_infer": [(1, 3, 320, 480), (1, 3, 640, 640), (1, 3, 736, 1280)],
    "ch_PP-OCRv4_rec_infer": [(1, 3, 48, 192), (3, 3, 48, 320), (1, 3, 48, 640)],
    "ch_ppocr_mobile_v2.0_cls_infer": [(1, 3, 48, 192), (3, 3, 48, 192), (6, 3, 48, 192)],
}


@pytest.mark.parametrize("name", SHAPES)
def test_answers_are_onnxruntimes(name, monkeypatch):
    import onnxruntime

    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "models" / f"{name}.onnx"
    session = onnxruntime.InferenceSession(path)
    for isa in kernels.available("conv_direct"):
        monkeypatch.setenv("FASTCONV_ISA", isa)
        model = fastconv.load(path)
        for shape in SHAPES[name]:
            x = np.random.default_rng(0).standard_normal(shape, np.float32)
            (expected,) = session.run(None, {model.inputs[0].name: x})
            # probabilities: of a sum that is off by some roundings of its largest terms
            np.testing.assert_allclose(model(x), expected, rtol=0, atol=2e-5)
