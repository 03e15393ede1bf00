"""The arithmetic once more, one Python integer at a time, written from its definition, not from the reference."""

import math

from hdl.numerics import Arithmetic
from rnn_mapper import cells
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedNetwork, QuantisedProduct


def rnd(v: int, s: int) -> int:
    return (v + 2 ** (s - 1)) >> s


def sat(v: int, bits: int) -> int:
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, v))


def sigmoid(a: int, segments: int) -> int:
    width = 32768 // segments
    p = max(-16384, min(16383, a)) + 16384
    i, f = divmod(p, width)
    t0, t1 = (min(round(32768 / (1 + math.exp(-(k * width - 16384) / 1024))), 32767) for k in (i, i + 1))
    return t0 + rnd((t1 - t0) * f, int(math.log2(width)))


def tanh(a: int, segments: int) -> int:
    return 2 * sigmoid(sat(2 * a, 16), segments) - 32768


def operand_of(v: int, k: int | None, bits: int) -> int:
    if bits == 16:
        return v
    assert k is not None
    return sat(rnd(v, k), 8)


def part(product: QuantisedProduct, gate: int, unit: int, operand: list[int], arithmetic: Arithmetic) -> int:
    acc, bits = int(product.bias[gate, unit]), arithmetic.accumulator_bits
    for w, v in zip(product.weights[gate, unit], operand, strict=True):
        acc += int(w) * v
        assert -(2 ** (bits - 1)) <= acc < 2 ** (bits - 1), "accumulator overflow"
    left = {8: 11, 16: 3}[arithmetic.operand_bits]
    prescaled = sat(acc * 2**left // 2 ** int(product.shift[gate, unit]), 19)
    return sat(rnd(prescaled * int(product.multiplier[gate, unit]), 12), 16)


def step(
    layer: QuantisedLayer, x: list[int], h16: list[int], c: list[int], arithmetic: Arithmetic
) -> tuple[list[int], list[int]]:
    k = 8 if layer.cell is not cells.rnn_relu else layer.feedback_shift
    segments = arithmetic.table_segments
    h = [operand_of(v, k, arithmetic.operand_bits) for v in h16]
    new_h, new_c = [], []
    for u in range(layer.hidden_size):
        wx = [part(layer.products["x"], g, u, x, arithmetic) for g in range(len(layer.products["x"].weights))]
        uh = [part(layer.products["h"], g, u, h, arithmetic) for g in range(len(layer.products["x"].weights))]
        a = [sat(p + q, 16) for p, q in zip(wx, uh, strict=True)]
        if layer.cell is cells.lstm:
            i, f, o = (sigmoid(a[g], segments) for g in (0, 1, 3))
            c_u = sat(rnd(f * c[u] + rnd(i * tanh(a[2], segments), 15) * 2**10, 15), 16)
            new_c.append(c_u)
            new_h.append(sat(rnd(o * tanh(c_u, segments), 15), 16))
        elif layer.cell is cells.gru:
            r, z = sigmoid(a[0], segments), sigmoid(a[1], segments)
            n = tanh(sat(wx[2] + rnd(r * uh[2], 15), 16), segments)
            new_h.append(sat(rnd(z * h16[u] + (32768 - z) * n, 15), 16))
        else:
            new_h.append(tanh(a[0], segments) if layer.cell is cells.rnn_tanh else max(a[0], 0))
    return new_h, new_c


def run(network: QuantisedNetwork, inputs: list[list[int]]) -> tuple[list[list[list[int]]], list[list[int]]]:
    """The 16-bit h per layer and step, and the outputs per step, from a cleared state."""
    h = [[0] * layer.hidden_size for layer in network.layers]
    c = [[0] * layer.hidden_size for layer in network.layers]
    traces: list[list[list[int]]] = [[] for _ in network.layers]
    outputs = []
    for x in inputs:
        operand = x
        for index, layer in enumerate(network.layers):
            h[index], c[index] = step(layer, operand, h[index], c[index], network.arithmetic)
            traces[index].append(h[index])
            operand = [operand_of(v, layer.feedback_shift, network.arithmetic.operand_bits) for v in h[index]]
        if network.head is None:
            outputs.append(h[-1])
        else:
            product = network.head.products["x"]
            outputs.append([part(product, 0, u, operand, network.arithmetic) for u in range(network.head.output_size)])
    return traces, outputs
