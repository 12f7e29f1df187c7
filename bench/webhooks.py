"""Measure how many webhooks a second the daemon makes durable, compared with what its web framework can answer."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench.figure import Bar, Figure
from bench.program import SECRET, daemon, server
from bench.rows import MESSAGE, phone
from bench.wire import Burst, burst, drive, rendered
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer
from reminderd.providers.generic.webhooks import signer
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import to_ms

CONNECTIONS: Final = 16
"""The usual number of the provider's connections."""
_BARS: Final = {1: 0.5, CONNECTIONS: 0.75, 128: 0.95}
"""The ratio that we aim at for each number of connections."""
A_ROUND: Final = 1_000
"""The number of webhooks in a round, each for another call."""
A_BURST: Final = 1_500
BURST_CONNECTIONS: Final = 480

TRANSCRIPT: Final = (
    "Your appointment is tomorrow at nine. Please press one to confirm. - Yes, I will be there. - Thank you."
)


def measure(
    folder: Path,
    *,
    rounds: int = 7,
    connections: Sequence[int] = (1, CONNECTIONS, 128),
    database: PostgresServer | None = None,
) -> list[Figure]:
    with (
        server("bench.raw_provider", "0") as raw,
        server("bench.empty_handler") as empty,
        daemon(folder / "webhooks", provider_url=raw, database=database) as ours,
        open_sync(ours.database) as connection,
    ):
        hook = f"{ours.url}/webhooks/call-status"
        _round(connection, (hook, empty, raw), CONNECTIONS)  # to warm up
        rates = {count: [_round(connection, (hook, empty, raw), count) for _ in range(rounds)] for count in connections}
        morning = _morning(connection, hook)
    durable, answered, sent = zip(*rates[CONNECTIONS], strict=True)
    return [
        *(_ratio(count, [mine / theirs for mine, theirs, _ in rates[count]]) for count in connections),
        Figure.of_rounds(
            durable,
            name="webhooks, durable",
            unit="/s",
            better="more",
            meaning=f"by the daemon over {CONNECTIONS} connections, every one a call's end",
        ),
        Figure.of_rounds(answered, name="webhooks, empty", unit="/s", meaning="by the empty handler"),
        Figure(
            name="webhooks, burst: refused",
            value=float(morning.refused),
            unit="",
            bar=Bar("at most", 0),
            meaning=f"of {A_BURST:,} that come at once over {BURST_CONNECTIONS} connections",
        ),
        Figure(
            name="webhooks, burst: slowest",
            value=morning.slowest,
            unit="s",
            bar=Bar("at most", 1),
            meaning="to be answered",
        ),
        Figure.of_rounds(sent, name="webhooks, client", unit="/s", meaning="what the load client can drive at least"),
    ]


def _ratio(connections: int, rounds: Sequence[float]) -> Figure:
    usual = connections == CONNECTIONS
    return Figure.of_rounds(
        rounds,
        name="webhooks" if usual else f"webhooks, {connections} connection{'' if connections == 1 else 's'}",
        unit="",
        bar=Bar("at least", _BARS[connections]),
        better="more",
        meaning="verified, parsed and committed ÷ answered by an empty handler on the same framework",
    )


def _round(connection: Connection, urls: tuple[str, str, str], connections: int) -> tuple[float, float, float]:
    """Return webhooks a second: by the daemon, the empty handler, and a raw server, which shows the client's limit."""
    now = SystemClock().now()
    calls = [(str(uuid4()), str(uuid4())) for _ in range(A_ROUND)]
    transaction(connection, partial(add_accepted, calls=calls), now)
    bodies = [report(reminder_id, call_id) for reminder_id, call_id in calls]
    ours, empty, raw = (_rate(url, bodies, now, connections) for url in urls)
    unreported = connection.execute(
        "SELECT count(*) FROM reminders JOIN call_logs ON call_logs.reminder_id = reminders.id"
        " WHERE reminders.status <> 'called' OR transcript IS DISTINCT FROM ?",
        (TRANSCRIPT,),
    ).fetchone()[0]
    assert unreported == 0, f"{unreported} webhooks were answered and not recorded"
    return ours, empty, raw


def _morning(connection: Connection, url: str) -> Burst:
    """Send the webhooks of nine in the morning, all at once; return how they were answered."""
    now = SystemClock().now()
    calls = [(str(uuid4()), str(uuid4())) for _ in range(A_BURST)]
    transaction(connection, partial(add_accepted, calls=calls), now)
    return burst(url, signed(url, [report(*call) for call in calls], now), connections=BURST_CONNECTIONS)


def add_accepted(
    connection: Connection, now: datetime, *, calls: Sequence[tuple[str, str]], first_phone: int = 0
) -> None:
    """Add reminders whose only call the provider has accepted, as the daemon leaves them."""
    placed, checked = to_ms(now), to_ms(now + timedelta(hours=1))
    connection.executemany(
        "INSERT INTO reminders (id, phone_number, message, scheduled_at, status) VALUES (?, ?, ?, ?, 'processing')",
        ((reminder_id, phone(n), MESSAGE, placed) for n, (reminder_id, _) in enumerate(calls, first_phone)),
    )
    connection.executemany(
        "INSERT INTO call_logs (id, reminder_id, phone_number, state, provider, external_call_id, status, requests,"
        " evidence, wake_at, last_sign_at) VALUES (?, ?, ?, 'placed', 'generic', ?, 'queued', 1, 1, ?, ?)",
        (
            (call_id, reminder_id, phone(n), f"at-{call_id}", checked, placed)
            for n, (reminder_id, call_id) in enumerate(calls, first_phone)
        ),
    )
    connection.executemany(
        "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest)"
        " VALUES (?, ?, 0, ?, '')",
        ((call_id, reminder_id, placed) for reminder_id, call_id in calls),
    )
    connection.execute("UPDATE reminders SET wake_at = NULL, revision = revision + 1 WHERE status = 'processing'")


def report(reminder_id: str, call_id: str) -> str:
    """Return what the provider reports at the end of a call."""
    return json.dumps(
        {
            "call_id": f"at-{call_id}",
            "status": "completed",
            "metadata": {"reminder_id": reminder_id, "attempt_id": call_id},
            "transcript": TRANSCRIPT,
            "duration": 23,
            "answered_by": "human",
        }
    )


def _rate(url: str, bodies: Sequence[str], now: datetime, connections: int) -> float:
    """Send each body once, signed in advance; return how many were answered a second."""
    return drive(url, signed(url, bodies, now), connections=connections).a_second


def signed(url: str, bodies: Sequence[str], now: datetime) -> list[bytes]:
    """Return webhooks as the bytes that are sent."""
    webhook = signer(SECRET)
    requests = []
    for body in bodies:
        message_id = f"msg_{uuid4()}"
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign(message_id, now, body),
        }
        requests.append(rendered("POST", url, headers, body.encode()))
    return requests
