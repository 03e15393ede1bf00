"""Tables of the estimate, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from hdl.parameters import GridParameters
from scripts.estimate.constants import CONSTANTS, Bound
from scripts.estimate.model import Module, area
from scripts.estimate.point import Point
from scripts.estimate.published import CLAIMS, MACHINES, SEED, V100
from scripts.estimate.sources import SOURCES, Status
from scripts.output import geometric_mean, markdown_table

__all__ = ["headline", "markdown"]

_INTRODUCTION = """# Area and energy at 28 nm: an estimate

Written by `make estimate`. Gates, flip-flops, memory bits and counts are exact; square millimetres, joules and watts
are **estimates**, with 1 GHz and 0.9 V assumed. Figures are `typical (low to high)`; low and high take that end of
*every* constant at once. [What is behind them and what they cannot know](../docs/area_and_energy.md).
"""


def _range(of: Callable[[Bound], float], digits: int = 1) -> str:
    low, typical, high = of(Bound.LOW), of(Bound.TYPICAL), of(Bound.HIGH)
    return f"{typical:,.{digits}f} ({min(low, high):,.{digits}f} to {max(low, high):,.{digits}f})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["", *markdown_table(heads, rows), ""]


def headline(points: Sequence[Point], modules: list[Module], p: GridParameters) -> list[str]:
    """The rows of docs/area_and_energy.md: area, power and efficiency."""
    chip = {bound: area(modules, bound).total for bound in Bound}
    largest = {bound: max(q.watts(modules, p, bound) for q in points) for bound in Bound}
    mean = {bound: geometric_mean([q.tera / q.watts(modules, p, bound) for q in points]) for bound in Bound}
    return _table(("estimate", "typical (low to high)"), [
        ("area at 28 nm, mm²", _range(chip.__getitem__, 0)),
        ("largest power of the ten DeepBench points, W", _range(largest.__getitem__, 0)),
        ("effective TOPS/W, geometric mean of the points", _range(mean.__getitem__, 2)),
        ("published Plasticine's area over this", _range(lambda b: (SEED.area_mm2 or 0) / chip[b]) + "x"),
        ("V100's area (12 nm) over this", _range(lambda b: (V100.area_mm2 or 0) / chip[b]) + "x"),
        ("V100's power limit over the largest power", _range(lambda b: V100.power_w / largest[b]) + "x"),
    ])


def markdown(points: Sequence[Point], modules: list[Module], p: GridParameters) -> str:
    """All tables."""
    areas = {bound: area(modules, bound) for bound in Bound}

    def part_area(part: str, bound: Bound) -> float:
        return areas[bound].parts[part]

    def part_energy(point: Point, part: str, bound: Bound) -> float:
        return point.joules_by_part(modules, p, bound)[part] / point.steps * 1e9

    shown = [points[0], points[2], points[6]]
    lines = [_INTRODUCTION, *headline(points, modules, p), "![Area and power by part](estimate.svg)", ""]
    lines += ["## Measured: what there is", *_measured(modules), "## Area, mm²"]
    lines += _table(("part", "mm²"), [
        *((part, _range(partial(part_area, part))) for part in areas[Bound.TYPICAL].parts),
        ("**total**", _range(lambda b: areas[b].total)),
    ])
    lines += ["## Energy and power", *_points(points, modules, p), "## Energy of a step by part, nJ"]
    lines += _table(("part", *(point.name for point in shown)), [
        (part, *(_range(partial(part_energy, point, part), 0) for point in shown))
        for part in shown[0].joules_by_part(modules, p, Bound.TYPICAL)
    ])
    lines += ["## Measured: counts of a step (average of the sequence)", *_counts(points)]
    lines += ["## Beside published machines", *_machines(points, modules, p), "## Constants", *_constants()]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _measured(modules: list[Module]) -> list[str]:
    gates = sum(module.gates * module.instances for module in modules)
    flip_flops = sum(module.flip_flops * module.instances for module in modules)
    bits = sum(module.bits * module.instances for module in modules)
    return _table(("figure", "whole grid"), [
        ("gates (NAND2 equivalents, generic synthesis)", f"{gates:,.0f}"),
        ("flip-flops", f"{flip_flops:,}"), ("memory bits", f"{bits:,} ({bits / 2**23:.1f} MiB)"),
    ])


def _points(points: Sequence[Point], modules: list[Module], p: GridParameters) -> list[str]:
    rows = []
    for point in points:
        figures = {bound: point.figures(modules, p, bound) for bound in Bound}

        def figure(name: str, bound: Bound, of: dict[Bound, dict[str, float]] = figures) -> float:
            return of[bound][name]

        rows.append((
            f"{point.name} x {point.steps}", f"{point.activity.cycles:,}",
            _range(partial(figure, "microjoules_per_step"), 2), _range(partial(figure, "watts")), f"{point.tera:.1f}",
            _range(partial(figure, "tops_per_watt"), 2), _range(partial(figure, "tops_per_mm2"), 3),
        ))
    return _table(("point", "cycles", "microjoules a step", "W", "effective TOPS", "TOPS/W", "TOPS/mm²"), rows)


def _counts(points: Sequence[Point]) -> list[str]:
    counts = [point.activity.to_dict() for point in points]
    return _table(("count", *(point.name for point in points)), [
        (name.replace("_", " "), *(f"{c[name] / q.steps:,.0f}" for c, q in zip(counts, points, strict=True)))
        for name in counts[0]
    ])


def _machines(points: Sequence[Point], modules: list[Module], p: GridParameters) -> list[str]:
    chip = {bound: area(modules, bound).total for bound in Bound}
    watts = {bound: geometric_mean([q.watts(modules, p, bound) for q in points]) for bound in Bound}
    own = geometric_mean([q.tera for q in points])
    rows = [(
        "**this grid, estimated**", "28 nm", _range(chip.__getitem__, 0),
        _range(watts.__getitem__) + ", mean of the points", f"{own:.2f}",
        _range(lambda b: own / watts[b], 2), _range(lambda b: own / chip[b], 3), "",
    )]
    for machine in MACHINES:
        of = machine.latencies
        tera = geometric_mean([q.operations / q.published_ms[of] * 1e-9 for q in points]) if of else None
        rows.append((
            machine.name, machine.node, f"{machine.area_mm2:g}" if machine.area_mm2 else "not published",
            f"{machine.power_w:g}, {machine.power_kind}", f"{tera:.2f}" if tera else "-",
            f"{tera / machine.power_w:.4f}" if tera else "-",
            f"{tera / machine.area_mm2:.4f}" if tera and machine.area_mm2 else "-", f"[{machine.source}]",
        ))
    heads = ("machine", "node", "mm²", "W", "effective TOPS (geometric mean)", "TOPS/W", "TOPS/mm²", "source")
    assert SEED.area_mm2
    assert V100.area_mm2
    plain = (V100.area_mm2 / SEED.area_mm2, V100.power_w / SEED.power_w)
    spent = geometric_mean([q.published_ms["v100"] * 1e-3 / q.seconds for q in points]) * V100.power_w
    return [*_table(heads, rows), (
        f"The paper claims {CLAIMS['area']}x in area and {CLAIMS['power efficiency']:g}x in power efficiency over the "
        f"V100. Plain ratios of the dies and of the power limits give {plain[0]:.2f}x and {plain[1]:.2f}x, so they "
        "were probably made so (our inference): nothing is normalised to a node, and a limit is not what a machine "
        "draws. The same plain ratios for this grid stand in the first table. The V100's energy for the points at its "
        f"power limit is {_range(lambda b: spent / watts[b], 0)} times this grid's (geometric mean); at batch 1 it "
        "draws less than that."
    ), ""]


def _constants() -> list[str]:
    rows = [
        (f"{c.meaning} (`{name}`)", c.unit, *(f"{x:.4g}" for x in (c.low, c.typical, c.high)), c.status.value, c.source)
        for name, c in CONSTANTS.items()
    ]
    number = {status: sum(c.status == status for c in CONSTANTS.values()) for status in Status}
    counted = ", ".join(f"{count} {status.value}" for status, count in number.items())
    sources = [(f"[{key}]", source.text, source.status.value, source.seen) for key, source in SOURCES.items()]
    return [
        *_table(("constant", "unit", "low", "typical", "high", "known how", "source"), rows),
        f"Constants: {counted}.", "",
        "## Sources", *_table(("key", "source", "known how", "seen in"), sources),
    ]
