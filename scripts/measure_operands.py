"""8-bit and 16-bit operands in the Verilog, with the demo's models on their real input (docs/numerics.md).

    .venv/bin/python -m scripts.measure_operands

Silero's LSTM on speech and g2p_en's GRUs on words, on the grids `medium` and `medium16` in Verilator: errors of h, bits
and cycles. `scripts/measure_requantiser.py` gives the errors of the GRUs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from hdl.parameters import load_parameters
from rnn_mapper.cli.tables import TableConsole, plain_table
from rnn_mapper.pretrained.demo.pronunciation import run_pronunciation
from rnn_mapper.pretrained.demo.speech import run_speech
from scripts.output import run_script

GRIDS = ("medium", "medium16")


@click.command()
def main() -> None:
    """Simulate the demo's models on both grids and print a row for each grid."""
    console = TableConsole()
    table = plain_table(
        "grid", "operand bits", "LSTM: RMS error", "p99.9", "decisions changed", "cycles a step", "GRUs: words changed",
        "cycles", "outputs", "outputs that differ", "predicted minus simulated cycles",
    )
    for grid in GRIDS:
        with tempfile.TemporaryDirectory() as folder:
            speech = run_speech(Path(folder) / "speech", console.print, grid)
            words = run_pronunciation(Path(folder) / "words", console.print, grid)
        compared = [speech.comparison, *words.simulated.comparisons]
        table.add_row(
            grid, str(load_parameters(grid).operand_bits), f"{speech.error.rms:.4f}", f"{speech.error.p999:.3f}",
            f"{speech.decisions.flipped} of {speech.frames}",
            f"{speech.comparison.cycles_simulated / speech.frames:.1f}",
            f"{words.changed} of {len(words.words)}", f"{words.simulated.cycles:,}",
            f"{sum(one.outputs.size for one in compared):,}", str(sum(one.mismatches for one in compared)),
            str(sum(abs(one.cycles_predicted - one.cycles_simulated) for one in compared)),
        )
    console.print(table)


if __name__ == "__main__":
    run_script(main)
