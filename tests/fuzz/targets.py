"""The targets by name: functions of bytes, which raise where a promise is broken."""

from .mutations import mutated_models
from .networks import random_networks
from .readers import read_json, read_onnx

TARGETS = {
    "json": read_json,
    "onnx": read_onnx,
    "mutations": mutated_models.hypothesis.fuzz_one_input,
    "networks": random_networks.hypothesis.fuzz_one_input,
}
