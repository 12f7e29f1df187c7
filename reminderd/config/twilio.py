"""The section `[provider.twilio]`: the clinic's account at Twilio, and how its calls are placed."""

import re
from typing import Final, Literal

from attrs import frozen

from reminderd.config import validators
from reminderd.config.keys import choice, key, whole

CALLS_PER_SECOND: Final = 1.0
"""What Twilio starts for an account by default; the rest waits in a queue of Twilio's, perhaps into the night."""

_ACCOUNT: Final = re.compile("AC[0-9a-fA-F]{32}")


def _sid_trouble(text: str) -> str | None:
    return "is no account SID" if text and not _ACCOUNT.fullmatch(text) else None


def _without_last_slash(url: str) -> str:
    return url.rstrip("/")


@frozen(kw_only=True)
class TwilioConfig:
    """An account at Twilio. A text left empty is not given."""

    account_sid: str = key("", "AC and 32 digits from 0 to f, as in Twilio's console", _sid_trouble)
    auth_token: str = key("", "printable ASCII characters without spaces", validators.token_trouble, secret=True)
    auth_token_file: str = key("", "the path of a file", validators.file_trouble)
    secondary_auth_token: str = key(
        "", "printable ASCII characters without spaces", validators.token_trouble, secret=True
    )
    secondary_auth_token_file: str = key("", "the path of a file", validators.file_trouble)
    from_number: str = key("", "a phone number")
    api_url: str = key(
        "https://api.twilio.com", validators.ANY_URL, validators.needed_url_trouble, converter=_without_last_slash
    )
    ring_seconds: int = whole(30, 5, 600)
    max_call_seconds: int = whole(180, 30, 3600)
    machine_detection: Literal["DetectMessageEnd", "Enable", "off"] = choice(
        "DetectMessageEnd", "DetectMessageEnd", "Enable", "off"
    )
    voicemail: Literal["leave_message", "hang_up"] = choice("leave_message", "leave_message", "hang_up")
