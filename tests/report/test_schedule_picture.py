"""The picture of the schedule: its figures against the prediction, and its bytes."""

from pathlib import Path

import numpy as np
import pytest

from rnn_mapper import cells
from rnn_mapper.errors import OutputError
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.report.schedule_events import Multiplying, Result, events, show_window
from rnn_mapper.report.schedule_picture import draw_schedule, schedule_picture
from rnn_mapper.run.prepare import prepare
from tests.support.random_networks import random_network


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    network = random_network(4, cells.lstm, 13, (9, 6), 3)
    return prepare(network, np.random.default_rng(0).normal(size=(20, 13)), "small").mapping


def test_a_site_never_does_two_things(mapping: Mapping) -> None:
    prediction = mapping.predict(6)
    busy: dict[int, set[int]] = {}
    collected: list[int] = []
    multiplied = 0
    for event in events(mapping, prediction.tokens):
        if isinstance(event, Multiplying):
            cycles = set(range(event.start, event.end))
            assert not cycles & busy.setdefault(event.col, set())
            busy[event.col] |= cycles
            multiplied += len(cycles)
        else:
            assert isinstance(event, Result)
            assert event.computed <= event.emitted <= event.collected < prediction.cycles
            collected += range(event.collected, event.collected + max(event.beats, 1))
    assert len(set(collected)) == len(collected), "two results at the collector"
    # The first step of a cleared sequence multiplies less.
    assert multiplied == sum(
        times * nest.units(chain) * nest.gates * nest.words * nest.ru
        for timing in mapping.timings for times, nest in ((1, timing.fresh.nest), (5, timing.nest))
        for chain in range(nest.chains)
    )


def test_delays_of_chains_are_shown() -> None:
    network = random_network(4, cells.rnn_tanh, 17, (50,))
    mapping = prepare(network, np.ones((2, 17)), "medium", ru=1).mapping
    assert any(any(timing.delays) for timing in mapping.timings)
    found = list(events(mapping, mapping.predict(2).tokens))
    epilogue = {event.emitted - event.computed for event in found if isinstance(event, Result)}
    assert len(epilogue) == 1, "the same for all units, whichever chain they are in"
    ends = {(event.phase, event.step, event.col, event.end) for event in found if isinstance(event, Multiplying)}
    assert all((e.phase, e.step, e.col, e.computed) in ends for e in found if isinstance(e, Result))


def test_tokens_and_inputs_are_those_of_the_sequence(mapping: Mapping) -> None:
    prediction = mapping.predict(5)
    assert len(prediction.tokens) == 5 * len(mapping.phases)
    assert [vector.step for vector in prediction.inputs] == list(range(5))
    for token in prediction.tokens:
        if mapping.phases[token.phase].needs_input:
            assert prediction.inputs[token.step].last < token.cycle
    assert [token.cycle for token in prediction.tokens] == sorted(token.cycle for token in prediction.tokens)


@pytest.mark.parametrize(("steps", "shown"), [(1, [0]), (2, [0, 1]), (9, [3, 4])])
def test_window(mapping: Mapping, steps: int, shown: list[int]) -> None:
    prediction = mapping.predict(steps)
    window = show_window(mapping, prediction)
    assert [step for _, step in window.starts] == shown
    assert window.first < window.starts[0][0] < window.last <= prediction.cycles


def test_same_bytes_every_time(mapping: Mapping, tmp_path: Path) -> None:
    prediction = mapping.predict(6)
    svg = draw_schedule([(mapping, prediction)], "svg")
    assert svg == draw_schedule([(mapping, prediction)], "svg")
    assert b"<dc:date>" not in svg
    schedule_picture([(mapping, prediction)], tmp_path / "a.png", "title")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_refuses_what_it_cannot_draw(mapping: Mapping, tmp_path: Path) -> None:
    prediction = mapping.predict(2)
    with pytest.raises(OutputError, match=r"a\.pdf: a picture's name must end in \.svg or \.png$"):
        schedule_picture([(mapping, prediction)], tmp_path / "a.pdf")
    with pytest.raises(OutputError, match=r"cannot be written \(No such file or directory\)"):
        schedule_picture([(mapping, prediction)], tmp_path / "absent" / "a.svg")
