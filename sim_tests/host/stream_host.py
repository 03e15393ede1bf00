"""Run sequences on a Verilated grid by `stream_host.cpp`: the pins that cocotb drives, several times faster."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from hdl.errors import OutputError
from rnn_mapper.bus import BusResult, BusSequence, input_packet, output_steps
from sim_tests.simulator.run import Build, SimulationError
from sim_tests.simulator.runners import ending_with_parent

__all__ = ["HOST_SOURCE", "run_host"]

HOST_SOURCE = Path(__file__).with_suffix(".cpp")


def run_host(
    build: Build,
    sequences: Sequence[BusSequence],
    beat_bytes: int,
    images: Path,
    results_dir: Path,
    progress: Callable[[str], None] = lambda line: None,
) -> list[BusResult]:
    """Run sequences one after the other; the grid reads the images of a folder before them.

    `progress` is called now and then with a line that reports how far the run is; the lines are kept in
    `results_dir`/simulation.log. Raises `SimulationError` when the grid hangs or reports an error.
    """
    if build.host is None:
        raise ValueError(f"this build of {build.top} has no host")
    job, result, log = results_dir / "job.bin", results_dir / "result.bin", results_dir / "simulation.log"
    last = ""
    try:
        job.write_bytes(_job(sequences, beat_bytes))
        with log.open("w") as lines, subprocess.Popen(
            ending_with_parent([build.host, job, result, f"+images={os.path.relpath(images, results_dir)}"]),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=results_dir,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.write(line)
                lines.flush()
                last = line.strip()
                progress(last)
    except OSError as error:
        raise OutputError(f"cannot simulate in {results_dir}: {error.strerror}; name another folder") from error
    if process.returncode:
        reason = last or f"status {process.returncode}"
        raise SimulationError(f"simulation of {build.top} with {build.simulator} failed: {reason}", log)
    return _results(result.read_bytes(), sequences)


def _job(sequences: Sequence[BusSequence], beat_bytes: int) -> bytes:
    parts = [struct.pack("<I", len(sequences))]
    for sequence in sequences:
        parts.append(struct.pack(
            "<4I", sequence.steps, sequence.keep_state, sequence.model, len(sequence.packets)
        ))
        inputs = input_packet(sequence.inputs, beat_bytes)
        parts.append(struct.pack("<3I", sequence.gap, len(inputs) // sequence.steps, 2 * sequence.width))
        for block in (*sequence.packets, inputs):
            parts += [struct.pack("<Q", len(block)), block]
    return b"".join(parts)


def _results(data: bytes, sequences: Sequence[BusSequence]) -> list[BusResult]:
    results, offset = [], 0
    for sequence in sequences:
        cycles, no_input, no_output, no_result, size = struct.unpack_from("<5Q", data, offset)
        offset += 40
        outputs = output_steps(data[offset : offset + size], sequence.steps, sequence.width)
        offset += size
        (count,) = struct.unpack_from("<Q", data, offset)
        responses = struct.unpack_from(f"<{count}Q", data, offset + 8)
        offset += 8 + 8 * count
        results.append(BusResult(outputs, cycles, no_input, no_output, no_result, responses))
    return results
