"""`spatial-rnn map`: a network on a grid, as memory images and a listing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from rnn_mapper.cli.common import Output, force_option, grid_options, json_option
from rnn_mapper.cli.mapped import (
    PATH,
    account_table,
    check_picture,
    describe,
    model_options,
    prepare_from_options,
    print_line,
)
from rnn_mapper.cli.output_files import output_directory

if TYPE_CHECKING:
    from rnn_mapper.mapping import Mapping

#: Steps whose cycles are predicted when nothing says how many.
_STEPS = 16


@click.command("map")
@model_options
@click.option("--input", "input_file", type=PATH, metavar="FILE.npy",
              help="Typical input, float [steps, features], which sets the scale of the inputs. Default: 256 steps of "
                   "standard normal noise.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N",
              help=f"Steps of the sequence whose cycles are predicted. Default: those of --input, else {_STEPS}.")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR", required=True,
              help="Directory to write; it is created.")
@grid_options
@force_option
@json_option
def command(
    model: Path, cell: str | None, cells_file: Path | None, ru: int | None, hu: int | None, schedule: str,
    picture: Path | None,
    input_file: Path | None, steps: int | None, directory: Path, force: bool, json_file: str | None, **options: Any,
) -> None:
    """Quantise a trained network, place it on a grid and write its memory images, cycles and a readable listing.

    DIR then holds images/ (one hexadecimal file for each memory, for $readmemh), load.bin with load.json (the same as
    packets for the bus), listing/ (a disassembly) and mapping.json. Without a grid option the smallest preset that
    fits is taken.

    Example: spatial-rnn map --model lstm.npz --input typical.npy --preset medium -o build/lstm
    """
    started = time.perf_counter()
    output = Output(json_file)
    check_picture(picture)
    with output_directory(directory, force) as folder, output.status("reading") as status:
        from rnn_mapper.cells.user_files import with_cells
        from rnn_mapper.mapping_report import mapping_json
        from rnn_mapper.preparation import as_inputs, as_network

        network = as_network(model, cell, with_cells(cells_file))
        calibration = None if input_file is None else as_inputs(input_file, network)
        count = steps or (_STEPS if calibration is None else len(calibration))
        status("quantising and mapping")
        prepared = prepare_from_options(network, calibration, options, ru, hu, schedule, count)
        mapping = prepared.mapping
        prediction = mapping.predict(count)
        values = {"grid": prepared.grid_name, **mapping_json(mapping, prediction)}
        status("writing images and listing")
        sizes = _write(folder, mapping, values)
        if picture is not None:
            from rnn_mapper.pictures import schedule_picture

            schedule_picture(mapping, prediction, picture, f"{model.stem} on a {prepared.grid_name} grid")
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
    output.console.print(account_table(mapping, prediction))
    print_line(output.console, f"{directory}: {sizes['images'] / 1e6:.1f} MB of images, listing and mapping.json "
                               f"in {seconds:.1f} s")
    output.write_json({"directory": str(directory), "seconds": round(seconds, 3), **values})


def _write(folder: Path, mapping: Mapping, values: dict[str, Any]) -> dict[str, int]:
    """All files; returns the bytes of each kind."""
    from rnn_mapper.image_files import image_files, load_packets
    from rnn_mapper.listing import listing_files

    sizes = {"images": 0, "listing": 0, "load": 0}
    for kind, files in (("images", image_files(mapping)), ("listing", listing_files(mapping))):
        (folder / kind).mkdir()
        for name, text in files:
            (folder / kind / name).write_text(text, encoding="ascii")
            sizes[kind] += len(text)
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
