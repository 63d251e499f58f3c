"""Train the demo's small LeNet on scikit-learn's handwritten digits and store it as readable JSON.

    pip install torch scikit-learn onnx
    python examples/train_digits.py [folder]        # default: fastconv/data, about a minute on one core

Writes digits.json (the model) and digits.npz (the third of the images that training never saw), and prints the accuracy
on those images of the weights as they are stored: rounded to four significant digits, so that the file reads well.
"""

import json
import sys
import textwrap
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.json_format import MessageToDict
from onnx import numpy_helper
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
EPOCHS = 200
BATCH = 32
DATA = Path(__file__).parents[1] / "fastconv" / "data"


def lenet():
    """1x8x8 pixels of 0..1 in, ten logits out; 13 962 parameters."""
    layers = [
        ("conv1", nn.Conv2d(1, 16, 5, padding=2)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(16, 32, 3, padding=1)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(2)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(32 * 2 * 2, 64)),
        ("relu3", nn.ReLU()),
        ("fc2", nn.Linear(64, 10)),
    ]
    return nn.Sequential(OrderedDict(layers))


def distorted(images):
    """Each image turned by up to 9 degrees, stretched by 10 %, sheared and moved by a little over half a pixel."""

    def within(limit):
        return limit * (2 * torch.rand(len(images)) - 1)

    cos, sin, shear = torch.cos(angle := within(0.15)), torch.sin(angle), within(0.1)
    wide, high, right, down = 1 + within(0.1), 1 + within(0.1), within(0.15), within(0.15)
    matrix = torch.stack([cos * wide, shear - sin * high, right, sin * wide, cos * high, down], 1).reshape(-1, 2, 3)
    grid = nn.functional.affine_grid(matrix, images.shape, align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


def train(net, images, labels):
    """AdamW with a one-cycle learning rate; the settings come from cross-validation on the training images."""
    steps = EPOCHS * -(-len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.005, total_steps=steps)
    net.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            loss = nn.functional.cross_entropy(net(distorted(images[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


def round_weights(net, digits=4):
    """Round every weight to this many significant decimal digits."""
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.tensor([float(f"{v:.{digits}g}") for v in p.flatten().tolist()]).reshape(p.shape))


def export(net, path):
    """torch -> ONNX -> JSON, with layer names as tensor names and weights as lists of numbers."""
    target = path.with_suffix(".onnx")
    names = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": {"image": {0: "N"}, "logits": {0: "N"}}}
    torch.onnx.export(net, torch.zeros(1, 1, 8, 8), target, dynamo=False, opset_version=17, **names)
    model = onnx.load(target)
    target.unlink()

    rename = {}
    for node in model.graph.node:  # "/conv1/Conv" gives "/conv1/Conv_output_0": call both "conv1"
        node.name = node.name.split("/")[1]
        rename |= {o: node.name for o in node.output if o != "logits"}
        node.input[:] = [rename.get(i, i) for i in node.input]
        node.output[:] = [rename.get(o, o) for o in node.output]
    model.graph.name = "digits"
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).ravel()
        tensor.ClearField("raw_data")
        tensor.float_data.extend(values)
    onnx.checker.check_model(model, full_check=True)

    path.write_text(pretty(MessageToDict(model, preserving_proto_field_name=True)) + "\n")


def pretty(value, indent=0, width=120):
    """Readable JSON: one line for everything that fits into one; long lists of numbers are wrapped."""
    line = json.dumps(value)
    if indent + len(line) <= width or not isinstance(value, dict | list):
        return line
    margin, inner = " " * indent, " " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(k)}: {pretty(v, indent + 1, width)}" for k, v in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{margin}}}"
    if isinstance(value[0], float):
        body = textwrap.fill(line[1:-1], width, initial_indent=inner, subsequent_indent=inner, break_on_hyphens=False)
        return f"[\n{body}\n{margin}]"
    return "[\n" + ",\n".join(inner + pretty(v, indent + 1, width) for v in value) + f"\n{margin}]"


def main():
    """Train, round, print the accuracy, write both files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    digits = load_digits()
    pixels, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    order = np.random.default_rng(SEED).permutation(len(pixels))
    held_out, rest = np.split(order, [len(order) // 3])

    def tensors(indices):
        return torch.tensor(pixels[indices] / 16, dtype=torch.float32)[:, None], torch.tensor(labels[indices], dtype=torch.long)

    net = lenet()
    train(net, *tensors(rest))
    round_weights(net)
    images, truth = tensors(held_out)
    with torch.no_grad():
        right = int((net(images).argmax(1) == truth).sum())
    print(f"{right} of {len(held_out)} held-out digits right: {100 * right / len(held_out):.2f} %")

    export(net, folder / "digits.json")
    np.savez_compressed(folder / "digits.npz", images=pixels[held_out], labels=labels[held_out])


if __name__ == "__main__":
    main()
