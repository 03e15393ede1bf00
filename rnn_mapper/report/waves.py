"""A layout beside recorded waves: the signals that matter, with states and phases by their names.

GTKWave opens the save file (``gtkwave waves.gtkw``); Surfer reads it too (``surfer waves.vcd -c waves.sucl`` runs its
commands). Names of numbers are in text files beside it, in GTKWave's format of translation filters.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hdl.grid.controller import SEQUENCE_STATES
from hdl.naming import TOP_MODULE
from hdl.register_map import Error
from rnn_mapper.mapping.deployment import Deployment

__all__ = ["write_wave_layout"]

#: Translations of numbers.
_STATE, _PHASE = "states", "phases"


def write_wave_layout(waves: Path, deployment: Deployment) -> Path:
    """Write the layout for this file of waves; returns the save file of GTKWave."""
    folder, stem = waves.parent, waves.stem
    tables = {
        _STATE: [f"{number} {name}" for number, name in enumerate(SEQUENCE_STATES)],
        _PHASE: [
            f"{mapping.reserved.phases + number} {_word(f'{model}:{phase.name}' if several else phase.name)}"
            for several in [len(deployment.models) > 1]
            for model, mapping in enumerate(deployment.models) for number, phase in enumerate(mapping.phases)
        ],
    }
    for name, lines in tables.items():
        (folder / f"{stem}.{name}.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    signals = list(_signals(deployment))
    text = ["[*] Written by spatial-rnn", f'[dumpfile] "{waves.name}"', f'[savefile] "{stem}.gtkw"']
    for heading, group in signals:
        text += ["@200", f"-{heading}"]
        for path, bits, table in group:
            text.append("@2022" if table else "@28" if bits == 1 else "@22")
            if table:
                text.append(f"^1 {stem}.{table}.txt")
            text.append(f"{TOP_MODULE}.{path}{f'[{bits - 1}:0]' if bits > 1 else ''}")
    saved = folder / f"{stem}.gtkw"
    saved.write_text("\n".join(text) + "\n", encoding="ascii")
    commands = [
        line for heading, group in signals
        for line in (f"divider_add {_word(heading)}", *(f"variable_add {TOP_MODULE}.{path}" for path, _, _ in group))
    ]
    (folder / f"{stem}.sucl").write_text("\n".join(commands) + "\n", encoding="ascii")
    return saved


def _signals(deployment: Deployment) -> Iterator[tuple[str, list[tuple[str, int, str | None]]]]:
    """Headings; and for each signal its path below the top module, its bits, and the translation of its numbers."""
    p = deployment.parameters
    yield "Sequence", [
        ("clk", 1, None), ("controller.sequence_state", 2, _STATE), ("controller.token_valid", 1, None),
        ("controller.token_phase", p.phase_bits, _PHASE), ("output_stream.steps_sent", 32, None),
        ("interrupt", 1, None),
    ]
    yield "Inputs", [("s_axis_tvalid", 1, None), ("s_axis_tready", 1, None), ("s_axis_tlast", 1, None),
                     ("s_axis_tdest", 1, None), ("s_axis_tdata", p.beat_bits, None)]
    yield "Outputs", [("m_axis_tvalid", 1, None), ("m_axis_tready", 1, None), ("m_axis_tlast", 1, None),
                      ("m_axis_tdata", 16 * p.rows, None)]
    yield "Errors", [("registers.errors", len(Error), None)]


def _word(text: str) -> str:
    """A name without spaces, as the formats demand."""
    return "_".join(text.split())
