"""JSON and base64 that are none, and names that are more than names where they are printed."""

import json

import pytest

import fastconv
from fastconv.errors import ModelError
from fastconv.onnx_json import read

from ..support.onnx_dicts import b64, info, ints, model, node, text, tiny, with_attribute, with_weight
from .harness import message_of, named, refused, sources

LEXICAL = {
    "T25-duplicate-key": b'{"graph": {}, "graph": {}}',
    "T25-duplicate-key-inside": b'{"graph": {"name": "a", "name": "a"}}',
    "T25-duplicate-key-by-an-escape": b'{"graph": {"name": "a", "n\\u0061me": "b"}}',
    "T25-5000-digits": b'{"ir_version": ' + b"9" * 5000 + b"}",
    "T25-exponent-of-999": b'{"doc_string": 1e999}',
    "T25-exponent-of-5000-digits": b'{"doc_string": 1e' + b"9" * 5000 + b"}",
    "T25-byte-order-mark": b"\xef\xbb\xbf{}",
    "T25-utf-16": "{}".encode("utf-16"),
    "T25-utf-16-without-a-mark": "{}".encode("utf-16-le"),
    "T25-utf-32": "{}".encode("utf-32"),
    "T25-two-values": b"{} {}",
    "T25-trailing-comma": b"{},",
    "T25-comma-before-the-end": b'{"graph": {},}',
    "T25-nul-at-the-end": b"{}\0",
    "T25-lists-100000-deep": b"[" * 100_000,
    "T25-objects-100000-deep": b'{"a":' * 100_000,
    "T25-nothing": b"",
    "T25-white-space": b" \n" * 10_000,
    "T25-null": b"null",
    "T25-list": b"[]",
    "T25-text": b'"graph"',
    "T25-single-quotes": b"'x'",
    "T25-not-utf-8": b"{\"graph\": '\xff'}",
    "T25-overlong-utf-8": b'{"graph": {"name": "\xc0\xaf"}}',
    "T25-surrogate-in-utf-8": b'{"graph": {"name": "\xed\xa0\x80"}}',
    "T25-half-a-character": b'{"graph": {"name": "\xc3"}}',
    "T25-nan": b'{"graph": NaN}',
    "T25-minus-infinity": b'{"graph": -Infinity}',
    "T25-hexadecimal": b'{"graph": 0x10}',
    "T25-leading-zero": b'{"graph": 012}',
    "T25-newline-in-a-text": b'{"graph": "a\nb"}',
    "T25-comment": b"{/* comment */}",
    "T25-escape-of-nothing": b'{"graph": "\\x41"}',
    "T25-half-an-escape": b'{"graph": "\\u00"}',
    "T25-onnx-of-no-graph": b"\x08\x0a\x3a\x00",
}


@pytest.mark.parametrize("data", named(LEXICAL))
def test_texts_that_are_no_model(data, tmp_path):
    (tmp_path / "m.json").write_bytes(data)
    for source in (data, tmp_path / "m.json"):
        with pytest.raises(ModelError) as e:
            read(source)
        assert len(message_of(e.value)) < 300


@pytest.mark.parametrize("made", named({"T25-truncated": tiny()}))
def test_truncated_anywhere(made):
    full = text(made)
    read(full)
    for n in range(1, len(full)):
        with pytest.raises(ModelError, match="not JSON"):
            read(full[:n])


BASE64 = {
    "T25-base64-other-character": "AACAPwAAAEA!",
    "T25-base64-space": "AACA PwAAAEA=",
    "T25-base64-newline": "AACAPwAAAEA=\n",
    "T25-base64-half-a-byte": "AACAP",
    "T25-base64-padding-first": "=AAA",
    "T25-base64-padding-of-four": "AACAPwAAAEA====",
    "T25-base64-padding-inside": "AA==AACAPwAA",
    "T25-base64-not-ascii": "é",
    "T25-base64-full-width": "ＡＡＣＡ",
    "T25-base64-nul": "AACAPwAA\0AEA=",
    "T25-base64-number": 5,
    "T25-base64-list": [],
    "T25-base64-lone-surrogate": "\ud800AAA",
}


@pytest.mark.parametrize("raw", named(BASE64))
def test_base64_that_is_none(raw):
    refused(text(with_weight(raw_data=raw)), r"graph\.initializer\[0\]\.raw_data")


@pytest.mark.parametrize("name", named({"T25-lone-high-surrogate": b"\\ud800", "T25-lone-low-surrogate": b"\\udc00x"}))
def test_lone_surrogates(name):
    m = text(model([node("Relu", ["x"], ["y"], name="NAME")]))
    refused(m.replace(b"NAME", name), r"graph\.node\[0\]\.name: expected Unicode")
    assert read(m.replace(b"NAME", b"\\ud83d\\ude00")).nodes[0].name == "\U0001f600"


NAMES = {
    "T26-colour": "\x1b[31mred\x1b[0m",
    "T26-title-of-the-terminal": "\x1b]0;title\x07",
    "T26-c1-control": "\x9b31m",
    "T26-newline": "a\nb",
    "T26-line-separator": "a\u2028b",
    "T26-carriage-return": "good\rbad",
    "T26-nul": "a\0b",
    "T26-right-to-left": "\u202eright to left",
    "T26-isolate": "\u2067x",
    "T26-zero-width": "a\u200bb",
    "T26-tag-characters": "a\U000e0041b",
    "T26-class": "__class__",
    "T26-field-of-a-value": "constant",
    "T26-field-of-a-graph": "nodes",
    "T26-path": "../x",
    "T26-quote": "'",
    "T26-double-quote": '"',
    "T26-megabyte": "x" * (1 << 20),
    "T26-braces": "{0}",
    "T26-percent": "%s",
    "T26-markup": "[red]x[/red]",
}


@pytest.mark.parametrize("name", named(NAMES))
def test_names_are_only_names(name):
    relu = node("Relu", ["x"], [name]), node("Relu", [name], ["y"], name=name)
    g = read(model(relu))
    assert g.nodes[0].outputs[0].name == g.nodes[1].name == name
    for m in (
        model([node("Relu", ["x"], ["y"], name=name), relu[0], relu[0]]),
        model(relu[1:]),
        model([node("Relu", ["x"], ["z"])], outputs=[info(name, 1)]),
        model([node("Relu", ["x"], ["y"])], inputs=[info("x", name, name, 3), info("x", 1)]),
        model([node(name, ["x"], ["y"])]),
        model([node("Relu", ["x"], ["y"], domain=name)]),
        with_attribute({"name": name, "f": 1, "type": "FLOAT"}),
    ):
        refused(m, "graph|opset")
    for m in (
        model([node("Relu", ["x"], ["y"])], opset=name),
        model([node("Relu", ["x"], ["y"], **{name: 1})]),
        with_attribute({"name": "alpha", "f": name, "type": "FLOAT"}),
        with_attribute({"name": "alpha", "f": 1, "type": name}),
        with_weight(**{name: 1}),
    ):
        refused(m, "graph|opset|unknown key")


LONG = {
    "T26-mode-of-a-megabyte": ("Resize", {"name": "mode", "s": b64(b"x" * (1 << 20)), "type": "STRING"}),
    "T26-equation-of-50000-terms": ("Einsum", {"name": "equation", "s": b64(b"a," * 50_000), "type": "STRING"}),
    "T26-perm-of-20000": ("Transpose", ints("perm", *range(20_000))),
    "T26-pads-of-20000": ("MaxPool", ints("pads", *[1] * 20_000)),
    "T26-attribute-of-a-megabyte": ("Relu", ints("x" * (1 << 20), 1)),
    "T26-control-characters-in-a-mode": ("Resize", {"name": "mode", "s": b64(b"\x1b[31m\n"), "type": "STRING"}),
}


@pytest.mark.parametrize("op_type, attribute", named(LONG))
def test_values_in_messages(op_type, attribute):
    for source in sources(model([node(op_type, ["x"], ["y"], attribute)])):
        with pytest.raises(ModelError, match=rf"node 'y' \({op_type}\)") as e:
            fastconv.load(source)
        message_of(e.value)


@pytest.mark.filterwarnings("ignore::fastconv.ModelWarning")
@pytest.mark.parametrize("name", named(NAMES))
def test_names_in_what_is_printed(name):
    """Summaries, plans and errors of calls are for a terminal."""
    m = model(
        [node("Relu", ["x"], [name], name=name)],
        inputs=[info("x", name[:100], 2)],
        outputs=[info(name, name[:100], 2)],
        metadata_props=[],
    )
    network = fastconv.load(json.loads(text(m)))
    shown = [str(network.summary({"x": (1, 2)})), str(network.plan({"x": (1, 2)})), str(network.dump()), repr(network)]
    for out in shown:
        bad = {c for c in out if not c.isprintable() and c != "\n"}
        assert not bad
    with pytest.raises(fastconv.InputError) as e:
        network([[["no"]]])
    message_of(e.value)
