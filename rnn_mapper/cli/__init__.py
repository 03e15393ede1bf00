"""The command line, `spatial-rnn`. In: options and files. Out: files, tables, JSON and an exit status.

Each command is `command` in the module of this package that has its name.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence

import rich_click as click

from hdl.errors import SpatialRnnError, did_you_mean
from rnn_mapper.cli.interruption import Interrupted, announce_interruption, interruptible
from rnn_mapper.cli.option_groups import OPTION_GROUPS

__all__ = ["cli", "main"]

#: The commands, in the order in which the help lists them.
COMMANDS: tuple[str, ...] = (
    "generate", "fit", "map", "quantise", "simulate", "synth", "pnr", "info", "cell", "explore", "demo", "models",
)
#: Exit status of every error a user can cause, and of an interrupted run.
FAILURE = 2


class LazyGroup(click.RichGroup):
    """Imports a command's module when the command is used; the modules import the rest when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the nearest name for one that is mistyped."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            ctx.fail(f"no such command {name!r}; the commands are {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. An interruption becomes an error here, before click prints a line of its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


click.rich_click.OPTION_GROUPS = OPTION_GROUPS


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="spatial-rnn")
def cli() -> None:
    """Spatial accelerators for recurrent networks: hardware, mapping, simulation and area.

    Example: spatial-rnn generate --rows 4 --cols 4 --lanes 16 -o build/grid
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 is success, 2 an error, which is reported in one line on standard error."""
    try:
        with interruptible(FAILURE):
            status = cli.main(args=None if arguments is None else list(arguments), prog_name="spatial-rnn",
                              standalone_mode=False)
    except (Interrupted, KeyboardInterrupt, click.Abort):
        announce_interruption()
        sys.exit(FAILURE)
    except SpatialRnnError as error:
        _fail(str(error))
    except click.ClickException as error:
        _fail(_one_line(error))
    except BrokenPipeError:
        # The reader of the pipe has closed it (`| head`); all that it read is correct.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _fail(_of_the_system(error))
    sys.exit(status if isinstance(status, int) else 0)


def _one_line(error: click.ClickException) -> str:
    """A usage error in one line, with a reference to the help of the command."""
    message = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message.rstrip('.')}; see '{error.ctx.command_path} --help'"
    return message


def _of_the_system(error: OSError) -> str:
    """What the system refuses that no command has looked for: a full disk above all."""
    place = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: "; make room, or name folders on another disk (options, TMPDIR, SPATIAL_RNN_CACHE)",
        errno.EDQUOT: "; make room, or name folders on another disk (options, TMPDIR, SPATIAL_RNN_CACHE)",
        errno.EMFILE: "; allow more open files (ulimit -n)",
    }.get(error.errno or 0, "")
    return f"{place}{error.strerror or error}{advice}"


def _fail(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(FAILURE)

