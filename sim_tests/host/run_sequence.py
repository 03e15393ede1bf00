"""cocotb test of `spatial-rnn simulate`: one model, one or more sequences, the outputs written to a file.

SRNN_JOB names an .npz with `rows`, `beat_bytes`, `sequences`, and for sequence k `model_k`, the `width_k` of its
outputs, `inputs_k` int8 [steps, size], `keep_state_k`, and `packets_k`, the bytes of load packets of
`packet_sizes_k` that are sent first.
SRNN_RESULT is the .npz to write: `outputs_k` and `counters_k`.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from sim_tests.host.grid_bench import GridBench


@cocotb.test()
async def run_sequence(dut: Any) -> None:
    """Run the sequences one after the other and save outputs and counters."""
    with np.load(os.environ["SRNN_JOB"]) as stored:
        job = dict(stored)
    bench = GridBench(dut, int(job["rows"]), int(job["beat_bytes"]))
    await bench.reset()
    results: dict[str, Any] = {}
    for number in range(int(job["sequences"])):
        # A state that is loaded belongs to the model that is named then.
        await bench.write("MODEL", int(job[f"model_{number}"]))
        data, offset = job[f"packets_{number}"].tobytes(), 0
        for size in job[f"packet_sizes_{number}"]:
            bench.load(iter([data[offset : offset + size]]))
            offset += int(size)
        await bench.source.wait()
        # The last word may still be on the write stream, where no token overtakes it.
        result = await bench.run(
            job[f"inputs_{number}"], int(job[f"width_{number}"]), bool(job[f"keep_state_{number}"])
        )
        results[f"outputs_{number}"] = result.outputs
        results[f"counters_{number}"] = [result.cycles, result.stall_input, result.stall_output, result.stall_result]
    np.savez(os.environ["SRNN_RESULT"], **results)
