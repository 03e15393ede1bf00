"""The outcome of a search: the grids within the budget, the front, the nearest grid if none is within, and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnn_mapper.errors import MappingError
from rnn_mapper.explore.area import area_model
from rnn_mapper.explore.search import Design, Request, pareto_front

__all__ = ["Outcome", "outcome_of"]


@dataclass(frozen=True)
class Outcome:
    """The results of a search."""

    request: Request
    #: Every grid with a mapping, within the budget or not.
    designs: list[Design]
    #: Pareto front: grids within the budget that no other grid beats, fastest first; never empty.
    front: list[Design]
    #: Distinct (grid, mapping) pairs compared, and plans evaluated for them; results from the cache are included.
    mappings: int
    plans: int
    #: Only for the jobs that were not in the cache: mappings, and wall-clock seconds.
    new_mappings: int
    seconds: float

    @property
    def within(self) -> list[Design]:
        """Grids within the budget."""
        return [design for design in self.designs if not design.excess]

    @property
    def rate(self) -> float | None:
        """Mappings a second, without mappings from the cache."""
        return self.new_mappings / self.seconds if self.new_mappings and self.seconds else None

    @property
    def area_text(self) -> str:
        """The source and the errors of the areas."""
        model = area_model(self.request.budget.target)
        errors = "; ".join(
            f"{kind} within {error.largest:.1%} (mean {error.mean:.1%}) of {error.points} grids held out"
            for kind, error in model.errors.items() if error.points and kind != "ff"
        )
        text = f"Areas are interpolated from Yosys synthesis at {model.commit}: {errors}"
        if model.memories:
            excess, same, count = model.memory_error
            text += f"; block RAMs by rule, as Yosys in {same} of {count} memories, {excess:+.1%} in all"
        if model.whole:
            whole = ", ".join(f"{kind.upper()} {error:.1%}" for kind, error in model.whole_error.items())
            text += f"; scaled to {len(model.whole)} whole grids, flattened: largest error {whole}"
        return text

    @property
    def clock_text(self) -> str:
        """The source and the error of the clocks, or why there are none."""
        if self.request.clocks is not None:
            return self.request.clocks.text
        if self.request.one_clock or self.request.budget.device is None:
            return "Cycles are compared: one clock for all grids"
        return (
            f"Cycles are compared: no grid was placed and routed for {self.request.budget.device.name}, and a larger "
            "grid may have a slower clock"
        )

    def to_json(self) -> dict[str, Any]:
        """The whole outcome as JSON values."""
        model = area_model(self.request.budget.target)
        front = {id(design) for design in self.front}
        return {
            "models": [
                {"name": m.name, "shape": str(m.shape), "steps": m.steps, "weight": m.weight}
                for m in self.request.models
            ],
            "budget": {"text": self.request.budget.text, "limits": dict(self.request.budget.limits)},
            "objective": self.request.objective,
            "mappings": self.mappings, "plans": self.plans, "new_mappings": self.new_mappings,
            "seconds": round(self.seconds, 3),
            "area": {
                "target": model.target, "commit": model.commit,
                "errors": {kind: vars(error) for kind, error in model.errors.items()},
            },
            "clock": None if (clocks := self.request.clocks) is None else {
                "commit": clocks.commit, "largest_error": clocks.largest_error, "mean_error": clocks.mean_error,
                "measured_multipliers": clocks.largest,
            },
            "front": [self.design_json(design) for design in self.front],
            "candidates": [
                {**self.design_json(design), "front": id(design) in front} for design in self.designs
            ],
        }

    def design_json(self, design: Design) -> dict[str, Any]:
        """One grid as JSON values."""
        return {
            "grid": design.parameters.to_dict(),
            "cycles": {
                model.name: found.cycles for model, found in zip(self.request.models, design.found, strict=True)
            },
            "mappings": {
                model.name: {"schedule": found.choice.schedule, "layers": found.choice.ways,
                             "text": found.choice.text(design.parameters.rows)}
                for model, found in zip(self.request.models, design.found, strict=True)
            },
            "clock_mhz": None if design.clock_mhz is None else round(design.clock_mhz, 1),
            "score": design.score, "utilisation": design.utilisation,
            "used": {name: round(value, 1) for name, value in design.used.items()},
            "area_unknown": design.unknown,
            "exceeds": list(design.excess),
        }


def outcome_of(
    request: Request, designs: list[Design], mappings: int, plans: int, new: int, seconds: float
) -> Outcome:
    """The outcome. Raises `MappingError` when no grid holds the models, or no grid is within the budget; the message
    names the nearest grid."""
    if not designs:
        names = ", ".join(f"{model.name} ({model.shape})" for model in request.models)
        raise MappingError(
            f"no grid of rows {_span(request.rows)}, cols {_span(request.cols)}, lanes {_span(request.lanes)} holds "
            f"{names}: a memory would be larger than possible; allow larger grids"
        )
    front = pareto_front((c for c in designs if not c.excess), lambda c: c.area(request.budget))
    if not front:
        raise MappingError(_nearest(request, designs))
    return Outcome(request, designs, front, mappings, plans, new, seconds)


def _nearest(request: Request, designs: list[Design]) -> str:
    nearest = min(designs, key=lambda design: (max(design.excess.values()), design.score))
    p, limits = nearest.parameters, dict(request.budget.limits)
    size = f"{p.rows} x {p.cols} x {p.lanes}"
    if nearest.unknown:
        return (
            f"nothing is within {request.budget.text}: no area is known for the grids that hold the models "
            f"({nearest.unknown})"
        )
    short = ", ".join(f"{name} {nearest.used[name]:,.0f} of {limits[name]:,.0f}" for name in nearest.excess)
    return f"nothing is within {request.budget.text}; the nearest, {size}, takes {short}"


def _span(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
