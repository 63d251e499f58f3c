"""Batches by Dask: a network as a function of the blocks of an array, on threads, processes or a cluster of Dask.

python examples/batch/dask_blocks.py
"""

import dask.array as da
import numpy as np

import fastconv


def main(scheduler="threads"):
    """The digits network's outputs for 599 images."""
    predict = fastconv.BatchPredictor(fastconv.data.DIGITS)
    with np.load(fastconv.data.DIGITS_IMAGES) as file:
        images = (file["images"][:, None] / 16).astype(np.float32)
    blocks = da.from_array(images, chunks=(32, 1, 8, 8))
    logits = blocks.map_blocks(
        lambda block: predict({"image": block})["logits"],
        dtype=np.float32,
        chunks=(blocks.chunks[0], (10,)),
        drop_axis=(1, 2, 3),
        new_axis=1,
    )
    return logits.compute(scheduler=scheduler)


if __name__ == "__main__":
    print(main().argmax(axis=1))
