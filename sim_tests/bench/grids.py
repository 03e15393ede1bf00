"""Grids of the regression: sizes that divide evenly and sizes that do not."""

from __future__ import annotations

from hdl.parameters import GridParameters

__all__ = ["GRIDS", "ICARUS_GRIDS", "RESIDENT_GRID", "RESIDENT_GRID_16", "TINY_GRIDS"]


def _grid(rows: int, cols: int, lanes: int, **others: int) -> GridParameters:
    sizes = {"weight_depth": 1024, "vector_depth": 128, "units": 64, "gate_entries": 512}
    return GridParameters(rows, cols, lanes, **(sizes | others))


#: Memories for several networks: room for eight models of deep networks.
_RESIDENT = {
    "weight_depth": 2048, "vector_depth": 64, "units": 64, "gate_entries": 1024, "state_words": 8, "phases": 32,
    "schedule_depth": 64, "program_length": 64, "models": 8,
}
#: One grid for all tests of several networks, so that it is built once.
RESIDENT_GRID = GridParameters(2, 2, 8, **_RESIDENT)
#: The same with 16-bit operands: a vector word takes three beats, a weight word one and a half.
RESIDENT_GRID_16 = GridParameters(
    4, 2, 12, operand_bits=16, accumulator_bits=36, memory_registers=1, carry_save=1, **_RESIDENT
)

#: Grids by name, cheapest first; "-16" is for 16-bit operands. The settings of the pipeline are spread over them.
GRIDS: dict[str, GridParameters] = {
    # One site, one byte a beat, the narrowest accumulator that the quantiser uses and a register at every tree level.
    "1x1x4": _grid(
        1, 1, 4, accumulator_bits=24, tree_levels_per_register=1, memory_registers=1, weight_ports=1
    ),
    # A row of sites: results of one unit at a time, lanes not a power of two.
    "1x4x5": _grid(
        1, 4, 5, table_segments=64, tree_levels_per_register=7, state_words=1, models=1, memory_registers=1,
        carry_save=1,
    ),
    # One value a beat, so that a state word is one beat and a weight word two and a half.
    "1x2x5-16": _grid(1, 2, 5, operand_bits=16, accumulator_bits=32, models=1, memory_registers=1, carry_save=1),
    "2x2x8": _grid(2, 2, 8),
    # More rows than lanes: a group takes two vector words.
    "8x1x4": _grid(8, 1, 4, table_segments=1024, memory_registers=1),
    # Weight words are half a beat, and a group takes two.
    "8x1x4-16": _grid(8, 1, 4, operand_bits=16, accumulator_bits=40, carry_save=1),
    "4x2x12-16": RESIDENT_GRID_16,
    # A group takes four words of the write stream and a vector word seven.
    "4x2x7": _grid(4, 2, 7, state_words=8, models=16, carry_save=1),
    # Beats divide a word by three.
    "2x5x6": _grid(2, 5, 6, accumulator_bits=40, memory_registers=1, carry_save=1),
    "4x3x12": _grid(4, 3, 12, state_words=2, models=2),
    # A group takes two beats, a vector word three.
    "8x3x12": _grid(8, 3, 12, tree_levels_per_register=3, memory_registers=1),
    "4x4x16": _grid(4, 4, 16, carry_save=1),
    "4x8x8": _grid(4, 8, 8, weight_ports=1),
}

#: The grids that are small enough for an event-driven simulator, and those that are so for many sequences.
ICARUS_GRIDS = ("1x1x4", "1x4x5", "1x2x5-16", "2x2x8", "8x1x4", "8x1x4-16", "4x2x7")
TINY_GRIDS = ("1x1x4", "1x4x5", "1x2x5-16")
