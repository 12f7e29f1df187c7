"""List the commands of `reminderd` in the order in which a new user needs them, and import each when it is called."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

import click

from reminderd import __version__
from reminderd.logs.terminal import cleaned_streams
from reminderd.startup import load_module


class _Command(NamedTuple):  # not by attrs: `--help` starts faster without it
    """A command in the list that `reminderd --help` shows."""

    place: str
    """Its module in this package, and its name there."""
    summary: str
    """What it does, on one line of a terminal of 80 columns."""


COMMANDS: Final[Mapping[str, _Command]] = {
    "demo": _Command("demo:demo", "Show every type of call within seconds; needs no setup."),
    "run": _Command("running:run_", "Run the daemon: place calls that are due, receive webhooks."),
    "sandbox": _Command("sandbox:sandbox", "Run the simulated voice provider alone, to develop against."),
    "check-config": _Command("setting_up:check_config", "Check the configuration; show what to set at the provider."),
    "messages": _Command("setting_up:messages", "Show what patients hear, as text."),
    "doctor": _Command("setting_up:doctor", "Check everything the daemon depends on, and say what to fix."),
    "call-test": _Command("call_test:call_test", "Call one phone now, and show the progress of the call."),
    "add": _Command("one_reminder:add", "Add one reminder."),
    "import": _Command("import_command:import_", "Import reminders or appointments from a file."),
    "appointment": _Command("one_appointment:appointment", "Add, list, show, move or cancel appointments."),
    "list": _Command("lists:list_", "List reminders by their time."),
    "report": _Command("overview:report", "Report the outcome of a day's reminders, today's by default."),
    "show": _Command("one_reminder:show", "Show one reminder, with every call and every action by staff."),
    "cancel": _Command("one_reminder:cancel", "Cancel a reminder: the patient is no longer called."),
    "accept": _Command("one_reminder:accept", "Accept the changed phone number of a held reminder."),
    "call-again": _Command("one_reminder:call_again", "Call again for a reminder that has ended without success."),
    "done": _Command("one_reminder:done", "Note that you have called a reminder's patient yourself."),
    "opt-out": _Command("privacy:opt_out_", "Manage the list of phone numbers that must not be called."),
    "user": _Command("accounts:user", "Manage who may log in to the front desk's pages."),
    "status": _Command("overview:status", "Show whether all is well."),
    "pause": _Command("overview:pause", "Pause all dialing, also after a restart, until resume."),
    "resume": _Command("overview:resume", "Resume dialing."),
    "export": _Command("privacy:export", "Print all stored data of one phone number as JSON."),
    "erase": _Command("privacy:erase_", "Delete all reminders and calls of one phone number."),
    "purge": _Command("privacy:purge", "Erase the personal data in old reminders."),
    "db": _Command("db:db", "Check, back up, restore or migrate the database."),
}


class _ImportedWhenCalled(click.Group):
    """Imports a command only when it is called: so no command, and no help text, loads the libraries of the others."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run the command line. No text that it prints, not even a usage error, can control the terminal."""
        with cleaned_streams():
            return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].place.partition(":")
        command: click.Command = getattr(load_module(f"reminderd.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest a command if the name is unknown, as click does when all commands are loaded."""
        if args[0] == "help":
            ctx.fail("No such command 'help'. Did you mean 'reminderd --help'?")
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            for near in get_close_matches(args[0], COMMANDS, n=1):
                ctx.fail(f"No such command '{args[0]}'. Did you mean '{near}'?")
        return super().resolve_command(ctx, args)


def _after_the_command(ctx: click.Context, _option: click.Parameter, file: str | None) -> None:
    if file is not None:
        ctx.fail(f"--config belongs after the command, as in: reminderd status --config {file}")


@click.group(
    cls=_ImportedWhenCalled, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, message="%(version)s")
@click.option("--config", metavar="FILE", hidden=True, expose_value=False, callback=_after_the_command)
def reminderd() -> None:
    """Call patients before their appointments and record what the provider reports back.

    reminderd COMMAND --help explains a command. Commands that need the configuration take --config FILE after their
    name. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
    """
