import pytest

from reminderd.databases import PostgresServer


@pytest.mark.parametrize(
    ("url", "spoken"),
    [
        ("postgresql://clinic:pass%40word@db.example:5432/reminders", "postgresql://clinic@db.example:5432/reminders"),
        ("postgresql://clinic@db.example/reminders?sslmode=require", "postgresql://clinic@db.example/reminders"),
        ("postgresql://a:secret@one:5432,two:5433/reminders", "postgresql://a@one:5432,two:5433/reminders"),
        ("postgres:///reminders?host=/run/postgresql&password=secret", "postgresql:///reminders"),
    ],
)
def test_a_server_is_named_without_its_password(url: str, spoken: str) -> None:
    server = PostgresServer(url)

    assert server.shown_name == spoken
    assert "secret" not in f"{server!r} {server.shown_name}"
    assert "pass" not in f"{server!r} {server.shown_name}"
