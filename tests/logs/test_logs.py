import io
import json
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import trio
from loguru import logger

from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition
from reminderd.core.masking import masked
from reminderd.engine.context import log_transition
from reminderd.logs.configure import configure_logs

NUMBER = "+12025550123"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def text() -> io.StringIO:
    stream = io.StringIO()
    configure_logs(level="DEBUG", log_format="text", stream=stream)
    return stream


@pytest.fixture
def jsonl() -> io.StringIO:
    stream = io.StringIO()
    configure_logs(level="DEBUG", log_format="json", stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail_over(number: str) -> None:
    patient = "Ms. Winter"
    raise ValueError(f"no line for {number}" if patient else "")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+12025550123", "+*********23"),
        ("12025550123", "*********23"),
        ("+1 202 555", "+*******55"),
        ("123", "**3"),
        ("12", "**"),
        ("1", "*"),
        ("+", "+"),
        ("", ""),
    ],
)
def test_only_the_last_two_digits_of_a_phone_number_are_shown(number: str, shown: str) -> None:
    assert masked(number) == shown


def test_a_text_line_has_time_with_offset_level_message_and_bound_values(text: io.StringIO) -> None:
    logger.bind(part="a b", attempt=2, call="c-1", reminder="r-1", empty="", nothing=None).warning("rang")
    when, rest = text.getvalue()[:29], text.getvalue()[29:]
    assert datetime.fromisoformat(when).utcoffset() is not None
    assert rest == ' WARNING rang reminder=r-1 call=c-1 attempt=2 part="a b" empty=""\n'


def test_a_json_line_is_an_object_with_stable_keys(jsonl: io.StringIO) -> None:
    logger.bind(attempt=2, reminder="r-1", path=Path("x"), ratio=float("nan"), level="mine").info("rang {} <b>")
    (line,) = lines(jsonl)
    assert list(line) == ["time", "level", "message", "reminder", "attempt", "path", "ratio"]
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {
        "level": "INFO",
        "message": "rang {} <b>",
        "reminder": "r-1",
        "attempt": 2,
        "path": "x",
        "ratio": "nan",
    }


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    configure_logs(level="WARNING", log_format="text", stream=stream)
    logger.info("quiet")
    logging.getLogger("library").info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "nasty", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\u202eb", "a\x9bb", "a\x7fb", "a\udc80b"]
)
def test_no_message_or_bound_value_breaks_a_line_or_controls_a_terminal(nasty: str) -> None:
    formats: tuple[Literal["text", "json"], ...] = ("text", "json")
    for log_format in formats:
        stream = io.StringIO()
        configure_logs(level="INFO", log_format=log_format, stream=stream)
        logger.bind(reminder=nasty, **{nasty: 1}).info(nasty)
        logging.getLogger("library").warning(nasty)
        written = stream.getvalue()
        assert written.count("\n") == 2
        assert all(line.isprintable() for line in written.split("\n"))
        assert written.isascii()


def test_braces_and_tags_of_a_message_stay_as_they_are() -> None:
    stream = Terminal()
    configure_logs(level="INFO", log_format="text", stream=stream)
    logger.info("{time} <red>x</red> {0} \\<")
    assert "{time} <red>x</red> {0} \\<" in stream.getvalue()


def test_only_a_terminal_gets_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    cases: tuple[tuple[io.StringIO, Literal["text", "json"], bool], ...] = (
        (Terminal(), "text", True),
        (io.StringIO(), "text", False),
        (Terminal(), "json", False),
    )
    for stream, log_format, colored in cases:
        configure_logs(level="INFO", log_format=log_format, stream=stream)
        logger.info("rang")
        assert ("\x1b[" in stream.getvalue()) is colored


def test_an_exception_is_logged_without_variables_and_phone_numbers(
    text: io.StringIO,
) -> None:
    try:
        fail_over(NUMBER)
    except ValueError:
        logger.exception("broke")
    written = text.getvalue()
    assert "ValueError: no line for +*********23" in written
    assert "in fail_over" in written
    assert 'patient = "Ms. Winter"' not in written
    assert "Ms. Winter" not in written
    assert all(line.startswith("  | ") for line in written.splitlines()[1:])


def test_an_exception_cannot_fake_a_log_line(text: io.StringIO) -> None:
    try:
        fail_over("x\n2026-01-01 00:00:00.000+00:00 INFO    all is well\x1b[0m")
    except ValueError:
        logger.exception("broke")
    assert "\x1b" not in text.getvalue()
    assert all(line.startswith("  | ") for line in text.getvalue().splitlines()[1:])


def test_an_exception_is_text_in_json(jsonl: io.StringIO) -> None:
    try:
        fail_over(NUMBER)
    except ValueError:
        logger.exception("broke")
    (line,) = lines(jsonl)
    assert line["exception"].endswith("ValueError: no line for +*********23")


def test_logging_an_exception_outside_of_any_is_a_normal_line(text: io.StringIO) -> None:
    logger.exception("broke")
    assert text.getvalue().endswith("broke\n")


@pytest.mark.parametrize("name", ["hypercorn.error", "hypercorn.access", "httpx", "quart.app", "anything.else"])
def test_library_lines_are_in_our_log_with_the_librarys_name(jsonl: io.StringIO, name: str) -> None:
    logging.getLogger(name).warning("a %s", "word")
    (line,) = lines(jsonl)
    assert (line["level"], line["message"], line["logger"]) == ("WARNING", "a word", name)


def test_a_lost_connection_to_the_server_is_told_by_us_and_not_by_the_library(jsonl: io.StringIO) -> None:
    logging.getLogger("psycopg").warning("error ignored terminating <psycopg.Pipeline>: the connection is lost")
    logging.getLogger("psycopg").error("a bug")
    assert [line["level"] for line in lines(jsonl)] == ["DEBUG", "ERROR"]


def test_a_library_with_its_own_handler_writes_only_into_our_log(jsonl: io.StringIO) -> None:
    own = io.StringIO()
    library = logging.getLogger("tests.library")
    library.addHandler(logging.StreamHandler(own))
    library.propagate = False
    configure_logs(level="INFO", log_format="json", stream=jsonl)
    library.warning("once")
    assert [line["message"] for line in lines(jsonl)] == ["once"]
    assert own.getvalue() == ""


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ('HTTP Request: GET https://v.example/calls?to=x&y=%20 "HTTP/1.1 200 OK"', "https://v.example/calls "),
        ('"GET /health?token=x HTTP/1.1"', '"GET /health HTTP/1.1"'),
        ("at https://v.example?to=x, then", "at https://v.example then"),
        ("is it so? yes", "is it so? yes"),
        (f"calling {NUMBER}", "calling +*********23"),
        ("calling +1 (202) 555-0123 now", "calling +**************23 now"),
        ("calling tel:2025550123", "tel:********23"),
        ("id 0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("id 12345678-1234-1234-1234-123456789012", "12345678-1234-1234-1234-123456789012"),
        ("at 2026-11-24 10:00:00, port 12345, 123456 bytes", "at 2026-11-24 10:00:00, port 12345, 123456 bytes"),
    ],
)
def test_library_lines_show_no_query_or_phone_number(jsonl: io.StringIO, said: str, written: str) -> None:
    logging.getLogger("library").warning("%s", said)
    assert written in lines(jsonl)[0]["message"]


def test_httpx_logs_requests_at_debug_and_errors_at_their_own_level(jsonl: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request")
    logging.getLogger("httpx").error("a failure")
    logging.getLogger("quart.app").info("serving")
    assert [line["level"] for line in lines(jsonl)] == ["DEBUG", "ERROR", "INFO"]


def test_debug_lines_of_libraries_with_headers_are_never_written(jsonl: io.StringIO) -> None:
    logging.getLogger("httpcore.http11").debug("Authorization: Bearer s3cret")
    assert jsonl.getvalue() == ""


def test_a_level_known_only_to_the_library_is_kept(jsonl: io.StringIO) -> None:
    logging.getLogger("library").log(35, "in between")
    assert lines(jsonl)[0]["level"] == "Level 35"


def test_an_exception_of_a_library_is_logged_with_its_traceback(jsonl: io.StringIO) -> None:
    try:
        fail_over(NUMBER)
    except ValueError:
        logging.getLogger("library").exception("broke")
    assert "ValueError: no line for +*********23" in lines(jsonl)[0]["exception"]


def test_a_library_line_that_cannot_be_formatted_loses_its_arguments(jsonl: io.StringIO) -> None:
    configure_logs(level="INFO", log_format="json", stream=jsonl)  # again: pytest's own handler would raise
    logging.getLogger("library").warning("%d calls", "s3cret")
    assert lines(jsonl)[0]["message"] == "%d calls (could not be formatted)"


def test_warnings_are_in_our_log() -> None:
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logs(level="INFO", log_format="json", stream=stream)
        warnings.warn(f"old way to call {NUMBER}", stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = lines(stream)
    assert (line["level"], line["logger"]) == ("WARNING", "py.warnings")
    assert "UserWarning: old way to call +*********23" in line["message"]


def test_the_log_also_goes_to_a_file_and_creates_its_folders(tmp_path: Path) -> None:
    file = tmp_path / "logs {time}" / "reminderd.log"
    stream = io.StringIO()
    configure_logs(level="INFO", log_format="text", file=file, rotation="10 MB", retention="30 days", stream=stream)
    logger.info("rang")
    assert file.read_text(encoding="utf-8") == stream.getvalue()
    assert stat.S_IMODE(file.stat().st_mode) & 0o137 == 0


def test_a_full_file_is_rotated_and_old_ones_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "reminderd.log"
    old = [tmp_path / f"reminderd.2000-01-01_00-00-00_000000{more}.log" for more in ("", ".2")]
    for one in old:
        one.touch()
        os.utime(one, (0, 0))
    configure_logs(level="INFO", log_format="text", file=file, rotation="1 KB", retention="1 day", stream=io.StringIO())
    for number in range(20):
        logger.info(f"line {number} " + "x" * 100)
    files = list(tmp_path.iterdir())
    assert len(files) > 1
    assert not [one for one in old if one.exists()]
    told = "".join(one.read_text(encoding="utf-8") for one in files)
    assert all(f"line {number} " in told for number in range(20)), "no line is lost on the way"
    assert all(stat.S_IMODE(one.stat().st_mode) & 0o137 == 0 for one in files), "rotated files are as private"


@pytest.mark.parametrize("name", ["reminderd", "reminderd.log"])
def test_old_files_with_a_similar_name_are_never_removed(tmp_path: Path, name: str) -> None:
    others = ["reminderd.db", "reminderd.toml", "reminderd.db.replaced-20200101T000000Z", "reminderd.notes.log"]
    for one in (tmp_path / other for other in others):
        one.touch()
        os.utime(one, (0, 0))
    configure = partial(configure_logs, level="INFO", log_format="text", file=tmp_path / name, stream=io.StringIO())
    configure(rotation="1 KB", retention="1 day")
    for number in range(20):
        logger.info(f"line {number} " + "x" * 100)
    there = {one.name for one in tmp_path.iterdir()}
    assert there >= {*others}
    assert len(there) > len(others) + 1, "it was rotated"


def leave_a_link(file: Path) -> None:
    file.with_name("elsewhere").touch()
    file.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("leave", "words"),
    [
        (lambda file: file.write_bytes(b"SQLite format 3\0"), "is not a log of reminderd"),
        (lambda file: file.write_text("[calling]\n"), "is not a log of reminderd"),
        (leave_a_link, "is a link; expected the name of a file"),
        (os.mkfifo, "is a named pipe; expected the name of a file"),
        (Path.mkdir, "is a folder; expected the name of a file"),
    ],
    ids=["a database", "a configuration", "a link", "a named pipe", "a folder"],
)
def test_a_log_is_appended_only_to_a_log(tmp_path: Path, leave: Callable[[Path], object], words: str) -> None:
    file = tmp_path / "x.log"
    leave(file)

    def written() -> tuple[int, ...]:
        found = file.lstat()  # without the time at which somebody read it
        return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns

    before = written()
    with pytest.raises(OSError, match=words):
        configure_logs(level="INFO", log_format="text", file=file, stream=io.StringIO())
    assert written() == before


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_our_log_is_continued_after_a_restart(tmp_path: Path, log_format: Literal["text", "json"]) -> None:
    file = tmp_path / "x.log"
    file.touch()
    for number in range(3):
        configure_logs(level="INFO", log_format=log_format, file=file, stream=io.StringIO())
        logger.info(f"start {number}")
    assert file.read_text(encoding="utf-8").count("start") == 3


def test_an_unwritable_file_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(OSError, match="taken"):
        configure_logs(level="INFO", log_format="text", file=tmp_path / "taken" / "x.log", stream=io.StringIO())


def test_the_level_changes_without_losing_or_repeating_a_line(tmp_path: Path) -> None:
    file, stream = tmp_path / "reminderd.log", io.StringIO()
    configure = partial(
        configure_logs, log_format="text", file=file, rotation="10 MB", retention="1 day", stream=stream
    )
    sinks = configure(level="INFO")
    logger.info("one")
    sinks = configure(level="WARNING", instead_of=sinks)
    logger.info("not this one")
    logger.warning("two")
    configure(level="DEBUG", instead_of=sinks)
    logger.debug("three")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["one", "two", "three"]
    assert file.read_text(encoding="utf-8") == stream.getvalue()


def test_the_old_log_stays_in_use_if_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    file, stream = tmp_path / "logs" / "reminderd.log", io.StringIO()
    sinks = configure_logs(level="INFO", log_format="text", file=file, stream=stream)
    file.parent.rename(tmp_path / "elsewhere")
    (tmp_path / "logs").touch()
    with pytest.raises(OSError, match="logs"):
        configure_logs(level="WARNING", log_format="text", file=file, stream=stream, instead_of=sinks)
    logger.info("still told")
    assert "still told" in stream.getvalue()
    assert "still told" in (tmp_path / "elsewhere" / "reminderd.log").read_text(encoding="utf-8")


def test_each_line_of_a_transition_is_logged_with_its_reminder_and_call(jsonl: io.StringIO) -> None:
    about = LogLine("dialing", reminder_id="r-1", call_id="c-1"), LogLine("call manually", Level.ERROR, "r-2")
    log_transition(Transition(ledger=Ledger(), lines=about))
    first, second = lines(jsonl)
    del first["time"], second["time"]
    assert first == {"level": "INFO", "message": "dialing", "reminder": "r-1", "call": "c-1"}
    assert second == {"level": "ERROR", "message": "call manually", "reminder": "r-2"}


def test_a_deleted_row_is_logged(text: io.StringIO) -> None:
    log_transition(None)
    assert "WARNING the call no longer exists" in text.getvalue()


async def test_a_value_bound_to_a_task_is_only_in_its_own_lines(jsonl: io.StringIO) -> None:
    async def ring(name: str) -> None:
        with logger.contextualize(reminder=name):
            await trio.lowlevel.checkpoint()
            logger.info("rang")

    async with trio.open_nursery() as nursery:
        for name in ("r-1", "r-2"):
            nursery.start_soon(ring, name)
    assert {line["reminder"] for line in lines(jsonl)} == {"r-1", "r-2"}


FULL_WIDTH = str.maketrans({str(digit): chr(0xFF10 + digit) for digit in range(10)})


@pytest.mark.parametrize(
    "number",
    ["+9977\u00a08866\u200b4455", "9977-8866/4455", "(9977) '8866' 4455", "997788664455".translate(FULL_WIDTH)],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_line_of_any_kind_has_a_phone_number(log_format: Literal["text", "json"], number: str) -> None:
    stream = io.StringIO()
    configure_logs(level="INFO", log_format=log_format, stream=stream)
    logger.bind(about=number, path=Path(number)).info(f"refused: {number}")
    logging.getLogger("library").warning("no line for %s", number)
    try:
        fail_over(number)
    except ValueError:
        logger.exception("failed")
    written = stream.getvalue()
    assert "refused: " in written
    assert "ValueError: no line for " in written
    assert not any(part in written for part in ("9977", "8866", "\\uff19\\uff17"))
    assert not re.search("[*/' )\u200b-]445", written), "no more than its last two digits; a time may have a 445, too"


def test_an_id_from_another_program_is_shown_unless_it_is_a_phone_number(jsonl: io.StringIO) -> None:
    logger.bind(reminder="20261129001", call="+12025550123").info("dialing")
    (line,) = lines(jsonl)
    assert (line["reminder"], line["call"]) == ("20261129001", "+*********23")
