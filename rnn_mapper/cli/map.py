"""`spatial-rnn map`: a network on a grid, as memory images and a listing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
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
from rnn_mapper.cli.fit import Refusal
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
from rnn_mapper.cli.model_options import MODEL_HELP, describe_model, model_json, models_from_options
from rnn_mapper.cli.output_files import output_directory
from rnn_mapper.cli.scale_options import describe_scales, rule_from_options
from rnn_mapper.errors import ConfigurationError

if TYPE_CHECKING:
    from rnn_mapper.importers import Imported
    from rnn_mapper.mapping.deployment import Resident
    from rnn_mapper.mapping.mapping import Mapping
    from rnn_mapper.run.prepare import Prepared
    from rnn_mapper.run.prepare_resident import PreparedResident

#: Steps whose cycles are predicted when nothing says how many.
_STEPS = 16


@click.command("map")
@click.option("--model", "model_files", type=PATH, metavar="FILE", required=True, multiple=True,
              help=f"{MODEL_HELP} May be repeated: all are resident in the grid at once.")
@network_options
@click.option("--input", "input_files", type=PATH, metavar="FILE", multiple=True,
              help="Typical input, float [steps, features] (.npy, .npz) or frames of samples (.wav), which sets the "
                   "scales; of several models one for each. Default: 256 steps of standard normal noise.")
@streams_option
@click.option("--steps", type=click.IntRange(min=1), metavar="N",
              help=f"Steps of the sequence whose cycles are predicted. Default: those of --input, else {_STEPS}.")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR", required=True,
              help="Directory to write; it is created.")
@grid_options
@force_option
@json_option
def command(
    model_files: tuple[Path, ...], ru: int | None, hu: int | None, schedule: str, picture: Path | None,
    input_files: tuple[Path, ...], streams: int | None, steps: int | None, directory: Path, force: bool,
    json_file: str | None, **options: Any,
) -> None:
    """Quantise a trained network, place it on a grid and write its memory images, cycles and a readable listing.

    DIR then holds images/ (one hexadecimal file for each memory, for $readmemh), load.bin with load.json (the same as
    packets for the bus), listing/ (a disassembly) and mapping.json. Without a grid option the smallest preset that
    fits is taken.

    Several models, and the segments of one with bidirectional layers, lie in one grid side by side: each has the number
    that the host writes to MODEL, and a folder of its own in listing/.

    Example: spatial-rnn map --model lstm.pt --input typical.npy --preset medium -o build/lstm
    """
    started = time.perf_counter()
    output = Output(json_file)
    check_picture(picture)
    if input_files and len(input_files) != len(model_files):
        text = f"{len(input_files)} --input for {len(model_files)} --model: give one for each, or none"
        raise ConfigurationError(text)
    with (
        output_directory(directory, force) as folder, Refusal(output.console, options) as refusal,
        output.status("reading") as status,
    ):
        from rnn_mapper.network.bidirectional import BidirectionalNetwork
        from rnn_mapper.report.mapping import mapping_json
        from rnn_mapper.run.prepare import as_inputs
        from rnn_mapper.run.prepare_resident import prepare_resident, resident_json
        from rnn_mapper.schedule.phases import PhaseOrder

        models = models_from_options(model_files, options)
        accounts = [model_json(file, model) for file, model in zip(model_files, models, strict=True)]
        networks = [model.network for model in models]
        calibrations = [
            None if file is None else as_inputs(file, network, options["rate"])
            for file, network in zip(input_files or [None] * len(networks), networks, strict=True)
        ]
        given = [len(calibration) for calibration in calibrations if calibration is not None]
        count = steps or max(given, default=_STEPS)
        status("quantising and mapping")
        refusal.models(networks, count, streams or 1)
        network = networks[0]
        if len(networks) > 1 or isinstance(network, BidirectionalNetwork):
            if picture is not None:
                raise ConfigurationError("--picture draws a single model without bidirectional layers")
            if any(model.state is not None for model in models):
                raise ConfigurationError("a start state of one of several models, or of bidirectional layers, is not "
                                         "supported: clear it")
            grid = grid_from_options(options) if grid_is_named(options) else None
            together = prepare_resident(
                _by_name(model_files, networks), calibrations, grid, ru=ru, hu=hu, steps=count,
                schedule=PhaseOrder(schedule), streams=streams or 1, rule=rule_from_options(options),
            )
            values = {"imported": accounts, **resident_json(together, count)}
            status("writing images and listing")
            sizes = _write(folder, together.resident, values)
            _report_models(model_files, models, output.console)
            _report_resident(together, count, output.console)
            seconds = time.perf_counter() - started
            _report_files(directory, sizes, seconds, output.console)
            output.write_json({"directory": str(directory), "seconds": round(seconds, 3), **values})
            return
        prepared = prepare_from_options(models[0], calibrations[0], options, ru, hu, schedule, count, streams or 1)
        mapping = prepared.mapping
        prediction = mapping.predict(count, cleared=prepared.state is None)
        values = {"grid": prepared.grid_name, "imported": accounts, **mapping_json(mapping, prediction)}
        status("writing images and listing")
        sizes = _write(folder, mapping, values)
        if prepared.state is not None:
            _write_start(folder, prepared)
        if picture is not None:
            from rnn_mapper.report.schedule_picture import schedule_picture

            schedule_picture(mapping, prediction, picture, f"{model_files[0].stem} on a {prepared.grid_name} grid")
    seconds = time.perf_counter() - started
    _report_models(model_files, models, output.console)
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


def _report_models(files: tuple[Path, ...], models: list[Imported], console: Console) -> None:
    for file, model in zip(files, models, strict=True):
        describe_model(file, model, console)


def _report_resident(prepared: PreparedResident, steps: int, console: Console) -> None:
    """For each model its number, cycles, and what is left of every memory."""
    from rnn_mapper.run.prepare_resident import memories_left

    describe_grid(prepared.grid_name, prepared.resident.parameters, prepared.grid_chosen, console)
    describe_scales((one for model in prepared.models for one in model.mapping.members), console)
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
    from rnn_mapper.mapping.deployment import Resident
    from rnn_mapper.mapping.packets import image_files, load_packets
    from rnn_mapper.report.listing import listing_files

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
    note = "send each packet of load.bin with tdest 1, beats of beat_bytes, tlast on its last beat"
    sizes["load"] = _write_packets(folder, "load", load_packets(mapping), mapping.parameters.beat_bytes, note)
    (folder / "mapping.json").write_text(json.dumps(values, indent=2) + "\n", encoding="ascii")
    return sizes


def _write_start(folder: Path, prepared: Prepared) -> None:
    """The packets that load the state that a sequence starts from, as those of the images."""
    from rnn_mapper.mapping.state_images import state_packets
    from rnn_mapper.quantisation.start_state import quantise_state

    assert prepared.state is not None
    mapping = prepared.mapping
    state = quantise_state(mapping.network, prepared.state)
    packets = (
        packet for member in range(len(mapping.members)) for packet in state_packets(mapping, state, member)
    )
    note = "send each packet of state.bin as those of load.bin before every sequence, and start it with KEEP_STATE"
    _write_packets(folder, "state", packets, mapping.parameters.beat_bytes, note)


def _write_packets(folder: Path, name: str, packets: Iterable[bytes], beat_bytes: int, note: str) -> int:
    """NAME.bin with packets, and NAME.json with their places; returns the bytes."""
    places, size = [], 0
    with (folder / f"{name}.bin").open("wb") as file:
        for packet in packets:
            places.append({"offset": size, "bytes": len(packet)})
            size += file.write(packet)
    index = {"beat_bytes": beat_bytes, "note": note, "packets": places}
    (folder / f"{name}.json").write_text(json.dumps(index) + "\n", encoding="ascii")
    return size
