import pytest

from tests.support.web_server import PATH, WebServer


async def test_a_live_process_answers_ok(web: WebServer) -> None:
    answer = await web.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_the_process_is_ready_while_every_part_works(web: WebServer) -> None:
    answer = await web.client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_failing_parts_are_named(web: WebServer) -> None:
    web.parts["poll loop"] = "no heartbeat for 45 s"
    answer = await web.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "failing": {"poll loop": "no heartbeat for 45 s"}}


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_health_checks_answer_head_requests(web: WebServer, path: str) -> None:
    answer = await web.client.head(path)
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
async def test_a_wrong_method_is_answered_with_the_allowed_ones(
    web: WebServer, method: str, path: str, allowed: set[str]
) -> None:
    answer = await web.client.request(method, path)
    assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/", "/health/", "/health//ready", "/static/x", "/webhooks/twilio/x", "/%ff%00"])
async def test_any_other_path_is_not_found(web: WebServer, path: str) -> None:
    answer = await web.client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})
    assert answer.headers["Content-Type"] == "application/json"
