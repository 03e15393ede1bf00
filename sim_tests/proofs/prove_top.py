"""The top level between its components: the order of the write stream, and the way of a beat from `s_axis` to it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.top import Grid
from hdl.layouts import WriteKind, write_word_layout
from hdl.output.emit import emit
from hdl.output.yosys_worker import run_yosys
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness
from sim_tests.proofs.prover import components_outside

__all__ = ["TopProof"]

_MODULE = "srnn_top_alone"


@cache
def _turned_out(parameters: GridParameters) -> tuple[str, dict[str, tuple[bool, int]]]:
    """The Verilog of the top level without its components, whose ports are its own: outputs of a component are inputs.

    Also whether each port is an input, and its width.
    """
    with tempfile.TemporaryDirectory(prefix="srnn_top_") as name:
        folder, top = Path(name), Grid(parameters)
        sources = emit(top).sources
        for module, text in sources.items():
            (folder / f"{module}.v").write_text(text, encoding="utf-8")
        run_yosys([
            *(f"read_verilog -D SYNTHESIS {module}.v" for module in sources), "proc",
            *components_outside(top.module_name, top.module_name), f"rename {top.module_name} {_MODULE}",
            f"select {_MODULE}", "write_verilog -noattr -selected top.v",
            "write_json -selected top.json",
        ], "top level without its components", folder, 300)
        ports = json.loads((folder / "top.json").read_text())["modules"][_MODULE]["ports"]
        return (folder / "top.v").read_text(), {
            port: (values["direction"] == "input", len(values["bits"])) for port, values in ports.items()
        }


class _TopAlone(wiring.Component):
    """The top level of a grid; what its components would say are free inputs."""

    module_name = _MODULE

    def __init__(self, parameters: GridParameters) -> None:
        self.verilog, ports = _turned_out(parameters)
        super().__init__({
            name: (In if is_input else Out)(bits)
            for name, (is_input, bits) in ports.items() if name not in ("clk", "rst")
        })


class TopProof(Harness):
    """Promises of `hdl.grid.top`."""

    component: _TopAlone

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(_TopAlone(parameters))

    def sources(self) -> dict[str, str]:
        return {_MODULE: self.component.verilog}

    def state(self, m: Module) -> None:
        dut = self.dut

        def port(component: str, name: str) -> Value:
            return getattr(dut, f"{component}__{name}")

        # The input: what the components promise.
        loader_takes, vectors_take = port("image_loader", "tready"), port("vector_input", "tready")
        loader_offers, vectors_offer = port("image_loader", "tvalid"), port("vector_input", "tvalid")
        loader_word, vectors_word = port("image_loader", "word_valid"), port("vector_input", "word_valid")
        self.assume(~loader_word | loader_offers)
        self.assume(~vectors_word | vectors_offer)
        # A packet begins while nothing runs, and START is refused while it lasts.
        self.assume(~loader_word | ~port("controller", "token_valid"))
        turn = port("vector_input", "taken")
        # One beat at most waits behind the port.
        kind = dut.s_axis_tdest
        ignores, load = port("registers", "ignore_tdest"), port("registers", "load")
        is_load = (ignores & load) | (~ignores & kind)
        accepted = dut.s_axis_tvalid & dut.s_axis_tready
        waits, data, last, of_load = Signal(), Signal.like(dut.s_axis_tdata), Signal(), Signal()
        offered = waits | dut.s_axis_tvalid
        to_loader = (waits & of_load) | (~waits & is_load)
        taken = offered & ((to_loader & loader_takes) | (~to_loader & vectors_take))
        m.d.sync += waits.eq((waits | accepted) & ~taken)
        with m.If(accepted):
            m.d.sync += [data.eq(dut.s_axis_tdata), last.eq(dut.s_axis_tlast), of_load.eq(is_load)]
        self.promise("a beat is accepted while none waits", dut.s_axis_tready == ~waits)
        self.promise("a beat goes to the loader or to the vectors, by its tdest",
                     (loader_offers == (offered & to_loader)) & (vectors_offer == (offered & ~to_loader)))
        for name in ("image_loader", "vector_input"):
            self.promise(f"{name} sees beats in their order and as they came", ~offered | (
                (~waits | ((port(name, "tdata") == data) & (port(name, "tlast") == last)))
                & (waits | ((port(name, "tdata") == dut.s_axis_tdata) & (port(name, "tlast") == dut.s_axis_tlast)))
            ))
        self.promise("the loader has its turn when no result comes",
                     port("image_loader", "taken") == ~port("collector", "beat_valid"))

        # The write stream, one cycle later.
        source = Signal(write_word_layout(self.parameters))
        m.d.comb += source.eq(port("distributor", "source"))
        result, token = port("collector", "beat_valid"), port("controller", "token_valid")
        before: dict[str, Signal] = {}
        words = {
            "result": result, "token": token, "loader": loader_word, "vectors": vectors_word,
            "beat_address": port("collector", "beat_address"),
            "token_word": port("controller", "token"), "loader_word": port("image_loader", "word"),
            "vectors_word": port("vector_input", "word"), "turn": turn,
        }
        for name, value in words.items():
            before[name] = Signal(len(value), name=f"before_{name}")
            m.d.sync += before[name].eq(value)
        known = Signal()
        m.d.sync += known.eq(1)
        came = known & before["result"]
        issued = known & before["token"] & ~before["result"]
        hosts = known & before["turn"]
        address = source.address
        self.promise("a result goes first", ~came | (
            (source.kind == WriteKind.VECTOR) & (source.data == port("collector", "beat_data"))
            & (address == before["beat_address"])
        ))
        self.promise("then a token", ~issued | (
            (source.kind == WriteKind.TOKEN) & (address[: len(before["token_word"])] == before["token_word"])
        ))
        self.promise("the host has its turn when neither comes", turn == ~(result | token))
        loaded, written = Signal(write_word_layout(self.parameters)), Signal(write_word_layout(self.parameters))
        m.d.comb += [loaded.eq(before["loader_word"]), written.eq(before["vectors_word"])]
        for name, flag, word, kind_of_word in (
            ("loader", before["loader"], loaded, WriteKind.MEMORY),
            ("vectors", before["vectors"], written, WriteKind.VECTOR),
        ):
            self.promise(f"a word of the {name} goes in the host's turn", ~(hosts & flag) | (
                (source.kind == kind_of_word) & (address == word.address) & (source.data == word.data)
            ))
        self.promise("nothing else is in the write stream", ~known | came | issued | (
            hosts & (before["loader"] | before["vectors"])
        ) | (source.kind == WriteKind.IDLE))
        self.promise("the controller holds its token while a result comes",
                     port("controller", "stream_busy") == result)
        self.reach("a beat waits for the host's turn", waits & vectors_offer & (turn == 0))
        self.reach("a word of the vectors", hosts & before["vectors"])
        self.reach("a word of the loader", hosts & before["loader"])
