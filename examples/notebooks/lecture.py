# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The arithmetic of convolutional networks
#
# Fully connected layers, convolution, stride and padding, shared weights, pooling, and the features that a network finds. Every
# number of the lecture is computed here, by `fastconv`. This needs `pip install 'fastconv[notebooks]'`, and no trained network
# but the one in the package; section 7 takes a larger one, if FASTCONV_MODELS names a folder with it.

# %%
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import fastconv
from fastconv import vision, viz

rng = np.random.default_rng(0)
cat = vision.resize(skimage.data.chelsea(), 224)
Image.fromarray(cat)


# %% [markdown]
# Networks of a layer or two are enough for the arithmetic. `fastconv.load` takes ONNX as JSON, so a dict will do:


# %%
def network(shape, *layers):
    """Layers in a row: of each the operator, the shapes of its random weights, its attributes."""
    graph = {"name": "lecture", "node": [], "initializer": [], "input": [tensor("image", *shape)]}
    last = "image"
    for i, (op, weights, attributes) in enumerate(layers, start=1):
        name = f"{op.lower()}{i}"
        operands = [f"{name}.{what}" for what in ("weight", "bias")[: len(weights)]]
        for operand, dims in zip(operands, weights, strict=True):
            data = rng.standard_normal(dims, np.float32).tobytes()
            graph["initializer"].append({"name": operand, "data_type": 1, "dims": dims, "raw_data": data})
        given = [{"name": k, "ints": v, "type": "INTS"} for k, v in attributes.items()]
        node = {"op_type": op, "name": name, "attribute": given}
        graph["node"].append(node | {"input": [last, *operands], "output": [name]})
        last = name
    graph["output"] = [{"name": last, "type": {"tensor_type": {"elem_type": 1}}}]
    return fastconv.load({"ir_version": 8, "opset_import": [{"version": 17}], "graph": graph})


def tensor(name, *shape):
    """The description of an input of float32."""
    dims = {"dim": [{"dim_value": d} for d in shape]}
    return {"name": name, "type": {"tensor_type": {"elem_type": 1, "shape": dims}}}


# %% [markdown]
# ## 1. Fully connected layers
#
# A 32×32×3 image, stretched to 3072 numbers, gives 10 scores: W is 10×3072. Each score is a dot product of 3072 numbers, and a
# bias. Which pixels were neighbours makes no difference to it.

# %%
image = rng.standard_normal((1, 3, 32, 32), np.float32)
W, b = rng.standard_normal((10, 3072), np.float32), np.zeros(10, np.float32)
scores = fastconv.linear(image.reshape(1, 3072), W, b)
print(scores.shape, "the first score:", scores[0, 0], "=", W[0] @ image.ravel())

# %%
network((1, 3, 32, 32), ("Flatten", [], {}), ("Gemm", [(3072, 10), (10,)], {})).summary(explain=True)

# %% [markdown]
# ## 2. Convolution
#
# A convolution keeps the image as it is. A filter of 5×5×3 is laid on a 5×5 part of it, all channels deep: one number is a dot
# product of 5·5·3 = 75 numbers, and a bias. The filter slides over all places, 28×28 of them, and gives one *activation map*.

# %%
w, b = rng.standard_normal((6, 3, 5, 5), np.float32), rng.standard_normal(6, np.float32)
maps = fastconv.conv2d(image, w, b)
part = image[0, :, :5, :5]  # the top left 5×5, 3 channels deep
print("numbers in a part:", part.size)
print("map 0, top left  :", maps[0, 0, 0, 0], "=", (part * w[0]).sum() + b[0])
print("6 filters give   :", maps.shape)

# %% [markdown]
# What a map shows depends on the filter. Three by hand: a blur, upright edges, level edges; the brighter, the farther from 0.

# %%
blur = np.ones((3, 3)) / 9
upright = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
by_hand = np.stack([np.repeat(k[None] / 3, 3, axis=0) for k in (blur, upright, upright.T)]).astype(np.float32)
maps = fastconv.conv2d(vision.to_nchw(cat), by_hand)
shown = [viz.maps.colours(np.abs(m)) for m in maps[0]]
Image.fromarray(vision.tiles([cat, *shown], ["picture", "blur", "upright edges", "level edges"], columns=4, size=224))

# %% [markdown]
# ## 3. Stride and padding
#
# A filter of F on an image of N, in steps of S, with P zeros around it, fits on (N − F + 2P)/S + 1 places. If that is no whole
# number, the last pixels are left over.

# %%
print(" N  F  S  P   (N − F + 2P)/S + 1   fastconv")
for N, F, S, P in [(7, 3, 1, 0), (7, 3, 2, 0), (7, 3, 3, 0), (7, 3, 1, 1), (32, 5, 1, 2), (227, 11, 4, 0)]:
    y = fastconv.conv2d(np.ones((1, 1, N, N), np.float32), np.ones((1, 1, F, F), np.float32), stride=S, padding=P)
    print(f"{N:>3}{F:>3}{S:>3}{P:>3}{(N - F + 2 * P) / S + 1:>19.2f}{y.shape[-1]:>11}")

# %% [markdown]
# With P = (F − 1)/2 the size stays. Without padding images shrink fast: 32 → 28 → 24.

# %%
valid = [("Conv", [(6, 3, 5, 5), (6,)], {}), ("Relu", [], {}), ("Conv", [(10, 6, 5, 5), (10,)], {}), ("Relu", [], {})]
network((1, 3, 32, 32), *valid).summary(explain=True)

# %% [markdown]
# ## 4. Shared weights
#
# The first layer of AlexNet: 96 filters of 11×11×3 on 227×227×3, in steps of 4. Each filter has the same weights at all of its
# 55×55 places: what is worth finding at one place is worth finding at another. With weights of its own at each place, the layer
# would have 105 million parameters in place of 35 thousand.

# %%
alexnet = network((1, 3, 227, 227), ("Conv", [(96, 3, 11, 11), (96,)], {"strides": [4, 4]}), ("Relu", [], {}))
alexnet.summary(explain=True)

# %% [markdown]
# Since the weights are shared, a map moves with the picture. 4 pixels here, a step of the filter, are 1 unit there:

# %%
x = vision.to_nchw(vision.resize(skimage.data.chelsea(), 227))
maps, moved = alexnet(x), alexnet(np.roll(x, 4, axis=3))
print("largest difference, but for the first column:", np.abs(maps[..., :-1] - moved[..., 1:]).max())

# %% [markdown]
# And a fully connected layer is a convolution whose filter is as large as the image:

# %%
W, x = rng.standard_normal((10, 3072), np.float32), rng.standard_normal((1, 3, 32, 32), np.float32)
a, b = fastconv.linear(x.reshape(1, -1), W), fastconv.conv2d(x, W.reshape(10, 3, 32, 32))
print(a.shape, b.shape, "largest difference:", np.abs(a - b[:, :, 0, 0]).max())

# %% [markdown]
# ## 5. Pooling
#
# Pooling makes maps smaller, each for itself, and has no parameters. 2×2 at stride 2 keeps the largest of four numbers:

# %%
x = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], np.float32)
print(fastconv.max_pool2d(x[None, None], 2, stride=2)[0, 0])

# %%
pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
network((1, 64, 224, 224), ("MaxPool", [], pool)).summary(explain=True)

# %% [markdown]
# ## 6. All of it: a network that reads digits
#
# The network in the package has two convolutions, each with a ReLU and pooling behind it, and two fully connected layers. A
# student can check each line:

# %%
digits = fastconv.load(fastconv.data.DIGITS)
digits.summary(explain=True)

# %%
with np.load(fastconv.data.DIGITS_IMAGES) as file:
    images, labels = file["images"][:, None] / np.float32(16), file["labels"]
found = digits(images).argmax(axis=1)
print(f"{(found == labels).sum()} of {len(labels)} right")
for wrong in np.flatnonzero(found != labels):
    print(f"image {wrong}: a {labels[wrong]}, read as {found[wrong]}")

# %% [markdown]
# What the layers make of one digit. After each pooling a unit sees more of the picture, and maps tell more of *what* is there
# than of *where*:

# %%
viz.activation_maps(digits, images[labels == 3][:1], ["conv1", "pool1", "conv2", "pool2"])

# %%
for layer in ("conv1", "pool1", "conv2", "pool2"):
    print(f"a unit of {layer} sees {viz.receptive_field(digits, layer)}")

# %% [markdown]
# ## 7. Low, middle and high level features
#
# In a network trained on photographs, the first layers find edges and colours, the next ones corners and textures, the last
# parts of things. For some depths, the units that the picture fires most, and what they see there:

# %%
folder = os.environ.get("FASTCONV_MODELS")
path = Path(folder or "", "squeezenet1_1_imagenet.onnx")
figure = None
if folder and path.exists():
    squeezenet = fastconv.load(path)
    given = skimage.data.chelsea(), squeezenet.inputs[0], "caffe"
    figure = viz.hierarchy(squeezenet, vision.preprocess(*given), picture=vision.fit(*given)[0])
else:
    print("left out: FASTCONV_MODELS names no folder with squeezenet1_1_imagenet.onnx (docs/models.md)")
figure

# %% [markdown]
# ## 8. The same sums, faster
#
# A convolution is seven loops. Compiled as they stand they give the same numbers as `fastconv`, and take many times as long.

# %%
x, w = rng.standard_normal((1, 64, 28, 28), np.float32), rng.standard_normal((64, 64, 3, 3), np.float32)


def milliseconds(call, times=3):
    """The fastest of some calls."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(1e3 * (time.perf_counter() - began))
    return min(took)


plain = partial(fastconv.naive.conv2d, x, w, padding=1, compiled=True)
truth, loops = plain(), milliseconds(plain)
print(f"{'plain loops':12} {loops:8.2f} ms")
for algorithm in ("im2col", "direct", "winograd"):
    fast = partial(fastconv.conv2d, x, w, padding=1, algorithm=algorithm)
    ms, error = milliseconds(fast), np.abs(fast() - truth).max() / np.abs(truth).max()
    print(f"{algorithm:12} {ms:8.2f} ms, {loops / ms:5.1f} times as fast, off by {error:.0e} of the largest number")

# %% [markdown]
# How near is a whole network to exact arithmetic? Layer by layer against float64:

# %%
fastconv.compare(digits, images[:8], layers=True)
