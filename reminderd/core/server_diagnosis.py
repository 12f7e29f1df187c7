"""Judge the facts that the doctor has collected about a PostgreSQL server, as findings that say what to do."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from attrs import frozen

from reminderd.core.diagnosis import Finding, good, unknown, warning, wrong

OLDEST: Final = 13
"""The oldest version of PostgreSQL with everything that the schema uses."""

CLOCKS_APART: Final = timedelta(seconds=1)
"""A difference that network delays can't explain. The database has the server's times; calling hours use our clock."""

MESSAGES_A_CALL: Final = 15
"""How many times a call, from its claim to its last report, waits for the server while no other machine can write."""

SLOW: Final = timedelta(milliseconds=5)
"""Servers in the same data center answer within one millisecond."""

CONNECTIONS_LOW: Final = 10
"""A daemon keeps four connections open, and each command one more."""


@frozen(kw_only=True)
class ServerFacts:
    """The facts about a server that one connection shows."""

    version: int
    """As the server numbers its versions: 150008 is 15.8."""
    encoding: str
    """The encoding of the database."""
    missing_rights: tuple[str, ...]
    """Privileges that this role needs and lacks: "UPDATE on reminders"."""
    is_near: bool
    """Whether the connection does not leave this machine."""
    is_encrypted: bool
    is_verified: bool
    """Whether the server's certificate was verified for the host name in the URL."""
    unsafe: tuple[str, ...]
    """Settings with which a crash can lose committed changes: "fsync = off"."""
    standbys: int
    """How many standbys replicate its data right now."""
    waits_for_standbys: bool
    """Whether a commit is confirmed only after a standby has it, too."""
    is_pooled: bool
    """Whether a connection pooler, such as PgBouncer, is in between."""
    ahead: timedelta
    """How far the server's clock is ahead of ours."""
    round_trip: timedelta
    """How long the server takes to answer."""
    connections_left: int
    """How many more connections it accepts from this role."""


def server(facts: ServerFacts, *, failover_is_lossless: bool) -> list[Finding]:
    """Judge a server."""
    return [
        *_of_the_server(facts),
        _of_the_way(facts),
        _of_its_care(facts.unsafe),
        *_of_its_standbys(facts, is_lossless=failover_is_lossless),
        *([_POOLED] if facts.is_pooled else []),
        _of_its_clock(facts.ahead),
        _of_the_round_trip(facts.round_trip),
        _of_its_connections(facts.connections_left),
    ]


def schema(version: int, newest: int) -> Finding:
    """Judge the schema of tables that this program can use, or upgrade."""
    if not version:
        return unknown("schema", "there are no tables yet", "nothing, if this is new: reminderd run creates them")
    if version < newest:
        text = f"{version}, and this program's is {newest}"
        return warning("schema", text, "make a backup, then run reminderd db migrate: see postgresql.md")
    newer = "the newest" if version == newest else f"newer than this program's {newest}, but this program can use it"
    return good("schema", f"{version}, {newer}")


_SERVER: Final = "server"

_POOLED: Final = warning(
    "pooler",
    "there is a connection pooler, such as PgBouncer, before the server: notifications may not arrive",
    "connect to PostgreSQL directly: see postgresql.md",
)


def _of_the_server(facts: ServerFacts) -> Iterator[Finding]:
    major, minor = divmod(facts.version, 10_000)
    if major < OLDEST:
        yield wrong(_SERVER, f"PostgreSQL {major}; expected {OLDEST} or later", "upgrade the server")
    if facts.encoding != "UTF8":
        fix = "create the database again: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        yield wrong(_SERVER, f"the database's encoding is {facts.encoding}, not UTF8", fix)
    for right in facts.missing_rights:
        yield wrong(_SERVER, f"this role lacks a privilege: {right}", "grant it to the role: see postgresql.md")
    yield good(_SERVER, f"PostgreSQL {major}.{minor} answers")


def _of_the_way(facts: ServerFacts) -> Finding:
    about = "encryption"
    if facts.is_near:
        return good(about, "not needed, as the connection does not leave this machine")
    fix = "add sslmode=verify-full to [database].url, and sslrootcert=FILE with the server's CA: see postgresql.md"
    if not facts.is_encrypted:
        return wrong(
            about, "the connection to the server is not encrypted, so patients' data can be read on its way", fix
        )
    if not facts.is_verified:
        return warning(
            about,
            "the connection is encrypted, but nothing verifies that the server is the one in [database].url",
            fix,
        )
    return good(about, "the connection is encrypted, and the server is the one in [database].url")


def _of_its_care(unsafe: tuple[str, ...]) -> Finding:
    if not unsafe:
        return good("durability", "what was committed survives a crash of the server")
    lost = "a crash of the server can lose calls that were placed, so that patients are called twice"
    return wrong("durability", f"{', '.join(unsafe)}: {lost}", "turn it on in postgresql.conf, or for the role")


def _of_its_standbys(facts: ServerFacts, *, is_lossless: bool) -> Iterator[Finding]:
    about = "failover"
    if not facts.standbys:
        return
    if facts.waits_for_standbys:
        yield good(about, "a standby confirms each commit")
    elif is_lossless:
        fix = "set synchronous_standby_names, or [database].failover_is_lossless = false"
        yield wrong(about, "[database].failover_is_lossless is true, but no standby confirms each commit", fix)
    else:
        text = "no standby confirms each commit, so a failover can lose calls: dialing is then paused"
        yield warning(
            about, text, "set synchronous_standby_names, or expect to check manually who was called: postgresql.md"
        )


def _of_its_clock(ahead: timedelta) -> Finding:
    if abs(ahead) <= CLOCKS_APART:
        return good("server's clock", "agrees with this machine's")
    side = "ahead of" if ahead > timedelta(0) else "behind"
    text = f"{abs(ahead).total_seconds():.1f} s {side} this machine's"
    return warning("server's clock", text, "synchronize both: timedatectl set-ntp true, or install chrony")


def _of_the_round_trip(time: timedelta) -> Finding:
    calls = max(1, round(1 / (MESSAGES_A_CALL * max(time.total_seconds(), 1e-6))))
    text = f"{time.total_seconds() * 1000:.2f} ms: all machines together can place some {calls:,} calls a second"
    if time <= SLOW:
        return good("round trip", text)
    return warning("round trip", text, "if that is too few, move the machines and the server closer together")


def _of_its_connections(left: int) -> Finding:
    text = f"the server accepts {max(left, 0)} more"
    if left >= CONNECTIONS_LOW:
        return good("connections", text)
    return warning("connections", text, "raise max_connections, or the limit of the role or the database")
