"""The demonstration as a whole: both models on their grids, the area of a grid, and the files of the report."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hdl.output.package import make_package
from hdl.parameters import load_parameters
from hdl.synthesis.area import synthesise
from rnn_mapper.pretrained.demo.pronunciation import run_pronunciation
from rnn_mapper.pretrained.demo.report import DemoReport
from rnn_mapper.pretrained.demo.speech import PRESET, run_speech
from rnn_mapper.pretrained.progress import with_seconds
from rnn_mapper.report.schedule_picture import schedule_picture
from sim_tests.simulator.run import logs_kept

__all__ = ["run_demo"]


def run_demo(folder: Path, progress: Callable[[str], None]) -> DemoReport:
    """Write report.md, report.json, schedule.svg, schedule.png and grid/ (the Verilog) to an empty folder.

    `progress` gets a line for each stage of the work, with the seconds since the start.
    """
    started, tell = time.perf_counter(), with_seconds(progress)
    with tempfile.TemporaryDirectory(prefix="srnn_demo_") as temporary, logs_kept():
        tell("1 of 3  voice-activity detector: an LSTM on a generated grid")
        speech = run_speech(Path(temporary) / "speech", lambda text: tell(f"        {text}"))
        tell("2 of 3  words to phonemes: two GRUs on a larger grid")
        pronunciation = run_pronunciation(Path(temporary) / "words", lambda text: tell(f"        {text}"))
    tell("3 of 3  area by Yosys")
    (folder / "grid").mkdir()
    make_package(load_parameters(PRESET)).write(folder / "grid")
    report = DemoReport(speech, pronunciation, synthesise(folder / "grid"), time.perf_counter() - started)
    title = f"Silero's LSTM 128 -> 128 on the {PRESET} grid"
    for name in ("schedule.svg", "schedule.png"):
        schedule_picture([(speech.mapping, speech.comparison.prediction)], folder / name, title)
    (folder / "report.md").write_text(report.markdown(), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    return report
