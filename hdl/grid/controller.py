"""Controller: issues phase tokens in the order of the schedule ROM, each as soon as its conditions hold."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.counter import counter
from hdl.layouts import (
    schedule_entry_layout,
    schedule_header_layout,
    schedule_width,
    token_layout,
)
from hdl.parameters import GridParameters

__all__ = ["SEQUENCE_STATES", "Controller"]


#: Bits of the counts of completed steps.
_COUNT_BITS = 6
#: States of the controller, in the order of their numbers in the Verilog's `sequence_state`.
SEQUENCE_STATES = ("IDLE", "BEGIN", "RUN", "ABORT")


class Controller(wiring.Component):
    """Runs one sequence of `steps` steps of one `model` after `start`.

    The schedule ROM outside (address `schedule_address`, word one cycle later) holds a header for each model, and the
    `entries` entries of each model from address `first` on. The header is read all the time while nothing runs, and
    `model_loaded` and `state_valid` are those of the model that `model` named a cycle before, so that `model` must have
    its value in the cycle before `start`; a register write takes longer than that.
    Iteration i = 0, 1, ... issues every entry once, for step i - lag. Entries whose step does not exist are skipped and
    do nothing (with `holds_slot` they wait for the duration before them and take their own). An entry is issued in
    the first cycle in which
    - the `duration` of the entry before has passed (`fresh_duration`, if its token was `fresh`),
    - the phase that it waits for is complete up to the step it needs (`complete`, one pulse a phase and step),
    - the input vector of its step is loaded (`input_available`), if it needs one,
    - the output of two steps earlier has been sent, if its results go to the host, and
    - the write stream is free (`stream_busy` low): results go before tokens.
    The token is on `token_valid`/`token` in that cycle. The first entry is considered `first_entry` cycles after
    `begin_sequence`, each other one `entry_interval` cycles after the one before it was issued or skipped: meanwhile it
    is read, and all that its conditions depend on is computed, so that an issue needs only registers. A phase with
    `phase_enable` low sends no token; everything else happens as if it had sent one, and its results count as complete
    at once; `output_skip` tells so, one cycle later, of an entry whose results go to the host.
    `model`, `steps`, `keep_state` and `phase_enable` are sampled with `start`. A `model` beyond `models`, without
    entries, or whose header is neither in a ROM that is `initialised` nor was written (`schedule_write` at
    `schedule_write_address`) by a whole load packet since the reset, raises `no_model`; `model_loaded` is high for the
    others. `start` while `loading` raises `start_while_loading`.
    `parity` is the half of the next step of the model that runs, or ran last. Each model has its own half and its own
    state; `state_valid` belongs to the model that `model` names. A load packet with a state (`load_begun_state` when it
    begins, `load_finished_state` when it ends whole) makes the state of the model that `model` names at its beginning
    valid, and its next half 0. Any other packet (`load_begun` alone) invalidates the states of all models. After
    `load_failed` no model is loaded and no state is valid; a ROM that is `initialised` does not count any more, either,
    nor after a reset inside a packet.
    `steps_sent` are the steps whose output has been sent, modulo 4.
    After the last iteration the controller waits for `all_sent` and `output_idle`, then raises `done`. `abort` ends
    the sequence: no more tokens are sent, and `aborted` rises `drain_cycles` after the last phase's duration, as soon
    as input and output are quiet.
    """

    module_name = "srnn_controller"

    #: Cycles from `begin_sequence` to the first cycle in which an entry is considered, and from an entry to the next.
    first_entry, entry_interval = 3, 2

    def __init__(self, parameters: GridParameters, drain_cycles: int) -> None:
        self.parameters = p = parameters
        self.drain_cycles = drain_cycles
        super().__init__({
            "start": In(1),
            "abort": In(1),
            "keep_state": In(1),
            "model": In(32),
            "steps": In(32),
            "phase_enable": In(p.phases),
            "loading": In(1),
            "load_begun": In(1),
            "load_begun_state": In(1),
            "load_finished": In(1),
            "load_finished_state": In(1),
            "load_failed": In(1),
            "schedule_address": Out(p.schedule_bits),
            "schedule_word": In(schedule_width(p)),
            "initialised": In(1),
            "schedule_write": In(1),
            "schedule_write_address": In(p.schedule_bits),
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
            "steps_sent": In(2),
            "all_sent": In(1),
            "begin_sequence": Out(1),
            "running": Out(1),
            "flush": Out(1),
            "parity": Out(1),
            "header": Out(schedule_header_layout(p)),
            "busy": Out(1),
            "done": Out(1),
            "aborted": Out(1),
            "state_valid": Out(1),
            "model_loaded": Out(1),
            "steps_latched": Out(32),
            "start_while_busy": Out(1),
            "start_while_loading": Out(1),
            "no_steps": Out(1),
            "no_model": Out(1),
            "no_state": Out(1),
            "cycles": Out(p.counter_bits),
            "stall_input": Out(p.counter_bits),
            "stall_output": Out(p.counter_bits),
            "stall_result": Out(p.counter_bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s = _Sequence(self.parameters, self.drain_cycles)
        self._models(m, s)
        self._entry(m, s)
        self._place(m, s)
        self._count(m, s)
        m.d.comb += self.start_while_busy.eq(self.start & self.busy)
        self._loads(m, s)
        with m.FSM(name="sequence"):
            with m.State("IDLE"):
                self._idle(m, s)
            with m.State("BEGIN"):
                m.d.comb += [self.busy.eq(1), self.schedule_address.eq(s.address)]
                m.d.sync += [
                    self.begin_sequence.eq(0), s.last_address.eq(self.header.first + self.header.entries - 1),
                    s.is_final.eq(s.left == 1),
                ]
                m.next = "RUN"
                self._abort(m, s)
            with m.State("RUN"):
                self._run(m, s)
            with m.State("ABORT"):
                m.d.comb += [self.busy.eq(1), self.flush.eq(1), self.schedule_address.eq(s.header_address)]
                with m.If(s.is_over & (s.drain != 0)):
                    m.d.sync += s.drain.eq(s.drain - 1)
                with m.If((s.drain == 0) & self.input_quiet & self.output_idle):
                    m.d.sync += self.aborted.eq(1)
                    m.next = "IDLE"
        return m

    def _models(self, m: Module, s: _Sequence) -> None:
        """The word of the schedule ROM, and the outputs that depend on the model."""
        p = self.parameters
        m.d.comb += [
            s.rom_header.eq(self.schedule_word),
            s.header_address.eq(self.model[: p.model_bits]),
            s.has_header.eq((self.initialised & ~s.overwritten & ~s.spoiled) | (s.named & s.written).any()),
            self.model_loaded.eq(s.named.any() & s.has_header),
            self.state_valid.eq((s.named & s.valid).any()),
            self.parity.eq((s.current & s.parities).any()),
        ]
        m.d.sync += [s.named[index].eq(self.model == index) for index in range(p.models)]

    def _loads(self, m: Module, s: _Sequence) -> None:
        """What a load packet changes: nothing counts before the packet has ended whole."""
        for index in range(self.parameters.models):
            with m.If(self.schedule_write & (self.schedule_write_address == index)):
                m.d.sync += s.arriving[index].eq(1)
        with m.If(self.load_begun):
            # Whatever a packet before it has overwritten and not finished, only a load over the bus can mend it.
            m.d.sync += [s.receiver.eq(s.named), s.arriving.eq(0), s.overwritten.eq(1)]
            with m.If(s.overwritten):
                m.d.sync += s.spoiled.eq(1)
            # A load may write to any address, so that no earlier state can be trusted, only one that is loaded
            # afterwards.
            with m.If(~self.load_begun_state):
                m.d.sync += [s.parities.eq(0), s.valid.eq(0)]
        with m.If(self.load_finished):
            m.d.sync += [s.written.eq(s.written | s.arriving), s.overwritten.eq(0)]
            with m.If(self.load_finished_state):
                m.d.sync += [s.parities.eq(s.parities & ~s.receiver), s.valid.eq(s.valid | s.receiver)]
        with m.If(self.load_failed):
            m.d.sync += [s.parities.eq(0), s.valid.eq(0), s.written.eq(0), s.spoiled.eq(1), s.overwritten.eq(0)]

    def _entry(self, m: Module, s: _Sequence) -> None:
        """The entry that is considered: its step, the conditions of its issue, and its token.

        In the cycle after it was read, everything that depends on it and on its iteration becomes a register.
        """
        entry = s.entry
        exists, first_step, fresh = Signal(), Signal(), Signal()
        m.d.comb += [
            first_step.eq(s.begun == entry.lag),
            exists.eq((entry.lag <= s.begun) & (~s.past | (s.over < entry.lag))),
            fresh.eq(s.fresh & exists & first_step),
        ]
        m.d.sync += [s.is_read.eq(self.begin_sequence), s.considered.eq(self.running & ~(s.is_read | s.issue | s.skip))]
        with m.If(~s.considered):
            duration = Mux(fresh, entry.fresh_duration, entry.duration)
            m.d.sync += [
                s.exists.eq(exists), s.fresh_step.eq(fresh), s.step.eq(s.iteration - entry.lag),
                s.enabled.eq(s.phases_enabled.bit_select(entry.phase, 1)),
                s.duration.eq(duration), s.is_short.eq(duration == 0),
                s.finished.eq(s.past & (s.over == self.header.max_lag)),
            ]
        with m.If(~s.is_over):
            m.d.sync += [s.window.eq(s.window - 1), s.is_over.eq(s.window == 1)]
        # The last reader of the input vector is over: its half can be written again.
        m.d.comb += self.input_free.eq(s.frees & s.is_over)
        with m.If(s.is_over):
            m.d.sync += s.frees.eq(0)

        self._results(m, s)
        # No entry is considered outside the state RUN.
        m.d.comb += [
            s.skip.eq(s.considered & ~s.finished & ~s.exists & (~s.entry.holds_slot | s.is_over)),
            s.issue.eq(
                s.considered & s.exists & s.is_over & s.result_ready & s.input_ready & s.output_ready
                & ~self.stream_busy
            ),
            s.input_ready.eq(~entry.needs_input | self.input_available),
            # An output two steps ahead waits, so that no output is more than two ahead.
            s.output_ready.eq(~entry.to_host | ~(s.step - self.steps_sent)[1]),
            self.token.phase.eq(entry.phase),
            self.token.parity.eq(s.step[0] ^ self.parity),
            self.token.fresh.eq(s.fresh_step),
            self.token_valid.eq(s.issue & s.enabled),
            self.input_consume.eq(s.issue & entry.frees_input),
        ]
        m.d.sync += self.output_skip.eq(s.issue & entry.to_host & ~s.enabled & ~self.abort)

    def _place(self, m: Module, s: _Sequence) -> None:
        """The place in the schedule: the entry and the word after it, the iteration, and the cycles that are left."""
        with m.If(s.issue | (s.skip & s.entry.holds_slot)):
            m.d.sync += [s.window.eq(s.duration), s.is_over.eq(s.is_short)]
        with m.If(s.issue):
            m.d.sync += s.frees.eq(s.entry.frees_input)
        with m.If(s.is_read | s.issue | s.skip):
            is_last = s.address == s.last_address
            m.d.sync += [
                s.entry.eq(self.schedule_word), s.is_last.eq(is_last),
                s.address.eq(Mux(is_last, self.header.first, s.address + 1)),
            ]
        m.d.sync += s.ends_iteration.eq((s.issue | s.skip) & s.is_last)
        with m.If((s.issue | s.skip) & s.is_last):
            m.d.sync += [s.iteration.eq(s.iteration + 1), s.begun.eq(s.begun + ~s.begun[-1])]
            with m.If(s.past):
                m.d.sync += s.over.eq(s.over + 1)
            with m.Elif(s.is_final):
                m.d.sync += s.past.eq(1)
        # The next iteration ends two cycles later at the earliest.
        with m.If(s.ends_iteration):
            m.d.sync += [s.left.eq(s.left - 1), s.is_final.eq(s.left == 2)]

    def _idle(self, m: Module, s: _Sequence) -> None:
        header = s.rom_header
        m.d.comb += self.schedule_address.eq(s.header_address)
        # After a load the header is right one cycle later, long before a start can arrive.
        with m.If(self.start & self.loading):
            m.d.comb += self.start_while_loading.eq(1)
        with m.Elif(self.start & (self.steps == 0)):
            m.d.comb += self.no_steps.eq(1)
        with m.Elif(self.start & ((header.entries == 0) | ~self.model_loaded)):
            m.d.comb += self.no_model.eq(1)
        with m.Elif(self.start):
            m.d.comb += self.no_state.eq(self.keep_state & ~self.state_valid)
            m.d.sync += [
                s.current.eq(s.named), self.done.eq(0), self.aborted.eq(0), self.begin_sequence.eq(1),
            ]
            m.next = "BEGIN"
        # Whether a sequence begins is known late; what it begins with does no harm when it does not.
        with m.If(self.start):
            m.d.sync += [
                self.header.eq(header), s.address.eq(header.first), self.steps_latched.eq(self.steps),
                s.iteration.eq(0), s.begun.eq(0), s.left.eq(self.steps), s.past.eq(0), s.over.eq(0),
                s.phases_enabled.eq(self.phase_enable), s.fresh.eq(~(self.keep_state & self.state_valid)),
            ]

    def _run(self, m: Module, s: _Sequence) -> None:
        m.d.comb += [
            self.busy.eq(1),
            self.running.eq(1),
            # START may come in the first idle cycle: the header must be on its way by then.
            self.schedule_address.eq(Mux(s.finished, s.header_address, s.address)),
        ]
        with m.If(s.considered & s.finished & self.all_sent & self.output_idle):
            m.d.sync += [
                self.done.eq(1), s.valid.eq(s.valid | s.current), s.considered.eq(0),
                s.parities.eq(s.parities ^ Mux(self.steps_latched[0], s.current, 0)),
            ]
            m.next = "IDLE"
        with m.Else():
            self._abort(m, s)

    def _abort(self, m: Module, s: _Sequence) -> None:
        with m.If(self.abort):
            m.d.sync += [s.drain.eq(self.drain_cycles), s.valid.eq(s.valid & ~s.current), s.considered.eq(0)]
            m.next = "ABORT"

    def _results(self, m: Module, s: _Sequence) -> None:
        """Whether all results that the entry waits for have been collected.

        Completed steps are counted modulo 64: an entry lags at most 15 iterations behind another, and waits for a step
        at most 3 steps back, so that a phase that is waited for is never 32 steps ahead or behind.
        """
        phases = self.parameters.phases
        completed = [Signal(_COUNT_BITS, name=f"completed_{phase}") for phase in range(phases)]
        # A phase that is switched off is complete in the cycle after the one in which it would have begun: the next
        # entry is not considered earlier than that.
        skipped, skipped_phase = Signal(), Signal(self.parameters.phase_bits, reset_less=True)
        m.d.sync += [skipped.eq(s.issue & ~s.enabled), skipped_phase.eq(s.entry.phase)]

        def ends(phase: ValueLike) -> Value:
            return (self.complete & (self.complete_phase == phase)) | (skipped & (skipped_phase == phase))

        for phase, count in enumerate(completed):
            with m.If(self.begin_sequence):
                m.d.sync += count.eq(0)
            with m.Elif(ends(phase)):
                m.d.sync += count.eq(count + 1)
        #: Completed steps of the awaited phase beyond those that are needed, in the cycle after the entry was read.
        ahead = Signal(signed(_COUNT_BITS))
        m.d.comb += s.result_ready.eq(~s.entry.wait | ~ahead[-1])
        # Needed are `iteration - lag - wait_back + 1` steps. What does not depend on the count is summed beside it.
        rest = (s.entry.lag + s.entry.wait_back + ~s.iteration)[:_COUNT_BITS]
        known = Mux(s.considered, ahead.as_unsigned(), Array(completed)[s.entry.wait_phase])
        m.d.sync += ahead.eq(known + Mux(s.considered, 0, rest) + ends(s.entry.wait_phase))

    def _count(self, m: Module, s: _Sequence) -> None:
        """The counters of cycles and stalls; a stall of input or output counts only when nothing else is missing,
        and a cycle later."""
        waiting = Signal()
        result, input_, output = s.result_ready, s.input_ready, s.output_ready
        no_result, no_input, no_output = (Signal(name=f"no_{name}") for name in ("result", "input", "output"))
        m.d.comb += waiting.eq(s.considered & s.exists & s.is_over)
        m.d.sync += [
            no_result.eq(waiting & ~result), no_input.eq(waiting & result & ~input_ & output),
            no_output.eq(waiting & result & ~output & input_),
        ]
        # `cycles` includes the cycle of `begin_sequence`.
        counter(m, self.cycles, self.busy, self.begin_sequence, first=1)
        counter(m, self.stall_result, no_result, self.begin_sequence)
        counter(m, self.stall_input, no_input, self.begin_sequence)
        counter(m, self.stall_output, no_output, self.begin_sequence)


class _Sequence:
    """Signals that the parts of the controller share."""

    def __init__(self, p: GridParameters, drain_cycles: int) -> None:
        #: The word of the schedule ROM, read as a header; the entry that is considered.
        self.rom_header = Signal(schedule_header_layout(p))
        self.entry = Signal(schedule_entry_layout(p))
        #: One bit for each model: the host named it a cycle ago; it runs, or ran last; it has a state; the half of its
        #: next step; its header was written by a whole packet, and by the packet that arrives; this packet is for its
        #: state.
        self.named, self.current, self.valid, self.parities, self.written, self.arriving, self.receiver = (
            Signal(p.models, name=name)
            for name in ("named", "current", "valid", "parities", "written", "arriving", "receiver")
        )
        #: A load packet is overwriting memories; one has failed. A reset does not make their contents whole again.
        self.overwritten = Signal(reset_less=True)
        self.spoiled = Signal(reset_less=True)
        #: The word that is read as a header is one, and not what a memory happens to hold.
        self.has_header = Signal()
        #: Addresses in the schedule ROM: header of the named model; entry after the one considered; last entry.
        self.header_address = Signal(p.schedule_bits)
        self.address = Signal(p.schedule_bits)
        self.last_address = Signal(p.schedule_bits)
        #: Whether the first entry is read; whether an entry is considered, and whether it is the last of its iteration.
        self.is_read = Signal()
        self.considered = Signal()
        self.is_last = Signal()
        #: The iteration (modulo 64), iterations begun (at most 16), steps that are left and whether there is one, a
        #: cycle after an iteration has ended; whether there are none, and iterations beyond them.
        self.iteration = Signal(_COUNT_BITS)
        self.begun = Signal(5)
        self.left = Signal(32)
        self.is_final, self.ends_iteration = Signal(reset_less=True), Signal()
        self.past = Signal()
        self.over = Signal(4)
        #: Of the entry: its step (modulo 4), whether the step exists and begins from a cleared state, whether the phase
        #: is switched on, and its duration. All iterations are over.
        self.step = Signal(2)
        self.exists, self.fresh_step, self.enabled, self.finished = Signal(), Signal(), Signal(), Signal()
        self.duration, self.is_short = Signal(24), Signal()
        self.phases_enabled = Signal(p.phases)
        #: Cycles that are left of the duration of the last entry, whether there are none, and whether the input vector
        #: is free after it.
        self.window, self.is_over = Signal(24), Signal(init=1)
        self.frees = Signal()
        #: The sequence starts from a cleared state.
        self.fresh = Signal()
        #: Conditions of an issue. In one assignment, and so without names in the Verilog.
        self.result_ready = Signal(name="ready")
        self.input_ready, self.output_ready, self.issue, self.skip = Signal(), Signal(), Signal(), Signal()
        #: Cycles that are left of an abort.
        self.drain = Signal(range(drain_cycles + 1))
