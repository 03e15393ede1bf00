"""The order of rows and the unit program of each phase; both depend on how long the rows take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hdl.latencies import GridLatencies
from hdl.layouts import Activation
from rnn_mapper.cells.program import GateStep, Program
from rnn_mapper.cells.unit_program import Preference, unit_program
from rnn_mapper.schedule.phases import Phase

__all__ = ["choose_programs"]


def choose_programs(
    phases: Sequence[Phase], words: Sequence[int], latencies: GridLatencies,
    preference: Preference = Preference.EARLY_RESULT,
) -> tuple[list[Phase], list[int]]:
    """The phases with programs, and the words of their rows: the given number, or more where a unit program needs time.

    `words` are the vector words of a row in one PCU, by phase. Raises `CellError` for a stage without a program.
    """
    programs: dict[tuple[int, int, int, int], Program] = {}
    lengths = list(words)
    for index, phase in enumerate(phases):
        if not phase.stores:
            programs[phase.stored_key], lengths[index] = unit_program(
                phase.stage, words[index], latencies.unit_path, phase.separate, preference
            )
    chosen = [
        replace(
            phase, unit_slots=len(programs[phase.stored_key].gates),
            program=_storing(phase, programs[phase.stored_key]) if phase.stores else programs[phase.stored_key],
        )
        for phase in phases
    ]
    return chosen, lengths


def _storing(phase: Phase, program: Program) -> Program:
    """The rows that a phase stores, in the order in which the phase with the unit program reads them."""
    rows = phase.stage.all_rows
    stored = [part.operand for part in phase.stage.stored]
    before = stored[: stored.index(phase.multiplied)] if phase.multiplied in stored else stored
    gates: list[GateStep] = []
    for slot, step in enumerate(program.gates):
        number = step.gate if step.foreign is None else step.foreign
        row = rows[number]
        place = next((
            place for place, product in enumerate(row.products) if product.operand is phase.multiplied
        ), None)
        if place is not None and (step.foreign is not None or step.add_stored):
            adds = any(product.operand in before for product in row.products)
            gates.append(GateStep(number, Activation.IDENTITY, slot=slot, add_stored=adds))
    return Program(f"stored for {program.name}", tuple(gates))

