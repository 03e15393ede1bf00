"""cocotb test of isolation: events of one resident model affect no other model, and aborts affect no saved state.

The grid is `RESIDENT_GRID`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt

from hdl.register_map import Control, Error, Status
from rnn_mapper import cells
from rnn_mapper.bus import output_steps
from rnn_mapper.mapping.packets import load_packets
from rnn_mapper.mapping.sequences import load_states
from rnn_mapper.mapping.sessions import map_services
from rnn_mapper.mapping.state_reader import states_read
from rnn_mapper.network.random import LayerShape, random_network
from rnn_mapper.quantisation.integer_network import LayerState
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import Reference
from sim_tests.bench.grids import RESIDENT_GRID
from sim_tests.host.bus_driver import BusDriver

INPUTS = 5


class Bench(BusDriver):
    """Drops the outputs of an aborted sequence: they have no tlast and come before the next packet."""

    async def receive(self, steps: int, width: int) -> npt.NDArray[np.int16]:
        frame = await self.sink.recv()
        return output_steps(bytes(frame.tdata)[-2 * steps * width :], steps, width)


def equal(one: Sequence[LayerState], other: Sequence[LayerState]) -> bool:
    """Whether two states have the same bits."""
    return all(
        all(np.array_equal(a[name], b[name]) for name in (*a, *b)) for a, b in zip(one, other, strict=True)
    )


@cocotb.test()
async def isolation(dut: Any) -> None:
    """Model 0 (two streams) is aborted, cleared and restored while model 2 runs step by step."""
    rng = np.random.default_rng(2)
    networks = [
        quantise(random_network(rng, INPUTS, [LayerShape(cell, size)], scale=0.8), rng.normal(size=(20, INPUTS)))
        for cell, size in ((cells.lstm, 5), (cells.gru, 6))
    ]
    resident = map_services([[networks[0]] * 2, networks[1]], RESIDENT_GRID)
    references = [Reference(network) for network in networks]
    bench = Bench(dut, RESIDENT_GRID.beat_bytes)
    await bench.reset()
    bench.load(load_packets(resident))
    await bench.source.wait()

    def codes(steps: int, extreme: bool = False) -> npt.NDArray[np.int8]:
        return rng.choice(np.array([-128, 127] if extreme else range(-128, 128), dtype=np.int8), (steps, INPUTS))

    async def run(model: int, inputs: npt.NDArray[np.int8], keep: bool) -> npt.NDArray[np.int16]:
        bench.model = model
        if inputs.size:
            bench.send(inputs)
        await bench.start(len(inputs), keep)
        outputs = await bench.receive(len(inputs), resident.models[model].output_size)
        await bench.wait_status(Status.BUSY, 0)
        assert not await bench.errors()
        return outputs

    async def other(steps: int, state: Sequence[LayerState] | None) -> Sequence[LayerState]:
        """Model 2 continues as if it were alone."""
        inputs = codes(steps)
        outputs = await run(2, inputs, state is not None)
        trace = references[1].run(inputs, state)
        assert (outputs == trace.outputs).all()
        await bench.write("MODEL", 2)
        assert await bench.read("STATUS") >> Status.STATE_VALID & 1
        return trace.state

    async def saved(model: int) -> list[Sequence[LayerState]]:
        read = await run(model + 1, np.zeros((1, 0), dtype=np.int8), False)
        return list(states_read(resident.models[model], read, resident.models[model + 1]))

    model = resident.models[0]
    # The state of one model is not a state of another.
    elsewhere = await other(2, None)
    bench.model = 0
    await refuses_to_keep(bench, model.pack_inputs([codes(2), codes(2)]), model.output_size)
    inputs = [codes(3, extreme=True), codes(3)]
    await run(0, model.pack_inputs(inputs), False)
    states = [references[0].run(one).state for one in inputs]
    for delay in (3, 60, 150):
        before = await saved(0)
        assert all(equal(got, wanted) for got, wanted in zip(before, states, strict=True))
        # After an abort in the middle, the saved state can be loaded and continued.
        bench.model = 0
        bench.send(model.pack_inputs([codes(9, extreme=True), codes(9)]))
        await bench.start(9, keep_state=True)
        await bench.cycles(delay)
        await bench.write("CONTROL", 1 << Control.ABORT)
        await bench.wait_status(Status.BUSY, 0)
        assert await bench.read("STATUS") >> Status.ABORTED & 1
        await bench.cycles(4)
        assert not await bench.read("STATUS") >> Status.STATE_VALID & 1
        # What the aborted sequence has sent is a packet of its own.
        bench.sink.clear()
        assert bench.source.idle(), "the packet under way was not dropped"
        elsewhere = await other(2, elsewhere)
        assert equal((await saved(2))[0], elsewhere)
        await bench.write("MODEL", 0)
        bench.load(load_states(model, before))
        await bench.source.wait()
        inputs = [codes(2, extreme=True), codes(2)]
        outputs = model.unpack_outputs(await run(0, model.pack_inputs(inputs), True))
        traces = [references[0].run(one, state) for one, state in zip(inputs, states, strict=True)]
        for got, trace in zip(outputs, traces, strict=True):
            assert (got == trace.outputs).all(), f"after an abort {delay} cycles after START"
        states = [trace.state for trace in traces]
        elsewhere = await other(1, elsewhere)


async def refuses_to_keep(bench: BusDriver, inputs: npt.NDArray[np.int8], width: int) -> None:
    """KEEP_STATE without a state raises NO_STATE and starts from a cleared one."""
    bench.send(inputs)
    await bench.start(len(inputs), keep_state=True)
    await bench.receive(len(inputs), width)
    await bench.wait_status(Status.BUSY, 0)
    assert await bench.errors() == {Error.NO_STATE}
    await bench.write("ERRORS", 1 << Error.NO_STATE)
