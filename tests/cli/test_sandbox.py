"""The sandbox as a program: its options, and that it serves."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.conftest import Terminal
from tests.support.program import clean_environment
from tests.support.waiting import PATIENCE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("words", "mistakes"),
    [
        ("", ["--webhook-url", "--webhook-secret"]),
        ("--webhook-url http://127.0.0.1:1 --webhook-secret short", ["--webhook-secret"]),
        ("--webhook-secret short", ["--webhook-url", "--webhook-secret"]),
        (f"--webhook-secret {SECRET} --auth-token t", ["--auth-token", "--webhook-url"]),
        (
            "--dialect twilio --account-sid AC1 --auth-token= --webhook-url u --webhook-secret s --api-key k",
            ["--webhook-url", "--webhook-secret", "--api-key", "--account-sid", "--auth-token"],
        ),
    ],
)
def test_every_mistake_is_reported_at_once(terminal: Terminal, words: str, mistakes: list[str]) -> None:
    shown = terminal.type("sandbox", *words.split(), code=2).stderr
    assert [line.partition(":")[0] for line in shown.splitlines()] == mistakes


def test_an_unknown_dialect_is_wrong_usage(terminal: Terminal) -> None:
    assert "twilio" in terminal.type("sandbox", "--dialect", "latin", code=2).stderr


def test_the_help_explains_how_to_use_the_sandbox(terminal: Terminal) -> None:
    shown = "".join(terminal.type("sandbox", "--help").stdout.split())
    assert "AC" + "0" * 32 in shown
    assert "0123456789abcdef" * 2 in shown


@contextlib.contextmanager
def serving(*words: str) -> Iterator[str]:
    """Run the real program; yield its URL."""
    command = [sys.executable, "-m", "reminderd", "sandbox", "--port", "0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) as program:
        assert program.stderr is not None
        try:
            yield program.stderr.readline().rpartition(" at ")[2].strip()
        finally:
            program.send_signal(signal.SIGTERM)
            assert program.wait(PATIENCE) == 0


def test_it_serves_the_generic_contract_until_it_is_stopped() -> None:
    with serving("--webhook-url", "http://127.0.0.1:1", "--webhook-secret", SECRET) as url:
        answer = httpx.get(
            f"{url}/calls", headers={"Authorization": "Bearer sandbox"}, trust_env=False, timeout=PATIENCE
        )
        assert answer.json() == {"calls": []}


def test_it_serves_twilios_dialect_until_it_is_stopped() -> None:
    account = "AC" + "0" * 32
    with serving("--dialect", "twilio") as url:
        auth = (account, "0123456789abcdef" * 2)
        answer = httpx.get(f"{url}/2010-04-01/Accounts/{account}.json", auth=auth, trust_env=False, timeout=PATIENCE)
        assert answer.json()["status"] == "active"
