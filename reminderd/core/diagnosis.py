"""Judge the facts that the doctor has collected, as findings that say what to do.

A finding is one thing that was checked, how good it is, and what to do about it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from http import HTTPStatus
from ipaddress import ip_address
from stat import S_IROTH, S_ISVTX, S_IWOTH, S_IXOTH
from typing import Final

from attrs import frozen

from reminderd.core.changes import Backlog, undelivered_warning
from reminderd.core.daemons import Daemon, differences
from reminderd.core.monitoring import DISK_FULL_SOON
from reminderd.core.reasons import UNREACHED
from reminderd.core.sentences import text_of

DISK_LOW: Final = 1_000_000_000
"""In bytes."""

CLOCK_OFF: Final = timedelta(seconds=30)
"""A difference that delays and the whole seconds of a Date header can't explain. At 300 s, webhooks are refused."""

WAL_LARGE: Final = 64 * 1024 * 1024
"""In bytes: the `journal_size_limit`, to which each checkpoint cuts the log."""

_VERSION: Final = re.compile(r"(\d{4})[a-z]+")
_OLD_YEARS: Final = 2

_RENEWED_LATE: Final = 4
"""Caddy renews a certificate when a third of its life is left; with less than a quarter, renewals have failed."""


class Mark(StrEnum):
    """How good a thing is."""

    GOOD = "good"
    WARNING = "warning"
    """It works, but should be changed."""
    WRONG = "wrong"
    """It must be fixed."""
    UNKNOWN = "unknown"
    """It could not be checked; this never means good."""


@frozen
class Finding:
    """What the doctor says about one thing."""

    about: str
    mark: Mark
    text: str
    """What was found; if unknown, why."""
    fix: str = ""
    """What to do; empty if there is nothing to do."""


def good(about: str, text: str) -> Finding:
    """Return that a thing is as it should be."""
    return Finding(about, Mark.GOOD, text)


def warning(about: str, text: str, fix: str) -> Finding:
    """Return that a thing works, but should be changed."""
    return Finding(about, Mark.WARNING, text, fix)


def wrong(about: str, text: str, fix: str) -> Finding:
    """Return that a thing must be fixed."""
    return Finding(about, Mark.WRONG, text, fix)


def unknown(about: str, why: str, fix: str = "") -> Finding:
    """Return that a thing could not be checked."""
    return Finding(about, Mark.UNKNOWN, why, fix)


def count(findings: Iterable[Finding], mark: Mark) -> int:
    """Count the findings with this mark."""
    return sum(finding.mark is mark for finding in findings)


def disk(free: int, folder: str) -> Finding:
    """Judge how many bytes are free where the database grows."""
    text = f"{_size(free)} free in {folder}"
    if free >= DISK_LOW:
        return good("disk", text)
    fix = "free some space: on a full disk nothing is dialed and no webhook is recorded"
    return (wrong if free < DISK_FULL_SOON else warning)("disk", text, fix)


def clock(*, kept: bool | None, ahead: timedelta | None) -> Finding:
    """Judge the wall clock.

    Args:
        kept: whether it is synchronized, according to the kernel; None if the kernel can't be asked.
        ahead: how far it is ahead of the provider's clock; None if unknown.
    """
    keep = "timedatectl set-ntp true, or install chrony"
    if ahead is not None and abs(ahead) > CLOCK_OFF:
        side = "ahead of" if ahead > timedelta(0) else "behind"
        seconds = abs(ahead).total_seconds()
        return wrong("clock", f"{seconds:.0f} s {side} the provider's", f"calling hours go by it, set it: {keep}")
    compared = "" if ahead is None else "; it agrees with the provider's now, to some seconds"
    if kept is None:
        return unknown("clock", f"unknown whether it is synchronized: the kernel can't be asked here{compared}")
    if not kept:
        return warning("clock", f"not synchronized, says the kernel{compared}", keep)
    return good("clock", f"synchronized, says the kernel{compared}")


def time_zones(version: str | None, source: str, today: datetime) -> Finding:
    """Judge the version of the time zone data, like `2026a`; None if the data has no version."""
    found = None if version is None else _VERSION.fullmatch(version)
    if found is None:
        return unknown("time zones", f"unknown how old the data in {source} is: it has no version")
    text = f"version {version}, in {source}"
    if int(found[1]) > today.year - _OLD_YEARS:
        return good("time zones", text)
    fix = "update it, or calls follow old rules: apt-get install tzdata, or pip install -U tzdata"
    return warning("time zones", f"{text}, is old", fix)


def uncallable(reasons: Mapping[str, int]) -> list[Finding]:
    """Report how many waiting reminders can't be called, for each reason."""
    return [
        wrong(
            "reminders",
            f"{count} waiting {'reminder' if count == 1 else 'reminders'} can't be called: {reason}",
            "correct them, or the configuration, before they are due: then they fail",
        )
        for reason, count in reasons.items()
    ]


def accounts(found: Sequence[tuple[str, bool, bool]]) -> list[Finding]:
    """Judge the accounts of the front desk's pages: each is a name, whether it is an admin, and has codes."""
    about = "accounts"
    if not found:
        return [warning(about, "there is none, so nobody can log in to the pages", "reminderd user add NAME")]
    judged = []
    if not any(is_admin for _, is_admin, _ in found):
        text, fix = "there is no admin, so nobody can resume on the pages", "reminderd user add NAME --role admin"
        judged.append(warning(about, text, fix))
    without = [name for name, is_admin, has_codes in found if is_admin and not has_codes]
    if without:
        text = f"only a password protects {', '.join(without)}, with the role admin"
        judged.append(warning(about, text, "reminderd user passwd NAME --totp"))
    return judged or [good(about, f"{len(found)}, and each admin logs in with a one-time code")]


def open_to_others(mode: int, folders: Iterable[int]) -> bool:
    """Return whether every user can read or write a file with this mode, inside folders with these modes."""
    return bool(mode & (S_IROTH | S_IWOTH)) and all(folder & S_IXOTH for folder in folders)


def replaceable(folders: Iterable[int]) -> bool:
    """Return whether every user can replace a file; `folders` has the modes of its folder and of those above."""
    own, *above = folders
    return bool(own & S_IWOTH) and not own & S_ISVTX and all(folder & S_IXOTH for folder in (own, *above))


def schema(version: int, newest: int) -> Finding:
    """Judge the database's schema, which this program knows."""
    if version == newest:
        return good("schema", f"{version}, the newest")
    text = f"{version or 'none yet'}, and this program's is {newest}"
    return warning("schema", text, "make a backup, stop the daemon, then reminderd db migrate")


def daemons(alive: Sequence[Daemon]) -> list[Finding]:
    """Judge the daemons on the database that are alive."""
    about = "daemons"
    differ = [text_of(each, str).rpartition("; ") for each in differences(alive)]
    if differ:
        return [warning(about, text, fix) for text, _, fix in differ]
    # A pid right next to a version looks like a phone number, and would be masked.
    places = ", ".join(f"version {one.version} at {one.place}" for one in alive)
    return [good(about, f"running: {places}" if alive else "none is running on this database")]


def wal(size: int) -> Finding:
    """Judge the size of the write-ahead log, in bytes."""
    if size <= WAL_LARGE:
        return good("write-ahead log", _size(size))
    fix = "a program holds a transaction open, find and end it: fuser -v on the -wal file lists the programs"
    return warning("write-ahead log", f"has grown to {_size(size)}", fix)


def _size(size: int) -> str:
    for unit, bytes_in_it in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_in_it:
            return f"{size / bytes_in_it:.1f} {unit}"
    return f"{size} bytes"


def address(host: str, found: Sequence[str]) -> Finding:
    """Judge the addresses of a host's name, as seen from here."""
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
    """Report that the provider has not reached our address since then."""
    return wrong(
        "public address",
        f"dialing is paused since {since.astimezone(zone):%Y-%m-%d %H:%M %Z}: {UNREACHED}",
        "compare it with DNS, the firewall, Caddy and the provider's own log of errors; then reload the daemon",
    )


def results(backlog: Backlog, now: datetime) -> list[Finding]:
    """Report whether changes of outcomes are received by the clinic's own system."""
    late = undelivered_warning(backlog, now)
    fix = "see what answers at that address; they are sent again until it accepts them, see results.md"
    if late is not None:
        return [wrong("results", text_of(late, str), fix)]
    return [good("results", f"{backlog.waiting} changes wait")]


def certificate(since: datetime, until: datetime, now: datetime) -> Finding:
    """Judge a valid certificate by the time that it has left."""
    left = until - now
    text = (
        f"valid, for {left.days} more days" if left.days > 1 else f"valid, for {left // timedelta(hours=1)} more hours"
    )
    if left * _RENEWED_LATE >= until - since:
        return good("certificate", text)
    return warning("certificate", text, "it should have been renewed by now: journalctl -u caddy shows why it was not")


def in_front(server: str, via: str) -> Finding:
    """Judge the headers in which a web server names itself; our own server does not send them."""
    named = server or via
    if "caddy" in f"{server} {via}".lower():
        return good("web server", "Caddy is in front")
    if named:
        return good("web server", f"{named} is in front; this documentation describes Caddy")
    fix = (
        "put Caddy in front, and keep [web].host at 127.0.0.1; nothing to do if there is one that does not name itself"
    )
    return warning("web server", "no Server and no Via header names one in front", fix)


def plain_http(status: int, location: str, host: str) -> Finding:
    """Judge the answer of the same host to a request over http, without TLS."""
    if 300 <= status < 400 and f"{location}/".lower().startswith(f"https://{host}/".lower()):
        return good("plain http", "leads to https")
    fix = "redirect it to https, as Caddy does by default, so that everything is encrypted"
    return warning("plain http", f"answered with {status}, and does not lead to https", fix)


def kept_inside(exposed: Sequence[str]) -> Finding:
    """Judge the paths that must not be reachable from outside, but are."""
    if not exposed:
        return good("kept inside", "/api and /health/ready do not answer from outside")
    fix = "let Caddy pass on /webhooks/* and /health only; see operations.md"
    if "/api" in exposed:
        return wrong("kept inside", f"{' and '.join(exposed)} can be reached from outside", fix)
    return warning("kept inside", f"{' and '.join(exposed)} can be reached from outside", fix)


@frozen
class Trial:
    """How one of the two webhooks that the doctor sends was answered."""

    status: int | None
    """None if there was no answer."""
    error: str
    """The `error` of our own answers; empty in answers of other programs. Without an answer, the reason."""

    @property
    def is_refused(self) -> bool:
        """Return whether the daemon refused it as forged."""
        return self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} and self.error == "Invalid signature"

    @property
    def is_accepted(self) -> bool:
        """Return whether the daemon accepted it, and refused only the reminder that it names, which does not exist."""
        return self.status == HTTPStatus.NOT_FOUND and self.error == "Unknown reminder"

    @property
    def is_unknown_path(self) -> bool:
        """Return whether the daemon has no such path."""
        return self.status == HTTPStatus.NOT_FOUND and self.error == "Not found"

    @property
    def is_ours(self) -> bool:
        """Return whether it was the daemon that answered."""
        return self.status is not None and bool(self.error)


def webhooks(signed: Trial, forged: Trial, where: str) -> Finding:
    """Judge the answers to two webhooks: one signed with the configured secret, one with an invented one."""
    restart = "restart the daemon if this configuration is newer than its start; else it runs with another one"
    for trial in (forged, signed):
        if trial.status is None:
            return unknown("webhooks", f"no answer at {where}: {trial.error}")
        if not trial.is_ours:
            fix = "let Caddy pass /webhooks/* on to [web].port; see operations.md"
            return wrong("webhooks", f"{where} answers {trial.status}, and it is not the daemon that answers", fix)
    if forged.is_unknown_path:
        return wrong("webhooks", f"the daemon at {where} accepts no webhooks of this provider", restart)
    if not forged.is_refused:
        return wrong("webhooks", f"a forged one is not refused at {where}: answer {forged.status}", restart)
    if signed.is_refused:
        return wrong("webhooks", f"one signed with the configured secret is refused at {where}", restart)
    if signed.is_accepted:
        return good("webhooks", f"a signed one is accepted at {where}, a forged one is refused")
    fix = "see the daemon's log, and /health/ready"
    return warning("webhooks", f"a signed one is accepted at {where}, with {signed.status}: {signed.error}", fix)
