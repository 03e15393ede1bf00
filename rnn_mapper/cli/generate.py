"""`spatial-rnn generate`: the Verilog of a grid, with manifest, headers and file list."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rich_click as click

from rnn_mapper.cli.common import Output, force_option, grid_from_options, grid_options, json_option
from rnn_mapper.cli.output_files import output_directory


@click.command("generate")
@click.option("-o", "--output", "directory", type=click.Path(path_type=Path), metavar="DIR", required=True,
              help="Directory to write; it is created.")
@grid_options
@click.option("--init-files", metavar="PATH",
              help="Bake in memory images: each memory reads PATH/<hierarchical name>.hex (as 'map' writes them) when "
                   "the Verilog is elaborated. Every site is then a module of its own.")
@click.option("--reset", type=click.Choice(["rst", "aresetn"]), default="rst", show_default=True,
              help="Reset port, synchronous to the clock: rst, active high, with the clock clk; or AXI's aresetn, "
                   "active low, with the clock aclk.")
@click.option("--name", metavar="NAME",
              help="Name of the FuseSoC core. Default: one that stands for the size and all parameters.")
@force_option
@json_option
def command(
    directory: Path, init_files: str | None, reset: str, name: str | None, force: bool, json_file: str | None,
    **options: Any,
) -> None:
    """Write the Verilog of a grid, with a manifest, headers for C and Verilog, a file list and a FuseSoC core.

    The same options give the same bytes. Without options the grid has 4 x 4 sites of 16 lanes.

    Example: spatial-rnn generate --rows 4 --cols 4 --lanes 16 -o build/grid
    """
    started = time.perf_counter()
    output = Output(json_file)
    parameters = grid_from_options(options)
    with output_directory(directory, force) as folder:
        from hdl.naming import ResetPort
        from hdl.output.package import make_package
        from rnn_mapper.run.example import example_for

        with output.progress("modules") as progress:
            # The testbench loads its model over the bus, which images that are baked in make needless.
            example = None if init_files else example_for(parameters)
            package = make_package(parameters, init_files, progress, ResetPort(reset), name, example)
        package.write(folder)
    seconds = time.perf_counter() - started
    p = parameters
    output.console.print(
        f"{directory}: {p.rows} x {p.cols} sites of {p.lanes} lanes ({p.multipliers} multipliers), "
        f"{len(package.modules)} modules, {package.verilog_bytes / 1e6:.2f} MB of Verilog in {seconds:.1f} s",
        markup=False, soft_wrap=True,
    )
    output.write_json({
        "directory": str(directory),
        "seconds": round(seconds, 3),
        "verilog_bytes": package.verilog_bytes,
        "modules": package.modules,
        "instances": {name: module["instances"] for name, module in package.manifest["modules"].items()},
        "files": sorted(package.files),
        "parameters": p.to_dict(),
        "multipliers": p.multipliers,
    })
