"""The clock that this RTL reaches in open libraries, what that may be at 28 nm, and the comparison at that clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from scripts.output import markdown_table
from scripts.provenance import ROOT

__all__ = ["NODES", "ReachedClock", "clock_table", "reached_clocks"]

#: Feature size of the libraries of `scripts/timing.py` in nanometres.
NODES = {"sky130": 130, "osu018": 180}
#: Node of the published Plasticine, and its clock in MHz.
_NODE, _PLASTICINE_MHZ = 28, 1000.0
_HEADINGS = (
    "library", "longest path of a site, ns", "MHz", "factor to 28 nm", "MHz at 28 nm", "Plasticine at its 1 GHz"
)
_TEXT = (
    "The clock: the longest path of a site of this RTL between registers, without wires ([clocks](../docs/timing.md)), "
    "and what it would be at 28 nm if delays fell with the feature size: Dennard et al., Design of ion-implanted "
    "MOSFETs with very small physical dimensions, JSSC 9(5), 1974; Ho, Mai, Horowitz, The future of wires, Proc. IEEE "
    "89(4), 2001, where a gate delay is proportional to the gate length. The libraries differ by more than their "
    "nodes, and below 90 nm delays fell less than this: the slower library is the estimate, and both are the range. "
    "The last column is the geometric mean of the ratios above at that clock."
)


@dataclass(frozen=True)
class ReachedClock:
    """A library, and the clock of a site in it."""

    library: str
    node_nm: int
    period_ns: float
    mhz: float
    mhz_at_28_nm: float
    #: Geometric mean of the speed-ups against Plasticine, at the scaled clock.
    speedup_vs_plasticine: float


def reached_clocks(
    speedup_at_equal_clock: float, recorded: Path = ROOT / "results" / "timing.json"
) -> list[ReachedClock]:
    """The clocks of `make timing`, with the comparison of a grid that is `speedup_at_equal_clock` times as fast."""
    modules = json.loads(recorded.read_text(encoding="utf-8"))["modules"]
    found = []
    for row in modules:
        if row["module"] == "srnn_site":
            node, mhz = NODES[row["library"]], 1e3 / row["period_ns"]
            scaled = mhz * node / _NODE
            speedup = speedup_at_equal_clock * scaled / _PLASTICINE_MHZ
            found.append(ReachedClock(row["library"], node, row["period_ns"], mhz, scaled, speedup))
    return found


def clock_table(clocks: list[ReachedClock]) -> str:
    """The clocks as Markdown."""
    rows = [
        [f"{one.library} ({one.node_nm} nm)", f"{one.period_ns:.2f}", f"{one.mhz:.0f}", f"{one.node_nm / _NODE:.2f}",
         f"{one.mhz_at_28_nm:.0f}", f"{one.speedup_vs_plasticine:.2f}x"]
        for one in clocks
    ]
    return "\n".join(["", _TEXT, "", *markdown_table(_HEADINGS, rows, " --- ")]) + "\n"
