"""Response latency of stacks of LSTMs, and of trained networks, on the paper-size grid, in RTL.

    .venv/bin/python -m scripts.response                  # make response
    .venv/bin/python -m scripts.response --predict-only   # without simulation

The response of a step is counted from the acceptance of the last beat of its input to the last beat of its output, from
a warm state, when its input comes alone. Writes response.json, .csv, .md and .svg. Inputs come with the shortest gap
that keeps the response; every output of every step is compared with the numpy reference, and the response of every step
with the prediction. The exit status is 1 when one differs.
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from hdl.parameters import load_parameters
from rnn_mapper import cells
from rnn_mapper.cli.tables import TableConsole, plain_table
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.network.random import LayerShape, random_network
from rnn_mapper.pretrained.catalogue import load
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.schedule.phases import PhaseOrder
from scripts.deepbench.clock import reached_clocks
from scripts.output import (
    drawing,
    markdown_table,
    output_option,
    progress_lines,
    run_script,
    without_frame,
    write_csv,
    write_json,
)
from scripts.provenance import ROOT, commit
from sim_tests.host.grid_build import build_grid
from sim_tests.host.run import run_sequences
from sim_tests.simulator.run import Build

PRESET = "paper"
PUBLISHED = ROOT / "docs" / "data" / "vollo.csv"
#: Outputs of the stacks' heads.
HEAD = 32
#: Steps that are simulated and compared.
STEPS = 56
#: Clock at which the published accelerator runs, in MHz.
CLOCK_MHZ = 320.0
#: Empty round trips of the published accelerator in microseconds: of the release, and of the earlier state.
IO_US = {"latency_us": 0.89, "earlier_us": 1.8}
#: Trained networks besides, as model and network of `spatial-rnn models`.
TRAINED = (
    ("silero", "lstm"), ("g2p_en", "decoder"), ("deepfilternet", "encoder"), ("deepfilternet", "gains"),
    ("deepfilternet", "filter"),
)


@dataclass(frozen=True)
class Point:
    """One network."""

    name: str
    layers: int
    hidden: int
    cycles_predicted: int
    #: The response of every step; None where nothing was simulated, or where steps differ.
    cycles_simulated: int | None
    #: Cycles of a sequence of one step from a kept state with the fused schedule.
    cycles_fused: int
    #: Products of the inputs of all layers with all multipliers, and the shortest tails.
    cycles_limit: int
    #: Cycles between inputs from which on each step has this response.
    shortest_gap: int
    mismatches: int | None
    steps: int
    us_at_320_mhz: float
    us_at_reached_clock: float
    #: Published microseconds with and without their I/O; None where there are none.
    published_us: float | None
    published_us_without_io: float | None
    earlier_us: float | None
    earlier_us_without_io: float | None

    @property
    def exact(self) -> bool:
        """All that was simulated is as the reference and the prediction say."""
        return self.cycles_simulated is None or (
            self.mismatches == 0 and self.cycles_simulated == self.cycles_predicted
        )


@dataclass(frozen=True, eq=False)
class Job:
    """A network to run, with its inputs [steps, input_size]."""

    name: str
    layers: int
    hidden: int
    network: QuantisedNetwork
    codes: npt.NDArray[Any]
    published: dict[str, str]


def stacks() -> Iterator[Job]:
    """The published stacks, with random weights: the cycles do not depend on them."""
    parameters = load_parameters(PRESET)
    with PUBLISHED.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    for row in rows:
        layers, hidden = int(row["layers"]), int(row["hidden"])
        rng = np.random.default_rng(hidden)
        network = random_network(rng, hidden, [LayerShape(cells.lstm, hidden)] * layers, HEAD)
        inputs = rng.normal(size=(STEPS, hidden))
        quantised = quantise(network, inputs[:8], parameters.arithmetic)
        yield Job(f"{layers} x {hidden} + {HEAD}", layers, hidden, quantised, quantise_inputs(quantised, inputs), row)


def trained() -> Iterator[Job]:
    """The trained networks, with real inputs."""
    parameters = load_parameters(PRESET)
    for key, name in TRAINED:
        model = load(key)
        network = model.quantise(parameters.arithmetic)[name].segments[0].members[0]
        inputs = model.example()[name]
        repeated = np.tile(inputs, (math.ceil(STEPS / len(inputs)), 1))[:STEPS]
        recurrent = [layer for layer in network.layers if layer.state_sizes]
        yield Job(f"{key} {name}", len(recurrent), recurrent[0].hidden_size, network,
                  quantise_inputs(network, repeated), {})


def run_point(job: Job, build: Build | None, folder: Path, tell: Callable[[str], None]) -> Point:
    """Map a network for response and, on a build, simulate it."""
    parameters = load_parameters(PRESET)
    mapping = map_network(job.network, parameters, schedule=PhaseOrder.RESPONSE)
    response = mapping.response
    assert response is not None, f"{job.name}: an output waits for a later input"
    simulated = mismatches = None
    if build is not None:
        # The first sequence leaves a state.
        sequences = [
            bus_sequence(mapping, [job.codes[:2]]),
            replace(bus_sequence(mapping, [job.codes], keep_state=True), gap=response.shortest_gap),
        ]
        results = run_sequences(image_files(mapping), parameters, sequences, build, folder / job.name, progress=tell)
        warm, found = results.results
        first = run_reference(job.network, job.codes[:2])
        second = run_reference(job.network, job.codes, first.state)
        mismatches = int((warm.outputs != first.outputs).sum() + (found.outputs != second.outputs).sum())
        # The time from START to the first input need not be enough for a cold pipeline: it counts from the second on.
        times = {*found.responses[1:]}
        simulated = times.pop() if len(times) == 1 else max(times)
        tell(f"{job.name}: response {simulated}, predicted {response.cycles}, {mismatches} outputs differ")
    fused = map_network(job.network, parameters, steps=1)
    clock = min(one.mhz_at_28_nm for one in reached_clocks(1.0))
    published = {name: float(text) for name in IO_US if (text := job.published.get(name))}

    def less(name: str) -> float | None:
        return round(published[name] - IO_US[name], 2) if name in published else None

    return Point(
        job.name, job.layers, job.hidden, response.cycles, simulated, fused.predict(1, cleared=False).cycles,
        limit(mapping), response.shortest_gap, mismatches, len(job.codes), round(response.cycles / CLOCK_MHZ, 3),
        round(response.cycles / clock, 3), published.get("latency_us"), less("latency_us"),
        published.get("earlier_us"), less("earlier_us"),
    )


def limit(mapping: Mapping) -> int:
    """Cycles in which all multipliers do the products of the inputs of all layers, and the shortest tail of each: from
    the last operands to the last result of a phase."""
    needed = [timing for timing in mapping.timings if not timing.phase.previous]
    products = sum(timing.phase.multiplications for timing in needed)
    tails = [timing.cycles.completion - timing.cycles.last_end for timing in needed if not timing.phase.stores]
    return math.ceil(products / mapping.parameters.multipliers) + sum(tails)


_HEADINGS = (
    "network", "response, cycles", "simulated", "fused, one step", "limit", "shortest gap", "us at 320 MHz",
    "us at the reached clock", "published us", "without I/O", "earlier us", "without I/O",
)
_TEXT = """
Response: cycles from the acceptance of the last beat of a step's input to the last beat of its output, warm state,
input alone; simulated over {steps} steps with inputs every `shortest gap` cycles, every output compared. *Fused, one
step*: the cycles of a sequence of one step from a kept state with the fused schedule. *Limit*: the products of the
inputs of all layers at full rate, and the shortest tails of this mapping. The reached clock is {clock:.0f} MHz:
[timing analysis](../docs/timing.md) of the slower library, scaled to 28 nm.

Published: Myrtle VOLLO ([source](../docs/data/vollo.csv)). Comparable: the networks, the batch of one, the kept
state, about as many multipliers. Not comparable: bf16 there, 8-bit operands here; PCIe from host to host there (its
empty round trip is taken off in *without I/O*), the streams of the grid here; boards there, a simulation here.
"""


def table_rows(points: Sequence[Point]) -> list[list[str]]:
    """The points as texts."""
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:,}"

    return [
        [one.name, *map(shown, (
            one.cycles_predicted, one.cycles_simulated, one.cycles_fused, one.cycles_limit, one.shortest_gap,
            one.us_at_320_mhz, one.us_at_reached_clock, one.published_us, one.published_us_without_io, one.earlier_us,
            one.earlier_us_without_io,
        ))] for one in points
    ]


def draw(points: Sequence[Point], path: Path) -> None:
    """Response, one step with the fused schedule, and the limit."""
    with drawing(path, 1, 1, figsize=(9, 4.5)) as (_, axes):
        kinds = (("limit", "cycles_limit"), ("response", "cycles_predicted"), ("fused, one step", "cycles_fused"))
        for index, (label, field) in enumerate(kinds):
            axes.barh([place + 0.27 * index for place in range(len(points))], [getattr(one, field) for one in points],
                      0.25, label=label, color=f"C{index}")
        axes.set_yticks([place + 0.27 for place in range(len(points))], [one.name for one in points])
        axes.invert_yaxis()
        axes.set_xlabel(f"cycles, preset {PRESET}")
        axes.legend(frameon=False)
        without_frame(axes)


@click.command()
@output_option
@click.option("--predict-only", is_flag=True, help="Do not simulate.")
@click.option("--stacks-only", is_flag=True, help="Leave the trained networks out.")
def main(output: Path, predict_only: bool, stacks_only: bool) -> None:
    """Run the networks, and write the tables and the picture."""
    console = TableConsole()
    started, tell = time.perf_counter(), progress_lines(console)
    build = None
    if not predict_only:
        tell(f"building one Verilator model of the {PRESET} grid")
        build = build_grid(load_parameters(PRESET), "verilator")
    jobs = [*stacks(), *([] if stacks_only else trained())]
    points = [run_point(job, build, output / "runs", tell) for job in jobs]
    write_json(output / "response.json", {
        "command": "make response", "commit": commit(), "grid": load_parameters(PRESET).to_dict(),
        "seconds": round(time.perf_counter() - started, 1), "points": [asdict(one) for one in points],
    })
    write_csv(output / "response.csv", [asdict(one) for one in points])
    rows = table_rows(points)
    text = _TEXT.format(steps=STEPS, clock=min(one.mhz_at_28_nm for one in reached_clocks(1.0)))
    lines = [f"# Response (`make response`, commit {commit()})", text, *markdown_table(_HEADINGS, rows), ""]
    (output / "response.md").write_text("\n".join(lines), encoding="utf-8")
    draw(points, output / "response.svg")
    shown = plain_table(*_HEADINGS[:8], title="Response", right=_HEADINGS[1:8])
    for row in rows:
        shown.add_row(*row[:8])
    console.print(shown)
    sys.exit(0 if all(one.exact for one in points) else 1)


if __name__ == "__main__":
    run_script(main)
