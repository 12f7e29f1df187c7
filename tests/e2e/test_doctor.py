"""`reminderd doctor` as its user types it, with the real daemon and a real Caddy."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, STDOUT

import pytest
import trio
import trustme
from attrs import frozen

from tests.support.caddy import needs_caddy
from tests.support.clinic import Clinic
from tests.support.generic_server import KEY, SECRET, Fault
from tests.support.ports import a_free_port
from tests.support.program import clean_environment, running
from tests.support.twilio_clinic import a_twilio_clinic
from tests.support.twilio_sandbox import FROM, TOKEN
from tests.support.waiting import PATIENCE, until

CADDYFILE = """
{{
    admin off
    auto_https off
}}
https://localhost:{public} {{
    tls {folder}/site.pem {folder}/site.key
    handle /webhooks/* {{
        reverse_proxy 127.0.0.1:{port}
    }}
    handle /health {{
        reverse_proxy 127.0.0.1:{port}
    }}
    handle {{
        respond 404
    }}
}}
"""


@frozen
class Said:
    """The doctor's output and exit code."""

    code: int
    text: str

    @property
    def findings(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.text)["findings"]
        return found

    @property
    def marks(self) -> dict[str, str]:
        return {finding["about"]: finding["mark"] for finding in self.findings}

    def says(self, about: str) -> str:
        return next(finding["text"] for finding in self.findings if finding["about"] == about)


async def doctor(folder: Path, *options: str, env: dict[str, str] | None = None) -> Said:
    command = [sys.executable, "-m", "reminderd", "doctor", *options]
    with trio.fail_after(PATIENCE):
        result = await trio.run_process(
            command,
            cwd=folder,
            env=clean_environment(env),
            stdin=b"",
            capture_stdout=True,
            stderr=STDOUT,
            check=False,
        )
    return Said(result.returncode, result.stdout.decode())


@asynccontextmanager
async def caddy(folder: Path, *, public: int, port: int) -> AsyncIterator[None]:
    """Caddy in front of a port, with a certificate that `authority.pem` vouches for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    leaf = authority.issue_cert("localhost")
    leaf.private_key_pem.write_to_path(str(folder / "site.key"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "site.pem"))
    (folder / "Caddyfile").write_text(CADDYFILE.format(public=public, port=port, folder=folder))
    command = ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
    environment = os.environ | {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, cwd=folder, env=environment, stdin=b"", stderr=DEVNULL, check=False)
        process: trio.Process = await nursery.start(start)
        await until(partial(_listens, public))
        yield
        process.kill()


async def _listens(port: int) -> bool:
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


def files_of(clinic: Clinic) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in clinic.folder.glob("clinic.db*") if not path.match("*-shm")}


async def test_before_the_first_start_the_doctor_finds_no_error_and_creates_nothing(clinic: Clinic) -> None:
    said = await doctor(clinic.folder)
    assert said.code == 0, said.text
    lines = said.text.splitlines()
    assert any(line.startswith("✓ provider ") for line in lines)
    assert any(line.startswith("– database ") and "→" in line for line in lines)
    assert any(
        line.startswith("! configuration ") and "→ set start, end and days in [calling]" in line for line in lines
    )
    assert lines[-1].startswith("nothing to fix, ")
    assert [path.name for path in clinic.folder.iterdir()] == ["config.toml"]


async def test_with_a_running_daemon_all_is_good_and_no_byte_is_written(clinic: Clinic) -> None:
    port = a_free_port()
    env = {"WEBHOOK_PORT": str(port)}
    async with running("run", cwd=clinic.folder, env=env) as program:
        await program.url()
        clinic.insert("r1", "+12025550001")
        await clinic.until("r1", "processing")
        before = files_of(clinic), clinic.count("audit"), clinic.count("webhook_receipts")
        said = await doctor(clinic.folder, "--json", env=env)
        assert (files_of(clinic), clinic.count("audit"), clinic.count("webhook_receipts")) == before
        await program.line("webhook refused with 401")
        await program.line("webhook refused with 404: Unknown reminder.*doctor-")
    assert said.code == 0, said.text
    well = ("files", "disk", "database", "schema", "write-ahead log", "provider", "port", "daemon", "webhooks")
    assert [said.marks[about] for about in well] == ["good"] * len(well), said.text
    assert said.marks["address"] == "unknown"
    assert len(clinic.provider.rings) == 1, "only the daemon's own"


@needs_caddy
async def test_behind_caddy_a_signed_webhook_is_accepted_and_a_forged_one_refused(clinic: Clinic) -> None:
    port, public = a_free_port(), a_free_port()
    env = {
        "WEBHOOK_PORT": str(port),
        "PUBLIC_BASE_URL": f"https://localhost:{public}",
        "SSL_CERT_FILE": str(clinic.folder / "authority.pem"),
    }
    async with caddy(clinic.folder, public=public, port=port):
        async with running("run", cwd=clinic.folder, env=env) as program:
            await program.url()
            said = await doctor(clinic.folder, "--json", env=env)
            stranger = await doctor(clinic.folder, "--json", env=env | {"SSL_CERT_FILE": ""})
        stopped = await doctor(clinic.folder, "--json", env=env)
    assert said.code == 0, said.text
    seen = ("certificate", "from outside", "web server", "kept inside", "webhooks")
    assert [said.marks[about] for about in seen] == ["good"] * len(seen), said.text
    assert said.says("webhooks") == f"a signed one is accepted at https://localhost:{public}, a forged one is refused"
    assert said.says("web server") == "Caddy is in front"
    assert (stranger.code, stranger.marks["certificate"]) == (1, "wrong")
    assert f"at http://127.0.0.1:{port}" in stranger.says("webhooks"), "asked on this machine instead"
    assert (stopped.code, stopped.marks["from outside"], stopped.marks["webhooks"]) == (0, "warning", "unknown")


async def test_the_doctor_finds_a_secret_that_the_daemon_has_not_read_yet(clinic: Clinic) -> None:
    port = a_free_port()
    env = {"WEBHOOK_PORT": str(port)}
    async with running("run", cwd=clinic.folder, env=env) as program:
        await program.url()
        clinic.configure(secret="whsec_" + "QUJD" * 8)
        said = await doctor(clinic.folder, "--json", env=env)
    assert (said.code, said.marks["webhooks"]) == (1, "wrong")
    assert said.says("webhooks") == f"one signed with the configured secret is refused at http://127.0.0.1:{port}"


async def test_twilios_webhooks_are_checked_with_twilios_signature(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        said = await doctor(tmp_path, "--json")
        await program.line("webhook refused with 403")
        assert not clinic.twilio.calls
    assert said.marks["webhooks"] == "good", said.text
    assert TOKEN not in said.text
    assert FROM not in said.text


async def test_an_error_is_one_line_without_a_secret_or_a_phone_number(clinic: Clinic) -> None:
    clinic.provider.fault = lambda *_: Fault.UNAUTHORIZED
    (clinic.folder / "clinic.db").write_text("This is no database.")
    said = await doctor(clinic.folder, env={"REMINDERD__WEB__HOST": "x" * 64, "WEBHOOK_PORT": "4000"})
    assert said.code == 1
    wrong = [line for line in said.text.splitlines() if line.startswith("✗")]
    assert [line.split()[1] for line in wrong] == ["database", "port"], said.text
    assert all("→" in line for line in wrong)
    assert said.text.splitlines()[-1].startswith("2 to fix, ")
    assert not any(secret in said.text for secret in (KEY, SECRET))


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_phone_numbers_are_masked_wherever_they_come_from(options: tuple[str, ...], clinic: Clinic) -> None:
    said = await doctor(clinic.folder, *options, env={"DATABASE_URL": "sqlite:///12025550001.db"})
    assert "*********01.db" in said.text
    assert "12025550001" not in said.text


async def test_an_ascii_terminal_gets_ascii_marks(clinic: Clinic) -> None:
    said = await doctor(clinic.folder, env={"PYTHONIOENCODING": "ascii", "DATABASE_URL": "sqlite:///für.db"})
    assert {line.split()[0] for line in said.text.splitlines()[:-1]} == {"+", "!", "-"}
    assert "f?r.db -> nothing" in said.text


async def test_all_errors_in_the_configuration_are_listed(clinic: Clinic) -> None:
    (clinic.folder / "config.toml").write_text("[web]\nprot = 4000\n[worker]\ndialers = 0\n")
    said = await doctor(clinic.folder)
    assert said.code == 2
    assert [line.split(":")[0] for line in said.text.splitlines()] == ["config.toml", "config.toml"]


@pytest.mark.parametrize("typed", ["--josn", "now"])
async def test_wrong_usage_is_reported(typed: str, clinic: Clinic) -> None:
    said = await doctor(clinic.folder, typed)
    assert said.code == 2
    assert typed in said.text
