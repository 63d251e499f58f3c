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
# # Which pictures look like this one?
#
# A network without its last layer gives 1280 numbers for a picture. Pictures that look alike have vectors of like directions.
#
# `pip install 'fastconv[notebooks]'`; FASTCONV_MODELS names the folder of the networks.

# %%
import os
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import fastconv
from fastconv import vision

path = Path(os.environ.get("FASTCONV_MODELS", "models"), "mobilenet_v2_embed1280.onnx")
if not path.exists():
    raise SystemExit(f"there is no {path}: docs/models.md says where to get networks")
model = fastconv.load(path)
model

# %% [markdown]
# ## A gallery
#
# scikit-image's pictures, and the vector of each.

# %%
names = ["astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina", "brick", "grass", "coins", "moon"]
gallery = [getattr(skimage.data, name)() for name in names]
gallery = [p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for p in gallery]
vectors = np.array([vision.embed(model, picture).vector for picture in gallery])
print(vectors.shape)
Image.fromarray(vision.tiles(gallery, names, columns=5, size=180))

# %% [markdown]
# ## How alike are they?
#
# The cosine of the angle between two vectors, 1 for the same direction. The astronaut, with a space shuttle behind her, is most
# like the rocket, and the moon most like the field of galaxies.

# %%
cosines = vision.cosine(vectors, vectors)
print(" " * 22, *(f"{name[:6]:>6}" for name in names))
for name, row in zip(names, cosines, strict=True):
    print(f"{name:22}", *(f"{c:6.2f}" for c in row))

# %% [markdown]
# ## Looking for a picture
#
# Four of them, changed: mirrored, turned, cropped, and made grey. The nearest of the gallery is the right one each time.

# %%
astronaut, cat, coffee, rocket = gallery[:4]
h, w = rocket.shape[:2]
queries = {
    "mirrored": cat[:, ::-1],
    "turned": np.rot90(astronaut),
    "cropped": rocket[h // 4 :, w // 4 : -w // 4],
    "grey": np.rint(coffee.mean(axis=2, keepdims=True)).astype(np.uint8).repeat(3, axis=2),
}
looked_for = np.array([vision.embed(model, picture).vector for picture in queries.values()])
indices, near = vision.nearest(looked_for, vectors, 4)

shown, captions = [], []
for (query, picture), row, c in zip(queries.items(), indices, near, strict=True):
    shown += [picture, *(gallery[i] for i in row)]
    captions += [query, *(f"{names[i]} {cosine:.2f}" for i, cosine in zip(row, c, strict=True))]
Image.fromarray(vision.tiles(shown, captions, columns=5, size=180))
