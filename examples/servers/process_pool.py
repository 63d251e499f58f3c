"""multiprocessing: a pool of processes, each of which runs the model on one thread.

    python examples/servers/process_pool.py images.npy scores.npy --model net.onnx --processes 4

Forked processes share the parent's packed weights. Spawned ones get the model as a pickle, which is its path and options, and
load it themselves.
"""

import argparse
import multiprocessing

import numpy as np

import fastconv


def begin(model):
    """Keep the model of this process: a task would pickle it each time."""
    global net
    net = model


def scores(images):
    return net(images)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="the .npy file of the inputs, N first")
    parser.add_argument("scores", help="the .npy file to write")
    parser.add_argument("--model", default=fastconv.data.DIGITS, help="default: the network for digits that fastconv has")
    parser.add_argument("--processes", type=int, help="default: a process for each CPU")
    parser.add_argument("--method", default="fork", choices=multiprocessing.get_all_start_methods(), help="default: fork")
    args = parser.parse_args(argv)

    model = fastconv.load(args.model, threads=1)
    model.plan()  # packs the weights: before the fork, so that they are shared
    images = np.load(args.images)
    with multiprocessing.get_context(args.method).Pool(args.processes, begin, (model,)) as pool:
        np.save(args.scores, np.concatenate(pool.map(scores, images[:, None])))  # a task for each image


if __name__ == "__main__":
    main()
