"""The section `[alerts]`: who is told when reminders need a human."""

from importlib.util import find_spec

from attrs import frozen

from reminderd.config import validators
from reminderd.config.keys import key, positive

_DAY = 86_400


def urls_trouble(urls: tuple[str, ...]) -> str | None:
    """Of URLs in the sense of Apprise; they hold passwords, so none is repeated."""
    if not urls:
        return None
    if find_spec("apprise") is None:
        return "needs Apprise: pip install apprise"
    from apprise import Apprise  # noqa: PLC0415 - it takes long to import, and few need it

    for place, url in enumerate(urls, start=1):
        if not Apprise.instantiate(url, suppress_exceptions=True):
            return f"has a URL, number {place}, that Apprise does not know"
    return None


@frozen(kw_only=True)
class AlertsConfig:
    """Whom to tell, and how often at most."""

    urls: tuple[str, ...] = key(
        (), "a list of URLs as Apprise has them, see github.com/caronc/apprise", urls_trouble, secret=True
    )
    urls_file: str = key("", "the path of a file", validators.file_trouble)
    every_seconds: float = positive(300.0, _DAY)
