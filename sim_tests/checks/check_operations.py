"""cocotb test: all operations of a host in random order, with stalls on every stream, against the reference.

SRNN_GRID names the grid, SRNN_COUNT the number of operations, SRNN_SEED the random choices.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import cocotb
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from hdl.register_map import Control, Error, Status
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import load_packets
from rnn_mapper.mapping.state_images import state_packets
from sim_tests.bench.altered_images import one_model_many_times
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase
from sim_tests.bench.random_cases import model_cases

#: Models that the operations choose from.
MODELS = 5


def some_models(parameters: Any, count: int) -> list[tuple[ModelCase, Mapping]]:
    """The first random models that fit."""
    found: list[tuple[ModelCase, Mapping]] = []

    @settings(
        derandomize=True, max_examples=4 * count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(model_cases(parameters))
    def collect(case: ModelCase) -> None:
        # The first examples are the simplest, too small for anything to be under way for long.
        if len(found) < count and sum(case.hidden) > parameters.rows:
            with suppress(MappingError):
                found.append((case, case.mapping(parameters)))

    collect()
    assert len(found) == count
    return found


class _Operations:
    """The operations, and the expected state of the grid between them."""

    def __init__(self, bench: ModelBench, models: list[tuple[ModelCase, Mapping]], rng: np.random.Generator) -> None:
        self.bench, self.models, self.rng = bench, models, rng
        self.case: ModelCase
        #: Whether the grid must report a state for each model number (all numbers are the same model), and the number
        #: whose state is in the memories.
        self.valid = [False] * bench.parameters.models
        self.owner: int | None = None
        #: Inputs that an aborted sequence did not begin to take; the next sequence takes them.
        self.left: np.ndarray | None = None

    def stalls(self) -> None:
        """Other random stalls on the source and on the sink; often none."""
        def pauses(chance: float) -> Iterator[bool]:
            while True:
                yield bool(self.rng.random() < chance)
        source, sink = self.rng.choice([0.0, 0.0, 0.3, 0.8, 0.97], size=2)
        self.bench.pause(lambda: pauses(source), lambda: pauses(sink))

    async def load(self) -> None:
        """Another model over the bus."""
        self.stalls()
        self.case, mapping = self.models[int(self.rng.integers(len(self.models)))]
        await self.bench.load_model(mapping)
        self.bench.load(iter([one_model_many_times(mapping)]))
        await self.bench.source.wait()
        await self.bench.cycles(2)
        self.forget()

    def forget(self) -> None:
        """No model has a state any more."""
        self.valid, self.owner = [False] * len(self.valid), None

    def choose(self) -> int:
        """The model of the next sequence."""
        self.bench.model = int(self.rng.integers(len(self.valid)))
        return self.bench.model

    def took(self, model: int) -> None:
        """A whole sequence of a model is over."""
        self.valid[model], self.owner = True, model

    async def look(self) -> None:
        """The grid must report exactly the models that have a state."""
        for model, valid in enumerate(self.valid):
            await self.bench.write("MODEL", model)
            assert await self.bench.read("STATUS") >> Status.STATE_VALID & 1 == valid, f"model {model}"

    async def load_state(self) -> None:
        """Load the current state for any model number; a network without state has none to load."""
        if self.owner is not None and any(self.bench.state):
            self.stalls()
            model = self.choose()
            await self.bench.write("MODEL", model)
            self.bench.load(state_packets(self.bench.mapping, self.bench.state))
            await self.bench.source.wait()
            await self.bench.cycles(2)
            self.took(model)

    def inputs(self) -> np.ndarray:
        """Inputs of 1 to 6 steps, or the inputs that are still on the bus."""
        if self.left is not None:
            return self.left
        steps, seed = int(self.rng.integers(1, 7)), int(self.rng.integers(1 << 16))
        return self.case.operands(self.bench.parameters, steps, seed, extreme=self.rng.random() < 0.3)

    async def sequence(self) -> None:
        """A whole sequence, often one that continues the sequence before."""
        self.stalls()
        if self.owner is not None and self.rng.random() < 0.6:
            model = self.bench.model = self.owner
        else:
            model = self.choose()
        keep = model == self.owner and self.rng.random() < 0.8
        await self.bench.check(self.inputs(), keep, timing=False, send=self.left is None, what=str(self.case))
        self.took(model)
        self.left = None

    async def begin(self) -> np.ndarray:
        """Start a sequence from a cleared state and let it run for a random time."""
        self.stalls()
        self.choose()
        inputs = self.inputs()
        if self.left is None:
            self.bench.send(inputs)
        await self.bench.start(len(inputs))
        expected = self.bench.mapping.predict(len(inputs)).cycles
        await self.bench.cycles(int(self.rng.integers(1, 2 * expected)))
        return inputs

    async def abort(self) -> None:
        """Abort at a random time; the rest of the packet is dropped."""
        inputs = await self.begin()
        running = await self.bench.read("STATUS") >> Status.BUSY & 1
        await self.bench.write("CONTROL", 1 << Control.ABORT)
        await self.bench.finish()
        status = await self.bench.read("STATUS")
        done, aborted = status >> Status.DONE & 1, status >> Status.ABORTED & 1
        assert done != aborted, f"DONE {done} and ABORTED {aborted}"
        assert running or done
        self.bench.beats.clear()
        await self.bench.cycles(int(self.rng.integers(2, 40)))
        assert not self.bench.dut.m_axis_tvalid.value, "an output beat is offered after the end"
        assert not self.bench.beats, "output beats after the end"
        model = self.bench.model
        assert model is not None
        self.valid[model], self.owner = bool(done), model if done else None
        if aborted:
            assert not status >> Status.STATE_VALID & 1
            await self.no_state()
        self.left = None if self.input_is_quiet() else inputs
        if done:
            self.bench.state = self.bench.reference.run(inputs).state
        self.bench.sink.clear()

    def input_is_quiet(self) -> bool:
        """Whether no beat is left, neither on the bus nor taken from it and kept by the grid, which is not ready then.
        """
        return bool(self.bench.source.idle() and self.bench.dut.s_axis_tready.value)

    async def no_state(self) -> None:
        """There is no state to continue from: the grid reports that and starts from a cleared state."""
        if self.input_is_quiet() and self.rng.random() < 0.5:
            inputs = self.inputs()
            self.bench.beats.clear()
            self.bench.send(inputs)
            await self.bench.start(len(inputs), keep_state=True)
            await self.bench.finish()
            assert await self.bench.errors() == {Error.NO_STATE}
            await self.bench.write("ERRORS", 1 << Error.NO_STATE)
            assert (self.bench.take_outputs(len(inputs)) == self.bench.reference.run(inputs).outputs).all()
            assert self.bench.model is not None
            self.valid[self.bench.model] = True
            # An abort while nothing runs does nothing.
            await self.bench.write("CONTROL", 1 << Control.ABORT)

    async def reset_run(self) -> None:
        """Reset in the middle of a run; the memories keep the model, but only a load says that its header is one."""
        await self.begin()
        await self.bench.begin()
        await self.bench.start(1)
        assert await self.bench.errors() == {Error.NO_MODEL}
        await self.bench.write("ERRORS", 0xFFFFFFFF)
        self.bench.load(iter([one_model_many_times(self.bench.mapping)]))
        await self.bench.source.wait()
        await self.bench.cycles(2)
        self.forget()
        self.left = None

    async def reset_load(self) -> None:
        """Reset in the middle of a load, and load again."""
        self.bench.load(load_packets(self.models[0][1]))
        await self.bench.cycles(int(self.rng.integers(1, 300)))
        await self.bench.begin()
        self.left = None
        await self.load()

    async def disturb(self) -> None:
        """START in the middle of a run is rejected and changes nothing."""
        if self.left is not None:
            return
        self.stalls()
        inputs = self.inputs()
        wanted = self.bench.reference.run(inputs)
        model = self.choose()
        self.bench.beats.clear()
        self.bench.send(inputs)
        await self.bench.start(len(inputs))
        await self.bench.write("CONTROL", 1 << Control.START)
        errors = {Error.START_WHILE_BUSY} & await self.bench.errors()
        await self.bench.finish()
        assert (self.bench.take_outputs(len(inputs)) == wanted.outputs).all()
        assert await self.bench.errors() == errors
        await self.bench.write("ERRORS", 0xFFFFFFFF)
        self.bench.state = wanted.state
        self.took(model)


@cocotb.test()
async def random_operations(dut: Any) -> None:
    """Outputs equal the reference after any history."""
    parameters = GRIDS[os.environ["SRNN_GRID"]]
    bench = ModelBench(dut, parameters)
    await bench.begin()
    rng = np.random.default_rng(int(os.environ.get("SRNN_SEED", "0")))
    operations = _Operations(bench, some_models(parameters, MODELS), rng)
    await operations.load()
    for _ in range(int(os.environ.get("SRNN_COUNT", "30"))):
        if operations.left is not None:
            chosen = "sequence"
        else:
            chosen = rng.choice(
                ["sequence", "abort", "load", "load_state", "reset_run", "reset_load", "disturb"],
                p=[0.35, 0.2, 0.1, 0.1, 0.1, 0.05, 0.1],
            )
        dut._log.info("operation %s", chosen)
        await getattr(operations, chosen)()
        await operations.look()
    await operations.sequence()
