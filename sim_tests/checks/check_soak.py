"""cocotb test: one random model and a host that does right and wrong things in random order.

SRNN_GRID names the grid, SRNN_SEED makes the model and the things, SRNN_ACTIONS chooses some of them by number
("0,3,4"; default: all of SRNN_COUNT), SRNN_SUMMARY names a file for what was done, as JSON.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from hdl.grid.image_loader import HEADER_BYTES
from hdl.layouts import Memory
from hdl.register_map import Control, Error, Status
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.images import Image
from rnn_mapper.mapping.packets import load_packet, load_packets
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase, cells_for

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


def random_case(rng: np.random.Generator) -> ModelCase:
    """A model that the grid can hold."""
    p = PARAMETERS
    while True:
        cell = cells_for(p)[int(rng.integers(len(cells_for(p))))]
        case = ModelCase(
            cell, int(rng.integers(1, 2 * p.lanes + 2)),
            tuple(int(size) for size in rng.integers(1, 2 * p.rows * p.cols + 2, int(rng.integers(1, 4)))),
            int(rng.integers(1, p.rows + 3)) if rng.random() < 0.5 else None,
            schedule=list(PhaseOrder)[int(rng.integers(len(PhaseOrder)))], seed=int(rng.integers(1 << 20)),
        )
        try:
            case.mapping(p)
        except MappingError:
            continue
        return case


class Soak:
    """A grid with a loaded model, and what a host may do to it."""

    def __init__(self, dut: Any, case: ModelCase) -> None:
        self.bench, self.case = ModelBench(dut, PARAMETERS), case
        self.mapping = case.mapping(PARAMETERS)
        self.rng = np.random.default_rng(0)
        self.has_state = False
        self.done: Counter[str] = Counter()
        self.actions: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self.sequence, self.sequence, self.sequence, self.no_steps, self.no_such_model, self.start_while_busy,
            self.load_while_busy, self.wrong_header, self.wrong_address, self.short_load, self.long_load,
            self.start_while_loading, self.dead_load, self.early_end, self.late_end, self.abort, self.reset,
        ]

    async def begin(self) -> None:
        """Reset, and load the model."""
        await self.bench.begin()
        await self.load()

    async def load(self) -> None:
        """Load the model."""
        await self.bench.load_model(self.mapping)
        self.has_state = False

    async def expect(self, *errors: Error) -> None:
        """Exactly these flags are set; they are cleared."""
        found = await self.bench.errors()
        names = [sorted(error.name for error in flags) for flags in (found, errors)]
        assert names[0] == names[1], f"flags {names[0]}, not {names[1]}"
        await self.bench.write("ERRORS", 0xFFFFFFFF)

    async def sequence(self) -> None:
        """A sequence as it should be, sometimes continued, sometimes with pauses of source and sink."""
        rng, bench = self.rng, self.bench
        steps, keep = int(rng.integers(1, 7)), bool(self.has_state and rng.random() < 0.5)
        stalled = rng.random() < 0.4
        if stalled:
            chances = rng.choice([0.0, 0.3, 0.9], 2)
            seeds = [int(seed) for seed in rng.integers(1 << 30, size=2)]
            bench.pause(*(
                lambda chance=chance, seed=seed: iter(np.random.default_rng(seed).random(200_000) < chance)
                for chance, seed in zip(chances, seeds, strict=True)
            ))
        await bench.check(
            self.case.operands(PARAMETERS, steps, int(rng.integers(1 << 20)), bool(rng.random() < 0.2)), keep=keep,
            timing=not stalled,
        )
        if stalled:
            bench.source.clear_pause_generator()
            bench.sink.clear_pause_generator()
            bench.source.pause = bench.sink.pause = False
        self.has_state = True
        self.done["cycles"] += await bench.read("CYCLES")
        self.done["steps"] += steps

    async def no_steps(self) -> None:
        """START with STEPS = 0."""
        await self.bench.start(0)
        await self.expect(Error.NO_STEPS)

    async def no_such_model(self) -> None:
        """START with a MODEL that is not there."""
        await self.bench.write("MODEL", int(self.rng.integers(1, 1 << 32)))
        await self.bench.start(1)
        await self.expect(Error.NO_MODEL)
        await self.bench.write("MODEL", 0)

    async def _waiting(self) -> None:
        """A sequence that waits for its input."""
        await self.bench.start(2)
        await self.bench.cycles(int(self.rng.integers(1, 40)))

    async def _end(self, flags: tuple[Error, ...]) -> None:
        await self.expect(*flags)
        await self.bench.write("CONTROL", 1 << Control.ABORT)
        await self.bench.finish()
        self._aborted()

    def _aborted(self) -> None:
        self.has_state = False
        assert not self.bench.beats or self.bench.beats[-1].last, "an aborted packet has no end"
        self.bench.beats.clear()
        self.bench.sink.clear()

    async def start_while_busy(self) -> None:
        """START during a sequence."""
        await self._waiting()
        await self.bench.write("CONTROL", 1 << Control.START)
        await self._end((Error.START_WHILE_BUSY,))

    def _some_packet(self) -> bytes:
        packets = list(load_packets(self.mapping))
        return packets[int(self.rng.integers(len(packets)))]

    async def _send(self, packet: bytes) -> None:
        self.bench.load([packet])
        await self.bench.source.wait()
        await self.bench.cycles(4)

    async def load_while_busy(self) -> None:
        """A load packet during a sequence."""
        await self._waiting()
        packet = self._some_packet()
        await self._send(packet[:16] + self.rng.bytes(len(packet) - 16) if len(packet) > 16 else packet)
        await self._end((Error.LOAD_WHILE_BUSY,))

    async def wrong_header(self) -> None:
        """A bit of a header is wrong."""
        packet, bit = bytearray(self._some_packet()), int(self.rng.integers(8 * HEADER_BYTES))
        packet[bit // 8] ^= 1 << bit % 8
        await self._send(bytes(packet))
        await self.expect(Error.LOAD_HEADER)

    async def wrong_address(self) -> None:
        """Words beyond the end of a memory."""
        p = PARAMETERS
        image = Image(40, [0] * int(self.rng.integers(1, 4)))
        await self._send(load_packet(p, Memory.GATE, image, 0, 0, word=int(self.rng.choice(
            [p.gate_entries, p.gate_entries - len(image.words) + 1, 0xFFFFFFFF, 1 << 31, 1 << 16]
        ))))
        await self.expect(Error.LOAD_ADDRESS)

    async def _reload(self) -> None:
        """Nothing counts as loaded until the model is loaded again."""
        await self.bench.start(1)
        await self.expect(Error.NO_MODEL)
        await self.load()

    def _cut(self, packet: bytes) -> int:
        """A number of beats inside the data of a packet."""
        size = PARAMETERS.beat_bytes
        head = -(-HEADER_BYTES // size)
        return int(self.rng.integers(head + 1, len(packet) // size)) if len(packet) // size > head + 1 else 0

    async def short_load(self) -> None:
        """A load packet that ends early."""
        packet = self._some_packet()
        if beats := self._cut(packet):
            await self._send(packet[: beats * PARAMETERS.beat_bytes])
            await self.expect(Error.LOAD_FRAMING)
            await self._reload()

    async def long_load(self) -> None:
        """A load packet that goes on."""
        await self._send(self._some_packet() + self.rng.bytes(int(self.rng.integers(1, 4)) * PARAMETERS.beat_bytes))
        await self.expect(Error.LOAD_FRAMING)
        await self._reload()

    async def start_while_loading(self) -> None:
        """START inside a load packet."""
        packet = self._some_packet()
        beats = int(self.rng.integers(1, len(packet) // PARAMETERS.beat_bytes))
        place = beats * PARAMETERS.beat_bytes
        await self.bench.put_beats(packet[:place], tdest=1)
        await self.bench.cycles(4)
        await self.bench.start(1)
        await self.expect(Error.START_WHILE_LOADING)
        await self._send(packet[place:])
        self.has_state = False

    async def dead_load(self) -> None:
        """A load packet whose source dies; ABORT ends it."""
        packet = self._some_packet()
        if beats := self._cut(packet):
            await self.bench.put_beats(packet[: beats * PARAMETERS.beat_bytes], tdest=1)
            await self.bench.cycles(4)
            await self.bench.write("CONTROL", 1 << Control.ABORT)
            await self.bench.cycles(4)
            await self.expect(Error.LOAD_FRAMING)
            await self._reload()

    async def early_end(self) -> None:
        """An input packet that ends early."""
        steps = int(self.rng.integers(2, 5))
        self.bench.send(self.case.operands(PARAMETERS, int(self.rng.integers(1, steps))))
        await self.bench.start(steps)
        await self.bench.wait_status(Status.BUSY, 0)
        await self.expect(Error.INPUT_FRAMING)
        self._aborted()

    async def late_end(self) -> None:
        """An input packet that goes on after the last step."""
        steps = int(self.rng.integers(1, 4))
        inputs = self.case.operands(PARAMETERS, steps + int(self.rng.integers(1, 3)), int(self.rng.integers(1 << 20)))
        self.bench.beats.clear()
        self.bench.send(inputs)
        await self.bench.start(steps)
        await self.bench.finish()
        trace = self.bench.reference.run(inputs[:steps])
        assert (self.bench.take_outputs(steps) == trace.outputs).all()
        self.bench.state, self.has_state = trace.state, True
        await self.bench.source.wait()
        await self.bench.cycles(2)
        await self.expect(Error.INPUT_FRAMING)
        self.bench.sink.clear()

    async def abort(self) -> None:
        """ABORT at any time."""
        steps = int(self.rng.integers(1, 5))
        self.bench.beats.clear()
        self.bench.send(self.case.operands(PARAMETERS, steps))
        await self.bench.start(steps)
        await self.bench.cycles(int(self.rng.integers(20, self.mapping.predict(steps).cycles + 20)))
        await self.bench.write("CONTROL", 1 << Control.ABORT)
        await self.bench.finish()
        status = await self.bench.read("STATUS")
        await self.bench.cycles(2)
        if status >> Status.ABORTED & 1:
            self._aborted()
        else:
            self.bench.beats.clear()
            self.bench.sink.clear()
            self.bench.state = self.bench.reference.run(self.case.operands(PARAMETERS, steps)).state
            self.has_state = True
        if not self.bench.source.idle():
            # The packet had not begun: it belongs to the next sequence.
            await self.bench.check(self.case.operands(PARAMETERS, steps), timing=False, send=False)
            self.has_state = True
        await self.expect()

    async def reset(self) -> None:
        """A reset, between packets: the model must be loaded again."""
        await self.bench.begin()
        await self._reload()


@cocotb.test()
async def soak(dut: Any) -> None:
    """Everything in the order of the seed; after each wrong thing a sequence, which must be right."""
    seed = int(os.environ["SRNN_SEED"])
    chosen = os.environ.get("SRNN_ACTIONS")
    numbers = range(int(os.environ.get("SRNN_COUNT", "25"))) if chosen is None else map(int, chosen.split(","))
    soak = Soak(dut, random_case(np.random.default_rng(seed)))
    dut._log.info("%s", soak.case)
    await soak.begin()
    soak.done["models"] += 1
    for number in numbers:
        soak.rng = np.random.default_rng((seed, number))
        action = soak.actions[int(soak.rng.integers(len(soak.actions)))]
        dut._log.info("action %d: %s", number, action.__name__)
        try:
            await action()
            soak.done[action.__name__] += 1
            if action != soak.sequence:
                soak.done["faults"] += 1
                await soak.sequence()
        except AssertionError as error:
            raise AssertionError(f"action {number}, {action.__name__}: {error}") from error
    soak.done["beats"] += len(soak.bench.started)
    if summary := os.environ.get("SRNN_SUMMARY"):
        Path(summary).write_text(json.dumps(soak.done), encoding="utf-8")
