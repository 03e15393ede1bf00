"""`spatial-rnn map`: a network on a grid, as memory images and a listing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from rnn_mapper.cli.common import (
    Output,
    force_option,
    grid_from_options,
    grid_is_named,
    grid_options,
    json_option,
)
from rnn_mapper.cli.mapped import (
    PATH,
    account_table,
    check_picture,
    describe,
    describe_grid,
    network_options,
    prepare_from_options,
    print_line,
    streams_line,
    streams_option,
)
from rnn_mapper.cli.output_files import output_directory
from rnn_mapper.errors import ConfigurationError

if TYPE_CHECKING:
    from rnn_mapper.mapping import Mapping
    from rnn_mapper.resident import Resident
    from rnn_mapper.resident_preparation import PreparedResident

#: Steps whose cycles are predicted when nothing says how many.
_STEPS = 16


@click.command("map")
@click.option("--model", "model_files", type=PATH, metavar="FILE.npz", required=True, multiple=True,
              help="Network with PyTorch's state_dict names (weight_ih_l0, ..., weight_ih_l0_reverse, ..., "
                   "head.weight); may be repeated: all are resident in the grid at once.")
@network_options
@click.option("--input", "input_files", type=PATH, metavar="FILE.npy", multiple=True,
              help="Typical input, float [steps, features], which sets the scale of the inputs; of several models one "
                   "for each. Default: 256 steps of standard normal noise.")
@streams_option
@click.option("--steps", type=click.IntRange(min=1), metavar="N",
              help=f"Steps of the sequence whose cycles are predicted. Default: those of --input, else {_STEPS}.")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR", required=True,
              help="Directory to write; it is created.")
@grid_options
@force_option
@json_option
def command(
    model_files: tuple[Path, ...], cell: str | None, cells_file: Path | None, ru: int | None, hu: int | None,
    schedule: str, picture: Path | None, input_files: tuple[Path, ...], streams: int | None, steps: int | None,
    directory: Path, force: bool, json_file: str | None, **options: Any,
) -> None:
    """Quantise a trained network, place it on a grid and write its memory images, cycles and a readable listing.

    DIR then holds images/ (one hexadecimal file for each memory, for $readmemh), load.bin with load.json (the same as
    packets for the bus), listing/ (a disassembly) and mapping.json. Without a grid option the smallest preset that
    fits is taken.

    Several models, and the segments of one with bidirectional layers, lie in one grid side by side: each has the number
    that the host writes to MODEL, and a folder of its own in listing/.

    Example: spatial-rnn map --model lstm.npz --input typical.npy --preset medium -o build/lstm
    """
    started = time.perf_counter()
    output = Output(json_file)
    check_picture(picture)
    if input_files and len(input_files) != len(model_files):
        text = f"{len(input_files)} --input for {len(model_files)} --model: give one for each, or none"
        raise ConfigurationError(text)
    with output_directory(directory, force) as folder, output.status("reading") as status:
        from rnn_mapper.bidirectional_network import BidirectionalNetwork
        from rnn_mapper.cells.user_files import with_cells
        from rnn_mapper.mapping_report import mapping_json
        from rnn_mapper.phases import Schedule
        from rnn_mapper.preparation import as_inputs, as_network
        from rnn_mapper.resident_preparation import prepare_resident, resident_json

        cells = with_cells(cells_file)
        networks = [as_network(model, cell, cells) for model in model_files]
        calibrations = [
            None if file is None else as_inputs(file, network)
            for file, network in zip(input_files or [None] * len(networks), networks, strict=True)
        ]
        given = [len(calibration) for calibration in calibrations if calibration is not None]
        count = steps or max(given, default=_STEPS)
        status("quantising and mapping")
        network = networks[0]
        if len(networks) > 1 or isinstance(network, BidirectionalNetwork):
            if picture is not None:
                raise ConfigurationError("--picture draws a single model without bidirectional layers")
            grid = grid_from_options(options) if grid_is_named(options) else None
            together = prepare_resident(
                _by_name(model_files, networks), calibrations, grid, ru=ru, hu=hu, steps=count,
                schedule=Schedule(schedule), streams=streams or 1,
            )
            values = resident_json(together, count)
            status("writing images and listing")
            sizes = _write(folder, together.resident, values)
            _report_resident(together, count, output.console)
            seconds = time.perf_counter() - started
            _report_files(directory, sizes, seconds, output.console)
            output.write_json({"directory": str(directory), "seconds": round(seconds, 3), **values})
            return
        prepared = prepare_from_options(network, calibrations[0], options, ru, hu, schedule, count, streams or 1)
        mapping = prepared.mapping
        prediction = mapping.predict(count)
        values = {"grid": prepared.grid_name, **mapping_json(mapping, prediction)}
        status("writing images and listing")
        sizes = _write(folder, mapping, values)
        if picture is not None:
            from rnn_mapper.pictures import schedule_picture

            schedule_picture(mapping, prediction, picture, f"{model_files[0].stem} on a {prepared.grid_name} grid")
    seconds = time.perf_counter() - started
    describe(prepared, output.console)
    if prepared.calibration_is_default:
        text = "Scale      of the inputs from standard normal noise: give typical input with --input"
        print_line(output.console, text)
    text = (
        f"Cycles     {prediction.cycles:,} for {count} steps, {prediction.cycles / count:,.1f} a step; "
        f"multipliers busy {prediction.utilisation:.1%} of the time"
    )
    print_line(output.console, text)
    values |= streams_line(mapping, prediction.cycles, count, output.console)
    output.console.print(account_table(mapping, prediction))
    _report_files(directory, sizes, seconds, output.console)
    output.write_json({"directory": str(directory), "seconds": round(seconds, 3), **values})


def _by_name(files: tuple[Path, ...], networks: list[Any]) -> dict[str, Any]:
    """Networks by the stem of their file, with a number where two have the same."""
    named: dict[str, Any] = {}
    for number, (file, network) in enumerate(zip(files, networks, strict=True)):
        named[file.stem if file.stem not in named else f"{file.stem} ({number})"] = network
    return named


def _report_resident(prepared: PreparedResident, steps: int, console: Console) -> None:
    """For each model its number, cycles, and what is left of every memory."""
    from rnn_mapper.resident_preparation import memories_left

    describe_grid(prepared.grid_name, prepared.resident.parameters, prepared.grid_chosen, console)
    for number, model in enumerate(prepared.models):
        mapping = model.mapping
        cycles = mapping.predict(steps).cycles
        text = f"{cycles:,} cycles for {steps} steps, {cycles / steps:,.1f} a step"
        print_line(console, f"MODEL {number:<4} {model.name}: {text}")
        streams_line(mapping, cycles, steps, console)
        left = ", ".join(f"{field} {rest:,} of {whole:,}" for field, (rest, whole) in memories_left(mapping).items())
        print_line(console, f"           left: {left}")


def _report_files(directory: Path, sizes: dict[str, int], seconds: float, console: Console) -> None:
    print_line(console, f"{directory}: {sizes['images'] / 1e6:.1f} MB of images, listing and mapping.json "
                        f"in {seconds:.1f} s")


def _write(folder: Path, mapping: Mapping | Resident, values: dict[str, Any]) -> dict[str, int]:
    """All files; returns the bytes of each kind."""
    from rnn_mapper.image_files import image_files, load_packets
    from rnn_mapper.listing import listing_files
    from rnn_mapper.resident import Resident

    sizes = {"images": 0, "listing": 0, "load": 0}
    kinds = {"images": image_files(mapping)}
    if isinstance(mapping, Resident):
        kinds |= {f"listing/model_{number}": listing_files(model) for number, model in enumerate(mapping.models)}
    else:
        kinds["listing"] = listing_files(mapping)
    for kind, files in kinds.items():
        (folder / kind).mkdir(parents=True)
        for name, text in files:
            (folder / kind / name).write_text(text, encoding="ascii")
            sizes[kind.partition("/")[0]] += len(text)
    packets = []
    with (folder / "load.bin").open("wb") as load:
        for packet in load_packets(mapping):
            packets.append({"offset": sizes["load"], "bytes": len(packet)})
            sizes["load"] += load.write(packet)
    index = {
        "beat_bytes": mapping.parameters.beat_bytes,
        "note": "send each packet of load.bin with tdest 1, beats of beat_bytes, tlast on its last beat",
        "packets": packets,
    }
    (folder / "load.json").write_text(json.dumps(index) + "\n", encoding="ascii")
    (folder / "mapping.json").write_text(json.dumps(values, indent=2) + "\n", encoding="ascii")
    return sizes
