"""cocotb test of the registers, cycle by cycle; SRNN_GRID names the grid whose parameters they have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from hdl.register_map import ADDRESS_BITS, REGISTERS, Error
from sim_tests.bench.component_bench import CycleBench
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.registers_model import BY_OFFSET, RegistersModel

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
#: Values after reset; all other registers are zero.
RESET = {
    "ID": 0x53524E4E, "VERSION": 0x00020000,
    "GRID": PARAMETERS.rows | PARAMETERS.cols << 8 | PARAMETERS.lanes << 16 | (PARAMETERS.operand_bits == 16) << 24,
    "STEPS": 1, "PHASE_ENABLE_LOW": (1 << min(32, PARAMETERS.phases)) - 1,
    "PHASE_ENABLE_HIGH": (1 << max(0, PARAMETERS.phases - 32)) - 1,
}
#: Inputs that are readable as registers, with their widths.
SHOWN = {
    "busy": 1, "done": 1, "aborted": 1, "state_valid": 1, "steps_done": 32,
    **dict.fromkeys(("cycles", "stall_input", "stall_output", "stall_result"), PARAMETERS.counter_bits),
}
#: Inputs of the bus that are always defined, and inputs that are defined with their `valid`.
BUS_CONTROL = ("awvalid", "wvalid", "bready", "arvalid", "rready")
BUS_PAYLOAD = {"awaddr": "awvalid", "wdata": "wvalid", "wstrb": "wvalid", "araddr": "arvalid"}
OPERATIONS = 600


def pauses(rng: np.random.Generator) -> Iterator[bool]:
    """Pauses of a channel, in stretches of all densities."""
    while True:
        chance = float(rng.choice([0.0, 0.3, 0.9]))
        for _ in range(20):
            yield bool(rng.random() < chance)


async def compare(bench: CycleBench, model: RegistersModel, rng: np.random.Generator) -> None:
    """Random inputs in every cycle; all outputs must equal the model's."""
    while True:
        shown = {name: int.from_bytes(rng.bytes(8), "little") % (1 << width) for name, width in SHOWN.items()}
        shown |= {"errors": 1 << int(rng.integers(len(Error))) if rng.random() < 0.2 else 0}
        if rng.random() < 0.5:
            shown |= {"done": 0, "aborted": 0}
        await bench.cycle(shown)
        inputs = shown | {name: bench.read(f"s_axil_{name}") for name in BUS_CONTROL}
        inputs |= {name: bench.read(f"s_axil_{name}") if inputs[valid] else 0 for name, valid in BUS_PAYLOAD.items()}
        for name, value in model.outputs(inputs).items():
            assert bench.read(name) == value, f"{name} = {bench.read(name):#x}, not {value:#x}"
        if model.write_response is not None:
            assert bench.read("s_axil_bresp") == model.write_response
        if model.read_response is not None:
            assert (bench.read("s_axil_rresp"), bench.read("s_axil_rdata")) == model.read_response
        model.advance(inputs)


async def write(master: AxiLiteMaster, rng: np.random.Generator) -> None:
    """Writes of every register and beyond, whole words and parts of words."""
    for _ in range(OPERATIONS):
        offset = int(rng.choice([0x0C, 0x14, 0x28, int(rng.integers(1 << (ADDRESS_BITS - 2))) * 4]))
        first = int(rng.choice([0, 0, 0, 1, 2, 3]))
        size = int(rng.integers(1, 5 - first))
        response = await master.write(offset + first, rng.bytes(size))
        assert (response.resp == AxiResp.OKAY) == (offset in BY_OFFSET)


async def read(master: AxiLiteMaster, rng: np.random.Generator) -> None:
    """Reads of every register and beyond."""
    for _ in range(OPERATIONS):
        offset = int(rng.choice([int(rng.integers(1 << (ADDRESS_BITS - 2))), *range(0x30 >> 2, 0x50 >> 2)])) * 4
        response = await master.read(offset, 4)
        assert (response.resp == AxiResp.OKAY) == (offset in BY_OFFSET)
        assert offset in BY_OFFSET or response.data == bytes(4)


@cocotb.test()
async def registers(dut: Any) -> None:
    """Reset values, then concurrent reads and writes with pauses of all five channels."""
    bench, rng = CycleBench(dut), np.random.default_rng(22)
    bus = [f"s_axil_{name}" for name in (*BUS_CONTROL, *BUS_PAYLOAD, "awprot", "arprot")]
    await bench.begin(**dict.fromkeys((*SHOWN, "errors", *bus), 0))
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk)
    for part in (master.write_if, master.read_if):
        part.log.setLevel("WARNING")
    for register in REGISTERS:
        assert await master.read_dword(register.offset) == RESET.get(register.name, 0), register.name
    channels = (
        master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel, master.read_if.ar_channel,
        master.read_if.r_channel,
    )
    for number, channel in enumerate(channels):
        channel.set_pause_generator(pauses(np.random.default_rng(number)))
    await RisingEdge(dut.clk)
    model = RegistersModel(PARAMETERS)
    comparing = cocotb.start_soon(compare(bench, model, rng))
    operations = [cocotb.start_soon(action(master, np.random.default_rng(30))) for action in (write, read)]
    for operation in operations:
        await operation
    comparing.cancel()
    assert {*BY_OFFSET} <= {register.offset for register in REGISTERS if model.seen[register.name]}
    assert min(model.seen[name] for name in ("unknown", "start and abort", "error kept while cleared", "kept half")) > 0
