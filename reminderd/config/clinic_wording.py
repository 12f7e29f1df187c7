"""The clinic's words as the core sees them."""

from attrs import asdict

from reminderd.config.sections import Config
from reminderd.core.conversation import Part
from reminderd.core.wording import Wording


def wording_of(config: Config, *, from_number: str) -> Wording:
    """What patients hear.

    Args:
        config: the clinic's.
        from_number: the number that its calls come from, in E.164, which they are told if `[messages]` has none;
            empty: not known.
    """
    messages = config.messages
    written = asdict(messages)
    return Wording(
        clinic=messages.clinic,
        phone=messages.phone,
        from_number=from_number,
        language=messages.language,
        voice=messages.voice,
        templates={part: written[part] for part in Part if written.get(part)},
    )
