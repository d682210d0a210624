"""The entry of the command line: commands load when called, each mistake is one sentence."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from .. import __version__
from ..core.errors import MasqueradeError, nearest

DEBUG = "MASQUERADE_DEBUG"
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended

# name → (module:command, the line that --help shows): --help imports none of these modules
COMMANDS = {
    "demo": ("demo:demo", "The whole loop: synthesize, train, score, and the page of boards."),
    "list": ("listing:listing", "Methods, modalities, benchmarks, data sets and boards."),
    "pretrain": ("pretrain:pretrain", "Pre-train a method; the same command again resumes it."),
    "reconstruct": ("reconstruct:reconstruct", "See a model fill the gaps of your own picture."),
    "embed": ("embed:embed", "Write the features of a data set to a Parquet file."),
    "synthesize": ("synthesize:synthesize", "Make a labelled data set of any size; resumable."),
    "evaluate": ("evaluate:evaluate", "Score a model: one record with 95 % intervals."),
    "leaderboard": (
        "leaderboard:leaderboard",
        "Add, check, show, build and bundle results.",
    ),
    "weights": ("weights:weights", "Import, export, inspect and get weights files."),
    "data": ("data:data", "List, inspect, verify, pack and get data sets."),
    "config": ("config:config", "Show the resolved settings and where each comes from."),
    "doctor": ("doctor:doctor", "What works on this machine, and how to mend the rest."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The command names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where the name is unknown."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f".{module}", __package__), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument.

        Raises:
            click.UsageError: the name is unknown; names the nearest one.
        """
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command '{args[0]}', {nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _set_debug(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        os.environ[DEBUG] = "1"  # worker processes inherit it


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="masquerade")
@click.option("--debug", is_flag=True, expose_value=False, callback=_set_debug,
              help=f"Show the traceback of a failure ({DEBUG}=1 does the same).")  # fmt: skip
def main() -> None:
    """Masked modelling, exact scores and boards on one core.

    \b
    Example:
      masquerade demo
    """


def _usage_sentence(error: click.ClickException) -> str:
    """Click's message in our form: what is wrong, then the command that helps."""
    message = error.format_message().rstrip(".").replace(". Did you", ", did you")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    return f"{message}; see `{context.command_path} --help`" if context else message


def _explain(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit code of a failure."""
    if isinstance(error, MasqueradeError):
        return str(error), error.exit_code
    if isinstance(error, click.ClickException):
        return _usage_sentence(error), error.exit_code
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return "interrupted", INTERRUPTED
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror or type(error).__name__}: {error.filename}", 1
    reason = " ".join(str(error).split()) or "no message"
    return (
        f"unexpected {type(error).__name__}: {reason}; "
        f"run it again with {DEBUG}=1 to see where, and report it"
    ), 1


def call(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: the words after `masquerade`; None takes those of the process.

    Returns:
        The exit code: 0 done, 2 usage, 3 data, 4 weights, 5 validation, 130 Ctrl-C, 1 else.
    """
    try:
        result = main.main(args=arguments, prog_name="masquerade", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except BrokenPipeError:
        # the reader (`| head`) has gone: what is left to flush goes nowhere, quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:  # the last border: one sentence
        if os.environ.get(DEBUG, "") not in ("", "0"):
            traceback.print_exception(error)
        sentence, code = _explain(error)
        click.echo(f"error: {sentence}", err=True)
        return code


def run() -> None:
    """The console entry `masquerade`."""
    sys.exit(call())


if __name__ == "__main__":
    run()
