"""A network in integers: exactly what the numpy reference computes with and what the mapper places on a grid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import MappingError
from .fixed_point import ACTIVATION_FRACTION, PREACTIVATION_FRACTION, IntArray
from .network import Cell, FloatArray

#: Largest magnitude of an int8 operand code: h saturates to -128.
OPERAND_LIMIT = 128


@dataclass(frozen=True, eq=False)
class QuantisedProduct:
    """One matrix-vector product: acc = bias + weights * operand, then fixed_point.requantise.

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
    def nothing(cls, gates: int, units: int) -> "QuantisedProduct":
        """A product with no operand: all sums are zero."""
        none = np.zeros((gates, units), dtype=np.int64)
        return cls(np.zeros((gates, units, 0), np.int8), none, none, none, none.astype(float))

    def units(self, first: int, count: int) -> "QuantisedProduct":
        """The product of `count` units from `first` on."""
        part = slice(first, first + count)
        return QuantisedProduct(
            self.weights[:, part], self.bias[:, part], self.multiplier[:, part], self.shift[:, part],
            self.row_scale[:, part],
        )

    @property
    def accumulator_bound(self) -> IntArray:
        """[G, H], the largest magnitude the accumulator can reach at any point of the sum, whatever the operands."""
        return np.abs(self.weights.astype(np.int64)).sum(axis=2) * OPERAND_LIMIT + np.abs(self.bias)


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """One recurrent layer."""

    cell: Cell
    input_size: int
    hidden_size: int
    #: Product with the layer's input; carries all biases, but of GRU's candidate only the input's own.
    x: QuantisedProduct
    #: Product with the previous int8 h; carries GRU's hidden candidate bias, else no bias.
    h: QuantisedProduct
    #: Real value of one int8 code of the input operand.
    input_scale: float
    #: The int8 h is sat8(round(h16, feedback_shift)), 1..8.
    feedback_shift: int

    @property
    def output_fraction(self) -> int:
        """Fraction bits of the 16-bit h: 15 where tanh bounds it, 10 for rnn_relu."""
        return ACTIVATION_FRACTION if self.cell.is_tanh_bounded else PREACTIVATION_FRACTION

    @property
    def output_scale(self) -> float:
        """Real value of one code of the 16-bit h."""
        return 2.0**-self.output_fraction

    @property
    def feedback_scale(self) -> float:
        """Real value of one code of the int8 h, which this layer, the next one and the head multiply with."""
        return 2.0 ** (self.feedback_shift - self.output_fraction)


@dataclass(frozen=True, eq=False)
class QuantisedDense:
    """The dense head; its operand is the int8 h of the last recurrent layer."""

    #: G = 1, one unit per output.
    product: QuantisedProduct
    #: Real value of one operand code.
    input_scale: float
    #: Fraction bits of the 16-bit output; negative for outputs beyond 16 bits.
    output_fraction: int

    @property
    def input_size(self) -> int:
        """Number of operands."""
        return int(self.product.weights.shape[2])

    @property
    def output_size(self) -> int:
        """Number of outputs."""
        return int(self.product.weights.shape[1])

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return 2.0**-self.output_fraction


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """A whole network with the grid parameters its arithmetic depends on."""

    layers: tuple[QuantisedLayer, ...]
    head: QuantisedDense | None
    #: Segments of the activation table, see fixed_point.TABLE_SEGMENTS.
    table_segments: int
    #: Width of the accumulator that the biases were scaled for and that is proven sufficient.
    accumulator_bits: int

    @property
    def input_size(self) -> int:
        """Features per input step."""
        return self.layers[0].input_size

    @property
    def output_size(self) -> int:
        """Values per output step."""
        return self.layers[-1].hidden_size if self.head is None else self.head.output_size

    @property
    def output_scale(self) -> float:
        """Real value of one 16-bit output code."""
        return self.layers[-1].output_scale if self.head is None else self.head.output_scale

    def products(self) -> dict[str, QuantisedProduct]:
        """Every product by name: ``layer 0 x``, ``layer 0 h``, ..., ``head``."""
        named: dict[str, QuantisedProduct] = {}
        for index, layer in enumerate(self.layers):
            named |= {f"layer {index} x": layer.x, f"layer {index} h": layer.h}
        return named if self.head is None else named | {"head": self.head.product}


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
    """The worst case of every product: sum |w| * 128 + |bias|, which must be below 2^(accumulator_bits - 1).

    Partial sums, in whatever order or split, are bounded by it too. Raises MappingError naming the product and row.
    """
    bounds = []
    for name, product in network.products().items():
        bound = product.accumulator_bound
        gate, unit = (int(i) for i in np.unravel_index(int(bound.argmax()), bound.shape))
        worst = int(bound[gate, unit])
        bits = worst.bit_length() + 1
        if bits > network.accumulator_bits:
            raise MappingError(
                f"{name}, gate {gate}, unit {unit}: the accumulator can reach {worst}, "
                f"which takes {bits} bits, the grid has {network.accumulator_bits}"
            )
        bounds.append(AccumulatorBound(name, worst, gate, unit, bits, network.accumulator_bits - bits))
    return tuple(bounds)
