"""Twilio's own library is the judge: what it signs we believe, what it refuses we refuse."""

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from reminderd.providers.base import Webhook
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.providers.twilio.webhooks import Parameters, signature, verified
from tests.support.twilio_rest import PUBLIC

TOKEN = "12345"
BASE = "https://mycompany.com"
TARGET = "/myapp.php?foo=1&bar=2"
FIELDS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
REPEATED = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
FORM = "application/x-www-form-urlencoded"


class Manifold(MultiDict[str, str]):
    """Several values for a name, as Flask passes them to Twilio's library."""

    def getall(self, name: str) -> list[str]:
        return self.getlist(name)


def by_twilio(token: str, url: str, fields: Parameters) -> str:
    computed: str = RequestValidator(token).compute_signature(url, Manifold(list(fields)))
    return computed


def believed(given: str | None, fields: Parameters = FIELDS, **changes: Any) -> bool:
    headers = {"content-type": FORM} | ({} if given is None else {"x-twilio-signature": given})
    usual: dict[str, Any] = {
        "auth_tokens": [TOKEN],
        "base_urls": [BASE],
        "target": TARGET,
        "headers": headers,
        "body": urlencode(list(fields)).encode(),
    }
    return verified(**(usual | changes))


@pytest.mark.parametrize(
    ("url", "fields", "expected"),
    [
        (BASE + TARGET, FIELDS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (f"{BASE}:443{TARGET}", FIELDS, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (BASE + TARGET, REPEATED, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
        (
            f"{BASE}{TARGET}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620",
            [],
            "a9nBmqA0ju/hNViExpshrM61xv4=",
        ),
    ],
)
def test_signatures_match_twilios_published_examples(url: str, fields: Parameters, expected: str) -> None:
    assert signature(TOKEN, url, fields) == expected


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
fields = st.lists(st.tuples(names, st.text(st.characters(codec="utf-8"), max_size=12)), max_size=8)


@given(
    token=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    base=st.sampled_from(
        ["https://a.example", "https://a.example:443", "http://a.example:8080", "https://a.example/p"]
    ),
    query=st.lists(st.tuples(names, names), max_size=3),
    fields=fields,
)
def test_every_signature_by_twilios_library_is_verified(
    token: str, base: str, query: list[tuple[str, str]], fields: list[tuple[str, str]]
) -> None:
    target = f"/webhooks/twilio/status/1?{urlencode(query)}"
    given = by_twilio(token, base + target, fields)
    assert believed(given, fields, auth_tokens=[token], base_urls=[base], target=target)


@given(fields=fields, other=fields)
def test_a_signature_for_another_form_is_not_verified(
    fields: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    given = by_twilio(TOKEN, BASE + TARGET, fields)
    url = BASE + TARGET
    assert believed(given, other) == RequestValidator(TOKEN).validate(url, Manifold(other), given)


@pytest.mark.parametrize("signed", [f"{BASE}:443{TARGET}", BASE + TARGET])
@pytest.mark.parametrize("base", [BASE, f"{BASE}:443"])
def test_the_default_port_may_be_in_the_signature_or_not(signed: str, base: str) -> None:
    assert believed(by_twilio(TOKEN, signed, FIELDS), base_urls=[base])


def test_a_custom_port_may_be_left_out_of_the_signature() -> None:
    assert believed(by_twilio(TOKEN, f"{BASE}{TARGET}", FIELDS), base_urls=[f"{BASE}:8443"])


def test_an_ipv6_host_keeps_its_brackets() -> None:
    assert believed(by_twilio(TOKEN, f"http://[::1]:80{TARGET}", FIELDS), base_urls=["http://[::1]"])


def test_during_a_rotation_both_tokens_are_accepted() -> None:
    for token in ("old", "new"):
        assert believed(by_twilio(token, BASE + TARGET, FIELDS), auth_tokens=["new", "old"])
    assert not believed(by_twilio("older", BASE + TARGET, FIELDS), auth_tokens=["new", "old"])


@pytest.mark.parametrize("given", [None, "", "RSOYDt4T1cUTdK1PDd93/VVr8B9=", "RSOY", "\udcff", "é"])
def test_a_missing_or_wrong_signature_is_not_verified(given: str | None) -> None:
    assert not believed(given)


def test_the_host_header_is_ignored() -> None:
    given = by_twilio(TOKEN, f"https://evil.example{TARGET}", FIELDS)
    headers = {"content-type": FORM, "x-twilio-signature": given, "host": "evil.example"}
    assert not believed(given, headers=headers)


def test_a_changed_path_or_query_is_not_verified() -> None:
    given = by_twilio(TOKEN, BASE + TARGET, FIELDS)
    assert not believed(given, target="/myapp.php?foo=1&bar=3")
    assert not believed(given, target="/myapp2.php?foo=1&bar=2")


JSON = b'{"property": "value", "boolean": true}'
SIGNED_JSON = f"{TARGET}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"


@pytest.mark.parametrize(
    ("body", "target", "believable"),
    [
        (JSON, SIGNED_JSON, True),
        (JSON + b" ", SIGNED_JSON, False),
        (JSON, TARGET, False),
        (JSON, f"{SIGNED_JSON}&bodySHA256={hashlib.sha256(JSON).hexdigest()}", False),
    ],
)
def test_a_body_that_is_not_a_form_is_verified_by_its_hash_in_the_url(
    body: bytes, target: str, *, believable: bool
) -> None:
    headers = {"content-type": "application/json", "x-twilio-signature": by_twilio(TOKEN, BASE + target, [])}
    assert believed(None, target=target, body=body, headers=headers) == believable


@pytest.mark.parametrize("body", [b"\xff=1", b"a=%ff", b"&".join(b"a=1" for _ in range(1001))])
def test_an_undecodable_form_is_not_verified(body: bytes) -> None:
    assert not believed(by_twilio(TOKEN, BASE + TARGET, [("a", "1")]), body=body)


def test_calls_placed_with_an_earlier_address_still_report_there() -> None:
    signed = by_twilio(TOKEN, f"{BASE}{TARGET}", FIELDS)
    assert believed(signed, base_urls=["https://new.example", BASE])
    assert not believed(signed, base_urls=["https://new.example"])


async def test_a_webhook_may_be_signed_with_either_token_while_one_replaces_the_other(
    twilio_at: Callable[..., TwilioProvider],
) -> None:
    provider = twilio_at("http://127.0.0.1", auth_token="new", secondary_auth_token="old")
    signed = {token: signature(token, f"{PUBLIC}/webhook") for token in ("new", "old", "another")}
    verified_by = {
        token: provider.verified(Webhook(target="/webhook", headers={"x-twilio-signature": given}, body=b""))
        for token, given in signed.items()
    }
    assert verified_by == {"new": True, "old": True, "another": False}
