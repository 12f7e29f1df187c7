"""Describe what a round of chaos plays, and its result."""

from collections import Counter
from typing import Final

from attrs import frozen

from tests.chaos.generic import GenericChaos
from tests.chaos.provider import ChaosProvider, Temper
from tests.chaos.strikes import Strike
from tests.chaos.twilio import ACCOUNT, PUBLIC, SENDER, TOKEN, TwilioChaos
from tests.support.generic_server import KEY as API_KEY
from tests.support.generic_server import SECRET

_CONFIG: Final = """
[database]
url = "{database}"
[worker]
dialers = {dialers}
lease_seconds = 2
outcome_timeout_seconds = 2
confirm_after_seconds = 0.5
[web]
port = 0
public_base_url = "{public}"
[provider]
kind = "{kind}"
timeout_seconds = 1
calls_per_second = 0
[provider.generic]
api_key = "{key}"
webhook_secret = "{secret}"
honors_idempotency_key = {honors_keys}
look_up = {look_up}
[provider.twilio]
account_sid = "{account}"
auth_token = "{token}"
from_number = "{sender}"
[retry]
first_delay_seconds = 0.05
max_delay_seconds = 0.4
[redial]
delay_minutes = 0.002
[log]
level = "DEBUG"
format = "{log_format}"
"""


@frozen(kw_only=True)
class Scenario:
    """The kind of provider, and how much of everything there is."""

    word: str
    temper: Temper
    reminders: int
    kills: int
    provider: type[ChaosProvider] = GenericChaos
    kind: str = "generic"
    dialers: int = 4
    a_number: int = 2
    """How many reminders share a phone number; they are called one after another."""
    restarts: int = 1
    """How often the server crashes and is started again, if the database is on a server."""
    cuts: int = 10
    """The most COMMITs to the server that are cut off."""
    log_format: str = "text"

    @property
    def api_url_variable(self) -> str:
        """Return the name of the variable with the provider's address."""
        return f"REMINDERD__PROVIDER__{self.kind.upper()}__API_URL"

    @property
    def config(self) -> str:
        """Return a configuration with short times, so that much happens.

        `api_url` is not in it, as it is known only when the provider listens; nor is a server's URL.
        """
        can = {"honors_keys": self.temper.honors_keys, "look_up": self.temper.look_up}
        return _CONFIG.format(
            database="sqlite:///clinic.db",
            dialers=self.dialers,
            kind=self.kind,
            log_format=self.log_format,
            public=PUBLIC,
            key=API_KEY,
            secret=SECRET,
            account=ACCOUNT,
            token=TOKEN,
            sender=SENDER,
            **{name: str(it).lower() for name, it in can.items()},
        )


SECRETS: Final = (API_KEY, SECRET, TOKEN)
"""All secrets; no log may contain them."""

KEYS: Final = Scenario(word="keys", temper=Temper(honors_keys=True), reminders=150, kills=20)
BLIND: Final = Scenario(word="blind", temper=Temper(silent=0.05), reminders=100, kills=14)
LOOK_UP: Final = Scenario(
    word="look-up",
    temper=Temper(look_up=True, loses_answers=0.2, silent=0.4),
    reminders=100,
    kills=14,
    log_format="json",
)
TWILIO: Final = Scenario(
    word="twilio",
    temper=Temper(look_up=True, loses_answers=0.25, silent=0.3),  # often both, so that calls are looked up
    reminders=100,
    kills=14,
    provider=TwilioChaos,
    kind="twilio",
    a_number=1,  # it distinguishes its calls only by their numbers
    log_format="json",
)
SCENARIOS: Final = (KEYS, BLIND, LOOK_UP, TWILIO)
STORM: Final = Scenario(
    word="storm", temper=Temper(silent=0.05), reminders=1_000, kills=40, dialers=12, restarts=3, cuts=100
)
"""The long scenario. Its provider can't be asked what happened to a request whose answer was lost."""


@frozen(kw_only=True)
class Tally:
    """What happened in a round."""

    seed: int
    rings: int
    requests: int
    webhooks: int
    kills: Counter[Strike]
    statuses: Counter[str]
    unconfirmed: int
    """The number of reminders that staff are asked to call manually."""
    found: int
    """The number of look-ups that found a call whose provider id we did not have."""
    doubles: int
    losses: int
    restarts: int
    """How often the server was restarted."""
    cuts: int
    """How many COMMITs were cut off."""
    starts: int
    """How many starts failed while the server was down, and were repeated."""
    log: tuple[str, ...]
    """Every line that any process has logged."""
    broken: tuple[str, ...]
    """What is wrong; empty if all is well."""
