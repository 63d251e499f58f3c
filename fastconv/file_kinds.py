"""Files that are no models: pipes and devices, which are not opened, and other kinds, recognised by their first bytes, for an
error that says what to do with such a file."""

from __future__ import annotations

import errno
import os
import re
import stat

from .errors import ModelError

_EXPORT = "export its network to ONNX"
_UNPACK = "give the model that is in it"
_NAME = rb"PK\x03\x04.{26}[^\0]{0,255}?"  # of the first file in an archive
#: A pattern of the first bytes -> what the file is, and what to do with it.
KINDS = {
    rb"\s*\Z": ("an empty file", "copy or download it again"),
    rb"\x93NUMPY": ("an array of NumPy (.npy)", "it can be an input: fastconv run MODEL -i FILE"),
    _NAME + rb"\.npy": ("arrays of NumPy (.npz)", "they can be inputs: fastconv run MODEL -i FILE"),
    _NAME + rb"/data[./]": (
        "a file of PyTorch (.pt, .pth)",
        "export the network with fastconv.from_torch or torch.onnx.export; convert --weights takes a state dict",
    ),
    rb"\x80[\x02-\x05]": (
        "a pickle, as PyTorch's older .pt and .pth files are",
        "export the network with fastconv.from_torch or torch.onnx.export; convert --weights takes a state dict",
    ),
    rb".{4}\0{4}\{": (
        "weights alone (.safetensors)",
        "a model has a graph too: fastconv convert MODEL TARGET --weights FILE",
    ),
    rb".{4}TFL[23]": ("a TensorFlow Lite model (.tflite)", f"{_EXPORT} with tf2onnx --tflite"),
    rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP": ("a picture", "it can be an input: fastconv run MODEL --image FILE"),
    rb"\x89HDF\r\n": ("an HDF5 file (.h5), as older ones of Keras are", f"{_EXPORT} with tf2onnx"),
    _NAME + rb"(metadata|config)\.json": ("a Keras model (.keras)", f"{_EXPORT} with model.export(..., format='onnx')"),
    rb"PK(\x03\x04|\x05\x06)": ("a zip archive", _UNPACK),
    rb"\x1f\x8b": ("a gzip archive", _UNPACK),
    rb"BZh|\xfd7zXZ\0|\x28\xb5\x2f\xfd|7z\xbc\xaf|.{257}ustar": ("an archive", _UNPACK),
    rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html)": ("a web page", "the download gave no model: look at it in a browser"),
    rb"\s*<\?xml": ("an XML file, as OpenVINO's models are", f"{_EXPORT} with the framework that it came from"),
    rb"version https://git-lfs": ("a pointer of Git LFS", "git lfs pull brings the file"),
    # protobuf has no magic number: the first node of a GraphDef, and the tags of a SavedModel
    rb"\n.{0,4096}?\x12.(Placeholder|Const|VarHandleOp|NoOp)|\x08\x01\x12.{0,65536}?(Placeholder|Const|serve|NoOp)": (
        "a TensorFlow graph (.pb)",
        f"{_EXPORT} with tf2onnx",
    ),
}


def regular(path: str, flags: int) -> int:
    """An opener for `open`. OSError for a pipe, whose writer might never come, or a device, which might never end."""
    file = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return file
    os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "Not a regular file", path)


def other_kind(data: bytes) -> ModelError | None:
    """The error that says what these bytes are instead of a model, and what to do; None if they are of no known kind."""
    for begin, (what, hint) in KINDS.items():
        if re.match(begin, data, re.DOTALL):
            return ModelError(f"{what}, not an ONNX model: {hint}")
    return None
