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
# # Which objects are where?
#
# CenterNet looks for objects of COCO's 80 classes: for each a map that is high where the middle of one is.
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

path = Path(os.environ.get("FASTCONV_MODELS", "models"), "centernet_mbv3_coco_512_heads.onnx")
if not path.exists():
    raise SystemExit(f"there is no {path}: docs/models.md says where to get networks")
model = fastconv.load(path)
model

# %% [markdown]
# ## What the network is given
#
# All of the picture, made to fit 512×512 with borders.

# %%
coffee = skimage.data.coffee()
canvas, placement = vision.fit(coffee, model.inputs[0], "raw", by="letterbox")
out = model(vision.preprocess(coffee, model.inputs[0], "raw", by="letterbox"))
print(out)
Image.fromarray(canvas)

# %% [markdown]
# ## What it answers
#
# `heatmap` has a map for each class, 128×128, `wh` the extent of an object in each cell: left, up, right, down. The highest
# peaks of the classes:

# %%
heat = out["heatmap"][0]
best = np.argsort(-heat.max(axis=(1, 2)))[:4]
names = [f"{vision.COCO_CLASSES[c]} {heat[c].max():.2f}" for c in best]
maps = [viz.maps.colours(heat[c]) for c in best]
Image.fromarray(vision.tiles(maps, names, columns=4, size=220))

# %% [markdown]
# A peak above a threshold is an object, whose box comes from `wh` at that cell. The way back to the picture is `placement`.

# %%
peaks = vision.peaks(heat, 0.4)
for c, y, x, score in zip(peaks.channels, peaks.rows, peaks.columns, peaks.scores, strict=True):
    left, up, right, down = out["wh"][0][:, y, x]
    box = placement.back([[4 * x - left, 4 * y - up], [4 * x + right, 4 * y + down]]).round().ravel()
    print(f"{vision.COCO_CLASSES[c]:15} {score:.2f} cell {y}, {x}: box {box}")

# %% [markdown]
# All of this in a call, which also drops boxes that overlap too much:

# %%
objects = vision.detect(model, coffee)
print(objects)
Image.fromarray(objects.draw(coffee))

# %% [markdown]
# A lower threshold finds more, and more that is not there:

# %%
for threshold in (0.4, 0.2, 0.1):
    found = vision.detect(model, coffee, threshold=threshold)
    print(f"{threshold}: {', '.join(found.names)}")
