from datetime import UTC, timedelta

import pytest

from reminderd.core import diagnosis
from reminderd.core.changes import Backlog
from reminderd.core.diagnosis import Finding, Mark, Trial, count, good, unknown, warning, wrong
from tests.support.builders import NOW, a_daemon

FORGED = Trial(401, "Invalid signature")
SIGNED = Trial(404, "Unknown reminder")
ELSEWHERE = Trial(404, "Not found")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_findings_are_counted_by_mark() -> None:
    findings = [
        good("a", "is"),
        warning("b", "is", "do"),
        wrong("c", "is", "do"),
        wrong("d", "is", "do"),
        unknown("e", "?"),
    ]
    assert [count(findings, mark) for mark in Mark] == [1, 1, 2, 1]


@pytest.mark.parametrize(
    ("free", "mark", "text"),
    [
        (78_812_345_678, Mark.GOOD, "78.8 GB"),
        (1_000_000_000, Mark.GOOD, "1.0 GB"),
        (999_999_999, Mark.WARNING, "1000.0 MB"),
        (100_000_000, Mark.WARNING, "100.0 MB"),
        (99_000_000, Mark.WRONG, "99.0 MB"),
        (4_096, Mark.WRONG, "4.1 kB"),
        (0, Mark.WRONG, "0 bytes"),
    ],
)
def test_a_disk_is_checked_by_its_free_space(free: int, mark: Mark, text: str) -> None:
    found = diagnosis.disk(free, "/srv/reminderd")
    assert (found.about, found.mark) == ("disk", mark)
    assert found.text == f"{text} free in /srv/reminderd"
    assert bool(found.fix) == (mark is not Mark.GOOD)


@pytest.mark.parametrize(
    ("accounts", "texts"),
    [
        ([], {"there is none, so nobody can log in to the pages"}),
        ([("anna", True, True), ("berta", False, False)], set()),
        ([("anna", True, False)], {"only a password protects anna, with the role admin"}),
        ([("berta", False, True)], {"there is no admin, so nobody can resume on the pages"}),
    ],
)
def test_accounts_need_an_admin_and_admins_a_one_time_code(
    accounts: list[tuple[str, bool, bool]], texts: set[str]
) -> None:
    found = diagnosis.accounts(accounts)
    assert {finding.text for finding in found if finding.mark is Mark.WARNING} == texts
    if not texts:
        assert found == [good("accounts", "2, and each admin logs in with a one-time code")]


@pytest.mark.parametrize(
    ("kept", "ahead", "mark", "text"),
    [
        (True, None, Mark.GOOD, "synchronized, says the kernel"),
        (True, seconds(-1), Mark.GOOD, "synchronized, says the kernel; it agrees with the provider's now"),
        (True, seconds(31), Mark.WRONG, "31 s ahead of the provider's"),
        (False, None, Mark.WARNING, "not synchronized, says the kernel"),
        (False, seconds(30), Mark.WARNING, "not synchronized, says the kernel; it agrees"),
        (False, seconds(-720), Mark.WRONG, "720 s behind the provider's"),
        (None, None, Mark.UNKNOWN, "unknown whether it is synchronized"),
        (None, seconds(2), Mark.UNKNOWN, "unknown whether it is synchronized"),
        (None, seconds(86_400), Mark.WRONG, "86400 s ahead of the provider's"),
    ],
)
def test_a_clock_is_never_good_unless_the_kernel_says_so(
    *, kept: bool | None, ahead: timedelta | None, mark: Mark, text: str
) -> None:
    found = diagnosis.clock(kept=kept, ahead=ahead)
    assert found.mark is mark
    assert found.text.startswith(text)
    assert ("agrees" in found.text) == (ahead is not None and mark is not Mark.WRONG)


@pytest.mark.parametrize(
    ("version", "mark"),
    [
        ("2026a", Mark.GOOD),
        ("2025c", Mark.GOOD),
        ("2024z", Mark.WARNING),
        (None, Mark.UNKNOWN),
        ("unknown", Mark.UNKNOWN),
    ],
)
def test_time_zone_data_gets_old_in_two_years(version: str | None, mark: Mark) -> None:
    found = diagnosis.time_zones(version, "/usr/share/zoneinfo", NOW)
    assert NOW.year == 2026
    assert found.mark is mark
    assert "/usr/share/zoneinfo" in found.text


def test_each_reason_why_reminders_cannot_be_called_has_a_line() -> None:
    assert diagnosis.uncallable({}) == []
    one, more = diagnosis.uncallable({"phone_number: empty": 1, "timezone: not a time zone": 3})
    assert (one.mark, more.mark) == (Mark.WRONG, Mark.WRONG)
    assert one.text == "1 waiting reminder can't be called: phone_number: empty"
    assert more.text == "3 waiting reminders can't be called: timezone: not a time zone"


@pytest.mark.parametrize(
    ("mode", "folders", "is_open"),
    [
        (0o100600, [0o755, 0o755], False),
        (0o100640, [0o755, 0o755], False),
        (0o100660, [0o770, 0o755], False),
        (0o100644, [0o755, 0o755], True),
        (0o100602, [0o755, 0o755], True),
        (0o100644, [0o700, 0o755], False),
        (0o100644, [0o755, 0o700, 0o755], False),
        (0o100644, [0o711, 0o711], True),
    ],
)
def test_a_files_mode_and_folders_decide_whether_others_can_read_it(
    mode: int, folders: list[int], *, is_open: bool
) -> None:
    assert diagnosis.open_to_others(mode, folders) is is_open


@pytest.mark.parametrize(
    ("folders", "is_replaceable"),
    [
        ([0o755, 0o755], False),
        ([0o777, 0o755], True),
        ([0o1777, 0o755], False),
        ([0o775, 0o755], False),
        ([0o777, 0o700, 0o755], False),
        ([0o776, 0o755], False),
    ],
)
def test_a_file_can_be_replaced_if_others_can_write_to_its_folder(folders: list[int], *, is_replaceable: bool) -> None:
    assert diagnosis.replaceable(folders) is is_replaceable


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (5, good("schema", "5, the newest")),
        (4, Mark.WARNING),
        (0, Mark.WARNING),
    ],
)
def test_an_old_schema_is_migrated_by_the_next_command(version: int, expected: Finding | Mark) -> None:
    found = diagnosis.schema(version, 5)
    assert expected in {found, found.mark}
    assert (found.fix != "") == (version != 5)
    assert (found.text.startswith("none yet")) == (version == 0)


def test_a_write_ahead_log_is_large_beyond_a_checkpoints_size() -> None:
    assert diagnosis.wal(0) == good("write-ahead log", "0 bytes")
    assert diagnosis.wal(64 * 1024 * 1024).mark is Mark.GOOD
    assert diagnosis.wal(64 * 1024 * 1024 + 1).mark is Mark.WARNING


@pytest.mark.parametrize(
    ("host", "addresses", "mark", "text"),
    [
        ("clinic.example", ["9.9.9.9", "2620:fe::fe"], Mark.GOOD, "clinic.example resolves to 9.9.9.9, 2620:fe::fe"),
        ("9.9.9.9", ["9.9.9.9"], Mark.GOOD, "9.9.9.9"),
        ("clinic.example", ["127.0.1.1"], Mark.WARNING, "clinic.example resolves to 127.0.1.1 from here"),
        ("clinic.example", ["9.9.9.9", "10.0.0.5"], Mark.WARNING, "clinic.example resolves to 10.0.0.5 from here"),
        ("clinic.example", ["fe80::1%eth0"], Mark.WARNING, "clinic.example resolves to fe80::1%eth0 from here"),
    ],
)
def test_an_address_is_good_if_it_is_public(host: str, addresses: list[str], mark: Mark, text: str) -> None:
    found = diagnosis.address(host, addresses)
    assert found.mark is mark
    assert found.text.startswith(text)


def test_a_failing_address_must_be_fixed() -> None:
    found = diagnosis.unreached(NOW, NOW.tzinfo or UTC)
    assert (found.about, found.mark) == ("public address", Mark.WRONG)
    assert found.text.startswith("dialing is paused since 2026-03-02 10:00 UTC: answered calls never asked")
    assert "[web].public_base_url" in found.text


@pytest.mark.parametrize(
    ("lives", "left", "mark"),
    [(90, 89, Mark.GOOD), (90, 23, Mark.GOOD), (90, 22, Mark.WARNING), (6, 2, Mark.GOOD), (6, 1, Mark.WARNING)],
)
def test_a_certificate_in_its_last_quarter_causes_a_warning(lives: int, left: int, mark: Mark) -> None:
    until = NOW + timedelta(days=left)
    found = diagnosis.certificate(until - timedelta(days=lives), until, NOW)
    assert found.mark is mark
    assert found.text == (f"valid, for {left} more days" if left > 1 else "valid, for 24 more hours")


@pytest.mark.parametrize(
    ("server", "via", "mark", "text"),
    [
        ("Caddy", "", Mark.GOOD, "Caddy is in front"),
        ("", "1.1 Caddy", Mark.GOOD, "Caddy is in front"),
        ("nginx/1.22", "", Mark.GOOD, "nginx/1.22 is in front"),
        ("", "1.1 varnish", Mark.GOOD, "1.1 varnish is in front"),
        ("", "", Mark.WARNING, "no Server and no Via header"),
    ],
)
def test_the_web_server_in_front_is_named_by_its_headers(server: str, via: str, mark: Mark, text: str) -> None:
    found = diagnosis.in_front(server, via)
    assert found.mark is mark
    assert found.text.startswith(text)


@pytest.mark.parametrize(
    ("status", "location", "mark"),
    [
        (308, "https://clinic.example/", Mark.GOOD),
        (301, "HTTPS://Clinic.Example/", Mark.GOOD),
        (308, "https://clinic.example", Mark.GOOD),
        (302, "http://clinic.example/", Mark.WARNING),
        (302, "https://clinic.example.evil/", Mark.WARNING),
        (302, "https://elsewhere.example/", Mark.WARNING),
        (200, "", Mark.WARNING),
        (404, "https://clinic.example/", Mark.WARNING),
    ],
)
def test_plain_http_must_lead_to_https_on_the_same_host(status: int, location: str, mark: Mark) -> None:
    assert diagnosis.plain_http(status, location, "clinic.example").mark is mark


@pytest.mark.parametrize(
    ("let_out", "mark"),
    [
        ([], Mark.GOOD),
        (["/health/ready"], Mark.WARNING),
        (["/api"], Mark.WRONG),
        (["/api", "/health/ready"], Mark.WRONG),
    ],
)
def test_internal_paths_must_not_be_public(let_out: list[str], mark: Mark) -> None:
    found = diagnosis.kept_inside(let_out)
    assert found.mark is mark
    assert all(path in found.text for path in let_out)


@pytest.mark.parametrize(
    ("signed", "forged", "mark", "text"),
    [
        (SIGNED, FORGED, Mark.GOOD, "a signed one is accepted at https://x, a forged one is refused"),
        (SIGNED, Trial(403, "Invalid signature"), Mark.GOOD, "a signed one is accepted"),
        (FORGED, FORGED, Mark.WRONG, "one signed with the configured secret is refused at https://x"),
        (SIGNED, SIGNED, Mark.WRONG, "a forged one is not refused at https://x: answer 404"),
        (SIGNED, Trial(401, "Go away"), Mark.WRONG, "a forged one is not refused"),
        (SIGNED, Trial(400, "Invalid signature"), Mark.WRONG, "a forged one is not refused"),
        (
            Trial(503, "Service unavailable"),
            FORGED,
            Mark.WARNING,
            "a signed one is accepted at https://x, with 503",
        ),
        (Trial(200, "Unknown reminder"), FORGED, Mark.WARNING, "a signed one is accepted at https://x, with 200"),
        (
            Trial(404, "Not found"),
            Trial(404, "Not found"),
            Mark.WRONG,
            "the daemon at https://x accepts no webhooks of this provider",
        ),
        (Trial(404, ""), Trial(404, ""), Mark.WRONG, "https://x answers 404, and it is not the daemon that answers"),
        (Trial(502, ""), FORGED, Mark.WRONG, "https://x answers 502"),
        (SIGNED, Trial(None, "could not connect"), Mark.UNKNOWN, "no answer at https://x: could not connect"),
        (Trial(None, "connection lost"), FORGED, Mark.UNKNOWN, "no answer at https://x: connection lost"),
    ],
)
def test_webhooks_are_good_if_only_signed_ones_are_accepted(
    signed: Trial, forged: Trial, mark: Mark, text: str
) -> None:
    found = diagnosis.webhooks(signed, forged, "https://x")
    assert found.mark is mark
    assert found.text.startswith(text)
    assert (found.fix == "") == (mark in {Mark.GOOD, Mark.UNKNOWN})


def test_changes_that_are_not_received_are_wrong_once_they_wait_for_long() -> None:
    [waits] = diagnosis.results(Backlog(waiting=3, oldest=NOW, error=None), NOW)
    assert (waits.mark, waits.text) == (Mark.GOOD, "3 changes wait")
    [late] = diagnosis.results(Backlog(waiting=3, oldest=NOW - timedelta(days=1), error="HTTP 500"), NOW)
    assert late.mark is Mark.WRONG
    assert late.text.endswith("HTTP 500")


def test_daemons_on_one_database_are_good_if_they_are_alike() -> None:
    other = a_daemon("b", host="south", pid=2)
    assert diagnosis.daemons([]) == [good("daemons", "none is running on this database")]
    assert diagnosis.daemons([a_daemon(), other]) == [
        good("daemons", "running: version 1.2.0 at north (pid 1), version 1.2.0 at south (pid 2)")
    ]


@pytest.mark.parametrize("facts", [{"version": "1.3.0"}, {"rules_digest": "other"}], ids=["version", "rules"])
def test_daemons_that_differ_have_a_warning_with_what_to_do(facts: dict[str, str]) -> None:
    other = a_daemon("b", host="south", pid=2, **facts)
    (finding,) = diagnosis.daemons([a_daemon(), other])
    assert finding.mark is Mark.WARNING
    assert finding.text
    assert finding.fix
