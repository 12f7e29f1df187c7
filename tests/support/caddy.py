"""The real Caddy with the project's own Caddyfile, in front of a port for reminderd."""

import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from attrs import define, field

from tests.support.ports import a_free_port
from tests.support.waiting import PATIENCE

CADDYFILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"

_PAGES_ARE_OFF = re.compile(r"^#\{\$REMINDERD_DESK_SITE.*", re.MULTILINE | re.DOTALL)

needs_caddy = pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed (Debian: caddy)")


@define
class Caddy:
    """A running Caddy that serves TLS."""

    port: int
    certificate: Path
    """The certificate authority to trust."""
    url: str
    """The clinic's public URL."""
    client: httpx.AsyncClient
    """A client that trusts the certificate."""
    process: trio.Process
    log: list[dict[str, Any]] = field(factory=list)
    _news: trio.Event = field(factory=trio.Event)

    async def logged(self, pattern: str) -> dict[str, Any]:
        """Return the first matching entry of its log, as soon as it is written."""
        with trio.fail_after(PATIENCE):
            while True:
                for entry in self.log:
                    if re.search(pattern, json.dumps(entry)):
                        return entry
                await self._news.wait()

    async def knows_it_is_down(self) -> None:
        """Wait until it keeps a request waiting, instead of refusing it, as the upstream is down."""
        with trio.fail_after(PATIENCE):
            while True:
                with trio.move_on_after(0.3):
                    await self.client.post(f"{self.url}/webhooks/anything")
                    continue
                return

    async def read_log(self) -> None:
        unread = b""
        assert self.process.stderr is not None
        async for some in self.process.stderr:
            *whole, unread = (unread + some).split(b"\n")
            self.log += [json.loads(line) for line in whole]
            self._news.set()
            self._news = trio.Event()


def with_pages(caddyfile: str) -> str:
    """Return the Caddyfile with the front desk's pages, by removing the signs of comments as its own command does."""
    return _PAGES_ARE_OFF.sub(lambda found: re.sub("^#", "", found[0], flags=re.MULTILINE), caddyfile)


@asynccontextmanager
async def a_caddy(
    folder: Path, *, port: int, upstream: int, patience: str = "500ms", pages: dict[str, str] | None = None
) -> AsyncIterator[Caddy]:
    """Run Caddy at this port of localhost.

    Args:
        folder: where it keeps what it needs.
        port: its own.
        upstream: the daemon's.
        patience: how long it waits for the daemon.
        pages: the environment of the front desk's pages; None: they are off, as the file has them.
    """
    home = folder / "caddy"
    environ = os.environ | {
        "XDG_DATA_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "REMINDERD_CADDY_ADMIN": f"unix/{home}/admin",
        "REMINDERD_HTTP_PORT": str(a_free_port()),
        "REMINDERD_SITE": f"https://localhost:{port}",
        "REMINDERD_UPSTREAM": f"127.0.0.1:{upstream}",
        "REMINDERD_PATIENCE": patience,
        **(pages or {}),
    }
    home.mkdir(parents=True)
    file = CADDYFILE
    if pages is not None:
        file = home / "Caddyfile"
        file.write_text(with_pages(CADDYFILE.read_text()))
    command = ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, env=environ, stdin=b"", stderr=subprocess.PIPE, check=False)
        process = await nursery.start(start)
        certificate = home / "caddy/pki/authorities/local/root.crt"
        caddy = Caddy(port, certificate, f"https://localhost:{port}", httpx.AsyncClient(), process)
        nursery.start_soon(caddy.read_log)
        await caddy.logged("certificate obtained successfully")
        trust = ssl.create_default_context(cafile=certificate)
        async with httpx.AsyncClient(verify=trust, timeout=30, trust_env=False) as caddy.client:
            yield caddy
        process.terminate()
