import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.clock import SystemClock
from reminderd.providers.generic.webhooks import bearer, signer, standard_webhooks, unsigned

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes here!").decode()
BODY = b'{"call_id": "c-1", "status": "completed"}'
MINUTE = timedelta(minutes=1)
FORGED = "v1," + base64.b64encode(bytes(32)).decode()


def signed(body: bytes = BODY, *, secret: str = SECRET, age: timedelta = timedelta(0)) -> dict[str, str]:
    at = SystemClock().now() - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signer(secret).sign("msg_1", at, body.decode()),
    }


def test_signatures_match_the_standards_examples() -> None:
    signature = signer(SECRET).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signed_webhook_is_verified() -> None:
    assert standard_webhooks(SECRET)(signed(), BODY)


def test_the_secret_may_omit_its_prefix() -> None:
    assert standard_webhooks(SECRET.removeprefix("whsec_"))(signed(), BODY)


@pytest.mark.parametrize("age", [4 * MINUTE, -4 * MINUTE], ids=["late", "early"])
def test_a_webhook_may_be_some_minutes_off(age: timedelta) -> None:
    assert standard_webhooks(SECRET)(signed(age=age), BODY)


@pytest.mark.parametrize("age", [6 * MINUTE, -6 * MINUTE], ids=["old", "from the future"])
def test_an_old_or_future_webhook_is_not_verified(age: timedelta) -> None:
    assert not standard_webhooks(SECRET)(signed(age=age), BODY)


@pytest.mark.parametrize(
    "others",
    [
        pytest.param("{} " + FORGED, id="before a wrong one"),
        pytest.param(FORGED + " {}", id="after a wrong one"),
        pytest.param("v1a,not/base64! {}", id="after one of another version"),
        pytest.param("v2 {}", id="after a malformed one"),
        pytest.param("v1,a,b,c {}", id="after one with commas"),
        pytest.param("v1, {}", id="after an empty one"),
        pytest.param("v1,é {}", id="after one beyond ASCII"),
        pytest.param("  {}  ", id="among spaces"),
    ],
)
def test_one_valid_signature_among_others_is_enough(others: str) -> None:
    headers = signed()
    headers["webhook-signature"] = others.format(headers["webhook-signature"])
    assert standard_webhooks(SECRET)(headers, BODY)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({}, BODY, id="no headers"),
        pytest.param(signed(secret=OTHER), BODY, id="another secret"),
        pytest.param(signed(), BODY + b" ", id="another body"),
        pytest.param({**signed(), "webhook-id": "msg_2"}, BODY, id="another id"),
        pytest.param({**signed(), "webhook-id": ""}, BODY, id="no id"),
        pytest.param({**signed(), "webhook-id": "\ud800"}, BODY, id="an id that is not text"),
        pytest.param({**signed(), "webhook-timestamp": "nan"}, BODY, id="nan"),
        pytest.param({**signed(), "webhook-timestamp": "inf"}, BODY, id="inf"),
        pytest.param({**signed(), "webhook-timestamp": "9" * 400}, BODY, id="beyond all time"),
        pytest.param({**signed(), "webhook-timestamp": "now"}, BODY, id="no number"),
        pytest.param({**signed(), "webhook-signature": ""}, BODY, id="no signature"),
        pytest.param({**signed(), "webhook-signature": "v1"}, BODY, id="no comma"),
        pytest.param({**signed(), "webhook-signature": "v1,%%%"}, BODY, id="not base64"),
        pytest.param({**signed(), "webhook-signature": FORGED}, BODY, id="forged"),
        pytest.param(signed(), b"\xff\xfe", id="a body that is not text"),
    ],
)
def test_a_wrong_or_incomplete_signature_is_not_verified(headers: Mapping[str, str], body: bytes) -> None:
    assert not standard_webhooks(SECRET)(headers, body)


names = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "authorization"])
values = st.text(st.characters(codec=None)) | st.sampled_from(["nan", "1e400", "v1,", "v1", "Bearer ", FORGED])


@given(st.dictionaries(names, values), st.binary())
def test_no_header_or_body_makes_a_verifier_raise(headers: dict[str, str], body: bytes) -> None:
    assert not standard_webhooks(SECRET)(headers, body)
    assert not bearer("a-token-nobody-guesses")(headers, body)


@given(values)
def test_no_signature_makes_a_verifier_raise(signature: str) -> None:
    assert not standard_webhooks(SECRET)({**signed(), "webhook-signature": signature}, BODY)


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!", "with-dash_es", "A", "whsec_whsec_", "Zürich=="])
def test_a_secret_that_is_not_base64_is_an_error(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret: expected base64"):
        standard_webhooks(secret)


@pytest.mark.parametrize("header", ["Bearer t0ken", "bearer t0ken", "BEARER  t0ken "])
def test_a_bearer_token_is_verified(header: str) -> None:
    assert bearer("t0ken")({"authorization": header}, BODY)


@pytest.mark.parametrize(
    "header", [None, "", "t0ken", "Basic t0ken", "Bearer", "Bearer t0ke", "Bearer t0ken2", "Bearer é"]
)
def test_a_wrong_or_missing_token_is_not_verified(header: str | None) -> None:
    assert not bearer("t0ken")({} if header is None else {"authorization": header}, BODY)


@pytest.mark.parametrize("token", ["", "two words", "tökén", "a\nb"])
def test_a_token_that_is_not_valid_in_a_header_is_an_error(token: str) -> None:
    with pytest.raises(ValueError, match="webhook token"):
        bearer(token)


def test_without_webhook_auth_every_webhook_is_verified() -> None:
    assert unsigned()({}, b"\xff")
