"""The commands map and simulate: their files, their JSON, and every wrong input in one line."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdl.parameters import load_parameters
from rnn_mapper import cells
from rnn_mapper.importers.native import save_network
from rnn_mapper.mapping.packets import image_files, load_packets
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.run.prepare import prepare
from tests.support.cli_runner import Run, start
from tests.support.random_networks import random_network


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Starts in a folder with lstm.npz, gru.npz (stacked, with a head) and x.npy."""
    save_network(tmp_path / "lstm.npz", random_network(1, cells.lstm, 5, (6,)))
    save_network(tmp_path / "gru.npz", random_network(2, cells.gru, 5, (6, 4), 3))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(7, 5)))
    monkeypatch.chdir(tmp_path)
    return Run(capsys)


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_map_writes_images_listing_packets_and_figures(run: Run, tmp_path: Path) -> None:
    run("map", "--model", "gru.npz", "--input", "x.npy", "--preset", "small", "-o", "out", "--json", "r.json",
        "--picture", "schedule.svg")
    values = json.loads((tmp_path / "r.json").read_text())
    mapping = prepare(tmp_path / "gru.npz", tmp_path / "x.npy", "small", steps=7).mapping
    prediction = mapping.predict(7)
    assert values["cycles"]["total"] == prediction.cycles
    assert values["cycles"]["phases"] == prediction.phase_cycles
    assert values["utilisation"] == prediction.utilisation
    assert (values["hu"], values["ru"]) == (mapping.timings[0].nest.hu, mapping.timings[0].nest.ru)
    assert [layer["name"] for layer in values["layers"]] == ["layer 0", "layer 1", "head"]
    assert sum(values["account"].values()) == pytest.approx(prediction.cycles)
    assert {item["field"]: item["available"] for item in values["memories"]}["weight_depth"] == 2048
    assert all(0 < item["needed"] <= item["available"] for item in values["memories"])
    assert {bound["product"] for bound in values["accumulators"]} == set(mapping.network.products())
    assert values["seconds"] > 0
    written = json.loads((tmp_path / "out" / "mapping.json").read_text())
    assert {name: values[name] for name in written} == written
    for name, text in image_files(mapping):
        assert (tmp_path / "out" / "images" / name).read_text() == text
    assert "program.asm" in files(tmp_path / "out" / "listing")
    assert (tmp_path / "schedule.svg").read_text().startswith("<?xml")
    index = json.loads((tmp_path / "out" / "load.json").read_text())
    data = (tmp_path / "out" / "load.bin").read_bytes()
    parts = [data[packet["offset"] : packet["offset"] + packet["bytes"]] for packet in index["packets"]]
    assert parts == list(load_packets(mapping))
    assert index["beat_bytes"] == mapping.parameters.beat_bytes


def test_map_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("map", "--model", "lstm.npz", "-o", name)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    for name in files(tmp_path / "a"):
        if (tmp_path / "a" / name).is_file():
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_map_says_what_it_assumed(run: Run) -> None:
    text = run("map", "--model", "lstm.npz", "-o", "out", "--steps", 5)
    assert "tiny: 1 x 1 sites of 4 lanes (4 multipliers), the smallest preset that fits" in text
    assert "standard normal noise; give typical input with --input" in text
    assert "for 5 steps" in text


def test_simulate_compares_bits_and_cycles(run: Run, tmp_path: Path) -> None:
    out = run("simulate", "--model", "lstm.npz", "--input", "x.npy", "--json", "-", "--outputs", "h.npy", "-o", "out")
    values: dict[str, Any] = json.loads(out)
    assert values["cycles_predicted"] == values["cycles_simulated"] > 0
    assert values["mismatches"] == 0
    assert 0 < values["h_rms_error"] < 0.02
    assert values["seconds"] > 0
    assert (values["grid"], values["simulator"]) == ("tiny", "icarus")
    mapping = prepare(tmp_path / "lstm.npz", tmp_path / "x.npy").mapping
    codes = quantise_inputs(mapping.network, np.load(tmp_path / "x.npy"))
    outputs = np.load(tmp_path / "h.npy")
    assert outputs.dtype == np.int16
    np.testing.assert_array_equal(outputs, run_reference(mapping.network, codes).outputs)
    assert {"simulation.log", "images"} <= files(tmp_path / "out")
    # Messages go to standard error when the JSON goes to standard output.
    assert "all equal to the reference" in run.errors


def test_schedules_give_the_same_bits_in_other_cycles(run: Run, tmp_path: Path) -> None:
    outputs, cycles = [], []
    for schedule in ("fused", "response", "sequential", "blas"):
        run("simulate", "--model", "gru.npz", "--input", "x.npy", "--preset", "small", "--sim", "icarus", "--schedule",
            schedule, "--json", "r.json", "--outputs", "h.npy")
        values = json.loads((tmp_path / "r.json").read_text())
        assert values["mismatches"] == 0
        assert values["cycles_predicted"] == values["cycles_simulated"]
        outputs.append(np.load(tmp_path / "h.npy"))
        cycles.append(values["cycles_simulated"])
    assert (outputs[0] == outputs[1]).all()
    assert (outputs[0] == outputs[2]).all()
    assert (outputs[0] == outputs[3]).all()
    assert cycles[0] < cycles[2] < cycles[3]
    response = []
    for schedule in ("fused", "response"):
        text = run("map", "--model", "gru.npz", "--preset", "small", "--schedule", schedule, "-o", schedule, "--json",
                   "r.json")
        response.append(json.loads((tmp_path / "r.json").read_text())["response"])
    assert response[0] is None
    assert f"{response[1]['cycles']} cycles from the last beat" in text
    run("map", "--model", "gru.npz", "--preset", "small", "--schedule", "blas", "-o", "out", "--json", "r.json")
    values = json.loads((tmp_path / "r.json").read_text())
    assert values["schedule"] == "blas"
    assert [name for name in values["cycles"]["phases"] if "layer 1" in name] == [
        "layer 1 X", "layer 1 H", "layer 1 elementwise"
    ]
    assert "--schedule" in run.refusal("map", "--model", "gru.npz", "--schedule", "eager", "-o", "other")


def test_simulate_takes_ru_hu_cell_and_waves(run: Run, tmp_path: Path) -> None:
    text = run("simulate", "--model", "gru.npz", "--cell", "gru", "--input", "x.npy", "--calibration", "x.npy", "--ru",
               2, "--hu", 2, "--preset", "small", "--sim", "icarus", "--waves", "--json", "r.json")
    assert "layer 0: 2 hidden units at once (hu), a matrix row over 2 PCUs (ru)" in text
    assert "Where the cycles go" in text
    assert "head" in text
    assert (tmp_path / "build" / "simulate" / "waves.fst").stat().st_size > 1000
    assert json.loads((tmp_path / "r.json").read_text())["mismatches"] == 0


def test_a_difference_is_told_and_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from sim_tests.host import run as host

    real = host.run_sequences

    def wrong(*arguments: Any, **others: Any) -> host.GridRun:
        result = real(*arguments, **others).results[0]
        outputs = result.outputs.copy()
        outputs[2, 3] ^= 1
        return host.GridRun([replace(result, outputs=outputs, cycles=result.cycles + 5)], 0.0, None)

    monkeypatch.setattr(host, "run_sequences", wrong)
    text = run("simulate", "--model", "lstm.npz", "--input", "x.npy", status=1)
    assert "1 DIFFER from the reference" in text
    assert "1 of 42 outputs differ from the reference, first step 2, unit 3: " in run.errors
    assert "cycles simulated, " in run.errors


@pytest.mark.parametrize("directory", [[], ["-o", "out"]])
def test_the_log_of_a_failed_simulation_stays(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: list[str]
) -> None:
    from sim_tests.host import run as host

    def failing(*arguments: Any, **others: Any) -> None:
        # A missing bench: the log reports it.
        real(arguments[0], "sim_tests.no_such_bench", results_dir=others["results_dir"], seed=1)

    real = host.run
    monkeypatch.setattr(host, "run", failing)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = files(tmp_path)
    run("simulate", "--model", "lstm.npz", "--input", "x.npy", "--sim", "icarus", *directory, status=2)
    message = run.errors.splitlines()[-1]
    assert message.startswith("error: simulation of spatial_rnn with icarus ended without results")
    log = Path(message.rpartition("see ")[2])
    assert "no_such_bench" in log.read_text()
    kept = str(log.relative_to(tmp_path))
    assert files(tmp_path) - before == {kept, str(Path(kept).parent)}, "nothing else stays"


MAP = ("map", "--model", "lstm.npz", "-o", "out")
SIMULATE = ("simulate", "--model", "lstm.npz", "--input", "x.npy", "-o", "out")


@pytest.mark.parametrize("arguments", [MAP, SIMULATE])
@pytest.mark.parametrize(("more", "message"), [
    (["--model", "absent.npz"], "absent.npz: no such file"),
    (["--model", "cut.npz"], "cut.npz: damaged, or not a NumPy file"),
    (["--model", "text.npz"], "text.npz: damaged, or not a NumPy file"),
    (["--model", "nan.npz"], "nan.npz: layer 0: weight_ih[3, 1] is nan, must be finite"),
    (["--model", "infinite.npz"], "infinite.npz: layer 0: bias_hh[0] is inf, must be finite"),
    (["--model", "shapes.npz"], "shapes.npz: layer 0: weight_ih has shape 20 x 5, must have 24 rows like weight_hh"),
    (["--model", "both.npz"], "both.npz: tensor weight_hh_l0_reverse is missing, every layer must have it"),
    (["--cell", "peephole"], "lstm.npz: cell 'peephole' is not supported: choose " + ", ".join(cells.BUILT_IN)
     + ", or name a file that defines it with --cells FILE.py; did you mean 'lstm_peephole'?"),
    (["--cell", "gru"], "lstm.npz: layer 0: weight_hh has shape 24 x 6, must have 3 rows per column (gru)"),
    (["--input", "absent.npy"], "absent.npy: no such file"),
    (["--input", "wide.npy"], "wide.npy: inputs has shape 2 x 4, must have 5 features per step"),
    (["--preset", "huge"], "unknown preset 'huge'"),
    (["--preset", "small", "--ru", 3], "ru = 3: must be from 1 to cols = 2"),
    (["--preset", "small", "--hu", 3], "hu = 3: must be a multiple of rows = 2, at most 4 (the sites)"),
    (["--picture", "p.pdf"], "--picture p.pdf: the name must end in .svg or .png"),
    (["--picture", "absent/p.svg"], "absent/p.svg: cannot be written"),
    (["--json", "absent/r.json"], "absent/r.json: cannot be written"),
])  # fmt: skip
def test_wrong_input_is_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], more: list[object], message: str
) -> None:
    # A file in PyTorch's layout, unlike the files of save_network.
    rng = np.random.default_rng(1)
    shapes = {"weight_ih_l0": (24, 5), "weight_hh_l0": (24, 6), "bias_ih_l0": (24,), "bias_hh_l0": (24,)}
    good: dict[str, Any] = {name: rng.uniform(-0.5, 0.5, shape) for name, shape in shapes.items()}
    np.savez("lstm.npz", **good)
    nan = good["weight_ih_l0"].copy()
    nan[3, 1] = np.nan
    whole = Path("lstm.npz").read_bytes()
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    Path("text.npz").write_text("a model\n")
    np.savez("nan.npz", **(good | {"weight_ih_l0": nan}))
    np.savez("infinite.npz", **(good | {"bias_hh_l0": np.full(24, np.inf)}))
    np.savez("shapes.npz", **(good | {"weight_ih_l0": np.ones((20, 5))}))
    np.savez("both.npz", **(good | {"weight_ih_l0_reverse": np.ones((24, 5))}))
    np.save("wide.npy", np.ones((2, 4)))
    before = files(tmp_path)
    assert run.refusal(*arguments, *more).startswith(message), run.errors
    assert files(tmp_path) == before


def test_what_is_there_is_not_touched(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for arguments in (MAP, SIMULATE):
        before = files(tmp_path)
        message = run.refusal(*arguments)
        assert message.startswith("out: exists and holds files; choose another directory or add --force")
        assert files(tmp_path) == before
    run(*MAP, "--force")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "out" / "mapping.json").exists()


@pytest.mark.parametrize(("simulator", "message"), [
    ("icarus", "iverilog is missing: install Icarus Verilog with 'make setup' or 'apt-get install iverilog'"),
    ("verilator", "g++ is missing: Verilator needs it; install it with 'make setup' or 'apt-get install g++'"),
])  # fmt: skip
def test_missing_simulator(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: str, message: str
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    before = files(tmp_path)
    assert run.refusal(*SIMULATE, "--sim", simulator).startswith(message)
    assert files(tmp_path) == before


def test_interrupted_run_leaves_nothing(run: Run, tmp_path: Path) -> None:
    np.save("long.npy", np.random.default_rng(0).normal(size=(100_000, 5)))
    before = files(tmp_path)
    process = start("simulate", "--model", "lstm.npz", "--input", "long.npy", "--sim", "icarus", "-o", "out")
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("simulating"):
            time.sleep(1.0)  # well inside the simulation
            os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 2
    assert lines[-1] == "error: interrupted; no output was written\n"
    assert files(tmp_path) == before


def test_the_papers_grid_is_mapped_in_time(run: Run, tmp_path: Path) -> None:
    save_network("large.npz", random_network(1, cells.lstm, 1024, (1024,), scale=0.05))
    run("map", "--model", "large.npz", "--preset", "paper", "-o", "large", "--json", "r.json")
    values = json.loads((tmp_path / "r.json").read_text())
    assert values["parameters"] == load_parameters("paper").to_dict()
    assert values["seconds"] < 60, "20 s on an idle machine"
    assert values["cycles"]["per_step"] < 720
