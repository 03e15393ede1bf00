"""An example of a host beside a generated grid: a testbench with what it sends and expects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hdl.naming import ResetPort
from hdl.parameters import GridParameters

__all__ = ["EXAMPLE_FOLDER", "Example"]

EXAMPLE_FOLDER = "example"

_TESTBENCH = Path(__file__).parent / "example_testbench.sv"


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence of a model on a grid."""

    #: What is computed, in a few words.
    title: str
    #: Data of the load packets (`tdest` 1).
    packets: Sequence[bytes]
    #: Data of the packet of inputs (`tdest` 0).
    inputs: bytes
    #: 16-bit outputs [steps, size].
    outputs: npt.NDArray[np.int16]
    #: CYCLES after the sequence.
    cycles: int

    def files(self, parameters: GridParameters, reset: ResetPort) -> dict[str, str]:
        """Text by file name: the testbench, its constants, and the beats of the three streams, one a line."""
        beat_bytes = parameters.beat_bytes
        load = [beat for packet in self.packets for beat in _beats(packet, beat_bytes)]
        inputs = list(_beats(self.inputs, beat_bytes))
        outputs = list(self._output_beats(parameters.rows))
        constants = {
            "STEPS": len(self.outputs), "LOAD_BEATS": len(load), "INPUT_BEATS": len(inputs),
            "OUTPUT_BEATS": len(outputs), "CYCLES": self.cycles,
        }
        testbench = _TESTBENCH.read_text(encoding="utf-8")
        ports = {"CLOCK": reset.clock, "RESET": reset.value, "ACTIVE": "!reset" if reset.is_active_low else "reset"}
        for name, text in ports.items():
            testbench = testbench.replace(f"@{name}@", text)
        return {
            "testbench.sv": testbench,
            "example.vh": "".join(
                [f"/* {self.title} */\n", *(f"`define EXAMPLE_{name} {value}\n" for name, value in constants.items())]
            ),
            "load.hex": _hex_lines(load, 8 * beat_bytes + 1),
            "inputs.hex": _hex_lines(inputs, 8 * beat_bytes + 1),
            "outputs.hex": _hex_lines(outputs, 18 * parameters.rows + 1),
        }

    def _output_beats(self, rows: int) -> Iterator[int]:
        """`tlast`, `tkeep` and `tdata` of each output beat; values that `tkeep` leaves out are 0."""
        steps, size = self.outputs.shape
        for step, values in enumerate(self.outputs):
            for first in range(0, size, rows):
                valid = values[first : first + rows].astype("<i2").tobytes()
                keep = (1 << len(valid)) - 1
                last = step == steps - 1 and first + rows >= size
                yield (last << 2 * rows | keep) << 16 * rows | int.from_bytes(valid, "little")


def _beats(packet: bytes, beat_bytes: int) -> Iterator[int]:
    """`tlast` above `tdata` of each beat of a packet."""
    for first in range(0, len(packet), beat_bytes):
        last = first + beat_bytes >= len(packet)
        yield last << 8 * beat_bytes | int.from_bytes(packet[first : first + beat_bytes], "little")


def _hex_lines(beats: Sequence[int], bits: int) -> str:
    digits = -(-bits // 4)
    return "".join(f"{beat:0{digits}x}\n" for beat in beats)
