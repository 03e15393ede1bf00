"""`@cell`: from a Python function to the expressions of one step.

    @cell
    def minimal_gated_unit(x, h, p):
        f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
        n = tanh(p.W_n @ x + p.U_n @ (f * h) + p.b_n)
        h = (1 - f) * h + f * n
        return h, h

The first argument is the input of the step, the last gives the trained tensors by name, the ones between are the states
as the previous step left them. The function returns the output and the states after the step, in the order of the
arguments (one state, or a tuple of several; nothing for a cell without states).

Keyword arguments such as `gate=sigmoid` stand for activations: `Cell.variant` has the same equations with others.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import linecache
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import CodeType
from typing import Any

from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.expressions import (
    ACTIVATIONS,
    Apply,
    Expression,
    Input,
    Multiply,
    Number,
    Parameter,
    Product,
    SourceLine,
    State,
    Sum,
)
from rnn_mapper.summary import counted

__all__ = ["Cell", "TracedCell", "cell"]


@dataclass(frozen=True, eq=False)
class TracedCell:
    """The expressions of one step."""

    input: Input
    states: tuple[State, ...]
    output: Expression
    #: After the step, in the order of `states`.
    new_states: tuple[Expression, ...]
    #: Names of parameters used as matrices and as vectors, in the order of their first use.
    matrices: tuple[str, ...]
    vectors: tuple[str, ...]

    def __iter__(self) -> Iterator[Expression]:
        """Every expression once, operands before what uses them."""
        seen: set[int] = set()
        for root in (self.output, *self.new_states):
            yield from _postorder(root, seen)

    def line_of(self, parameter: str) -> SourceLine:
        """Where a parameter is used first."""
        found = [
            node.line for node in self
            if (isinstance(node, Product) and node.matrix == parameter)
            or (isinstance(node, Parameter) and node.name == parameter)
        ]
        return min(found, key=lambda line: line.line)


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell as its equations. Cells are compared by identity."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    #: Of a variant: the activations that its keyword arguments take, by name.
    chosen: tuple[str, ...] = ()

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the activations that its keyword arguments take."""
        return self.chosen or tuple(_default_activations(self.function).values())

    def variant(self, name: str, activations: tuple[str, ...]) -> Cell:
        """The same equations with these activations, by name; the cell itself if they are its own."""
        return self if activations == self.activations else _variant(self.function, name, activations)

    @property
    def line(self) -> SourceLine:
        """Where it is defined."""
        return _definition(self.function)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states, in the order of the function's arguments."""
        return tuple(state.name for state in self.trace.states)

    @cached_property
    def trace(self) -> TracedCell:
        """The expressions of one step. Raises CellError for a function that is not a cell."""
        chosen = {
            argument: ACTIVATIONS[name]
            for argument, name in zip(_default_activations(self.function), self.activations, strict=True)
        }
        return _trace(self.name, self.function, chosen)

    def __reduce__(self) -> tuple[object, ...]:
        return _find, (self.function.__module__, self.function.__qualname__, self.name, self.chosen)


def cell(function: Callable[..., Any]) -> Cell:
    """A cell from a function; see the module's description. Raises CellError if it cannot be traced."""
    made = Cell(function.__name__, function)
    _ = made.trace
    return made


def _definition(function: Callable[..., Any]) -> SourceLine:
    """The line of `def`."""
    code = function.__code__
    line = code.co_firstlineno
    # The code begins at the first decorator.
    while linecache.getline(code.co_filename, line).lstrip().startswith("@"):
        line += 1
    return SourceLine(code.co_filename, line)


def _return(function: Callable[..., Any]) -> SourceLine:
    """The line of the only `return`, or else of `def`."""
    found = {
        instruction.positions.lineno for instruction in dis.get_instructions(function)
        if instruction.opname.startswith("RETURN") and instruction.opname != "RETURN_GENERATOR"
        and instruction.positions is not None
    }
    definition = _definition(function)
    return SourceLine(definition.file, found.pop() or definition.line) if len(found) == 1 else definition


@cache
def _variant(function: Callable[..., Any], name: str, activations: tuple[str, ...]) -> Cell:
    """Made once, because cells are compared by identity."""
    return Cell(name, function, activations)


def _find(module: str, place: str, name: str, chosen: tuple[str, ...]) -> Cell:
    """The cell at a place of a module, or its variant: the inverse of `Cell.__reduce__`."""
    found: Any = importlib.import_module(module)
    for part in place.split("."):
        found = getattr(found, part)
    assert isinstance(found, Cell)
    return found.variant(name, chosen) if chosen else found


def _default_activations(function: Callable[..., Any]) -> dict[str, str]:
    """Keyword arguments that take an activation, and the name of their default."""
    names = {activation: name for name, activation in ACTIVATIONS.items()}
    return {
        argument: names[parameter.default] for argument, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default in names
    }


class _Parameters:
    """Gives a parameter for every name that is asked for."""

    def __getattr__(self, name: str) -> Parameter:
        if name.startswith("_"):
            raise AttributeError(name)
        return Parameter(SourceLine.here(), name)


def _trace(name: str, function: Callable[..., Any], activations: dict[str, Any]) -> TracedCell:
    line = _definition(function)
    arguments = []
    for argument, parameter in inspect.signature(function).parameters.items():
        if argument in activations:
            continue
        arguments.append(argument)
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise CellError(
                f"{line}: cell {name}: argument {parameter} must be a plain name such as {argument}"
            )
    if len(arguments) < 2:
        count = f"{len(arguments)} argument{'' if len(arguments) == 1 else 's'}"
        raise CellError(f"{line}: cell {name} has {count}, must have the input, its states if any, and the parameters")
    first = Input(line, arguments[0])
    states = tuple(State(line, argument) for argument in arguments[1:-1])
    try:
        returned = function(first, *states, _Parameters(), **activations)
    except UnboundLocalError as error:
        raise CellError(
            f"{_line_of(error, function.__code__, line)}: {_quoted(error)} is used before it is computed: values of "
            "one step must not depend on each other in a circle; use a state, which holds the value of the step before"
        ) from None
    except NameError as error:
        raise CellError(f"{_line_of(error, function.__code__, line)}: unknown name {_quoted(error)}") from None
    except CellError:
        raise
    except Exception as error:
        place = _line_of(error, function.__code__, line)
        raise CellError(f"{place}: {type(error).__name__}: {error}") from None
    output, new_states = _results(_return(function), name, returned, states)
    traced = TracedCell(first, states, output, new_states, (), ())
    matrices = dict.fromkeys(node.matrix for node in traced if isinstance(node, Product))
    vectors = dict.fromkeys(node.name for node in traced if isinstance(node, Parameter))
    for node in traced:
        if isinstance(node, Parameter) and node.name in matrices:
            raise CellError(f"{node.line}: p.{node.name} is used as a matrix and as a vector")
    return TracedCell(first, states, output, new_states, tuple(matrices), tuple(vectors))


def _results(
    line: SourceLine, name: str, returned: Any, states: tuple[State, ...]
) -> tuple[Expression, tuple[Expression, ...]]:
    output, after = returned, tuple[Any, ...]()
    if states:
        if not isinstance(returned, tuple) or len(returned) != 2:
            wanted = ", ".join(state.name for state in states)
            raise CellError(f"{line}: cell {name} must return its output and its states, as in: return y, ({wanted},)")
        output, after = returned
        after = after if isinstance(after, tuple) else (after,)
    if len(after) != len(states):
        names = ", ".join(state.name for state in states)
        raise CellError(f"{line}: cell {name} returns {counted(len(after), 'state')}, must return {len(states)}: "
                        f"{names}")
    for value in (output, *after):
        if not isinstance(value, Expression):
            raise CellError(f"{line}: cell {name} returns a {type(value).__name__}, must return vectors")
    return output, after


def _quoted(error: NameError) -> str:
    """The unknown name; the name of a local variable is in the message only."""
    found = re.search("'.*?'", str(error))
    return found[0] if found else repr(error.name)


def _line_of(error: BaseException, code: CodeType, default: SourceLine) -> SourceLine:
    """The deepest line of the error inside the cell."""
    lines = [
        SourceLine(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == code.co_filename and frame.name == code.co_name
    ]
    return lines[-1] if lines else default


def _postorder(root: Expression, seen: set[int]) -> Iterator[Expression]:
    if id(root) in seen:
        return
    seen.add(id(root))
    for child in children(root):
        yield from _postorder(child, seen)
    yield root


def children(node: Expression) -> tuple[Expression, ...]:
    """The expressions that `node` is made of."""
    match node:
        case Product():
            return (node.operand,)
        case Sum():
            return tuple(term for _, term in node.terms)
        case Multiply():
            return node.left, node.right
        case Apply():
            return (node.argument,)
        case Input() | State() | Number() | Parameter():
            return ()
    raise AssertionError(node)
