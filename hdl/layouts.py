"""Every word on a link or in a memory of the grid, field by field.

The hardware decodes these layouts, the mapper packs them and the reference documentation prints them; there is no
second description. Widths come from `GridParameters`. Field comments (`#:`) are part of the documentation.
"""

from __future__ import annotations

import enum
from functools import lru_cache

from amaranth.hdl import signed
from amaranth.lib import data

from hdl.numerics import MULTIPLIER_BITS
from hdl.parameters import GridParameters, bits_for

__all__ = [
    "Activation", "Addend", "FactorX", "FactorY", "Hold", "Keep", "LinkError", "Memory", "Subtrahend", "WriteKind",
    "bias_layout", "gate_entry_layout", "instruction_layout", "memory_address_layout", "memory_shape",
    "operand_tag_layout", "phase_layout", "result_layout", "schedule_entry_layout", "schedule_header_layout",
    "schedule_width", "table_entry_layout", "token_layout", "unit_entry_layout", "vector_address_layout",
    "write_bus_layout", "write_word_layout",
]

#: Grids whose layouts are kept: a search over grids asks for them again and again.
_CACHED = 4096


class WriteKind(enum.Enum):
    """Kind of a word of the write stream."""

    IDLE = 0
    #: Values of a vector, for every PMU.
    VECTOR = 1
    #: Part of a memory word of one site (or of all sites of a row, a column or the grid).
    MEMORY = 2
    #: Begin a phase.
    TOKEN = 3


class Memory(enum.IntEnum):
    """The loadable memories, with their numbers in the header of a load packet."""

    #: PMU: weight words, in the order in which the phases use them.
    WEIGHT = 0
    #: PMU: one `phase_layout` word for each phase.
    PHASE = 1
    #: PCU: start value of the accumulator, one `bias_layout` word for each matrix row.
    BIAS = 9
    #: PCU: one `gate_entry_layout` word for each matrix row.
    GATE = 2
    #: PCU: epilogue program, `instruction_layout` words.
    PROGRAM = 3
    #: PCU: one `unit_entry_layout` word for each hidden unit.
    UNIT = 4
    #: PCU: activation table, one `table_entry_layout` word for each segment.
    TABLE = 5
    #: PCU: `state_words` 16-bit state words of each hidden unit.
    STATE = 6
    #: PMU: vector memory (both halves).
    VECTOR = 7
    #: Controller: schedule ROM, a `schedule_header_layout` word for each model and then `schedule_entry_layout` words.
    SCHEDULE = 8


class Activation(enum.Enum):
    """Function of an activation unit. Input Q5.10; sigmoid and tanh give Q0.15."""

    IDENTITY = 0
    SIGMOID = 1
    TANH = 2
    RELU = 3


class FactorX(enum.Enum):
    """First factor of the multiply-accumulate."""

    ZERO = 0
    #: The value that arrives with this instruction: a gate's value, or the result of the instruction before.
    VALUE = 1
    HOLD0 = 2
    HOLD1 = 3


class FactorY(enum.Enum):
    """Second factor of the multiply-accumulate (before `subtract`)."""

    VALUE = 0
    #: The unit's state word, see `carried`.
    STATE = 1
    #: 1.0 in Q0.15: 32768. The subtrahend must then be more than -32768.
    ONE = 2
    ZERO = 3


class Subtrahend(enum.Enum):
    """Subtrahend of the second factor; the difference has 17 bits."""

    ZERO = 0
    #: The arriving value.
    VALUE = 1
    #: The unit's state word, see `carried`.
    STATE = 2


class Addend(enum.Enum):
    """Addend of the product."""

    ZERO = 0
    #: The result kept by an earlier instruction, see `Keep`.
    KEPT = 1
    #: The arriving value, times 2^15.
    VALUE = 2
    #: The stored pre-activation of this gate, times 2^15. Only values of gates have one, not values from the ring.
    STORED = 3
    #: The unit's state word (see `carried`), times 2^15.
    STATE = 4


class Hold(enum.Enum):
    """Register that keeps an activated value for instructions of the same unit, from the next cycle on."""

    NONE = 0
    #: Exists twice: the lowest bit of the unit chooses.
    HOLD0 = 1
    HOLD1 = 2


class Keep(enum.Enum):
    """Whether the result of an instruction is kept for `Addend.KEPT`, and in which format it is added.

    An instruction in the very next cycle can add it.
    """

    NONE = 0
    #: As an activation, Q0.15: times 2^10 to the Q5.25 of a gate's product with a state.
    ACTIVATION = 1
    #: As a pre-activation or state, Q5.10: times 2^15.
    PRE_ACTIVATION = 2


class LinkError(enum.IntEnum):
    """Bit positions of the error bits that travel on the result link."""

    #: Two results met on a result link.
    RESULT_COLLISION = 0
    #: A gate value and a returning value met at the multiply-accumulate, or at the same hold register.
    EPILOGUE_COLLISION = 1
    #: A phase token arrived before its site was free.
    SEQUENCER_OVERRUN = 2


@lru_cache(maxsize=_CACHED)
def write_word_layout(p: GridParameters) -> data.StructLayout:
    """A word of the write stream. `address` is one of the three address layouts, by `kind`."""
    width = max(vector_address_layout(p).size, memory_address_layout(p).size, token_layout(p).size)
    return data.StructLayout({
        #: Kind of the word.
        "kind": WriteKind,
        #: `vector_address`, `memory_address` or `token`, from the least significant bit.
        "address": width,
        #: One beat; without meaning in a TOKEN.
        "data": p.beat_bits,
    })


@lru_cache(maxsize=_CACHED)
def vector_address_layout(p: GridParameters) -> data.StructLayout:
    """Address of a VECTOR word: a beat inside a vector word of one half."""
    return data.StructLayout({
        #: Beat inside the vector word, from the least significant.
        "beat": bits_for(p.word_beats),
        #: Vector word inside the half.
        "offset": p.vector_offset_bits,
        #: Half of the vector memory.
        "parity": 1,
    })


@lru_cache(maxsize=_CACHED)
def memory_address_layout(p: GridParameters) -> data.StructLayout:
    """Address of a MEMORY word."""
    shapes = [memory_shape(p, memory) for memory in Memory]
    return data.StructLayout({
        #: Beat inside the memory word, from the least significant.
        "beat": bits_for(max(beats for _, _, beats in shapes)),
        #: Word of the memory.
        "word": bits_for(max(depth for _, depth, _ in shapes)),
        #: A `Memory` number.
        "memory": 4,
        #: Row of the site.
        "row": p.row_bits,
        #: Column of the site, 0 in the west.
        "col": p.col_bits,
        #: Write in every row; `row` is ignored.
        "all_rows": 1,
        #: Write in every column; `col` is ignored.
        "all_cols": 1,
    })


@lru_cache(maxsize=_CACHED)
def token_layout(p: GridParameters) -> data.StructLayout:
    """Address of a TOKEN word: the phase to run, and its step."""
    return data.StructLayout({
        #: Index of the phase word in every site.
        "phase": p.phase_bits,
        #: Half of the double buffers that belongs to this step.
        "parity": 1,
        #: First step of a sequence that starts from a cleared state.
        "fresh": 1,
    })


@lru_cache(maxsize=_CACHED)
def write_bus_layout(p: GridParameters) -> data.StructLayout:
    """A write from a PMU to the memories of its site."""
    address = memory_address_layout(p)
    return data.StructLayout({
        #: Beat inside the memory word.
        "beat": address["beat"].shape,
        #: Word of the memory.
        "word": address["word"].shape,
        #: The beat.
        "data": p.beat_bits,
    })


@lru_cache(maxsize=_CACHED)
def phase_layout(p: GridParameters) -> data.StructLayout:
    """The work of one site in one phase (PMU configuration ROM)."""
    return data.StructLayout({
        #: Units of this site; 0: the site takes no part.
        "units": bits_for(p.units + 1),
        #: Gates of a unit, minus one.
        "gates": 3,
        #: Vector words of a gate in this site, minus one.
        "words": p.vector_offset_bits,
        #: Idle cycles after each unit.
        "pad": 8,
        #: Cycles between the token and the first read.
        "delay": 8,
        #: `words` for a token with `fresh`: a state that counts as zero need not be read in full.
        "fresh_words": p.vector_offset_bits,
        #: `pad` for a token with `fresh`.
        "fresh_pad": 8,
        #: `delay` for a token with `fresh`.
        "fresh_delay": 8,
        #: First weight word; the words of a phase are consecutive.
        "weight_base": p.weight_address_bits,
        #: First vector word, in the half that `previous` selects.
        "vector_base": p.vector_offset_bits,
        #: 0: read the half of this step; 1: read the half of the step before.
        "previous": 1,
        #: First gate entry; the entries of a phase are consecutive.
        "entry_base": p.gate_entry_bits,
        #: First of its chain: no partial sum is added.
        "head": 1,
        #: Last of its chain: the epilogue runs here.
        "tail": 1,
    })


@lru_cache(maxsize=_CACHED)
def operand_tag_layout(p: GridParameters) -> data.StructLayout:
    """Control that travels with a weight word and a vector word from PMU to PCU."""
    return data.StructLayout({
        #: There are operands in this cycle.
        "valid": 1,
        #: First word of a matrix row.
        "first": 1,
        #: Last word of a matrix row.
        "last": 1,
        #: The vector counts as zero: it is the state before the first step of a cleared sequence.
        "zero": 1,
        #: As in the token.
        "fresh": 1,
        #: As in the token.
        "parity": 1,
        #: As in the phase word.
        "head": 1,
        #: As in the phase word.
        "tail": 1,
        #: Gate entry (and bias) of the matrix row.
        "entry": p.gate_entry_bits,
    })


@lru_cache(maxsize=_CACHED)
def bias_layout(p: GridParameters) -> data.StructLayout:
    """Start value of the accumulator of one matrix row (PCU)."""
    return data.StructLayout({
        #: In units of weight scale times operand scale, plus half of the unit that the requantiser's shift drops.
        "bias": signed(p.accumulator_bits),
    })


@lru_cache(maxsize=_CACHED)
def gate_entry_layout(p: GridParameters) -> data.StructLayout:
    """Arithmetic and destination of one matrix row (PCU)."""
    return data.StructLayout({
        #: Requantisation, see `hdl.grid.requantiser`: right shift of the sum.
        "shift": 5,
        #: Requantisation: factor of the shifted sum.
        "multiplier": MULTIPLIER_BITS,
        #: Add the stored pre-activation at `stored`.
        "add_stored": 1,
        #: Store the requantised sum (after the addition) at `stored`, and do nothing else with it.
        "store": 1,
        #: Word of the memory of stored pre-activations.
        "stored": p.stored_bits,
        #: Function of the (added) pre-activation.
        "activation": Activation,
        #: Keep the activated value for later instructions of the same unit.
        "hold": Hold,
        #: Run `instruction` on the activated value.
        "run": 1,
        #: Address in the program.
        "instruction": p.program_bits,
        #: Unit whose state the instructions use; their `destination` is added to it for the unit entry.
        "unit": p.unit_bits,
    })


@lru_cache(maxsize=_CACHED)
def instruction_layout(p: GridParameters) -> data.StructLayout:
    """One instruction of the epilogue: `result = sat16(round(x * (y - subtract) + addend, 15))`.

    An instruction reads the state word of its unit whose number is in the lowest bits of the instruction's address.
    """
    return data.StructLayout({
        #: First factor.
        "x": FactorX,
        #: Second factor.
        "y": FactorY,
        #: Subtrahend of `y`.
        "subtract": Subtrahend,
        #: Addend of the product.
        "addend": Addend,
        #: Whether the result is kept, and in which format.
        "keep": Keep,
        #: The state word is carried from step to step, so that it counts as zero in the first step of a cleared
        #: sequence. Otherwise it is read as it is.
        "carried": 1,
        #: Write the result to state word `write_slot` of the unit.
        "write_state": 1,
        #: Number of the state word within the unit, if `write_state`.
        "write_slot": max(1, p.slot_bits),
        #: Put the result on the result link.
        "emit": 1,
        #: Added to the unit, modulo 2 to the bits of a unit, for the unit entry of an emitted result.
        "destination": p.unit_bits,
        #: Pass the result through `activation` to instruction `next`, one trip round the ring later.
        "proceed": 1,
        #: Keep the activated result one trip round the ring later, with or without `proceed`.
        "hold": Hold,
        #: Function of the result on its way to `next` and `hold`.
        "activation": Activation,
        #: Address of the instruction that takes the activated result.
        "next": p.program_bits,
    })


@lru_cache(maxsize=_CACHED)
def unit_entry_layout(p: GridParameters) -> data.StructLayout:
    """Destination of a unit's result (PCU); travels with the result on the result link."""
    narrowing = {
        #: The operand is `sat8(round(result, feedback_shift))`; 0 means no shift. The field does not exist with 16-bit
        #: operands, which are the result itself.
        "feedback_shift": 4,
    }
    return data.StructLayout({
        #: Group in one half of the vector memory, and of the output buffer.
        "group": p.group_bits,
        #: Phase that the result completes if it is `final`.
        "phase": p.phase_bits,
        #: Last result of its phase to reach the collector.
        "final": 1,
        #: Feed the value back to the vector memories as an operand.
        "to_vector": 1,
        #: Send the 16-bit value to the host.
        "to_host": 1,
        **(narrowing if p.operand_bits < 16 else {}),
    })


@lru_cache(maxsize=_CACHED)
def result_layout(p: GridParameters) -> data.StructLayout:
    """A word of the result link."""
    return data.StructLayout({
        #: There is a result in this cycle.
        "valid": 1,
        #: The result.
        "value": 16,
        #: Half of the double buffers that belongs to its step.
        "parity": 1,
        #: Its destination.
        "unit": unit_entry_layout(p),
        #: Sticky, one bit for each `LinkError`.
        "errors": len(LinkError),
    })


@lru_cache(maxsize=_CACHED)
def table_entry_layout(p: GridParameters) -> data.StructLayout:
    """One segment of the sigmoid table: the value at its left end (Q0.15) and the rise over the segment."""
    return data.StructLayout({
        #: Value at the left end, Q0.15.
        "base": 15,
        #: Value at the right end, minus `base`.
        "rise": p.slope_bits,
    })


@lru_cache(maxsize=_CACHED)
def schedule_header_layout(p: GridParameters) -> data.StructLayout:
    """The first words of the schedule ROM, one for each model: its schedule, input and output."""
    return data.StructLayout({
        #: Entries of the model; 0: no such model is loaded.
        "entries": p.schedule_bits,
        #: Word of its first entry; the others follow.
        "first": p.schedule_bits,
        #: Largest lag of an entry: iterations that run after the last step has begun.
        "max_lag": 4,
        #: First vector word of the input vector.
        "input_offset": p.vector_offset_bits,
        #: Beats of the input vector of one step.
        "input_beats": 16,
        #: First group of the output vector in the output buffer.
        "output_base": p.group_bits,
        #: Groups of the output vector, minus one.
        "output_groups": p.group_bits,
        #: Values of the last group that belong to the output, minus one.
        "output_last": p.row_bits,
        #: Results of a step that must have arrived before its output begins.
        "output_start": p.group_bits + 1,
    })


@lru_cache(maxsize=_CACHED)
def schedule_entry_layout(p: GridParameters) -> data.StructLayout:
    """One phase in the order of issue. It runs in iteration `i` for step `i - lag`, if that step exists."""
    return data.StructLayout({
        #: Phase of the token.
        "phase": p.phase_bits,
        #: Iterations by which the phase lags behind.
        "lag": 4,
        #: Cycles until the next token may follow, minus one.
        "duration": 24,
        #: The same in the first step of a sequence that starts from a cleared state.
        "fresh_duration": 24,
        #: Take `duration` cycles also in an iteration without a step to run.
        "holds_slot": 1,
        #: Wait until phase `wait_phase` is complete up to step `step - wait_back`.
        "wait": 1,
        #: Phase to wait for, if `wait`.
        "wait_phase": p.phase_bits,
        #: Steps back, if `wait`.
        "wait_back": 2,
        #: Wait for the input vector of this step.
        "needs_input": 1,
        #: Last reader of the input vector: when it is over, its half of the buffer is free.
        "frees_input": 1,
        #: Its results go to the host: wait for room in the output buffer.
        "to_host": 1,
    })


def schedule_width(p: GridParameters) -> int:
    """Bits of a word of the schedule ROM."""
    return max(schedule_header_layout(p).size, schedule_entry_layout(p).size)


@lru_cache(maxsize=_CACHED)
def memory_shape(p: GridParameters, memory: Memory) -> tuple[int, int, int]:
    """Bits of a word, words, and write-stream beats of a word of a loadable memory."""
    width, depth = {
        Memory.WEIGHT: (8 * p.lanes, p.weight_depth),
        Memory.PHASE: (phase_layout(p).size, p.phases),
        Memory.BIAS: (bias_layout(p).size, p.gate_entries),
        Memory.GATE: (gate_entry_layout(p).size, p.gate_entries),
        Memory.PROGRAM: (instruction_layout(p).size, p.program_length),
        Memory.UNIT: (unit_entry_layout(p).size, p.units),
        Memory.TABLE: (table_entry_layout(p).size, p.table_segments),
        Memory.STATE: (16, p.state_depth),
        Memory.VECTOR: (p.operand_bits * p.lanes, p.vector_depth),
        Memory.SCHEDULE: (schedule_width(p), p.schedule_depth),
    }[memory]
    return width, depth, -(-width // p.beat_bits)
