"""The controller, with any contents of the schedule ROM: one outcome for each START, and an end for each ABORT."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal

from hdl.grid.controller import Controller
from hdl.layouts import schedule_entry_layout
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness, at_most_one, exactly_one

__all__ = ["ControllerProof"]

#: Cycles that the controller waits for after an abort, and most cycles of a phase, in the proof.
_DRAIN, _DURATION = 3, 3


class ControllerProof(Harness):
    """Promises of `hdl.grid.controller`."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(Controller(parameters, _DRAIN))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        # The loader: nothing is loaded while a sequence runs, and a packet has one end.
        open_ = Signal()
        with m.If(dut.load_begun):
            m.d.sync += open_.eq(1)
        with m.Elif(dut.load_finished | dut.load_failed):
            m.d.sync += open_.eq(0)
        self.assume(~dut.load_begun | (~dut.busy & dut.loading & ~open_))
        self.assume(~open_ | dut.loading)
        self.assume(~(dut.load_finished | dut.load_failed) | open_)
        self.assume(at_most_one(dut.load_finished, dut.load_failed))
        self.assume(~dut.load_finished_state | dut.load_finished)
        self.assume(~dut.load_begun_state | dut.load_begun)
        self.assume(~dut.schedule_write | open_)
        entry = Signal(schedule_entry_layout(p))
        m.d.comb += entry.eq(dut.schedule_word)
        self.assume((entry.duration <= _DURATION) & (entry.fresh_duration <= _DURATION))

        refusals = (dut.start_while_busy, dut.start_while_loading, dut.no_steps, dut.no_model)
        before = {name: Signal(name=f"before_{name}") for name in ("busy", "start", "done", "aborted")}
        m.d.sync += [signal.eq(getattr(dut, name)) for name, signal in before.items()]
        refused = Signal()
        m.d.sync += refused.eq(sum((flag != 0 for flag in refusals), start=Signal() & 0) != 0)
        began = dut.busy & ~before["busy"]
        ended = ~dut.busy & before["busy"]
        self.promise("a START has one outcome: a sequence or one flag", ~before["start"] | exactly_one(began, refused))
        self.promise("at most one flag", at_most_one(*refusals))
        self.promise("a flag only for a START", dut.start | ~sum((flag != 0 for flag in refusals), start=Signal() & 0))
        self.promise("a sequence only after a START", ~began | before["start"])
        self.promise("a START during a sequence is flagged", ~(dut.start & dut.busy) | dut.start_while_busy)
        self.promise("a START during a load is refused", ~(before["start"] & open_) | ~began)
        self.promise("begin_sequence is a pulse at the beginning", dut.begin_sequence == began)
        self.promise("a sequence ends in DONE or in ABORTED", ~ended | exactly_one(dut.done, dut.aborted))
        self.promise("DONE and ABORTED exclude each other", at_most_one(dut.done, dut.aborted))
        self.promise("DONE and ABORTED come with an end, and go with a START",
                     ended | began | ((dut.done == before["done"]) & (dut.aborted == before["aborted"])))
        self.promise("tokens only in a sequence that runs", ~dut.token_valid | (dut.running & dut.busy))
        self.promise("no token in front of a result", ~dut.token_valid | ~dut.stream_busy)
        self.promise("no token after an abort", ~dut.flush | ~(dut.token_valid | dut.input_consume | dut.output_skip))
        self.promise("running and flush exclude each other", at_most_one(dut.running, dut.flush, dut.begin_sequence))
        # An abort: from the first cycle of flush in which input and output stay quiet, so many cycles.
        quiet = Signal(range(_DRAIN + _DURATION + 4))
        m.d.sync += quiet.eq(Mux(dut.flush & dut.input_quiet & dut.output_idle, quiet + 1, 0))
        self.promise("an abort ends within the drain and the last duration", quiet <= _DRAIN + _DURATION + 1)
        aborting = Signal()
        m.d.sync += aborting.eq(dut.busy & ~dut.flush & dut.abort & ~dut.done)
        self.promise("an ABORT ends issuing", ~aborting | dut.flush | ~dut.busy)
        # The state of one model, whatever the others do.
        model = self.constant(m, "some_model", range(p.models))
        # The model that was named a cycle before; none after a reset.
        named = Signal(32, init=p.models)
        m.d.sync += named.eq(dut.model)
        others, current, receiver = Signal(), Signal(32), Signal(32)
        with m.If(dut.start & ~dut.busy):
            m.d.sync += current.eq(named)
        with m.If(dut.load_begun):
            m.d.sync += receiver.eq(named)
        seen, valid = Signal(), Signal()
        changes = (
            (dut.load_begun & ~dut.load_begun_state) | dut.load_failed
            | (dut.load_finished & (receiver == model)) | (dut.busy & (current == model))
        )
        m.d.comb += others.eq(~changes)
        with m.If(changes):
            m.d.sync += seen.eq(0)
        with m.Elif(named == model):
            m.d.sync += [seen.eq(1), valid.eq(dut.state_valid)]
        self.promise("the state of a model stays whatever another model does",
                     ~(seen & others & (named == model)) | (dut.state_valid == valid))
        self.promise("no state beyond the models", (named < p.models) | ~dut.state_valid)
        self.promise("no model is loaded beyond the models", (named < p.models) | ~dut.model_loaded)
        failed = Signal()
        with m.If(dut.load_failed):
            m.d.sync += failed.eq(1)
        with m.Elif(dut.load_finished):
            m.d.sync += failed.eq(0)
        self.promise("after a load that failed no model is loaded and no state is valid until one is loaded whole",
                     ~failed | dut.busy | (~dut.model_loaded & ~dut.state_valid))
        self.reach("a sequence is done", dut.done)
        self.reach("a sequence is aborted", dut.aborted)
        self.reach("a token after a step", dut.token_valid & dut.token.parity)
        for flag, name in zip(refusals, ("busy", "loading", "no steps", "no model"), strict=True):
            self.reach(f"refused: {name}", flag)
        self.reach("a model keeps its state beside another that ran", seen & valid & dut.busy & (current != model))
