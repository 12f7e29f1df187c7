"""The sandbox and a clinic's data: a daemon that finds no configuration must not record patients as called."""

from pathlib import Path

from tests.support.clinic import Clinic
from tests.support.program import running

ADD = ("add", "--phone", "+493012345678", "--at", "2030-01-07 09:30Z", "--message", "Tomorrow at nine.", "--ref", "r1")


async def test_a_new_users_add_and_run_need_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "reminderd.db").touch()  # an empty file is nobody's
    async with running("run", cwd=tmp_path, env={"REMINDERD__WEB__PORT": "0"}) as program:
        await program.url()
        assert await program.terminate() == 0
    async with running(*ADD, cwd=tmp_path) as add:
        assert await add.ended() == 0
    async with running("run", cwd=tmp_path, env={"REMINDERD__WEB__PORT": "0"}) as again:
        await again.url()


async def test_a_daemon_with_a_real_provider_closes_the_database_to_the_sandbox(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        assert await program.terminate() == 0
    file = clinic.folder / "config.toml"
    file.rename(clinic.folder / "config.toml.off")
    there = {"DATABASE_URL": "sqlite:///clinic.db", "REMINDERD__WEB__PORT": "0"}
    async with running("run", cwd=clinic.folder, env=there) as refused:
        assert await refused.ended() == 2
    [line] = refused.lines
    assert line == (
        f"there is no configuration file {file}, but {clinic.folder / 'clinic.db'} has been in use with the provider"
        " generic; expected --config FILE with [provider], or --sandbox to simulate all calls"
    )
    async with running("run", "--sandbox", cwd=clinic.folder, env=there) as insists:
        await insists.url()
        assert any("WARNING all calls are simulated, though " in line for line in insists.lines)
        assert await insists.terminate() == 0
