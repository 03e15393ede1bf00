"""Pickles of tensors, read by a machine that builds the parts of a state_dict and nothing else.

A pickle is a program. Here its names stand for nothing but themselves (`Name`), and what it calls is done by the
reader's `call`, which knows a handful of names; nothing is imported, no memory is taken that the pickle's bytes do not
fill, and every operation that a state_dict does not need is rejected.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import printable

__all__ = ["LARGEST", "Instance", "Name", "run_pickle"]

#: Bytes of a pickle that are read; a large checkpoint's has some hundred thousand.
LARGEST = 32 << 20
#: Operations that are done; a tensor takes about 60. Each takes some hundred bytes of memory at most.
MOST_OPERATIONS = 4_000_000
#: Operands that mean themselves.
_VALUES = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING",
    "SHORT_BINSTRING", "STRING",
}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass(frozen=True)
class Name:
    """A name that a pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return printable(f"{self.module}.{self.name}", 100)


class Instance:
    """A value of no use here, such as a set: it takes a state and items and keeps none."""

    def build(self, state: Any) -> None:
        """Take a state (the operation BUILD)."""


_NOTHING = Instance()


def run_pickle(data: bytes, call: Callable[[Name, tuple[Any, ...]], Any], outside: Callable[[Any], Any]) -> Any:
    """The value that a pickle builds. `call` makes the value of a name called with arguments, `outside` the value of a
    reference to something outside the pickle. Raises ModelError for a damaged pickle and for anything foreign to a
    state_dict.
    """
    if len(data) > LARGEST:
        raise ModelError(f"the pickle has {len(data)} bytes, must have {LARGEST} at most")
    machine = _Machine(call, outside)
    try:
        for done, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                return machine.stack.pop()
            if done > MOST_OPERATIONS:
                raise ModelError(f"the pickle has more than {MOST_OPERATIONS} operations")
            machine.step(opcode.name, argument)
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # pickletools has no error of its own, and a damaged pickle can do anything to a stack
        raise ModelError(f"the pickle is damaged ({type(error).__name__})") from None
    raise ModelError("the pickle is damaged (it has no end)")


class _Machine:
    """The pickle machine: a method for each operation that is not a plain value."""

    def __init__(self, call: Callable[[Name, tuple[Any, ...]], Any], outside: Callable[[Any], Any]) -> None:
        self.call, self.outside = call, outside
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            count = _TUPLES[name]
            items = tuple(stack[-count:])
            if len(items) != count:
                raise IndexError("stack")
            stack[-count:] = [items]
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name in ("PROTO", "FRAME"):
            pass
        else:
            operation = getattr(self, f"_{name.lower()}", None)
            if operation is None:
                raise ModelError(f"the pickle has the operation {name}, which no state_dict needs")
            operation(*(() if argument is None else (argument,)))

    def _mark(self) -> None:
        self.stack.append(_MARK)

    def _above_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError("mark")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _empty_set(self) -> None:
        self.stack.append(_NOTHING)

    def _frozenset(self) -> None:
        self._above_mark()
        self.stack.append(_NOTHING)

    def _tuple(self) -> None:
        self.stack.append(tuple(self._above_mark()))

    def _list(self) -> None:
        self.stack.append(self._above_mark())

    def _dict(self) -> None:
        items = self._above_mark()
        self.stack.append({})
        self._set_pairs(items)

    def _append(self) -> None:
        self._extend([self.stack.pop()])

    def _appends(self) -> None:
        self._extend(self._above_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Instance):
            raise TypeError("append")

    def _additems(self) -> None:
        self._above_mark()
        if not isinstance(self.stack[-1], Instance):
            raise TypeError("add")

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_pairs([key, value])

    def _setitems(self) -> None:
        self._set_pairs(self._above_mark())

    def _set_pairs(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict | Instance) or len(items) % 2:
            raise TypeError("items")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys, as those of an optimiser's state, lead to nothing that is of use; they may not be hashable.
            if isinstance(target, dict) and isinstance(key, str):
                target[key] = value

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Name(module, name))

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("name")
        self.stack.append(Name(module, name))

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise TypeError("call")
        self.stack.append(self.call(function, arguments))

    _newobj = _reduce

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Instance):
            self.stack[-1].build(state)
        elif not isinstance(self.stack[-1], dict):  # an OrderedDict's _metadata, a parameter's attributes
            raise TypeError("state")

    def _binpersid(self) -> None:
        self.stack.append(self.outside(self.stack.pop()))

    def _pop(self) -> None:
        self.stack.pop()

    def _pop_mark(self) -> None:
        self._above_mark()
