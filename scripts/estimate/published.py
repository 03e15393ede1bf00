"""Published machines to compare the estimate with; `source` is a key of `sources.SOURCES`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLAIMS", "MACHINES", "SEED", "V100", "Machine"]


@dataclass(frozen=True)
class Machine:
    """A published machine."""

    name: str
    node: str
    #: None where it is not published.
    area_mm2: float | None
    power_w: float
    #: Meaning of the power, such as ``at most``.
    power_kind: str
    source: str
    #: Column of docs/data/deepbench.csv with its latencies, if there is one.
    latencies: str | None = None


SEED = Machine("Plasticine for recurrent networks", "28 nm", 494.0, 160.0, "at most", "seed", "plasticine")
V100 = Machine("Tesla V100", "12 nm", 815.0, 300.0, "limit of the card", "v100", "v100")
MACHINES = (
    SEED,
    V100,
    Machine("Brainwave on Stratix 10 280", "14 nm", None, 148.0, "limit of the card", "brainwave", "brainwave"),
    Machine("Plasticine of 64 compute units", "28 nm", 112.8, 49.0, "at most", "plasticine2017"),
    Machine("TPU, first generation", "28 nm", 331.0, 40.0, "when busy", "tpu"),
)

#: The paper's claims for Plasticine against the V100 [seed].
CLAIMS = {"area": 1.6, "power efficiency": 2.0}
