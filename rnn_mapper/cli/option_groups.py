"""The panels of each command's help."""

from __future__ import annotations

from typing import Any

from hdl.parameters import RANGES

__all__ = ["OPTION_GROUPS"]

_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Model", ("--model", "--cell", "--cells", "--part", "--from", "--to")),
    ("Inputs", ("--input", "--calibration", "--layout", "--lengths", "--rate", "--streams", "--steps")),
    ("Accuracy", ("--calibration-method", "--percentile", "--metric")),
    ("Mapping", ("--ru", "--hu", "--schedule", "--within")),
    ("Search", ("--budget", "--objective", "--top", "--verify", "--verify-steps", "--route", "--jobs", "--cluster")),
    ("Tools", ("--sim", "--waves", "--target", "--multipliers", "--seed", "--seeds", "--liberty", "--timing")),
    ("Hardware", ("--init-files", "--reset", "--name")),
    ("Grid", ("--preset", "--config", *(f"--{name.replace('_', '-')}" for name in RANGES))),
    ("Results", (
        "--output", "--outputs", "--picture", "--clock", "--words", "--layouts", "--registers", "--export", "--force",
        "--json", "--help",
    )),
)

#: For rich-click: the panels of every command. Each command shows those of its options.
OPTION_GROUPS: dict[str, Any] = {
    "spatial-rnn *": [{"name": name, "options": list(options)} for name, options in _GROUPS]
}
