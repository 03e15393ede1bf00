"""cocotb test that runs sequences on a grid; `sim_tests.host.run` starts it.

SRNN_JOB names a pickled (beat_bytes, list of BusSequence), SRNN_RESULT the file for the pickled list of BusResult.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import cocotb

from rnn_mapper.bus import BusSequence
from sim_tests.host.bus_driver import BusDriver


@cocotb.test()
async def run_sequences(dut: Any) -> None:
    """Run the sequences one after the other and save their results."""
    beat_bytes: int
    sequences: list[BusSequence]
    beat_bytes, sequences = pickle.loads(Path(os.environ["SRNN_JOB"]).read_bytes())
    driver = BusDriver(dut, beat_bytes)
    await driver.reset()
    results = [await driver.run(sequence) for sequence in sequences]
    Path(os.environ["SRNN_RESULT"]).write_bytes(pickle.dumps(results))
