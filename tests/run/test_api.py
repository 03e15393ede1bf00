"""The Python API: five lines from a torch module to cycles and outputs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from hdl.errors import ConfigurationError, MappingError
from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.run.prepare import as_grid
from rnn_mapper.run.simulate import choose_simulator
from tests.support.random_networks import random_network


def test_five_lines_from_torch() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(4, 6)
    inputs = torch.randn(9, 4)
    result = srnn.simulate(lstm, inputs)
    assert isinstance(result, srnn.SimulationResult)
    assert (result.grid, result.simulator) == ("tiny", "icarus")
    assert result.outputs.dtype == np.int16
    assert result.outputs.shape == (9, 6)
    assert result.mismatches == 0
    assert result.cycles == result.cycles_predicted > 0
    assert result.is_exact
    exact = lstm(inputs)[0].detach().numpy()
    np.testing.assert_allclose(result.outputs_float, exact, atol=0.02)
    assert 0 < result.h_rms_error == result.layer_errors[-1].rms < 0.02


def test_import_is_light() -> None:
    heavy = ("torch", "matplotlib", "amaranth", "cocotb")
    code = f"import sys, rnn_mapper; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there() -> None:
    for name in srnn.__all__:
        assert getattr(srnn, name) is not None
    assert callable(srnn.quantise), "the function, not the module of the same name"
    assert dir(srnn) == sorted(srnn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        srnn.simulat  # noqa: B018


def test_single_steps_agree_with_prepare() -> None:
    network = random_network(3, cells.gru, 5, (6,))
    x = np.random.default_rng(0).normal(size=(8, 5))
    parameters = load_parameters("small")
    quantised = srnn.quantise(network, x, parameters.arithmetic)
    mapping = srnn.map_network(quantised, parameters)
    prepared = srnn.prepare(network, x, "small")
    assert mapping.predict(8) == prepared.mapping.predict(8)
    assert not prepared.calibration_is_default
    assert not prepared.grid_chosen


@pytest.mark.parametrize(("hidden", "grid"), [((4,), "tiny"), ((40,), "small"), ((128,), "medium"), ((300,), "large")])
def test_the_smallest_preset_that_fits(hidden: tuple[int, ...], grid: str) -> None:
    assert srnn.choose_grid(random_network(0, cells.lstm, hidden[0], hidden)) == grid


def test_no_preset_fits() -> None:
    network = random_network(0, cells.rnn_tanh, 8, (4,) * 9)
    with pytest.raises(MappingError, match=r"^no preset fits, not even 'paper': .*phases: 18 needed, 16 available"):
        srnn.choose_grid(network)


def test_calibration_and_grid_arguments(tmp_path: Path) -> None:
    network = random_network(0, cells.lstm, 3, (4,))
    default = srnn.default_calibration(network)
    assert default.shape == (256, 3)
    np.testing.assert_array_equal(default, srnn.default_calibration(network))
    assert srnn.prepare(network, grid="tiny").calibration_is_default
    (tmp_path / "mine.toml").write_text("[grid]\nrows = 2\ncols = 1\nlanes = 4\n")
    name, parameters = as_grid(tmp_path / "mine.toml")
    assert (name, parameters.rows, parameters.cols, parameters.lanes) == ("mine", 2, 1, 4)
    assert as_grid(load_parameters("small"))[0] == "small"
    assert as_grid(GridParameters(rows=8))[0] == "custom"
    with pytest.raises(ConfigurationError, match=r"^grid is a int: give a preset's name"):
        as_grid(4)  # type: ignore[arg-type]


def test_waves_need_a_directory() -> None:
    network = random_network(0, cells.lstm, 3, (4,))
    with pytest.raises(ConfigurationError, match=r"^waves are kept in results_dir: name one$"):
        srnn.simulate(network, np.ones((2, 3)), waves=True)


def test_simulator_follows_the_size_of_the_run() -> None:
    network = random_network(0, cells.lstm, 4, (6,))
    mapping = srnn.prepare(network, grid="tiny").mapping
    assert choose_simulator(mapping, 10) == "icarus"
    assert choose_simulator(mapping, 10_000) == "verilator"


@pytest.mark.parametrize(("flipped", "extra"), [(1, 0), (0, 1)])
def test_differences_are_counted(monkeypatch: pytest.MonkeyPatch, flipped: int, extra: int) -> None:
    from sim_tests.host import run

    real = run.run_sequences

    def wrong(*arguments: object, **others: object) -> run.GridRun:
        result = real(*arguments, **others).results[0]  # type: ignore[arg-type]
        outputs = result.outputs.copy()
        outputs[1, 2] ^= flipped
        return run.GridRun([replace(result, outputs=outputs, cycles=result.cycles + extra)], 0.0, None)

    monkeypatch.setattr(run, "run_sequences", wrong)
    result = srnn.simulate(random_network(0, cells.lstm, 3, (4,)), np.ones((3, 3)), "tiny")
    assert result.mismatches == flipped
    assert result.cycles == result.cycles_predicted + extra
    assert not result.is_exact
