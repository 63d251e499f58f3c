"""Batches by a pool of processes: each loads the network once and works on one thread.

    python examples/batch/processes.py [MODEL]

The network takes one input; without a file it is the one for handwritten digits that is part of fastconv.
"""

import multiprocessing
import sys

import numpy as np

import fastconv

BATCH = 32


def main(source=fastconv.data.DIGITS, workers=2):
    """The network's outputs for 599 images, in their order."""
    predict = fastconv.BatchPredictor(source)
    with np.load(fastconv.data.DIGITS_IMAGES) as file:
        images = (file["images"][:, None] / 16).astype(np.float32)
    batches = [{"image": images[i : i + BATCH]} for i in range(0, len(images), BATCH)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        answers = pool.map(predict, batches)  # the predictor travels without its model
    return np.concatenate([answer["logits"] for answer in answers])


if __name__ == "__main__":
    print(main(*sys.argv[1:]).argmax(axis=1))
