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
# # How does a person stand?
#
# MoveNet looks for 17 keypoints of a body: a map for each, and where within its cell the point is.
#
# `pip install 'fastconv[notebooks]'`; FASTCONV_MODELS names the folder of the networks.

# %%
import os
from pathlib import Path

import skimage.data
from PIL import Image

import fastconv
from fastconv import vision, viz

path = Path(os.environ.get("FASTCONV_MODELS", "models"), "movenet_lightning_192_heads.onnx")
if not path.exists():
    raise SystemExit(f"there is no {path}: docs/models.md says where to get networks")
model = fastconv.load(path)
model

# %% [markdown]
# ## What it answers
#
# `center` is high at the middle of a person, `heatmap` has a map for each keypoint of any person, `regress` says how far from
# the middle each keypoint of that person is, and `offset` where in its cell. Each map below has colours of its own, from its
# least to its largest number, which stands beside its name.

# %%
astronaut = skimage.data.astronaut()
canvas, placement = vision.fit(astronaut, model.inputs[0], "-1..1", by="letterbox")
out = model(vision.preprocess(astronaut, model.inputs[0], "-1..1", by="letterbox"))
print(out)

# %%
chosen = ["nose", "left shoulder", "right elbow", "left knee"]
heat = [out["heatmap"][0][vision.COCO_KEYPOINTS.index(name)] for name in chosen]
captions = [f"{name} {h.max():.2f}" for name, h in zip(chosen, heat, strict=True)]
shown = [canvas, viz.maps.colours(out["center"][0, 0]), *map(viz.maps.colours, heat)]
Image.fromarray(vision.tiles(shown, ["picture", "center", *captions], columns=3, size=240))

# %% [markdown]
# The knee is not in the picture, and its map is low everywhere. The keypoints that score 0.3 or more, as a skeleton:

# %%
person = vision.pose(model, astronaut)
print(person)
Image.fromarray(person.draw(astronaut))

# %% [markdown]
# ## What its units see
#
# The deeper a layer, the larger the part of the picture that a unit depends on:

# %%
viz.hierarchy(model, vision.preprocess(astronaut, model.inputs[0], "-1..1", by="letterbox"), picture=canvas)
