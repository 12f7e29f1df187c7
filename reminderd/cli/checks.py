"""Check the configuration alone, or everything that the daemon depends on, and print what to do about it."""

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import click

from reminderd.cli.common import FAILED, as_json, fail, with_config
from reminderd.cli.output import print_json
from reminderd.clock import SystemClock
from reminderd.config import Config, config_warnings, origin
from reminderd.core.diagnosis import Finding, Mark, count
from reminderd.core.masking import without_numbers
from reminderd.logs.terminal import on_one_line, unguarded

_SIGNS: Final[Mapping[Mark, str]] = {Mark.GOOD: "✓", Mark.WARNING: "!", Mark.WRONG: "✗", Mark.UNKNOWN: "–"}
_PLAIN: Final = str.maketrans({"✓": "+", "✗": "X", "–": "-", "→": "->"})
_COLORS: Final[Mapping[Mark, str]] = {Mark.GOOD: "green", Mark.WARNING: "yellow", Mark.WRONG: "red"}


@click.command()
@as_json
@with_config
def doctor(config: Config, *, as_json: bool) -> None:
    """Check everything the daemon depends on: files, clock, database, port, provider, public address, webhooks.

    ✓ is good, ! works but should be changed, ✗ must be fixed, – could not be checked. Nothing is changed and nobody
    is called, whether the daemon runs or not. Exit code 1 if anything must be fixed.
    """
    # Imported only here: check-config needs none of them, and they are slow to load.
    import trio  # noqa: PLC0415

    from reminderd.doctor import diagnose  # noqa: PLC0415

    findings = trio.run(diagnose, config, SystemClock())
    wrong, warnings = count(findings, Mark.WRONG), count(findings, Mark.WARNING)
    if as_json:
        shown = [_document(finding) for finding in findings]
        print_json({"wrong": wrong, "warnings": warnings, "findings": shown}, config.calling.zone)
    else:
        width = max(len(finding.about) for finding in findings)
        for line in (*(_line(finding, width) for finding in findings), _sum(findings)):
            click.echo(_showable(line, sys.stdout.encoding), file=unguarded(sys.stdout))
    if wrong:
        sys.exit(FAILED)


def _line(finding: Finding, width: int) -> str:
    sign = click.style(_SIGNS[finding.mark], fg=_COLORS.get(finding.mark), bold=True)
    fix = f" → {_clean(finding.fix)}" if finding.fix else ""
    return f"{sign} {finding.about:<{width}}  {_clean(finding.text)}{fix}"


def _showable(line: str, encoding: str) -> str:
    """Return the line as a terminal can show it that lacks our signs."""
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_PLAIN).encode(encoding, errors="replace").decode(encoding)
    return line


def _document(finding: Finding) -> dict[str, str]:
    return {
        "about": finding.about,
        "mark": finding.mark,
        "text": _clean(finding.text),
        "fix": _clean(finding.fix),
    }


def _sum(findings: list[Finding]) -> str:
    wrong, warnings, unknown = (count(findings, mark) for mark in (Mark.WRONG, Mark.WARNING, Mark.UNKNOWN))
    fixes = f"{wrong} to fix" if wrong else "nothing to fix"
    unchecked = f", {unknown} not checked" if unknown else ""
    return f"{fixes}, {warnings} {'warning' if warnings == 1 else 'warnings'}{unchecked}"


def _clean(text: str) -> str:
    """Return a text that others have written parts of, without phone numbers and control characters."""
    return on_one_line(without_numbers(text))


@click.command(name="check-config")
@click.option("--online", is_flag=True, help="Also ask the provider, by reading only, whether it accepts our account.")
@with_config
def check_config(config: Config, *, online: bool) -> None:
    """Check the configuration, warn of risks and poor scripts, and print what must be set at the provider."""
    click.echo(f"configuration: {origin(config.path)}: no mistakes")
    click.echo(f"database: {config.database.path}")
    click.echo(f"provider: {config.provider.kind}")
    for concern in config_warnings(config):
        click.echo(f"warning: {concern}")
    click.echo(config.provider.settings.setup_hint(config.web.public_base_url))
    if online and config.provider.kind == "sandbox":
        click.echo("online: not checked, as the sandbox runs inside the daemon")
    elif online:
        found = _account_errors(config)
        if found:
            fail("\n".join(f"online: {mistake}" for mistake in found))
        click.echo("online: the provider accepts our account")


def _account_errors(config: Config) -> list[str]:
    # Imported only here, as they are slow to load.
    import trio  # noqa: PLC0415

    from reminderd.providers.registry import account_errors  # noqa: PLC0415

    return trio.run(account_errors, config.provider.settings, timedelta(seconds=config.provider.timeout_seconds))
