"""Interpolated areas: their stated errors, their range, and whether the current hardware still has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdl.output.package import make_package
from hdl.parameters import GridParameters
from hdl.synthesis.area import synthesise
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.explore.area import DATA, OutOfRange, area_model, measured_total, memory_bits
from rnn_mapper.explore.devices import DEVICES
from rnn_mapper.explore.memories import memory_resources

#: Errors stated in docs/explore.md; a new measurement that is worse must be stated there.
STATED = {"generic": 0.02, "ecp5": 0.06, "ice40": 0.06, "xilinx": 0.08, "ice40hx": 0.08}
#: Relative growth of the hardware before the areas must be measured again.
STALE = 0.05
TARGETS = sorted(path.stem.removeprefix("area_") for path in DATA.glob("area_*.json"))


@pytest.mark.parametrize("target", TARGETS)
def test_errors_are_as_stated(target: str) -> None:
    model = area_model(target)
    kind = model.kinds[0]
    assert model.errors[kind].points >= 1
    assert model.errors[kind].largest <= STATED[target]
    for point in model.points:
        p = GridParameters(**point["grid"])
        assert model.logic(p)[kind] == pytest.approx(measured_total(point, kind), rel=STATED[target])
    if model.memories:
        excess, same, count = model.memory_error
        assert abs(excess) <= 0.1
        assert same >= 0.8 * count


def test_outside_the_range_there_is_no_area() -> None:
    model = area_model("generic")
    with pytest.raises(OutOfRange, match="lanes = 128: areas for generic are known from 4 to 64"):
        model.logic(GridParameters(lanes=128))
    with pytest.raises(OutOfRange, match="accumulator_bits = 30: areas are known for the default only"):
        model.logic(GridParameters(accumulator_bits=30))
    with pytest.raises(OutOfRange, match="operand_bits = 16: areas are known for the default only"):
        model.logic(GridParameters(operand_bits=16, accumulator_bits=36))


def test_devices_have_areas() -> None:
    for part in DEVICES:
        if part.target not in TARGETS:
            with pytest.raises(ConfigurationError, match=f"no areas are measured for the family {part.target}"):
                area_model(part.target)
    assert all(part.source and min(part.lut, part.bram) > 0 for part in DEVICES)


@pytest.mark.parametrize(("target", "shape", "blocks"), [
    ("ecp5", (64, 2048, 64), 8), ("ecp5", (32, 512, 8), 1), ("ecp5", (16, 16, 16), 0), ("ice40", (64, 2048, 16), 32),
    ("ice40", (41, 512, 16), 6), ("xilinx", (64, 2048, 16), 8),
])
def test_block_rams(target: str, shape: tuple[int, int, int], blocks: int) -> None:
    assert memory_resources(target, *shape)["bram"] == blocks


def test_todays_hardware_has_these_areas(tmp_path: Path) -> None:
    """One small grid, synthesised."""
    point = area_model("generic").points[0]
    make_package(GridParameters(**point["grid"])).write(tmp_path)
    report = synthesise(tmp_path)
    total = report.total()
    assert total.gate_equivalents == pytest.approx(measured_total(point, "gates"), rel=STALE)
    assert total.memory_bits == memory_bits(GridParameters(**point["grid"]))
