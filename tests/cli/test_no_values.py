"""A secret that was put in the wrong place of the configuration is printed by no message and by no command."""

from typing import Final

import pytest

from reminderd.cli.main import reminderd
from reminderd.config.coercion import all_keys
from tests.cli.conftest import Terminal

SECRETS: Final = ("sk-live-77AbCd", "Zm9v/YmFyQmF6/UXV1eA==", "x" * 300)
COMMANDS: Final = (["check-config"], ["doctor"], ["status"], ["list"], ["db", "check"])
SPOKEN: Final = "messages"
"""The section that is spoken to every patient."""


def pieces(secret: str) -> list[str]:
    """Return the pieces that would reveal a secret."""
    return [secret[:200], *(piece for piece in secret.split("/") if len(piece) > 3)]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("path", [path for path, _ in all_keys()], ids=".".join)
def test_no_value_is_printed_for_any_key(
    terminal: Terminal, path: tuple[str, ...], secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    *section, key = path
    is_list = key in {"urls", "days", "holidays", "trusted_proxies"}
    said = ""
    for value in {f'"{secret}"', f'["{secret}"]' if is_list else f'"{secret}"'}:
        (terminal.folder / "config.toml").write_text(f"[{'.'.join(section)}]\n{key} = {value}\n")
        said += _said(terminal, path)
    (terminal.folder / "config.toml").unlink()
    monkeypatch.setenv(f"REMINDERD__{'__'.join(path).upper()}", secret)
    said += _said(terminal, path)
    assert [piece for piece in pieces(secret) if piece in said] == []


@pytest.mark.parametrize(
    "toml",
    [
        "sk-live-77AbCd = 1",
        "[sk-live-77AbCd]\nport = 1",
        "[web]\nsk-live-77AbCd = 1",
        "[web.sk-live-77AbCd]",
        "[sk-live-77AbCd]\n[sk-live-77AbCd]",
        "[messages.templates]\nsk-live-77AbCd = 1",
        '[messages.templates]\nabc77abcd77 = "{sk_live_77AbCd}"',
        '[messages]\ngreeting = "{sk_live_77AbCd}"',
        "x = {sk-live-77AbCd = 1, sk-live-77AbCd = 2}",
        "[web]\nport = sk-live-77AbCd",
        'web = "sk-live-77AbCd"',
    ],
)
def test_no_name_is_printed_that_may_be_a_secret(terminal: Terminal, toml: str) -> None:
    (terminal.folder / "config.toml").write_text(toml)
    said = terminal.type("check-config", code=2).output
    assert said
    assert "77" not in said


def test_no_variable_is_printed_that_may_be_a_secret(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMINDERD__API__77ABCD", "1")
    assert "77" not in terminal.type("check-config", code=2).output


def test_no_path_in_a_variable_is_printed(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMINDERD_CONFIG", "sk-live-77AbCd")
    assert terminal.type("check-config", code=2).stderr == (
        "environment REMINDERD_CONFIG: there is no such file; expected the path of the configuration\n"
    )


def _said(terminal: Terminal, path: tuple[str, ...]) -> str:
    """Return the output of the commands; only of the first if the configuration is invalid, as all print the same."""
    first = terminal.runner.invoke(reminderd, ["check-config"]).output
    if path[0] == SPOKEN or "; expected" in first:
        return first
    return first + "".join(terminal.runner.invoke(reminderd, words).output for words in COMMANDS[1:])
