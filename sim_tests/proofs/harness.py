"""A component with free inputs, and what is promised about it."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth.hdl import Assert, Assume, Cat, Module, ResetSignal, ShapeLike, Signal, Value, ValueLike
from amaranth.lib import wiring

from hdl.grid.sharing import Shared, port_names
from hdl.output.emit import emit

__all__ = ["HARNESS", "Harness", "at_most_one", "exactly_one"]

#: Name of the module around the component.
HARNESS = "harness"


class Harness:
    """Places a component and collects what is assumed and promised.

    All registers of the component are free at first, and the reset is high in the first cycle. It may be high again in
    any later cycle: the harness has the same reset. What is promised or reached is judged in cycles without reset.
    A subclass states the promises in `state`.
    """

    #: Whether the registers of the component are free at first. Where a promise is about what is computed from the last
    #: few inputs, and not about the first cycles, they may begin as they are written: equal registers are then found.
    free_registers = True
    #: Promises for which `free_registers` is the other way round.
    other_registers: frozenset[str] = frozenset()

    def __init__(self, component: wiring.Component) -> None:
        self.component = component
        self.dut = Shared(component)
        self.promises: dict[str, Value] = {}
        self.situations: dict[str, Value] = {}
        self._assumptions: list[Value] = []
        self._free: dict[str, Value] = {}

    def state(self, m: Module) -> None:
        """Add registers to the module, and assumptions, promises and situations."""
        raise NotImplementedError

    def sources(self) -> dict[str, str]:
        """The component's Verilog, by module: what users get."""
        return emit(self.component).sources

    def assume(self, condition: ValueLike) -> None:
        """Something that holds in every cycle, because what surrounds the component sees to it."""
        self._assumptions.append(Value.cast(condition))

    def promise(self, name: str, condition: ValueLike) -> None:
        """Something that the component sees to, in every cycle."""
        assert name not in self.promises, name
        self.promises[name] = Value.cast(condition)

    def reach(self, name: str, condition: ValueLike) -> None:
        """A situation that must be possible: otherwise a promise about it would say nothing."""
        self.situations[name] = Value.cast(condition)

    def free(self, name: str, shape: ShapeLike) -> Value:
        """A value that is free in every cycle."""
        self._free[name] = value = Signal(shape, name=name)
        return value

    def constant(self, m: Module, name: str, shape: ShapeLike) -> Value:
        """A value that is free, and the same in all cycles."""
        value, before, known = self.free(name, shape), Signal(shape), Signal()
        m.d.sync += [before.eq(value), known.eq(1)]
        self.assume(~known | (Value.cast(before) == Value.cast(value)))
        return value

    def free_ports(self) -> Iterator[tuple[str, Value]]:
        """Names and values of the component's inputs, and of the proof's own free values."""
        yield from self._free.items()
        for name, is_input, value in port_names(self.dut):
            if is_input:
                yield name, Value.cast(value)

    def module(self, promise: str | None, situation: str | None) -> Module:
        """The module with one promise, or the claim that a situation never comes; all promises if both are None."""
        m = Module()
        self.promises, self.situations, self._assumptions, self._free = {}, {}, [], {}
        m.submodules.dut = self.dut
        self.state(m)
        running = Signal()
        m.d.comb += running.eq(~ResetSignal())
        first = Signal(init=1, reset_less=True)
        m.d.sync += first.eq(0)
        m.d.comb += Assume(~first | ResetSignal())
        m.d.comb += [Assume(~running | (condition != 0)) for condition in self._assumptions]
        if situation is not None:
            m.d.comb += Assert(~running | (self.situations[situation] == 0))
        else:
            chosen = self.promises.values() if promise is None else [self.promises[promise]]
            m.d.comb += [Assert(~running | (condition != 0)) for condition in chosen]
        return m


def at_most_one(*conditions: ValueLike) -> Value:
    """No two of these hold."""
    values = [Value.cast(condition) != 0 for condition in conditions]
    return ~Cat(values[i] & values[j] for i in range(len(values)) for j in range(i)).any()


def exactly_one(*conditions: ValueLike) -> Value:
    """One of these holds, and no other."""
    return at_most_one(*conditions) & Cat(Value.cast(condition) != 0 for condition in conditions).any()
