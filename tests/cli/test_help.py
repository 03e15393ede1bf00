"""Help in panels: every option of every command has its place, and nothing is said twice."""

from __future__ import annotations

import importlib

import pytest
import rich_click as click

from rnn_mapper.cli import COMMANDS
from rnn_mapper.cli.option_groups import OPTION_GROUPS
from tests.support.cli_runner import spatial_rnn

GROUPED = {option for group in OPTION_GROUPS["spatial-rnn *"] for option in group["options"]}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_a_panel(name: str) -> None:
    command: click.Command = importlib.import_module(f"rnn_mapper.cli.{name}").command
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert {max(option.opts, key=len) for option in options} <= GROUPED
    shown = spatial_rnn(name, "--help", COLUMNS="80").stdout
    assert "─ Options ─" not in shown
    assert "─ Results ─" in shown
    for option in options:
        text = option.help or ""
        assert text.count("power of two") <= 1, text
        assert max(option.opts, key=len) in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_shown(name: str) -> None:
    """Whatever an option is when it is not given, the help says so."""
    command = importlib.import_module(f"rnn_mapper.cli.{name}").command
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag and isinstance(option.default, str | int | float):
            assert option.show_default or "efault" in (option.help or ""), option.opts
