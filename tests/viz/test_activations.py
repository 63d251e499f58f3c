"""Figures of activations: what they show, and errors for what cannot be shown."""

import os
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import FastconvError, InputError, viz
from fastconv.specialise import specialise
from fastconv.viz import layers
from fastconv.viz.activations import firing

from ..kernels.test_loader import python
from ..support.onnx_dicts import info, ints, model, node, tensor

pytest.importorskip("matplotlib")
DIGITS = fastconv.load(fastconv.data.DIGITS)
with np.load(fastconv.data.DIGITS_IMAGES) as file:
    X = file["images"][:2, None] / np.float32(16)


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


@pytest.mark.slow
def test_a_panel_for_the_picture_and_for_each_layer():
    figure = viz.activation_maps(DIGITS, X, ["conv2", "pool1"], maps=3)
    assert titles(figure) == [
        "image  8×8\nwhat a unit of each layer sees",
        "conv2  32×4×4\na unit sees 10×10 pixels, stride 2",
        "pool1  16×4×4\na unit sees 6×6 pixels, stride 2",
    ]
    relu2 = DIGITS.run(X, "relu2")[0][0]
    chosen = viz.maps.strongest(relu2, 3)
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), viz.maps.grid(relu2, 3, chosen))
    assert [t.get_text() for t in figure.axes[1].texts] == [str(c) for c in chosen]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array()[..., 0], np.rint(X[0, 0] * 255))


def test_what_a_unit_sees_is_outlined():
    seen = viz.receptive_field(DIGITS, "conv1").pixels(4, 4)
    (line,) = viz.activation_maps(DIGITS, X, "conv1").axes[0].lines
    ends = [(e.min() + 0.5, e.max() + 0.5) for e in (line.get_ydata(), line.get_xdata())]
    assert ends == [(s.start, s.stop) for s in seen]


def test_the_hierarchy_has_the_part_that_fires_each_unit():
    figure = viz.hierarchy(DIGITS, X, "conv1", units=2)
    relu1 = DIGITS.run(X, "relu1")[0][0]
    (channel, place), _ = firing(relu1, 2)
    pixels = viz.receptive_field(DIGITS, "conv1").pixels(*place)
    _, shown, patch, *_ = figure.axes
    assert shown.texts[0].get_text() == str(channel)
    np.testing.assert_array_equal(patch.images[0].get_array()[..., 0], np.rint(X[0, 0][pixels] * 255))


def test_units_fire_inside_and_apart_where_there_are_such():
    activation = np.zeros((4, 8, 8), np.float32)
    for c, (y, x) in enumerate([(0, 5), (3, 3), (3, 4), (6, 6)]):
        activation[c, y, x] = 9 - c
    assert firing(activation, 3) == [(1, (3, 3)), (3, (6, 6)), (0, (0, 5))]


def test_a_unit_that_sees_no_pixel():
    """Between the windows of a transposed convolution: these units are the largest if all others are below 0."""
    weights = tensor("w", np.ones((1, 1, 1, 1), np.float32))
    nodes = [node("ConvTranspose", ["x", "w"], ["y"], ints("strides", 3, 3))]
    net = fastconv.load(model(nodes, [weights], [info("x", 1, 1, 4, 4)], [info("y", 1, 1, 10, 10)]))
    figure = viz.hierarchy(net, np.full((1, 1, 4, 4), -1, np.float32), "y")
    assert figure.axes[2].images[0].get_array().shape == (1, 1, 3)


def test_notebooks_show_a_figure():
    assert viz.filters(DIGITS)._repr_png_().startswith(b"\x89PNG")


def test_filters_are_tiles_in_their_own_contrast():
    tiles = viz.filters(DIGITS, columns=4).axes[0].images[0].get_array()
    first = tiles[: tiles.shape[0] // 4]
    assert (first.min(), first.max()) == (0, 255)


def test_channels_last():
    """The same picture and maps, in another order."""
    weights = tensor("w", np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32))
    nodes = [
        node("Transpose", ["x"], ["t"], ints("perm", 0, 3, 1, 2)),
        node("Conv", ["t", "w"], ["c"]),
        node("Transpose", ["c"], ["y"], ints("perm", 0, 2, 3, 1)),
    ]
    net = fastconv.load(model(nodes, [weights], [info("x", 1, 9, 7, 3)], [info("y", 1, 7, 5, 4)]))
    x = np.random.default_rng(1).standard_normal((1, 9, 7, 3)).astype(np.float32)
    figure = viz.activation_maps(net, x, ["c", "y"])
    shown = [ax.images[0].get_array() for ax in figure.axes]
    assert shown[0].shape == (9, 7, 3)
    np.testing.assert_array_equal(shown[1], shown[2])


def test_the_layers_of_each_resolution():
    graph = specialise(DIGITS._with_outputs(()), [(1, 1, 8, 8)])
    assert layers.over_the_depth(graph, 4, layers.results(DIGITS)) == ["conv1", "conv2"]
    assert layers.over_the_depth(graph, 4, ["pool1", "conv2"]) == ["conv2"]


SIGNAL = fastconv.load(model([node("Relu", ["x"], ["y"])], [], [info("x", 1, 2, 5)], [info("y", 1, 2, 5)]))
VECTOR = fastconv.load(model([node("Relu", ["x"], ["y"])], [], [info("x", 1, 5)], [info("y", 1, 5)]))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: viz.activation_maps(DIGITS, X, "conv9"), r"^the model has no layer or value 'conv9'; did you mean 'conv2'\?$"),
        (lambda: viz.activation_maps(DIGITS, X, "none"), r"^the model has no layer or value 'none'; model.summary\(\) lists"),
        (lambda: viz.hierarchy(DIGITS, X, "fc1"), "^layer 'fc1' is 2×64: it has no spatial axes"),
        (lambda: viz.activation_maps(DIGITS, X, []), "^layers: expected names, got none$"),
        (lambda: viz.activation_maps(DIGITS, X[:, :, :4]), "^input 'image': expected N×1×8×8"),
        (lambda: viz.activation_maps(DIGITS, X, picture=np.zeros((9, 9, 3), np.uint8)), "^picture: expected the input's"),
        (lambda: viz.hierarchy(DIGITS, X, units=0), "^units: "),
        (lambda: viz.activation_maps(VECTOR, np.zeros((1, 5), np.float32)), "^the model has no layer with maps$"),
        (lambda: viz.hierarchy(SIGNAL, np.zeros((1, 2, 5), np.float32), "y"), "^layer 'y' has maps of 1 axes: figures show"),
        (lambda: viz.filters(VECTOR), "^the model does not begin with a convolution of pixels"),
    ],
)  # fmt: skip
def test_wrong_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(FastconvError, match=r"^figures need the Matplotlib package: pip install 'fastconv\[viz\]'$"):
        viz.filters(DIGITS)


def test_maps_and_fields_import_numpy_alone():
    out, err, _ = python("import fastconv, sys; fastconv.viz.maps; print({'matplotlib', 'PIL'} & {*sys.modules})")
    assert (out, err) == ("set()\n", "")


@pytest.mark.skipif("FASTCONV_MODELS" not in os.environ, reason="FASTCONV_MODELS names no folder of trained networks")
def test_of_a_trained_network():
    net = fastconv.load(Path(os.environ["FASTCONV_MODELS"], "squeezenet1_1_imagenet.onnx"))
    figure = viz.activation_maps(net, np.zeros((1, 3, 227, 227), np.float32), maps=1)
    assert [t.split("sees ")[-1] for t in titles(figure)[1:]] == [
        "3×3 pixels, stride 2", "23×23 pixels, stride 4", "63×63 pixels, stride 8", "207×207 pixels, stride 16",
    ]  # fmt: skip
