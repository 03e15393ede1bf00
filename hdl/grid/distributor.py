"""Tree of registers from the controller to the heads of all rows."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import WriteKind, write_word_layout
from hdl.parameters import GridParameters

__all__ = ["Distributor"]


class Distributor(wiring.Component):
    """Copies the write stream to the heads of all `rows` rows, to all in the same cycle, `latency` cycles later.

    Each register drives at most `fan_out` others.
    """

    module_name = "srnn_distributor"

    #: Registers that one register drives.
    fan_out = 4

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        layout = write_word_layout(p)
        super().__init__({"source": In(layout), **{f"head_{row}": Out(layout) for row in range(p.rows)}})

    @property
    def clocked(self) -> bool:
        """A single row needs no tree."""
        return self.latency > 0

    @property
    def latency(self) -> int:
        """Cycles from `source` to every head: levels of the tree."""
        levels, reached = 0, 1
        while reached < self.parameters.rows:
            levels, reached = levels + 1, reached * self.fan_out
        return levels

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        words: list[tuple[Value, Value]] = [(self.source.as_value(), self.source.kind)]
        for level in range(1, self.latency + 1):
            count = -(-p.rows // self.fan_out ** (self.latency - level))
            words = [self._register(m, words[index // self.fan_out], f"{level}_{index}") for index in range(count)]
        for row in range(p.rows):
            head = getattr(self, f"head_{row}")
            word, kind = words[row] if len(words) > 1 else words[0]
            m.d.comb += [head.eq(word), head.kind.eq(kind)]
        return m

    def _register(self, m: Module, source: tuple[Value, Value], name: str) -> tuple[Value, Value]:
        word = Signal(write_word_layout(self.parameters), name=f"word_{name}", reset_less=True)
        kind = Signal(WriteKind, name=f"kind_{name}")
        m.d.sync += [word.eq(source[0]), kind.eq(source[1])]
        return word.as_value(), kind
