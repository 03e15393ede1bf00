"""cocotb test of the controller, cycle by cycle; SRNN_GRID names the grid whose parameters it has."""

from __future__ import annotations

import os
from collections import abc
from typing import Any

import cocotb
import numpy as np

from hdl.layouts import schedule_entry_layout, schedule_header_layout, schedule_width, token_layout
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import DRAIN_CYCLES, CycleBench
from sim_tests.bench.controller_host import Surroundings, random_schedule
from sim_tests.bench.controller_model import STALLS, ControllerModel
from sim_tests.bench.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
HEADERS, ENTRIES, TOKENS = (
    LayoutPacker(layout(PARAMETERS)) for layout in (schedule_header_layout, schedule_entry_layout, token_layout)
)
SEQUENCES = 200
ALL_PHASES = (1 << PARAMETERS.phases) - 1
#: Sequences (by number) so long that completed steps are counted beyond 256.
LONG = (20,)
#: Inputs and their values while nothing happens.
IDLE = dict.fromkeys(
    ("start", "abort", "keep_state", "steps", "phase_enable", "loading", "load_begun", "load_begun_state",
     "load_finished", "load_finished_state", "load_failed", "complete", "complete_phase", "stream_busy",
     "input_available", "steps_sent", "all_sent", "model", "initialised", "schedule_write", "schedule_write_address"), 0
) | {"input_quiet": 1, "output_idle": 1}


class ControllerBench(CycleBench):
    """The controller with its schedule ROM, compared with its model."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.model = ControllerModel(DRAIN_CYCLES, PARAMETERS.models)
        # Words of a memory that nobody has written: whatever they are, they are no headers.
        self.rom = [(1 << schedule_width(PARAMETERS)) - 1] * PARAMETERS.schedule_depth
        self.word = 0
        #: The model that the host names, until it names another.
        self.named = 0
        #: The ROM has contents before it is written.
        self.initialised = 0
        #: Packets with a state so far, which differ in length.
        self.states = 0

    async def compare(self, **inputs: int) -> abc.Mapping[str, int]:
        """One cycle, in which all outputs must equal the model's; returns them."""
        values = IDLE | {"model": self.named, "initialised": self.initialised} | inputs
        self.named = values["model"]
        await self.cycle(values, schedule_word=self.word)
        wanted = self.model.cycle(values)
        for name, value in wanted.items():
            if name not in ("phase", "token_parity", "fresh"):
                assert self.read(name) == value, f"cycle {self.model.now}: {name} = {self.read(name)}, not {value}"
        if wanted["token_valid"]:
            token = {"phase": wanted["phase"], "parity": wanted["token_parity"], "fresh": wanted["fresh"]}
            assert TOKENS.unpack(self.read("token")) == token, f"cycle {self.model.now}"
        if wanted["busy"]:
            assert HEADERS.unpack(self.read("header")) == self.model.header
        self.word = self.rom[self.read("schedule_address")]
        return wanted

    async def load_state(self, fails: bool = False) -> None:
        """A load packet with a state of the model that is named at its beginning."""
        named = self.named
        await self.compare(load_begun=1, load_begun_state=1)
        # The name may change meanwhile: the state is that of the model before.
        self.states += 1
        for _ in range(1 + self.states % 2):
            await self.compare(loading=1, start=1, steps=1, model=(named + 1) % PARAMETERS.models)
        await self.compare(loading=1, load_failed=int(fails), load_finished=int(not fails),
                           load_finished_state=int(not fails))
        await self.compare(model=named)

    async def load(
        self, model: int, header: dict[str, int], entries: list[dict[str, int]], fails: bool = False
    ) -> None:
        """Load another schedule of a model; the packet may fail at its end."""
        # Schedules in the same words are lost.
        words = range(header["first"], header["first"] + header["entries"])
        for other, lost in enumerate(self.model.headers):
            if lost["entries"] and {*words} & {*range(lost["first"], lost["first"] + lost["entries"])}:
                self.model.headers[other] = lost | {"entries": 0}
                self.rom[other] = 0
        self.rom[model] = HEADERS.pack(header)
        self.rom[words.start : words.stop] = map(ENTRIES.pack, entries)
        self.model.headers[model], self.model.schedules[model] = header, entries
        await self.compare(load_begun=1)
        for address in (model, *words):
            await self.compare(loading=1, schedule_write=1, schedule_write_address=address, start=1, steps=1)
        await self.compare(loading=1, load_finished=int(not fails), load_failed=int(fails))
        # The header is read again before START can arrive.
        await self.compare()
        await self.compare()


def some_phases(rng: np.random.Generator) -> int:
    """Switches of phases at random."""
    return int.from_bytes(rng.bytes(8), "little") & ALL_PHASES


def some_model(rng: np.random.Generator) -> int:
    """A model number, mostly one that the grid has."""
    model = int(rng.integers(PARAMETERS.models))
    return model if rng.random() < 0.9 else model + PARAMETERS.models * int(rng.choice([1, 2, 16, 1 << 20]))


async def baked_schedules(bench: ControllerBench, rng: np.random.Generator) -> None:
    """Schedules that the ROM has from the beginning count, with every state that is loaded, until a load fails."""
    model, every = bench.model, range(PARAMETERS.models)
    for index in every:
        header, entries = random_schedule(PARAMETERS, rng)
        bench.rom[index] = HEADERS.pack(header)
        model.headers[index], model.schedules[index] = header, entries
    bench.initialised = 1
    # The cycle after the reset, in which model 0 was named already.
    model.cycle(IDLE)
    for receiver in (None, *every, None):
        if receiver is not None:
            await bench.compare(model=receiver)
            await bench.compare()
            await bench.load_state()
        for index in (*every, PARAMETERS.models):
            await bench.compare(model=index)
        await bench.compare()
    await bench.load_state(fails=True)
    for index in every:
        await bench.compare(model=index)
    await bench.compare()
    model.headers[:] = [header | {"entries": 0} for header in model.headers]
    bench.initialised = 0


async def name_a_model(bench: ControllerBench, rng: np.random.Generator, start: abc.Mapping[str, int]) -> None:
    """Name models, each in the cycle before a `start`, until one can run; often the model already named."""
    model = bench.model
    able = [index for index, header in enumerate(model.headers) if header["entries"] and index in model.written]
    while bench.named not in able or rng.random() < 0.2:
        if bench.named not in able:
            await bench.compare(**start)
        await bench.compare(model=int(rng.choice(able)) if rng.random() < 0.8 else some_model(rng))


@cocotb.test()
async def controller(dut: Any) -> None:
    """Random schedules, hosts and aborts: tokens, counters, flags and the state in every cycle."""
    bench, rng, p = ControllerBench(dut), np.random.default_rng(24), PARAMETERS
    await bench.begin(**IDLE, schedule_word=0)
    model = bench.model
    await baked_schedules(bench, rng)
    await bench.compare(model=0)
    header, entries = random_schedule(PARAMETERS, rng)
    await bench.compare(start=1, steps=1)
    await bench.load(0, header | {"entries": 0}, [])
    await bench.compare(start=1, steps=1)
    await bench.load(0, header, entries, fails=True)
    await bench.compare(start=1, steps=1)
    assert model.seen["no_model"] == 3
    await bench.load(0, header, entries)
    for number in range(SEQUENCES):
        if number in LONG or rng.random() < 0.3:
            header, entries = random_schedule(PARAMETERS, rng)
            await bench.compare(model=some_model(rng))
            # A state keeps the states of the other models; a schedule does not.
            await bench.load(int(rng.integers(p.models)), header, entries)
            if rng.random() < 0.1:
                await bench.load(int(rng.integers(p.models)), header, entries, fails=True)
                for index in range(p.models):
                    # The last one is loaded in any case, so that some model can run.
                    if model.headers[index]["entries"] and (rng.random() < 0.9 or not model.written):
                        await bench.load(index, model.headers[index], list(model.schedules[index]))
        if rng.random() < 0.3:
            await bench.compare(model=some_model(rng))
            await bench.load_state(fails=False)
        if rng.random() < 0.2:
            await bench.compare(start=1, steps=0, abort=int(rng.integers(2)))
        steps = 300 if number in LONG else int(rng.integers(1, 8))
        held = {
            "steps": steps, "keep_state": int(rng.random() < 0.6),
            "phase_enable": ALL_PHASES if rng.random() < 0.5 else some_phases(rng),
        }
        await name_a_model(bench, rng, held | {"start": 1})
        entries = list(model.schedules[bench.named])
        fast = number in LONG or rng.random() < 0.3
        paces = (1.0, 1.0, 1.0, 0.1) if fast else tuple(float(pace) for pace in rng.choice([0.05, 0.3, 0.9], 4))
        around = Surroundings(rng, entries, steps, (paces[0], paces[1], paces[2], min(paces[3], 0.5)))
        abort = None
        if number not in LONG and rng.random() < 0.4:
            abort = 1 if rng.random() < 0.5 else int(rng.integers(2, 60))
        # START and ABORT in one write start the sequence.
        await bench.compare(**held, start=1, abort=int(rng.integers(2)))
        cycle = 0
        while model.state != "idle":
            cycle += 1
            assert cycle < 20_000, f"sequence {number} does not end"
            again = int(rng.random() < 0.02)
            inputs = around.inputs() | held | {"start": again, "abort": int(cycle == abort)}
            # Registers that are written after START belong to the next sequence.
            inputs |= {
                "steps": int(rng.integers(9)), "keep_state": int(rng.integers(2)), "model": some_model(rng),
                "phase_enable": some_phases(rng),
            }
            around.react(await bench.compare(**inputs))
        for _ in range(int(rng.choice([0, 0, 0, 1, 11]))):
            await bench.compare(model=some_model(rng))
    assert model.counters["cycles"] > 0
    if p.models > 1:
        for name in ("kept beside another", "state loaded beside another", "aborted beside another"):
            assert model.seen[name], f"never seen: {name}"
    for name in (*STALLS, "no_steps", "no_state", "start_while_busy", "aborted", "done", "input_free", "output_skip",
                 "slot held", "switched off", "two missing", "stream_busy", "no such model", "start_while_loading",
                 "loads failed"):
        assert model.seen[name], f"never seen: {name}"
