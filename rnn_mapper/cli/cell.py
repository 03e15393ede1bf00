"""`spatial-rnn cell`: the arithmetic and the unit programs that the compiler makes from a cell."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from rnn_mapper.cli.common import Output, json_option
from rnn_mapper.cli.mapped import print_line
from rnn_mapper.cli.model_options import cells_option
from rnn_mapper.cli.tables import plain_table

if TYPE_CHECKING:
    from rnn_mapper.cells import Cell
    from rnn_mapper.cells.report import CellReport

#: Row lengths that are shown by default.
_WORDS = (8, 24)


@click.command("cell")
@click.argument("name", required=False)
@cells_option
@click.option("--words", type=click.IntRange(min=1), multiple=True, metavar="N",
              help="Vector words per matrix row in one PCU, for which to show the unit program. May be repeated. "
                   f"Default: {' and '.join(map(str, _WORDS))}.")
@json_option
def command(name: str | None, cells_file: Path | None, words: tuple[int, ...], json_file: str | None) -> None:
    """List the built-in cells (and the cells of --cells), or show how the compiler translates one of them.

    For the cell NAME: every value as 16-bit arithmetic with its format, the stages, the state words of a unit, and the
    unit program with its registers, for rows of a given length.

    Example: spatial-rnn cell gru

    Example: spatial-rnn cell light_gru --cells light_gru.py --words 4
    """
    output = Output(json_file)
    from rnn_mapper.cells.user_files import with_cells
    from rnn_mapper.network.layers import parse_cell

    cells = with_cells(cells_file)
    if name is None:
        _list(cells, output)
        return
    from hdl.latencies import GridLatencies
    from hdl.parameters import GridParameters
    from rnn_mapper.cells.report import CellReport

    cell = parse_cell(name, cells)
    latencies = GridLatencies.of(GridParameters())
    report = CellReport(cell, latencies.unit_path)
    with output.status("searching for unit programs"):
        programs = [[report.program(stage, count) for count in words or _WORDS] for stage in report.stages]
    _show(report, programs, output.console)
    output.write_json({
        "name": cell.name,
        "values": [asdict(value) for value in report.values],
        "results": report.results,
        "trained_vectors": list(report.trained_vectors),
        "state_words": [{"kind": kind, "slot": word.slot, "name": word.name, "what": what}
                        for kind, word, what in report.state_words],
        "stages": [
            {"operand": stage.operand.name, "result": report.names[stage.result],
             "programs": [asdict(program) for program in options]}
            for stage, options in zip(report.stages, programs, strict=True)
        ],
    })


def _list(cells: dict[str, Cell], output: Output) -> None:
    from rnn_mapper.cells.lowering import arithmetic_of
    from rnn_mapper.cells.report import description
    from rnn_mapper.cells.stages import stages_of

    table = plain_table("cell", "states", "matrices", "vectors", "stages", "description", title="Cells")
    listed = {}
    for name, cell in cells.items():
        trace, stages = cell.trace, stages_of(arithmetic_of(cell))
        table.add_row(
            name, " ".join(cell.state_names), " ".join(trace.matrices), " ".join(trace.vectors), str(len(stages)),
            description(cell),
        )
        listed[name] = {
            "states": cell.state_names, "matrices": trace.matrices, "vectors": trace.vectors, "stages": len(stages),
            "description": description(cell),
        }
    output.console.print(table)
    output.write_json({"cells": listed})


def _show(report: CellReport, programs: list[list[Any]], console: Console) -> None:
    from rnn_mapper.cells.report import description

    cell = report.cell
    print_line(console, f"{cell.name} ({cell.line}): {description(cell) or 'no description'}")
    results = ", ".join(f"{name} = {value}" for name, value in report.results.items())
    print_line(console, f"After a step: {results}")
    for name in report.trained_vectors:
        print_line(console, f"Note: {name} is multiplied by '*', element by element: it is a trained vector of one "
                            f"number a unit. For a product with a matrix write p.{name} @ ...")
    values = plain_table("value", "definition", "format", "line",
                         title="16-bit values of a unit; an accumulation is rounded once")
    for value in report.values:
        values.add_row(value.name, value.text, value.format, f"{value.line}: {value.source}")
    console.print()
    console.print(values)
    words = plain_table("state[..]", "name", "purpose", title="State words of a unit")
    several = len({kind for kind, _, _ in report.state_words}) > 1
    for kind, word, what in report.state_words:
        words.add_row(str(word.slot), word.name, what + (f", units {kind + 1}" if several else ""))
    if report.state_words:
        console.print()
        console.print(words)
    stages = plain_table("", "waits for", "rows", "result", "words per row", "instructions", "cycles per unit",
                         title="Stages")
    for number, (stage, options) in enumerate(zip(report.stages, programs, strict=True), start=1):
        for index, option in enumerate(options):
            first = (
                (str(number), stage.operand.name, report.rows(stage), report.names[stage.result]) if index == 0
                else ("",) * 4
            )
            needed = "" if option.needed == option.words else f" (needs {option.needed})"
            stages.add_row(*first, f"{option.words}{needed}", str(option.instructions), str(option.interval))
    console.print()
    console.print(stages)
    for number, options in enumerate(programs, start=1):
        program = options[0]
        table = plain_table("cycle", "operation", "then",
                            title=f"Unit program of stage {number}, {program.needed} words per row")
        for line in program.lines:
            table.add_row(str(line.cycle), line.what, line.then)
        console.print()
        console.print(table)
