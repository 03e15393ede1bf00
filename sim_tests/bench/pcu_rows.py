"""Random matrix rows for a PCU and their results in integers, from the contract of `hdl.grid.pcu`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hdl.grid.pcu import Pcu
from hdl.layouts import Activation, Addend, Hold, bias_layout, gate_entry_layout, instruction_layout, operand_tag_layout
from hdl.numerics import Arithmetic
from rnn_mapper.fixed_point import requantise, saturate
from rnn_mapper.mapping.images import LayoutPacker, packed_words
from sim_tests.bench.stimulus import corner_values, random_codes
from sim_tests.bench.unit_path_model import Issue, activate, random_instruction

__all__ = ["FILL_ROWS", "PcuRows"]

#: The first rows fill the registers that instructions read: HOLD0 of an even and an odd unit, HOLD1, and (by
#: instruction 0) the kept result.
FILL_ROWS = (Hold.HOLD0, Hold.HOLD0, Hold.HOLD1, Hold.NONE)


@dataclass
class PcuRows:
    """A stream of rows, made phase by phase; inputs and expected outputs by cycle."""

    component: Pcu
    rng: np.random.Generator
    #: Weights, vector and tag.
    operands: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    partial_in: dict[int, int] = field(default_factory=dict)
    partial_out: dict[int, int] = field(default_factory=dict)
    #: Expected issues of the gate path and, later, values with stored pre-activations.
    issues: dict[int, Issue] = field(default_factory=dict)
    values: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        p, rng = self.component.parameters, self.rng
        self.tags = LayoutPacker(operand_tag_layout(p))
        self.entries = [self._entry(index) for index in range(p.gate_entries)]
        biases = corner_values(rng, p.accumulator_bits, 3 * p.gate_entries)
        # Full-scale sums would saturate whatever is added to them.
        self.biases = [bias >> int(rng.integers(p.accumulator_bits - 4)) for bias in biases][: p.gate_entries]
        self.stored = [int(value) for value in rng.integers(-(1 << 15), 1 << 15, p.stored_depth)]
        #: Stores to every address: cycle of the row, and its pre-activation.
        self._stores: dict[int, list[tuple[int, int]]] = {}

    def images(self) -> tuple[list[int], list[int]]:
        """Words of the bias and the gate entry memory."""
        p = self.component.parameters
        bias, gate = LayoutPacker(bias_layout(p)), LayoutPacker(gate_entry_layout(p))
        return [bias.pack({"bias": value}) for value in self.biases], [gate.pack(entry) for entry in self.entries]

    def instruction(self, address: int) -> dict[str, int]:
        """A random instruction. Gates run the first half of the program; only there is a stored pre-activation."""
        p, rng = self.component.parameters, self.rng
        packer = LayoutPacker(instruction_layout(p))
        half = p.program_length // 2
        fields = {"next": int(rng.integers(half, p.program_length))}
        if address >= half:
            fields["addend"] = int(rng.choice([addend.value for addend in Addend if addend != Addend.STORED]))
        return random_instruction(rng, packer, **fields)

    def _entry(self, index: int) -> dict[str, int]:
        p, rng = self.component.parameters, self.rng
        store = int(rng.random() < 0.3)
        entry = {
            "shift": int(rng.integers(0, 16)), "multiplier": int(rng.integers(1, 1024)),
            "add_stored": int(rng.integers(2)), "store": store,
            "stored": (0x5555, 0xAAAA)[int(rng.integers(2))] % p.stored_depth,
            "activation": int(rng.integers(4)), "hold": int(rng.integers(3)), "run": int(rng.random() < 0.7),
            "instruction": int(rng.integers(p.program_length // 2)), "unit": int(rng.integers(min(4, p.units))),
        }
        if index < len(FILL_ROWS):
            entry |= {
                "store": 0, "activation": 0, "hold": FILL_ROWS[index].value, "run": 1, "instruction": 0,
                "unit": index & 1,
            }
        elif store:
            entry |= {"activation": 0, "hold": 0, "run": 0}
        return entry

    def phase(self, cycle: int, base: int, rows: int, words: int, **flags: int) -> int:
        """Rows back to back from `cycle`; `flags` are fields of the tag. Returns the cycle after the last."""
        p, rng = self.component.parameters, self.rng
        half = 1 << (p.accumulator_bits - 1)
        for entry in range(base, base + rows):
            total = self.biases[entry] if flags["tail"] else 0
            for word in range(words):
                ends = rng.random() < 0.2
                weights, vector = (
                    random_codes(rng, arithmetic, (p.lanes,), ends) for arithmetic in (Arithmetic(), p.arithmetic)
                )
                total += 0 if flags["zero"] else int(weights.astype(int) @ vector.astype(int))
                tag = self.tags.pack(
                    {"valid": 1, "first": int(word == 0), "last": int(word == words - 1), "entry": entry, **flags}
                )
                self.operands[cycle] = packed_words(weights[None])[0], packed_words(vector[None])[0], tag
                cycle += 1
            # The western neighbour's words come one cycle earlier, and so does its sum.
            seen = cycle - 1 + self.component.partial_latency
            west = int(rng.integers(-half, half)) >> int(rng.integers(p.accumulator_bits - 4))
            self.partial_in[seen - 1] = west
            total += 0 if flags["head"] else west
            total = (total + half) % (2 * half) - half
            self.partial_out[seen] = total
            if flags["tail"]:
                self._finish(cycle - 1, self.entries[entry], total, flags)
        return cycle

    def _finish(self, last: int, entry: dict[str, int], total: int, flags: dict[str, int]) -> None:
        component = self.component
        arithmetic = component.parameters.arithmetic
        part = int(saturate(requantise(total, entry["multiplier"], entry["shift"], arithmetic), 16))
        stores = self._stores.setdefault(entry["stored"], [(-component.store_distance, self.stored[entry["stored"]])])
        stored = [value for cycle, value in stores if cycle + component.store_distance <= last][-1]
        before = int(saturate(part + stored * entry["add_stored"], 16))
        if entry["store"]:
            stores.append((last, before))
            return
        value = activate(before, Activation(entry["activation"]), component.parameters.table_segments)
        # The result of the row's own instruction is on the link one cycle after it leaves the unit path.
        arrives = last + component.result_latency - 1 - component.unit_path.emit_latency
        self.values[arrives] = value, stored
        self.issues[arrives - 1 - component.parameters.memory_registers] = Issue(
            entry["run"], Hold(entry["hold"]), entry["instruction"], entry["unit"], flags["fresh"], flags["parity"]
        )

    def final_stored(self) -> list[int]:
        """The memory of stored pre-activations after all rows."""
        return [self._stores[address][-1][1] if address in self._stores else value
                for address, value in enumerate(self.stored)]
