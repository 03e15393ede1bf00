#!/usr/bin/env python3
"""Writes docs/reference.md from the sources."""

from __future__ import annotations

from pathlib import Path

import click

from hdl.output.reference_pages import reference_markdown

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference.md"


@click.command()
def main() -> None:
    """Write docs/reference.md."""
    DOCUMENT.write_text(reference_markdown(), encoding="utf-8")
    click.echo(f"{DOCUMENT}: written")


if __name__ == "__main__":
    main()
