"""Run the real daemon, and the servers that it is measured with and against, each in a separate process."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import frozen

import reminderd
from reminderd.databases import PostgresServer, SqliteFile, Target

SECRET: Final = "whsec_" + b64encode(b"bench" * 6).decode()
"""The secret that signs the webhooks; the daemon has it as `[provider.generic].webhook_secret`."""

PATIENCE: Final = 30.0
"""Seconds after which anything has failed that normally takes less than one second."""

_ROOT: Final = Path(__file__).parent.parent


@frozen
class Daemon:
    """A running `reminderd run`."""

    pid: int
    url: str
    """The URL to which its webhooks are sent."""
    database: Target
    start_seconds: float
    """Seconds from the start of its process until `/health` answered 200."""


@contextmanager
def daemon(
    folder: Path,
    *,
    provider_url: str,
    worker: Mapping[str, int] | None = None,
    desk_port: int = 0,
    database: PostgresServer | None = None,
) -> Iterator[Daemon]:
    """Run the daemon with a database in `folder` until the end of the block; its log is kept there, too.

    Args:
        folder: an empty folder, or one with a `bench.db`.
        provider_url: the URL of the generic provider.
        worker: settings for `[worker]`; None for the defaults.
        desk_port: the port of the front desk's pages; 0 for no pages.
        database: a database on a server; None for an SQLite file in `folder`.
    """
    folder.mkdir(exist_ok=True)
    used = SqliteFile(folder / "bench.db") if database is None else database
    port = free_port()
    config = folder / "config.toml"
    config.write_text(
        _toml(
            {
                "database": {"url": url_of(used)},
                "worker": worker or {},
                "web": {"port": port},
                "desk": {"port": desk_port},
                "provider": {"kind": "generic"},
                "provider.generic": {"api_url": provider_url, "api_key": "bench", "webhook_secret": SECRET},
            }
        ),
        encoding="utf-8",
    )
    url = f"http://127.0.0.1:{port}"
    log = folder / "log"
    with log.open("wb") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "reminderd", "run", "--config", str(config)],
            env=environment(),
            stderr=stderr,
        )
        try:
            until_healthy(url, process, log)
            yield Daemon(process.pid, url, used, time.perf_counter() - began)
            process.terminate()
            assert process.wait(PATIENCE) == 0, log.read_text(encoding="utf-8")
        finally:
            process.kill()
            process.wait()


def url_of(database: Target) -> str:
    """Return the URL of a database, as `[database].url` and DATABASE_URL take it."""
    return database.url if isinstance(database, PostgresServer) else f"sqlite:///{database.path}"


@contextmanager
def server(module: str, *arguments: str) -> Iterator[str]:
    """Run one of this folder's servers until the end of the block; yield its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=_ROOT, stdout=subprocess.PIPE, encoding="utf-8"
    )
    with process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, f"{module} did not start"
            yield url
        finally:
            process.kill()


def environment() -> dict[str, str]:
    """Return the environment of the measured program: the package in use here, and nothing that overrides its file."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(reminderd.__file__).parents[1])}


def fetched(url: str) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a GET request."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process so far: proc(5), /proc/pid/stat, fields 14 and 15."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def until_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a process that was just started answers `GET /health` with 200; if it ends, show its log."""
    began = time.perf_counter()
    while not _healthy(url):
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.perf_counter() - began < PATIENCE, f"{url} does not answer"
        time.sleep(0.005)


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process in MB: proc(5), /proc/pid/statm, field 2."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _healthy(url: str) -> bool:
    try:
        status, _ = fetched(f"{url}/health")
    except ConnectionError:
        return False
    return status == 200


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return plain numbers and strings as TOML, which writes them as JSON does."""
    lines: list[str] = []
    for name, entries in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items()), ""]
    return "\n".join(lines)
