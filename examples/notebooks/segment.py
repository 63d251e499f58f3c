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
# # Which pixels are a person?
#
# A network of 100 thousand weights says for each pixel how likely it belongs to a person.
#
# `pip install 'fastconv[notebooks]'`; FASTCONV_MODELS names the folder of the networks.

# %%
import os
from pathlib import Path

import skimage.data
from PIL import Image

import fastconv
from fastconv import vision, viz

path = Path(os.environ.get("FASTCONV_MODELS", "models"), "selfie_segmentation_256_nchw.onnx")
if not path.exists():
    raise SystemExit(f"there is no {path}: docs/models.md says where to get networks")
model = fastconv.load(path)
model

# %% [markdown]
# ## The mask
#
# One number a pixel, 256×256, brought to the size of the picture.

# %%
astronaut = skimage.data.astronaut()
person = vision.segment(model, astronaut)
print(model.outputs[0], "->", person.mask.shape, f"{person.mask.min():.2f} to {person.mask.max():.2f};", person)
pictures = [astronaut, viz.maps.colours(person.mask), vision.draw_mask(astronaut, person.mask)]
Image.fromarray(vision.tiles(pictures, ["picture", "mask", "both"], columns=3, size=320))

# %% [markdown]
# ## What it is good for
#
# Cut out, on white or before something else:

# %%
coffee = vision.resize(skimage.data.coffee(), astronaut.shape[:2])
pictures = [person.draw(astronaut), vision.cut_out(astronaut, person.mask, coffee)]
Image.fromarray(vision.tiles(pictures, columns=2, size=480))

# %% [markdown]
# ## How it comes about
#
# The network makes the picture smaller, finds out what is there, and enlarges that again, with the help of the larger maps from
# before. Maps on the way:

# %%
x = vision.preprocess(astronaut, model.inputs[0], "0..1")
viz.activation_maps(model, x)
