"""Check the front desk's pages: whether they answer on this machine, and who may log in."""

from typing import Final

from reminderd.config import Config
from reminderd.core import diagnosis
from reminderd.core.diagnosis import Finding, good, unknown, wrong
from reminderd.core.logins import Role
from reminderd.doctor.connections import Asking, bind_error
from reminderd.providers.http import HttpAnswer
from reminderd.store.connection import snapshot
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.opening import open_to_look
from reminderd.store.users import list_users
from reminderd.validators import shown_host

_OURS: Final = "__Host-reminderd"
"""How the names of the pages' cookies begin."""


async def check_pages(config: Config, asking: Asking) -> list[Finding]:
    """Check who uses their port; nothing is reported without pages."""
    url, about = config.desk.local_url, "pages"
    if url is None:
        return []
    place = f"{shown_host(config.desk.host)} port {config.desk.port}"
    answer = await asking.get(f"{url}/login")
    if isinstance(answer, HttpAnswer):
        is_ours = answer.headers.get("set-cookie", "").startswith(_OURS) or answer.status == 503
        if is_ours:
            return [good(about, f"they answer at {place}")]
        text = f"{place} is used by a program that does not answer as they do"
        return [wrong(about, text, "end that program, or choose another [desk].port")]
    if answer.sent:
        return [wrong(about, f"no answer at {place}: {answer.reason}", "see the daemon's log")]
    refused = bind_error(config.desk.host, config.desk.port, section="desk")
    if refused is not None:
        why, fix = refused
        return [wrong(about, f"can't listen on {place}: {why}", fix)]
    return [unknown(about, f"not checked: nobody listens on {place}", "start the daemon anew; a reload opens no port")]


def check_accounts(config: Config) -> list[Finding]:
    """Check who may log in; nothing is reported without pages."""
    if not config.desk.port or config.database.is_missing:
        return []
    try:
        with open_to_look(config.database.target) as connection:
            found = snapshot(connection, list_users)
    except (StoreUnavailableError, StoreUnusableError):
        return []  # what can't be read is reported by others
    return diagnosis.accounts([(str(one["name"]), one["role"] == Role.ADMIN, bool(one["totp"])) for one in found])
