"""`spatial-rnn demo`, the command of `make demo`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from rnn_mapper.cli.common import Output, force_option, json_option
from rnn_mapper.cli.mapped import PATH, print_line
from rnn_mapper.cli.output_files import output_directory

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
    # Imported here to keep the start of the other commands and of --help quick.
    from rich.markdown import Markdown

    from rnn_mapper.pretrained.demo.run import run_demo

    output = Output(json_file)
    with output_directory(directory, force or directory == DIRECTORY) as folder:
        report = run_demo(folder, lambda text: print_line(output.console, text))
    output.console.print()
    output.console.print(Markdown(report.markdown(picture=None)))
    print_line(output.console, f"\nReport: {directory / 'report.md'}; picture: {directory / 'schedule.png'}; "
                               f"Verilog: {directory / 'grid'}")
    output.write_json(report.to_json())
    if not report.is_exact:
        print_line(output.errors, "different: outputs or cycles are not as expected, see the report")
        return DIFFERENT
    return 0
