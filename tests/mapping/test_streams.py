"""Streams and resident models never affect each other, whatever happens to one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdl.numerics import DEFAULT_ARITHMETIC, Arithmetic
from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.bus import BusSequence
from rnn_mapper.errors import ConfigurationError, MappingError, ModelError
from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.deployment import Deployment, deploy
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.sequences import State, bus_sequence, read_sequence
from rnn_mapper.mapping.sessions import StreamingService, map_services, replace_state
from rnn_mapper.mapping.state_reader import states_read
from rnn_mapper.network.random import LayerShape, random_network
from rnn_mapper.quantisation.integer_network import Int16Array, LayerState, QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import Reference
from sim_tests.bench.grids import RESIDENT_GRID, RESIDENT_GRID_16
from sim_tests.bench.stimulus import random_codes
from sim_tests.host.grid_build import build_grid
from sim_tests.simulator.run import SimulationError, run
from tests.support.resident_grid import ReplayedGrid

INPUTS = 5


def network(
    cell: cells.Cell, hidden: int, seed: int = 1, arithmetic: Arithmetic = DEFAULT_ARITHMETIC
) -> QuantisedNetwork:
    rng = np.random.default_rng(seed)
    built = random_network(rng, INPUTS, [LayerShape(cell, hidden)], scale=0.8)
    return quantise(built, rng.normal(size=(20, INPUTS)), arithmetic)


def codes(
    rng: np.random.Generator, steps: int, extreme: bool = False, arithmetic: Arithmetic = DEFAULT_ARITHMETIC
) -> Codes:
    return random_codes(rng, arithmetic, (steps, INPUTS), extreme)


def same(one: State, other: State) -> bool:
    assert one is not None
    assert other is not None
    return all(
        set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


def extreme_state(quantised: QuantisedNetwork, rng: np.random.Generator) -> list[LayerState]:
    return [
        {name: rng.choice(np.array([-32768, 32767], dtype=np.int16), size=len(value)) for name, value in layer.items()}
        for layer in Reference(quantised).cleared_state()
    ]


@pytest.mark.parametrize(("parameters", "actions"), [(RESIDENT_GRID, 36), (RESIDENT_GRID_16, 24)], ids=["8", "16"])
def test_random_sessions_on_three_models(parameters: GridParameters, actions: int, tmp_path: Path) -> None:
    """Run, keep, clear, save and restore in random order; every session behaves as if it were alone."""
    rng, arithmetic = np.random.default_rng(3), parameters.arithmetic
    networks = [
        network(cell, size, arithmetic=arithmetic)
        for cell, size in ((cells.lstm, 7), (cells.gru_reset_before, 6), (cells.rnn_relu, 5))
    ]
    resident = map_services([[networks[0]] * 2, [networks[1]], [networks[2]] * 2], parameters)
    grid = ReplayedGrid(resident, tmp_path)
    services = [StreamingService(resident, 2 * index, grid) for index in range(3)]
    references = [Reference(quantised) for quantised in networks]
    expected: dict[tuple[int, str], State] = {}
    for index, service in enumerate(services):
        for session in "abc":
            service.open(session)
            expected[index, session] = None
    kept: list[tuple[int, State]] = []
    seen = set()
    for _ in range(actions):
        index = int(rng.integers(3))
        service, reference = services[index], references[index]
        action = str(rng.choice(["run", "run", "run", "again", "clear", "save", "restore"]))
        seen.add(action)
        session = str(rng.choice(list("abc")))
        if action == "clear":
            service.clear(session)
            expected[index, session] = None
        elif action == "save":
            wanted = expected[index, session]
            assert same(service.state(session), reference.cleared_state() if wanted is None else wanted)
            kept.append((index, service.state(session)))
        elif action == "restore":
            mine = [state for owner, state in kept if owner == index]
            state = mine[int(rng.integers(len(mine)))] if mine else extreme_state(networks[index], rng)
            service.restore(session, state)
            expected[index, session] = state
        else:
            count = int(rng.integers(1, len(service.model.members) + 1))
            chosen = [str(one) for one in rng.choice(list("abc"), count, replace=False)]
            steps = int(rng.integers(1, 4))
            for _ in range(2 if action == "again" else 1):
                inputs = {one: codes(rng, steps, rng.random() < 0.3, arithmetic) for one in chosen}
                for one, outputs in service.run(inputs).items():
                    trace = reference.run(inputs[str(one)], expected[index, str(one)])
                    np.testing.assert_array_equal(outputs, trace.outputs)
                    expected[index, str(one)] = trace.state
    assert seen == {"run", "again", "clear", "save", "restore"}
    for (index, session), wanted in expected.items():
        state = services[index].state(session)
        assert same(state, references[index].cleared_state() if wanted is None else wanted)
    assert any(job.keep_state and not job.packets for job in grid.sequences), "no session continued in the grid"
    assert any(job.packets for job in grid.sequences), "no state was loaded"


def test_sessions_that_wait_are_saved(pair: tuple[list[QuantisedNetwork], Deployment], tmp_path: Path) -> None:
    """One of two sessions in the grid continues alone; then the other does, as if nothing had happened."""
    networks, resident = pair
    grid = ReplayedGrid(resident, tmp_path)
    service, reference = StreamingService(resident, 0, grid), Reference(networks[0])
    rng = np.random.default_rng(6)
    states: dict[str, State] = {"a": None, "b": None}
    sent = []
    for session in states:
        service.open(session)
    for chosen in ("ab", "ab", "a", "b", "a", "ab", "b"):
        inputs = {session: codes(rng, 1, extreme=True) for session in chosen}
        before = len(grid.sequences)
        for session, outputs in service.run(inputs).items():
            trace = reference.run(inputs[session], states[session])
            np.testing.assert_array_equal(outputs, trace.outputs)
            states[session] = trace.state
        jobs = grid.sequences[before:]
        sent.append(" ".join("save" if job.model == 1 else "load" if job.packets else "go on" for job in jobs))
    # The first run is from cleared states. A waiting session is saved once; its return takes a load.
    assert sent == ["go on", "go on", "save go on", "save load", "save load", "save load", "save go on"]


@pytest.fixture(scope="module")
def pair() -> tuple[list[QuantisedNetwork], Deployment]:
    networks = [network(cells.lstm, 7), network(cells.gru, 6, seed=2)]
    return networks, map_services([[networks[0]] * 2, networks[1]], RESIDENT_GRID)


def test_a_stream_and_a_model_next_to_an_adversary(
    pair: tuple[list[QuantisedNetwork], Deployment], tmp_path: Path
) -> None:
    """Stream 0 of model 0 gets extreme inputs and states; stream 1 and model 2 behave as if alone."""
    networks, resident = pair
    rng = np.random.default_rng(8)
    model, reader, other = resident.models[0], resident.models[1], resident.models[2]
    first, second = Reference(networks[0]), Reference(networks[1])
    grid = ReplayedGrid(resident, tmp_path)
    quiet: State = None
    loud: State = None
    elsewhere: State = None

    def both(bad: Codes, good: Codes, packets: tuple[bytes, ...] = ()) -> None:
        nonlocal quiet, loud
        sequence = bus_sequence(model, [bad, good], keep_state=quiet is not None)
        outputs = model.unpack_outputs(grid(replace(sequence, packets=packets)))
        alone, adversary = first.run(good, quiet), first.run(bad, loud)
        np.testing.assert_array_equal(outputs[1], alone.outputs)
        np.testing.assert_array_equal(outputs[0], adversary.outputs)
        quiet, loud = alone.state, adversary.state

    def third(steps: int) -> None:
        nonlocal elsewhere
        inputs = codes(rng, steps)
        outputs = grid(bus_sequence(other, [inputs], keep_state=elsewhere is not None))
        trace = second.run(inputs, elsewhere)
        np.testing.assert_array_equal(outputs, trace.outputs)
        elsewhere = trace.state

    third(3)
    both(codes(rng, 4, extreme=True), codes(rng, 4))
    third(2)
    for state in (extreme_state(networks[0], rng), None, extreme_state(networks[0], rng)):
        # Save all, replace one, load all; the other model continues in between.
        read = grid(read_sequence(reader))
        again = grid(read_sequence(reader))
        np.testing.assert_array_equal(read, again)
        third(1)
        loud = state
        both(codes(rng, 3, extreme=True), codes(rng, 3), replace_state(model, reader, read, 0, state))
        # An odd total of steps: a state that is not loaded again is in the wrong half of the vector memory.
        both(codes(rng, 2, extreme=True), codes(rng, 2))
        third(2)
    read = grid(read_sequence(resident.models[3]))
    assert same(states_read(other, read, resident.models[3])[0], elsewhere)


def test_a_model_that_never_ran_has_no_state(pair: tuple[list[QuantisedNetwork], Deployment], tmp_path: Path) -> None:
    """KEEP_STATE is rejected for the model, even when another model has a state."""
    _, resident = pair
    grid = ReplayedGrid(resident, tmp_path)
    rng = np.random.default_rng(1)
    grid(bus_sequence(resident.models[0], [codes(rng, 2), codes(rng, 2)]))
    with pytest.raises(SimulationError, match="ERRORS = "):
        grid(bus_sequence(resident.models[2], [codes(rng, 2)], keep_state=True))


def test_aborts_in_cocotb(tmp_path: Path) -> None:
    """Aborts, NO_STATE and restores of one model between the steps of another: sim_tests/checks/check_isolation.py."""
    run(build_grid(RESIDENT_GRID, "icarus"), "sim_tests.checks.check_isolation", results_dir=tmp_path, seed=1)


def test_what_a_service_refuses(pair: tuple[list[QuantisedNetwork], Deployment]) -> None:
    def never(sequence: BusSequence) -> Int16Array:
        raise AssertionError("nothing is to be sent")

    networks, resident = pair
    service = StreamingService(resident, 0, never)
    for session in "abc":
        service.open(session)
    x = np.zeros((2, INPUTS), dtype=np.int8)
    with pytest.raises(ConfigurationError, match=r"^session 'a' is already open$"):
        service.open("a")
    with pytest.raises(ConfigurationError, match=r"^session 'd' is not open$"):
        service.run({"d": x})
    with pytest.raises(ConfigurationError, match=r"^3 sessions at once, the model has 2 streams$"):
        service.run({"a": x, "b": x, "c": x})
    message = r"^inputs have \[1, 2\] steps, all sessions must have the same number, at least one$"
    with pytest.raises(ModelError, match=message):
        service.run({"a": x, "b": x[:1]})
    with pytest.raises(ModelError, match=r"^inputs of session 'a' are float64 \[2, 5\], must be int8 \[steps, 5\]$"):
        service.run({"a": x.astype(float)})
    with pytest.raises(ModelError, match=r"^state holds 0 layers, must hold 1$"):
        service.restore("a", [])
    service.close("a")
    assert service.sessions == ["b", "c"]
    mixed = deploy([networks, networks[0]], RESIDENT_GRID)
    with pytest.raises(ConfigurationError, match=r"^model 0 has different networks, must be streams of one network$"):
        StreamingService(mixed, 0, never)
    dense = network(cells.dense_relu, 4)
    with pytest.raises(MappingError, match=r"^the model has no state to read$"):
        map_services([dense], RESIDENT_GRID)


def test_a_service_goes_back_after_an_abort(
    pair: tuple[list[QuantisedNetwork], Deployment], tmp_path: Path
) -> None:
    """`lose` returns to the saved states, `save_all` keeps everything."""
    networks, resident = pair
    grid = ReplayedGrid(resident, tmp_path)
    service, reference = StreamingService(resident, 0, grid), Reference(networks[0])
    rng = np.random.default_rng(4)
    service.open("a")
    x = codes(rng, 3)
    service.run({"a": x})
    saved = service.state("a")
    service.run({"a": codes(rng, 2)})
    assert service.lose() == ["a"]
    y = codes(rng, 2)
    np.testing.assert_array_equal(service.run({"a": y})["a"], reference.run(y, saved).outputs)
    service.save_all()
    assert service.lose() == []
    assert same(service.state("a"), reference.run(y, saved).state)


def test_streams_take_no_more_cycles_than_one_after_the_other() -> None:
    """Tails are filled: two streams at once take less than twice the cycles of one."""
    quantised = network(cells.lstm, 7)
    alone = map_network(quantised, RESIDENT_GRID).predict(20).cycles
    for count in (2, 3, 4):
        together = map_network([quantised] * count, RESIDENT_GRID).predict(20).cycles
        assert together < 0.9 * count * alone
