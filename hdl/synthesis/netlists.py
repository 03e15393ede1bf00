"""Contents of a module before technology mapping: arithmetic operators, sub-modules and memories."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

#: Operators that count as multipliers or adders, with their symbols in Verilog.
OPERATORS = {"$mul": "*", "$add": "+", "$sub": "-"}
MULTIPLIERS = ("$mul",)


@dataclass(frozen=True, order=True)
class Operator:
    """An arithmetic operator; equal operators have the same hardware.

    The operands are lists of bits, least significant first: "0", "1", or the number of an independent input bit.
    """

    kind: str
    signed: bool
    a: tuple[str, ...]
    b: tuple[str, ...]
    width: int

    def verilog(self, name: str) -> str:
        """Return a module `name` with this operator alone."""
        inputs = 1 + max((int(bit[1:]) for bit in self.a + self.b if bit.startswith("i")), default=0)

        def operand(bits: tuple[str, ...]) -> str:
            words = [f"i[{bit[1:]}]" if bit.startswith("i") else f"1'b{bit}" for bit in reversed(bits)]
            return "{" + ", ".join(words) + "}"

        sign = "signed " if self.signed else ""
        return (
            f"module {name}(input [{inputs - 1}:0] i, output [{self.width - 1}:0] y);\n"
            f"wire {sign}[{len(self.a) - 1}:0] a = {operand(self.a)};\n"
            f"wire {sign}[{len(self.b) - 1}:0] b = {operand(self.b)};\n"
            f"assign y = a {OPERATORS[self.kind]} b;\nendmodule\n"
        )


@dataclass(frozen=True, order=True)
class MemoryShape:
    """Parameters of a memory on which its hardware depends."""

    width: int
    depth: int
    address_bits: int
    slice: int
    slice_bits: int

    @property
    def bits(self) -> int:
        """Bits stored."""
        return self.width * self.depth

    @property
    def name(self) -> str:
        """Name in reports: words and bits of a word."""
        return f"srnn_memory_{self.depth}x{self.width}"


@dataclass
class Contents:
    """Operators, memories and sub-modules that one module instantiates itself, with their numbers."""

    operators: Counter[Operator] = field(default_factory=Counter)
    memories: Counter[MemoryShape] = field(default_factory=Counter)
    children: Counter[str] = field(default_factory=Counter)


def _operator(cell: dict) -> Operator:
    numbers: dict[int, str] = {}

    def pattern(bits: list[int | str]) -> tuple[str, ...]:
        named = []
        for bit in bits:
            if isinstance(bit, str):
                named.append("1" if bit == "1" else "0")
            else:
                named.append(numbers.setdefault(bit, f"i{len(numbers)}"))
        return tuple(named)

    a, b = pattern(cell["connections"]["A"]), pattern(cell["connections"]["B"])
    signed = int(cell["parameters"]["A_SIGNED"], 2) == 1
    return Operator(cell["type"], signed, a, b, len(cell["connections"]["Y"]))


def _memory(cell: dict, defaults: dict) -> MemoryShape:
    given = {**defaults, **cell["parameters"]}
    names = ("WIDTH", "DEPTH", "ADDRESS_BITS", "SLICE", "SLICE_BITS")
    return MemoryShape(*(int(str(given[name]), 2) for name in names))


def read_contents(netlist: Path, top: str, boxes: set[str], memory: str) -> Contents:
    """Read module `top` of a netlist that `write_json` wrote; `boxes` are its possible sub-modules."""
    modules = json.loads(netlist.read_text())["modules"]
    contents = Contents()
    for cell in modules[top]["cells"].values():
        kind = cell["type"]
        if kind == memory:
            contents.memories[_memory(cell, modules[memory].get("parameter_default_values", {}))] += 1
        elif kind in boxes:
            contents.children[kind] += 1
        elif kind in OPERATORS:
            contents.operators[_operator(cell)] += 1
    return contents
