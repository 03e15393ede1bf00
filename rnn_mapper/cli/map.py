"""`spatial-rnn map`: memory images and a listing of a network on a grid."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from rnn_mapper.cli.common import (
    Output,
    clock_from_option,
    clock_option,
    force_option,
    grid_options,
    json_option,
)
from rnn_mapper.cli.fit import Refusal
from rnn_mapper.cli.mapped import (
    PATH,
    account_table,
    check_picture,
    describe,
    network_options,
    prepare_from_options,
    print_line,
    streams_line,
    streams_option,
)
from rnn_mapper.cli.model_options import MODEL_HELP, describe_model, model_json, models_from_options
from rnn_mapper.cli.output_files import output_directory
from rnn_mapper.cli.scale_options import INPUT_HELP, layout_options, sequences_from_options
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.summary import counted

if TYPE_CHECKING:
    from rnn_mapper.mapping.deployment import Deployment
    from rnn_mapper.mapping.mapping import Mapping
    from rnn_mapper.run.prepare import Prepared
    from rnn_mapper.schedule.prediction import Prediction

#: Default number of steps whose cycles are predicted.
_STEPS = 16


@click.command("map")
@click.option("--model", "model_files", type=PATH, metavar="FILE", required=True, multiple=True,
              help=f"{MODEL_HELP} May be repeated: all models are resident in the grid at once.")
@network_options
@click.option("--input", "input_files", type=PATH, metavar="FILE", multiple=True,
              help=f"Typical input, which sets the scales: {INPUT_HELP} For several models, one input each. Default: "
                   "256 steps of standard normal noise.")
@layout_options
@streams_option
@click.option("--steps", type=click.IntRange(min=1), metavar="N",
              help="Steps of the sequence whose cycles are predicted. Default: as many as the longest of --input has, "
                   f"else {_STEPS}.")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR", required=True,
              help="Directory to write; it is created.")
@clock_option
@grid_options
@force_option
@json_option
def command(
    model_files: tuple[Path, ...], ru: int | None, hu: int | None, schedule: str, picture: Path | None,
    input_files: tuple[Path, ...], streams: int | None, steps: int | None, directory: Path, clock_mhz: float | None,
    force: bool, json_file: str | None, **options: Any,
) -> None:
    """Quantise a trained network, place it on a grid and write its memory images, cycles and a readable listing.

    DIR then holds images/ (one hexadecimal file for each memory, for $readmemh), load.bin with load.json (the same
    images as packets for the bus), listing/ (a disassembly) and mapping.json. Without a grid option the smallest preset
    that fits is used.

    Several models, and the segments of a model with bidirectional layers, are resident in one grid. Each has a number,
    which the host writes to MODEL, and a folder of its own in listing/.

    Example: spatial-rnn map --model lstm.pt --input typical.npy --preset medium -o build/lstm
    """
    started = time.perf_counter()
    output = Output(json_file)
    clock = clock_from_option(clock_mhz)
    check_picture(picture)
    if input_files and len(input_files) != len(model_files):
        text = f"{len(input_files)} --input for {len(model_files)} --model: give one for each, or none"
        raise ConfigurationError(text)
    with (
        output_directory(directory, force) as folder, Refusal(output.console, options) as refusal,
        output.status("reading") as status,
    ):
        from rnn_mapper.report.clock import clock_json, duration

        models = models_from_options(model_files, options)
        networks = [model.network for model in models]
        calibrations = [
            None if file is None else sequences_from_options([file], model, options)
            for file, model in zip(input_files or [None] * len(models), models, strict=True)
        ]
        given = [max(calibration.steps) for calibration in calibrations if calibration is not None]
        count = steps or max(given, default=_STEPS)
        status("quantising and mapping")
        refusal.models(networks, count, streams or 1)
        prepared = prepare_from_options(models, calibrations, options, ru, hu, schedule, count, streams or 1)
        resident = [
            _Resident(number, index, one, name)
            for index, (one, file_name) in enumerate(zip(prepared, _names(model_files), strict=True))
            for number, name in enumerate(_model_names(one, file_name), one.first_model)
        ]
        predictions = [one.mapping.predict(count, cleared=one.prepared.state is None) for one in resident]
        values = {
            "grid": prepared[0].grid_name,
            "imported": [model_json(file, model) for file, model in zip(model_files, models, strict=True)],
            **_json(resident, predictions, count),
            **clock_json(clock, sum(prediction.cycles for prediction in predictions), count),
        }
        status("writing images and listing")
        sizes = _write(folder, prepared[0].deployment, values)
        _write_start(folder, prepared)
        if picture is not None:
            from rnn_mapper.report.schedule_picture import schedule_picture

            drawn = [(one.mapping, prediction) for one, prediction in zip(resident, predictions, strict=True)]
            title = f"{', '.join(file.stem for file in model_files)} on a {prepared[0].grid_name} grid"
            schedule_picture(drawn, picture, title)
    seconds = time.perf_counter() - started
    for file, model in zip(model_files, models, strict=True):
        describe_model(file, model, output.console)
    for file, calibration in zip(input_files, calibrations, strict=False):
        if calibration is not None:
            print_line(output.console, f"Input      {file.name}: {calibration.text}, for the scales")
    describe(prepared, output.console)
    if any(one.calibration_is_default for one in prepared):
        text = "Scale      of the inputs: from standard normal noise; give typical input with --input"
        print_line(output.console, text)
    for one, prediction in zip(resident, predictions, strict=True):
        _report(one, prediction, count, len(resident) > 1, output.console)
    if clock is not None:
        cycles = sum(prediction.cycles for prediction in predictions)
        text = f"{clock.text(cycles)}, {duration(clock.microseconds(cycles / count))} a step"
        print_line(output.console, f"Time       {text}{', all models one after the other' * (len(resident) > 1)}")
    for network in prepared:
        cycles = sum(prediction.cycles for prediction in predictions[network.first_model :][: len(network.mappings)])
        more = streams_line(network, cycles, count, output.console)
        values |= more if len(prepared) == 1 else {}
    if len(resident) == 1:
        output.console.print(account_table(predictions[0].account))
    print_line(output.console, f"{directory}: {sizes['images'] / 1e6:.1f} MB of images, listing and mapping.json "
                               f"in {seconds:.1f} s")
    output.write_json({"directory": str(directory), "seconds": round(seconds, 3), **values})


@dataclass(frozen=True)
class _Resident:
    """A model of the grid."""

    number: int
    #: Position of its model file.
    network: int
    prepared: Prepared
    name: str

    @property
    def mapping(self) -> Mapping:
        return self.prepared.deployment.models[self.number]


def _names(files: tuple[Path, ...]) -> list[str]:
    """The stem of each file, with a number if two files have the same stem."""
    names: list[str] = []
    for number, file in enumerate(files):
        names.append(file.stem if file.stem not in names else f"{file.stem} ({number})")
    return names


def _model_names(prepared: Prepared, name: str) -> list[str]:
    """A name for each segment of a network."""
    segments = prepared.quantised.segments
    return [name] if len(segments) == 1 else [f"{name} {segment.name}" for segment in segments]


def _json(resident: list[_Resident], predictions: list[Prediction], steps: int) -> dict[str, Any]:
    """The figures as JSON values; the figures of a single model are not in a list."""
    from rnn_mapper.report.mapping import mapping_json, memories_left

    figures = [mapping_json(one.mapping, prediction) for one, prediction in zip(resident, predictions, strict=True)]
    if len(resident) == 1:
        return figures[0]
    return {
        "parameters": resident[0].mapping.parameters.to_dict(),
        "steps": steps,
        "models": [
            {
                "model": one.number, "name": one.name, "network": one.network, "streams": one.prepared.streams,
                "memories_left": {field: left for field, (left, _) in memories_left(one.mapping).items()}, **own,
            }
            for one, own in zip(resident, figures, strict=True)
        ],
    }


def _report(one: _Resident, prediction: Prediction, steps: int, several: bool, console: Console) -> None:
    """Print the cycles of a model; of several models also the words of each memory that are left."""
    from rnn_mapper.report.mapping import memories_left

    cycles = f"{prediction.cycles:,} for {counted(steps, 'step')}, {prediction.cycles / steps:,.1f} a step"
    if not several:
        print_line(console, f"Cycles     {cycles}; multipliers busy {prediction.utilisation:.1%} of the time")
        response = one.mapping.response
        print_line(console, "Response   " + (
            "an output waits for the inputs of later steps; --schedule response does not" if response is None else
            f"{response.cycles:,} cycles from the last beat of an input that comes alone to the last of its output; "
            f"inputs at least {response.shortest_gap:,} cycles apart"
        ))
        return
    print_line(console, f"MODEL {one.number:<4} {one.name}: {cycles.replace(' for', ' cycles for', 1)}")
    left = ", ".join(f"{field} {rest:,} of {whole:,}" for field, (rest, whole) in memories_left(one.mapping).items())
    print_line(console, f"           left: {left}")


def _write(folder: Path, deployment: Deployment, values: dict[str, Any]) -> dict[str, int]:
    """Write all files; returns the number of bytes of images, listing and load packets."""
    from rnn_mapper.mapping.packets import image_files, load_packets
    from rnn_mapper.report.listing import listing_files

    sizes = {"images": 0, "listing": 0, "load": 0}
    folders = {"images": image_files(deployment)}
    several = len(deployment.models) > 1
    folders |= {
        f"listing/model_{number}" if several else "listing": listing_files(model)
        for number, model in enumerate(deployment.models)
    }
    for name, files in folders.items():
        (folder / name).mkdir(parents=True)
        for file_name, text in files:
            (folder / name / file_name).write_text(text, encoding="ascii")
            sizes[name.partition("/")[0]] += len(text)
    note = "send each packet of load.bin with tdest 1, beats of beat_bytes, tlast on its last beat"
    sizes["load"] = _write_packets(folder, "load", load_packets(deployment), deployment.parameters.beat_bytes, note)
    (folder / "mapping.json").write_text(json.dumps(values, indent=2) + "\n", encoding="ascii")
    return sizes


def _write_start(folder: Path, prepared: list[Prepared]) -> None:
    """Write the packets that load the start states of sequences; no file if there are none."""
    packets = [packet for one in prepared for packet in one.start_packets()]
    if packets:
        note = "send each packet of state.bin like load.bin's before every sequence, and start it with KEEP_STATE"
        _write_packets(folder, "state", packets, prepared[0].mapping.parameters.beat_bytes, note)


def _write_packets(folder: Path, name: str, packets: Iterable[bytes], beat_bytes: int, note: str) -> int:
    """Write packets to NAME.bin and their offsets to NAME.json; returns the number of bytes."""
    places, size = [], 0
    with (folder / f"{name}.bin").open("wb") as file:
        for packet in packets:
            places.append({"offset": size, "bytes": len(packet)})
            size += file.write(packet)
    index = {"beat_bytes": beat_bytes, "note": note, "packets": places}
    (folder / f"{name}.json").write_text(json.dumps(index) + "\n", encoding="ascii")
    return size
