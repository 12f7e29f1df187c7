import pytest

from tests.config.conftest import Load, Mistakes


def test_the_proxies_that_are_believed_are_this_machines_unless_others_are_named(load: Load) -> None:
    assert load().web.trusted_proxies == ()
    assert load('[web]\ntrusted_proxies = ["10.0.0.0/8"]\n').web.trusted_proxies == ("10.0.0.0/8",)
    assert load("[web]\ntrusted_proxies = []\n").web.trusted_proxies == ()
    environ = {"REMINDERD__WEB__TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2"}
    assert load("", environ).web.trusted_proxies == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("written", ["localhost", "10.0.0.1/8", "10.0.0", ""])
def test_what_is_no_address_and_no_network_is_refused(mistakes: Mistakes, written: str) -> None:
    (line,) = mistakes(f'[web]\ntrusted_proxies = ["127.0.0.1", "{written}"]\n')
    assert line == (
        "config.toml: [web].trusted_proxies: entry 2 is neither an IP address nor a network;"
        ' expected a list of IP addresses and networks, like "127.0.0.1" and "10.0.0.0/8"'
    )
