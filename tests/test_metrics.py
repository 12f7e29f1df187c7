"""What Prometheus reads: counters, and values that are current at the moment of a scrape."""

from datetime import timedelta

import pytest

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.core.model import Status
from reminderd.core.outcomes import NEED_A_HUMAN
from reminderd.metrics import PrometheusInstruments, metrics_page
from tests.support.builders import NOW
from tests.support.metrics_page import counts, full_page, moment, series_in, value


@pytest.fixture
def instruments() -> PrometheusInstruments:
    return PrometheusInstruments()


def shown(instruments: PrometheusInstruments) -> str:
    return metrics_page(instruments, moment()).decode()


def test_webhooks_are_counted_by_status_code_with_the_time_of_the_last_recorded_one(
    instruments: PrometheusInstruments,
) -> None:
    for code in (401, 200, 200):
        instruments.webhook(code, NOW)
    instruments.webhook(503, NOW + timedelta(minutes=1))
    assert value(shown(instruments), "reminderd_webhooks_total", code="200") == 2
    assert value(shown(instruments), "reminderd_webhooks_total", code="401") == 1
    assert instruments.last_webhook == NOW


def test_twilios_webhooks_with_empty_answers_count_as_recorded(instruments: PrometheusInstruments) -> None:
    instruments.webhook(204, NOW)
    assert instruments.last_webhook == NOW


def test_an_unknown_code_adds_no_series(instruments: PrometheusInstruments) -> None:
    before = len(series_in(shown(instruments)))
    for code in range(600, 700):
        instruments.webhook(code, NOW)
    assert len(series_in(shown(instruments))) == before
    assert value(shown(instruments), "reminderd_webhooks_total", code="other") == 100


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (Accepted("ext-1"), "accepted"),
        (NotPlaced("+12025550001 is down"), "not_placed"),
        (Refused("+12025550001 is no number"), "refused"),
        (AccountRefused("key k-1"), "account"),
        (Unclear("timeout"), "unclear"),
    ],
)
def test_requests_are_timed_by_the_class_of_their_answer(
    instruments: PrometheusInstruments, answer: PlacingAnswer, word: str
) -> None:
    instruments.request(answer, 0.3)
    text = shown(instruments)
    assert value(text, "reminderd_provider_request_seconds_sum", answer=word) == 0.3
    assert value(text, "reminderd_provider_request_seconds_bucket", answer=word, le="0.25") == 0
    assert value(text, "reminderd_provider_request_seconds_bucket", answer=word, le="0.5") == 1
    assert "1202" not in text
    assert "k-1" not in text


def test_lateness_batches_and_recovered_leases_are_counted(instruments: PrometheusInstruments) -> None:
    instruments.lateness(timedelta(seconds=2))
    instruments.batch(3)
    instruments.recovery()
    text = shown(instruments)
    assert value(text, "reminderd_lateness_seconds_bucket", le="1.0") == 0
    assert value(text, "reminderd_lateness_seconds_bucket", le="5.0") == 1
    assert value(text, "reminderd_writer_batch_size_sum") == 3
    assert value(text, "reminderd_lease_recoveries_total") == 1


def test_the_page_has_the_current_values() -> None:
    text = full_page()
    labels = {"version": "1.2.3", "python": "3.11.2", "sqlite": "3.53.4", "provider": "generic"}
    assert value(text, "reminderd_build_info", **labels) == 1
    assert value(text, "reminderd_part_ready", part="poll_loop") == 1
    assert value(text, "reminderd_part_ready", part="provider") == 0
    assert value(text, "reminderd_paused", by="provider") == 1
    assert value(text, "reminderd_paused", by="staff") == 0
    assert value(text, "reminderd_writer_queue") == 7
    assert value(text, "reminderd_daemons") == 2
    assert value(text, "reminderd_daemons_differ") == 1
    assert value(text, "reminderd_does_for_all", job="alerts") == 1
    assert value(text, "reminderd_does_for_all", job="retention") == 0
    assert value(text, "reminderd_last_poll_timestamp_seconds") == NOW.timestamp() - 1
    assert value(text, "reminderd_last_webhook_timestamp_seconds") == NOW.timestamp() - 60
    assert value(text, "reminderd_reminders_waiting", status="scheduled") == 3
    assert value(text, "reminderd_reminders_waiting", status="processing") == 0
    assert value(text, "reminderd_reminders_last_day", status="called") == 5
    assert value(text, "reminderd_calls_last_day", state="placed") == 4
    assert value(text, "reminderd_call_outcomes_last_day", outcome="hung_up") == 2
    assert value(text, "reminderd_call_outcomes_last_day", outcome="confirmed") == 0
    assert value(text, "reminderd_reminders_need_human", outcome="not_reached") == 2
    assert value(text, "reminderd_reminders_due") == 2
    assert value(text, "reminderd_oldest_due_seconds") == 90
    assert value(text, "reminderd_oldest_unattended_seconds") == 0


def test_no_wait_is_negative_after_the_clock_was_set_back() -> None:
    future = counts(due_since=NOW + timedelta(hours=1))
    text = metrics_page(PrometheusInstruments(), moment(counts=future)).decode()
    assert value(text, "reminderd_oldest_due_seconds") == 0


def test_an_unknown_value_has_no_series() -> None:
    text = metrics_page(PrometheusInstruments(), moment(counts=None, last_poll=None, last_webhook=None)).decode()
    names = {name for name, _ in series_in(text)}
    assert not {name for name in names if name.startswith(("reminderd_reminders", "reminderd_calls", "reminderd_last"))}
    assert ("reminderd_paused", frozenset({("by", "staff")})) not in series_in(text)
    assert value(text, "reminderd_paused", by="provider") == 1


def test_every_status_and_every_outcome_that_needs_a_human_has_its_series() -> None:
    found = series_in(full_page())
    by_status = ("reminderd_reminders_waiting", "reminderd_reminders_last_day")
    statuses = {dict(labels)["status"] for name, labels in found if name in by_status}
    assert statuses == {status.value for status in Status}
    outcomes = {dict(labels)["outcome"] for name, labels in found if name == "reminderd_reminders_need_human"}
    assert outcomes == {word.replace(" ", "_") for word in NEED_A_HUMAN}


def test_the_start_time_is_shown_even_if_proc_cannot_be_read() -> None:
    text = metrics_page(PrometheusInstruments(), moment(started_at=NOW)).decode()
    assert value(text, "reminderd_start_time_seconds") == NOW.timestamp()


def test_the_page_has_the_memory_and_the_open_files_of_the_process() -> None:
    names = {name for name, _ in series_in(full_page())}
    assert {"process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"} <= names


def test_nothing_is_counted_in_the_librarys_global_registry() -> None:
    from prometheus_client import REGISTRY  # noqa: PLC0415 - the one test that looks at it

    PrometheusInstruments()
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("reminderd")]
