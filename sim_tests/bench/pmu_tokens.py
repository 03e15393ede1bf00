"""Random phase tokens for a PMU and the reads that follow from them, from the contract of `hdl.grid.pmu`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hdl.grid.pmu import Pmu
from hdl.parameters import GridParameters

__all__ = ["PmuTokens", "random_phase"]


@dataclass
class PmuTokens:
    """A sequence of tokens and the expected reads, by cycles of `write_out`."""

    component: Pmu
    rng: np.random.Generator
    phases: list[dict[str, int]]
    tokens: dict[int, dict[str, int]] = field(default_factory=dict)
    #: Weight address, vector address and tag, by the cycle of the tag.
    reads: dict[int, tuple[int, int, dict[str, int]]] = field(default_factory=dict)
    #: Cycle in which a token that came too early is reported.
    overrun: int | None = None
    #: First cycle in which a token may come, and in which it may begin if it has no delay.
    next_token: int = 4
    next_start: int = 4

    def add(self, early: bool) -> None:
        """Add a token: in the first allowed cycle, later, or too `early` (where possible)."""
        p, rng = self.component.parameters, self.rng
        phase, parity, fresh = int(rng.integers(len(self.phases))), int(rng.integers(2)), int(rng.integers(2))
        config = self.phases[phase]
        words, pad, delay = (config[("fresh_" if fresh else "") + name] for name in ("words", "pad", "delay"))
        words += 1
        soonest = max(self.next_token, self.next_start - delay if config["units"] else 0)
        # The last token is in `next_token - 1` at the latest.
        first = max(self.tokens, default=3) + 1
        if early and config["units"] and first < soonest:
            cycle = int(rng.integers(first, soonest))
            self.overrun = cycle if cycle < self.next_token else cycle + delay
        else:
            cycle = soonest + int(rng.choice([0, 0, 0, 1, 2, 30]))
        self.tokens[cycle] = {"phase": phase, "parity": parity, "fresh": fresh}
        self.next_token = cycle + 1
        if not config["units"] or self.overrun is not None:
            return
        self.next_token += delay
        gates = config["gates"] + 1
        half = (parity ^ config["previous"]) << p.vector_offset_bits
        for unit in range(config["units"]):
            begin = cycle + delay + self.component.token_latency + unit * (gates * words + pad)
            for place in range(gates * words):
                gate, word = divmod(place, words)
                entry = unit * gates + gate
                self.reads[begin + place] = (
                    (config["weight_base"] + entry * words + word) % p.weight_depth,
                    (config["vector_base"] + word) % p.vector_words | half,
                    {"valid": 1, "first": int(word == 0), "last": int(word == words - 1),
                     "zero": fresh & config["previous"], "fresh": fresh, "parity": parity, "head": config["head"],
                     "tail": config["tail"], "entry": (config["entry_base"] + entry) % p.gate_entries},
                )
        self.next_start = cycle + delay + config["units"] * (gates * words + pad) - pad


def random_phase(p: GridParameters, rng: np.random.Generator) -> dict[str, int]:
    """A random configuration word; one in five is for a site that takes no part, and one in ten has a large field."""
    large = rng.choice(["words", "pad", "delay", "units", "gates"]) if rng.random() < 0.1 else ""
    times = {
        name: value for prefix in ("", "fresh_") for name, value in (
            (f"{prefix}words", int(rng.integers(p.vector_words if large == "words" else 3))),
            (f"{prefix}pad", int(rng.integers(256 if large == "pad" else 4))),
            (f"{prefix}delay", int(rng.integers(256) if large == "delay" else rng.choice([0, 0, 1, 5, 40]))),
        )
    }
    return times | {
        "units": int(rng.integers(p.units + 1 if large == "units" else 5)),
        "gates": int(rng.integers(8 if large == "gates" else 4)), "previous": int(rng.integers(2)),
        "weight_base": int(rng.integers(p.weight_depth)), "vector_base": int(rng.integers(p.vector_words)),
        "entry_base": int(rng.integers(p.gate_entries)), "head": int(rng.integers(2)),
        "tail": int(rng.integers(2)),
    }
