"""The AXI4-Lite register map: the single source of the hardware, the C and Verilog headers and the documentation."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = [
    "ADDRESS_BITS", "BITS", "IDENTIFICATION", "REGISTERS", "VERSION", "Access", "Control", "Error", "InterruptEnable",
    "Mode", "Register", "Status", "Stream", "held_bits",
]

#: Value of the ID register: "SRNN".
IDENTIFICATION = 0x53524E4E
#: Value of the VERSION register: major in the upper half, minor in the lower.
VERSION = 0x0002_0000
#: Bits of a byte address.
ADDRESS_BITS = 7


class Access(enum.Enum):
    """Access of the host to a register."""

    READ = "read"
    WRITE = "write"
    READ_WRITE = "read/write"
    #: Reads the sticky bits; writing ones clears them.
    WRITE_ONE_TO_CLEAR = "read/write 1 to clear"


@dataclass(frozen=True)
class Register:
    """One 32-bit register at byte address `offset`."""

    name: str
    offset: int
    access: Access
    text: str
    reset: int = 0


class Control(enum.IntEnum):
    """Bit positions of CONTROL. Each bit that is written as 1 acts once."""

    #: Begin a sequence of STEPS steps.
    START = 0
    #: End the running sequence early; STATUS then shows ABORTED. Also ends a load packet that is under way.
    ABORT = 1


class Status(enum.IntEnum):
    """Bit positions of STATUS."""

    #: A sequence is running (or being aborted).
    BUSY = 0
    #: The last sequence ended and its last output was taken. Cleared by START.
    DONE = 1
    #: The last sequence was aborted. Cleared by START.
    ABORTED = 2
    #: The model that MODEL names has a state that a sequence can continue from.
    STATE_VALID = 3


class InterruptEnable(enum.IntEnum):
    """Bit positions of INTERRUPT_ENABLE. The interrupt stays high while its cause does."""

    #: Interrupt while DONE or ABORTED.
    SEQUENCE = 0
    #: Interrupt while any error flag is set.
    ERROR = 1


class Mode(enum.IntEnum):
    """Bit positions of MODE."""

    #: Start from the state that the model's last sequence left.
    KEEP_STATE = 0


class Stream(enum.IntEnum):
    """Bit positions of STREAM. A beat is what these bits say in the cycle in which the grid takes it from the bus."""

    #: LOAD says what a packet of s_axis is; tdest is ignored and may stay unconnected.
    IGNORE_TDEST = 0
    #: With IGNORE_TDEST: packets are load packets, otherwise input vectors.
    LOAD = 1


class Error(enum.IntEnum):
    """Bit positions of ERRORS. The first three come from the sites, in the order of `LinkError`."""

    #: Two results met on a result link: the loaded schedule is wrong.
    RESULT_COLLISION = 0
    #: Two values met in a PCU's epilogue: the loaded schedule is wrong.
    EPILOGUE_COLLISION = 1
    #: A phase token reached a site that was still busy: the loaded schedule is wrong.
    SEQUENCER_OVERRUN = 2
    #: The rows did not deliver a result in the same cycle: their images disagree.
    ROW_MISMATCH = 3
    #: A group of results arrived while the group before was being written: the loaded schedule is wrong.
    COLLECTOR_OVERLAP = 4
    #: A load packet arrived while a sequence was running; it was dropped.
    LOAD_WHILE_BUSY = 5
    #: A load packet named a memory, a site or a word that does not exist, or no words; it was dropped.
    LOAD_ADDRESS = 6
    #: The input's tlast was not where STEPS says. An early one aborts the sequence; after a missing one, beats are
    #: dropped up to the next tlast.
    INPUT_FRAMING = 7
    #: START was written while a sequence was running; it was ignored.
    START_WHILE_BUSY = 8
    #: START was written with STEPS = 0; it was ignored.
    NO_STEPS = 9
    #: START was written with a MODEL that is not loaded; it was ignored.
    NO_MODEL = 10
    #: START was written with KEEP_STATE and a model without valid state; the sequence starts from a cleared state.
    NO_STATE = 11
    #: START was written while a load packet was arriving; it was ignored.
    START_WHILE_LOADING = 12
    #: A load packet began with beats that are no header; it was dropped.
    LOAD_HEADER = 13
    #: The tlast of a load packet was not where its header says, or ABORT ended the packet. What it wrote is not whole:
    #: no model counts as loaded, unless the packet ended in its header.
    LOAD_FRAMING = 14


REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x00, Access.READ, "Identification, 0x53524E4E"),
    Register("VERSION", 0x04, Access.READ, "Version of this interface: major (bits 31-16), minor (bits 15-0)"),
    Register("GRID", 0x08, Access.READ, "rows (bits 7-0), cols (bits 15-8), lanes (bits 23-16), bytes "
             "of an operand minus one (bits 31-24)"),
    Register("CONTROL", 0x0C, Access.WRITE, "Commands, see the CONTROL bits"),
    Register("STATUS", 0x10, Access.READ, "State of the sequence, see the STATUS bits"),
    Register("INTERRUPT_ENABLE", 0x14, Access.READ_WRITE,
             "Causes of the interrupt, see the INTERRUPT_ENABLE bits"),
    Register("MODE", 0x18, Access.READ_WRITE, "Start of the next sequence, see the MODE bits"),
    Register("STEPS", 0x1C, Access.READ_WRITE, "Steps of the next sequence, 1 to 2^32 - 1", reset=1),
    Register("PHASE_ENABLE_LOW", 0x20, Access.READ_WRITE, "Enables of phases 31-0, all set after "
             "reset; bits of phases that the grid does not have are zero", reset=0xFFFFFFFF),
    Register("PHASE_ENABLE_HIGH", 0x24, Access.READ_WRITE, "The same of phases 63-32", reset=0xFFFFFFFF),
    Register("ERRORS", 0x28, Access.WRITE_ONE_TO_CLEAR, "Sticky error flags, see the ERRORS bits"),
    Register("STEPS_DONE", 0x2C, Access.READ, "Steps of this sequence whose output has been fetched for sending"),
    Register("CYCLES_LOW", 0x30, Access.READ, "Cycles from start to done, bits 31-0; reading them keeps bits "
             "63-32 for the next read of CYCLES_HIGH. The three counters below do the same"),
    Register("CYCLES_HIGH", 0x34, Access.READ, "The same, bits 63-32"),
    Register("STALL_INPUT_LOW", 0x38, Access.READ, "Cycles in which a phase waited for input only"),
    Register("STALL_INPUT_HIGH", 0x3C, Access.READ, "The same, bits 63-32"),
    Register("STALL_OUTPUT_LOW", 0x40, Access.READ, "Cycles in which a phase waited for output buffer room only"),
    Register("STALL_OUTPUT_HIGH", 0x44, Access.READ, "The same, bits 63-32"),
    Register("STALL_RESULT_LOW", 0x48, Access.READ, "Cycles in which a phase waited for the results of another"),
    Register("STALL_RESULT_HIGH", 0x4C, Access.READ, "The same, bits 63-32"),
    Register("MODEL", 0x50, Access.READ_WRITE, "Model of the next sequence: number of its header in the schedule ROM"),
    Register("STREAM", 0x54, Access.READ_WRITE, "Kind of the packets of s_axis, see the STREAM bits"),
)

#: Registers with named bits. All others of their bits read as zero.
BITS: dict[str, type[enum.IntEnum]] = {
    "CONTROL": Control,
    "STATUS": Status,
    "INTERRUPT_ENABLE": InterruptEnable,
    "MODE": Mode,
    "STREAM": Stream,
    "ERRORS": Error,
}


def held_bits(register: Register, phases: int) -> int:
    """The lowest bits of a read/write register that a grid of so many phases has; those above read as zero."""
    if register.name in BITS:
        return len(BITS[register.name])
    first = {"PHASE_ENABLE_LOW": 0, "PHASE_ENABLE_HIGH": 32}.get(register.name)
    return 32 if first is None else min(32, max(0, phases - first))
