"""Asks the running daemon, on its own port of this machine, what it is and does."""

from datetime import datetime
from typing import Any, Final

import cattrs
import httpx

from reminderd.config import WebConfig
from reminderd.core.health import Daemon
from reminderd.validators import shown_host

PATIENCE: Final = 5.0
"""Seconds that its answer may take."""

_converter: Final = cattrs.Converter()
_converter.register_structure_hook(datetime, lambda text, _type: datetime.fromisoformat(text))


def ask(web: WebConfig, *, patience: float = PATIENCE) -> Daemon | str:
    """What the daemon says of itself, in so many seconds; or a sentence that says why nothing was learned."""
    if web.local_url is None:
        return "nobody can be asked: [web].port is 0, a port that the daemon chooses at each start"
    url = f"{web.local_url}/health/status"
    place = url if shown_host(web.host) == web.host else f"the configured host, port {web.port}"
    try:
        answer = httpx.get(url, timeout=patience, trust_env=False)
        document: dict[str, Any] = answer.raise_for_status().json()
        return _converter.structure(document, Daemon)
    except httpx.HTTPStatusError as error:
        return f"what answers at {place} is not this version of reminderd: HTTP {error.response.status_code}"
    except httpx.TimeoutException:
        return f"the daemon does not answer at {place} within {patience:g} s"
    except httpx.TransportError as error:
        return f"the daemon does not answer at {place}: {str(error).rpartition('] ')[2]}"  # without "[Errno 111] "
    except (ValueError, TypeError, cattrs.BaseValidationError):
        return f"what answers at {place} is not this version of reminderd"
