from collections.abc import Callable

import pytest

from reminderd.config import Config

Load = Callable[..., Config]
Errors = Callable[..., list[str]]


def test_without_a_port_there_are_no_metrics(load: Load) -> None:
    metrics = load("").metrics
    assert (metrics.host, metrics.port) == ("127.0.0.1", 0)


def test_a_variable_sets_the_metrics_port_of_one_process(load: Load) -> None:
    assert load("[metrics]\nport = 9464", {"REMINDERD__METRICS__PORT": "9465"}).metrics.port == 9465


@pytest.mark.parametrize(
    ("toml", "place"),
    [("port = 65536", "port"), ("port = -1", "port"), ('port = "9464"', "port"), ('host = ""', "host")],
)
def test_anything_but_an_address_is_an_error(errors: Errors, toml: str, place: str) -> None:
    (line,) = errors(f"[metrics]\n{toml}")
    assert line.startswith(f"config.toml: [metrics].{place}: ")
    assert "; expected " in line


@pytest.mark.parametrize("toml", ["[metrics]\nport = 4000", "[web]\nport = 8000\n[metrics]\nport = 8000"])
def test_metrics_cannot_use_the_webhook_port(errors: Errors, toml: str) -> None:
    (line,) = errors(toml)
    assert line == (
        "config.toml: [metrics].port: is the same as [web].port, which the internet may reach;"
        " expected a port of its own, or 0 for no metrics"
    )
