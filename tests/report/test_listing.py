"""The listing agrees with the packed words: its lines are assembled again and compared with the images."""

import re

import numpy as np
import pytest

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
    unit_entry_layout,
)
from rnn_mapper import cells
from rnn_mapper.mapping.images import LayoutPacker
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.report.listing import listing_files, program_listing, schedule_listing, site_listing
from rnn_mapper.report.mapping import splits
from rnn_mapper.run.prepare import prepare
from tests.support.random_networks import random_network


@pytest.fixture(scope="module", params=[cells.lstm, cells.gru])
def mapping(request: pytest.FixtureRequest) -> Mapping:
    network = random_network(4, request.param, 13, (9, 6), 3, scale=1.0)
    return prepare(network, np.random.default_rng(0).normal(size=(20, 13)), "small", ru=2).mapping


def test_one_file_for_each_site(mapping: Mapping) -> None:
    names = [name for name, _ in listing_files(mapping)]
    assert names == ["schedule.txt", "program.asm", *(f"site_r{r}_c{c}.txt" for r in range(2) for c in range(2))]


def test_program_assembles_to_its_words(mapping: Mapping) -> None:
    packer = LayoutPacker(instruction_layout(mapping.parameters))
    form = re.compile(
        r" *(\d+): mac (\w+) \* \((\S+)(?: - (\S+))?\) \+ ([^ ,]+)(, carried)?"
        r"(?:, keep as (\w+))?(?:, write state\[(\d)\])?(, emit)?"
        r"(?: -> (\w+)(?:, (hold\d))?(?:, (\d+))?)? *; .+"
    )

    def named(operand: str | None, address: str) -> str:
        if operand is None:
            return "ZERO"
        if "[" in operand:
            assert operand == f"state[{int(address) % mapping.parameters.state_words}]"
        return operand.split("[")[0].upper()

    words = {}
    for line in program_listing(mapping).splitlines():
        if found := form.fullmatch(line):
            address, x, y, minus, addend, carried, keep, write, emit, function, hold, following = found.groups()
            fields = dict.fromkeys(packer.fields, 0) | {
                "x": FactorX[x.upper()].value, "y": FactorY[named(y, address)].value,
                "subtract": Subtrahend[named(minus, address)].value, "addend": Addend[named(addend, address)].value,
                "carried": carried is not None, "keep": Keep[(keep or "none").upper()].value,
                "write_state": write is not None, "write_slot": int(write or 0), "emit": emit is not None,
                "activation": Activation[(function or "identity").upper()].value,
                "hold": Hold[(hold or "none").upper()].value,
                "proceed": following is not None, "next": int(following or 0),
            }
            words[int(address)] = packer.pack(fields)
    image = mapping.program_image.words
    assert words == {address: word for address, word in enumerate(image) if word or address in words}


def test_gate_entries_assemble_to_their_words(mapping: Mapping) -> None:
    packer = LayoutPacker(gate_entry_layout(mapping.parameters))
    bits = mapping.parameters.accumulator_bits
    images = mapping.site_images(1, 1)
    form = re.compile(
        r" *(\d+): unit +\S+ gate \d  bias +(-?\d+), multiplier +(\d+) shift +(\d+)(?:, store at (\d+))?"
        r"(?:, add stored (\d+))?(?:, (identity|sigmoid|tanh|relu))?(?:, (hold[01]))?(?:, run (\d+))?"
        r"(?:, unit entry (\d+))?"
    )
    seen = set()
    for line in site_listing(mapping, 1, 1).splitlines():
        if found := form.fullmatch(line):
            address, bias, multiplier, shift, store, stored, function, hold, run, unit = found.groups()
            expected = packer.unpack(images[Memory.GATE].words[int(address)])
            assert images[Memory.BIAS].words[int(address)] == int(bias) % (1 << bits)
            told = {
                "multiplier": int(multiplier), "shift": int(shift), "store": store is not None,
                "add_stored": stored is not None, "activation": Activation[(function or "identity").upper()].value,
                "hold": Hold[(hold or "none").upper()].value, "run": run is not None, "instruction": int(run or 0),
                "unit": int(unit or 0),
            }
            if store or stored:
                told["stored"] = int(store or stored)
            else:
                expected.pop("stored")
            assert told == expected, line
            seen.add(int(address))
    tails = [timing for timing in mapping.timings if timing.nest.chains > 0]
    assert len(seen) == sum(timing.nest.units(0) * timing.nest.gates for timing in tails)


def test_units_of_a_layer_in_slices_are_those_of_the_layer() -> None:
    mapping = prepare(random_network(1, cells.lstm, 32, (17,)), grid="small").mapping
    assert any(phase.slice for phase in mapping.phases)
    listed = [
        int(found[1]) for row in range(2) for col in range(2)
        for found in re.finditer(r"unit +(\d+) gate 0 .* add stored", site_listing(mapping, row, col))
    ]
    assert sorted(listed) == list(range(17))
    assert [split["name"] for split in splits(mapping)] == ["layer 0 slice 0", "layer 0 slice 1"]


def test_phases_units_and_schedule(mapping: Mapping) -> None:
    p = mapping.parameters
    images = mapping.site_images(0, 1)
    text = site_listing(mapping, 0, 1)
    configuration = LayoutPacker(phase_layout(p)).unpack(images[Memory.PHASE].words[1])
    assert (
        f"phase layer 0 X: {configuration['units']} units x {configuration['gates'] + 1} gates x "
        f"{configuration['words'] + 1} words, weights from {configuration['weight_base']}, "
        f"vector from {configuration['vector_base']} (this step)"
    ) in text
    entry = LayoutPacker(unit_entry_layout(p)).unpack(images[Memory.UNIT].words[0])
    assert f"    0: group {entry['group']:4} of phase 0, 8 bits (shift {entry['feedback_shift']})" in text
    packer = LayoutPacker(schedule_entry_layout(p))
    lines = [line for line in schedule_listing(mapping).splitlines() if not line.startswith(";")]
    assert len(lines) == len(mapping.entries)
    for line, word in zip(lines, mapping.schedule_image.words[p.models :], strict=True):
        fields = packer.unpack(word)
        assert re.match(rf" +\d+  {fields['phase']} \(.*\) +{fields['lag']} +{fields['duration'] + 1}  ", line), line
        assert ("waits for the input vector" in line) == bool(fields["needs_input"])
        assert ("results go to the host" in line) == bool(fields["to_host"])


def test_sites_without_work_say_so() -> None:
    mapping = prepare(random_network(4, cells.lstm, 3, (2,)), grid="small").mapping
    assert "phase layer 0 H: takes no part" in site_listing(mapping, 0, 1)
