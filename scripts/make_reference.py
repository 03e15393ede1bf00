"""Writes docs/reference.md (registers, layouts), api.md (the Python API) and regression.md from the sources."""

from __future__ import annotations

import click

from hdl.output.reference_pages import reference_markdown
from scripts.api_page import api_markdown
from scripts.output import run_script
from scripts.provenance import ROOT
from scripts.regression_page import regression_markdown

#: Pages of docs/ and what makes them.
PAGES = {"reference.md": reference_markdown, "api.md": api_markdown, "regression.md": regression_markdown}


@click.command()
def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        path = ROOT / "docs" / name
        path.write_text(make(), encoding="utf-8")
        click.echo(f"{path}: written")


if __name__ == "__main__":
    run_script(main)
