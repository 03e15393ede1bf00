"""`spatial-rnn explore`: the best grids and mappings for models within a budget."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from rnn_mapper.cli.common import Output, clock_from_option, clock_option, force_option, json_option
from rnn_mapper.cli.mapped import PATH, print_line
from rnn_mapper.cli.model_options import model_options, selection_from_options
from rnn_mapper.cli.output_files import output_directory
from rnn_mapper.errors import ConfigurationError, SpatialRnnError
from rnn_mapper.report.clock import duration
from rnn_mapper.summary import counted

if TYPE_CHECKING:
    from rnn_mapper.explore.outcome import Outcome
    from rnn_mapper.explore.search import Request
    from rnn_mapper.explore.size import SizeJob, SizeResult
    from rnn_mapper.explore.verify import Routed, Verified
    from rnn_mapper.report.clock import Clock

#: Exit status when a simulation differs from the prediction.
_DIFFERENT = 1
_SCHEDULES = ("fused", "response", "sequential", "blas")


@click.command("explore")
@click.option("--model", "models", multiple=True, required=True, metavar="FILE|SHAPE",
              help="Model file (ONNX, .pt, safetensors, .npz), or a shape: lstm:256, "
                   "gru:inputs=40,hidden=128x128,head=10,steps=100,weight=2 (inputs: as many as hidden units). Several "
                   "models are in the grid at once; their memories add up.")
@model_options
@click.option("--budget", "budgets", multiple=True, required=True, metavar="LIMITS|DEVICE",
              help="gates=500k, memory=2M (bits), multipliers=256, or an FPGA such as LFE5U-85F; separated by commas.")
@click.option("--rows", default="1-16", show_default=True, metavar="SIZES",
              help="Rows to look at, powers of two, such as 1-4,16.")
@click.option("--cols", default="1-16", show_default=True, metavar="SIZES", help="Columns to look at.")
@click.option("--lanes", default="4,8,12,16,24,32,48,64", show_default=True, metavar="SIZES", help="Lanes to look at.")
@click.option("--schedule", "schedules", multiple=True, type=click.Choice(_SCHEDULES), default=("fused",),
              show_default=True, help="Orders of operations to look at (see 'map --schedule').")
@click.option("--steps", type=click.IntRange(1, 1 << 16), help="Steps of the sequence whose cycles count.  "
              "[default: 16]")
@click.option("--objective", type=click.Choice(["sum", "worst", "response"]), default="sum", show_default=True,
              help="For several models: the weighted sum of their cycles, or the largest weighted cycles. response: "
                   "the cycles from an input that comes alone to its output, with the schedule of that name.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Grids of the front to show.")
@click.option("--verify", is_flag=True, help="Simulate the Verilog of the grids shown; compare cycles and all bits.")
@click.option("--route", is_flag=True, help="Place and route the grids shown on the FPGA of the budget, with one seed; "
                                             "minutes each.")
@click.option("--verify-steps", type=click.IntRange(1), default=4, show_default=True, help="Steps to simulate.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: one a core]")
@click.option("--cluster", metavar="ADDRESS", help="Search on the Dask cluster whose scheduler is at this address.")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR",
              help="Write explore.json, pareto.md and pareto.svg to DIR; it is created.")
@clock_option
@force_option
@json_option
def command(
    models: tuple[str, ...], budgets: tuple[str, ...], top: int, verify: bool, route: bool, verify_steps: int,
    jobs: int, cluster: str | None, directory: Path | None, clock_mhz: float | None, force: bool, json_file: str | None,
    **options: Any,
) -> int:
    """Search grids and mappings: which are fastest within a budget, and which need less for a little more time.

    Cycles are exact for every mapping; areas are interpolated from syntheses, with the stated error. Within an FPGA the
    time of a step counts, at the clock that a grid of that size reaches, fitted to grids that were placed and routed;
    with --clock, or where no clocks are known, cycles count. Results are cached: an interrupted search continues where
    it stopped, and another budget costs next to nothing.

    Example: spatial-rnn explore --model lstm:128 --model gru:inputs=40,hidden=64 --budget LFE5U-85F --top 3 --verify
    """
    output = Output(json_file)
    clock = clock_from_option(clock_mhz)
    request = _request(models, budgets, {**options, "one_clock": clock is not None})
    if route:
        _check_route(request)
    with contextlib.ExitStack() as stack:
        folder = None if directory is None else stack.enter_context(output_directory(directory, force))
        outcome = _search(request, jobs, cluster, output)
        checks = _verify(outcome, top, verify_steps, output) if verify else []
        routed = _route(outcome, top, output) if route else []
        files = [model for model in request.models if model.file is not None]
        accounts = [{"file": str(model.file), "account": list(model.account)} for model in files]
        verified = [{**vars(check), "exact": check.exact} for check in checks]
        values = {
            **outcome.to_json(), "clock_mhz": None if clock is None else clock.mhz, "imported": accounts,
            "verified": verified, "routed": [vars(one) for one in routed],
        }
        if folder is not None:
            _write(folder, outcome, values, clock)
    _report(outcome, checks, routed, top, output, clock)
    output.write_json(values)
    return 0 if all(check.exact for check in checks) else _DIFFERENT


def _request(models: tuple[str, ...], budgets: tuple[str, ...], options: dict[str, Any]) -> Request:
    from rnn_mapper.explore.requests import parse_budget, parse_model, parse_sizes
    from rnn_mapper.explore.search import Request
    from rnn_mapper.explore.shapes import cells_file

    budget = parse_budget(budgets)
    sizes = {name: parse_sizes(name, options[name]) for name in ("rows", "cols", "lanes")}
    cells = cells_file(options["cells_file"])
    selection = selection_from_options(options)
    chosen = tuple(parse_model(text, options["steps"], cells, selection) for text in models)
    schedules = tuple(dict.fromkeys(options["schedules"]))
    if options["objective"] == "response":
        if schedules not in (("fused",), ("response",)):
            raise ConfigurationError(
                f"--objective response with --schedule {' '.join(schedules)}: only the schedule response has a "
                "response that no later input delays; leave --schedule out"
            )
        schedules = ("response",)
    return Request(chosen, budget, **sizes, schedules=schedules, objective=options["objective"],
                   one_clock=options["one_clock"])


def _search(request: Request, processes: int, cluster: str | None, output: Output) -> Outcome:
    from rnn_mapper.explore.outcome import outcome_of
    from rnn_mapper.explore.runner import cache_folder, cached, run_jobs
    from rnn_mapper.explore.search import combine, jobs_of

    with output.status("reading the latencies of the grids"):
        jobs = jobs_of(request)
    results: list[tuple[SizeJob, SizeResult]] = []
    missing = []
    for job in jobs:
        known = cached(job)
        if known is None:
            missing.append(job)
        else:
            results.append((job, known))
    known_mappings = sum(result.mappings for _, result in results)
    started = time.perf_counter()
    new = 0
    try:
        with output.progress("jobs", len(results)) as progress:
            if missing:
                progress(len(results), len(jobs))
                for job, result in run_jobs(missing, processes, cluster):
                    results.append((job, result))
                    new += result.mappings
                    rate = new / max(time.perf_counter() - started, 1e-9)
                    progress(len(results), len(jobs), f"{rate:,.0f} mappings/s")
    except KeyboardInterrupt:
        raise SpatialRnnError(
            f"interrupted; {len(results)} of {len(jobs)} jobs of the search are kept in {cache_folder()}: "
            "the same command goes on from there"
        ) from None
    seconds = time.perf_counter() - started
    # The same order whichever job finished first.
    places = {job: place for place, job in enumerate(jobs)}
    results.sort(key=lambda item: places[item[0]])
    with output.status("comparing grids"):
        plans = sum(result.plans for _, result in results)
        return outcome_of(request, combine(request, results), known_mappings + new, plans, new, seconds)


def _verify(outcome: Outcome, top: int, steps: int, output: Output) -> list[Verified]:
    from rnn_mapper.explore.verify import verify_design

    checks = []
    with output.status("simulating") as update:
        for design in outcome.front[:top]:
            checks += verify_design(
                design, outcome.request.models, steps, update, response=outcome.request.is_response
            )
    return checks


def _check_route(request: Request) -> None:
    """Before the search: whether the device can be placed and routed."""
    device = request.budget.device
    if device is None or not device.route:
        name = "a budget without an FPGA" if device is None else device.name
        raise ConfigurationError(f"--route: no tool here places and routes {name}; name a Lattice FPGA in --budget")


def _route(outcome: Outcome, top: int, output: Output) -> list[Routed]:
    from rnn_mapper.explore.verify import route_design

    device = outcome.request.budget.device
    assert device is not None, "checked before the search"
    with output.status("placing and routing") as update:
        return [route_design(design, device, outcome.request, update) for design in outcome.front[:top]]


def _write(folder: Path, outcome: Outcome, values: dict[str, Any], clock: Clock | None) -> None:
    from rnn_mapper.explore.report import markdown, picture

    (folder / "explore.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    (folder / "pareto.md").write_text(markdown(outcome, clock), encoding="utf-8")
    picture(outcome, folder / "pareto.svg")


def _report(
    outcome: Outcome, checks: list[Verified], routed: list[Routed], top: int, output: Output, clock: Clock | None
) -> None:
    from rnn_mapper.explore.report import front_table

    console = output.console
    for model in outcome.request.models:
        for line in model.account:
            print_line(console, f"Model      {model.name}: {line}")
    console.print(front_table(outcome, top, clock))
    print_line(console, outcome.area_text + ".")
    print_line(console, outcome.clock_text + ".")
    rate = "all of them in the cache" if outcome.rate is None else (
        f"{outcome.new_mappings:,} new in {outcome.seconds:.1f} s, {outcome.rate:,.0f} a second"
    )
    print_line(console, f"{counted(outcome.mappings, 'mapping')} on {counted(len(outcome.designs), 'grid')} "
                        f"({counted(outcome.plans, 'different plan')}), {len(outcome.within):,} within the "
                        f"budget; {rate}.")
    for check in checks:
        verdict = "exact" if check.exact else "DIFFERENT"
        text = (
            f"Verified   {check.model} on {check.grid}: {counted(check.steps, 'step')}, "
            f"{counted(check.predicted, 'cycle')} predicted, "
            f"{check.simulated:,} simulated, {check.mismatches} outputs differ; {check.searched:,} searched and "
            f"{check.mapped:,} mapped: {verdict}"
        )
        print_line(console, text)
    for one in routed:
        times = ", ".join(f"{name} {duration(time)} a step" for name, time in one.microseconds.items())
        estimated = "" if one.estimated_mhz is None else f" ({one.estimated_mhz:.0f} estimated)"
        used = ", ".join(f"{count:,} {kind.upper()}" for kind, count in one.used.items())
        reached = f"{one.routed_mhz:.1f} MHz{estimated}"
        print_line(console, f"Routed     {one.grid} on {one.device}: {reached}, {times}; {used}")
