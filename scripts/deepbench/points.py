"""The ten DeepBench inference points of the seed paper: models, mappings, and runs on the paper-size grid."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.network.layers import gate_count, parse_cell
from rnn_mapper.network.network import Network
from rnn_mapper.network.random import LayerShape, random_network
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.host.run import run_sequences
from sim_tests.simulator.run import Build

__all__ = [
    "CLOCK_HZ", "MACHINES", "PRESET", "Point", "ScheduleCycles", "multiplications", "published", "random_model",
    "run_point",
]

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "data" / "deepbench.csv"
PRESET = "paper"
#: Assumed, as in the seed paper; the design is not closed at any clock.
CLOCK_HZ = 1e9
#: Columns of published latencies, in milliseconds.
MACHINES = ("xeon", "v100", "brainwave", "plasticine")
#: Steps of the two sequences whose difference gives the cycles of a step once a sequence runs.
SHORT_STEPS, LONGER_STEPS = 3, 5


@dataclass(frozen=True)
class ScheduleCycles:
    """One schedule: cycles of a step once a sequence runs, and whether simulation and prediction agree."""

    schedule: str
    cycles_per_step: float
    mismatches: int
    #: Simulated minus predicted cycles, of both sequences.
    unpredicted: int


@dataclass(frozen=True)
class Point:
    """One row of the result."""

    cell: str
    hidden: int
    steps: int
    #: All multipliers busy with the model's own multiplications, the whole sequence.
    cycles_ideal: float
    cycles_predicted: int
    #: None where nothing was simulated.
    cycles_simulated: int | None
    mismatches: int | None
    #: Share of multiplier-cycles that are multiplications; the first step, from a cleared state, has fewer of them.
    utilisation: float
    #: At CLOCK_HZ.
    latency_ms: float
    published_ms: dict[str, float]
    speedup_vs_plasticine: float
    splits: str
    #: The same model under every schedule; empty where nothing was simulated.
    schedules: tuple[ScheduleCycles, ...]
    seconds: float

    @property
    def exact(self) -> bool:
        """All that was simulated is as the reference and the prediction say."""
        if self.cycles_simulated is None:
            return True
        return not (
            self.mismatches or self.cycles_simulated != self.cycles_predicted
            or any(found.mismatches or found.unpredicted for found in self.schedules)
        )


def published() -> list[dict[str, str]]:
    """Rows of the published table."""
    with PUBLISHED.open(encoding="utf-8") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def multiplications(row: dict[str, str]) -> int:
    """Multiplications of a whole sequence with the state, which decide how long its simulation takes."""
    return gate_count(parse_cell(row["cell"])) * int(row["hidden"]) ** 2 * int(row["steps"])


def random_model(cell: cells.Cell, hidden: int, steps: int) -> tuple[Network, np.ndarray]:
    """A network with input size = hidden size, as PyTorch would initialise it, and its inputs."""
    rng = np.random.default_rng(hidden)
    return random_network(rng, hidden, [LayerShape(cell, hidden)]), rng.normal(size=(steps, hidden))


def run_point(
    row: dict[str, str],
    parameters: GridParameters,
    build: Build | None,
    folder: Path,
    progress: Callable[[str], None],
) -> Point:
    """Map one point and, on a build, simulate it in full length; `progress` gets a line for each stage."""
    started = time.perf_counter()
    cell, hidden, steps = parse_cell(row["cell"]), int(row["hidden"]), int(row["steps"])
    network, inputs = random_model(cell, hidden, max(steps, LONGER_STEPS))
    quantised = quantise(network, inputs[:8], parameters.arithmetic)
    mapping = map_network(quantised, parameters, steps=steps)
    prediction = mapping.predict(steps)
    simulated = mismatches = None
    schedules: list[ScheduleCycles] = []
    if build is not None:
        codes = quantise_inputs(quantised, inputs)
        here = folder / f"{cell.name}{hidden}"
        sequence = bus_sequence(mapping, [codes[:steps]])
        run = run_sequences(image_files(mapping), parameters, [sequence], build, here, progress=progress)
        result = run.results[0]
        simulated = result.cycles
        mismatches = int((result.outputs != run_reference(quantised, codes[:steps]).outputs).sum())
        for schedule in (PhaseOrder.FUSED, PhaseOrder.SEQUENTIAL, PhaseOrder.BLAS):
            progress(f"schedule {schedule.value}")
            schedules.append(_schedule_cycles(quantised, codes, parameters, build, here, schedule))
    cycles = simulated or prediction.cycles
    milliseconds = cycles / CLOCK_HZ * 1e3
    latencies = {machine: float(row[f"{machine}_ms"]) for machine in MACHINES}
    ideal = steps * sum(phase.multiplications for phase in mapping.phases) / parameters.multipliers
    return Point(
        cell.name, hidden, steps, ideal, prediction.cycles, simulated, mismatches, prediction.utilisation, milliseconds,
        latencies, latencies["plasticine"] / milliseconds, _splits(mapping), tuple(schedules),
        time.perf_counter() - started,
    )


def _schedule_cycles(
    network: QuantisedNetwork, codes: np.ndarray, parameters: GridParameters, build: Build, folder: Path,
    schedule: PhaseOrder,
) -> ScheduleCycles:
    """A step of a running sequence: a longer one minus a short one, both simulated."""
    mapping = map_network(network, parameters, steps=LONGER_STEPS, schedule=schedule)
    lengths = (SHORT_STEPS, LONGER_STEPS)
    sequences = [bus_sequence(mapping, [codes[:steps]]) for steps in lengths]
    results = run_sequences(image_files(mapping), parameters, sequences, build, folder).results
    wrong = sum(
        int((result.outputs != run_reference(network, codes[:steps]).outputs).sum())
        for result, steps in zip(results, lengths, strict=True)
    )
    unpredicted = sum(
        abs(result.cycles - mapping.predict(steps).cycles) for result, steps in zip(results, lengths, strict=True)
    )
    per_step = (results[1].cycles - results[0].cycles) / (LONGER_STEPS - SHORT_STEPS)
    return ScheduleCycles(schedule.value, per_step, wrong, unpredicted)


def _splits(mapping: Mapping) -> str:
    parts = [(t.phase.units, t.nest.ru) for t in mapping.timings if not t.phase.stores]
    return " + ".join(f"{units} units ru {ru}" for units, ru in parts)
