"""`reminderd demo --desk` shows a busy day with nothing set up; it touches nothing, and leaves nothing behind."""

import signal
from pathlib import Path

import httpx
import pytest

from tests.support.desk_program import demo_desk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_where_to_log_in_and_ends_without_a_trace(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "config.toml").write_text("this is no configuration")
    (tmp_path / "reminderd.db").write_text("this is no database")
    with demo_desk(tmp_path) as (process, printed):
        assert printed.keys() == {"address", "user name", "password"}
        page = httpx.get(printed["address"], follow_redirects=True, trust_env=False)
        assert page.status_code == 200
        assert "Riverside Practice" in page.text
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "config.toml").read_text() == "this is no configuration"
    assert (tmp_path / "reminderd.db").read_text() == "this is no database"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "reminderd.db", "tmp"]


def test_it_speaks_german_and_takes_another_port_if_its_own_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with demo_desk(tmp_path / "one") as (_, first), demo_desk(tmp_path / "other", "--language", "de") as (_, second):
        assert first["address"] != second["address"]
        assert "Anmelden" in httpx.get(f"{second['address']}/login", trust_env=False).text
