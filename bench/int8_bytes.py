"""How many bytes of each quantized layer differ from onnxruntime's: convolutions and fully connected layers of QDQ models.

    python bench/int8_bytes.py net.onnx …               on every instruction set of this machine, with 1 and 2 threads
    python bench/int8_bytes.py --isa avx2 net.onnx

Each layer, from the DequantizeLinear nodes before it to the QuantizeLinear behind it, becomes a model of its own, which gets
random bytes. onnxruntime fuses it to QLinearConv or QGemm. The last line of a model has all bytes that were compared.
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

import fastconv
from fastconv import kernels

LAYERS = ("Conv", "Gemm", "MatMul")


def layers(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Each layer as a model, from one tensor of bytes to the next, with its name."""
    producers = {name: node for node in model.graph.node for name in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    constants = {t.name: t for t in model.graph.initializer}
    shapes = {v.name: v.type for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    shapes |= {v.name: v.type for v in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        behind = next((n for n in model.graph.node if node.output[0] in n.input[:1] and n.op_type == "QuantizeLinear"), None)
        before = [producers[name] for name in node.input if name in producers]
        if node.op_type not in LAYERS or behind is None or readers[node.output[0]] > 1:
            continue
        if any(n.op_type != "DequantizeLinear" for n in before):
            continue
        nodes = [*before, node, behind]
        (source,) = (name for n in before for name in n.input[:1] if name not in constants)
        kinds = [onnx.TensorProto.UINT8 if constants[n.input[2]].data_type == onnx.TensorProto.UINT8 else onnx.TensorProto.INT8
                 for n in (before[0], behind)]  # fmt: skip
        dims = [[d.dim_value for d in shapes[name].tensor_type.shape.dim] for name in (before[0].output[0], node.output[0])]
        inputs, outputs = (
            [onnx.helper.make_tensor_value_info(name, kind, d)]
            for name, kind, d in zip((source, behind.output[0]), kinds, dims, strict=True)
        )
        needed = [constants[name] for name in dict.fromkeys(name for n in nodes for name in n.input) if name in constants]
        graph = onnx.helper.make_graph(nodes, "layer", inputs, outputs, needed)
        versions = {"opset_imports": model.opset_import, "ir_version": model.ir_version}
        yield node.name or node.output[0], onnx.helper.make_model(graph, **versions)


def compare(path: str, isas: list[str], threads: list[int]) -> None:
    """Print the layers that differ, and the totals."""
    total, far = Counter[str](), Counter[str]()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, layer in layers(onnx.load(path)):
            file = Path(folder, "layer.onnx")
            onnx.save(layer, file)
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            x = session.get_inputs()[0]
            data = rng.integers(0, 256, x.shape).astype(np.uint8)
            data = data if x.type == "tensor(uint8)" else data.view(np.int8)
            (theirs,) = session.run(None, {x.name: data})
            for isa in isas:
                for count in threads:
                    os.environ["FASTCONV_ISA"] = isa
                    ours = fastconv.load(file, threads=count)(data)
                    wrong = np.abs(ours.astype(int) - theirs.astype(int))
                    total[isa] += ours.size
                    far[isa] += np.count_nonzero(wrong)
                    if wrong.any():
                        differ = f"{np.count_nonzero(wrong)} of {wrong.size}, by {wrong.max()} at most"
                        print(f"{name} on {isa}, {count} threads: {differ}")
    for isa in isas:
        print(f"{Path(path).name} on {isa}: {far[isa]:,} of {total[isa]:,} bytes differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="QDQ models, .onnx")
    parser.add_argument("--isa", action="append", help="default: every one that can be run")
    parser.add_argument("--threads", type=int, action="append", help="default: 1 and 2")
    args = parser.parse_args()
    for path in args.models:
        compare(path, args.isa or list(kernels.available()), args.threads or [1, 2])


if __name__ == "__main__":
    main()
