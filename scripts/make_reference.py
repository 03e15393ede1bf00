#!/usr/bin/env python3
"""Write docs/reference.md from the sources."""

from pathlib import Path

from hdl.output.reference_pages import reference_markdown

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference.md"

if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(reference_markdown(), encoding="utf-8")
    print(f"{DOCUMENT}: written")
