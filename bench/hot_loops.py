"""Shows the machine code of the inner loops without running it: no machine with the instruction set is needed.

    python bench/hot_loops.py                                   every kernel that was built
    python bench/hot_loops.py fastconv/kernels --mca haswell    some modules or folders; with the cycles that llvm-mca expects
    python bench/hot_loops.py --faults                          faults only: exit code 1 if there are any

A hot loop is a loop with multiply-adds in which no other loop has any. For each the tool lists the multiply-adds (of bytes: the
instructions that multiply them), the width of their registers, the spills (vectors moved to or from the stack), the stores and
the copies (from register to register). A loop that loads a sum, adds to it and stores it again keeps its sums in memory: the
compiler did not unroll the loop over them.

With `--mca` each loop gets the cycles that the ports need for its multiply-adds alone, as percent of the loop's, as llvm-mca
models the CPU: operands in L1, no mispredicted branch. The tool needs objdump (binutils), and for `--mca` llvm-mca (Debian:
llvm). Modules of another architecture need its own objdump: `--objdump aarch64-linux-gnu-objdump --mca neoverse-n1`.
"""

import argparse
import importlib.util
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastconv import kernels
from fastconv.kernels.isas import kernel_and_isa, lineage, module_name


class Tiles(NamedTuple):
    """The largest register tiles of an instruction set."""

    width: int  # bytes of a vector
    rows: tuple[int, int, int]  # pixels of a tile whose panel is one, two and three blocks (`rows` of pyx/tile.pxd)
    pixels: int  # of a depthwise tile
    sequences: int  # of a recurrent tile


TILES = {
    "baseline": Tiles(16, (12, 6, 3), 6, 2),
    "avx2": Tiles(32, (12, 6, 4), 8, 2),
    "avx512": Tiles(64, (14, 14, 9), 14, 6),
    "neon": Tiles(16, (14, 14, 9), 14, 6),
}
#: the instructions that multiply bytes on the register tile of conv_int8, and how many of them a product of a group takes; for
#: "vpmaddubsw", a vpmaddwd is the second
DOTS = {
    "baseline": {"pmaddwd": 2},
    "avx2": {"vpmaddwd": 2, "vpmaddubsw": 2},
    "avxvnni": {"vpdpbusd": 1},
    "avx512": {"vpmaddwd": 2, "vpmaddubsw": 2},
    "avx512vnni": {"vpdpbusd": 1},
    "amx": {"vpdpbusd": 1},
    "neon-dotprod": {"sdot": 1},
}
#: groups of a segment, and bytes of a block of channels, see pyx/tile_int8.pxd
GROUPS, BLOCK = 4, 64
#: products of AMX's tiles for a segment: of one or two units and vectors, see pyx/tile_amx.pxd
TILE_PRODUCTS = (1, 2, 4)
#: the copies of a loop with products on so many sums that are not worth a change, as they run beside the products: of products
#: in one instruction, and of those in several
MANY_SUMS, MOST_COPIES, MOST_COPIES_OF_WORDS = 26, 9, 16
#: sums of bytes that stay in memory in a loop of so many others: a load and a store beside a hundred products
MOST_IN_MEMORY = 3
#: the most pixels of a tile whose products of bytes take several instructions, see pyx/tile_int8.pxd
WORD_ROWS = 12
#: taps of the kernel rows that have a depthwise tile of their own
KERNEL_WIDTHS = (1, 3, 5)
#: of an RNN, a GRU and an LSTM
GATES = (1, 3, 4)
#: the kernels that sum products on the register tile
TILED = ("conv_direct", "conv_im2col", "conv_winograd", "gemm")

ITERATIONS = 200

#: products of bytes; those with a sum
DOT = r"vpdpbusd|v?pmaddwd|v?pmaddubsw|tdpbusd|sdot"
SUMMED_DOT = re.compile(r"vpdpbusd|tdpbusd|sdot")
#: of floats only: Winograd's weights are transformed in doubles, once
MULTIPLY_ADD = re.compile(rf"(vfn?m(?:add|sub)(?P<form>132|213|231)ps|mulps|(?P<dot>{DOT})) .*|fml[as] v\d+\.4s.*")
ADD = re.compile(r"addps|v?paddd")
BRANCH = re.compile(r"j\w+|b(?:\.\w+)?|cbn?z|tbn?z")
X86_MOVE = re.compile(r"v?mov[ua]p[sd]|vmovdq[ua]\d*|v?movdq[ua]")
ARM_MOVE = re.compile(r"(?P<way>ld|st)(?:p|r|ur|1)")
X86_VECTOR = re.compile(r"%([txyz])mm\d+")
ARM_VECTOR = re.compile(r"[vq]\d+")
BYTES = {"x": 16, "y": 32, "z": 64, "t": 64}
#: operands are split at the commas outside of addresses
COMMA = re.compile(r",\s*(?![^(\[{]*[)\]}])")


class Instruction(NamedTuple):
    address: int
    name: str
    operands: list[str]

    @property
    def text(self) -> str:
        return f"{self.name} {', '.join(self.operands)}"


@dataclass(frozen=True)
class Loop:
    """A hot loop: `width` is that of its multiply-adds' registers, in bytes; `in_memory` counts sums that stay in memory."""

    code: list[Instruction]
    multiply_adds: int
    width: int
    spills: int
    stores: int
    in_memory: int
    copies: int = 0
    #: what multiplies
    instruction: str = "multiply-adds"

    def __str__(self) -> str:
        memory = f", {self.in_memory} sums in memory" if self.in_memory else ""
        moves = f"{self.spills} spills, {self.stores} stores, {self.copies} copies"
        return f"{self.multiply_adds} {self.instruction} of {self.width} bytes, {moves}{memory}"


def disassemble(module: Path, objdump: str = "objdump") -> list[Instruction]:
    """The code of a compiled module, x86 in AT&T's syntax."""
    command = [objdump, "-d", "--no-show-raw-insn", str(module)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout.replace("{vex} ", "")
    lines = (re.fullmatch(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line) for line in text.splitlines())
    return [
        Instruction(int(m[1], 16), m[2], COMMA.split(re.sub(r"\s*(<.*|#.*|//.*)", "", m[3]))) for m in lines if m is not None
    ]


def hot_loops(code: list[Instruction]) -> Iterator[Loop]:
    """The loops with multiply-adds in which no other loop has any."""
    index = {i.address: n for n, i in enumerate(code)}
    sums = [0]
    for i in code:
        sums.append(sums[-1] + bool(MULTIPLY_ADD.fullmatch(i.text)))
    spans = []
    for n, i in enumerate(code):
        if BRANCH.fullmatch(i.name) and re.fullmatch(r"(0x)?[0-9a-f]+", i.operands[-1]):
            first = index.get(int(i.operands[-1], 16), n + 1)
            if first <= n and sums[n + 1] > sums[first]:
                spans.append((first, n))
    # by their ends, the shortest first: a loop that holds another holds one of those that came just before it
    spans.sort(key=lambda s: (s[1], -s[0]))
    last = -1
    for first, end in spans:
        if first > last:
            yield _loop(code[first : end + 1], _frame(code, first))
            last = first


def _frame(code: list[Instruction], first: int) -> str:
    """A pattern of the registers that point into the stack in front of an instruction."""
    for i in reversed(code[max(first - 5000, 0) : first]):
        if i.operands[-1] == "%rbp":
            return r"\(%r[sb]p" if i.operands[0] == "%rsp" else r"\(%rsp"
    return r"\(%rsp|\[sp"


def _loop(code: list[Instruction], frame: str) -> Loop:
    spills = stores = in_memory = width = copies = 0
    products: Counter[str] = Counter()
    places = Places()
    loaded: dict[str, Place] = {}  # vector register -> the place that it was loaded from
    summed: dict[str, Place] = {}  # vector register -> the place of the sum that it was loaded with, and a product added to
    multiplied: set[str] = set()  # vector registers that hold a product, for instruction sets without multiply-add
    for instruction in code:
        _, name, operands = instruction
        m = MULTIPLY_ADD.fullmatch(instruction.text)
        places.before(operands)
        move = _move(name, operands)
        if move is not None:
            load, register, address = move
            place = places.find(address)
            spills += bool(re.search(frame, address))
            stores += not load
            in_memory += not load and summed.get(register) == place
            summed.pop(register, None)
            if load:
                loaded[register] = place
        else:
            copies += _is_copy(name, operands)
            if m is not None:
                products[m["dot"] or "multiply-adds"] += 1
                width = max(width, *(_width(o) for o in operands))
            target = _target(operands)
            if target is not None:
                addend = _addend(name, m, operands, multiplied)
                place = places.find(addend) if "(" in addend else loaded.get(addend) or summed.get(addend)
                loaded.pop(target, None)
                summed.pop(target, None)
                of_products = ADD.fullmatch(name) and multiplied.issuperset(operands)
                multiplied.discard(target)
                if of_products or (m is not None and _is_product(name, m)):
                    multiplied.add(target)
                if place is not None:
                    summed[target] = place
        places.after(name, operands)
    instruction = next((name for name in products if name.endswith("ubsw")), max(products, key=products.__getitem__))
    return Loop(code, products.total(), width, spills, stores, in_memory, copies, instruction)


def _is_copy(name: str, operands: list[str]) -> bool:
    """Whether an instruction moves a vector from register to register."""
    if X86_MOVE.fullmatch(name):
        return all(X86_VECTOR.fullmatch(o) for o in operands)
    return name == "mov" and all(re.fullmatch(r"v\d+\.16b", o) for o in operands)


def _is_product(name: str, m: re.Match[str]) -> bool:
    """Whether an instruction multiplies and does not add to a sum."""
    return name == "mulps" or (m["dot"] is not None and not SUMMED_DOT.fullmatch(name))


#: an address: its text without the constant, the times that its registers were written, and the constant
Place = tuple[str, tuple[int, ...], int]


class Places:
    """What addresses mean while a loop runs: a register that has moved by a constant still points to the same array."""

    def __init__(self) -> None:
        self.written: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()

    def find(self, address: str) -> Place:
        registers = re.findall(r"%\w+|\b[xw]\d+\b|\bsp\b", address)
        constant = re.match(r"-?0x[0-9a-f]+", address) or re.search(r"#(-?(?:0x)?[0-9a-f]+)", address)
        at = int(constant[0].lstrip("#"), 0) if constant else 0
        text = address.replace(constant[0], "") if constant else address
        scale = re.search(r",([248])\)", address)
        for n, r in enumerate(registers):
            at += self.moved[r] * (int(scale[1]) if n == 1 and scale else 1)
        return text, tuple(self.written[r] for r in registers), at

    def before(self, operands: list[str]) -> None:
        """Note the register that arm64's `ldr q0, [x1, #16]!` moves first."""
        m = re.fullmatch(r"\[(\w+), #(-?\w+)\]!", operands[-1])
        if m is not None:
            self.moved[m[1]] += int(m[2], 0)
            operands[-1] = f"[{m[1]}]"

    def after(self, name: str, operands: list[str]) -> None:
        """Note the register that an instruction has written."""
        if re.fullmatch(r"\[\w+\]", operands[-2] if len(operands) > 1 else "") and operands[-1].startswith("#"):
            self.moved[operands[-2][1:-1]] += int(operands[-1][1:], 0)
        elif operands[-1].startswith("%") and not X86_VECTOR.fullmatch(operands[-1]) and not name.startswith(("cmp", "test")):
            if name in ("add", "sub") and operands[0].startswith("$"):
                self.moved[operands[-1]] += int(operands[0][1:], 0) * (1 if name == "add" else -1)
            else:
                self.written[operands[-1]] += 1
        elif re.fullmatch(r"[xw]\d+", operands[0]) and not name.startswith(("cmp", "st", "cb", "tb")):
            if name in ("add", "sub") and operands[1] == operands[0] and operands[2].startswith("#"):
                self.moved[operands[0]] += int(operands[2][1:], 0) * (1 if name == "add" else -1)
            else:
                self.written[operands[0]] += 1


def _move(name: str, operands: list[str]) -> tuple[bool, str, str] | None:
    """(whether it is a load, the register, the address) of an instruction that moves a vector."""
    if X86_MOVE.fullmatch(name) and len(operands) == 2:
        source, target = operands
        if "(" in source:
            return True, target, source
        return (False, source, target) if "(" in target else None
    m = ARM_MOVE.fullmatch(name)
    if m is not None and operands[0].startswith(("q", "{v")):
        return m["way"] == "ld", _register(operands[0]), next(o for o in operands if o.startswith("["))
    return None


def _register(operand: str) -> str:
    """The name of an arm64 vector register, whatever it is called for its elements."""
    m = ARM_VECTOR.search(operand)
    return f"v{m[0][1:]}" if m is not None else operand


def _target(operands: list[str]) -> str | None:
    if X86_VECTOR.fullmatch(operands[-1]):
        return operands[-1]
    return _register(operands[0]) if ARM_VECTOR.match(operands[0]) else None


def _addend(name: str, multiply_add: re.Match[str] | None, operands: list[str], multiplied: set[str]) -> str:
    """The operand that a product is added to, an address or a register; none in other instructions."""
    if ADD.fullmatch(name):
        sums = [o for o in operands[:2] if o not in multiplied]
        return sums[0] if len(sums) == 1 else ""
    if multiply_add is None or _is_product(name, multiply_add):
        return ""
    if name.startswith("fml") or name == "sdot":
        return _register(operands[0])
    if SUMMED_DOT.fullmatch(name):
        return operands[2]
    return operands[{"231": 2, "213": 0, "132": 1}[multiply_add["form"]]]


def _width(operand: str) -> int:
    m = X86_VECTOR.fullmatch(operand)
    if m is not None:
        return BYTES[m[1]]
    return 16 if re.fullmatch(r"v\d+\.4s", operand) else 0


def share_of_peak(loop: Loop, cpu: str) -> float:
    """The cycles that the ports of a CPU need for the multiply-adds alone over those of the loop, as llvm-mca models it.

    NaN where it does not know an instruction or the CPU.
    """
    code = [i for i in loop.code if not BRANCH.fullmatch(i.name)]
    sums = [i for i in code if MULTIPLY_ADD.fullmatch(i.text) or ADD.fullmatch(i.name)]
    return _modelled("Block RThroughput", sums, cpu) / (_modelled("Total Cycles", code, cpu) / ITERATIONS)


def _modelled(figure: str, code: list[Instruction], cpu: str) -> float:
    text = "\n".join(i.text for i in code)
    triple = "x86_64" if "%" in text else "aarch64"
    command = ["llvm-mca", f"-mtriple={triple}", f"-mcpu={cpu}", f"-iterations={ITERATIONS}", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    found = re.search(rf"{figure}:\s+([\d.]+)", done.stdout)
    return float(found[1]) if found is not None else math.nan


def products(kernel: str, tiles: Tiles) -> set[int]:
    """The multiply-adds of each tile that a kernel can choose, for one channel or the taps of one kernel row."""
    if kernel == "conv_depthwise":
        return {r * k for r in range(1, tiles.pixels + 1) for k in KERNEL_WIDTHS}
    if kernel == "recurrent":
        return {r * gates for r in range(1, tiles.sequences + 1) for gates in GATES}
    if kernel in TILED:
        return {r * width for width, most in enumerate(tiles.rows, 1) for r in range(1, most + 1)}
    return set()


def products_of_bytes(isa: str, tiles: Tiles) -> set[tuple[str, int]]:
    """(instruction, how many) of each tile of conv_int8, for a segment. Tiles of narrow vectors have two of them."""
    widths = (1, 2, 3) if tiles.width == BLOCK else (2,)
    found = set()
    for name, each in DOTS.get(isa, {}).items():
        for width in widths:
            most = min(tiles.rows[width - 1], WORD_ROWS) if each > 1 else tiles.rows[width - 1]
            found |= {(name, r * width * GROUPS * each) for r in range(1, most + 1)}
    return found | {("tdpbusd", n) for n in TILE_PRODUCTS if isa == "amx"}


def tiles_of(isa: str) -> Tiles | None:
    """The tiles of an instruction set: its own or its parent's; None for the lowered ones."""
    return next((TILES[name] for name in lineage(isa) if name in TILES), None)


def faults(kernel: str, isa: str, loops: Iterable[Loop]) -> list[str]:
    """The faults of a kernel's hot loops: a tile has none, or its sums do not stay in registers."""
    tiles, loops = tiles_of(isa), list(loops)
    if tiles is None:
        return []
    of_bytes = [x for x in loops if x.instruction != "multiply-adds"]
    clean = [x for x in loops if x.width == tiles.width and not x.spills and not x.in_memory]
    clean += [x for x in of_bytes if x.width == tiles.width and x not in clean and x.in_memory <= MOST_IN_MEMORY]
    wanted = {("multiply-adds", n) for n in products(kernel, tiles)}
    if kernel == "conv_int8":
        wanted = products_of_bytes(isa, tiles)
    made = {(x.instruction, x.multiply_adds) for x in clean}
    missing = [(name, n) for name, n in sorted(wanted) if not any(by == name and m % n == 0 for by, m in made)]
    many = MANY_SUMS * GROUPS
    return [
        *(f"no loop has {n} {name} of {tiles.width} bytes without a spill" for name, n in missing),
        *(f"a loop has {x}" for x in loops if x.in_memory and x not in of_bytes),
        *(f"a loop has {x}" for x in of_bytes if x.in_memory > MOST_IN_MEMORY and x.multiply_adds >= many),
        *(
            f"a loop has {x}"
            for x in of_bytes
            if kernel == "conv_int8" and x.multiply_adds >= many and x.copies > most_copies(x)
        ),
    ]


def most_copies(loop: Loop) -> int:
    """The copies of a large loop of bytes that are no fault."""
    return MOST_COPIES if SUMMED_DOT.match(loop.instruction) else MOST_COPIES_OF_WORDS


def built(kernel: str, isa: str) -> Path | None:
    """The module of a kernel for an instruction set, where it was built; it is not imported."""
    spec = importlib.util.find_spec(module_name(kernel, isa))
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, help="modules, or folders of them; default: fastconv's kernels")
    parser.add_argument("--mca", metavar="CPU", help="a CPU of llvm-mca: skylake-avx512, znver3, neoverse-n1 …")
    parser.add_argument("--objdump", default="objdump", help="default: %(default)s")
    parser.add_argument("--faults", action="store_true", help="tiles whose sums do not stay in registers, and nothing else")
    args = parser.parse_args()
    paths = args.paths or [Path(kernels.__file__).parent]
    modules = sorted(m for p in paths for m in ([p] if p.is_file() else p.rglob("*.so")))
    if args.faults:
        found = [
            f"{kernel} for {isa}: {fault}"
            for module in modules
            for kernel, isa in filter(None, [kernel_and_isa(module.name.split(".")[0])])
            for fault in faults(kernel, isa, hot_loops(disassemble(module, args.objdump)))
        ]
        print("\n".join(found) or "no faults")
        return bool(found)
    for module in modules:
        lines: Counter[str] = Counter()
        for loop in hot_loops(disassemble(module, args.objdump)):
            share = f", {share_of_peak(loop, args.mca):4.0%} of peak by {args.mca}'s model" if args.mca else ""
            lines[f"{loop}{share}"] += 1
        for what, n in sorted(lines.items(), key=lambda item: int(item[0].split()[0])):
            print(f"{module.name.split('.')[0]:24} {n:3} x {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
