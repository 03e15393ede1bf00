"""Cycle-accurate model of the controller, from the contract of `hdl.grid.controller`; steps and cycles are integers.

`begin_sequence` is high in the cycle after START; entries are considered in the cycles that the contract names.
"""

from __future__ import annotations

from collections import Counter, abc
from collections.abc import Sequence

from hdl.grid.controller import Controller

__all__ = ["STALLS", "ControllerModel"]

STALLS = ("stall_input", "stall_output", "stall_result")


class ControllerModel:
    """A controller; `headers` and `schedules` are the header and the entries of each model in the schedule ROM."""

    def __init__(self, drain_cycles: int, models: int) -> None:
        self.drain_cycles, self.models = drain_cycles, models
        self.headers: list[dict[str, int]] = [{"entries": 0}] * models
        self.schedules: list[Sequence[dict[str, int]]] = [[]] * models
        #: Of each model: half of the next step, and whether it has a state.
        self.parities, self.valid = [0] * models, [0] * models
        #: Models whose header was written by whole packets since the reset, and by the packet that arrives.
        self.written: set[int] = set()
        self.arriving: set[int] = set()
        #: The model that the packet is for; whether a packet is under way, and whether one has failed, ever.
        self.receiver = 0
        self.overwritten = self.spoiled = False
        #: The model that runs or ran last, its header and its entries.
        self.current = 0
        self.header: abc.Mapping[str, int] = {}
        self.entries: Sequence[abc.Mapping[str, int]] = []
        self.now = 0
        self.state = "idle"
        self.done = self.aborted = 0
        self.counters = dict.fromkeys(("cycles", *STALLS), 0)
        self.steps = 0
        #: First cycle after the duration of the last entry; its input vector is free then, if `frees`.
        self.free_at = 0
        self.frees = False
        #: Counts of events, for a test that must cover all of them.
        self.seen: Counter[str] = Counter()
        self._fresh = False
        self._enables = 0
        self._place = self._iteration = 0
        #: First cycle in which the entry is considered.
        self._considered_at = 0
        self._completed: Counter[int] = Counter()
        self._drained_at = 0
        #: The model that the host named a cycle before (none at first), whether an output was skipped then, and what an
        #: entry waited for.
        self._named, self._skipped, self._stalled = models, 0, ""

    def cycle(self, inputs: abc.Mapping[str, int]) -> dict[str, int]:
        """The outputs of the cycle with these inputs; then the clock edge at its end."""
        named = self._named
        outputs = {
            "busy": int(self.state != "idle"), "running": int(self.state == "run"),
            "flush": int(self.state == "abort"), "begin_sequence": int(self.state == "begin"),
            "done": self.done, "aborted": self.aborted, "parity": self.parities[self.current],
            "state_valid": self.valid[named] if named < self.models else 0,
            "input_free": int(self.frees and self.now == self.free_at), **self.counters,
            **dict.fromkeys(("token_valid", "input_consume"), 0), "output_skip": self._skipped,
            **dict.fromkeys(("start_while_busy", "start_while_loading", "no_steps", "no_model", "no_state"), 0),
            "model_loaded": int(self._is_loaded(inputs)),
        }
        if outputs["busy"]:
            outputs |= {"steps_latched": self.steps, "start_while_busy": inputs["start"]}
        self._skipped = 0
        loaded = bool(outputs["model_loaded"])
        state = self.state
        if state == "begin":
            self._completed.clear()
            self._considered_at = self.now + Controller.first_entry
            self.counters = {"cycles": 1, **dict.fromkeys(STALLS, 0)}
            self.state = "run"
        elif state != "idle":
            self.counters = self.counters | {"cycles": self.counters["cycles"] + 1}
        if self._stalled:
            self.counters = self.counters | {self._stalled: self.counters[self._stalled] + 1}
        self._stalled = ""
        if state == "idle":
            self._idle(inputs, outputs, loaded)
        elif state == "run":
            self._run(inputs, outputs)
        elif state == "abort" and self.now >= self._drained_at and inputs["input_quiet"] and inputs["output_idle"]:
            self.state, self.aborted = "idle", 1
        if state in ("begin", "run") and self.state == "run" and inputs["abort"]:
            self.state, self._skipped = "abort", 0
            self.valid[self.current] = 0
            self.seen["aborted beside another"] += any(self.valid)
            self._drained_at = max(self.now + 1, self.free_at) + self.drain_cycles
        if inputs["complete"]:
            self._completed[inputs["complete_phase"]] += 1
        self._loads(inputs)
        self._named = inputs["model"]
        for name, value in outputs.items():
            self.seen[name] += int(bool(value))
        self.now += 1
        return outputs

    def reset(self) -> None:
        """A reset: memories, and what is known about their contents, stay."""
        self.parities, self.valid = [0] * self.models, [0] * self.models
        self.written, self.arriving = set(), set()
        self.state, self.done, self.aborted = "idle", 0, 0
        self.counters = dict.fromkeys(self.counters, 0)
        self.current, self.frees, self.now = 0, False, 0
        self._named, self._skipped, self._stalled = self.models, 0, ""

    def _is_loaded(self, inputs: abc.Mapping[str, int]) -> bool:
        if self._named >= self.models:
            return False
        baked = inputs["initialised"] and not self.overwritten and not self.spoiled
        return bool(baked or self._named in self.written)

    def _loads(self, inputs: abc.Mapping[str, int]) -> None:
        """What load packets change."""
        if inputs["schedule_write"] and inputs["schedule_write_address"] < self.models:
            self.arriving.add(inputs["schedule_write_address"])
        if inputs["load_begun"]:
            self.receiver, self.arriving = self._named, set()
            self.spoiled, self.overwritten = self.spoiled or self.overwritten, True
            if not inputs["load_begun_state"]:
                self.parities, self.valid = [0] * self.models, [0] * self.models
        if inputs["load_finished"]:
            self.written |= self.arriving
            self.overwritten = False
            if inputs["load_finished_state"] and self.receiver < self.models:
                self.seen["state loaded beside another"] += sum(self.valid) > self.valid[self.receiver]
                self.parities[self.receiver], self.valid[self.receiver] = 0, 1
        if inputs["load_failed"]:
            self.seen["loads failed"] += 1
            self.parities, self.valid = [0] * self.models, [0] * self.models
            self.written, self.spoiled, self.overwritten = set(), True, False

    def _idle(self, inputs: abc.Mapping[str, int], outputs: dict[str, int], loaded: bool) -> None:
        if not inputs["start"]:
            return
        if inputs["loading"]:
            outputs["start_while_loading"] = 1
        elif not inputs["steps"]:
            outputs["no_steps"] = 1
        elif not loaded or not self.headers[self._named]["entries"]:
            outputs["no_model"] = 1
            self.seen["no such model"] += self._named >= self.models
        else:
            before, self.current = self.current, self._named
            self.header, self.entries = self.headers[self.current], self.schedules[self.current]
            kept = inputs["keep_state"] and outputs["state_valid"]
            outputs["no_state"] = int(bool(inputs["keep_state"] and not kept))
            self.state, self.steps, self.done, self.aborted = "begin", inputs["steps"], 0, 0
            self.seen["kept beside another"] += bool(kept and self.current != before and self.parities[self.current])
            self._fresh, self._place, self._iteration = not kept, 0, 0
            self._enables = inputs["phase_enable"]

    def _run(self, inputs: abc.Mapping[str, int], outputs: dict[str, int]) -> None:
        if self.now < self._considered_at:
            return
        if self._iteration == self.steps + self.header["max_lag"]:
            if inputs["all_sent"] and inputs["output_idle"]:
                self.state, self.done, self.valid[self.current] = "idle", 1, 1
                self.parities[self.current] ^= self.steps & 1
            return
        entry = self.entries[self._place]
        step = self._iteration - entry["lag"]
        passed = self.now >= self.free_at
        if 0 <= step < self.steps:
            if not passed or not self._ready(entry, step, inputs) or inputs["stream_busy"]:
                self.seen["stream_busy"] += passed
                return
            self._issue(entry, step, outputs)
        elif entry["holds_slot"]:
            if not passed:
                return
            self._take(entry["duration"], False)
            self.seen["slot held"] += 1
        self._considered_at = self.now + Controller.entry_interval
        self._place += 1
        if self._place == self.header["entries"]:
            self._place, self._iteration = 0, self._iteration + 1

    def _ready(self, entry: abc.Mapping[str, int], step: int, inputs: abc.Mapping[str, int]) -> bool:
        """Whether all conditions of the entry hold; a condition that fails alone counts as a stall of its kind."""
        missing = []
        if entry["needs_input"] and not inputs["input_available"]:
            missing.append("stall_input")
        if entry["to_host"] and (step - inputs["steps_sent"]) % 4 >= 2:
            missing.append("stall_output")
        if entry["wait"] and self._completed[entry["wait_phase"]] < step + 1 - entry["wait_back"]:
            # A missing result always counts, and hides the other conditions.
            missing = ["stall_result"]
        if len(missing) == 1:
            self._stalled = missing[0]
        self.seen["two missing"] += len(missing) == 2
        return not missing

    def _issue(self, entry: abc.Mapping[str, int], step: int, outputs: dict[str, int]) -> None:
        phase = entry["phase"]
        enabled = self._enables >> phase & 1
        fresh = int(self._fresh and step == 0)
        outputs |= {
            "token_valid": enabled, "phase": phase, "token_parity": step & 1 ^ outputs["parity"], "fresh": fresh,
            "input_consume": entry["frees_input"],
        }
        self._skipped = int(entry["to_host"] and not enabled)
        # A phase that is switched off is complete at once, the others with `complete`.
        self._completed[phase] += not enabled
        self._take(entry["fresh_duration" if fresh else "duration"], bool(entry["frees_input"]))
        self.seen["switched off"] += not enabled

    def _take(self, duration: int, frees: bool) -> None:
        self.free_at, self.frees = self.now + duration + 1, frees
