"""`[log]`: what its file may not be."""

import pytest

from tests.config.conftest import Errors


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("reminderd.db", "the database or a file that SQLite keeps next to it"),
        ("./reminderd.db-wal", "the database or a file that SQLite keeps next to it"),
        ("config.toml", "this configuration"),
    ],
)
def test_the_log_cannot_be_the_database_or_the_configuration_file(errors: Errors, file: str, what: str) -> None:
    (line,) = errors(f'[log]\nfile = "{file}"\n')
    assert line == f"config.toml: [log].file: is {what}; expected a file of its own"
