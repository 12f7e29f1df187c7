"""Judges what the world sees: the public address, its certificate, what stands in front, how webhooks are let in."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from attrs import frozen

from reminderd.core.diagnosis.finding import Finding, good, unknown, warning, wrong
from reminderd.core.lifecycle.address import UNREACHED

_RENEWED_LATE: Final = 4
"""Caddy renews when a third of a certificate's life is left; with less than a quarter it has failed to for a while."""


def address(host: str, found: Sequence[str]) -> Finding:
    """Of the addresses that a host's name leads to from here."""
    shown = ", ".join(found)
    private = [one for one in found if not ip_address(one.partition("%")[0]).is_global]
    if not private:
        return good("address", host if shown == host else f"{host} resolves to {shown}")
    return warning(
        "address",
        f"{host} resolves to {', '.join(private)} from here, which nobody outside can reach",
        "compare with what others see (DNS at your registrar); /etc/hosts of this machine may say otherwise",
    )


def unreached(since: datetime, zone: tzinfo) -> Finding:
    """Of an address that the provider has not reached since then."""
    return wrong(
        "public address",
        f"dialing is paused since {since.astimezone(zone):%Y-%m-%d %H:%M %Z}: {UNREACHED}",
        "compare it with DNS, the firewall, Caddy and the provider's own log of errors; then reload the daemon",
    )


def certificate(since: datetime, until: datetime, now: datetime) -> Finding:
    """Of a certificate that was found valid, by the time that it has left."""
    left = until - now
    says = (
        f"valid, for {left.days} more days" if left.days > 1 else f"valid, for {left // timedelta(hours=1)} more hours"
    )
    if left * _RENEWED_LATE >= until - since:
        return good("certificate", says)
    return warning("certificate", says, "it should have been renewed by now: journalctl -u caddy shows why it was not")


def in_front(server: str, via: str) -> Finding:
    """Of the headers by which a web server names itself; our own names none."""
    named = server or via
    if "caddy" in f"{server} {via}".lower():
        return good("web server", "Caddy stands in front")
    if named:
        return good("web server", f"{named} stands in front; this documentation describes Caddy")
    fix = "put Caddy in front, and keep [web].host at 127.0.0.1; or there is one that does not name itself"
    return warning("web server", "no Server and no Via header tells of one in front", fix)


def plain_http(status: int, location: str, host: str) -> Finding:
    """Of an answer over http, without TLS, at the same host."""
    if 300 <= status < 400 and f"{location}/".lower().startswith(f"https://{host}/".lower()):
        return good("plain http", "leads to https")
    fix = "redirect it to https, as Caddy does by default, so that everything is encrypted"
    return warning("plain http", f"answered with {status}, and does not lead to https", fix)


def kept_inside(let_out: Sequence[str]) -> Finding:
    """Of the paths that are not for the world and yet answer there."""
    if not let_out:
        return good("kept inside", "/api and /health/ready do not answer from outside")
    fix = "let Caddy pass on /webhooks/* and /health only; see operations.md"
    if "/api" in let_out:
        return wrong("kept inside", f"{' and '.join(let_out)} can be reached from outside", fix)
    return warning("kept inside", f"{' and '.join(let_out)} can be reached from outside", fix)


@frozen
class Knock:
    """How a webhook of ours was answered; one of them, as neither is evidence of anything but itself."""

    status: int | None
    """None: there was no answer."""
    error: str
    """What our own answers say in `error`; empty in anybody else's. Without an answer: why."""

    @property
    def refused(self) -> bool:
        """Whether the daemon took it for a forged one."""
        return self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} and self.error == "Invalid signature"

    @property
    def let_in(self) -> bool:
        """Whether the daemon believed it, up to the reminder that it names, which does not exist."""
        return self.status == HTTPStatus.NOT_FOUND and self.error == "Unknown reminder"

    @property
    def is_nowhere(self) -> bool:
        """Whether the daemon knows no such door."""
        return self.status == HTTPStatus.NOT_FOUND and self.error == "Not found"

    @property
    def is_ours(self) -> bool:
        """Whether it was the daemon that answered."""
        return self.status is not None and bool(self.error)


def webhooks(signed: Knock, forged: Knock, where: str) -> Finding:
    """Of two webhooks, one signed with the configured secret, one with a made-up one, asked at the same place."""
    restart = "restart the daemon if this configuration is newer than its start; else it runs with another one"
    for knock in (forged, signed):
        if knock.status is None:
            return unknown("webhooks", f"no answer at {where}: {knock.error}")
        if not knock.is_ours:
            fix = "let Caddy pass /webhooks/* on to [web].port; see operations.md"
            return wrong("webhooks", f"{where} answers {knock.status}, and it is not the daemon that answers", fix)
    if forged.is_nowhere:
        return wrong("webhooks", f"the daemon at {where} accepts no webhooks of this provider", restart)
    if not forged.refused:
        return wrong("webhooks", f"a forged one is not refused at {where}: answer {forged.status}", restart)
    if signed.refused:
        return wrong("webhooks", f"one signed with the configured secret is refused at {where}", restart)
    if signed.let_in:
        return good("webhooks", f"a signed one is accepted at {where}, a forged one is refused")
    fix = "see the daemon's log, and /health/ready"
    return warning("webhooks", f"a signed one is accepted at {where}, with {signed.status}: {signed.error}", fix)
