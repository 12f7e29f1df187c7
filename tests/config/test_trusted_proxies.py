import pytest

from tests.config.conftest import Errors, Load


def test_no_proxy_is_trusted_by_default(load: Load) -> None:
    assert load().web.trusted_proxies == ()
    assert load('[web]\ntrusted_proxies = ["10.0.0.0/8"]\n').web.trusted_proxies == ("10.0.0.0/8",)
    assert load("[web]\ntrusted_proxies = []\n").web.trusted_proxies == ()
    environ = {"REMINDERD__WEB__TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2"}
    assert load("", environ).web.trusted_proxies == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("written", ["localhost", "10.0.0.1/8", "10.0.0", ""])
def test_anything_but_an_address_or_a_network_is_an_error(errors: Errors, written: str) -> None:
    (line,) = errors(f'[web]\ntrusted_proxies = ["127.0.0.1", "{written}"]\n')
    assert line == (
        "config.toml: [web].trusted_proxies: entry 2 is neither an IP address nor a network;"
        ' expected a list of IP addresses and networks, like "127.0.0.1" and "10.0.0.0/8"'
    )
