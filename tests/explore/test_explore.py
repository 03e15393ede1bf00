"""`spatial-rnn explore`: requests, budgets, cache, cluster, outputs, and the simulation of the results."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.errors import ConfigurationError, MappingError, ModelError, ToolError
from rnn_mapper.explore.outcome import outcome_of
from rnn_mapper.explore.requests import Model, parse_budget, parse_model, parse_sizes
from rnn_mapper.explore.runner import cached, run_jobs
from rnn_mapper.explore.search import Request, combine, demands, depths_for, jobs_of, pareto_front
from rnn_mapper.explore.shapes import Shape, blank_network, cells_file
from rnn_mapper.explore.size import SizeJob
from rnn_mapper.explore.verify import mapping_of
from tests.support.cli_runner import refusal, spatial_rnn, start

#: Options of a very short search.
SMALL = ("--rows", "1,2", "--cols", "1-3", "--lanes", "4,8", "--jobs", "1")


def request(*models: str, budget: str = "gates=150k") -> Request:
    return Request(tuple(map(parse_model, models)), parse_budget([budget]), (1, 2), (1, 2, 3), (4, 8))


def searched(wanted: Request, processes: int = 1, cluster: str | None = None) -> list[tuple[SizeJob, object]]:
    jobs = jobs_of(wanted)
    results = dict(run_jobs(jobs, processes, cluster))
    return [(job, results[job]) for job in jobs]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPATIAL_RNN_CACHE", str(tmp_path / "cache"))


def test_models_and_budgets_are_read(tmp_path: Path) -> None:
    assert parse_model("lstm:256") == Model("lstm:256", Shape(("lstm",), 256, (256,)), 16, 1.0)
    full = parse_model("gru:inputs=40,hidden=64x32,head=10,steps=100,weight=2.5")
    assert (full.shape, full.steps, full.weight) == (Shape(("gru", "gru"), 40, (64, 32), 10), 100, 2.5)
    assert parse_model("lstm:8", steps=7).steps == 7
    rng = np.random.default_rng(0)
    file = tmp_path / "m.npz"
    np.savez(file, weight_ih_l0=rng.normal(size=(32, 5)), weight_hh_l0=rng.normal(size=(32, 8)),
             bias_ih_l0=np.zeros(32), bias_hh_l0=np.zeros(32))
    assert parse_model(f"{file},steps=3").shape == Shape(("lstm",), 5, (8,))
    for text, message in (
        ("lstm", "neither a file nor a shape"), ("lstm:0", "hidden = 0: must be from 1"), ("lstm:8,x=1", "cannot read"),
        ("gru:inputs=4", "hidden is missing"), ("lstm:8,weight=-1", "must be a number above 0"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            parse_model(text)
    with pytest.raises(ModelError, match="cell 'foo' is not supported"):
        parse_model("foo:8")
    assert dict(parse_budget(["gates=500k,memory=2M"]).limits) == {"gates": 5e5, "memory": 2e6}
    assert parse_budget(["lfe5u-85f"]).limits == parse_budget(["device=LFE5U-85F"]).limits
    for text, message in (("XC1", "device 'XC1' is unknown: choose"), ("gates=-1", "not a number above 0"),
                          ("watts=3", "write gates=N"), ("gates=1k,LFE5U-25F", "do not go together")):
        with pytest.raises(ConfigurationError, match=message):
            parse_budget([text])
    assert parse_sizes("rows", "1-4,16") == (1, 2, 4, 16)
    with pytest.raises(ConfigurationError, match="must be a power of two"):
        parse_sizes("rows", "3")


@pytest.mark.parametrize("model", ["lstm:32,steps=2", "gru:inputs=4,hidden=48,head=3,steps=3"])
def test_the_share_of_busy_multipliers_is_that_of_the_prediction(model: str) -> None:
    """The first step of a cleared sequence does not multiply its state; counting it would give more than all."""
    wanted = request(model)
    designs = combine(wanted, searched(wanted))  # type: ignore[arg-type]
    assert designs
    (given,) = wanted.models
    for design in designs:
        mapping = mapping_of(blank_network(given.shape), design.parameters, design.found[0].choice, given.steps)
        assert design.utilisation == pytest.approx(mapping.predict(given.steps).utilisation)
        assert design.utilisation <= 1


def test_depths_hold_all_models_at_once() -> None:
    wanted = request("lstm:24", "gru:inputs=10,hidden=16,head=3")
    for design in combine(wanted, searched(wanted)):  # type: ignore[arg-type]
        p = design.parameters
        total: dict[str, int] = {}
        for model, found in zip(wanted.models, design.found, strict=True):
            for name, needed in demands(model.shape, p, found.choice).items():
                total[name] = total.get(name, 0) + needed
        for name in ("weight_depth", "units", "gate_entries", "phases", "program_length", "vector_depth"):
            assert total[name] <= getattr(p, name), name
        assert p.weight_depth < max(257, total["weight_depth"] + 64)
    too_large = Model("x", Shape(("lstm",), 8, (8,)), 1, 1.0)
    assert depths_for([too_large] * 40, [design.found[0].choice] * 40, 1, 1, 4) is None


def test_front_and_nearest() -> None:
    wanted = request("lstm:24")
    designs = combine(wanted, searched(wanted))  # type: ignore[arg-type]
    outcome = outcome_of(wanted, designs, 1, 1, 1, 1.0)
    cost = [design.area(wanted.budget) for design in outcome.front]
    assert cost == sorted(cost, reverse=True)
    assert [c.score for c in outcome.front] == sorted(c.score for c in outcome.front)
    for design in outcome.within:
        assert design.used["gates"] <= 150e3
        assert any(c.score <= design.score and c.area(wanted.budget) <= design.area(wanted.budget)
                   for c in outcome.front)
    assert pareto_front([], lambda c: 0.0) == []
    poor = request("lstm:24", budget="gates=1k")
    nearest = r"nothing is within gates=1k; the nearest, 1 x 1 x 4, takes gates \d\d,\d+ of"
    with pytest.raises(MappingError, match=nearest):
        outcome_of(poor, combine(poor, searched(poor)), 1, 1, 1, 1.0)  # type: ignore[arg-type]
    with pytest.raises(MappingError, match="no grid of rows 1 to 2, cols 1 to 3, lanes 4 to 8 holds lstm:20000"):
        outcome_of(request("lstm:20000"), [], 0, 0, 0, 1.0)


def test_command_writes_and_verifies(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("explore", "--model", "lstm:inputs=5,hidden=12,steps=9", "--budget", "gates=110k",
                 "--schedule", "fused", "--schedule", "blas", *SMALL)
    done = spatial_rnn(*arguments, "--top", 1, "--verify", "--verify-steps", 2, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "exact" in done.stdout
    assert "gates within" in done.stdout
    values = json.loads((out / "explore.json").read_text())
    (check,) = values["verified"]
    assert check["predicted"] == check["simulated"] > 0
    assert check["searched"] == check["mapped"] == values["front"][0]["cycles"]["lstm:inputs=5,hidden=12,steps=9"]
    (mapped,) = values["front"][0]["mappings"].values()
    assert mapped["schedule"] == "fused"
    assert sorted(path.name for path in out.iterdir()) == ["explore.json", "pareto.md", "pareto.svg"]
    assert (out / "pareto.svg").read_text().count("<svg") == 1
    assert "| grid |" in (out / "pareto.md").read_text()
    again = spatial_rnn(*arguments, "--json", "-")
    assert "all of them in the cache" in again.stderr
    assert json.loads(again.stdout)["front"] == values["front"]


JANET = """\
from rnn_mapper.cells import cell, sigmoid, tanh

@cell
def janet(x, c, p):
    f = sigmoid(p.W_f @ x + p.U_f @ c + p.b_f)
    c = f * c + (1 - f) * tanh(p.W_c @ x + p.U_c @ c + p.b_c)
    return c, c
"""


def test_cells_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(JANET)
    with pytest.raises(ModelError, match="cell 'janet' is not supported"):
        parse_model("janet:12")
    shape = parse_model("janet:12", cells=cells_file(file)).shape
    file.write_text(JANET.replace("W_c", "V_c"))
    assert parse_model("janet:12", cells=cells_file(file)).shape != shape
    done = spatial_rnn("explore", "--model", "janet:inputs=5,hidden=12,steps=9", "--cells", file, "--budget",
                       "gates=110k", *SMALL, "--json", "-")
    assert done.returncode == 0, done.stderr
    (found, *_) = json.loads(done.stdout)["front"]
    assert found["cycles"]["janet:inputs=5,hidden=12,steps=9"] > 9 * 12 * 17 * 2 / 48


def test_refusals() -> None:
    base = ("explore", "--model", "lstm:24", *SMALL)
    assert refusal(*base, "--budget", "gates=1k").startswith("nothing is within gates=1k; the nearest, 1 x 1 x 4")
    assert refusal(*base, "--budget", "XC9").startswith("device 'XC9' is unknown: choose one of iCE40UP5K")
    assert "not reached within" in refusal(*base, "--budget", "gates=1M", "--cluster", "tcp://127.0.0.1:9")


def test_interrupted_search_goes_on(tmp_path: Path) -> None:
    command = ("explore", "--model", "gru:300", "--budget", "multipliers=4096", "--rows", "4,8", "--lanes", "8,16",
               "--cols", "1-12", "--jobs", "1")
    run = start(*command, SPATIAL_RNN_CACHE=str(tmp_path / "mine"))
    deadline = time.monotonic() + 60
    kept: list[Path] = []
    while not kept and time.monotonic() < deadline:
        time.sleep(0.05)
        kept = [path for path in (tmp_path / "mine").rglob("*.json") if path.name != "latencies.json"]
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "interrupted; " in errors
    assert "the same command goes on from there" in errors
    assert errors.count("\n") == 1, errors
    first = {path: path.stat().st_mtime_ns for path in kept}
    assert first
    assert spatial_rnn(*command, SPATIAL_RNN_CACHE=str(tmp_path / "mine")).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == first


def test_a_damaged_cache_is_searched_again() -> None:
    job = SizeJob(Shape(("lstm",), 8, (8,)), 3, ("fused",), 1, 4, (1, 2), GridLatencies.of(GridParameters(1, 1, 4)))
    ((_, result),) = run_jobs([job], 1, None)
    assert cached(job) == result
    for path in Path(os.environ["SPATIAL_RNN_CACHE"]).rglob("*.json"):
        path.write_text(path.read_text()[:-5])
    assert cached(job) is None


def test_cluster_gives_the_same() -> None:
    distributed = pytest.importorskip("distributed")
    wanted = request("lstm:24", "gru:inputs=10,hidden=16", budget="gates=300k")
    alone = searched(wanted)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        together = searched(wanted, cluster=cluster.scheduler_address)
    assert together == alone
    assert combine(wanted, together) == combine(wanted, alone)  # type: ignore[arg-type]
    with pytest.raises(ToolError, match="not reached within"):
        list(run_jobs([alone[0][0]], 1, "tcp://127.0.0.1:9"))


def test_processes_give_the_same() -> None:
    wanted = request("lstm:16")
    assert searched(wanted, processes=2) == searched(wanted)


def test_responses_are_those_of_the_mappings(tmp_path: Path) -> None:
    options = ("explore", "--model", "lstm:inputs=9,hidden=16x16,head=3", "--budget", "gates=400k", *SMALL)
    done = spatial_rnn(*options, "--objective", "response", "--verify", "--top", "2", "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "r.json").read_text())
    assert all(one["exact"] for one in values["verified"])
    schedules = {mapping["schedule"] for design in values["front"] for mapping in design["mappings"].values()}
    assert schedules == {"response"}
    assert "response lstm" in done.stdout
    said = refusal(*options, "--objective", "response", "--schedule", "blas", cwd=tmp_path)
    assert "only the schedule response has a response" in said
    said = refusal("explore", "--model", "sru:8", "--budget", "gates=400k", *SMALL, "--objective", "response",
                   cwd=tmp_path)
    assert "no matrix of the network multiplies a state" in said
