"""Entries of the controller's schedule, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ScheduleEntry"]


@dataclass(frozen=True)
class ScheduleEntry:
    """One phase in the order of issue; see `hdl.layouts.schedule_entry_layout`."""

    phase: int
    lag: int
    #: Cycles until the next token may follow; `fresh_duration` in the first step of a cleared sequence.
    duration: int
    fresh_duration: int
    #: The entry takes its duration even in an iteration in which it does nothing.
    holds_slot: bool
    waits_for: int | None
    wait_back: int
    needs_input: bool
    frees_input: bool
    #: Waits for room in the output buffer; only set for the first slice of the output.
    to_host: bool
