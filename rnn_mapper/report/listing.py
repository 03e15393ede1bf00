"""Disassembly of a mapping's images: the words of every memory of every site and of the controller, as text.

The listing is made from the packed words alone, so it shows what the hardware reads. Only the epilogue program is
annotated, with the texts of the instructions that it was assembled from.
"""

from __future__ import annotations

from collections.abc import Iterator

from hdl.layouts import (
    Activation,
    Addend,
    FactorX,
    FactorY,
    Hold,
    Keep,
    Memory,
    Subtrahend,
    gate_entry_layout,
    instruction_layout,
    phase_layout,
    schedule_entry_layout,
    schedule_header_layout,
    unit_entry_layout,
)
from rnn_mapper.mapping.images import LayoutPacker
from rnn_mapper.mapping.mapping import Mapping

__all__ = ["listing_files", "program_listing", "schedule_listing", "site_listing"]


def listing_files(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """(file name, text) of the whole listing."""
    yield "schedule.txt", schedule_listing(mapping)
    yield "program.asm", program_listing(mapping)
    for row in range(mapping.parameters.rows):
        for col in range(mapping.parameters.cols):
            yield f"site_r{row}_c{col}.txt", site_listing(mapping, row, col)


def schedule_listing(mapping: Mapping) -> str:
    """The controller's schedule ROM."""
    p = mapping.parameters
    image, model, base = mapping.schedule_image, mapping.reserved.model, mapping.reserved.phases
    header = LayoutPacker(schedule_header_layout(p)).unpack(image.words[model])
    lines = [
        "; Schedule ROM of the controller. Iteration i issues every entry once, for step i - lag.",
        f"; word {model}, header of model {model}:",
        *(f";   {name} = {value}" for name, value in header.items()),
        "; cycles: until the next token may follow, in brackets those in the first step of a cleared sequence",
        "; word  phase                 lag         cycles  conditions",
    ]
    packer = LayoutPacker(schedule_entry_layout(p))
    for address, word in enumerate(image.words[header["first"] :], start=header["first"]):
        entry = packer.unpack(word)
        name = mapping.phases[entry["phase"] - base].name
        bracketed = f"({entry['fresh_duration'] + 1})"
        lines.append(
            f"{address:6}  {entry['phase']} ({name})".ljust(31)
            + f"{entry['lag']:4} {entry['duration'] + 1:7}{bracketed:>7}  {_conditions(mapping, entry)}"
        )
    return "\n".join(lines) + "\n"


def program_listing(mapping: Mapping) -> str:
    """The epilogue programs: the fields of every word, and beside them the assembly text."""
    p = mapping.parameters
    packer = LayoutPacker(instruction_layout(p))
    lines = [
        "; Epilogue programs, the same in every PCU. result = sat16(round(x * (y - subtract) + addend, 15))",
        f"; An instruction reads the state word of number address % {p.state_words}. Phases may share instructions.",
    ]
    words = mapping.program_image.words
    for index, phase in enumerate(mapping.phases):
        if phase.stores:
            continue
        lines += ["", f"; {phase.name}: program '{phase.steps.name}'"]
        for addresses, gate in zip(mapping.allocation.programs[index], phase.steps.gates, strict=True):
            if gate.instructions:
                lines.append(f"; gate {gate.gate} arrives, {Activation(gate.activation).name.lower()} applied")
            for address, instruction in zip(addresses, gate.instructions, strict=True):
                text = _instruction(packer.unpack(words[address]), address % p.state_words)
                lines.append(f"{address:4}: {text:62} ; {instruction.text}")
    return "\n".join(lines) + "\n"


def site_listing(mapping: Mapping, row: int, col: int) -> str:
    """Configuration, gate entries and unit entries of one site."""
    p = mapping.parameters
    images = mapping.site_images(row, col)
    lines = [f"; Site row {row}, column {col}: {len(images[Memory.WEIGHT].words)} weight words of {p.lanes} bytes."]
    packer = LayoutPacker(phase_layout(p))
    configurations = [packer.unpack(word) for word in images[Memory.PHASE].words[mapping.reserved.phases :]]
    lines.append("; Phase configurations (PMU)")
    for phase, fields in zip(mapping.phases, configurations, strict=True):
        lines.append(f"phase {phase.name}: {_phase(fields)}")
    lines += ["", "; Gate entries (PCU): one for each matrix row"]
    packer = LayoutPacker(gate_entry_layout(p))
    for index, (phase, fields) in enumerate(zip(mapping.phases, configurations, strict=True)):
        if not fields["units"] or not fields["tail"]:
            continue
        lines.append(f"; {phase.name}")
        for place in range(fields["units"] * (fields["gates"] + 1)):
            unit, position = divmod(place, fields["gates"] + 1)
            address = fields["entry_base"] + place
            entry = packer.unpack(images[Memory.GATE].words[address])
            bias = images[Memory.BIAS].words[address]
            bias -= bias >> (p.accumulator_bits - 1) << p.accumulator_bits  # two's complement
            hidden = _hidden(mapping, index, row, col, unit)
            gate = phase.steps.gates[position].gate
            lines.append(f"{address:5}: unit {hidden:>4} gate {gate}  bias {bias:10}, {_gate(entry)}")
    lines += ["", "; Unit entries (PCU): where results go"]
    packer = LayoutPacker(unit_entry_layout(p))
    lines += [
        f"{address:5}: {_unit(packer.unpack(word), p.operand_bits)}"
        for address, word in enumerate(images[Memory.UNIT].words) if address >= mapping.reserved.units
    ]
    return "\n".join(lines) + "\n"


def _hidden(mapping: Mapping, index: int, row: int, col: int, unit: int) -> str:
    """The number of the hidden unit (or output), "-" for a unit that only fills up a group."""
    nest = mapping.timings[index].nest
    number = nest.group(col // nest.ru, unit) * nest.rows + row
    phase = mapping.phases[index]
    return str(phase.first_unit + number) if number < phase.units else "-"


def _conditions(mapping: Mapping, entry: dict[str, int]) -> str:
    texts = []
    if entry["wait"]:
        which = "this step" if not entry["wait_back"] else f"{entry['wait_back']} step before"
        name = mapping.phases[entry["wait_phase"] - mapping.reserved.phases].name
        texts.append(f"waits for the results of '{name}' of {which}")
    texts += [
        text for name, text in (
            ("needs_input", "waits for the input vector"), ("frees_input", "frees the input buffer"),
            ("to_host", "results go to the host"), ("holds_slot", "keeps its time when idle"),
        ) if entry[name]
    ]
    return ", ".join(texts) or "none"


def _instruction(fields: dict[str, int], read_slot: int) -> str:
    def operand(name: str) -> str:
        return f"state[{read_slot}]" if name == "STATE" else name.lower()

    y = operand(FactorY(fields["y"]).name)
    if fields["subtract"]:
        y += f" - {operand(Subtrahend(fields['subtract']).name)}"
    text = f"mac {FactorX(fields['x']).name.lower()} * ({y}) + {operand(Addend(fields['addend']).name)}"
    if fields["carried"]:
        text += ", carried"
    if fields["keep"]:
        text += f", keep as {Keep(fields['keep']).name.lower()}"
    if fields["write_state"]:
        text += f", write state[{fields['write_slot']}]"
    if fields["emit"]:
        text += ", emit" + (f" {fields['destination']} further" if fields["destination"] else "")
    if fields["proceed"] or fields["hold"]:
        text += f" -> {Activation(fields['activation']).name.lower()}"
    if fields["hold"]:
        text += f", {Hold(fields['hold']).name.lower()}"
    if fields["proceed"]:
        text += f", {fields['next']}"
    return text


def _phase(fields: dict[str, int]) -> str:
    if not fields["units"]:
        return "takes no part"
    role = {(1, 1): "whole row", (1, 0): "head of chain", (0, 0): "inside chain", (0, 1): "tail of chain"}
    half = "step before" if fields["previous"] else "this step"
    return (
        f"{fields['units']} units x {fields['gates'] + 1} gates x {fields['words'] + 1} words, "
        f"weights from {fields['weight_base']}, vector from {fields['vector_base']} ({half}), "
        f"entries from {fields['entry_base']}, delay {fields['delay']}, pad {fields['pad']}, "
        f"{role[fields['head'], fields['tail']]}{_fresh(fields)}"
    )


def _fresh(fields: dict[str, int]) -> str:
    """The fields that differ in the first step of a cleared sequence."""
    if all(fields[name] == fields[f"fresh_{name}"] for name in ("words", "pad", "delay")):
        return ""
    return (
        f"; from a cleared state {fields['fresh_words'] + 1} words, delay {fields['fresh_delay']}, "
        f"pad {fields['fresh_pad']}"
    )


def _gate(fields: dict[str, int]) -> str:
    text = f"multiplier {fields['multiplier']:5} shift {fields['shift']:2}"
    if fields["store"]:
        return f"{text}, {'add and store' if fields['add_stored'] else 'store'} at {fields['stored']}"
    if fields["add_stored"]:
        text += f", add stored {fields['stored']}"
    text += f", {Activation(fields['activation']).name.lower()}"
    if fields["hold"]:
        text += f", {Hold(fields['hold']).name.lower()}"
    if fields["run"]:
        text += f", run {fields['instruction']}"
    return f"{text}, unit entry {fields['unit']}"


def _unit(fields: dict[str, int], operand_bits: int) -> str:
    text = f"group {fields['group']:4} of phase {fields['phase']}"
    if fields["to_vector"]:
        shift = f" (shift {fields['feedback_shift']})" if operand_bits < 16 else ""
        text += f", {operand_bits} bits{shift} to the vector memories"
    if fields["to_host"]:
        text += ", 16 bits to the host"
    return text + (", last of its phase" if fields["final"] else "")
