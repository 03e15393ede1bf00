"""Mistyped names get the nearest known one; what compiles, but may not be meant, is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_runner import refusal, spatial_rnn

CELL = '''
from rnn_mapper.cells import cell, sigmoid, tanh


@cell
def gated(x, h, p):
    """A gate whose recurrent product was meant to be a matrix's."""
    z = sigmoid(p.W_z @ x + p.U_n * h + p.b_z)
    h = z * h + (1 - z) * tanh(p.W_n @ x + p.b_n)
    return h, h
'''


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("simulat",), "no such command 'simulat'; the commands are generate, fit, map, quantise, simulate"),
        (("simulat",), "did you mean 'simulate'?"),
        (("generate", "--preset", "smal", "-o", "out"), "did you mean 'small'?"),
        (("cell", "lstn"), "did you mean 'lstm'?"),
        (("cell", "light_gru"), "or name a file that defines it with --cells FILE.py"),
        (("synth", "--target", "ecp"), "did you mean 'ecp5'?"),
        (("explore", "--model", "lstm:4", "--budget", "LFE5U-85"), "did you mean 'LFE5U-85F'?"),
        (("generate", "--operand-bits", 16, "-o", "out"), "(--accumulator-bits 36)"),
    ],
)
def test_the_way_on(arguments: tuple[object, ...], wanted: str, tmp_path: Path) -> None:
    assert wanted in refusal(*arguments, cwd=tmp_path)


def test_nothing_is_suggested_for_a_name_that_is_like_none(tmp_path: Path) -> None:
    assert "did you mean" not in refusal("generate", "--preset", "xyzzy", "-o", "out", cwd=tmp_path)


def test_a_trained_vector_is_pointed_out(tmp_path: Path) -> None:
    """`p.U_n * h` is legal, and mostly a slip for `p.U_n @ h`."""
    (tmp_path / "gated.py").write_text(CELL)
    done = spatial_rnn("cell", "gated", "--cells", "gated.py", "--words", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Note: U_n is multiplied by '*', element by element: it is a trained vector" in done.stdout
    assert "write p.U_n @" in done.stdout
    assert "Note:" not in spatial_rnn("cell", "gru", "--words", 4, cwd=tmp_path).stdout
