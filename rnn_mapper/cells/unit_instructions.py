"""The instructions that could begin with an arriving value, and the uses of their results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hdl.latencies import UnitPathLatencies
from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep, Subtrahend
from rnn_mapper.cells.arithmetic import Accumulate, Node, Read, Row, Unit
from rnn_mapper.cells.expressions import Function
from rnn_mapper.cells.program import Instruction
from rnn_mapper.cells.unit_moment import Arrival, Kept, Moment
from rnn_mapper.cells.unit_needs import StageNeeds

__all__ = ["ACTIVATION_OF", "HOLDS", "InstructionChoices"]

ACTIVATION_OF = {
    Function.IDENTITY: Activation.IDENTITY, Function.SIGMOID: Activation.SIGMOID, Function.TANH: Activation.TANH,
    Function.RELU: Activation.RELU,
}
#: Where a value may be held, nowhere first.
HOLDS = (Hold.NONE, Hold.HOLD0, Hold.HOLD1)


@dataclass(frozen=True)
class InstructionChoices:
    """The instructions that may begin with a value."""

    needs: StageNeeds
    path: UnitPathLatencies

    def moments(
        self, moment: Moment, gate: int, value: Node, stored: Row | None, budget: int, must_use: bool = False
    ) -> Iterator[Moment]:
        """The moment after each instruction; `must_use` if the value was moved for it."""
        if moment.instructions >= budget:
            return
        needs = self.needs
        spare = needs.spare(moment, budget)
        for result, instruction in self._computed(moment, value, stored):
            if must_use and not _uses_value(instruction):
                continue
            is_new = result in needs.accumulates and result not in moment.done
            if spare > 0 or is_new or needs.leaves(moment, result):
                yield from self._results(moment, gate, result, instruction)

    def _computed(self, moment: Moment, value: Node, stored: Row | None) -> Iterator[tuple[Node, Instruction]]:
        """Accumulations that are possible, and values that may be moved."""
        needs = self.needs
        for sought in needs.accumulates:
            if sought not in moment.done:
                instruction = _encoded(moment, sought, value, stored)
                if instruction is not None:
                    yield sought, instruction
        if needs.leaves(moment, value) or needs.activated(moment, value) or needs.added(moment, value):
            yield value, Instruction("", y=FactorY.ZERO, addend=Addend.VALUE)
        if stored is not None and (needs.activated(moment, stored) or needs.used(moment, stored)):
            yield stored, Instruction("", y=FactorY.ZERO, addend=Addend.STORED)
        for hold, node in zip((FactorX.HOLD0, FactorX.HOLD1), moment.holds, strict=True):
            if node is not None and node is not value and needs.used(moment, node):
                yield node, Instruction("", x=hold, y=FactorY.ONE)
        for slot, (content, ready) in enumerate(moment.words):
            if content is not None and moment.time >= ready and needs.used(moment, content):
                yield content, Instruction(
                    "", y=FactorY.ZERO, addend=Addend.STATE, read_slot=slot, carried=isinstance(content, Read))

    def _results(self, moment: Moment, gate: int, result: Node, instruction: Instruction) -> Iterator[Moment]:
        """The uses of a result: it is written and sent away if it has to be, may be kept, and may go round the ring."""
        needs = self.needs
        moves = result not in needs.accumulates or result in moment.done
        word = needs.targets.get(result)
        emit = result is needs.result and not moment.emitted
        after = moment._replace(
            done=moment.done if moves else moment.done | {result}, emitted=moment.emitted or emit,
            instructions=moment.instructions + 1,
        )
        write = word is not None and word.slot not in moment.written
        if write:
            assert word is not None
            content = (result, moment.time + self.path.state_distance)
            words = (*moment.words[:word.slot], content, *moment.words[word.slot + 1:])
            after = after._replace(words=words, written=moment.written | {word.slot})
            instruction = replace(instruction, write_state=True, write_slot=word.slot)
        for keep in self._keeps(after, result):
            kept = moment.kept
            if keep != Keep.NONE:
                kept = Kept(result, keep, moment.time + self.path.kept_distance)
            if keep != Keep.NONE and moment.kept is not None and needs.added(after, moment.kept.value):
                continue
            for delivered, function, hold, proceed in self._deliveries(after, result):
                held = hold != Hold.NONE
                if moves:
                    # Moving a value must gain something but its arrival.
                    elsewhere = held and result not in moment.holds and not _uses_value(instruction)
                    gains = write or emit or keep != Keep.NONE or delivered is not result or elsewhere
                    if not gains and (not proceed or _uses_value(instruction)):
                        continue
                made = replace(
                    instruction, keep=keep, emit=emit, hold=hold, proceed=ACTIVATION_OF[function] if proceed else None,
                    activation=ACTIVATION_OF[function] if held else Activation.IDENTITY,
                )
                ring, done = after.ring, after.done
                if proceed or held:
                    stays = write or emit or keep != Keep.NONE or held
                    only_moved = moves and delivered is result and not stays
                    ring = (*ring, Arrival(moment.time + self.path.ring, delivered, hold, proceed, gate, only_moved))
                    if delivered is not result:
                        done = done | {delivered}
                yield after._replace(kept=kept, steps=after.issued(gate, result, made), ring=ring, done=done)

    def _keeps(self, moment: Moment, result: Node) -> Iterator[Keep]:
        yield Keep.NONE
        for finer in (True, False):
            if any(
                node.addend is result and node.addend_is_finer == finer
                for node in self.needs.accumulates if node not in moment.done
            ):
                yield Keep.ACTIVATION if finer else Keep.PRE_ACTIVATION

    def _deliveries(self, moment: Moment, result: Node) -> Iterator[tuple[Node, Function, Hold, bool]]:
        """(value, function on the way, register, whether an instruction follows)."""
        needs = self.needs
        yield result, Function.IDENTITY, Hold.NONE, False
        if not needs.work_left(moment):
            return
        options: list[tuple[Node, Function]] = [(result, Function.IDENTITY)]
        options += [
            (node, node.function) for node in needs.activates if node not in moment.done and node.argument is result
        ]
        for node, function in options:
            for hold in HOLDS:
                if hold == Hold.NONE:
                    yield node, function, hold, True
                elif needs.used(moment, node) and node not in moment.holds and not needs.occupied(moment, hold):
                    yield node, function, hold, True
                    yield node, function, hold, False


def _encoded(moment: Moment, node: Accumulate, value: Node, stored: Row | None) -> Instruction | None:
    """The instruction that computes a node here and now, if there is one; factors may change places."""
    made = _encoded_as(moment, node, node.x, node.y, value, stored)
    if made is None and node.z is None and node.x is not None and isinstance(node.y, Node) and node.x is not node.y:
        made = _encoded_as(moment, node, node.y, node.x, value, stored)
    return made


def _encoded_as(
    moment: Moment, node: Accumulate, x: Node | None, y: Node | str, value: Node, stored: Row | None
) -> Instruction | None:
    """With `x` and `y` as the factors. An instruction reads one state word at most."""
    slots: set[int] = set()
    if (
        (factor := _first_factor(moment, x, value)) is None
        or (second := _second_factor(moment, y, value, slots)) is None
        or (subtract := _subtrahend(moment, node.z, value, slots)) is None
        or (addend := _addend(moment, node, value, stored, slots)) is None
        or len(slots) > 1
    ):
        return None
    slot = next(iter(slots), None)
    return Instruction(
        "", x=factor, y=second, subtract=subtract, addend=addend, read_slot=slot or 0,
        carried=slot is not None and isinstance(moment.words[slot][0], Read),
    )


def _first_factor(moment: Moment, x: Node | None, value: Node) -> FactorX | None:
    if x is None:
        return FactorX.ZERO
    if x is value:
        return FactorX.VALUE
    if x in moment.holds:
        return (FactorX.HOLD0, FactorX.HOLD1)[moment.holds.index(x)]
    return None


def _second_factor(moment: Moment, y: Node | str, value: Node, slots: set[int]) -> FactorY | None:
    if isinstance(y, str):
        return FactorY.ONE if y == Unit.ONE else FactorY.ZERO
    if y is value:
        return FactorY.VALUE
    return FactorY.STATE if _is_read(moment, y, slots) else None


def _subtrahend(moment: Moment, z: Node | None, value: Node, slots: set[int]) -> Subtrahend | None:
    if z is None:
        return Subtrahend.ZERO
    if z is value:
        return Subtrahend.VALUE
    return Subtrahend.STATE if _is_read(moment, z, slots) else None


def _addend(
    moment: Moment, node: Accumulate, value: Node, stored: Row | None, slots: set[int]
) -> Addend | None:
    part = node.addend
    if part is None:
        return Addend.ZERO
    finer = node.addend_is_finer
    kept = moment.kept
    wanted = part, Keep.ACTIVATION if finer else Keep.PRE_ACTIVATION
    if kept is not None and (kept.value, kept.format) == wanted and moment.time >= kept.ready:
        return Addend.KEPT
    if finer:
        return None
    if part is value:
        return Addend.VALUE
    if stored is not None and part is stored:
        return Addend.STORED
    return Addend.STATE if _is_read(moment, part, slots) else None


def _is_read(moment: Moment, part: Node, slots: set[int]) -> bool:
    """A state word has the value; it is added to `slots`."""
    slot = moment.slot_of(part)
    if slot is None:
        return False
    slots.add(slot)
    return True


def _uses_value(instruction: Instruction) -> bool:
    return (
        instruction.x == FactorX.VALUE or instruction.subtract == Subtrahend.VALUE or instruction.addend == Addend.VALUE
        or (instruction.y == FactorY.VALUE and instruction.x != FactorX.ZERO)
    )
