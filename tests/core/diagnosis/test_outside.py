from datetime import UTC, timedelta

import pytest

from reminderd.core.diagnosis import outside
from reminderd.core.diagnosis.finding import Mark
from reminderd.core.diagnosis.outside import Knock
from tests.support.nouns import NOW

FORGED = Knock(401, "Invalid signature")
SIGNED = Knock(404, "Unknown reminder")
ELSEWHERE = Knock(404, "Not found")


@pytest.mark.parametrize(
    ("host", "addresses", "mark", "says"),
    [
        ("clinic.example", ["9.9.9.9", "2620:fe::fe"], Mark.GOOD, "clinic.example resolves to 9.9.9.9, 2620:fe::fe"),
        ("9.9.9.9", ["9.9.9.9"], Mark.GOOD, "9.9.9.9"),
        ("clinic.example", ["127.0.1.1"], Mark.WARNING, "clinic.example resolves to 127.0.1.1 from here"),
        ("clinic.example", ["9.9.9.9", "10.0.0.5"], Mark.WARNING, "clinic.example resolves to 10.0.0.5 from here"),
        ("clinic.example", ["fe80::1%eth0"], Mark.WARNING, "clinic.example resolves to fe80::1%eth0 from here"),
    ],
)
def test_an_address_is_good_if_the_world_can_reach_it(host: str, addresses: list[str], mark: Mark, says: str) -> None:
    found = outside.address(host, addresses)
    assert found.mark is mark
    assert found.says.startswith(says)


def test_an_address_that_the_provider_does_not_reach_must_be_fixed() -> None:
    found = outside.unreached(NOW, NOW.tzinfo or UTC)
    assert (found.about, found.mark) == ("public address", Mark.WRONG)
    assert found.says.startswith("dialing is paused since 2026-03-02 10:00 UTC: answered calls never asked")
    assert "[web].public_base_url" in found.says


@pytest.mark.parametrize(
    ("lives", "left", "mark"),
    [(90, 89, Mark.GOOD), (90, 23, Mark.GOOD), (90, 22, Mark.WARNING), (6, 2, Mark.GOOD), (6, 1, Mark.WARNING)],
)
def test_a_certificate_should_be_renewed_by_its_last_quarter(lives: int, left: int, mark: Mark) -> None:
    until = NOW + timedelta(days=left)
    found = outside.certificate(until - timedelta(days=lives), until, NOW)
    assert found.mark is mark
    assert found.says == (f"valid, for {left} more days" if left > 1 else "valid, for 24 more hours")


@pytest.mark.parametrize(
    ("server", "via", "mark", "says"),
    [
        ("Caddy", "", Mark.GOOD, "Caddy stands in front"),
        ("", "1.1 Caddy", Mark.GOOD, "Caddy stands in front"),
        ("nginx/1.22", "", Mark.GOOD, "nginx/1.22 stands in front"),
        ("", "1.1 varnish", Mark.GOOD, "1.1 varnish stands in front"),
        ("", "", Mark.WARNING, "no Server and no Via header"),
    ],
)
def test_who_stands_in_front_is_told_by_its_headers(server: str, via: str, mark: Mark, says: str) -> None:
    found = outside.in_front(server, via)
    assert found.mark is mark
    assert found.says.startswith(says)


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
    assert outside.plain_http(status, location, "clinic.example").mark is mark


@pytest.mark.parametrize(
    ("let_out", "mark"),
    [
        ([], Mark.GOOD),
        (["/health/ready"], Mark.WARNING),
        (["/api"], Mark.WRONG),
        (["/api", "/health/ready"], Mark.WRONG),
    ],
)
def test_what_is_not_for_the_world_must_not_answer_there(let_out: list[str], mark: Mark) -> None:
    found = outside.kept_inside(let_out)
    assert found.mark is mark
    assert all(path in found.says for path in let_out)


@pytest.mark.parametrize(
    ("signed", "forged", "mark", "says"),
    [
        (SIGNED, FORGED, Mark.GOOD, "a signed one is accepted at https://x, a forged one is refused"),
        (SIGNED, Knock(403, "Invalid signature"), Mark.GOOD, "a signed one is accepted"),
        (FORGED, FORGED, Mark.WRONG, "one signed with the configured secret is refused at https://x"),
        (SIGNED, SIGNED, Mark.WRONG, "a forged one is not refused at https://x: answer 404"),
        (SIGNED, Knock(401, "Go away"), Mark.WRONG, "a forged one is not refused"),
        (SIGNED, Knock(400, "Invalid signature"), Mark.WRONG, "a forged one is not refused"),
        (
            Knock(503, "Service unavailable"),
            FORGED,
            Mark.WARNING,
            "a signed one is accepted at https://x, with 503",
        ),
        (Knock(200, "Unknown reminder"), FORGED, Mark.WARNING, "a signed one is accepted at https://x, with 200"),
        (
            Knock(404, "Not found"),
            Knock(404, "Not found"),
            Mark.WRONG,
            "the daemon at https://x accepts no webhooks of this provider",
        ),
        (Knock(404, ""), Knock(404, ""), Mark.WRONG, "https://x answers 404, and it is not the daemon that answers"),
        (Knock(502, ""), FORGED, Mark.WRONG, "https://x answers 502"),
        (SIGNED, Knock(None, "could not connect"), Mark.UNKNOWN, "no answer at https://x: could not connect"),
        (Knock(None, "connection lost"), FORGED, Mark.UNKNOWN, "no answer at https://x: connection lost"),
    ],
)
def test_a_door_is_good_if_it_tells_signed_from_forged(signed: Knock, forged: Knock, mark: Mark, says: str) -> None:
    found = outside.webhooks(signed, forged, "https://x")
    assert found.mark is mark
    assert found.says.startswith(says)
    assert (found.fix == "") == (mark in {Mark.GOOD, Mark.UNKNOWN})
