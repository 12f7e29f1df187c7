from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve
from loguru import logger

from reminderd.config import Config, rules_of
from reminderd.config.schema import MessagesConfig
from reminderd.core.answers import Capabilities
from reminderd.core.rules import Rules
from reminderd.core.schedule.calling_hours import DAY_MINUTES, Span
from reminderd.core.script.templates import NO_TEMPLATES

Load = Callable[..., Config]
Errors = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("worker", "dialers", '"8"'),
        ("worker", "dialers", "true"),
        ("worker", "dialers", "8.0"),
        ("worker", "dialers", "0"),
        ("worker", "dialers", "1001"),
        ("worker", "dialers", "0x" + "f" * 9000),
        ("worker", "poll_interval_seconds", "0"),
        ("worker", "poll_interval_seconds", "nan"),
        ("worker", "poll_interval_seconds", "inf"),
        ("worker", "poll_interval_seconds", "0x" + "f" * 9000),
        ("worker", "poll_interval_seconds", "false"),
        ("worker", "poll_interval_seconds", "12:00:00"),
        ("worker", "outcome_timeout_seconds", "-1"),
        ("worker", "confirm_after_seconds", "-inf"),
        ("worker", "when_unsure", '"ring"'),
        ("web", "host", '""'),
        ("web", "host", '"a b"'),
        ("web", "port", "65536"),
        ("web", "port", "-1"),
        ("web", "max_body_bytes", "1023"),
        ("web", "max_body_bytes", "67108865"),
        ("web", "public_base_url", '"clinic.example"'),
        ("provider", "kind", '"genric"'),
        ("provider", "timeout_seconds", "0"),
        ("provider", "calls_per_second", "-0.1"),
        ("provider.generic", "look_up", '"true"'),
        ("provider.generic", "webhook_auth", '"basic"'),
        ("provider.generic", "api_key", "5"),
        ("retry", "max_tries", "0"),
        ("redial", "max_calls", "0"),
        ("redial", "delay_minutes", "-1"),
        ("calling", "timezone", '"Europe"'),
        ("calling", "timezone", '"../etc/passwd"'),
        ("calling", "start", '"24:00"'),
        ("calling", "start", '"8:00"'),
        ("calling", "end", '"24:01"'),
        ("calling", "end", '"08:60"'),
        ("calling", "days", "[]"),
        ("calling", "days", '["monday"]'),
        ("calling", "days", "[1]"),
        ("calling", "days", '"mon"'),
        ("calling", "holidays", '"12-25"'),
        ("calling", "holidays", "[2026-12-25]"),
        ("calling", "holidays", '["02-30"]'),
        ("calling", "holidays", '["2026-02-29"]'),
        ("calling", "holidays", '["25.12."]'),
        ("calling", "holidays", '["2026-12-25 00:00"]'),
        ("calling", "holidays", '["20261225"]'),
        ("calling", "holidays", '[""]'),
        ("calling.hours", "mon", '"open"'),
        ("calling.hours", "mon", '"09:00"'),
        ("calling.hours", "mon", '"09:00-"'),
        ("calling.hours", "mon", '"9:00-12:00"'),
        ("calling.hours", "mon", '"09:00-25:00"'),
        ("calling.hours", "mon", '"24:00-02:00"'),
        ("calling.hours", "mon", '"09:00-09:00"'),
        ("calling.hours", "mon", '"09:00-12:00,"'),
        ("calling.hours", "mon", '"09:00-12:00, 11:59-13:00"'),
        ("calling.hours", "mon", '"12:00-13:00, 09:00-12:00"'),
        ("calling.hours", "mon", '"22:00-02:00, 23:00-23:30"'),
        ("calling.hours", "mon", '["09:00-12:00"]'),
        ("log", "level", '"info"'),
        ("log", "format", '"xml"'),
        ("log", "file", '"logs/"'),
        ("log", "rotation", '"often"'),
        ("log", "rotation", '"0 MB"'),
        ("log", "rotation", '"24:00"'),
        ("log", "retention", '"10 MB"'),
        ("log", "retention", '"-1 days"'),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_one_error(errors: Errors, section: str, key: str, value: str) -> None:
    (line,) = errors(f"[{section}]\n{key} = {value}")
    assert line.startswith(f"config.toml: [{section}].{key}: ")
    assert "; expected " in line
    assert len(line) < 300


def test_a_long_value_is_not_repeated_since_it_could_be_a_secret(errors: Errors) -> None:
    (line,) = errors(f'[provider.generic]\nwebhook_auth = "{"s3cret" * 6}"')
    assert "s3cret" not in line


def test_a_list_with_a_wrong_type_says_what_it_should_contain(errors: Errors) -> None:
    (line,) = errors('[redial]\ndelay_minutes = ["15"]')
    assert "contains something other than numbers; expected a number from 0" in line
    (line,) = errors("[calling]\ndays = [1]")
    assert "contains something other than text; expected a list of some of" in line


def test_all_cross_check_errors_are_reported(errors: Errors) -> None:
    found = errors('[calling]\nstart = "08:00"\nend = "08:00"\nholidays = ["12-25"]')
    assert [line.partition(": is")[0] for line in found] == [
        "config.toml: [calling].end",
        "config.toml: [calling].timezone",
    ]


def test_an_invalid_holiday_does_not_hide_a_missing_time_zone(errors: Errors) -> None:
    found = errors('[calling]\nstart = "09:00"\nholidays = ["25.12."]')
    assert [line.partition(":")[2].partition(":")[0] for line in found] == [
        " [calling].holidays",
        " [calling].timezone",
    ]


def test_seconds_may_be_whole_or_not(load: Load) -> None:
    config = load("[provider]\ntimeout_seconds = 5\n[worker]\nlease_seconds = 10.5")
    assert config.provider.timeout_seconds == 5
    assert config.worker.lease_seconds == 10.5


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://clinic.example", "https://"),
        ("https://", "names a host"),
        ("https://user:s3cret@clinic.example", "credentials"),
        ("https://@clinic.example", "credentials"),
        ("https://clinic.example/?a=1", "query"),
        ("https://clinic.example/#top", "fragment"),
        ("https://clinic.example:99999", "is not valid"),
        ("https://[::1", "is not valid"),
        ("https://clinic .example", "a space"),
    ],
)
def test_a_url_that_is_not_plain_http_is_an_error(errors: Errors, url: str, message: str) -> None:
    (line,) = errors(None, {"PUBLIC_BASE_URL": url})
    assert message in line
    assert "s3cret" not in line


def test_a_slash_at_the_end_of_the_base_url_is_dropped(load: Load) -> None:
    assert load('[web]\npublic_base_url = "https://a.example/r//"').web.public_base_url == "https://a.example/r"


def test_a_lease_is_at_least_two_requests_long(load: Load, errors: Errors) -> None:
    assert load("[provider]\ntimeout_seconds = 30").worker.lease_seconds == 60
    (line,) = errors("[provider]\ntimeout_seconds = 30.5")
    assert line == (
        "config.toml: [worker].lease_seconds: is too small; expected at least 61, twice [provider].timeout_seconds"
    )


def test_invalid_keys_are_left_out_of_cross_checks(errors: Errors) -> None:
    assert len(errors('[provider]\ntimeout_seconds = "x"\n[worker]\nlease_seconds = 1')) == 1


MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6


def test_hours_may_cross_midnight_but_must_not_be_empty(load: Load, errors: Errors) -> None:
    week = load(
        '[calling]\ntimezone = "America/New_York"\nstart = "20:00"\nend = "06:30"\ndays = ["fri", "mon"]'
    ).calling.calling_hours.week
    assert week[MONDAY] == week[FRIDAY] == (Span(20 * 60, 30 * 60 + 30),)
    assert not any(week[day] for day in (1, 2, 3, 5, 6))
    assert "[calling].end: is the same as start" in errors('[calling]\nstart = "08:00"\nend = "08:00"')[0]


def test_a_day_may_have_its_own_hours_or_be_closed(load: Load) -> None:
    week = load(
        """
        [calling]
        timezone = "America/New_York"
        start = "08:00"
        days = ["mon", "thu", "fri"]
        [calling.hours]
        thu = "14:00-19:00,09:00-12:00"
        fri = "closed"
        sat = "22:00-00:00"
        """
    ).calling.calling_hours.week
    assert week[MONDAY] == (Span(8 * 60, DAY_MINUTES),)
    assert week[THURSDAY] == (Span(9 * 60, 12 * 60), Span(14 * 60, 19 * 60))
    assert week[FRIDAY] == week[SUNDAY] == ()
    assert week[SATURDAY] == (Span(22 * 60, DAY_MINUTES),)


def test_calling_hours_may_be_set_in_the_environment(load: Load) -> None:
    environ = {"REMINDERD__CALLING__HOURS__SUN": " closed ", "REMINDERD__CALLING__HOLIDAYS": "02-29, 2026-04-03"}
    calling_hours = load('[calling]\ntimezone = "US/Eastern"', environ).calling.calling_hours
    assert calling_hours.week[SUNDAY] == ()
    assert calling_hours.holidays == {"02-29", "2026-04-03"}


def test_all_invalid_hours_and_holidays_are_reported_at_once(errors: Errors) -> None:
    holidays, monday, sunday = errors(
        """
        [calling]
        holidays = ["12-25", "02-30", "2026-13-01"]
        [calling.hours]
        mon = "9-12"
        sun = "09:00-12:00, 12:00-15:00"
        """
    )
    assert holidays == (
        "config.toml: [calling].holidays: entries 2, 3 are not dates;"
        ' expected a list of dates like "2026-04-03", or "12-25" for each year\'s'
    )
    assert monday == (
        "config.toml: [calling.hours].mon: period 1 is not two times of day with a hyphen between them;"
        ' expected "" (as start, end and days say), "closed", or hours like "09:00-12:00, 14:00-19:00"'
    )
    assert sunday.startswith("config.toml: [calling.hours].sun: contains periods that overlap or touch; expected ")


def test_at_least_one_day_must_be_open(errors: Errors) -> None:
    (line,) = errors('[calling]\ntimezone = "America/New_York"\ndays = ["mon"]\n[calling.hours]\nmon = "closed"')
    assert line.startswith("config.toml: [calling].days: leaves no day with calling hours; expected ")


def test_a_misspelled_zone_is_an_error_with_an_example(errors: Errors) -> None:
    assert "expected a zone like Europe/Berlin" in errors('[calling]\ntimezone = "europe/berln"')[0]


def test_an_offset_or_abbreviation_is_not_a_clinics_time_zone(errors: Errors) -> None:
    assert errors('[calling]\ntimezone = "EST"') == [
        "config.toml: [calling].timezone: EST has no daylight saving time; expected a zone like America/New_York"
    ]
    assert "UTC has no daylight saving time" in errors('[calling]\ntimezone = "UTC"')[0]


@pytest.mark.parametrize(
    ("toml", "use"),
    [
        ('[calling]\nstart = "09:00"', "the calling hours"),
        ('[calling]\ndays = ["mon"]', "the calling hours"),
        ('[calling.hours]\nsun = "closed"', "the calling hours"),
        ('[calling]\nholidays = ["12-25"]', "the holidays"),
        ("[limits]\nanswered_per_week = 3", "[limits]"),
        ('[messages.templates]\nx = "At {time}."', "[messages.templates] with {date} or {time}"),
    ],
)
def test_settings_with_local_times_need_a_time_zone(load: Load, errors: Errors, toml: str, use: str) -> None:
    (line,) = errors(toml)
    assert line.startswith(f"config.toml: [calling].timezone: is missing, but needed for {use}; expected ")
    assert load(toml, {"REMINDERD__CALLING__TIMEZONE": "US/Eastern"}).calling.local_zone is not None


def test_without_local_times_no_time_zone_is_needed(load: Load) -> None:
    config = load('[calling]\nend = "24:00"\ngroup_minutes = 5\n[messages.templates]\nx = "Please call {clinic}."')
    assert config.calling.local_zone is None
    assert config.calling.zone.key == "UTC"


@pytest.mark.parametrize("rotation", ["", "10 MB", "1 week", "2 days", "00:00", "daily", "500KB"])
def test_every_valid_rotation_is_valid_for_loguru(load: Load, tmp_path: Path, rotation: str) -> None:
    config = load(f'[log]\nrotation = "{rotation}"')
    logger.remove(logger.add(tmp_path / "x.log", delay=True, rotation=config.log.rotation or None))


@pytest.mark.parametrize("retention", ["", "30 days", "6 months", "1 year", "12 hours"])
def test_every_valid_retention_is_valid_for_loguru(load: Load, tmp_path: Path, retention: str) -> None:
    config = load(f'[log]\nretention = "{retention}"')
    logger.remove(logger.add(tmp_path / "x.log", delay=True, retention=config.log.retention or None))


def test_the_defaults_match_the_cores() -> None:
    found = rules_of(Config(), provider="generic")
    assert evolve(found, planning=Rules().planning) == Rules()
    assert evolve(found.planning, templates=NO_TEMPLATES) == Rules().planning


def test_the_rules_have_the_speaking_time_of_the_greeting() -> None:
    brief, long = (rules_of(Config(messages=MessagesConfig(greeting=text))) for text in ("{clinic} here.", "So " * 25))
    assert brief.greeting_takes(None) < long.greeting_takes(None) == timedelta(seconds=10)
    assert long.greeting_takes("es") < long.greeting_takes("en")


def test_the_rules_follow_from_the_configuration(load: Load) -> None:
    config = load(
        """
        [worker]
        lease_seconds = 50
        outcome_timeout_seconds = 1
        confirm_after_seconds = 2
        when_unsure = "call_again"
        [retry]
        first_delay_seconds = 3
        max_delay_seconds = 4
        max_tries = 5
        [redial]
        max_calls = 6
        delay_minutes = 0.5
        [calling]
        timezone = "Europe/Berlin"
        max_lateness_minutes = 7
        """
    )
    able = Capabilities(look_up=True)
    rules = rules_of(config, provider="other", capabilities=able)
    assert rules.lease == timedelta(seconds=50)
    assert rules.outcome_timeout == timedelta(seconds=1)
    assert rules.confirm_after == timedelta(seconds=2)
    assert rules.call_again_when_unsure
    assert (rules.backoff.first, rules.backoff.maximum) == (timedelta(seconds=3), timedelta(seconds=4))
    assert (rules.max_tries, rules.max_calls) == (5, 6)
    assert rules.redial_delay(1) == timedelta(seconds=30)
    assert rules.calling_hours.zone.key == "Europe/Berlin"
    assert rules.max_lateness == timedelta(minutes=7)
    assert (rules.provider, rules.capabilities) == ("other", able)
    assert rules_of(config).provider == "sandbox"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4000"),
        ("0.0.0.0", "http://127.0.0.1:4000"),  # noqa: S104 - not listened on
        ("::", "http://[::1]:4000"),
        ("::1", "http://[::1]:4000"),
        ("clinic.example", "http://clinic.example:4000"),
    ],
)
def test_a_server_on_all_addresses_is_reached_on_loopback(load: Load, host: str, url: str) -> None:
    assert load(f'[web]\nhost = "{host}"').web.local_url == url


def test_a_random_port_has_no_url_before_the_start(load: Load) -> None:
    assert load("[web]\nport = 0").web.local_url is None
