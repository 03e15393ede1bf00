"""Sizes of the vectors of a cell, from the shapes of its tensors."""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.expressions import Expression, Input, Parameter, Product, SourceLine, State
from rnn_mapper.cells.tracing import Cell, children
from rnn_mapper.summary import counted

__all__ = ["Sizes", "bind_sizes", "tensor_shapes"]


@dataclass(frozen=True)
class Sizes:
    """Values of the input, of the output and of each state."""

    input: int
    output: int
    states: dict[str, int]


def bind_sizes(cell: Cell, tensors: abc.Mapping[str, npt.NDArray[np.float64]]) -> Sizes:
    """The sizes that make every equation of the cell fit. Raises CellError, with the line, if there are none.

    `tensors` are the cell's parameters, matrices [units, operands] and vectors [units].
    """
    trace = cell.trace
    groups = _Groups()
    for node in trace:
        if isinstance(node, Product):
            rows, columns = tensors[node.matrix].shape
            groups.fix(node, rows, f"p.{node.matrix} [{rows}, {columns}]", node.line)
            groups.fix(node.operand, columns, f"p.{node.matrix} [{rows}, {columns}]", node.line)
        elif isinstance(node, Parameter):
            size = len(tensors[node.name])
            groups.fix(node, size, f"p.{node.name} [{size}]", node.line)
        else:
            for part in children(node):
                groups.join(node, part, node.line)
    for state, after in zip(trace.states, trace.new_states, strict=True):
        groups.join(state, after, after.line)
    states = {state.name: groups.size(state, f"state {state.name}") for state in trace.states}
    return Sizes(groups.size(trace.input, "the input"), groups.size(trace.output, "the output"), states)


def tensor_shapes(
    cell: Cell, input_size: int, output_size: int, inner_size: int | None = None
) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a cell: matrices [units, operands] and vectors [units].

    Vectors that are tied neither to the input nor to the output have `inner_size` values (`output_size` if None).
    Raises CellError if the equations tie input and output together and the sizes differ.
    """
    trace = cell.trace
    groups = _Groups()
    groups.fix(trace.input, input_size, f"the input [{input_size}]", trace.input.line)
    groups.fix(trace.output, output_size, f"the output [{output_size}]", trace.output.line)
    parameters: dict[str, Expression] = {}
    for node in trace:
        if isinstance(node, Parameter):
            groups.join(parameters.setdefault(node.name, node), node, node.line)
        elif isinstance(node, Product):
            first = parameters.setdefault(node.matrix, node)
            assert isinstance(first, Product), f"{node.matrix} is a matrix and a vector"
            groups.join(first, node, node.line)
            groups.join(first.operand, node.operand, node.line)
        else:
            for part in children(node):
                groups.join(node, part, node.line)
    for state, after in zip(trace.states, trace.new_states, strict=True):
        groups.join(state, after, after.line)
    inner = output_size if inner_size is None else inner_size
    return {
        name: (groups.known(node, inner), groups.known(node.operand, inner)) if isinstance(node, Product)
        else (groups.known(node, inner),)
        for name, node in parameters.items()
    }


class _Groups:
    """Vectors that must have the same size, and the tensor that fixes it."""

    def __init__(self) -> None:
        self._leader: dict[int, int] = {}
        self._known: dict[int, tuple[int, str]] = {}
        self._inputs: dict[str, int] = {}

    def _find(self, node: Expression) -> int:
        key = id(node)
        # The same state or input is one vector however often it is written.
        if isinstance(node, (State, Input)):
            key = self._inputs.setdefault(node.name, key)
        while self._leader.setdefault(key, key) != key:
            key = self._leader[key]
        return key

    def fix(self, node: Expression, size: int, cause: str, line: SourceLine) -> None:
        """`node` has `size` values because of `cause`."""
        key = self._find(node)
        known = self._known.setdefault(key, (size, cause))
        if known[0] != size:
            raise CellError(f"{line}: a vector must have {counted(known[0], 'value')} for {known[1]} and {size} "
                            f"for {cause}")

    def join(self, one: Expression, other: Expression, line: SourceLine) -> None:
        """Both have the same size."""
        first, second = self._find(one), self._find(other)
        if first == second:
            return
        known = [self._known.pop(key) for key in (first, second) if key in self._known]
        self._leader[first] = second
        if len(known) == 2 and known[0][0] != known[1][0]:
            (size, cause), (wanted, reason) = known
            raise CellError(f"{line}: vectors of {counted(size, 'value')} ({cause}) and of {wanted} ({reason}) meet")
        if known:
            self._known[second] = known[0]

    def known(self, node: Expression, otherwise: int) -> int:
        """The size of a vector, or `otherwise` if nothing fixes it."""
        size, _ = self._known.get(self._find(node), (otherwise, ""))
        return size

    def size(self, node: Expression, name: str) -> int:
        """The size of a vector; raises CellError if nothing fixes it."""
        key = self._find(node)
        if key not in self._known:
            raise CellError(f"{node.line}: the size of {name} is unknown: no matrix multiplies or produces it")
        return self._known[key][0]
