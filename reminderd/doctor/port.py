"""Looks at the port: free, held by our own daemon, or taken by somebody else."""

import errno
import socket
from typing import Final

from attrs import frozen

from reminderd.config import Config
from reminderd.core.diagnosis.finding import Finding, good, unknown, warning, wrong
from reminderd.doctor.asking import Asking, document, is_alive, is_this_machine
from reminderd.providers.http import Heard, Unheard
from reminderd.validators import shown_host

_OTHER_HOST: Final = "set [web].host to an address of this machine, mostly 127.0.0.1"
_MENDS: Final = {
    errno.EACCES: "set [web].port to 1024 or more",
    errno.EADDRINUSE: "ss -ltnp names the program that has it: stop that, or set another [web].port",
}


@frozen
class Port:
    """What was found."""

    findings: list[Finding]
    url: str | None
    """Where the daemon answers on this machine; None: it doesn't."""


async def look(config: Config, asking: Asking) -> Port:
    """Who has the port, and how the daemon is if it is the daemon."""
    host, port, url = config.web.host, config.web.port, config.web.local_url
    if url is None:
        return Port([unknown("port", "[web].port is 0, any free one: nobody knows where to ask")], None)
    place = f"{shown_host(host)} port {port}"
    alive = await asking.get(f"{url}/health")
    if is_alive(alive):
        found = [good("port", f"the daemon answers at {place}"), *_exposure(host), await _readiness(url, asking)]
        return Port(found, url)
    if isinstance(alive, Unheard) and not alive.sent:
        refusal = _refusal(host, port)
        if refusal is None:
            free = good("port", f"{place} is free: the daemon does not run, or only dials")
            return Port([free, *_exposure(host)], None)
        why, fix = refusal
        return Port([wrong("port", f"can't listen on {place}: {why}", fix)], None)
    says = f"{place} is used by a program that does not answer as the daemon does"
    return Port([wrong("port", says, _MENDS[errno.EADDRINUSE])], None)


async def _readiness(url: str, asking: Asking) -> Finding:
    outcome = await asking.get(f"{url}/health/ready")
    if isinstance(outcome, Unheard):
        return wrong("daemon", f"does not say whether it is ready: {outcome.reason}", "see its log")
    return _told(outcome)


def _told(heard: Heard) -> Finding:
    said = document(heard)
    if heard.status == 200 and said.get("status") == "ok":
        return good("daemon", "every part of it works")
    match said.get("failing"):
        case dict() as failing if failing:
            says = "; ".join(f"{part}: {trouble}" for part, trouble in failing.items())
            return wrong("daemon", says, "see operations.md, When something is wrong")
    return unknown("daemon", f"unknown whether it is ready: it answers {heard.status}")


def _exposure(host: str) -> list[Finding]:
    """Whether others than this machine's own programs reach the port, past the web server in front."""
    if is_this_machine(host):
        return []
    fix = "set it to 127.0.0.1, or let a firewall keep all but the web server in front away from the port"
    return [
        warning("port", f"[web].host is {shown_host(host)}: other machines may reach the port past the web server", fix)
    ]


def _refusal(host: str, port: int) -> tuple[str, str] | None:
    """Why this address can't be had, and what to do; or None.

    It is bound and not listened on, so that a daemon that starts at this moment gets it.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        return error.strerror or str(error), _MENDS.get(error.errno or 0, _OTHER_HOST)
    except UnicodeError:
        return "no such host", _OTHER_HOST
    return None
