"""A network in integers: exactly the numbers that the numpy reference uses and that the mapper places on a grid."""

from __future__ import annotations

from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.numerics import Arithmetic
from rnn_mapper.cells.arithmetic import CellArithmetic, Node, Operand, Row
from rnn_mapper.cells.stages import Stage, stages_of
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import MappingError
from rnn_mapper.fixed_point import IntArray
from rnn_mapper.network.input_coding import InputCoding
from rnn_mapper.network.network import turned
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.calibration import Choice
from rnn_mapper.summary import Summarised

__all__ = [
    "AccumulatorBound", "Int16Array", "LayerState", "QuantisedLayer", "QuantisedModel", "QuantisedNetwork",
    "QuantisedProduct", "QuantisedSegment", "VectorFormat", "prove_accumulators",
]

Int16Array = npt.NDArray[np.int16]
#: The state of one layer, carried from step to step: the values of each of its states by name, int16 [values] each.
#: The cleared state is all zeros.
LayerState = abc.Mapping[str, Int16Array]


@dataclass(frozen=True, eq=False)
class QuantisedProduct:
    """Matrix-vector products with one operand: acc = bias + weights * operand, then fixed_point.requantise.

    `G` gates of `H` units (a dense layer has one gate, and a unit per output) on `I` operands.
    """

    #: int8 [G, H, I], -127..127.
    weights: npt.NDArray[np.int8]
    #: [G, H], start value of the accumulator: the bias, plus half a unit of the shift for rounding.
    bias: IntArray
    #: [G, H], 0..1023.
    multiplier: IntArray
    #: [G, H], 0..31.
    shift: IntArray
    #: [G, H], real value of one weight code.
    row_scale: FloatArray

    @classmethod
    def nothing(cls, gates: int, units: int, size: int = 0) -> QuantisedProduct:
        """A product with zero weights, or without an operand: all sums are zero."""
        none = np.zeros((gates, units), dtype=np.int64)
        return cls(np.zeros((gates, units, size), np.int8), none, none, none, none.astype(float))

    @classmethod
    def stacked(cls, products: list[QuantisedProduct]) -> QuantisedProduct:
        """The gates of all products, which have the same units and operands."""
        return cls(*(
            np.concatenate([getattr(product, name) for product in products])
            for name in ("weights", "bias", "multiplier", "shift", "row_scale")
        ))

    def units(self, first: int, count: int) -> QuantisedProduct:
        """The product of `count` units, starting at `first`."""
        part = slice(first, first + count)
        return QuantisedProduct(
            self.weights[:, part], self.bias[:, part], self.multiplier[:, part], self.shift[:, part],
            self.row_scale[:, part],
        )

    def gate(self, index: int) -> QuantisedProduct:
        """The product of one gate."""
        part = slice(index, index + 1)
        return QuantisedProduct(
            self.weights[part], self.bias[part], self.multiplier[part], self.shift[part], self.row_scale[part]
        )

    def accumulator_bound(self, operand_limit: int) -> IntArray:
        """[G, H], the largest magnitude the accumulator can reach at any point of the sum, whatever the operands."""
        return np.abs(self.weights.astype(np.int64)).sum(axis=2) * operand_limit + np.abs(self.bias)


@dataclass(frozen=True)
class VectorFormat:
    """The formats of a vector that a layer computes."""

    #: Fraction bits of the 16-bit values; negative if the values exceed 16-bit integers.
    fraction: int
    #: The operand is satN(round(value, shift)), where N is the arithmetic's operand_bits. The shift is 1..8 for 8-bit
    #: operands and 0 for 16-bit operands; None for a vector that no matrix multiplies.
    shift: int | None

    @property
    def scale(self) -> float:
        """Real value of one 16-bit code."""
        return 2.0**-self.fraction

    @property
    def operand_scale(self) -> float:
        """Real value of one operand code, or of one 16-bit code if no matrix multiplies the vector."""
        return 2.0 ** ((self.shift or 0) - self.fraction)


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedLayer(Summarised):
    """One layer in integers."""

    arithmetic: CellArithmetic
    input_size: int
    output_size: int
    state_sizes: abc.Mapping[str, int]
    #: By the name of each operand: its products, gates in the order of `CellArithmetic.rows_of`. The product with a
    #: row's first operand has the bias of the row.
    products: abc.Mapping[str, QuantisedProduct]
    #: int16 [units], Q0.15, for each parameter that is a factor.
    fixed: abc.Mapping[str, IntArray]
    #: Real value of one code of the input operand.
    input_scale: float
    #: Formats of each vector that the layer computes.
    formats: abc.Mapping[Node, VectorFormat]

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {"sizes": f"{self.input_size} -> {self.output_size}", "products": ", ".join(self.products)}

    @property
    def cell(self) -> Cell:
        """The kind of cell."""
        return self.arithmetic.cell

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of the cell."""
        return stages_of(self.arithmetic)

    @property
    def response_stages(self) -> tuple[Stage, ...]:
        """The stages in which everything that does not depend on the input is computed before it comes. Raises
        `CellError` for a cell whose sums do not allow it."""
        return stages_of(self.arithmetic, input_last=True)

    @property
    def hidden_size(self) -> int:
        """Number of output values."""
        return self.output_size

    @property
    def output_format(self) -> VectorFormat:
        """Format of the output."""
        return self.formats[self.arithmetic.output]

    @property
    def output_fraction(self) -> int:
        """Fraction bits of the 16-bit output."""
        return self.output_format.fraction

    @property
    def output_scale(self) -> float:
        """Real value of one code of the 16-bit output."""
        return self.output_format.scale

    @property
    def feedback_shift(self) -> int | None:
        """Shift of the output, see `VectorFormat.shift`."""
        return self.output_format.shift

    @property
    def feedback_scale(self) -> float:
        """Real value of one operand code of the output."""
        return self.output_format.operand_scale

    def product(self, row: Row, operand: Operand) -> QuantisedProduct | None:
        """The product of one row with one operand, or None if the row does not use the operand."""
        rows = self.arithmetic.rows_of(operand)
        return self.products[operand.name].gate(rows.index(row)) if row in rows else None

    def state_format(self, name: str) -> VectorFormat:
        """Format of a state; the shift is None if no matrix multiplies the state."""
        node = self.arithmetic.states[name]
        return self.formats.get(node, VectorFormat(node.fraction, None))

    def units(self, stage: Stage) -> int:
        """Number of units of a stage."""
        return int(self.products[stage.all_rows[0].products[0].operand.name].weights.shape[1])


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedNetwork(Summarised):
    """Layers that run step by step in one direction, with the arithmetic of the grid that they are made for."""

    layers: tuple[QuantisedLayer, ...]
    head: QuantisedLayer | None
    #: The arithmetic of the integers. The biases are scaled for its accumulator, which is proven wide enough.
    arithmetic: Arithmetic
    #: How the scales were chosen.
    choice: Choice = field(default_factory=Choice)
    #: What the host does with the inputs before it codes them as integers.
    coding: InputCoding | None = None

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        sizes = " -> ".join(str(size) for size in (self.input_size, *(layer.output_size for layer in self.all_layers)))
        return {
            "sizes": sizes, "operands": f"{self.arithmetic.operand_bits} bits",
            "accumulators": f"{self.arithmetic.accumulator_bits} bits", "scales": self.choice.reason,
        }

    @property
    def all_layers(self) -> tuple[QuantisedLayer, ...]:
        """The layers, and the head if there is one."""
        return self.layers if self.head is None else (*self.layers, self.head)

    @property
    def input_size(self) -> int:
        """Features per input step."""
        return self.layers[0].input_size

    @property
    def input_scale(self) -> float:
        """Real value of one input code."""
        return self.layers[0].input_scale

    @property
    def output_size(self) -> int:
        """Values per output step."""
        return self.all_layers[-1].output_size

    @property
    def output_scale(self) -> float:
        """Real value of one 16-bit output code."""
        return self.all_layers[-1].output_scale

    def layer_name(self, index: int) -> str:
        """``layer 0``, ..., ``head``."""
        return f"layer {index}" if index < len(self.layers) else "head"

    @property
    def segments(self) -> tuple[QuantisedSegment, ...]:
        """The network as the only segment: code that takes a `QuantisedModel` takes a single network, too."""
        names = tuple(self.layer_name(index) for index in range(len(self.all_layers)))
        return (QuantisedSegment("network", (self,), (names,)),)

    def products(self) -> dict[str, QuantisedProduct]:
        """Every product by name: ``layer 0 x``, ``layer 0 h``, ..., ``head x``."""
        return {
            f"{self.layer_name(index)} {operand}": product
            for index, layer in enumerate(self.all_layers) for operand, product in layer.products.items()
        }


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedSegment(Summarised):
    """A segment in integers: one network, or the forward and the backward half of a layer."""

    name: str
    members: tuple[QuantisedNetwork, ...]
    #: Like `layer_names` of `rnn_mapper.network.network.Segment`.
    layer_names: tuple[tuple[str, ...], ...]
    merge: str | None = None
    backward: tuple[bool, ...] = (False,)

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {"name": self.name, **self.members[0].summary, "networks": str(len(self.members))}

    @property
    def output_scale(self) -> float:
        """Real value of one code of the merged output: the finer of both halves' scales."""
        return min(member.output_scale for member in self.members)

    def merged(self, outputs: Sequence[IntArray | Int16Array]) -> npt.NDArray[np.signedinteger[Any]]:
        """The merged output [steps, output_size] in units of `output_scale`, from grid outputs in running order."""
        aligned = [
            turned(values, backward) if self.merge is None
            else turned(values, backward).astype(np.int64) * round(member.output_scale / self.output_scale)
            for backward, member, values in zip(self.backward, self.members, outputs, strict=True)
        ]
        return aligned[0] + aligned[1] if self.merge == "sum" else np.concatenate(aligned, axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedModel(Summarised):
    """Any network in integers: segments that run one after the other, each over the whole sequence."""

    segments: tuple[QuantisedSegment, ...]

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {"segments": ", ".join(segment.name for segment in self.segments), **self.segments[0].members[0].summary}

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return self.segments[-1].output_scale


@dataclass(frozen=True)
class AccumulatorBound:
    """The proof for one product: no values of the operand can overflow its accumulator."""

    #: Name of the product, as in QuantisedNetwork.products.
    product: str
    #: Largest magnitude over all rows, in accumulator units.
    worst: int
    #: Gate and unit of the row that reaches it.
    gate: int
    unit: int
    #: Width of the two's complement numbers that hold plus and minus `worst`.
    bits: int
    #: Accumulator bits beyond `bits`.
    margin: int


def prove_accumulators(network: QuantisedNetwork) -> tuple[AccumulatorBound, ...]:
    """The worst case of every product: sum |w| * operand limit + |bias|, below 2^(accumulator_bits - 1).

    All partial sums have the same bound, whatever their order or split. Raises MappingError naming the product and row.
    """
    bounds = []
    available, limit = network.arithmetic.accumulator_bits, network.arithmetic.operand_limit
    for name, product in network.products().items():
        bound = product.accumulator_bound(limit)
        gate, unit = (int(i) for i in np.unravel_index(int(bound.argmax()), bound.shape))
        worst = int(bound[gate, unit])
        bits = worst.bit_length() + 1
        if bits > available:
            raise MappingError(
                f"{name}, gate {gate}, unit {unit}: the accumulator can reach {worst}, "
                f"which needs {bits} bits; the grid has {available}"
            )
        bounds.append(AccumulatorBound(name, worst, gate, unit, bits, available - bits))
    return tuple(bounds)
