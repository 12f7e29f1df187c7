"""The configuration as the core sees it."""

from datetime import timedelta

from reminderd.config.clinic_wording import script_of
from reminderd.config.sections import Config
from reminderd.core.answers import Capabilities
from reminderd.core.phone import Numbering
from reminderd.core.rules import Backoff, Rules
from reminderd.core.schedule.limits import Limits
from reminderd.core.script.prompts import Prompt, seconds
from reminderd.core.script.templates import spoken


def rules_of(
    config: Config, *, provider: str | None = None, account: str = "", capabilities: Capabilities | None = None
) -> Rules:
    """Return the rules for transitions.

    Args:
        config: the clinic's.
        provider: the provider's own name; None: its kind.
        account: the account with the provider.
        capabilities: what the provider can do; None: nothing, which is enough for what staff do.
    """
    script = script_of(config, from_number=config.provider.twilio.from_number)
    return Rules(
        lease=config.worker.lease,
        outcome_timeout=timedelta(seconds=config.worker.outcome_timeout_seconds),
        confirm_after=timedelta(seconds=config.worker.confirm_after_seconds),
        ring_again_when_unsure=config.worker.when_unsure == "ring_again",
        backoff=Backoff(
            timedelta(seconds=config.retry.first_delay_seconds), timedelta(seconds=config.retry.max_delay_seconds)
        ),
        max_tries=config.retry.max_tries,
        max_calls=config.redial.max_calls,
        redial_delays=tuple(timedelta(minutes=minutes) for minutes in config.redial.delay_minutes),
        calling_hours=config.calling.window,
        numbering=numbering_of(config),
        limits=Limits(per_day=config.limits.answered_per_day, per_week=config.limits.answered_per_week),
        group_within=timedelta(minutes=config.calling.group_minutes),
        max_lateness=timedelta(minutes=config.calling.max_lateness_minutes),
        voicemail_is_reached=config.redial.voicemail_is_reached,
        greeting_takes=timedelta(seconds=seconds(spoken(Prompt.GREETING, script, ""))),
        leave_voicemail=config.provider.twilio.voicemail == "leave_message",
        provider=provider or config.provider.kind,
        account=account,
        capabilities=capabilities or Capabilities(),
    )


def numbering_of(config: Config) -> Numbering:
    """Return which numbers may be called, and how the clinic writes them."""
    own = {config.messages.phone, config.provider.twilio.from_number} - {""}
    return Numbering(
        country=config.clinic.country, allowed=frozenset(config.clinic.allowed_countries), own=frozenset(own)
    )
