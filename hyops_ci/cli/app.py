"""The command line: one thin module per command, loaded only when it is called."""

from __future__ import annotations

import errno
import gc
import importlib
import signal
import sys
from typing import Any, Final

import click
from typing_extensions import override

from hyops_ci import __version__
from hyops_ci.errors import DispatchError, Exit
from hyops_ci.streams import open_closed_streams

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "init": ("init", "Write what a service needs in its repository, and print what is pasted elsewhere."),
    "validate": ("validate", "Say whether a decision or record is well-formed."),
    "rehearse": ("rehearse", "Take an example decision through everything, here, in seconds."),
    "plan": ("plan", "Resolve a decision to a plan, or refuse it."),
    "check": ("check", "Ask the runner what would happen. Changes nothing."),
    "execute": ("execute", "Carry out the approved plan on the runner."),
    "watch": ("watch", "Say whether a runner takes the job; end the run where none will."),
    "ensure-runner": ("ensure_runner", "Make or repair the runner that a watch called missing, for an allowed reason."),
    "conclude": ("conclude", "Verify the evidence and say how the run ended."),
    "run": ("run", "Break-glass: the whole run from a shell on the runner."),
    "approve": ("approve", "Show a plan as its approver reads it, and sign."),
    "doctor": ("doctor", "Say on the host whether a recovery would start now."),
    "status": ("status", "Show where every service stands: lock, last run and drill, approvers."),
    "board": ("board", "Make one page of where every service stands, how ready it is, and how its drills went."),
    "drill": ("drill", "Say which drill is due."),
    "readiness": ("readiness", "Say which check is due; ping the watcher that raises the alarm when no ping comes."),
    "dispatch": ("dispatch", "Start the DR workflow of a repository, and follow it to its end."),
    "recovery": ("recovery", "Recover several services in waves, by a plan of the config."),
    "config": ("config", "Explain the config: every value and where it comes from."),
    "evidence": ("evidence", "Verify, show or report a sealed bundle."),
    "ledger": ("ledger", "Make, show, settle or merge the ledger of a service."),
    "environment": ("environment", "Compare GitHub's environments with what the config demands."),
    "runner": ("runner", "Ask GitHub for the standing runners of the lanes; prepare the host of one."),
    "upgrade": ("upgrade", "Move what pins dr-dispatch to another release, and print what has to know it first."),
    "docs": ("docs", "Print a page of the documentation, or what to do about a refusal."),
    "secrets": ("secrets", "Ask the authority whether it has every name of a plan."),
}


OF_A_PLACE: Final = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO),
    }
)
"""What the system says of a path that somebody named, and that is another than they thought."""


class Lazy(click.Group):
    """A group that imports a command's module when the command is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hyops_ci.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them, and what exit codes mean."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        with formatter.section("Exit codes (docs/exit-codes.md)"):
            formatter.write_dl([(str(int(code)), code.family) for code in Exit])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hyops-ci")
def cli() -> None:
    """Turn a disaster-recovery decision into one approved, evidenced recovery run on the right runner."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with the code of its family (docs/design/architecture.md 4)."""
    from hyops_ci.execution.prctl import close_to_others

    close_to_others()  # the job's tokens are in this process' environment
    open_closed_streams()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of an agent that was started with nohup: a cancel would reach nobody
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.set_threshold(100_000)  # classes and functions are made once and kept: to look for garbage among them is a tenth of a start
    called = sys.argv[1:] if argv is None else argv
    try:
        code: Any = cli.main(args=argv, prog_name="hyops-ci", standalone_mode=False)
    except DispatchError as error:
        from hyops_ci.cli.render import show_error

        code = show_error(error, called)
    except OSError as error:
        code = _of_the_host(error, called)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = Exit.CANCELLED
    except click.ClickException as error:
        code = _of_the_call(error, called)
    sys.exit(int(code) if isinstance(code, int) else 0)


def _of_the_call(error: click.ClickException, argv: list[str]) -> int:
    """Show what is wrong with how a command was called, to a person or as JSON, and return the exit code."""
    from hyops_ci.cli.render import asked_for_json, show_error

    if not asked_for_json(argv):
        from hyops_ci.cli.terminal import usage

        usage(error)
        return Exit.USAGE
    from hyops_ci.errors import Refusal

    called = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "hyops-ci"
    refusal = Refusal(
        "command.usage",
        "this is not how the command is called",
        exit_code=Exit.USAGE,
        found=error.format_message(),
        expected="the arguments and options of its help",
        fix=f"{called} --help",
    )
    return show_error(refusal, argv)


def _of_the_host(error: OSError, argv: list[str]) -> int:
    """Show that a disk of this host is full, or which place of it cannot be used, and return the exit code.

    Any other error of the system is raised again: it is a bug.
    """
    from contextlib import suppress

    from hyops_ci.room import FULL

    if error.errno not in FULL and not (error.errno in OF_A_PLACE and error.filename):
        raise error
    from hyops_ci.cli.render import show_error
    from hyops_ci.errors import Fault

    if error.errno in FULL:
        fault = Fault(
            "host.full",
            "a disk of this host is full",
            exit_code=Exit.UNAVAILABLE,
            found=str(error.filename or error.strerror),
            expected="room for what this command writes",
            fix="make room, then again",
        )
    else:
        fault = Fault(
            "host.place",
            "a file or folder of this host cannot be used",
            exit_code=Exit.USAGE,
            found=f"{error.filename2 or error.filename}: {error.strerror}",
            expected="a place that this user may read and write",
            fix="name another, or see whose it is and what lies on the way to it, then again",
        )
    with suppress(OSError):  # its summary needs room, too: the text is printed first
        show_error(fault, argv)
    return int(fault.exit_code)
