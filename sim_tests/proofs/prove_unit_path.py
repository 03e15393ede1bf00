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
        ring, write = self.component.ring_latency, self.component.state_distance - 1
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
        self.promise("two values in one cycle are a collision", ~(issue.valid & fetched[ring]) | (
            dut.collision | ~returns(m, dut, ring)
        ))
        self.reach("a state word is written", dut.state_write.enable)
        self.reach("a value returns", dut.fetch_enable & ~issue.valid)
        self.reach("a collision", dut.collision & issue.valid)


def returns(m: Module, dut: UnitPath, ring: int) -> Signal:
    """Whether the instruction of so many cycles ago proceeds."""
    proceeds = dut.instruction.proceed
    for cycles in range(ring - 1):
        before = Signal(name=f"proceeds_{cycles}")
        m.d.sync += before.eq(proceeds)
        proceeds = before
    return proceeds
