"""Weights of bytes as the register tile reads them: every form, zero points, parts, rows that begin elsewhere, short panels."""

import numpy as np
import pytest

from fastconv._pack_int8 import BYTES, TILES, WORDS, are_small, pack

from ..support.rng import generator

RNG = generator(__name__)
FORMS = {"bytes": BYTES, "words": WORDS, "tiles": TILES}
GROUPS, VECTORS, EDGE = 32, 3, 64


def random_rows(kind, OC=10, K=70):
    """The packer's arguments for random weights."""
    src = RNG.integers(0, 256, (OC, K), np.uint8)
    if kind == "columns":  # output channels are the last axis
        src = np.ascontiguousarray(src.T).T
    zero, first, parts = np.zeros(OC, np.int16), np.zeros(OC, np.int32), np.zeros(GROUPS * 4, np.uint8)
    places = RNG.integers(-1, K, GROUPS * 4).astype(np.int32)
    if kind in ("uint8", "zeros"):
        parts = RNG.integers(0, 3, GROUPS * 4).astype(np.uint8)
    if kind == "zeros":
        zero = RNG.integers(0, 256, OC).astype(np.int16)
    if kind == "merged":
        places, first = (places + K // 2).astype(np.int32), (np.arange(OC) % 2 * K).astype(np.int32)
    return src, kind not in ("uint8", "zeros"), zero, first, places, parts


def in_groups(src, signed, zero, first, places, parts):
    """Rows × groups × 4: what each row has in each byte."""
    out = np.zeros((len(src), len(places)), int)
    for row in range(len(src)):
        for i, place in enumerate(places - first[row]):
            if 0 <= place < src.shape[1]:
                w = int(src[row].view(np.int8)[place] if signed else src[row, place]) - int(zero[row])
                for _ in range(parts[i]):
                    w -= min(max(w, -128), 127)
                out[row, i] = min(max(w, -128), 127)
    return out.reshape(len(src), -1, 4)


@pytest.mark.parametrize("V", [4, 8, 16])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["int8", "uint8", "zeros", "merged", "columns"])
def test_pack(kind, form, V):
    rows = random_rows(kind)
    panel = np.zeros((VECTORS * V, GROUPS, 4), int)
    panel[: len(rows[0])] = in_groups(*rows)
    panel = panel.reshape(VECTORS, V, GROUPS, 4).transpose(2, 0, 1, 3)  # group vector lane byte
    dtype = np.int16 if form == "words" else np.int8
    if form == "words":
        panel = np.stack([panel[..., 0::2], panel[..., 1::2]], axis=2)
    elif form == "tiles":
        panel = panel.reshape(-1, 16, VECTORS, V, 4).swapaxes(1, 2)
    expected = panel.astype(dtype).reshape(-1).view(np.int8)
    memory = np.full(expected.size + 2 * EDGE, 85, np.int8)
    pack(*rows, FORMS[form], V, VECTORS, memory[EDGE:-EDGE])
    assert np.array_equal(memory[EDGE:-EDGE], expected)
    assert (memory[:EDGE] == 85).all()
    assert (memory[-EDGE:] == 85).all()


@pytest.mark.parametrize("kind", ["int8", "uint8", "merged"])
def test_pairs_are_small(kind):
    """The pair that is just too large, in any row and group."""
    rows = random_rows(kind)
    src, signed, _, _, places, parts = rows
    src[...], parts[...] = src.astype(np.int8) // 4 if signed else src // 8, 0
    pairs = np.abs(in_groups(*rows)).reshape(len(src), -1, 2).sum(axis=2)
    assert pairs.max() <= 128
    assert are_small(*rows)
    places[6:8] = (0, 1) if kind != "merged" else (70, 71)
    src[7, 0], src[7, 1] = 64, 64
    assert are_small(*rows)
    src[7, 1] = 65
    assert not are_small(*rows)


def test_wrong_sizes_are_refused():
    src, signed, zero, first, places, parts = random_rows("int8")
    dst = np.zeros(GROUPS * 4 * VECTORS * 8, np.int8)
    pack(src, signed, zero, first, places, parts, BYTES, 8, VECTORS, dst)
    for wrong in (
        (src, signed, zero[1:], first, places, parts, BYTES, 8, VECTORS, dst),
        (src, signed, zero, first[1:], places, parts, BYTES, 8, VECTORS, dst),
        (src, signed, zero, first, places[1:], parts[1:], BYTES, 8, VECTORS, dst),
        (src, signed, zero, first, places, parts[4:], BYTES, 8, VECTORS, dst),
        (src, signed, zero, first, places, parts, BYTES, 8, VECTORS, dst[1:]),
        (src, signed, zero, first, places, parts, BYTES, 8, 1, dst),
        (src, signed, zero, first, places[4:], parts[4:], TILES, 8, VECTORS, dst[:-96]),
        (src, signed, zero, first, places, parts, WORDS, 8, VECTORS, dst),
    ):
        with pytest.raises(ValueError, match="expected"):
            pack(*wrong)
