"""Controller: sends phase tokens in the order of the schedule ROM, each when what it waits for is there."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import (
    schedule_entry_layout,
    schedule_header_layout,
    schedule_width,
    token_layout,
)
from hdl.parameters import GridParameters

__all__ = ["Controller"]


class Controller(wiring.Component):
    """Runs one sequence of `steps` steps of one `model` after `start`.

    The schedule ROM beside it (address `schedule_address`, word one cycle later) holds a header for each model, and the
    `entries` entries of each from its `first` on. The header is read all the time while nothing runs: `model` must
    have its value in the cycle before `start` already, which any register write before that of START sees to.
    Iteration i = 0, 1, ... issues every entry once, for step i - lag; entries whose step does not exist take one
    cycle and do nothing (with `holds_slot` they wait for the duration before them and take their own). An entry is
    issued in the first cycle in which
    - the `duration` of the entry before has passed (`fresh_duration`, if its token was `fresh`),
    - its phase to wait for is complete up to the step it needs (`complete`, one pulse a phase and step),
    - the input vector of its step is loaded (`input_available`), if it needs one,
    - the output of the step two before has been sent, if its results go to the host, and
    - the write stream is free (`stream_busy` low): results go before tokens.
    The token is on `token_valid`/`token` in that cycle. The entry after an issued or skipped one is considered in the
    next cycle. With `phase_enable` low a phase sends no token; everything else happens as if it had, and its
    results count as complete at once.
    `model`, `steps`, `keep_state` and `phase_enable` are taken with `start`; a `model` that has no entries, or that is
    beyond `models`, raises `no_model`.
    `parity` is that of the next step of the model that runs, or ran last. Each model has its own, and its own state:
    `state_valid` tells of the one that `model` names. A load packet of a state (`loaded`, `loaded_state`) makes the
    state of the model that `model` names valid, its next step one of half 0; any other (`loaded` alone) does away with
    the states of all models.
    After the last iteration the controller waits for `steps_sent` and `output_idle`, then `done`. `abort` ends the
    sequence: no more tokens; `drain_cycles` after the last phase's duration, when input and output are quiet, it is
    `aborted`.
    """

    module_name = "srnn_controller"

    def __init__(self, parameters: GridParameters, drain_cycles: int) -> None:
        self.parameters = p = parameters
        self.drain_cycles = drain_cycles
        super().__init__({
            "start": In(1),
            "abort": In(1),
            "keep_state": In(1),
            "model": In(32),
            "steps": In(32),
            "phase_enable": In(64),
            "loaded": In(1),
            "loaded_state": In(1),
            "schedule_address": Out(p.schedule_bits),
            "schedule_word": In(schedule_width(p)),
            "complete": In(1),
            "complete_phase": In(p.phase_bits),
            "stream_busy": In(1),
            "token_valid": Out(1),
            "token": Out(token_layout(p)),
            "input_available": In(1),
            "input_quiet": In(1),
            "input_consume": Out(1),
            "input_free": Out(1),
            "output_skip": Out(1),
            "output_idle": In(1),
            "steps_sent": In(32),
            "begin_sequence": Out(1),
            "running": Out(1),
            "flush": Out(1),
            "parity": Out(1),
            "header": Out(schedule_header_layout(p)),
            "busy": Out(1),
            "done": Out(1),
            "aborted": Out(1),
            "state_valid": Out(1),
            "steps_latched": Out(32),
            "start_while_busy": Out(1),
            "no_steps": Out(1),
            "no_model": Out(1),
            "no_state": Out(1),
            "cycles": Out(64),
            "stall_input": Out(64),
            "stall_output": Out(64),
            "stall_result": Out(64),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        rom_header = Signal(schedule_header_layout(p))
        entry = Signal(schedule_entry_layout(p))
        m.d.comb += [rom_header.eq(self.schedule_word), entry.eq(self.schedule_word)]

        # One bit for each model: whether it is the one that is named, whether it runs (or ran last), whether it has a
        # state, and the half of its next step.
        named, current, valid, parities = (
            Signal(p.models, name=name) for name in ("named", "current", "valid", "parities")
        )
        header_address = Signal(p.schedule_bits)
        m.d.comb += [
            header_address.eq(self.model[: p.model_bits]),
            *(named[index].eq(self.model == index) for index in range(p.models)),
            self.state_valid.eq((named & valid).any()),
            self.parity.eq((current & parities).any()),
        ]

        address = Signal(p.schedule_bits)
        last_address = Signal(p.schedule_bits)
        iteration = Signal(33)
        window = Signal(24)
        frees = Signal()
        fresh = Signal()
        drain = Signal(range(self.drain_cycles + 1))
        step = Signal(signed(34))
        exists = Signal()
        enabled = Signal()
        phases_enabled = Signal(64)
        m.d.comb += [
            step.eq(iteration - entry.lag),
            exists.eq((step >= 0) & (step < self.steps_latched)),
            enabled.eq(phases_enabled.bit_select(entry.phase, 1)),
        ]
        with m.If(window != 0):
            m.d.sync += window.eq(window - 1)
        # The last reader of the input vector is over: its half can be written again.
        m.d.comb += self.input_free.eq(frees & (window == 0))
        with m.If(window == 0):
            m.d.sync += frees.eq(0)

        input_ready, output_ready, issue, skip = Signal(), Signal(), Signal(), Signal()
        result_ready = self._results(m, entry, step, issue & ~enabled)
        m.d.comb += [
            input_ready.eq(~entry.needs_input | self.input_available),
            output_ready.eq(~entry.to_host | ((step[:32] - self.steps_sent)[:32] < 2)),
            self.token.phase.eq(entry.phase),
            self.token.parity.eq(step[0] ^ self.parity),
            self.token.fresh.eq(fresh & (step == 0)),
            self.token_valid.eq(issue & enabled),
            self.input_consume.eq(issue & entry.frees_input),
            self.output_skip.eq(issue & entry.to_host & ~enabled),
        ]

        last_entry = Signal()
        finished = Signal()
        next_address = Signal(p.schedule_bits)
        m.d.comb += [
            last_entry.eq(address == last_address),
            finished.eq(iteration == self.steps_latched + self.header.max_lag),
            next_address.eq(address),
            self.schedule_address.eq(next_address),
        ]
        m.d.sync += address.eq(next_address)
        with m.If(issue):
            m.d.sync += [
                window.eq(Mux(self.token.fresh, entry.fresh_duration, entry.duration)), frees.eq(entry.frees_input)
            ]
        with m.If(skip & entry.holds_slot):
            m.d.sync += window.eq(entry.duration)
        with m.If(issue | skip):
            m.d.comb += next_address.eq(Mux(last_entry, self.header.first, address + 1))
            m.d.sync += iteration.eq(iteration + last_entry)

        self._count(m, exists, finished, window, result_ready, input_ready, output_ready)
        m.d.comb += self.start_while_busy.eq(self.start & self.busy)
        # What is loaded may lie anywhere, so that no state can be trusted any more; only one that is loaded after it.
        with m.If(self.loaded & self.loaded_state):
            m.d.sync += [parities.eq(parities & ~named), valid.eq(valid | named)]
        with m.Elif(self.loaded):
            m.d.sync += [parities.eq(0), valid.eq(0)]
        with m.FSM(name="sequence"):
            with m.State("IDLE"):
                m.d.comb += next_address.eq(header_address)
                # After a load the ROM's output is one cycle behind, long before a start can arrive.
                with m.If(self.start & (self.steps == 0)):
                    m.d.comb += self.no_steps.eq(1)
                with m.Elif(self.start & ((rom_header.entries == 0) | ~named.any())):
                    m.d.comb += self.no_model.eq(1)
                with m.Elif(self.start):
                    m.d.comb += [
                        next_address.eq(rom_header.first), self.no_state.eq(self.keep_state & ~self.state_valid)
                    ]
                    m.d.sync += [
                        current.eq(named), last_address.eq(rom_header.first + rom_header.entries - 1),
                        self.header.eq(rom_header), self.steps_latched.eq(self.steps), iteration.eq(0),
                        phases_enabled.eq(self.phase_enable),
                        fresh.eq(~(self.keep_state & self.state_valid)), self.done.eq(0), self.aborted.eq(0),
                        self.begin_sequence.eq(1),
                    ]
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += self.begin_sequence.eq(0)
                m.next = "RUN"
                self._abort(m, drain, valid, current)
            with m.State("RUN"):
                m.d.comb += [
                    self.busy.eq(1),
                    self.running.eq(1),
                    skip.eq(~finished & ~exists & (~entry.holds_slot | (window == 0))),
                    issue.eq(
                        ~finished & exists & (window == 0) & result_ready & input_ready & output_ready
                        & ~self.stream_busy
                    ),
                ]
                # START may come in the first idle cycle: the header has to be on its way by then.
                with m.If(finished):
                    m.d.comb += next_address.eq(header_address)
                with m.If(finished & (self.steps_sent == self.steps_latched) & self.output_idle):
                    m.d.sync += [
                        self.done.eq(1), valid.eq(valid | current),
                        parities.eq(parities ^ Mux(self.steps_latched[0], current, 0)),
                    ]
                    m.next = "IDLE"
                with m.Else():
                    self._abort(m, drain, valid, current)
            with m.State("ABORT"):
                m.d.comb += [self.busy.eq(1), self.flush.eq(1), next_address.eq(header_address)]
                with m.If((window == 0) & (drain != 0)):
                    m.d.sync += drain.eq(drain - 1)
                with m.If((drain == 0) & self.input_quiet & self.output_idle):
                    m.d.sync += self.aborted.eq(1)
                    m.next = "IDLE"
        return m

    def _abort(self, m: Module, drain: Signal, valid: Signal, current: Signal) -> None:
        with m.If(self.abort):
            m.d.sync += [drain.eq(self.drain_cycles), valid.eq(valid & ~current)]
            m.next = "ABORT"

    def _results(self, m: Module, entry: data.View, step: Value, skipped: Value) -> Signal:
        """Whether the results that the entry waits for have all been collected.

        Completed steps are counted modulo 256; phases are never more than a few steps apart.
        """
        p = self.parameters
        completed = Array(Signal(8, name=f"completed_{phase}") for phase in range(p.phases))
        needed = Signal(8)
        ahead = Signal(signed(8))
        ready = Signal()
        m.d.comb += [
            needed.eq(step[:8] + 1 - entry.wait_back),
            ahead.eq(completed[entry.wait_phase] - needed),
            ready.eq(~entry.wait | (ahead >= 0)),
        ]
        with m.If(self.complete):
            m.d.sync += completed[self.complete_phase].eq(completed[self.complete_phase] + 1)
        # A phase that is switched off is complete when it would have begun.
        with m.If(skipped):
            m.d.sync += completed[entry.phase].eq(completed[entry.phase] + 1)
        with m.If(self.begin_sequence):
            m.d.sync += [count.eq(0) for count in completed]
        return ready

    def _count(
        self, m: Module, exists: Value, finished: Value, window: Value, result: Value, input_: Value, output: Value
    ) -> None:
        waiting = Signal()
        m.d.comb += waiting.eq(self.running & ~finished & exists & (window == 0))
        with m.If(self.begin_sequence):
            m.d.sync += [self.cycles.eq(1), self.stall_input.eq(0), self.stall_output.eq(0), self.stall_result.eq(0)]
        with m.Elif(self.busy):
            m.d.sync += [
                self.cycles.eq(self.cycles + 1),
                self.stall_result.eq(self.stall_result + (waiting & ~result)),
                self.stall_input.eq(self.stall_input + (waiting & result & ~input_ & output)),
                self.stall_output.eq(self.stall_output + (waiting & result & ~output & input_)),
            ]
