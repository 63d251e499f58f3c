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
# # What is in a picture?
#
# MobileNetV2 gives a score to each of ImageNet's 1000 classes. What goes in, what comes out, and what is in between.
#
# `pip install 'fastconv[notebooks]'`; FASTCONV_MODELS names the folder of the networks.

# %%
import os
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import fastconv
from fastconv import vision, viz

path = Path(os.environ.get("FASTCONV_MODELS", "models"), "mobilenet_v2_imagenet.onnx")
if not path.exists():
    raise SystemExit(f"there is no {path}: docs/models.md says where to get networks")
model = fastconv.load(path)
model

# %% [markdown]
# ## What the network is given
#
# The middle of the picture, 224×224, less the mean and over the deviation of ImageNet's pixels, channels first.

# %%
cat = skimage.data.chelsea()
canvas, _ = vision.fit(cat, model.inputs[0], "imagenet")
x = vision.preprocess(cat, model.inputs[0], "imagenet")
print(x.shape, x.dtype, f"{x.min():.2f} to {x.max():.2f}")
Image.fromarray(canvas)

# %% [markdown]
# ## What it answers
#
# 1000 numbers. The softmax makes probabilities of them.

# %%
logits = model(x)[0]
indices, probabilities = vision.top_k(vision.softmax(logits), 5)
for i, p in zip(indices, probabilities, strict=True):
    print(f"{vision.IMAGENET_CLASSES[i]:20} {logits[i]:6.2f} {p:6.1%}")

# %% [markdown]
# All of this in a call, for any picture:

# %%
classes = vision.classify(model, cat)
Image.fromarray(classes.draw(cat))

# %%
for name in ("coffee", "rocket", "astronaut"):
    print(f"{name}:\n{vision.classify(model, getattr(skimage.data, name)(), top=3)}\n")

# %% [markdown]
# ## What is in between
#
# The maps of some layers, those with the most contrast. The first ones find edges; the last ones say where something is, and no
# longer what it looks like.

# %%
viz.activation_maps(model, x, picture=canvas)

# %% [markdown]
# The layers that take longest:

# %%
profile = model.profile(x)
for row in sorted(profile.rows, key=lambda row: -row.ms)[:5]:
    print(f"{row.ms:6.3f} ms  {row.share:5.1%}  {row.op:10} {row.implementation:12} {row.name}")

# %% [markdown]
# And the same picture in float64. The largest error is less than a millionth of the largest number:

# %%
exact = model.reference(x)[0]
print("largest error:", np.abs(logits - exact).max(), "of", np.abs(exact).max())
