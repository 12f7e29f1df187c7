"""Check where the daemon can be reached, whether the provider accepts us, and whether the daemon accepts webhooks.

The provider is asked only by reading: no call is placed. Two webhooks are sent to the daemon, one with a valid
signature and one with a forged one; neither can be recorded. Both report progress of a call that was never placed, for
a reminder that does not exist: the daemon refuses even the signed one, after it has checked its signature. They leave
two lines in its log, with an id that begins with `doctor-`.
"""

import errno
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx
import trio
from attrs import frozen

from reminderd.config import Config
from reminderd.core import diagnosis
from reminderd.core.diagnosis import Finding, Mark, Trial, good, unknown, warning, wrong
from reminderd.databases import SqliteFile, Target
from reminderd.providers.base_settings import Probe
from reminderd.providers.http import HttpAnswer, HttpClient, HttpFailure, HttpResult
from reminderd.providers.registry import account_errors
from reminderd.store.any_engine import open_read_only
from reminderd.store.connection import snapshot
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.integrity import id_of
from reminderd.validators import is_this_machine, shown_host

_AT_A_TIME = 16


@frozen(eq=False)
class DoctorClient:
    """An HTTP client for the doctor's questions."""

    trust: ssl.SSLContext
    """Whose certificates are trusted: the bundle of certifi, or what $SSL_CERT_FILE names."""
    seconds: float
    """The most seconds for one question and its answer."""
    _http: HttpClient

    async def get(self, url: str) -> HttpResult:
        """Send a GET, and follow no redirect."""
        return await self._ask("GET", url, {})

    async def post(self, url: str, content: bytes, *, headers: Mapping[str, str]) -> HttpResult:
        """Send a POST with this content."""
        return await self._ask("POST", url, headers, content)

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> HttpResult:
        headers = {"User-Agent": "reminderd doctor", **headers}
        try:
            return await self._http.ask(method, url, headers=headers, content=content)
        except (httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a name that DNS can't spell
            return HttpFailure(reason=f"can't be asked: {error}", sent=False)


@asynccontextmanager
async def open_doctor_client(seconds: float) -> AsyncIterator[DoctorClient]:
    """Open a client whose questions each take at most these seconds."""
    trust = httpx.create_ssl_context()
    http = HttpClient(timeout=timedelta(seconds=seconds), max_connections=_AT_A_TIME, trust=trust)
    try:
        yield DoctorClient(trust, seconds, http)
    finally:
        await http.aclose()


def document(answer: HttpAnswer) -> dict[str, Any]:
    """Return the JSON object in an answer; an empty one if there is no JSON object."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_alive(outcome: HttpResult) -> bool:
    """Return whether this is the daemon's own answer to `GET /health`."""
    return isinstance(outcome, HttpAnswer) and outcome.status == 200 and document(outcome) == {"status": "ok"}


_ELSEWHERE: Final = "try it from elsewhere: some networks don't let a server reach its own public address"
_PROBLEM: Final = "application/problem+json"

_OTHER_HOST: Final = "set [{section}].host to an address of this machine, usually 127.0.0.1"

_FIXES: Final = {
    errno.EACCES: "set [{section}].port to 1024 or more",
    errno.EADDRINUSE: "ss -ltnp names the program that has it: stop that, or set another [{section}].port",
}

_OURS: Final = "name this clinic's configuration by --config FILE; if this is it, set another [web].port"


@frozen
class AddressCheck:
    """The result of checking an address."""

    findings: list[Finding]
    url: str | None
    """The base URL if the daemon answers there, or is expected to over a trusted connection; otherwise None."""


async def check_public_address(base: str, asking: DoctorClient, now: datetime, *, runs: bool | None) -> AddressCheck:
    """Check the name, the certificate, and who answers at the public address.

    `runs` is whether the daemon runs on this machine; None if that is unknown.
    """
    if not base:
        return _unasked("[web].public_base_url is not set")
    parts = urlsplit(base)
    if parts.scheme == "http" and is_this_machine(parts.hostname or ""):
        return _unasked(f"{base} is this machine's own, for testing")
    addresses = await _addresses(parts, asking.seconds)
    if isinstance(addresses, str):
        fix = "correct [web].public_base_url, or the name's A and AAAA records at your registrar"
        nowhere = wrong("address", f"{parts.hostname} has no address: {addresses}", fix)
        return AddressCheck([nowhere, unknown("certificate", "not checked: there is no address")], None)
    found = [diagnosis.address(parts.hostname or "", addresses)]
    if parts.scheme == "http":
        fix = "set an https:// address: patients' data must be encrypted on its way"
        found.append(wrong("certificate", "none: [web].public_base_url begins with http://", fix))
    else:
        found.append(await _certificate(parts, asking, now))
        if found[-1].mark is Mark.WRONG:
            found.append(unknown("from outside", "not checked: such a certificate is not trusted"))
            return AddressCheck(found, None)
    alive = await asking.get(f"{base}/health")
    found.append(_reached(f"{base}/health", alive, runs=runs))
    if not isinstance(alive, HttpAnswer):
        return AddressCheck(found, None)
    found.append(diagnosis.in_front(alive.headers.get("server", ""), alive.headers.get("via", "")))
    if parts.scheme == "https" and parts.port in {None, 443}:
        host = parts.netloc.removesuffix(":443")
        found.append(await plain_http(f"http://{host}/", host, asking))
    elif parts.scheme == "https":
        found.append(unknown("plain http", "not checked: [web].public_base_url names a port of its own"))
    found.append(diagnosis.kept_inside(await _let_out(base, asking)))
    return AddressCheck(found, base if runs or is_alive(alive) else None)


def _unasked(why: str) -> AddressCheck:
    return AddressCheck([unknown("address", f"not checked from outside: {why}")], None)


async def _addresses(parts: SplitResult, seconds: float) -> list[str] | str:
    """Return the different addresses of a name, or why it has none."""
    with trio.move_on_after(seconds):
        try:
            found = await trio.socket.getaddrinfo(parts.hostname, port_of(parts), type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            return str(error.strerror or error) if isinstance(error, OSError) else "not a valid name"
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
    return f"no answer from DNS within {seconds:g} s"


def port_of(parts: SplitResult) -> int:
    """Return the port of a URL, which may be the default one."""
    return parts.port or (443 if parts.scheme == "https" else 80)


async def _certificate(parts: SplitResult, asking: DoctorClient, now: datetime) -> Finding:
    host = parts.hostname or ""
    with trio.move_on_after(asking.seconds):
        try:
            tcp = await trio.open_tcp_stream(host, port_of(parts))
        except OSError as error:
            return unknown("certificate", f"can't be seen: {error.strerror or error}")
        stream = trio.SSLStream(tcp, asking.trust, server_hostname=host)
        async with tcp:
            try:
                await stream.do_handshake()
            except (trio.BrokenResourceError, ssl.CertificateError) as error:
                fix = "journalctl -u caddy shows why there is none; ports 80 and 443 must be open to the world"
                return wrong("certificate", f"not valid: {_cause(error)}", fix)
            times = stream.getpeercert()
        return diagnosis.certificate(_moment(times["notBefore"]), _moment(times["notAfter"]), now)
    return unknown("certificate", f"can't be seen: no answer within {asking.seconds:g} s")


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return getattr(cause, "verify_message", "") or str(cause) or type(cause).__name__


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _reached(url: str, alive: HttpResult, *, runs: bool | None) -> Finding:
    """Judge whether the daemon answers at its public address."""
    if isinstance(alive, HttpFailure):
        return wrong("from outside", f"{url}: {alive.reason}", f"look at Caddy and the firewall; {_ELSEWHERE}")
    if is_alive(alive):
        if runs is False:
            fix = "is it another machine's? Then correct the name's A and AAAA records"
            return warning("from outside", f"a daemon answers at {url}, though none runs here", fix)
        return good("from outside", f"the daemon answers at {url}")
    if not runs and alive.status in {502, 503, 504}:
        text = f"{url} answers {alive.status}: the daemon does not run"
        return warning("from outside", text, "start it, and ask again")
    fix = "let Caddy pass /webhooks/* and /health on to [web].port; see operations.md"
    return warning("from outside", f"{url} answers {alive.status}, and it is not the daemon that answers", fix)


async def plain_http(url: str, host: str, asking: DoctorClient) -> Finding:
    """Judge what answers at an http URL, without TLS, at the same host."""
    outcome = await asking.get(url)
    if isinstance(outcome, HttpFailure):
        return unknown("plain http", f"{url} does not answer: {outcome.reason}")
    return diagnosis.plain_http(outcome.status, outcome.headers.get("location", ""), host)


async def _let_out(base: str, asking: DoctorClient) -> list[str]:
    """Return the paths that should be private, but answer there as the daemon does."""
    found = []
    api = await asking.get(f"{base}/api/openapi.json")
    if isinstance(api, HttpAnswer) and ("openapi" in document(api) or api.headers.get("content-type", "") == _PROBLEM):
        found.append("/api")
    ready = await asking.get(f"{base}/health/ready")
    if isinstance(ready, HttpAnswer) and document(ready).get("status") in {"ok", "unavailable"}:
        found.append("/health/ready")
    return found


async def check_port(config: Config, asking: DoctorClient) -> AddressCheck:
    """Check which program uses the port, and if it is our daemon, whether that is well."""
    host, port, url = config.web.host, config.web.port, config.web.local_url
    if url is None:
        return AddressCheck([unknown("port", "[web].port is 0, any free one: nobody knows where to ask")], None)
    place = f"{shown_host(host)} port {port}"
    alive = await asking.get(f"{url}/health")
    if is_alive(alive):
        if await _has_another_database(config, url, asking):
            text = f"another reminderd answers at {place}: it does not use {config.database.target.shown_name}"
            return AddressCheck([wrong("port", text, _OURS)], None)
        found = [good("port", f"the daemon answers at {place}"), *_reachability(host), await _readiness(url, asking)]
        return AddressCheck(found, url)
    if isinstance(alive, HttpFailure) and not alive.sent:
        refusal = bind_error(host, port, section="web")
        if refusal is None:
            return AddressCheck([good("port", f"{place} is free"), *_reachability(host), _not_running(config)], None)
        why, fix = refusal
        return AddressCheck([wrong("port", f"can't listen on {place}: {why}", fix)], None)
    text = f"{place} is used by a program that does not answer as the daemon does"
    return AddressCheck([wrong("port", text, _FIXES[errno.EADDRINUSE].format(section="web"))], None)


async def _has_another_database(config: Config, url: str, asking: DoctorClient) -> bool:
    """Return whether the daemon at this URL uses another database than the configured one."""
    outcome = await asking.get(f"{url}/health/status")
    its_id: object = document(outcome).get("database_id") if isinstance(outcome, HttpAnswer) else None
    if its_id is None:
        return False
    if config.database.is_missing:
        return True
    try:
        return its_id != await trio.to_thread.run_sync(partial(_id_of, config.database.target))
    except (StoreUnusableError, StoreUnavailableError):  # the check of the database reports that
        return False


def _id_of(database: Target) -> str | None:
    if isinstance(database, SqliteFile):
        return id_of(database.path)
    with open_read_only(database) as connection:
        return snapshot(connection, database_id)


def _not_running(config: Config) -> Finding:
    if config.provider.kind == "sandbox":
        return unknown("daemon", "not checked: it does not run", "reminderd run starts it")
    text = "does not answer here; if the line daemons shows none either, nobody is called"
    return warning("daemon", text, "start it: systemctl start reminderd, or reminderd run")


async def _readiness(url: str, asking: DoctorClient) -> Finding:
    outcome = await asking.get(f"{url}/health/ready")
    if isinstance(outcome, HttpFailure):
        return wrong("daemon", f"does not say whether it is ready: {outcome.reason}", "see its log")
    answer = document(outcome)
    if outcome.status == 200 and answer.get("status") == "ok":
        return good("daemon", "every part of it works")
    match answer.get("failing"):
        case dict() as failing if failing:
            text = "; ".join(f"{part}: {error}" for part, error in failing.items())
            return wrong("daemon", text, "see operations.md, When something is wrong")
    return unknown("daemon", f"unknown whether it is ready: it answers {outcome.status}")


def _reachability(host: str) -> list[Finding]:
    """Warn if other machines can reach the port without going through the web server in front."""
    if is_this_machine(host):
        return []
    text = f"[web].host is {shown_host(host)}: other machines may reach the port past the web server"
    fix = "set it to 127.0.0.1, or let a firewall keep all but the web server in front away from the port"
    return [warning("port", text, fix)]


_OUR_COOKIES: Final = "__Host-reminderd"
"""The prefix of the names of the pages' cookies."""


async def check_pages(config: Config, asking: DoctorClient) -> list[Finding]:
    """Check which program uses the port of the pages; report nothing if there are no pages."""
    url, about = config.desk.local_url, "pages"
    if url is None:
        return []
    place = f"{shown_host(config.desk.host)} port {config.desk.port}"
    answer = await asking.get(f"{url}/login")
    if isinstance(answer, HttpAnswer):
        is_ours = answer.headers.get("set-cookie", "").startswith(_OUR_COOKIES) or answer.status == 503
        if is_ours:
            return [good(about, f"they answer at {place}")]
        text = f"{place} is used by a program that does not answer as they do"
        return [wrong(about, text, "end that program, or choose another [desk].port")]
    if answer.sent:
        return [wrong(about, f"no answer at {place}: {answer.reason}", "see the daemon's log")]
    refused = bind_error(config.desk.host, config.desk.port, section="desk")
    if refused is not None:
        why, fix = refused
        return [wrong(about, f"can't listen on {place}: {why}", fix)]
    return [unknown(about, f"not checked: nobody listens on {place}", "restart the daemon; a reload opens no port")]


def bind_error(host: str, port: int, *, section: str) -> tuple[str, str] | None:
    """Return why this address can't be used, and what to do; None if it can be used.

    The address is bound without listening on it, so that a daemon that starts at this moment can use it.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        return error.strerror or str(error), _FIXES.get(error.errno or 0, _OTHER_HOST).format(section=section)
    except UnicodeError:
        return "no such host", _OTHER_HOST.format(section=section)
    return None


_QUESTIONS: Final = 3
"""The most questions to a provider, one after the other."""


async def check_provider(config: Config, *, seconds: float) -> list[Finding]:
    """Return what `check-config --online` finds; each question takes at most these seconds."""
    kind = config.provider.kind
    if kind == "sandbox":
        return [unknown("provider", "not checked: the sandbox runs inside the daemon, and calls nobody")]
    mistakes = ["no answer in time"]
    with trio.move_on_after(_QUESTIONS * seconds):
        try:
            mistakes = await account_errors(config.provider.settings, timedelta(seconds=seconds))
        except ValueError as error:  # a URL that only DNS rejects
            mistakes = [f"it can't be asked: {error}"]
    fix = f"see [provider.{kind}]: the URL, the key, the account; then the provider's own status page"
    return [wrong("provider", mistake, fix) for mistake in mistakes] or [
        good("provider", config.provider.settings.accepts)
    ]


async def check_webhooks(
    config: Config, asking: DoctorClient, *, public: str | None, local: str | None, now: datetime
) -> Finding:
    """Check whether the daemon accepts a signed webhook and refuses a forged one.

    The webhooks are sent to `public`, the URL from outside, or to `local`, the URL on this machine; each is None if the
    daemon does not answer there.
    """
    if config.provider.kind == "sandbox":
        return unknown("webhooks", "not checked: the sandbox creates a secret at each start")
    probe = config.provider.settings.probe(config.web.public_base_url, now)
    if probe is None:
        fix = f"have them signed, if the provider can do it: see [provider.{config.provider.kind}]"
        return warning("webhooks", "none is signed: anybody who reaches the port can send any report", fix)
    if probe.contains_secret and not (public or "").startswith("https://"):
        public = None  # another server there would get the token; a signature is useless elsewhere
    where = public or local
    if where is None:
        return unknown("webhooks", "not checked: the daemon answers neither on this machine nor from outside")
    forged = await _sent(asking, where, probe, probe.forged)
    signed = await _sent(asking, where, probe, probe.signed)
    return diagnosis.webhooks(signed, forged, where)


async def _sent(asking: DoctorClient, where: str, probe: Probe, proof: Mapping[str, str]) -> Trial:
    outcome = await asking.post(f"{where}{probe.path}", probe.body, headers=proof)
    if isinstance(outcome, HttpFailure):
        return Trial(None, outcome.reason)
    error = document(outcome).get("error")
    return Trial(outcome.status, error if isinstance(error, str) else "")
