"""The whole grid: sites, links, distributor, collector, controller, streams and registers."""

from __future__ import annotations

from functools import cached_property

from amaranth.hdl import Cat, ClockDomain, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.collector import Collector
from hdl.grid.controller import Controller
from hdl.grid.distributor import Distributor
from hdl.grid.image_loader import ImageLoader
from hdl.grid.memory import ExternalMemory
from hdl.grid.output_stream import OutputStream
from hdl.grid.ports import Ports, axi_lite, axi_stream, connect
from hdl.grid.registers import Registers
from hdl.grid.sharing import Shared, port_names
from hdl.grid.site import Site
from hdl.grid.skid import skid_buffer
from hdl.grid.vector_input import VectorInput
from hdl.grid.vivado import mark_ports
from hdl.layouts import LinkError, Memory, WriteKind, schedule_width, write_word_layout
from hdl.naming import SCHEDULE_INSTANCE, SITE_INSTANCES, TOP_MODULE, ResetPort, image_file, site_name
from hdl.parameters import GridParameters
from hdl.register_map import ADDRESS_BITS, Error

__all__ = ["Grid"]


class Grid(wiring.Component):
    """A `rows` x `cols` grid with an AXI4-Lite subordinate, an AXI4-Stream input and an AXI4-Stream output.

    `s_axil` holds the registers of `register_map`. `s_axis` takes input vectors (`tdest` 0) and load packets
    (`tdest` 1), `beat_values` values of `operand_bits` a beat; with STREAM.IGNORE_TDEST, STREAM.LOAD takes the place
    of `tdest`. `m_axis` sends `rows` 16-bit outputs a beat, in order. No output of the three buses depends on an input
    of the same cycle.
    `reset` names the reset port and, with it, the clock; both are ports like the others. With `init_files`, the
    contents of every memory are baked in from `<init_files>/<hierarchical name>.hex`, and every site is a module of its
    own.
    """

    module_name = TOP_MODULE

    #: Its clock and its reset are in its signature.
    clocked = False

    def __init__(
        self, parameters: GridParameters, init_files: str | None = None, reset: ResetPort = ResetPort.RST
    ) -> None:
        self.parameters = p = parameters
        self.init_files = init_files
        self.reset = reset
        self.site = Site(p)
        self.distributor = Distributor(p)
        self.collector = Collector(p)
        self.vector_input = VectorInput(p)
        self.image_loader = ImageLoader(p)
        self.output_stream = OutputStream(p)
        self.registers = Registers(p)
        self.controller = Controller(p, self.drain_cycles)
        super().__init__(Ports({
            reset.clock: In(1),
            reset.value: In(1),
            "s_axil": In(axi_lite(ADDRESS_BITS)),
            "interrupt": Out(1),
            "s_axis": In(axi_stream(p.beat_bits, dest_bits=1)),
            "m_axis": Out(axi_stream(16 * p.rows, keep_bits=2 * p.rows)),
        }))
        mark_ports(((name, value) for name, _, value in port_names(self)), reset)

    @cached_property
    def token_latency(self) -> int:
        """Cycles from the issue of a token to its first operands in column 0, without the site's delay."""
        return 1 + self.distributor.latency + self.site.token_latency

    @cached_property
    def drain_cycles(self) -> int:
        """Cycles from the end of a phase's duration until nothing of the phase is under way any more."""
        longest_delay, longest_program = 255, self.parameters.program_length
        return (
            self.token_latency + longest_delay + 2 * self.parameters.cols + self.site.pcu.result_latency
            + longest_program * self.site.pcu.ring_latency + self.parameters.group_beats
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.domains.sync = domain = ClockDomain()
        domain.clk, domain.rst = getattr(self, self.reset.clock), getattr(self, self.reset)
        if self.reset.is_active_low:
            domain.rst = Signal(name="reset")
            m.d.comb += domain.rst.eq(~getattr(self, self.reset))
        m.submodules.registers = registers = Shared(self.registers)
        m.submodules.controller = controller = Shared(self.controller)
        m.submodules.vector_input = vectors = Shared(self.vector_input)
        m.submodules.image_loader = loader = Shared(self.image_loader)
        m.submodules.output_stream = output = Shared(self.output_stream)
        m.submodules.distributor = distributor = Shared(self.distributor)
        m.submodules.collector = collector = Shared(self.collector)
        m.submodules[SCHEDULE_INSTANCE] = schedule = ExternalMemory(
            schedule_width(p), p.schedule_depth, p.beat_bits, self._init_file(SCHEDULE_INSTANCE)
        )
        self._host_ports(m, registers, output)
        self._input(m, registers, vectors, loader, controller, collector, distributor, schedule)
        self._control(m, registers, controller, vectors, loader, output, collector)
        self._grid(m, distributor, collector)
        return m

    def _init_file(self, *path: str) -> str:
        return f"{self.init_files}/{image_file(*path)}" if self.init_files is not None else ""

    def _host_ports(self, m: Module, registers: Shared, output: Shared) -> None:
        connect(m, registers.s_axil, wiring.flipped(self.s_axil))
        connect(m, output.m_axis, wiring.flipped(self.m_axis))
        m.d.comb += self.interrupt.eq(registers.interrupt)

    def _input(
        self, m: Module, registers: Shared, vectors: Shared, loader: Shared, controller: Shared, collector: Shared,
        distributor: Shared, schedule: ExternalMemory,
    ) -> None:
        """The source of the write stream: results go first, then tokens, then words from the host."""
        p = self.parameters
        word = Signal(write_word_layout(p), reset_less=True)
        kind = Signal(WriteKind)
        # The data of a result follow it a cycle later.
        is_result = Signal(reset_less=True)
        host_turn = Signal()
        # The host need not drive tdest without tvalid.
        load, loading, taken = Signal(), Signal(), Signal()
        bus = self.s_axis
        valid, (data, last, kind_of_beat) = skid_buffer(
            m, "s_axis", bus.tvalid, bus.tready, [bus.tdata, bus.tlast, load], taken
        )
        m.d.comb += [
            load.eq(Mux(registers.ignore_tdest, registers.load, bus.tdest)),
            loading.eq(valid & kind_of_beat),
            host_turn.eq(~collector.beat_valid & ~controller.token_valid),
            vectors.tdata.eq(data),
            vectors.tvalid.eq(valid & ~loading),
            vectors.tlast.eq(last),
            vectors.taken.eq(host_turn),
            loader.tdata.eq(data),
            loader.tvalid.eq(loading),
            loader.tlast.eq(last),
            # No token comes while a load packet is written.
            loader.taken.eq(~collector.beat_valid),
            taken.eq(Mux(loading, loader.tready, vectors.tready)),
            distributor.source.eq(word),
            distributor.source.kind.eq(kind),
            distributor.source.data.eq(Mux(is_result, collector.beat_data, word.data)),
            schedule.write.enable.eq(loader.schedule_write),
            schedule.write.address.eq(loader.word_address),
            schedule.write.slice.eq(loader.word_beat),
            schedule.write.data.eq(data),
            schedule.read.enable.eq(1),
            schedule.read.address.eq(controller.schedule_address),
            controller.schedule_word.eq(schedule.read.data),
            controller.initialised.eq(schedule.initialised),
            controller.schedule_write.eq(loader.schedule_write),
            controller.schedule_write_address.eq(loader.word_address),
        ]
        m.d.sync += is_result.eq(collector.beat_valid)
        with m.If(collector.beat_valid):
            m.d.sync += [kind.eq(WriteKind.VECTOR), word.address.eq(collector.beat_address)]
        with m.Elif(controller.token_valid):
            m.d.sync += [kind.eq(WriteKind.TOKEN), word.address.eq(controller.token)]
        with m.Elif(loader.word_valid):
            m.d.sync += [kind.eq(WriteKind.MEMORY), word.eq(loader.word)]
        with m.Elif(vectors.word_valid):
            m.d.sync += [kind.eq(WriteKind.VECTOR), word.eq(vectors.word)]
        with m.Else():
            m.d.sync += kind.eq(WriteKind.IDLE)

    def _control(
        self, m: Module, registers: Shared, controller: Shared, vectors: Shared, loader: Shared, output: Shared,
        collector: Shared,
    ) -> None:
        framed_early = Signal()
        m.d.sync += framed_early.eq(vectors.framing_early)
        m.d.comb += [
            controller.start.eq(registers.start),
            controller.abort.eq(registers.abort | framed_early),
            controller.keep_state.eq(registers.keep_state),
            controller.model.eq(registers.model),
            controller.steps.eq(registers.steps),
            controller.phase_enable.eq(registers.phase_enable),
            controller.loading.eq(loader.loading),
            controller.load_begun.eq(loader.begun),
            controller.load_begun_state.eq(loader.begun_state),
            controller.load_finished.eq(loader.finished),
            controller.load_finished_state.eq(loader.finished_state),
            controller.load_failed.eq(loader.failed),
            controller.complete.eq(collector.complete),
            controller.complete_phase.eq(collector.complete_phase),
            controller.stream_busy.eq(collector.beat_valid),
            controller.input_available.eq(vectors.available),
            controller.input_quiet.eq(~vectors.in_packet),
            controller.output_idle.eq(output.idle),
            controller.steps_sent.eq(output.steps_sent),
            controller.all_sent.eq(output.all_sent),
            loader.busy.eq(controller.busy),
            loader.abort.eq(registers.abort & ~controller.busy),
            loader.model_loaded.eq(controller.model_loaded),
            vectors.begin_sequence.eq(controller.begin_sequence),
            vectors.running.eq(controller.running),
            vectors.flush.eq(controller.flush),
            vectors.steps.eq(controller.steps_latched),
            vectors.parity.eq(controller.parity),
            vectors.header.eq(controller.header),
            vectors.free.eq(controller.input_free),
            vectors.consume.eq(controller.input_consume),
            output.begin_sequence.eq(controller.begin_sequence),
            # After an abort, the rest of the output buffer must not be sent.
            output.flush.eq(~controller.running),
            output.steps.eq(controller.steps_latched),
            output.parity.eq(controller.parity),
            output.header.eq(controller.header),
            output.skip_step.eq(controller.output_skip),
            output.group_valid.eq(collector.output_valid & controller.running),
            output.group.eq(collector.output_group),
            output.group_parity.eq(collector.output_parity),
            output.values.eq(collector.output_values),
            *(
                getattr(registers, name).eq(getattr(controller, name))
                for name in ("busy", "done", "aborted", "state_valid", "cycles", "stall_input", "stall_output",
                             "stall_result")
            ),
            registers.steps_done.eq(output.steps_sent),
        ]
        sources: dict[Error, Value] = {
            Error.RESULT_COLLISION: collector.errors[LinkError.RESULT_COLLISION],
            Error.EPILOGUE_COLLISION: collector.errors[LinkError.EPILOGUE_COLLISION],
            Error.SEQUENCER_OVERRUN: collector.errors[LinkError.SEQUENCER_OVERRUN],
            Error.ROW_MISMATCH: collector.row_mismatch,
            Error.COLLECTOR_OVERLAP: collector.overlap,
            Error.LOAD_WHILE_BUSY: loader.load_while_busy,
            Error.LOAD_ADDRESS: loader.load_address,
            Error.INPUT_FRAMING: vectors.framing_early | vectors.framing_late,
            Error.START_WHILE_BUSY: controller.start_while_busy,
            Error.NO_STEPS: controller.no_steps,
            Error.NO_MODEL: controller.no_model,
            Error.NO_STATE: controller.no_state,
            Error.START_WHILE_LOADING: controller.start_while_loading,
            Error.LOAD_HEADER: loader.load_header,
            Error.LOAD_FRAMING: loader.load_framing,
        }
        # What finds an error is at the end of a long path, and the flag need not be quick.
        errors = Signal(len(Error), name="errors")
        m.d.sync += errors.eq(Cat(sources[error] for error in Error))
        m.d.comb += registers.errors.eq(errors)

    def _grid(self, m: Module, distributor: Shared, collector: Shared) -> None:
        p = self.parameters
        sites: dict[tuple[int, int], Shared] = {}
        for row in range(p.rows):
            for col in range(p.cols):
                sites[row, col] = m.submodules[site_name(row, col)] = site = Shared(self._site(row, col))
                m.d.comb += [site.row.eq(Const(row, p.row_bits)), site.col.eq(Const(col, p.col_bits))]
        for (row, col), site in sites.items():
            if col == 0:
                m.d.comb += site.write_in.eq(getattr(distributor, f"head_{row}"))
                m.d.comb += getattr(collector, f"result_{row}").eq(site.result_out)
            else:
                west = sites[row, col - 1]
                m.d.comb += [
                    site.write_in.eq(west.write_out),
                    site.partial_in.eq(west.partial_out),
                    west.result_in.eq(site.result_out),
                ]

    def _site(self, row: int, col: int) -> Site:
        if self.init_files is None:
            return self.site
        name = site_name(row, col)
        # State and vectors belong to a sequence, not to a model: they start from zero.
        instances = [
            instance for memory, names in SITE_INSTANCES.items() if memory not in (Memory.STATE, Memory.VECTOR)
            for instance in names
        ]
        files = {instance: self._init_file(name, instance) for instance in instances}
        return Site(self.parameters, f"srnn_{name}", files)
