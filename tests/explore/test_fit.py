"""The needs of models, the smallest sufficient grid and FPGA, and the message for a rejected model."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.area import OutOfRange, area_model
from rnn_mapper.explore.devices import DEVICES
from rnn_mapper.explore.fit import COLS, LANES, ROWS, Account, account_of
from rnn_mapper.importers.native import save_network
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.network.layers import Bidirectional, Dense, RecurrentLayer
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.run.prepare import default_calibration
from tests.support.cli_runner import refusal, spatial_rnn
from tests.support.random_networks import random_network

STEPS = 16


def bidirectional(inputs: int, hidden: int, outputs: int) -> Network:
    forward, backward = (random_network(seed, cells.lstm, inputs, (hidden,)).single_layers[0] for seed in (1, 2))
    weight = np.random.default_rng(3).normal(size=(outputs, 2 * hidden))
    return Network((Bidirectional(forward, backward),), Dense(weight))


def test_smallest_grid_is_the_smallest_that_the_mapper_takes() -> None:
    network = random_network(1, cells.lstm, 64, (96,))
    found = account_of([network]).smallest
    assert found is not None
    p = found.parameters
    mapped = map_network(quantise(network, default_calibration(network), p.arithmetic), p, steps=STEPS)
    assert mapped.predict(STEPS).cycles == found.cycles
    # No grid with fewer multipliers holds it, not even with the largest memories with known areas.
    area = area_model("generic")
    for size in itertools.product(ROWS, COLS, LANES):
        if math.prod(size) < p.multipliers:
            with pytest.raises(MappingError):
                map_network(mapped.network, area.largest(*size))


def test_memories_of_the_smallest_grid_are_as_small_as_they_can_be() -> None:
    network = random_network(2, cells.gru, 64, (128,))
    found = account_of([network]).smallest
    assert found is not None
    quantised = quantise(network, default_calibration(network))
    with pytest.raises(MappingError, match="weight words"):
        map_network(quantised, replace(found.parameters, weight_depth=found.parameters.weight_depth - 64))


def test_device_is_the_first_that_takes_the_grid() -> None:
    found = account_of([random_network(1, cells.gru, 32, (64,))]).smallest
    assert found is not None
    assert found.device is not None
    for device in sorted(DEVICES, key=lambda item: item.lut):
        try:
            used = area_model(device.target).resources(found.parameters)
        except OutOfRange:
            continue
        takes = all(used.get(name, 0) <= getattr(device, name) for name in ("lut", "dsp", "bram"))
        assert takes == (device.name == found.device.name)
        if takes:
            assert found.used == {name: used[name] for name in ("lut", "ff", "dsp", "bram")}
            break


def test_within_gives_a_larger_grid_that_is_fast_enough() -> None:
    network = random_network(1, cells.lstm, 64, (64,))
    free, fast = account_of([network]), account_of([network], within=200)
    assert free.smallest is not None
    assert fast.smallest is not None
    assert free.smallest.cycles > 200 * STEPS >= fast.smallest.cycles
    assert fast.smallest.parameters.multipliers > free.smallest.parameters.multipliers
    assert account_of([network], within=10).smallest is None


def test_account_of_a_grid_that_is_too_small_says_what_would_do() -> None:
    network = random_network(1, cells.lstm, 128, (128,))
    small = load_parameters("small")
    account = account_of([network], ("small", small))
    assert not account.grid.fits
    first = account.grid.needs[0]
    assert (first.field, first.needed, first.available) == ("weight_depth", 131072 // 32, 2048)
    assert account.grid.enlarged is not None
    assert account.grid.enlarged.parameters == replace(small, weight_depth=4096)
    quantised = quantise(network, default_calibration(network))
    assert map_network(quantised, account.grid.enlarged.parameters).predict(STEPS).cycles == (
        account.grid.enlarged.cycles
    )
    assert (account.weights, account.multiplications) == (131072, 131072)


def test_models_and_segments_add_up() -> None:
    both, gru = bidirectional(12, 16, 5), random_network(4, cells.gru, 8, (20,), 3)
    grid = "small", load_parameters("small")
    alone = [account_of([network], grid) for network in (both, gru)]
    together = account_of([both, gru], grid)
    assert together.grid.cycles is not None
    assert together.grid.cycles == sum(account.grid.cycles or 0 for account in alone)
    assert together.weights == sum(account.weights for account in alone) == (
        2 * 4 * 16 * (12 + 16) + 5 * 32 + 3 * 20 * (8 + 20) + 3 * 20
    )

    def words(account: Account) -> int:
        return next(need.needed for need in account.grid.needs if need.what.startswith("weight words"))

    assert words(together) == sum(words(account) for account in alone)
    assert together.smallest is not None
    assert together.smallest.parameters.models == 4  # two segments of the first, and the second


def test_all_models_are_counted_where_the_first_does_not_fit() -> None:
    first, second = random_network(1, cells.lstm, 5, (6,)), random_network(4, cells.gru, 8, (20,), 3)
    short = "custom", replace(load_parameters("tiny"), weight_depth=16)
    account = account_of([first, second], short)
    assert not account.grid.fits
    roomy = account_of([first, second], ("custom", replace(short[1], weight_depth=2048)))
    assert [replace(need, available=0) for need in sorted(account.grid.needs, key=str)] == [
        replace(need, available=0) for need in sorted(roomy.grid.needs, key=str)
    ]


def test_streams_are_counted() -> None:
    network = random_network(1, cells.lstm, 16, (16,))
    grid = "tiny", load_parameters("tiny")
    one, two = (account_of([network], grid, streams=streams) for streams in (1, 2))
    units = [next(n.needed for n in a.grid.needs if n.field == "units") for a in (one, two)]
    assert units == [16, 32]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    save_network(tmp_path / "lstm.npz", random_network(1, cells.lstm, 5, (6,)))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(4, 5)))
    return tmp_path


#: A grid with weight memories that are too short for 4 * 6 * (5 + 6) weights on 4 lanes.
SHORT = ("--preset", "tiny", "--weight-depth", "16")


def test_command_tells_the_account(files: Path) -> None:
    done = spatial_rnn("fit", "lstm.npz", *SHORT, "--json", "fit.json", cwd=files)
    assert (done.returncode, done.stderr) == (1, "")
    for text in ("weight words", "80 short", "weight_depth = 128", "FPGA", "Smallest"):
        assert text in done.stdout
    values = json.loads((files / "fit.json").read_text())
    grid = "custom", replace(load_parameters("tiny"), weight_depth=16)
    account = account_of([random_network(1, cells.lstm, 5, (6,))], grid)
    assert {name: values[name] for name in account.to_json()} == json.loads(json.dumps(account.to_json()))
    done = spatial_rnn("fit", "lstm.npz", cwd=files)
    assert done.returncode == 0, done.stderr
    assert "the smallest preset that fits" in done.stdout


@pytest.mark.parametrize("command", [
    ("map", "--model", "lstm.npz", "-o", "out"), ("simulate", "--model", "lstm.npz", "--input", "x.npy", "-o", "out"),
], ids=["map", "simulate"])
def test_refused_model_is_told_the_same_account(command: tuple[str, ...], files: Path) -> None:
    refused = spatial_rnn(*command, *SHORT, cwd=files)
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: the model does not fit the grid: weight words in every site of column 0: 96 needed, 16 available "
        "(weight_depth); the nearest that fits: this grid with weight_depth = 128 or preset tiny\n"
    )
    steps = () if command[0] == "map" else ("--steps", "4")
    fit = spatial_rnn("fit", "lstm.npz", *SHORT, *steps, cwd=files).stdout
    assert refused.stdout
    assert refused.stdout == "".join(line for line in fit.splitlines(True) if not line.startswith("Model "))
    assert not (files / "out").exists()


def test_wrong_options_are_refused(files: Path) -> None:
    assert "within = -3.0: must be" in refusal("fit", "lstm.npz", "--within=-3", cwd=files)
    assert "no such file" in refusal("fit", "nothing.npz", cwd=files)
    assert "MODEL" in refusal("fit", cwd=files)


def test_a_model_that_no_size_holds_is_told_so() -> None:
    # A vector longer than any vector memory; most weights are zero, so that the accumulators are wide enough.
    weight = np.zeros((2, 40_000))
    weight[:, :10] = 1.0
    layer = RecurrentLayer(cells.rnn_tanh, weight, np.eye(2))
    account = account_of([Network((layer,))], ("tiny", GridParameters(rows=1, cols=1, lanes=4, vector_depth=16)))
    assert not account.grid.fits
    assert account.smallest is None
