"""The record of the soak's sessions."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from scripts.soak import SOAK, main


def test_a_session_is_added_to_those_before(tmp_path: Path) -> None:
    """It begins behind their seeds, so that no run is counted twice."""
    before = {"first_seed": 5, "runs": 3, "wrong": 0}
    (tmp_path / SOAK).write_text(json.dumps({"sessions": [before]}))
    done = CliRunner().invoke(main, ["--minutes", "0", "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    first, second = json.loads((tmp_path / SOAK).read_text())["sessions"]
    assert first == before
    assert (second["first_seed"], second["runs"], second["wrong"]) == (8, 0, 0)
