"""Groups of ports that belong together (AXI, read and write ports of memories), and their connection.

Names and order of the Verilog ports are part of a component's interface. So only neighbouring ports with a common
prefix are a group; others stay single, such as the conditions of the controller and the shared `fetch_enable` of a PCU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Ports", "axi_lite", "axi_stream", "connect", "read_port", "write_port"]


class Ports(wiring.Signature):
    """Signature whose groups are named as AXI names them: `s_axis.tdata` is `s_axis_tdata` in Verilog.

    Amaranth alone would write `s_axis__tdata`. The signature of a component with groups must be `Ports`, and so must
    the groups. In Verilog the port list is the same as if all ports had been declared one by one.
    """

    def create(self, *, path: tuple[str, ...] = (), src_loc_at: int = 0) -> _Group:
        return _Group(self, path)

    def flatten(self, obj: Any) -> Iterator[tuple[tuple[str], wiring.Member, Any]]:
        # Without `super()`, because `self` may be a flipped signature, which is no instance of this class.
        for path, member, value in wiring.Signature.flatten(self, obj):
            yield ("_".join(path),), member, value


class _Group:
    """Interface object of `Ports`: an attribute for each member."""

    def __init__(self, signature: Ports, path: tuple[str, ...]) -> None:
        self.signature = signature
        for name, member in signature.members.items():
            place = (*path, name)
            if member.is_signature:
                value = member.signature.create(path=place)
            else:
                value = Signal(member.shape, init=member.init, name="_".join(place))
            setattr(self, name, value)


def connect(m: Module, one: Any, other: Any) -> None:
    """Connect two interface objects as `wiring.connect` does, but in the order of the ports in `one`'s signature.

    Amaranth numbers wires of the same name in the order of their first use. `wiring.connect` sorts ports by name, so
    that a group would give other names to unrelated wires of the Verilog than its ports one by one.
    """
    # Only for the checks of directions and widths, in a module that is not used.
    wiring.connect(Module(), one, other)
    _join(m, one, other)


def _join(m: Module, one: Any, other: Any) -> None:
    for name, member in one.signature.members.items():
        here, there = getattr(one, name), getattr(other, name)
        if member.is_signature:
            _join(m, here, there)
        else:
            m.d.comb += here.eq(there) if member.flow == In else there.eq(here)


def axi_lite(address_bits: int) -> Ports:
    """AXI4-Lite with 32 data bits, as the manager has it."""
    return Ports({
        "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


def axi_stream(data_bits: int, keep_bits: int = 0, dest_bits: int = 0) -> Ports:
    """AXI4-Stream as the transmitter has it; `tkeep` and `tdest` only if they have bits."""
    return Ports({
        "tdata": Out(data_bits),
        **({"tkeep": Out(keep_bits)} if keep_bits else {}),
        "tvalid": Out(1),
        "tready": In(1),
        "tlast": Out(1),
        **({"tdest": Out(dest_bits)} if dest_bits else {}),
    })


def read_port(address_bits: int, shape: ShapeLike) -> Ports:
    """Read port of a memory as its user has it: `data` belongs to the address of the last cycle with `enable`."""
    return Ports({"enable": Out(1), "address": Out(address_bits), "data": In(shape)})


def write_port(address_bits: int, data_bits: int, slice_bits: int = 0) -> Ports:
    """Write port of a memory as its user has it; `slice` only if a word is written in slices."""
    return Ports({
        "enable": Out(1),
        "address": Out(address_bits),
        **({"slice": Out(slice_bits)} if slice_bits else {}),
        "data": Out(data_bits),
    })
