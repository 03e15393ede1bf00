"""The register map as tables: for manifests, headers, documentation and `spatial-rnn info`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdl import register_map
from hdl.output.field_comments import field_comments
from hdl.register_map import BITS, IDENTIFICATION, REGISTERS, VERSION, Register

__all__ = ["RegisterBit", "RegisterTable", "register_tables"]

#: Values of registers that never change, and None for what depends on the grid.
_VALUES: dict[str, int | None] = {
    "ID": IDENTIFICATION, "VERSION": VERSION, **dict.fromkeys(("GRID", "PHASE_ENABLE_LOW", "PHASE_ENABLE_HIGH")),
}


@dataclass(frozen=True)
class RegisterBit:
    """A named bit; `position` counts from the least significant."""

    name: str
    position: int
    text: str


@dataclass(frozen=True)
class RegisterTable:
    """A register and its named bits."""

    register: Register
    bits: tuple[RegisterBit, ...]

    @property
    def reset(self) -> int | None:
        """Value after reset, which a constant register always has; None if it depends on the grid."""
        return _VALUES.get(self.register.name, self.register.reset)

    @property
    def reset_text(self) -> str:
        """The reset value as hexadecimal, or a dash."""
        return "-" if self.reset is None else f"0x{self.reset:X}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        r = self.register
        return {
            "name": r.name, "offset": r.offset, "access": r.access.value, "reset": self.reset,
            "text": r.text, "bits": [{"name": b.name, "position": b.position, "text": b.text} for b in self.bits],
        }


def register_tables() -> Iterator[RegisterTable]:
    """All registers in the order of their addresses."""
    comments = field_comments(Path(register_map.__file__))
    for register in sorted(REGISTERS, key=lambda register: register.offset):
        kind = BITS.get(register.name)
        bits = tuple(
            RegisterBit(bit.name, int(bit), comments.get((kind.__name__, bit.name), "")) for bit in kind or ()
        ) if kind else ()
        yield RegisterTable(register, bits)
