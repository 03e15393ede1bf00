"""Each distinct component becomes one Verilog module, however many instances the grid has.

Amaranth emits a module for every submodule instance. A component that is placed with `Shared` is converted once, under
its own name, and instantiated by that name; the names of its ports come from its signature, so they cannot disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from amaranth.hdl import ClockSignal, Instance, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["ModuleCollector", "Shared", "is_clocked", "port_names"]


class ModuleCollector:
    """Amaranth platform that remembers which shared components a design places, and how often."""

    def __init__(self) -> None:
        self.components: dict[str, wiring.Component] = {}
        self.instances: Counter[str] = Counter()


def port_names(component: wiring.Component) -> Iterator[tuple[str, bool, object]]:
    """Verilog name, whether it is an input, and value of every port of a component (clock and reset apart)."""
    for path, member, value in component.signature.flatten(component):
        yield "__".join(str(part) for part in path), member.flow == In, value


def is_clocked(component: wiring.Component) -> bool:
    """Whether a component's module has a clock and a reset; a combinational component has `clocked = False`."""
    return getattr(component, "clocked", True)


class Shared(wiring.Component):
    """One instance of a shared component.

    Parameters: `component` is emitted (one object may be placed many times) as the Verilog module `module_name`, an
    attribute of its class. The instance has the component's signature and timing.
    """

    def __init__(self, component: wiring.Component) -> None:
        self.component = component
        super().__init__(component.signature)

    def elaborate(self, platform: ModuleCollector) -> Instance:
        name: str = self.component.module_name
        platform.components.setdefault(name, self.component)
        platform.instances[name] += 1
        ports = {("i_" if is_input else "o_") + name: value for name, is_input, value in port_names(self)}
        if is_clocked(self.component):
            ports.update(i_clk=ClockSignal(), i_rst=ResetSignal())
        return Instance(name, **ports)
