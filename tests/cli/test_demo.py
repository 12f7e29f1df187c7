"""The demo: every scene of it ends as it promises, by itself, and nothing of it is left."""

import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from reminderd.cli.main import reminderd


@pytest.mark.parametrize("dialect", ["generic", "twilio"])
def test_every_scene_ends_as_expected_and_nothing_is_left(
    dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = CliRunner().invoke(reminderd, ["demo", "--dialect", dialect])
    assert "All ended as expected" in result.stdout
    assert result.exit_code == 0
    assert list(tmp_path.iterdir()) == []
