"""Names that Verilog, image files and test benches share."""

from __future__ import annotations

from enum import StrEnum

from hdl.layouts import Memory

__all__ = ["SCHEDULE_INSTANCE", "SITE_INSTANCES", "TOP_MODULE", "ResetPort", "image_file", "site_name"]

#: Name of the top Verilog module.
TOP_MODULE = "spatial_rnn"
#: Instance name of the schedule ROM in the top module.
SCHEDULE_INSTANCE = "schedule_memory"
#: Instance names of the memories of a site that the write stream writes. The table exists twice, for the gate path and
#: for the unit path.
SITE_INSTANCES: dict[Memory, tuple[str, ...]] = {
    Memory.WEIGHT: ("weight_memory",),
    Memory.PHASE: ("phase_memory",),
    Memory.BIAS: ("bias_memory",),
    Memory.GATE: ("gate_memory",),
    Memory.PROGRAM: ("program_memory",),
    Memory.UNIT: ("unit_memory",),
    Memory.TABLE: ("gate_table", "unit_table"),
    Memory.STATE: ("state_memory",),
    Memory.VECTOR: ("vector_memory",),
}


class ResetPort(StrEnum):
    """Name and polarity of the reset of a grid, which is synchronous to its clock."""

    #: Active high, with the clock `clk`.
    RST = "rst"
    #: Active low and named as AXI names it, with the clock `aclk`.
    ARESETN = "aresetn"

    @property
    def clock(self) -> str:
        """Name of the clock beside it."""
        return "aclk" if self is ResetPort.ARESETN else "clk"

    @property
    def is_active_low(self) -> bool:
        """Whether 0 resets."""
        return self is ResetPort.ARESETN


def site_name(row: int, col: int) -> str:
    """Instance name of a site in the top module."""
    return f"site_r{row}_c{col}"


def image_file(*path: str) -> str:
    """Image file of a memory, relative to the image directory: its hierarchical name below the top module."""
    return ".".join((TOP_MODULE, *path, "hex"))
