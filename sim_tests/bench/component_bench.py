"""Benches of single components: their builds, and a driver of their ports cycle by cycle."""

from __future__ import annotations

import tempfile
from collections import abc, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaranth.lib import wiring
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotb.types import Logic

from hdl.grid.activation import ActivationUnit
from hdl.grid.collector import Collector
from hdl.grid.controller import Controller
from hdl.grid.distributor import Distributor
from hdl.grid.dot_product import DotProduct
from hdl.grid.gate_path import GatePath
from hdl.grid.image_loader import ImageLoader
from hdl.grid.memory import MEMORY_MODULE, MEMORY_SOURCE
from hdl.grid.multiply_accumulate import MultiplyAccumulate
from hdl.grid.output_stream import OutputStream
from hdl.grid.partial_chain import PartialChain
from hdl.grid.pcu import Pcu
from hdl.grid.pmu import Pmu
from hdl.grid.registers import Registers
from hdl.grid.requantiser import Requantiser
from hdl.grid.sequencer import Sequencer
from hdl.grid.sharing import is_clocked
from hdl.grid.unit_path import UnitPath
from hdl.grid.vector_input import VectorInput
from hdl.output.emit import emit
from hdl.parameters import GridParameters
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.simulator.run import Build, build

__all__ = [
    "COMPONENTS", "DRAIN_CYCLES", "CycleBench", "ReadPort", "build_component", "build_memory", "zero_filled",
]

#: Cycles that the controller alone waits for after an abort; in a grid they follow from the latencies.
DRAIN_CYCLES = 13

#: Components that are tested alone.
COMPONENTS: dict[str, Callable[[GridParameters], wiring.Component]] = {
    "dot_product": DotProduct,
    "partial_chain": PartialChain,
    "requantiser": Requantiser,
    "activation": ActivationUnit,
    "multiply_accumulate": MultiplyAccumulate,
    "gate_path": GatePath,
    "unit_path": UnitPath,
    "pcu": Pcu,
    "sequencer": Sequencer,
    "pmu": Pmu,
    "distributor": Distributor,
    "collector": Collector,
    "vector_input": VectorInput,
    "image_loader": ImageLoader,
    "output_stream": OutputStream,
    "registers": Registers,
    "controller": lambda parameters: Controller(parameters, DRAIN_CYCLES),
}

#: Verilog parameters of the memory under test: the last slice is narrower than the others.
MEMORY_PARAMETERS = {"WIDTH": 21, "DEPTH": 12, "ADDRESS_BITS": 4, "SLICE": 8, "SLICE_BITS": 2}


def build_component(name: str, parameters: GridParameters, simulator: str) -> Build:
    """The simulation build of one component."""
    component = COMPONENTS[name](parameters)
    with tempfile.TemporaryDirectory() as folder:
        sources: list[Path] = []
        for module, text in emit(component).sources.items():
            sources.append(Path(folder) / f"{module}.v")
            sources[-1].write_text(text, encoding="utf-8")
        return build(sources, component.module_name, simulator)


def build_memory(simulator: str, parameters: GridParameters) -> Build:
    """The simulation build of a small memory, with the register and the ports of a grid's weight memories."""
    chosen = {"OUTPUT_REGISTER": parameters.memory_registers, "PORTS": parameters.weight_ports}
    return build([MEMORY_SOURCE], MEMORY_MODULE, simulator, parameters=MEMORY_PARAMETERS | chosen)


def zero_filled(packer: LayoutPacker, **fields: int) -> int:
    """A word with these fields and zeros elsewhere."""
    return packer.pack(dict.fromkeys(packer.fields, 0) | fields)


class ReadPort:
    """What comes out of a memory outside: what was read so many cycles before."""

    def __init__(self, parameters: GridParameters) -> None:
        self._words = deque([0] * parameters.memory_registers)

    def next(self, word: int) -> int:
        """The word in the next cycle, when `word` was read in this one."""
        self._words.append(word)
        return self._words.popleft()


class CycleBench:
    """Drives a component cycle by cycle; without a clock, a cycle is a nanosecond."""

    def __init__(self, dut: Any, component: wiring.Component | None = None) -> None:
        self.dut = dut
        self.clocked = component is None or is_clocked(component)

    async def begin(self, **inputs: int) -> None:
        """Set the idle values of inputs, start the clock and reset, if the component has them."""
        for name, value in inputs.items():
            getattr(self.dut, name).value = value
        if not self.clocked:
            return
        Clock(self.dut.clk, 2, unit="ns").start()
        if hasattr(self.dut, "rst"):
            for level in (0, 1, 0):
                self.dut.rst.value = level
                await RisingEdge(self.dut.clk)
                await RisingEdge(self.dut.clk)

    async def cycle(self, inputs: abc.Mapping[str, int] | None = None, **more: int) -> None:
        """Apply inputs for one cycle and return at its end; `read` then gives the outputs of this cycle."""
        for name, value in {**(inputs or {}), **more}.items():
            getattr(self.dut, name).value = value
        if self.clocked:
            await RisingEdge(self.dut.clk)
        else:
            await Timer(1, "ns")

    def read(self, name: str, signed: bool = False) -> int:
        """An output in the cycle that just ended."""
        value = getattr(self.dut, name).value
        if isinstance(value, Logic):
            return int(value)
        return int(value.to_signed() if signed else value.to_unsigned())
