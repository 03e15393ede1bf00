"""How independent work fills the tails of phases: streams of one model, and different models that share a schedule.

    .venv/bin/python -m scripts.tails        # make tails, half a minute

Writes tails.json, .md and .svg. Cycles are predictions, which are exact: every test that simulates streams
(tests/mapping/test_shared_schedules.py, tests/mapping/test_streams.py) compares them with the Verilog.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
from matplotlib import ticker
from rich.console import Console

from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation.blank import blank_network
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.phases import PhaseOrder
from scripts.output import drawing, markdown_table, output_option, run_script, without_frame, write_json
from scripts.provenance import commit

PRESETS = ("medium", "paper")
#: Cell and hidden size (the input is as wide).
MODELS = ((cells.lstm, 64), (cells.lstm, 128), (cells.lstm, 256), (cells.gru, 256))
STREAMS = (1, 2, 3, 4)
#: Models that share a schedule.
PAIRS = (((cells.lstm, 64), (cells.gru, 64)), ((cells.lstm, 128), (cells.gru, 128)),
         ((cells.lstm, 128), (cells.gru, 256)), ((cells.lstm, 256), (cells.gru, 256)))
#: Steps of a sequence; it continues from a kept state.
STEPS = 100


@dataclass(frozen=True)
class StreamCost:
    """Streams of one model on a preset: cycles per step and stream."""

    preset: str
    model: str
    streams: int
    fused: float
    sequential: float
    #: Every multiplier busy with the model's own multiplications.
    ideal: float


@dataclass(frozen=True)
class PairCost:
    """Two models on a preset: cycles for a step of both."""

    preset: str
    models: str
    shared: float
    one_after_the_other: float
    #: The same with the sequential schedule.
    shared_sequential: float
    one_after_the_other_sequential: float
    ideal: float


def grid(preset: str) -> GridParameters:
    """The preset with memories that hold four streams; cycles do not depend on their depths."""
    base = load_parameters(preset)
    return replace(base, vector_depth=1024, units=512, gate_entries=4096, weight_depth=1 << 14)


def name_of(model: tuple[cells.Cell, int]) -> str:
    """Such as ``LSTM 128``."""
    return f"{model[0].name.upper()} {model[1]}"


def network_of(model: tuple[cells.Cell, int], parameters: GridParameters) -> QuantisedNetwork:
    """A model of that shape, without weights."""
    return blank_network(model[1], [LayerShape(*model)], None, parameters.arithmetic)


def cycles(members: list[QuantisedNetwork], parameters: GridParameters, schedule: PhaseOrder) -> tuple[float, float]:
    """Cycles of a step of all members, and the cycles of that step if every multiplier were always busy."""
    mapping = map_network(members, parameters, steps=STEPS, schedule=schedule)
    ideal = sum(phase.multiplications for phase in mapping.phases) / parameters.multipliers
    return mapping.predict(STEPS, cleared=False).cycles / STEPS, ideal


def measure_streams(preset: str, model: tuple[cells.Cell, int], streams: int) -> StreamCost:
    """One row of the first table."""
    parameters = grid(preset)
    members = [network_of(model, parameters)] * streams
    fused, ideal = cycles(members, parameters, PhaseOrder.FUSED)
    sequential, _ = cycles(members, parameters, PhaseOrder.SEQUENTIAL)
    return StreamCost(preset, name_of(model), streams, fused / streams, sequential / streams, ideal / streams)


def measure_pair(preset: str, pair: tuple[tuple[cells.Cell, int], tuple[cells.Cell, int]]) -> PairCost:
    """One row of the second table."""
    parameters = grid(preset)
    members = [network_of(model, parameters) for model in pair]
    found = {}
    for schedule in (PhaseOrder.FUSED, PhaseOrder.SEQUENTIAL):
        found[schedule] = (
            cycles(members, parameters, schedule),
            sum(cycles([member], parameters, schedule)[0] for member in members),
        )
    (shared, ideal), apart = found[PhaseOrder.FUSED]
    (shared_sequential, _), apart_sequential = found[PhaseOrder.SEQUENTIAL]
    names = " and ".join(name_of(model) for model in pair)
    return PairCost(preset, names, shared, apart, shared_sequential, apart_sequential, ideal)


def markdown(result: dict[str, Any]) -> str:
    """Both tables."""
    rows, alone = [], {"fused": 1.0, "sequential": 1.0}
    for row in result["streams"]:
        if row["streams"] == 1:
            alone = row
        rows.append([
            row["preset"], row["model"], str(row["streams"]),
            *(text for schedule in ("fused", "sequential")
              for text in (f"{row[schedule]:.1f}", f"{alone[schedule] / row[schedule]:.2f}x")),
            f"{row['ideal']:.1f}",
        ])
    headings = ("grid", "model", "streams", "fused", "against alone", "sequential", "against alone",
                "every multiplier busy")
    lines = [
        f"# Tails (`{result['command']}`, commit {result['commit']})",
        "",
        f"Predicted, which is exact; {STEPS} steps from a kept state. Memories are as deep as four streams need, which "
        "does not change cycles. *Alone*: one stream after the other.",
        "",
        "Cycles per step and stream:",
        "",
        *markdown_table(headings, rows),
        "",
        "Two models, cycles for a step of both:",
        "",
        *markdown_table(
            ("grid", "models", "shared schedule", "one after the other", "gain", "sequential: shared",
             "one after the other", "every multiplier busy"),
            [[
                row["preset"], row["models"], f"{row['shared']:.1f}", f"{row['one_after_the_other']:.1f}",
                f"{row['one_after_the_other'] / row['shared']:.2f}x", f"{row['shared_sequential']:.1f}",
                f"{row['one_after_the_other_sequential']:.1f}", f"{row['ideal']:.1f}",
            ] for row in result["pairs"]],
        ),
    ]
    return "\n".join(lines) + "\n"


def picture(result: dict[str, Any], path: Path) -> None:
    """Cycles per step and stream against the number of streams, as a multiple of the cycles with busy multipliers."""
    colors = ("#1f6fb4", "#2a8a3e", "#8c6bb1", "#d1770f")
    with drawing(
        path, 1, len(PRESETS), rect=(0, 0.12, 1, 1.02), salt="tails", font_size=9, figsize=(9, 4.2)
    ) as (figure, plots):
        for axes, preset in zip(plots, PRESETS, strict=True):
            for model, color in zip(MODELS, colors, strict=True):
                rows = [r for r in result["streams"] if (r["preset"], r["model"]) == (preset, name_of(model))]
                for schedule, style in (("fused", "o-"), ("sequential", "s--")):
                    axes.plot(
                        [r["streams"] for r in rows], [r[schedule] / r["ideal"] for r in rows], style, color=color,
                        markersize=4, linewidth=1.2, label=f"{name_of(model)}, {schedule}",
                    )
            axes.set_title(f"{preset}: {load_parameters(preset).multipliers:,} multipliers", fontsize=9)
            axes.set_xticks(STREAMS)
            axes.set_xlabel("streams at once")
            axes.grid(True, alpha=0.25)
        without_frame(*plots)
        plots[0].set_ylabel("cycles per step and stream,\nagainst every multiplier busy")
        plots[1].set_yscale("log")
        # Plain numbers, and few: the scale is a decade.
        plots[1].yaxis.set_major_locator(ticker.FixedLocator([1, 1.5, 2, 3, 5, 10, 15]))
        plots[1].yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        plots[1].yaxis.set_minor_locator(ticker.NullLocator())
        figure.suptitle("Several streams of one model fill each other's tails", fontsize=10)
        lines, labels = plots[1].get_legend_handles_labels()
        figure.legend(lines, labels, frameon=False, fontsize=8, ncols=len(MODELS), loc="lower center")


@click.command()
@output_option
def main(output: Path) -> None:
    """Predict and write the tables."""
    started = time.perf_counter()
    streams = [
        measure_streams(preset, model, count) for preset in PRESETS for model in MODELS for count in STREAMS
    ]
    pairs = [measure_pair(preset, pair) for preset in PRESETS for pair in PAIRS]
    result = {
        "command": "make tails", "commit": commit(), "steps": STEPS, "seconds": round(time.perf_counter() - started, 1),
        "streams": [asdict(row) for row in streams], "pairs": [asdict(row) for row in pairs],
    }
    write_json(output / "tails.json", result)
    text = markdown(result)
    (output / "tails.md").write_text(text, encoding="utf-8")
    picture(result, output / "tails.svg")
    Console(highlight=False).print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
