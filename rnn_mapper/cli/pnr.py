"""`spatial-rnn pnr`: a grid placed and routed on an FPGA."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from hdl.errors import ConfigurationError
from rnn_mapper.cli.common import Output, grid_from_options, grid_is_named, grid_options, json_option
from rnn_mapper.cli.model_options import MODEL_HELP, model_options, models_from_options
from rnn_mapper.cli.tables import plain_table
from rnn_mapper.report.clock import duration

if TYPE_CHECKING:
    from hdl.parameters import GridParameters
    from hdl.synthesis.place_and_route import PlacedGrid

#: Steps of the sequence whose cycles count.
_STEPS = 16


@click.command("pnr")
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option("--target", default="ecp5", metavar="DEVICE", show_default=True,
              help="ecp5 (LFE5U-85F), ecp5-45k, ecp5-25k, ice40up5k or ice40hx (iCE40HX8K).")
@click.option("--multipliers", type=click.Choice(["dsp", "lut", "mixed"]), default="dsp", show_default=True,
              help="Multiplier blocks of the device; its logic (iCE40HX: always); or blocks until there are no more, "
                   "and logic for the rest.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the placer.")
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N",
              help="Place and route with N seeds, from --seed on, and take the best.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Seeds at once.")
@click.option("--model", "model_file", type=click.Path(path_type=Path), metavar="FILE",
              help=f"Report the time of a step of this model on the grid, at its clock. {MODEL_HELP}")
@click.option("--steps", type=click.IntRange(1, 1 << 16), default=_STEPS, show_default=True,
              help="Steps of the sequence whose cycles count, with --model.")
@model_options
@grid_options
@json_option
def command(
    directory: Path | None, target: str, multipliers: str, seed: int, seeds: int, jobs: int, model_file: Path | None,
    steps: int, json_file: str | None, **options: Any,
) -> None:
    """Synthesise, place and route a whole grid with Yosys and nextpnr, and show its clock and what limits it.

    The grid is a DIRECTORY that 'generate' wrote, or is generated from the options. It is placed alone, with a register
    at every port in place of the design around it. Minutes for a small grid; the clock of another seed differs by
    several percent.

    Example: spatial-rnn pnr --preset tiny --model lstm.onnx

    Example: spatial-rnn pnr build/grid --target ecp5 --seeds 3 --jobs 2
    """
    started = time.perf_counter()
    output = Output(json_file)
    if directory is not None and grid_is_named(options):
        raise ConfigurationError(f"{directory}: name a generated directory or a grid's options, not both")
    parameters = grid_from_options(options)
    from hdl.synthesis.flow import parameters_of
    from hdl.synthesis.place_and_route import check_target, place_and_route

    # Wrong options are reported before the grid is generated.
    check_target(target)
    if directory is not None and model_file is not None:
        parameters = parameters_of(directory)
    cycles = None if model_file is None else _cycles(model_file, parameters, steps, options, output)
    with tempfile.TemporaryDirectory(prefix="spatial-rnn-") as temporary:
        if directory is None:
            from hdl.output.package import make_package

            directory = Path(temporary) / "grid"
            with output.progress("modules generated") as progress:
                make_package(parameters, progress=progress).write(directory)
        work = Path(temporary) / "work"
        work.mkdir()
        with output.progress("synthesis and seeds") as progress:
            placed = place_and_route(
                directory, target, range(seed, seed + seeds), lambda what, done, total: progress(done, total, what),
                folder=work, multipliers=multipliers, jobs=jobs,
            )
    best = max(placed, key=lambda one: one.fmax_mhz)
    seconds = time.perf_counter() - started
    _print(output, best, placed, seconds)
    if model_file is not None and cycles is not None:
        each = cycles / steps
        time_text = duration(each / best.fmax_mhz)
        output.console.print(
            f"Model: {model_file.name}, {each:,.1f} cycles and {time_text} a step, of {steps:,}", markup=False,
            soft_wrap=True,
        )
    output.write_json({
        **best.to_json(), "multipliers_in": multipliers,
        "model": None if model_file is None or cycles is None else {
            "file": model_file.name, "steps": steps, "cycles": cycles,
            "microseconds_per_step": cycles / steps / best.fmax_mhz,
        },
        "seeds": {str(one.seed): round(one.fmax_mhz, 2) for one in placed}, "seconds": round(seconds, 3),
    })


def _cycles(
    model_file: Path, parameters: GridParameters, steps: int, options: dict[str, Any], output: Output
) -> int:
    """Cycles of a sequence of the model on the grid, and all its segments."""
    from rnn_mapper.run.prepare import prepare_together

    with output.status("mapping the model"):
        models = models_from_options((model_file,), options)
        prepared = prepare_together(models, [None], parameters, steps=steps)[0]
        return sum(model.predict(steps).cycles for model in prepared.deployment.models)


def _print(output: Output, best: PlacedGrid, placed: list[PlacedGrid], seconds: float) -> None:
    output.console.print(f"{best.device}, seed {best.seed} ({seconds:.0f} s)", markup=False, soft_wrap=True)
    use = plain_table("resource", "used", "of", right=("used", "of"))
    for kind, count in best.used.items():
        if best.available[kind]:
            use.add_row(kind.upper(), f"{count:,}", f"{best.available[kind]:,}")
    output.console.print(use)
    figures = ("logic (ns)", "wires (ns)")
    path = plain_table("critical path", *figures, right=figures)
    for step in best.path:
        path.add_row(step.component, f"{step.logic_ns:.2f}", f"{step.routing_ns:.2f}")
    output.console.print(path)
    if len(placed) > 1:
        each = ", ".join(f"{one.fmax_mhz:.1f}" for one in placed)
        output.console.print(f"All seeds, MHz: {each}", markup=False, soft_wrap=True)
    output.console.print(
        f"Clock: {best.fmax_mhz:.1f} MHz; times of a model at this clock: map, simulate or fit with --clock "
        f"{best.fmax_mhz:.1f}", markup=False, soft_wrap=True,
    )
