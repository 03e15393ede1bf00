"""The unit path: a program works on the state words of its own unit."""

from __future__ import annotations

from amaranth.hdl import Module, Signal

from hdl.grid.unit_path import UnitPath
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness

__all__ = ["UnitPathProof"]


class UnitPathProof(Harness):
    """Promises of `hdl.grid.unit_path`, for any contents of the program memory."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(UnitPath(parameters))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        ring, write = self.component.ring_latency, 1 + self.component.emit_latency
        unit = dut.state_address[p.slot_bits :]
        #: Units that were fetched, by age in cycles, and whether an instruction was.
        units, fetched, age = [unit], [dut.fetch_enable], max(ring, write)
        for cycles in range(age):
            before, valid = Signal(p.unit_bits, name=f"unit_{cycles}"), Signal(name=f"fetched_{cycles}")
            m.d.sync += [before.eq(units[-1]), valid.eq(fetched[-1])]
            units.append(before)
            fetched.append(valid)
        issue = dut.issue
        self.promise("a value from the gate path runs its own instruction", ~issue.valid | (
            dut.fetch_enable & (dut.program_address == issue.instruction) & (unit == issue.unit)
        ))
        self.promise("a returning value runs on the unit that it comes from", ~dut.fetch_enable | issue.valid | (
            fetched[ring] & (unit == units[ring])
        ))
        self.promise("an instruction reads the state word of its address", ~dut.fetch_enable | (
            dut.state_address[: p.slot_bits] == dut.program_address[: p.slot_bits]
        ))
        self.promise("a state word is written only for an instruction, and for its unit", ~dut.state_write.enable | (
            fetched[write] & (dut.state_write.address[p.slot_bits :] == units[write])
        ))
        # What an instruction says, one cycle after its fetch, and in the cycles after.
        said = [dut.instruction]
        for cycles in range(age - 1):
            word = Signal.like(dut.instruction, name=f"said_{cycles}")
            m.d.sync += word.eq(said[-1])
            said.append(word)
        self.promise("two values in one cycle are a collision",
                     ~(issue.valid & fetched[ring] & said[ring - 1].proceed) | dut.collision)
        entry = Signal(p.unit_bits)
        m.d.comb += entry.eq(units[2] + said[1].destination)
        self.promise("the entry of the unit is read for a result that leaves", (
            dut.unit_enable == (fetched[2] & said[1].emit)
        ) & (~dut.unit_enable | (dut.unit_address == entry)))
        self.promise("a result is emitted when the instruction says so, with the entry of its unit", (
            dut.own_result.valid == (fetched[write] & said[write - 1].emit)
        ) & (dut.own_result.unit.as_value() == dut.unit_entry.as_value()))
        self.promise("a state word is written when the instruction says so", (
            dut.state_write.enable == (fetched[write] & said[write - 1].write_state)
        ) & (~dut.state_write.enable | (dut.state_write.address[: p.slot_bits] == said[write - 1].write_slot)))
        self.reach("a state word is written", dut.state_write.enable)
        self.reach("a value returns", dut.fetch_enable & ~issue.valid)
        self.reach("a collision", dut.collision & issue.valid)
