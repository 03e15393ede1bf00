"""Counts of the hardware's operations in a sequence: the numbers that an estimate of energy multiplies.

All counts follow from the mapping and its prediction; nothing is measured or estimated here. A site that no phase uses
reads nothing. The first step of a cleared sequence reads one word a gate where a phase multiplies the state
(`PhaseTiming.fresh`); such tokens are counted with that timing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from hdl.layouts import Memory, memory_shape
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.schedule.prediction import TokenIssue
from rnn_mapper.schedule.timing import PhaseTiming

__all__ = ["Activity", "count_activity"]


@dataclass(frozen=True)
class Activity:
    """Counts of a whole sequence, over the whole grid. "Words" are memory words, "bits" the bits of memory ports."""

    #: Busy cycles of the controller (the prediction).
    cycles: int = 0
    #: Multiplications of the model.
    model_multiplications: int = 0
    #: Multiplications that the hardware does: padding of rows, lanes and chains included.
    multiplications: int = 0
    #: Pairs of a weight word and a vector word that PMUs read; as many partial sums travel to the next site.
    words: int = 0
    #: Matrix rows that go through gate paths.
    rows: int = 0
    #: Instructions that unit paths execute.
    instructions: int = 0
    #: Words on the write stream: values fed back, inputs, tokens. Each visits every site.
    feedback_beats: int = 0
    input_beats: int = 0
    tokens: int = 0
    #: Hops of results on the result links, from their site to the collector.
    result_hops: int = 0
    #: Groups of 16-bit results that the output buffer stores and sends.
    output_groups: int = 0
    #: Bits read from weight memories, from vector memories, and written to vector memories.
    weight_bits_read: int = 0
    vector_bits_read: int = 0
    vector_bits_written: int = 0
    #: Bits read from and written to all other memories of the sites, and to and from the output buffer.
    small_bits_read: int = 0
    small_bits_written: int = 0
    output_bits: int = 0
    #: Bits of the activation tables in `small_bits_read`; the tables are read in every cycle, used or not.
    table_bits_read: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def to_dict(self) -> dict[str, int]:
        """Field names and counts."""
        return {field.name: int(getattr(self, field.name)) for field in fields(self)}


def count_activity(mapping: Mapping, steps: int, cleared: bool = True) -> Activity:
    """The counts of a sequence of `steps` steps, from a cleared state or from a kept one."""
    p = mapping.parameters
    prediction = mapping.predict(steps, cleared)
    total = sum((_of_token(mapping, token) for token in prediction.tokens), Activity())
    input_beats = mapping.input_beats * len(prediction.inputs)
    outputs = mapping.output_groups * steps
    tables = 2 * _width(mapping, Memory.TABLE) * p.sites * prediction.cycles
    return total + Activity(
        cycles=prediction.cycles,
        input_beats=input_beats,
        output_groups=outputs,
        vector_bits_written=input_beats * p.beat_bits * p.sites,
        small_bits_read=tables,
        table_bits_read=tables,
        # Stored once and sent once.
        output_bits=2 * outputs * 16 * p.rows,
    )


def _width(mapping: Mapping, memory: Memory) -> int:
    return memory_shape(mapping.parameters, memory)[0]


def _of_token(mapping: Mapping, token: TokenIssue) -> Activity:
    """The counts of one token."""
    p, timing = mapping.parameters, mapping.timings[token.phase].of_step(token.fresh)
    phase, nest = timing.phase, timing.nest
    units = nest.rows * sum(nest.units(chain) for chain in range(nest.chains))
    rows = units * nest.gates
    words = rows * nest.ru * nest.words
    beats = len(timing.beats)
    program = phase.steps
    instructions = 0 if phase.stores else units * program.length
    writes = 0 if phase.stores else units * sum(op.write_state for gate in program.gates for op in gate.instructions)
    # A row that does not store reads its stored part, needed or not; a row that stores reads it only to add to it.
    added = units * sum(gate.add_stored for gate in program.gates)
    stored_reads = added if phase.stores else rows
    return Activity(
        # A state that counts as zero is not multiplied; `predict` counts the same.
        model_multiplications=0 if token.fresh and phase.previous else phase.multiplications,
        multiplications=words * p.lanes,
        words=words,
        rows=rows,
        instructions=instructions,
        feedback_beats=beats,
        tokens=1,
        result_hops=0 if phase.stores else _result_hops(timing),
        weight_bits_read=words * _width(mapping, Memory.WEIGHT),
        vector_bits_read=words * _width(mapping, Memory.VECTOR),
        vector_bits_written=beats * p.beat_bits * p.sites,
        small_bits_read=(
            p.sites * _width(mapping, Memory.PHASE)
            + rows * _sum(mapping, (Memory.BIAS, Memory.GATE))
            + stored_reads * 16
            + instructions * _sum(mapping, (Memory.PROGRAM, Memory.STATE))
            # One result of each unit leaves.
            + (0 if phase.stores else units) * _width(mapping, Memory.UNIT)
        ),
        small_bits_written=rows * 16 * phase.stores + writes * _width(mapping, Memory.STATE),
    )


def _sum(mapping: Mapping, memories: Iterable[Memory]) -> int:
    return sum(_width(mapping, memory) for memory in memories)


def _result_hops(timing: PhaseTiming) -> int:
    """Links that the results of a phase use: from column j, j links to the west edge and one to the collector."""
    nest = timing.nest
    return nest.rows * sum(nest.units(chain) * (nest.tail(chain) + 1) for chain in range(nest.chains))
