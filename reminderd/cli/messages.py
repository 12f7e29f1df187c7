"""Show what patients hear, as text."""

from datetime import datetime, time, timedelta
from typing import Final

import click

from reminderd.cli.common import language_option, with_config, wrong
from reminderd.clock import SystemClock
from reminderd.config import Config, templates_of
from reminderd.core.schedule.dates import moment
from reminderd.core.script.preview import Preview, preview
from reminderd.core.script.templates import TemplateError, Values

_AT: Final = time(16)
"""The hour of the appointment that stands for any."""


@click.group(name="messages")
def messages() -> None:
    """Show what patients hear."""


@messages.command(name="preview", short_help="Print what a person and a machine hear, in each language.")
@language_option("Only this language, like es or pt-BR; else the clinic's, and each with a section.")
@click.option("--template", help="Only this template; else all.")
@click.option("--at", help="The appointment's time: YYYY-MM-DD HH:MM, local to the clinic; else tomorrow's.")
@click.option("--name", default="Maria Garcia", show_default=True, help="The patient's name.")
@click.option("--provider", default="Dr. Lee", show_default=True, help="Whom the patient sees.")
@click.option("--place", default="Room 4", show_default=True, help="Where the appointment is.")
@with_config
def preview_(
    config: Config, *, language: str | None, template: str | None, at: str | None, name: str, provider: str, place: str
) -> None:
    """Print what patients hear, in the order in which it is spoken, with how long it takes and what could be better.

    Read it aloud, or have somebody read it whose language it is. Nobody is called, and nothing is stored.
    """
    templates = templates_of(config)
    names = list(templates.by_name) if template is None else [template]
    languages = [None, *templates.scripts.by_language] if language is None else [language]
    values = Values(appointment=_appointment(config, at), name=name, provider=provider, place=place)
    try:
        shown = [preview(templates, values, one, names) for one in languages]
    except TemplateError as error:
        wrong([f"--{mistake}" for mistake in error.mistakes])
    for one in shown:
        _print(one)
    if not config.provider.settings.asks_what_to_say:
        click.echo("note: the configured provider gets the message alone, and speaks it in its own way")


def _appointment(config: Config, at: str | None) -> datetime:
    if at is None:
        tomorrow = SystemClock().now().astimezone(config.calling.zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, _AT, config.calling.zone)
    try:
        return moment(at, config.calling.local_zone)
    except ValueError as error:
        wrong([f"--at: {error}"])


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
