"""Pickles are read without running them: values and arrays come out, anything else is an error."""

import io
import os
import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn_mapper.errors import ModelError
from rnn_mapper.pretrained.plain_pickles import load_plain_pickle


class Order:
    """A pickle that writes a file when it is run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def written(tmp_path: Path, value: Any, protocol: int = 3) -> Path:
    path = tmp_path / "values.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_values_and_arrays(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "rows": np.arange(6, dtype="<f4").reshape(2, 3), "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i2"), "empty": np.zeros((0, 2)),
    }
    values = {"text": "é", "list": [1, -2.5, None, (True, "x")]}
    if protocol == 2:  # which has bytes as text with a call
        with pytest.raises(ModelError, match=r"would call _codecs\.encode"):
            load_plain_pickle(written(tmp_path, arrays, protocol))
    else:
        found = load_plain_pickle(written(tmp_path, arrays, protocol))
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype.isnative
    assert load_plain_pickle(written(tmp_path, values, protocol)) == values


def test_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"values\.pkl: would call posix\.system, must hold plain values and arrays"):
        load_plain_pickle(written(tmp_path, {"weights": [Order(tmp_path / "ran")]}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Fraction(1, 2), "would call fractions.Fraction"),
        (np.array(["text"]), "an array of U4, must be of real numbers"),
        (np.zeros(2, dtype=complex), "an array of c16, must be of real numbers"),
        (np.zeros(2, dtype=[("a", "f4")]), "an array of V4, must be of real numbers"),
        (np.array([None]), "an array of O8, must be of real numbers"),
        (OrderedDict(a=1), "would call collections.OrderedDict"),
        (os.system, "holds posix.system, must hold plain values"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_plain_pickle(written(tmp_path, {"value": value}))


def test_arrays_that_lie_are_refused(tmp_path: Path) -> None:
    honest = pickle.dumps(np.zeros(1000, dtype="<f4"), 3)
    shape = honest.index(b"M\xe8\x03\x85")  # 1000, as a tuple of one
    path = tmp_path / "array.pkl"
    path.write_bytes(honest[:shape] + b"M\xe9\x03\x85" + honest[shape + 4 :])
    with pytest.raises(ModelError, match="an array whose bytes do not fit its shape"):
        load_plain_pickle(path)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    whole = pickle.dumps({"a": np.arange(9.0), "b": ["x"] * 9}, 3)
    path = tmp_path / "cut.pkl"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut\.pkl: "):
            load_plain_pickle(path)
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        load_plain_pickle(tmp_path / "none.pkl")


def test_references_are_refused(tmp_path: Path) -> None:
    class Writer(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return "elsewhere" if obj == "secret" else None

    buffer = io.BytesIO()
    Writer(buffer, 3).dump({"a": "secret"})
    (tmp_path / "reference.pkl").write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="refers to something outside of the file"):
        load_plain_pickle(tmp_path / "reference.pkl")
