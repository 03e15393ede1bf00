"""One sequence on the buses of a grid: what the host sends, what it receives, and how vectors fill the beats.

Everything here is plain data: a driver of real hardware, the simulation's two hosts and the mapper share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnn_mapper.fixed_point import Codes

__all__ = ["BusResult", "BusSequence", "input_packet", "output_steps"]


@dataclass(frozen=True, eq=False)
class BusSequence:
    """What the host does for one sequence.

    It writes MODEL, sends the load packets, writes STEPS, MODE and CONTROL.START, sends the inputs as one packet (none
    if a vector has no values), and receives one packet of outputs.
    """

    #: Operand codes [steps, size].
    inputs: Codes
    #: Values of an output vector.
    width: int
    #: Load packets (data of `tdest` 1), for example of the state that the sequence starts from.
    packets: tuple[bytes, ...] = ()
    #: MODE.KEEP_STATE: start from the state in the grid, not from a cleared one.
    keep_state: bool = False
    #: Number of the model among the resident ones.
    model: int = 0
    #: Cycles from the first beat of an input to that of the next, and from START to the first; 0: as fast as the grid
    #: takes them, from before START on.
    gap: int = 0

    @property
    def steps(self) -> int:
        """Steps of the sequence."""
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class BusResult:
    """What the host receives and reads after one sequence."""

    #: 16-bit outputs [steps, width].
    outputs: npt.NDArray[np.int16]
    #: The counters of the grid: CYCLES, STALL_INPUT, STALL_OUTPUT and STALL_RESULT.
    cycles: int
    stall_input: int
    stall_output: int
    stall_result: int
    #: Of a sequence with gaps: for each step, cycles from the last beat of its input to the last beat of its output.
    responses: tuple[int, ...] = ()


def input_packet(inputs: Codes, beat_bytes: int) -> bytes:
    """The operand codes [steps, size] of a sequence as one packet: every step begins with a beat."""
    steps, size = inputs.shape
    beat = beat_bytes // inputs.itemsize
    padded = np.zeros((steps, -(-size // beat) * beat), dtype=inputs.dtype.newbyteorder("<"))
    padded[:, :size] = inputs
    return padded.tobytes()


def output_steps(data: bytes, steps: int, width: int) -> npt.NDArray[np.int16]:
    """The bytes of an output packet as 16-bit values [steps, width]; AssertionError if their number is another."""
    values = np.frombuffer(data, dtype="<i2")
    if len(values) != steps * width:
        raise AssertionError(f"{len(values)} output values, expected {steps} x {width}")
    return values.reshape(steps, width)
