"""Lines for systemd's journal: a priority in front of each, and no time of our own."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from loguru import logger

from reminderd.logs.configure import configure_logs
from tests.support.program import clean_environment

TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d")


def stream_name(stream: TextIO) -> str:
    """Return what systemd puts into JOURNAL_STREAM for this stream."""
    status = os.fstat(stream.fileno())
    return f"{status.st_dev}:{status.st_ino}"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """A stream that leads to the journal, as far as a process can tell."""
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        monkeypatch.setenv("JOURNAL_STREAM", stream_name(stream))
        yield stream


def written(stream: TextIO) -> list[str]:
    stream.seek(0)
    return stream.read().splitlines()


def test_each_level_has_its_priority_and_no_line_has_a_time(journal: TextIO) -> None:
    configure_logs(level="DEBUG", log_format="text", stream=journal)
    for level in ("DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"):
        logger.bind(reminder="r-1").log(level, "rang")
    assert written(journal) == [
        "<7>DEBUG   rang reminder=r-1",
        "<6>INFO    rang reminder=r-1",
        "<5>SUCCESS rang reminder=r-1",
        "<4>WARNING rang reminder=r-1",
        "<3>ERROR   rang reminder=r-1",
        "<2>CRITICAL rang reminder=r-1",
    ]


def test_each_line_of_a_traceback_has_its_priority(journal: TextIO) -> None:
    configure_logs(level="INFO", log_format="text", stream=journal)
    try:
        int("one\ntwo")
    except ValueError:
        logger.exception("broke")
    first, *others = written(journal)
    assert first == "<3>ERROR   broke"
    assert len(others) > 2
    assert all(line.startswith("<3>  | ") for line in others)


def test_json_has_a_priority_and_no_time(journal: TextIO) -> None:
    configure_logs(level="INFO", log_format="json", stream=journal)
    logger.bind(attempt=1).warning("rang")
    (line,) = written(journal)
    assert line.startswith("<4>{")
    assert json.loads(line[3:]) == {"level": "WARNING", "message": "rang", "attempt": 1}


def test_a_log_file_has_times_even_if_the_stream_is_the_journal(journal: TextIO, tmp_path: Path) -> None:
    file = tmp_path / "reminderd.log"
    configure_logs(level="INFO", log_format="text", file=file, stream=journal)
    logger.info("rang")
    assert TIME.match(file.read_text(encoding="utf-8"))
    assert written(journal) == ["<6>INFO    rang"]


@pytest.mark.parametrize("told", ["", "1:1", "journal", "1", ":", "1:1:1", "-1:5"])
def test_any_other_stream_gets_times_even_if_the_variable_is_set(
    journal: TextIO, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", told)
    configure_logs(level="INFO", log_format="text", stream=journal)
    logger.info("rang")
    (line,) = written(journal)
    assert TIME.match(line)


def test_a_stream_without_a_file_is_not_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:42")
    stream = io.StringIO()
    configure_logs(level="INFO", log_format="text", stream=stream)
    logger.info("rang")
    assert TIME.match(stream.getvalue())


@pytest.mark.parametrize("is_ours", [True, False])
def test_the_program_detects_the_journal_by_its_own_stderr(tmp_path: Path, is_ours: bool) -> None:
    """The log is one line: the program ends at once, as a folder can't be its database."""
    (tmp_path / "config.toml").write_text("[web]\nport = 0\n")
    (tmp_path / "reminderd.db").mkdir()
    with (tmp_path / "stderr").open("w+", encoding="utf-8") as stream, (tmp_path / "other").open("w") as other:
        environment = clean_environment({"JOURNAL_STREAM": stream_name(stream if is_ours else other)})
        command = [sys.executable, "-m", "reminderd", "run"]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, stderr=stream, check=False)
        (line,) = written(stream)
    assert ended.returncode == 1
    assert line.startswith("<3>ERROR   ") is is_ours
    assert bool(TIME.search(line)) is not is_ours
