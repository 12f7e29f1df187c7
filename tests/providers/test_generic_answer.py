from datetime import UTC, datetime

import httpx
import pytest

from reminderd.core.answers import Accepted, Unclear
from reminderd.providers.generic.client import answer_to_placing
from reminderd.providers.http import HttpAnswer

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(("complete", "meaning"), [(True, Accepted), (False, Unclear)])
def test_a_truncated_acceptance_is_unconfirmed_even_if_it_can_be_parsed(*, complete: bool, meaning: type) -> None:
    answer = HttpAnswer(status=201, headers=httpx.Headers(), body=b'{"call_id": "c-1"}', complete=complete)
    assert isinstance(answer_to_placing(answer, private=(), now=NOW), meaning)
