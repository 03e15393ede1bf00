"""Common steps of the checks of error flags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hdl.parameters import GridParameters
from hdl.register_map import Error
from rnn_mapper import cells
from rnn_mapper.mapping.mapping import Mapping
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase

__all__ = ["expect", "prepare"]


async def prepare(
    dut: Any, p: GridParameters, case: ModelCase | None = None
) -> tuple[ModelBench, ModelCase, Mapping]:
    """A grid with a loaded model; by default, one with two units in every site."""
    case = case or ModelCase(cells.rnn_tanh, p.lanes, (2 * p.rows * p.cols,), ru=1)
    mapping = case.mapping(p)
    bench = ModelBench(dut, p)
    await bench.begin()
    await bench.load_model(mapping)
    await bench.write("ERRORS", 0xFFFFFFFF)
    return bench, case, mapping


async def expect(bench: ModelBench, errors: Iterable[Error]) -> None:
    """Exactly these flags are set; each raises the interrupt, and writing a one clears it."""
    wanted = set(errors)
    assert await bench.errors() == wanted
    for error in sorted(wanted):
        await bench.write("INTERRUPT_ENABLE", 2)
        assert bench.dut.interrupt.value == 1
        await bench.write("ERRORS", 0xFFFFFFFF & ~(1 << error))
        assert error in await bench.errors()
        await bench.write("ERRORS", 1 << error)
        assert error not in await bench.errors()
    await bench.cycles(2)
    assert bench.dut.interrupt.value == 0
    await bench.write("INTERRUPT_ENABLE", 1)
