"""The result of a synthesis, per module and in total."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModuleArea:
    """One instance of one module, without its sub-modules.

    `multipliers` and `adders` are gate equivalents of its operators, each synthesised alone. Optimisation across their
    boundaries makes this split an estimate (the sum may even slightly exceed `gate_equivalents`).
    """

    name: str
    #: Instances in the whole grid.
    instances: int
    #: Cells by type after mapping.
    cells: dict[str, int]
    #: NAND2 equivalents; None for FPGA targets and memories.
    gate_equivalents: float | None
    flip_flops: int
    #: Bits of the memories the module instantiates itself.
    memory_bits: int = 0
    multipliers: float = 0.0
    adders: float = 0.0
    #: FPGA resources: "lut", "ff", "dsp", "bram".
    resources: dict[str, int] = field(default_factory=dict)
    #: True for a memory, whose bits are counted in the module that instantiates it.
    memory: bool = False

    @property
    def overhead(self) -> float:
        """Gate equivalents that are neither multipliers nor adders: registers, multiplexers and control."""
        return (self.gate_equivalents or 0.0) - self.multipliers - self.adders

    def to_json(self) -> dict[str, Any]:
        """Return the figures of one instance."""
        return {
            "instances": self.instances,
            "cells": self.cells,
            "gate_equivalents": self.gate_equivalents,
            "flip_flops": self.flip_flops,
            "memory_bits": self.memory_bits,
            **({"split": self._split()} if self.gate_equivalents is not None else {}),
            **self.resources,
        }

    def _split(self) -> dict[str, float]:
        return {
            "multipliers": round(self.multipliers, 2), "adders": round(self.adders, 2),
            "overhead": round(self.overhead, 2),
        }  # fmt: skip


@dataclass(frozen=True)
class SynthesisReport:
    """Area of a grid."""

    target: str
    #: Name of the Liberty file, None without one.
    liberty: str | None
    modules: Sequence[ModuleArea]
    #: Gate equivalents of the bare dot product, the reference for the PCU.
    bare_dot_product: float | None
    #: Area overhead of a PCU without its memories over the bare dot product: ratio of gate equivalents, minus 1.
    pcu_overhead_ratio: float | None

    def total(self) -> ModuleArea:
        """Return the whole grid as if it were one module."""
        cells: Counter[str] = Counter()
        resources: Counter[str] = Counter()
        generic = self.target == "generic"
        whole = ModuleArea("total", 1, {}, 0.0 if generic else None, 0)
        for module in self.modules:
            times = module.instances
            cells.update({name: count * times for name, count in module.cells.items()})
            resources.update({name: count * times for name, count in module.resources.items()})
            whole.flip_flops += module.flip_flops * times
            whole.memory_bits += module.memory_bits * times
            whole.multipliers += module.multipliers * times
            whole.adders += module.adders * times
            if whole.gate_equivalents is not None:
                whole.gate_equivalents += (module.gate_equivalents or 0.0) * times
        whole.cells = dict(sorted(cells.items()))
        whole.resources = dict(resources)
        return whole

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values; the figures of a module are for one instance."""
        return {
            "target": self.target,
            "liberty": self.liberty,
            "modules": {module.name: module.to_json() for module in self.modules},
            "total": self.total().to_json(),
            "bare_dot_product_gate_equivalents": self.bare_dot_product,
            "pcu_overhead_ratio": self.pcu_overhead_ratio,
        }
