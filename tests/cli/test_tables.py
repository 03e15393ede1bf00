"""Tables survive every width: no word is cut, and a table that does not fit becomes a list."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from rnn_mapper import cells
from rnn_mapper.cli.tables import TableConsole, plain_table
from tests.support.cli_runner import spatial_rnn
from tests.support.random_networks import random_network

HEADINGS = ("the name", "multiplications", "of which", "description of what it is")


def shown(width: int, rows: list[list[str]], headings: tuple[str, ...] = HEADINGS) -> list[str]:
    """The lines of a table in a terminal."""
    console = TableConsole()
    console.width, console.file = width, io.StringIO()
    table = plain_table(*headings, title="A title", right=("multiplications",))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("seed", range(30))
def test_no_word_is_broken(seed: int) -> None:
    rng = np.random.default_rng(seed)
    width = int(rng.integers(40, 161))

    def words(most: int) -> str:
        return " ".join("x" * int(rng.integers(1, 15)) + str(rng.integers(1000)) for _ in range(rng.integers(1, most)))

    rows = [[words(3), f"{rng.integers(10**9):,}", words(2), words(12)] for _ in range(5)]
    lines = shown(width, rows)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for word in " ".join((*HEADINGS, *(cell for row in rows for cell in row))).split():
        assert word in text


def test_a_table_without_room_is_a_list() -> None:
    lines = shown(30, [["first", "1,000,000", "2", "what it is"], ["second", "3", "", "another"]])
    assert [line.rstrip() for line in lines] == [
        "A title",
        "the name: first", "multiplications: 1,000,000", "of which: 2", "description of what it is:", "what it is",
        "",
        "the name: second", "multiplications: 3", "description of what it is:", "another",
    ]  # fmt: skip


#: Commands that print tables, and a heading or word of theirs that must be there in one piece.
COMMANDS = {
    "info": "multipliers", "info --preset paper": "schedule_depth", "info --registers": "INTERRUPT_ENABLE",
    "info --layouts --preset tiny": "unsigned", "cell": "lstm_projection", "cell lstm_peephole": "instructions",
    "synth --preset tiny": "flip-flops", "synth --preset tiny --target ecp5": "srnn_multiply_accumulate",
    "fit m.npz": "parameter", "quantise --model m.npz --input x.npy": "accumulator",
    "simulate --model m.npz --input x.npy --sim icarus": "signal",
    "explore --model lstm:16 --budget multipliers=16": "mapping",
    "map --model m.npz -o out": "multipliers",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_eighty_columns(command: str, tmp_path: Path) -> None:
    srnn.save_network(tmp_path / "m.npz", random_network(0, cells.lstm, 8, (16,)))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(12, 8)))
    done = spatial_rnn(*command.split(), cwd=tmp_path, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout
    assert COMMANDS[command] in done.stdout
