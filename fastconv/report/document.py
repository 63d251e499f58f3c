"""What the page shows: a document of plain values. Its TypeScript twin is web/src/document.ts, field by field."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture as a data: URI, its size in pixels on the page, and what it shows."""

    source: str
    width: int
    height: int
    text: str


@dataclass(frozen=True)
class AnswerPart:
    """What the network says about the input: lines of text, and pictures."""

    preprocessing: str
    lines: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class ErrorPart:
    """A layer's largest and RMS error against its reference in float64, and the largest magnitude of its output."""

    #: None if it is infinite
    max: float | None
    rms: float | None
    largest: float
    #: whether it is more than rounding explains
    departs: bool


@dataclass(frozen=True)
class LayerPart:
    """All about one layer. What is not known is None, or empty."""

    name: str
    operator: str
    implementation: str
    #: why it runs by reference
    reason: str
    input: str
    output: str
    #: names and values of its sizes, in the order in which the page lists them
    facts: tuple[tuple[str, str], ...]
    #: the textbook's arithmetic, a line each
    explanation: tuple[str, ...]
    #: (implementation, reason)
    refusals: tuple[tuple[str, str], ...]
    ms: float
    share: float
    flops: int
    #: bytes that it must move
    bytes: int
    #: the share of the machine's peak or bandwidth, in words
    limit: str
    error: ErrorPart | None
    maps: Picture | None


@dataclass(frozen=True)
class Totals:
    """What all layers have together, for one run."""

    ms: float
    parameters: int
    multiply_adds: int
    flops: int


@dataclass(frozen=True)
class PeakPart:
    """What this machine can do: GFLOP/s, and GB/s from memory."""

    gflops: float
    gbytes: float


@dataclass(frozen=True)
class TenantPart:
    """A buffer in the arena: at `offset`, from the layer `first` to the layer `last`, both included."""

    name: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Memory:
    """The arena and what lies in it."""

    bytes: int
    tenants: tuple[TenantPart, ...]


@dataclass(frozen=True)
class Document:
    """The whole page. A section whose part is None, or missing in every layer, is left out."""

    fastconv: str
    name: str
    #: one line on the run: the machine, the threads, the number of runs
    run: str
    totals: Totals
    answer: AnswerPart | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[LayerPart, ...]
    #: from node to node by number: the layers first, then the inputs, then the outputs
    edges: tuple[tuple[int, int], ...]
    peak: PeakPart
    memory: Memory | None
    #: what the page leaves out and why, a paragraph each
    notes: tuple[str, ...]


__all__ = ["AnswerPart", "Document", "ErrorPart", "LayerPart", "Memory", "PeakPart", "Picture", "TenantPart", "Totals"]
