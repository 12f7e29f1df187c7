"""Check the configuration, what patients hear, or everything that the daemon depends on; print what to do about it."""

import sys
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Final

import click
from attrs import asdict

from reminderd.cli.common import FAILED, as_json, fail, language_option, with_config, wrong_usage
from reminderd.cli.output import print_json
from reminderd.clock import SystemClock
from reminderd.config import Config, config_warnings, origin, templates_of
from reminderd.core.diagnosis import Finding, Mark, count
from reminderd.core.masking import mask_numbers
from reminderd.core.schedule.dates import moment_of_text
from reminderd.core.script.preview import Preview, preview
from reminderd.core.script.templates import TemplateError, Values
from reminderd.logs.terminal import on_one_line, raw_stream

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
        shown = [asdict(one) | {"text": _clean(one.text), "fix": _clean(one.fix)} for one in findings]
        print_json({"wrong": wrong, "warnings": warnings, "findings": shown}, config.calling.zone)
    else:
        width = max(len(finding.about) for finding in findings)
        for line in (*(_line(finding, width) for finding in findings), _sum(findings)):
            click.echo(_showable(line, sys.stdout.encoding), file=raw_stream(sys.stdout))
    if wrong:
        sys.exit(FAILED)


def _line(finding: Finding, width: int) -> str:
    sign = click.style(_SIGNS[finding.mark], fg=_COLORS.get(finding.mark), bold=True)
    fix = f" → {_clean(finding.fix)}" if finding.fix else ""
    return f"{sign} {finding.about:<{width}}  {_clean(finding.text)}{fix}"


def _showable(line: str, encoding: str) -> str:
    """Return the line without signs that the terminal's encoding lacks."""
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_PLAIN).encode(encoding, errors="replace").decode(encoding)
    return line


def _sum(findings: list[Finding]) -> str:
    wrong, warnings, unknown = (count(findings, mark) for mark in (Mark.WRONG, Mark.WARNING, Mark.UNKNOWN))
    fixes = f"{wrong} to fix" if wrong else "nothing to fix"
    unchecked = f", {unknown} not checked" if unknown else ""
    return f"{fixes}, {warnings} {'warning' if warnings == 1 else 'warnings'}{unchecked}"


def _clean(text: str) -> str:
    """Return a text, parts of which are from outside, without phone numbers and control characters."""
    return on_one_line(mask_numbers(text))


@click.command(name="check-config")
@click.option("--online", is_flag=True, help="Also ask the provider, by reading only, whether it accepts our account.")
@with_config
def check_config(config: Config, *, online: bool) -> None:
    """Check the configuration, and print what must be set at the provider.

    This also warns of risky settings, and of texts in [messages] that patients may not understand or can't answer.
    """
    click.echo(f"configuration: {origin(config.path)}: no mistakes")
    click.echo(f"database: {config.database.target.shown_name}")
    click.echo(f"provider: {config.provider.kind}")
    if config.desk.local_url is not None:
        click.echo(f"pages: {config.desk.local_url}, on this machine; see docs/desk.md for others")
    for concern in config_warnings(config):
        click.echo(f"warning: {concern}")
    click.echo(config.provider.settings.setup_hint(config.web.public_base_url))
    if online and config.provider.kind == "sandbox":
        click.echo("online: not checked, as the sandbox runs inside the daemon")
    elif online:
        # Imported only here, as they are slow to load.
        import trio  # noqa: PLC0415

        from reminderd.providers.registry import account_errors  # noqa: PLC0415

        patience = timedelta(seconds=config.provider.timeout_seconds)
        found = trio.run(account_errors, config.provider.settings, patience)
        if found:
            fail("\n".join(f"online: {mistake}" for mistake in found))
        click.echo("online: the provider accepts our account")


_AT: Final = time(16)
"""The time of day of the example appointment."""


@click.group(name="messages")
def messages() -> None:
    """Show what patients hear."""


@messages.command(name="preview", short_help="Print what a person and a machine hear, in each language.")
@language_option(
    "Only this language, like es or pt-BR. Default: the clinic's, and each that has a section [messages.LANGUAGE]."
)
@click.option("--template", help="Only this template. Default: all.")
@click.option(
    "--at", help=f"The appointment's time: YYYY-MM-DD HH:MM, local to the clinic. Default: tomorrow at {_AT:%H:%M}."
)
@click.option("--name", default="Maria Garcia", show_default=True, help="The patient's name.")
@click.option("--provider", default="Dr. Lee", show_default=True, help="Who the patient sees.")
@click.option("--place", default="Room 4", show_default=True, help="Where the appointment is.")
@as_json
@with_config
def preview_(
    config: Config, /, *, language: str | None, template: str | None, at: str | None, as_json: bool, **example: str
) -> None:
    """Print what patients hear, in the order in which it is spoken, how long it takes, and what could be better.

    Read it aloud, or have a native speaker read it. Nobody is called, and nothing is stored.
    """
    templates = templates_of(config)
    names = list(templates.by_name) if template is None else [template]
    languages = [None, *templates.scripts.by_language] if language is None else [language]
    values = Values(appointment=_appointment(config, at), **example)
    try:
        shown = [preview(templates, values, one, names) for one in languages]
    except TemplateError as error:
        wrong_usage([f"--{mistake}" for mistake in error.mistakes])
    if as_json:
        languages_shown = [
            {
                "language": one.script.language,
                "voice": one.script.voice or None,
                "passages": [asdict(passage) for passage in one.passages],
                "warnings": one.warnings,
            }
            for one in shown
        ]
        is_alone = not config.provider.settings.asks_what_to_say
        print_json({"message_alone": is_alone, "languages": languages_shown}, config.calling.zone)
        return
    for one in shown:
        _print(one)
    if not config.provider.settings.asks_what_to_say:
        click.echo("note: the configured provider gets the message alone, and speaks it in its own way")


def _appointment(config: Config, at: str | None) -> datetime:
    if at is None:
        tomorrow = SystemClock().now().astimezone(config.calling.zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, _AT, config.calling.zone)
    try:
        return moment_of_text(at, config.calling.local_zone)
    except ValueError as error:
        wrong_usage([f"--at: {error}"])


def _print(shown: Preview) -> None:
    voice = shown.script.voice or "a voice of the provider's choice"
    click.echo(click.style(f"{shown.script.language}, {voice}", bold=True))
    for passage in shown.passages:
        click.echo(f"{passage.heading}: {passage.seconds:.0f} seconds")
        for text in passage.texts:
            click.echo(f"    {' '.join(text.split())}")
    for warning in shown.warnings:
        click.echo(f"warning: {warning}")
    click.echo()
