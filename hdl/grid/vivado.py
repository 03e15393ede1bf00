"""Attributes from which the packager of Xilinx Vivado infers the interfaces of a grid (UG1118, "Inferring Signals")."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth.hdl import Signal

from hdl.naming import ResetPort

__all__ = ["mark_ports"]

#: Interface, and its parameters, of the ports with each prefix.
_BUSES = {
    "s_axil": ("aximm", "PROTOCOL AXI4LITE"),
    "s_axis": ("axis", ""),
    "m_axis": ("axis", ""),
}


def mark_ports(ports: Iterator[tuple[str, Signal]], reset: ResetPort) -> None:
    """Give the ports, by their Verilog names, the attributes X_INTERFACE_INFO and X_INTERFACE_PARAMETER."""
    signals = {
        reset.clock: ("clock", "CLK", f"ASSOCIATED_BUSIF {':'.join(_BUSES)}, ASSOCIATED_RESET {reset}"),
        reset.value: ("reset", "RST", f"POLARITY {'ACTIVE_LOW' if reset.is_active_low else 'ACTIVE_HIGH'}"),
        "interrupt": ("interrupt", "INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
    }
    parameters_given: set[str] = set()
    for name, signal in ports:
        if name in signals:
            bus, (kind, role, parameters) = name, signals[name]
            interface = f"xilinx.com:signal:{kind}:1.0"
        else:
            bus = name.rpartition("_")[0]
            role = name.removeprefix(f"{bus}_").upper()
            kind, parameters = _BUSES[bus]
            interface = f"xilinx.com:interface:{kind}:1.0"
        signal.attrs["X_INTERFACE_INFO"] = f"{interface} {bus} {role}"
        if parameters and bus not in parameters_given:
            # Parameters belong to the interface and are written once, at its first port.
            parameters_given.add(bus)
            signal.attrs["X_INTERFACE_PARAMETER"] = f"XIL_INTERFACENAME {bus}, {parameters}"
