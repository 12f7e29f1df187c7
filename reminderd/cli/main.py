"""The command `reminderd`: every verb, in the order in which a newcomer meets them."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Final

import click

from reminderd import __version__

_ROOMS: Final[Mapping[str, str]] = {
    "demo": "demo:demo",
    "run": "service:run_",
    "sandbox": "sandbox:sandbox",
    "check-config": "service:check_config",
    "doctor": "doctor:doctor",
    "call-test": "call_test:call_test",
    "add": "reminders:add",
    "import": "importing:import_",
    "list": "lists:list_",
    "report": "report:report",
    "show": "reminders:show",
    "cancel": "reminders:cancel",
    "accept": "reminders:accept",
    "call-again": "reminders:call_again",
    "opt-out": "optouts:opt_out_",
    "status": "status:status",
    "pause": "pausing:pause",
    "resume": "pausing:resume",
    "export": "records:export",
    "erase": "records:erase_",
    "purge": "purging:purge",
    "db": "database:db",
}
"""Each command's module in this package, and its name there."""


class _ImportedWhenCalled(click.Group):
    """Imports a command when it is asked for: the front desk's need no web server, which takes the longest."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _ROOMS:
            return None
        module, _, name = _ROOMS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"reminderd.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the command that a mistyped one resembles, as click does where all commands are loaded."""
        if args[0] not in _ROOMS and not args[0].startswith("-"):
            for near in get_close_matches(args[0], _ROOMS, n=1):
                ctx.fail(f"No such command '{args[0]}'. Did you mean '{near}'?")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_ImportedWhenCalled, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, message="%(version)s")
def reminderd() -> None:
    """Call patients before their appointments and record what the provider reports back.

    Exit codes: 0 done, 1 it failed, 2 wrong usage or configuration. Commands that need the configuration take
    --config F after their name.
    """
