"""Facts about a trained model, and its measured outcome on the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnn_mapper.quantisation.accuracy import LayerError
from rnn_mapper.report.quantisation import DRIFT_BOUND, DRIFT_STEPS
from rnn_mapper.run.result import Comparison

__all__ = ["CLOCK_HZ", "Accuracy", "Facts", "Outcome", "Simulated", "Task"]

#: Clock of the times, as of the seed paper's Plasticine. No grid of this project was timed in silicon.
CLOCK_HZ = 1e9


@dataclass(frozen=True)
class Facts:
    """Facts that are known before anything runs."""

    #: Name on the command line.
    key: str
    title: str
    #: Requirement that brings the weights.
    package: str
    licence: str
    #: The recurrent layers, such as ``LSTM 128``.
    cells: str
    #: Preset of a grid that holds all of them.
    grid: str
    #: One step in words, such as ``a letter``.
    step: str
    #: Bounds of RMS and 99.9th percentile of the error of h.
    rms_bound: float
    p999_bound: float


@dataclass(frozen=True)
class Task:
    """The end task of the whole model, in floating point and with its recurrent layers in the grid's integers."""

    #: The measure, its unit, and whether more is better.
    metric: str
    unit: str
    more_is_better: bool
    original: float
    grid: float
    #: The change by the grid: its measure, unit, value and bound.
    change: str
    change_unit: str
    changed: float
    bound: float
    #: Largest permitted loss of the metric, in its unit; None where only the change is bounded.
    loss_bound: float | None = None

    @property
    def loss(self) -> float:
        """By how much the grid is worse."""
        return self.original - self.grid if self.more_is_better else self.grid - self.original


@dataclass(frozen=True)
class Accuracy:
    """The integers of the reference against float64 on the task's data, run through all recurrent layers."""

    steps: int
    #: Of h of all recurrent layers.
    error: LayerError
    #: Of each layer or segment.
    layers: tuple[LayerError, ...]
    task: Task
    #: Drift and the steps over which it was measured, for models that run without end.
    drift: float | None = None
    drift_steps: int = 0
    #: Another remark, such as how noisy the input was.
    note: str = ""


@dataclass(frozen=True, eq=False)
class Simulated:
    """A short part of the task's data through the grid's Verilog."""

    simulator: str
    comparisons: list[Comparison]
    #: Steps of the whole model, each perhaps a step of several resident models.
    steps: int

    @property
    def cycles(self) -> int:
        """Simulated cycles."""
        return sum(one.cycles_simulated for one in self.comparisons)

    @property
    def predicted(self) -> int:
        """Predicted cycles."""
        return sum(one.cycles_predicted for one in self.comparisons)

    @property
    def outputs(self) -> int:
        """Values that were compared."""
        return sum(int(one.outputs.size) for one in self.comparisons)

    @property
    def mismatches(self) -> int:
        """Values that differ from the reference's."""
        return sum(one.mismatches for one in self.comparisons)

    @property
    def is_exact(self) -> bool:
        """Every bit and every cycle are as expected."""
        return all(one.is_exact for one in self.comparisons)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything about one model."""

    facts: Facts
    #: Weights and biases of the recurrent layers and heads on the grid.
    parameters: int
    #: Name of the grid that it ran on, and its size, such as ``4 x 8 x 32``.
    grid: str
    grid_size: str
    accuracy: Accuracy
    simulated: Simulated
    #: Predicted cycles of a step in a long sequence, of all resident models together.
    cycles_per_step: float
    seconds: float

    @property
    def broken(self) -> list[str]:
        """The bounds that do not hold, and differences from the reference or the prediction."""
        a, f, s = self.accuracy, self.facts, self.simulated
        found = []
        for name, value, bound in (("RMS", a.error.rms, f.rms_bound), ("p99.9", a.error.p999, f.p999_bound)):
            if not value <= bound:
                found.append(f"{name} {value:.4f}, must be at most {bound}")
        t = a.task
        if not t.changed <= t.bound:
            found.append(f"{t.change} {t.changed:.4g}{t.change_unit}, must be at most {t.bound}")
        if t.loss_bound is not None and not t.loss <= t.loss_bound:
            found.append(f"{t.metric}: {t.original:.4g}{t.unit} by the original, {t.grid:.4g}{t.unit} by the grid, "
                         f"which may lose {t.loss_bound}")
        if a.drift is not None and not (a.drift <= DRIFT_BOUND and a.drift_steps >= DRIFT_STEPS):
            found.append(f"drift {a.drift:.2f} over {a.drift_steps} steps, must be at most {DRIFT_BOUND}")
        if s.mismatches:
            found.append(f"{s.mismatches} of {s.outputs} outputs differ from the reference")
        if s.cycles != s.predicted:
            found.append(f"{s.cycles} cycles simulated, {s.predicted} predicted")
        return found

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        a, s = self.accuracy, self.simulated
        return {
            **vars(self.facts),
            "parameters": self.parameters,
            "grid": self.grid,
            "grid_size": self.grid_size,
            "steps": a.steps,
            "rms": a.error.rms,
            "p999": a.error.p999,
            "signal_rms": a.error.signal_rms,
            "drift": a.drift,
            "drift_steps": a.drift_steps,
            "layers": [vars(layer) for layer in a.layers],
            "task": {**vars(a.task), "loss": a.task.loss},
            "note": a.note,
            "cycles_per_step": self.cycles_per_step,
            "microseconds_per_step": self.cycles_per_step / CLOCK_HZ * 1e6,
            "simulator": s.simulator,
            "simulated_steps": s.steps,
            "cycles_predicted": s.predicted,
            "cycles_simulated": s.cycles,
            "outputs_compared": s.outputs,
            "mismatches": s.mismatches,
            "broken": self.broken,
            "seconds": self.seconds,
        }
