"""cocotb test of `spatial-rnn simulate`: one model, one or more sequences, the outputs written to a file.

SRNN_JOB names an .npz with `inputs` int8 [steps, size], `width`, `rows`, `beat_bytes`, `keep_state`, and `packets`, the
bytes of load packets sent first with `packet_sizes`; SRNN_RESULT the .npz to write.
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
        keep_state = bool(job["keep_state"])
        ends = np.cumsum(job["packet_sizes"])
        packets = [part.tobytes() for part in np.split(job["packets"], ends[:-1])] if len(ends) else []
        bench = GridBench(dut, int(job["rows"]), int(job["beat_bytes"]))
    await bench.reset()
    if packets:
        bench.load(iter(packets))
        await bench.source.wait()
        # The last word is still on its way through the write stream, which a token could not overtake anyway.
        await bench.cycles(1)
    result = await bench.run(inputs, width, keep_state)
    np.savez(
        os.environ["SRNN_RESULT"], outputs=result.outputs, cycles=result.cycles, stall_input=result.stall_input,
        stall_output=result.stall_output, stall_result=result.stall_result,
    )
