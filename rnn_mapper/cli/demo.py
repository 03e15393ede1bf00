"""`spatial-rnn demo`: what `make demo` runs."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from rnn_mapper.cli.common import Output, force_option, json_option
from rnn_mapper.cli.mapped import PATH, print_line
from rnn_mapper.cli.output_files import output_directory

if TYPE_CHECKING:
    from hdl.synthesis.report import SynthesisReport

DIRECTORY = Path("build/demo")
#: Exit status when bits or cycles are not as expected.
DIFFERENT = 1


@click.command("demo")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR", default=DIRECTORY, show_default=True,
              help="Directory for the report, the picture and the generated grid.")
@force_option
@json_option
def command(directory: Path, force: bool, json_file: str | None) -> int:
    """Run two trained networks on generated grids: every bit and cycle compared, area, a picture and a report.

    The LSTM of Silero's voice-activity detector hears a sentence that espeak-ng speaks, and the GRUs of g2p_en
    pronounce words. DIR then holds report.md, report.json, schedule.svg, schedule.png and grid/ (the Verilog).

    Example: spatial-rnn demo -o build/demo
    """
    started = time.perf_counter()
    output = Output(json_file)

    def tell(text: str) -> None:
        print_line(output.console, f"[{time.perf_counter() - started:5.0f} s]  {text}")

    with output_directory(directory, force or directory == DIRECTORY) as folder:
        from sim_tests.simulator.run import logs_kept

        with tempfile.TemporaryDirectory(prefix="srnn_demo_") as temporary, logs_kept():
            from rnn_mapper.pretrained.demo.pronunciation import run_pronunciation
            from rnn_mapper.pretrained.demo.report import DemoReport
            from rnn_mapper.pretrained.demo.speech import PRESET, run_speech
            from rnn_mapper.report.schedule_picture import schedule_picture

            tell("1 of 3  voice-activity detector: an LSTM on a generated grid")
            speech = run_speech(Path(temporary) / "speech", lambda text: tell(f"        {text}"))
            tell("2 of 3  words to phonemes: two GRUs on a larger grid")
            pronunciation = run_pronunciation(Path(temporary) / "words", lambda text: tell(f"        {text}"))
        tell("3 of 3  area by Yosys")
        area = _synthesise(folder / "grid", PRESET)
        report = DemoReport(speech, pronunciation, area, time.perf_counter() - started)
        title = f"Silero's LSTM 128 -> 128 on the {PRESET} grid"
        for name in ("schedule.svg", "schedule.png"):
            schedule_picture([(speech.mapping, speech.comparison.prediction)], folder / name, title)
        (folder / "report.md").write_text(report.markdown(), encoding="utf-8")
        (folder / "report.json").write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    from rich.markdown import Markdown

    output.console.print()
    output.console.print(Markdown(report.markdown(picture=None)))
    print_line(output.console, f"\nReport: {directory / 'report.md'}; picture: {directory / 'schedule.png'}; "
                               f"Verilog: {directory / 'grid'}")
    output.write_json(report.to_json())
    if not report.is_exact:
        print_line(output.errors, "different: outputs or cycles are not as expected, see the report")
        return DIFFERENT
    return 0


def _synthesise(folder: Path, preset: str) -> SynthesisReport:
    from hdl.output.package import make_package
    from hdl.parameters import load_parameters
    from hdl.synthesis.area import synthesise

    folder.mkdir()
    make_package(load_parameters(preset)).write(folder)
    return synthesise(folder)
