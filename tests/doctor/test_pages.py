from functools import partial
from pathlib import Path

import pytest

from reminderd.config import Config
from reminderd.config.installation import DatabaseConfig, DeskConfig
from reminderd.core.diagnosis import Mark
from reminderd.core.logins import Role
from reminderd.doctor.connections import DoctorClient, check_pages
from reminderd.doctor.machine import check_accounts
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import transaction
from reminderd.store.users import Secrets, add_user
from tests.support.builders import NOW
from tests.support.desk import desk_of
from tests.support.hostile_provider import answering, cut, hear, hostile, nobody_listens


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(database=DatabaseConfig(folder=tmp_path), desk=DeskConfig(port=4080))


def add(config: Config, name: str, role: Role, key: str | None) -> None:
    with open_sync(config.database.target) as connection:
        secrets = Secrets(password_hash="", totp_secret=key)
        transaction(connection, partial(add_user, name=name, role=role, secrets=secrets, actor="root"), NOW)


def marks(config: Config) -> list[tuple[Mark, str]]:
    return [(finding.mark, finding.text) for finding in check_accounts(config)]


def test_without_a_database_or_without_pages_there_is_nothing_to_check(config: Config, tmp_path: Path) -> None:
    assert marks(config) == []
    add(config, "anna", Role.DESK, None)
    assert marks(Config(database=DatabaseConfig(folder=tmp_path))) == []


def test_a_database_that_cannot_be_read_is_reported_by_others(config: Config) -> None:
    (config.database.folder / "reminderd.db").write_text("This is no database." * 100)
    assert marks(config) == []


def test_pages_without_an_account_are_a_warning(config: Config) -> None:
    with open_sync(config.database.target):
        pass
    assert marks(config) == [(Mark.WARNING, "there is none, so nobody can log in to the pages")]


def test_an_admin_without_codes_is_named(config: Config) -> None:
    for name, role, key in (("anna", Role.ADMIN, None), ("berta", Role.DESK, None), ("clara", Role.ADMIN, "KEY")):
        add(config, name, role, key)
    assert marks(config) == [(Mark.WARNING, "only a password protects anna, with the role admin")]


# Whether they answer


async def looked(url: str, ask: DoctorClient, host: str = "127.0.0.1") -> tuple[Mark, str]:
    port = int(url.rpartition(":")[2])
    (found,) = await check_pages(Config(desk=DeskConfig(host=host, port=port)), ask)
    assert found.about == "pages"
    return found.mark, found.text.replace(f" {port}", " N")


async def test_without_a_port_nobody_is_asked(ask: DoctorClient) -> None:
    assert await check_pages(Config(), ask) == []


@pytest.mark.parametrize("role", [None, Role.DESK])
async def test_our_own_pages_are_recognized_also_before_the_first_account(
    tmp_path: Path, ask: DoctorClient, role: Role | None
) -> None:
    async with desk_of(tmp_path, role=role) as desk:
        assert await looked(desk.url, ask) == (Mark.GOOD, "they answer at 127.0.0.1 port N")


async def test_another_program_on_the_port_of_the_pages_is_wrong(ask: DoctorClient) -> None:
    async with hostile(answering(200, b"Hello.")) as server:
        mark, text = await looked(server.url, ask)
    assert (mark, text) == (Mark.WRONG, "127.0.0.1 port N is used by a program that does not answer as they do")


async def test_a_program_that_hangs_up_is_wrong(ask: DoctorClient) -> None:
    async with hostile((hear, cut)) as server:
        mark, text = await looked(server.url, ask)
    assert mark is Mark.WRONG
    assert text.startswith("no answer at 127.0.0.1 port N: ")


async def test_a_port_where_nobody_listens_says_how_to_open_it(ask: DoctorClient) -> None:
    with nobody_listens() as url:
        occupied = url
    assert await looked(occupied, ask) == (Mark.UNKNOWN, "not checked: nobody listens on 127.0.0.1 port N")


async def test_an_address_of_another_machine_is_wrong(ask: DoctorClient) -> None:
    mark, text = await looked("http://127.0.0.1:47119", ask, host="192.0.2.1")
    assert mark is Mark.WRONG
    assert text.startswith("can't listen on 192.0.2.1 port N: ")
