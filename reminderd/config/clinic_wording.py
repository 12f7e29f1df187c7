"""The clinic's words as the core sees them: what is said around a message, and its templates for messages."""

from datetime import timedelta

from attrs import asdict

from reminderd.config.sections import Config
from reminderd.core.script.prompts import Prompt
from reminderd.core.script.templates import Script, Templates


def script_of(config: Config, *, from_number: str) -> Script:
    """What patients hear.

    Args:
        config: the clinic's.
        from_number: the number that its calls come from, in E.164, which they are told if `[messages]` has none;
            empty: not known.
    """
    messages = config.messages
    written = asdict(messages)
    return Script(
        clinic=messages.clinic,
        phone=messages.phone,
        from_number=from_number,
        language=messages.language,
        voice=messages.voice,
        templates={part: written[part] for part in Prompt if written.get(part)},
    )


def templates_of(config: Config) -> Templates:
    """The clinic's templates for messages."""
    messages = config.messages
    return Templates(
        by_name=messages.templates,
        clinic=messages.clinic,
        language=messages.language,
        zone=config.calling.local_zone,
        max_lateness=timedelta(minutes=config.calling.max_lateness_minutes),
    )
