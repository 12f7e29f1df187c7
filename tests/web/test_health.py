import pytest

from tests.support.web_server import PATH, Door


async def test_the_process_answers(door: Door) -> None:
    answer = await door.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_it_is_ready_while_every_part_works(door: Door) -> None:
    answer = await door.client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_the_parts_that_fail_are_named(door: Door) -> None:
    door.parts["poll loop"] = "no heartbeat for 45 s"
    answer = await door.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "failing": {"poll loop": "no heartbeat for 45 s"}}


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_a_monitor_may_ask_for_the_head_only(door: Door, path: str) -> None:
    answer = await door.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", {"GET", "HEAD"}),
        ("OPTIONS", "/health", {"GET", "HEAD"}),
        ("GET", PATH, {"POST"}),
        ("OPTIONS", PATH, {"POST"}),
        ("FROBNICATE", PATH, {"POST"}),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(door: Door, method: str, path: str, allowed: set[str]) -> None:
    answer = await door.client.request(method, path)
    assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/", "/health/", "/health//ready", "/static/x", "/webhooks/twilio/x", "/%ff%00"])
async def test_any_other_path_is_not_found(door: Door, path: str) -> None:
    answer = await door.client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})
    assert answer.headers["Content-Type"] == "application/json"
