"""Run sequences on a Verilated grid by `stream_host.cpp`: the pins that cocotb drives, several times faster."""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hdl.errors import OutputError
from sim_tests.simulator.run import Build, SimulationError

__all__ = ["HOST_SOURCE", "HostRun", "HostSequence", "run_host"]

HOST_SOURCE = Path(__file__).with_suffix(".cpp")


@dataclass(frozen=True)
class HostSequence:
    """What the host sends: load packets, then `steps` steps of inputs; all fill whole beats."""

    steps: int
    inputs: bytes
    packets: tuple[bytes, ...]
    keep_state: bool
    #: Number of the model among those that are resident.
    model: int = 0


@dataclass(frozen=True)
class HostRun:
    """What came out of the grid for one sequence."""

    #: The bytes of all outputs, in order.
    outputs: bytes
    #: CYCLES, STALL_INPUT, STALL_OUTPUT and STALL_RESULT.
    counters: tuple[int, int, int, int]


def run_host(
    build: Build,
    sequences: Sequence[HostSequence],
    images: Path,
    results_dir: Path,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[list[HostRun], float]:
    """Run sequences one after the other on the images of a folder; returns them and the seconds that they took.

    `progress` is called now and then with a line that tells how far the run is; the lines are kept in
    `results_dir`/simulation.log. Raises `SimulationError` when the grid hangs or reports an error.
    """
    if build.host is None:
        raise ValueError(f"this build of {build.top} has no host")
    job, result, log = results_dir / "job.bin", results_dir / "result.bin", results_dir / "simulation.log"
    started = time.perf_counter()
    last = ""
    try:
        job.write_bytes(_job(sequences))
        with log.open("w") as lines, subprocess.Popen(
            [build.host, job, result, f"+images={images}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
    return _results(result.read_bytes(), len(sequences)), time.perf_counter() - started


def _job(sequences: Sequence[HostSequence]) -> bytes:
    parts = [struct.pack("<I", len(sequences))]
    for sequence in sequences:
        parts.append(struct.pack(
            "<4I", sequence.steps, sequence.keep_state, sequence.model, len(sequence.packets)
        ))
        for block in (*sequence.packets, sequence.inputs):
            parts += [struct.pack("<Q", len(block)), block]
    return b"".join(parts)


def _results(data: bytes, sequences: int) -> list[HostRun]:
    runs, offset = [], 0
    for _ in range(sequences):
        *counters, size = struct.unpack_from("<5Q", data, offset)
        offset += 40
        runs.append(HostRun(data[offset : offset + size], tuple(counters)))
        offset += size
    return runs
