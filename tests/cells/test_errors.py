"""Errors in cells: every complete message, with the line of the error; and one line on the command line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdl.parameters import load_parameters
from rnn_mapper.cells import BUILT_IN, CellError, cell, sigmoid, tanh
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.cells.stages import stages_of
from rnn_mapper.cells.unit_program import unit_program
from rnn_mapper.cells.user_files import load_cells, with_cells
from rnn_mapper.errors import MappingError, ModelError
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.network.layers import Layer
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation.quantise import quantise
from tests.support.cli_runner import refusal, spatial_rnn
from tests.support.random_networks import one_layer
from tests.support.unit_programs import PATH

HEAD = """import math
import numpy as np
from rnn_mapper.cells import cell, identity, relu, sigmoid, tanh


@cell
"""
FUNCTIONS = "functions of vectors are sigmoid, tanh, relu and identity of rnn_mapper.cells"
CONDITION = (
    "a vector cannot be a condition: a cell computes the same in every step and for every element; choose between "
    "values with a gate, z * a + (1 - z) * b"
)
LEFT = "only a parameter may be on the left of @, as in p.W @ x"
ELEMENTS = (
    "the input x is used element by element; it is 8 bits wide and can only be multiplied by a matrix (an identity "
    "matrix passes it on)"
)
NUMBER = (
    "is added to values that are not matrix products; a number may be added to a matrix product, or be the 1 of 1 - v "
    "in a product"
)
SUBTRACTED = (
    "this value is subtracted: only matrix products and products of two values can be; change the sign of the weights "
    "that produce it"
)

#: Cells that cannot be traced: the cell, the line of the error in it (the first is 0), the message.
TRACED: list[tuple[str, int, str]] = [
    ("def c(x):\n    return x", 0,
     "cell c has 1 argument, must have the input, its states if any, and the parameters"),
    ("def c(x, *p):\n    return x", 0, "cell c: argument *p must be a plain name such as p"),
    ("def c(x, p, *, k=2):\n    return p.W @ x", 0, "cell c: argument k=2 must be a plain name such as k"),
    ("def c(x, p):\n    y = sigmid(p.W @ x)\n    return y", 1, "unknown name 'sigmid'"),
    ("def c(x, p):\n    y = tanh(p.W @ z)\n    z = tanh(p.V @ y)\n    return z", 1,
     "'z' is used before it is computed: values of one step must not depend on each other in a circle; use a state, "
     "which holds the value of the step before"),
    ("def c(x, p):\n    return x @ p.W", 1, LEFT),
    ("def c(x, p):\n    return [1] @ x", 1, LEFT),
    ("def c(x, p):\n    return p.W @ 3", 1, "p.W @ 3: the right side must be a vector"),
    ("def c(x, p):\n    if x:\n        pass\n    return p.W @ x", 1, CONDITION),
    ("def c(x, p):\n    y = p.W @ x\n    return y if y > 0 else -y", 2, CONDITION),
    ("def c(x, p):\n    y = p.W @ x\n    return y if y == 0 else -y", 2, CONDITION),
    ("def c(x, p):\n    return x[0]", 1, "a vector cannot be indexed; use a parameter for each part"),
    ("def c(x, p):\n    a, b = p.W @ x\n    return a", 1,
     "a vector cannot be taken apart; use a parameter for each part"),
    ("def c(x, p):\n    return 1 / tanh(p.W @ x)", 1,
     "division is not supported; multiply with a number or a parameter"),
    ("def c(x, p):\n    return tanh(p.W @ x) / 2", 1,
     "division is not supported; multiply with a number or a parameter"),
    ("def c(x, p):\n    return tanh(p.W @ x)**2", 1, "a power is not supported; multiply a vector with itself"),
    ("def c(x, p):\n    return np.tanh(p.W @ x)", 1,
     f"numpy's tanh does not work on the vectors of a cell; {FUNCTIONS}"),
    ("def c(x, p):\n    return math.tanh(p.W @ x)", 1, f"a vector is not a number; {FUNCTIONS}"),
    ("def c(x, p):\n    return tanh(3)", 1, "tanh of 3: the argument must be a vector"),
    ("def c(x, p):\n    return p.W @ x + 'a'", 1, "+ of a vector and a str; both must be vectors or numbers"),
    ("def c(x, p):\n    return p.W @ x - math.inf", 1, "- of a vector and inf; numbers must be finite"),
    ("def c(x, p):\n    y = p.W @ x\n    return y + p.W", 2, "p.W is used as a matrix and as a vector"),
    ("def c(x, p):\n    return {}['a']", 1, "KeyError: 'a'"),
    ("def c(x, h, p):\n    h = tanh(p.W @ x)\n    return h", 2,
     "cell c must return its output and its states, as in: return y, (h,)"),
    ("def c(x, h, p):\n    h = tanh(p.W @ x)\n    return h, (h, h)", 2,
     "cell c returns 2 states, must return 1: h"),
    ("def c(x, p):\n    y = tanh(p.W @ x)", 1, "cell c returns a NoneType, must return vectors"),
]
#: Cells without arithmetic, or without a place in the hardware.
COMPILED: list[tuple[str, int, str]] = [
    ("def c(x, p):\n    y = p.W @ x\n    return tanh(y) * x", 0, ELEMENTS),
    ("def c(x, p):\n    y = tanh(p.W @ x)\n    return y + 1", 2, f"the number 1 {NUMBER}"),
    ("def c(x, p):\n    y = tanh(p.W @ x)\n    return 2 * y", 1,
     "this value is multiplied by 2: only matrix products can be scaled; scale the weights that use it"),
    ("def c(x, p):\n    y = tanh(p.W @ x)\n    return tanh(p.V @ x) - y", 1, SUBTRACTED),
    ("def c(x, h, p):\n    a = 3 * (tanh(p.W @ x) * h)\n    h = tanh(\n        a + p.V @ x)\n    return h, h", 1,
     "a product of two values is multiplied by 3; only matrix products can be scaled"),
    ("def c(x, p):\n    a = tanh(p.W @ x)\n    b = sigmoid(p.V @ x)\n    return (a - b) * (b - a)", 3,
     "both sides of a product are differences; multiply it out"),
    ("def c(x, p):\n    a = sigmoid(p.W @ x)\n    return p.V @ x - (1 - a) * tanh(p.U @ x)", 2,
     "-(1 - v) * w cannot be expressed; change the sign of the weights that produce w"),
    ("def c(x, p):\n    a = p.W @ x\n    b = a * relu(p.V @ x)\n    return tanh(b + p.U @ x)", 2,
     "both factors can exceed 1 (Q5.10): one of them must come from a sigmoid, a tanh or a state that stays within "
     "[-1, 1]"),
    ("def c(x, p):\n    a = tanh(p.W @ x)\n    return (1 - a) * sigmoid(p.V @ x)", 2,
     "1 - v needs v within [0, 1], such as a sigmoid"),
    ("def c(x, p):\n    a = relu(p.W @ x)\n    return (1 - a) * sigmoid(p.V @ x)", 2,
     "1 - v needs v within [0, 1], such as a sigmoid"),
    ("def c(x, p):\n    a = relu(p.W @ x)\n    b = tanh(p.V @ x)\n    return (a - b) * b", 3,
     "a difference of a Q5.10 and a Q0.15 value as a factor; multiply it out"),
    ("def c(x, p):\n    return p.a * p.b", 0, "cell c has no product with a matrix"),
    ("def c(x, h, p):\n    y = tanh(p.W @ x)\n    return y, h", 0,
     "a state or a parameter is returned unchanged; compute something from it"),
    ("def c(x, h, p):\n    y = tanh(p.W @ x)\n    h = tanh(p.b * h)\n    return y, h", 2,
     "no product with a matrix is part of this value"),
    ("def c(x, h, g, p):\n    h = tanh(p.W @ x + p.U @ h)\n    g = tanh(p.V @ x + p.Z @ h)\n"
     "    return sigmoid(p.R @ h), (h, g)", 2,
     "this value is ready at once with that of mine.py:10, but no operation connects their units; only values of the "
     "same units can be computed together"),
    ("def c(x, h, p):\n    h = tanh(p.W @ x + p.U @ h)\n    y = sigmoid(p.V @ h)\n    z = tanh(p.Z @ h)\n"
     "    return tanh(p.R @ y + p.S @ z), h", 2,
     "this vector and that of mine.py:10 are both needed, by products or by the caller, as soon as the vector of "
     "mine.py:8 is there; only one is possible"),
    ("def c(x, p):\n    s = [sigmoid(getattr(p, f'U_{i}') @ x) for i in range(9)]\n"
     "    h = s[0] * s[1] + s[2] * s[3]\n    h = h * s[4] * s[5] * s[6] * s[7] * s[8]\n    return h", 3,
     "9 rows of a unit are needed at once for what begins with x, 1 more than the 8 that a phase has; compute fewer "
     "values from one vector"),
]


def _compile(file: Path) -> None:
    for made in load_cells(file).values():
        for stage in stages_of(arithmetic_of(made)):
            unit_program(stage, 8, PATH)


@pytest.mark.parametrize(("source", "line", "message"), [*TRACED, *COMPILED])
def test_messages(source: str, line: int, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"{HEAD}{source}\n")
    with pytest.raises(CellError) as error:
        _compile(file)
    assert str(error.value) == f"mine.py:{HEAD.count(chr(10)) + 1 + line}: {message}"


# Files


@pytest.mark.parametrize(("content", "message"), [
    ("x = 1\n", "{path}: defines no cell; a cell is a function with @cell before it"),
    ("from rnn_mapper.cells import lstm\n", "{path}: defines no cell; a cell is a function with @cell before it"),
    ("x = 1\ny = (\n", "mine.py:2: '(' was never closed"),
    ("x = 1\nimport nothing_like_this\n", "mine.py:2: ModuleNotFoundError: No module named 'nothing_like_this'"),
    ("def f():\n    return 1 / 0\n\nf()\n", "mine.py:2: ZeroDivisionError: division by zero"),
    ("import sys\nsys.exit(3)\n", "mine.py:2: SystemExit: 3"),
    (HEAD + "def lstm(x, p):\n    return tanh(p.W @ x)\n",
     "mine.py:7: cell lstm is built in; give this one another name"),
])  # fmt: skip
def test_files_that_are_no_cells(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(content)
    with pytest.raises(CellError) as error:
        load_cells(file)
    assert str(error.value) == message.format(path=file)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "absent.py", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(CellError) as error:
            load_cells(path)
        assert str(error.value) == f"{path}: {what}, must be a Python file"


def test_files_may_import_and_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gates_of_mine.py").write_text(
        "from rnn_mapper.cells import sigmoid\n\ndef gate(w, x):\n    return sigmoid(w @ x)\n")
    file = tmp_path / "mine.py"
    file.write_text(f"from gates_of_mine import gate\nprint('reading')\n{HEAD}def c(x, p):\n    return gate(p.W, x)\n")
    cells = with_cells(file)
    assert set(cells) == {*BUILT_IN, "c"}
    assert cells["c"].trace.matrices == ("W",)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "reading\n")


# Tensors


def _gated(x: Any, h: Any, p: Any) -> Any:
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    h = z * h + (1 - z) * tanh(
        p.W_n @ x)
    return h, h



#: Shapes that fit `_gated`.
SHAPES: dict[str, tuple[int, ...]] = {"W_z": (6, 4), "U_z": (6, 6), "b_z": (6,), "W_n": (6, 4)}
FIRST = _gated.__code__.co_firstlineno


@pytest.mark.parametrize(("changes", "message"), [
    ({"b_z": None}, f"test_errors.py:{FIRST + 1}: cell _gated: tensor b_z is missing; given are W_z, U_z, W_n"),
    ({"W_q": (6, 4)}, "cell _gated: unknown tensor W_q; its tensors are W_z, U_z, W_n, b_z"),
    ({"W_z": (6,)}, "W_z has shape 6, must have 2 dimensions"),
    ({"W_n": (6, 5)},
     f"test_errors.py:{FIRST + 3}: a vector must have 4 values for p.W_z [6, 4] and 5 for p.W_n [6, 5]"),
    ({"b_z": (5,)},
     f"test_errors.py:{FIRST + 1}: vectors of 6 values (p.W_z [6, 4]) and of 5 (p.b_z [5]) meet"),
    ({"W_n": (7, 4)},
     f"test_errors.py:{FIRST + 2}: vectors of 6 values (p.W_z [6, 4]) and of 7 (p.W_n [7, 4]) meet"),
    ({"U_z": (6, 7)},
     f"test_errors.py:{FIRST + 2}: vectors of 6 values (p.W_z [6, 4]) and of 7 (p.U_z [6, 7]) meet"),
])  # fmt: skip
def test_shapes(changes: dict[str, tuple[int, ...] | None], message: str) -> None:
    shapes = {name: shape for name, shape in (SHAPES | changes).items() if shape is not None}
    with pytest.raises(ModelError) as error:
        Layer(cell(_gated), {name: np.ones(shape) for name, shape in shapes.items()})
    assert str(error.value) == message


def test_factors_beyond_one() -> None:
    rng = np.random.default_rng(0)
    (layer,) = one_layer(rng, BUILT_IN["lstm_peephole"], 3, 4).single_layers
    wide = Layer(layer.cell, dict(layer.tensors) | {"p_f": np.array([0.1, -1.5, 0.2, 1.2])})
    with pytest.raises(ModelError) as error:
        quantise(Network((wide,)), rng.normal(size=(9, 3)))
    assert str(error.value) == "layer 0: p_f[1] is -1.5: a vector that is a factor must stay within -1 and 1"


# Tables


@pytest.mark.parametrize(("name", "fields", "message"), [
    ("gru_reset_before", {"state_words": 1, "program_length": 4},
     "state words of a unit: 2 needed, 1 available (state_words); epilogue instructions in every PCU: 5 needed, 4 "
     "available (program_length); the nearest that fits: this grid with state_words = 2, program_length = 8 or preset "
     "tiny"),
    ("lstm", {"gate_entries": 16},
     "gate entries in every site of column 0: 48 needed, 16 available (gate_entries); the nearest that fits: this grid "
     "with gate_entries = 64 or preset tiny"),
    ("mgu", {"phases": 2, "schedule_depth": 5},
     "phases: 4 needed, 2 available (phases); schedule words in the controller: 8 needed, 5 available "
     "(schedule_depth); the nearest that fits: this grid with phases = 4, schedule_depth = 10 or preset tiny"),
])
def test_tables_that_are_too_small(name: str, fields: dict[str, int], message: str) -> None:
    rng = np.random.default_rng(0)
    quantised = quantise(one_layer(rng, BUILT_IN[name], 5, 6), rng.normal(size=(20, 5)))
    with pytest.raises(MappingError) as error:
        map_network(quantised, replace(load_parameters("tiny"), **fields))
    assert str(error.value) == f"the model does not fit the grid: {message}"


# The command line


def test_command_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"{HEAD}def c(x, h, p):\n    h = tanh(p.W @ x + p.U @ h)\n    return h, h\n")
    shapes = {"W": (3, 2), "U": (3, 4)}
    tensors: dict[str, Any] = {f"layers.0.{name}": np.ones(shape) for name, shape in shapes.items()}
    tensors["layers.0.cell"] = "c"
    np.savez(tmp_path / "model.npz", **tensors)
    np.save(tmp_path / "inputs.npy", np.ones((2, 2)))
    model: list[object] = ["--model", "model.npz", "--input", "inputs.npy"]
    choices = f"{', '.join(BUILT_IN)}, or name a file that defines it with --cells FILE.py"
    for command in (["map", "-o", "out"], ["simulate"]):
        assert refusal(*command, *model, cwd=tmp_path) == (
            f"model.npz: cell 'c' is not supported: choose {choices}")
        assert refusal(*command, *model, "--cells", "mine.py", cwd=tmp_path) == (
            "model.npz: layer 0: mine.py:8: vectors of 4 values (p.U [3, 4]) and of 3 (p.W [3, 2]) meet")
        assert refusal(*command, *model, "--cells", "absent.py", cwd=tmp_path) == (
            "absent.py: no such file, must be a Python file")
    assert refusal("cell", "c", cwd=tmp_path) == f"cell 'c' is not supported: choose {choices}"
    file.write_text(f"{HEAD}def c(x, p):\n    return tanh(p.W @ x) + 1\n")
    assert refusal("cell", "c", "--cells", "mine.py", cwd=tmp_path) == f"mine.py:8: the number 1 {NUMBER}"
    assert refusal("cell", "--cells", "mine.py", cwd=tmp_path) == f"mine.py:8: the number 1 {NUMBER}"


def test_list_of_cells() -> None:
    done = spatial_rnn("cell")
    assert done.returncode == 0, done.stderr
    assert {*BUILT_IN} <= {line.split(" ")[0] for line in done.stdout.splitlines()}


def test_a_cell_in_words() -> None:
    done = spatial_rnn("cell", "gru", "--words", 8)
    assert done.returncode == 0, done.stderr
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    first = BUILT_IN["gru"].line.line
    assert {
        "After a step: output = v9, h = v9",
        f"v1 W_z @ x + U_z @ h + b_z Q5.10 {first + 3}: z = gate(p.W_z @ x + p.U_z @ h + p.b_z)",
        f"v9 v2 * (h - v8) + v8 Q0.15 {first + 5}: h = z * h + (1 - z) * n",
        "0 h state",
        "1 h v3, v1, v5, v6; stored before: x (3) v9 8 2 24",
        "23 row v5, beside it v6",
    } <= lines
    # The assignment of gates to registers does not matter.
    text = " ".join(done.stdout.split())
    assert re.search(r"23 hold[01] \* value \+ stored next instruction takes tanh\(it\)", text)
    assert re.search(r"28 hold[01] \* \(state\[0\] - value\) \+ value state\[0\] = h, result", text)


def test_a_cell_as_json() -> None:
    done = spatial_rnn("cell", "mgu", "--words", 2, "--words", 8, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [stage["operand"] for stage in found["stages"]] == ["h", "vector 1"]
    assert [[program["words"] for program in stage["programs"]] for stage in found["stages"]] == [[2, 8], [2, 8]]
    assert [word["what"] for word in found["state_words"]] == ["state", "for a later stage"]
