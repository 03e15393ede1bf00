"""cocotb test of `spatial-rnn simulate`: one model, one or more sequences, the outputs written to a file.

SRNN_JOB names an .npz with `inputs` int8 [steps, size], `width`, `rows`, `beat_bytes`; SRNN_RESULT the .npz to write.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from sim_tests.grid_bench import GridBench


@cocotb.test()
async def run_sequence(dut: Any) -> None:
    """Run the sequence from cleared state and save outputs and counters."""
    with np.load(os.environ["SRNN_JOB"]) as job:
        inputs, width = job["inputs"], int(job["width"])
        bench = GridBench(dut, int(job["rows"]), int(job["beat_bytes"]))
    await bench.reset()
    result = await bench.run(inputs, width)
    np.savez(
        os.environ["SRNN_RESULT"], outputs=result.outputs, cycles=result.cycles, stall_input=result.stall_input,
        stall_output=result.stall_output, stall_result=result.stall_result,
    )
