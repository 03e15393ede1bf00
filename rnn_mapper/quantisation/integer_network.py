"""A network in integers: exactly what the numpy reference computes with and what the mapper places on a grid."""

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
from rnn_mapper.network.network import turned
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.calibration import Choice

__all__ = [
    "AccumulatorBound", "Int16Array", "LayerState", "QuantisedLayer", "QuantisedModel", "QuantisedNetwork",
    "QuantisedProduct", "QuantisedSegment", "VectorFormat", "prove_accumulators",
]

Int16Array = npt.NDArray[np.int16]
#: What one layer carries from step to step, by the names of its states, int16 [values] each; zeros are the cleared
#: state.
LayerState = abc.Mapping[str, Int16Array]


@dataclass(frozen=True, eq=False)
class QuantisedProduct:
    """Matrix-vector products with one operand: acc = bias + weights * operand, then fixed_point.requantise.

    `G` gates of `H` units (a dense layer: one gate, a unit per output) on `I` operands.
    """

    #: int8 [G, H, I], -127..127.
    weights: npt.NDArray[np.int8]
    #: [G, H], where the accumulator starts: the bias, and half of the unit that the shift drops.
    bias: IntArray
    #: [G, H], 0..1023.
    multiplier: IntArray
    #: [G, H], 0..31.
    shift: IntArray
    #: [G, H], real value of one weight code.
    row_scale: FloatArray

    @classmethod
    def nothing(cls, gates: int, units: int, size: int = 0) -> QuantisedProduct:
        """A product with weights of zero, or with no operand: all sums are zero."""
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
        """The product of `count` units from `first` on."""
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
    """Formats of a vector that a layer makes."""

    #: Fraction bits of the 16-bit values; negative for values beyond 16 bits.
    fraction: int
    #: The operand is satN(round(value, shift)), N the arithmetic's operand_bits: 1..8 for 8 bits, 0 for 16; None for a
    #: vector that nothing multiplies.
    shift: int | None

    @property
    def scale(self) -> float:
        """Real value of one 16-bit code."""
        return 2.0**-self.fraction

    @property
    def operand_scale(self) -> float:
        """Real value of one operand code; that of one 16-bit code if nothing multiplies the vector."""
        return 2.0 ** ((self.shift or 0) - self.fraction)


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """One layer."""

    arithmetic: CellArithmetic
    input_size: int
    output_size: int
    state_sizes: abc.Mapping[str, int]
    #: For each operand by its name, the products with it; gates in the order of `CellArithmetic.rows_of`. The product
    #: with a row's first operand carries its bias.
    products: abc.Mapping[str, QuantisedProduct]
    #: int16 [units], Q0.15, for each parameter that is a factor.
    fixed: abc.Mapping[str, IntArray]
    #: Real value of one code of the input operand.
    input_scale: float
    #: For each vector that the layer makes.
    formats: abc.Mapping[Node, VectorFormat]

    @property
    def cell(self) -> Cell:
        """The kind of cell."""
        return self.arithmetic.cell

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of its cell."""
        return stages_of(self.arithmetic)

    @property
    def hidden_size(self) -> int:
        """Values of the output."""
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
        """Of the output, see `VectorFormat.shift`."""
        return self.output_format.shift

    @property
    def feedback_scale(self) -> float:
        """Real value of one operand code of the output."""
        return self.output_format.operand_scale

    def product(self, row: Row, operand: Operand) -> QuantisedProduct | None:
        """The product of one row with one operand, or None if the row has none."""
        rows = self.arithmetic.rows_of(operand)
        return self.products[operand.name].gate(rows.index(row)) if row in rows else None

    def state_format(self, name: str) -> VectorFormat:
        """Format of a state; its shift is None if nothing multiplies it."""
        node = self.arithmetic.states[name]
        return self.formats.get(node, VectorFormat(node.fraction, None))

    def units(self, stage: Stage) -> int:
        """Units of a stage."""
        return int(self.products[stage.all_rows[0].products[0].operand.name].weights.shape[1])


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """Layers that run step by step in one direction, with the grid parameters that their arithmetic depends on."""

    layers: tuple[QuantisedLayer, ...]
    head: QuantisedLayer | None
    #: What the integers are for. The biases were scaled for its accumulator, which is proven sufficient.
    arithmetic: Arithmetic
    #: How its scales were chosen.
    choice: Choice = field(default_factory=Choice)

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
        """Itself: whatever takes a `QuantisedModel` takes a network alone, too."""
        names = tuple(self.layer_name(index) for index in range(len(self.all_layers)))
        return (QuantisedSegment("network", (self,), (names,)),)

    def products(self) -> dict[str, QuantisedProduct]:
        """Every product by name: ``layer 0 x``, ``layer 0 h``, ..., ``head x``."""
        return {
            f"{self.layer_name(index)} {operand}": product
            for index, layer in enumerate(self.all_layers) for operand, product in layer.products.items()
        }


@dataclass(frozen=True, eq=False)
class QuantisedSegment:
    """A segment in integers: one network, or the forward and the backward half of a layer."""

    name: str
    members: tuple[QuantisedNetwork, ...]
    #: As in `rnn_mapper.network.network.Segment`.
    layer_names: tuple[tuple[str, ...], ...]
    merge: str | None = None
    backward: tuple[bool, ...] = (False,)

    @property
    def output_scale(self) -> float:
        """Real value of one code of the merged output: the finer scale of both halves."""
        return min(member.output_scale for member in self.members)

    def merged(self, outputs: Sequence[IntArray | Int16Array]) -> npt.NDArray[np.signedinteger[Any]]:
        """[steps, output_size] in units of `output_scale`, from the outputs of each member as the grid gave them."""
        aligned = [
            turned(values, backward) if self.merge is None
            else turned(values, backward).astype(np.int64) * round(member.output_scale / self.output_scale)
            for backward, member, values in zip(self.backward, self.members, outputs, strict=True)
        ]
        return aligned[0] + aligned[1] if self.merge == "sum" else np.concatenate(aligned, axis=1)


@dataclass(frozen=True, eq=False)
class QuantisedModel:
    """Any network in integers: segments that run one after the other, each over the whole sequence."""

    segments: tuple[QuantisedSegment, ...]

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return self.segments[-1].output_scale


@dataclass(frozen=True)
class AccumulatorBound:
    """The proof for one product: no operand can overflow its accumulator."""

    #: Name of the product, as in QuantisedNetwork.products.
    product: str
    #: Largest magnitude over all rows, in accumulator units.
    worst: int
    #: Gate and unit of the row that reaches it.
    gate: int
    unit: int
    #: Two's complement width that holds plus and minus `worst`.
    bits: int
    #: Accumulator bits beyond `bits`.
    margin: int


def prove_accumulators(network: QuantisedNetwork) -> tuple[AccumulatorBound, ...]:
    """The worst case of every product: sum |w| * operand limit + |bias|, below 2^(accumulator_bits - 1).

    Partial sums, in whatever order or split, are bounded by it too. Raises MappingError naming the product and row.
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
                f"which takes {bits} bits, the grid has {available}"
            )
        bounds.append(AccumulatorBound(name, worst, gate, unit, bits, available - bits))
    return tuple(bounds)
