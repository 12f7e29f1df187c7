from functools import partial
from pathlib import Path

import pytest

from reminderd.config import Config, DatabaseConfig
from reminderd.config.schema import DeskConfig
from reminderd.core.diagnosis import Mark
from reminderd.core.logins import Role
from reminderd.doctor.machine import check_accounts
from reminderd.store.sqlite.driver import transaction
from reminderd.store.sqlite.opening import open_sync
from reminderd.store.users import Secrets, add_user
from tests.support.builders import NOW


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(database=DatabaseConfig(folder=tmp_path), desk=DeskConfig(port=4080))


def add(config: Config, name: str, role: Role, key: str | None) -> None:
    with open_sync(config.database.path) as connection:
        secrets = Secrets(password_hash="", totp_secret=key)
        transaction(connection, partial(add_user, name=name, role=role, secrets=secrets, actor="root"), NOW)


def marks(config: Config) -> list[tuple[Mark, str]]:
    return [(finding.mark, finding.text) for finding in check_accounts(config)]


def test_without_a_database_or_without_pages_there_is_nothing_to_check(config: Config, tmp_path: Path) -> None:
    assert marks(config) == []
    add(config, "anna", Role.DESK, None)
    assert marks(Config(database=DatabaseConfig(folder=tmp_path))) == []


def test_a_database_that_cannot_be_read_is_reported_by_others(config: Config) -> None:
    config.database.path.write_text("This is no database." * 100)
    assert marks(config) == []


def test_pages_without_an_account_are_a_warning(config: Config) -> None:
    with open_sync(config.database.path):
        pass
    assert marks(config) == [(Mark.WARNING, "there is none, so nobody can log in to the pages")]


def test_an_admin_without_codes_is_named(config: Config) -> None:
    for name, role, key in (("anna", Role.ADMIN, None), ("berta", Role.DESK, None), ("clara", Role.ADMIN, "KEY")):
        add(config, name, role, key)
    assert marks(config) == [(Mark.WARNING, "only a password protects anna, with the role admin")]
