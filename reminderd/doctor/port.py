"""Check the port: it is free, used by our own daemon, or taken by another program."""

import errno
import socket
from functools import partial
from typing import Final

import trio
from attrs import frozen

from reminderd.config import Config
from reminderd.core.diagnosis import Finding, good, unknown, warning, wrong
from reminderd.doctor.asking import Asking, document, is_alive, is_this_machine
from reminderd.providers.http import Heard, Unheard
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.sqlite.integrity import id_of
from reminderd.validators import shown_host

_OTHER_HOST: Final = "set [web].host to an address of this machine, mostly 127.0.0.1"
_FIXES: Final = {
    errno.EACCES: "set [web].port to 1024 or more",
    errno.EADDRINUSE: "ss -ltnp names the program that has it: stop that, or set another [web].port",
}
_OURS: Final = "name this clinic's configuration by --config FILE; if this is it, set another [web].port"


@frozen
class LocalDaemon:
    """What the check of the port has found."""

    findings: list[Finding]
    url: str | None
    """Where the daemon answers on this machine; None: it doesn't."""


async def check_port(config: Config, asking: Asking) -> LocalDaemon:
    """Check who uses the port, and whether the daemon is well if it is ours."""
    host, port, url = config.web.host, config.web.port, config.web.local_url
    if url is None:
        return LocalDaemon([unknown("port", "[web].port is 0, any free one: nobody knows where to ask")], None)
    place = f"{shown_host(host)} port {port}"
    alive = await asking.get(f"{url}/health")
    if is_alive(alive):
        if await _has_another_database(config, url, asking):
            says = f"another reminderd answers at {place}: it does not use {config.database.path}"
            return LocalDaemon([wrong("port", says, _OURS)], None)
        found = [good("port", f"the daemon answers at {place}"), *_exposure(host), await _readiness(url, asking)]
        return LocalDaemon(found, url)
    if isinstance(alive, Unheard) and not alive.sent:
        refusal = _refusal(host, port)
        if refusal is None:
            return LocalDaemon([good("port", f"{place} is free"), *_exposure(host), _not_running(config)], None)
        why, fix = refusal
        return LocalDaemon([wrong("port", f"can't listen on {place}: {why}", fix)], None)
    says = f"{place} is used by a program that does not answer as the daemon does"
    return LocalDaemon([wrong("port", says, _FIXES[errno.EADDRINUSE])], None)


async def _has_another_database(config: Config, url: str, asking: Asking) -> bool:
    """Return whether the daemon that answers there uses another database than this configuration names."""
    outcome = await asking.get(f"{url}/health/status")
    its_id: object = document(outcome).get("database_id") if isinstance(outcome, Heard) else None
    if its_id is None:
        return False
    file = config.database.path
    if not file.exists():
        return True
    try:
        return its_id != await trio.to_thread.run_sync(partial(id_of, file))
    except (StoreUnusableError, StoreUnavailableError):  # the check of the database says so
        return False


def _not_running(config: Config) -> Finding:
    if config.provider.kind == "sandbox":
        return unknown("daemon", "not checked: it does not run", "reminderd run starts it")
    says = "does not run, so nobody is called; only a process with --only dial can't be seen here"
    return warning("daemon", says, "start it: systemctl start reminderd, or reminderd run")


async def _readiness(url: str, asking: Asking) -> Finding:
    outcome = await asking.get(f"{url}/health/ready")
    if isinstance(outcome, Unheard):
        return wrong("daemon", f"does not say whether it is ready: {outcome.reason}", "see its log")
    answer = document(outcome)
    if outcome.status == 200 and answer.get("status") == "ok":
        return good("daemon", "every part of it works")
    match answer.get("failing"):
        case dict() as failing if failing:
            says = "; ".join(f"{part}: {error}" for part, error in failing.items())
            return wrong("daemon", says, "see operations.md, When something is wrong")
    return unknown("daemon", f"unknown whether it is ready: it answers {outcome.status}")


def _exposure(host: str) -> list[Finding]:
    """Warn if more than this machine's own programs reach the port, past the web server in front."""
    if is_this_machine(host):
        return []
    fix = "set it to 127.0.0.1, or let a firewall keep all but the web server in front away from the port"
    return [
        warning("port", f"[web].host is {shown_host(host)}: other machines may reach the port past the web server", fix)
    ]


def _refusal(host: str, port: int) -> tuple[str, str] | None:
    """Return why this address can't be used, and what to do; None: it can be.

    It is bound and not listened on, so that a daemon that starts at this moment gets it.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        return error.strerror or str(error), _FIXES.get(error.errno or 0, _OTHER_HOST)
    except UnicodeError:
        return "no such host", _OTHER_HOST
    return None
