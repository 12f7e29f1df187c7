from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from reminderd.config import Config

Load = Callable[..., Config]
Errors = Callable[..., list[str]]

SECRET = "whsec_" + b64encode(b"a signing key of so many bytes").decode()
GENERIC = 'provider = { generic = { api_url = "https://voice.example" } }'
ENVIRONMENT = {"VOICE_PROVIDER_API_KEY": "key-1", "REMINDERD__PROVIDER__GENERIC__WEBHOOK_SECRET": SECRET}
SECRET_KEYS = ("api_key", "webhook_secret")


def generic(**keys: str) -> str:
    return "[provider.generic]\n" + "\n".join(f'{key} = "{value}"' for key, value in keys.items())


def test_a_provider_url_selects_generic_unless_kind_is_set(load: Load) -> None:
    assert load(GENERIC, ENVIRONMENT).provider.kind == "generic"
    assert load(GENERIC, ENVIRONMENT | {"REMINDERD__PROVIDER__KIND": "sandbox"}).provider.kind == "sandbox"


def test_the_generic_provider_needs_url_key_and_secret(errors: Errors) -> None:
    found = errors('[provider]\nkind = "generic"')
    assert [line.split(":")[1].strip() for line in found] == [
        "[provider.generic].api_url",
        "[provider.generic].api_key",
        "[provider.generic].webhook_secret",
    ]


def test_an_invalid_url_does_not_hide_missing_keys(errors: Errors) -> None:
    assert len(errors(generic(api_url="voice.example"))) == 3


def test_without_webhook_auth_no_secret_is_needed(load: Load) -> None:
    config = load(generic(api_url="https://voice.example", api_key="k", webhook_auth="none"))
    assert config.provider.generic.webhook_secret == ""


def test_the_sandbox_needs_and_reads_no_secrets(load: Load) -> None:
    toml = '[provider]\nkind = "sandbox"\n' + generic(api_key_file="not-there", webhook_secret="not base64")
    assert load(toml).provider.kind == "sandbox"


@pytest.mark.parametrize("size", [24, 25, 26, 64])
@pytest.mark.parametrize("prefix", ["", "whsec_"])
@pytest.mark.parametrize("padded", [True, False])
def test_a_valid_signing_key_is_decoded_as_the_standard_webhooks_package_does(
    load: Load, *, size: int, prefix: str, padded: bool
) -> None:
    encoded = b64encode(bytes(range(size))).decode()
    secret = prefix + (encoded if padded else encoded.rstrip("="))
    config = load(generic(api_url="https://voice.example", api_key="k", webhook_secret=secret))
    assert Webhook(config.provider.generic.webhook_secret)._whsecret == b64decode(encoded)


@pytest.mark.parametrize(
    ("auth", "secret", "message"),
    [
        ("standard-webhooks", "my own secret!" * 4, "is not base64"),
        ("standard-webhooks", "whsec_", "is not base64"),
        ("standard-webhooks", "abcd-efg_" * 5, "is not base64"),
        ("standard-webhooks", "a" * 33, "is incomplete base64"),
        ("standard-webhooks", b64encode(bytes(23)).decode(), "decodes to 23 bytes"),
        ("standard-webhooks", b64encode(bytes(65)).decode(), "decodes to 65 bytes"),
        ("bearer", "fifteen-letters", "is too short"),
        ("bearer", "sixteen letters!", "can't be sent in an HTTP header"),
    ],
)
def test_a_secret_that_cannot_work_is_an_error_that_does_not_print_it(
    errors: Errors, auth: str, secret: str, message: str
) -> None:
    (line,) = errors(generic(api_url="https://v.example", api_key="k", webhook_auth=auth, webhook_secret=secret))
    assert line.startswith("config.toml: [provider.generic].webhook_secret: ")
    assert message in line
    assert secret.removeprefix("whsec_")[:8] not in line or secret == "whsec_"


def test_a_bearer_token_of_sixteen_characters_is_valid(load: Load) -> None:
    token = "sixteen-letters!"
    toml = generic(api_url="https://v.example", api_key="k", webhook_auth="bearer", webhook_secret=token)
    assert load(toml).provider.generic.webhook_secret == token


def test_a_key_that_is_not_valid_in_a_header_is_an_error(errors: Errors) -> None:
    (line,) = errors(generic(api_url="https://v.example", api_key="schlüssel", webhook_auth="none"))
    assert "can't be sent in an HTTP header" in line
    assert "schl" not in line


def test_secrets_are_read_from_files_relative_to_the_configuration(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-2\n")
    (tmp_path / "secret").write_text(SECRET + "\r\n")
    config = load(generic(api_url="https://v.example", api_key_file="key", webhook_secret_file=f"{tmp_path}/secret"))
    assert config.provider.generic.api_key == "key-2"
    assert config.provider.generic.webhook_secret == SECRET


def test_a_secrets_file_may_be_a_systemd_credential(load: Load, tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "key").write_text("key-2\n")
    toml = generic(api_url="https://v.example", api_key_file="$CREDENTIALS_DIRECTORY/key", webhook_secret=SECRET)
    config = load(toml, {"CREDENTIALS_DIRECTORY": str(folder)})
    assert config.provider.generic.api_key == "key-2"


def test_a_systemd_credential_without_systemd_is_an_error(errors: Errors) -> None:
    toml = generic(api_url="https://v.example", api_key_file="$CREDENTIALS_DIRECTORY/key", webhook_secret=SECRET)
    (line,) = errors(toml)
    assert line.startswith("config.toml: [provider.generic].api_key_file: CREDENTIALS_DIRECTORY is not set; expected")


def test_a_missing_credential_is_an_error_at_the_key_that_names_it(errors: Errors, tmp_path: Path) -> None:
    toml = generic(api_url="https://v.example", api_key_file="$CREDENTIALS_DIRECTORY/secret_ky", webhook_secret=SECRET)
    (line,) = errors(toml, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "api_key_file: the file can't be read (No such file or directory); expected" in line
    assert line.endswith("which the supervisor passes when it starts the daemon")


def test_the_environment_may_name_a_secrets_file_too(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-2")
    environ = ENVIRONMENT | {"VOICE_PROVIDER_API_KEY": "", "REMINDERD__PROVIDER__GENERIC__API_KEY_FILE": "key"}
    assert load(GENERIC, environ).provider.generic.api_key == "key-2"


def test_a_secret_of_the_environment_replaces_both_forms_in_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-2")
    config = load(generic(api_url="https://v.example", api_key_file="missing"), ENVIRONMENT)
    assert config.provider.generic.api_key == "key-1"
    toml = generic(api_url="https://v.example", api_key="key-3")
    environ = ENVIRONMENT | {"REMINDERD__PROVIDER__GENERIC__API_KEY_FILE": "key"}
    assert load(toml, environ).provider.generic.api_key == "key-2"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"two\nlines"])
def test_an_unusable_secrets_file_is_one_error_at_its_key(
    errors: Errors, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    (line,) = errors(generic(api_url="https://v.example", api_key_file="key", webhook_secret=SECRET))
    assert line.startswith("config.toml: [provider.generic].api_key_file: ")
    assert "two" not in line


def test_a_bad_secret_in_a_file_is_an_error_at_the_key_that_names_the_file(errors: Errors, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (line,) = errors(generic(api_url="https://v.example", api_key="k", webhook_secret_file="secret"))
    assert line.startswith("config.toml: [provider.generic].webhook_secret_file: decodes to")
    assert "s3cret" not in line


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_a_secret_that_is_set_in_both_forms_is_an_error(errors: Errors, key: str) -> None:
    keys = {"api_url": "https://v.example", "api_key": "k", "webhook_secret": SECRET, f"{key}_file": "file"}
    (line,) = errors(generic(**keys))
    assert (
        line == f"config.toml: [provider.generic].{key}_file: is set in addition to {key}; expected only one of the two"
    )


def test_printing_the_configuration_shows_no_secret(load: Load, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    config = load(generic(api_url="https://v.example", api_key="s3cret-key", webhook_secret_file="secret"))
    assert config.provider.generic.webhook_secret == SECRET
    assert "s3cret-key" not in f"{config!r} {config}"
    assert SECRET not in f"{config!r} {config}"


def test_a_secret_under_a_misspelled_key_is_not_printed(errors: Errors) -> None:
    assert "s3cret" not in "".join(errors(generic(api_kye="s3cret"), {"REMINDERD__PROVIDER__API_KEY": "s3cret"}))
