"""The real program in a process of its own, its log read line by line."""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import trio
from attrs import define, field

LISTING = """
import sys
from reminderd.__main__ import main
try:
    main()
finally:
    sys.__stderr__.write("loaded: " + " ".join(sys.modules))
"""
"""A script that runs the program and then lists on stderr which modules were loaded."""

_PATIENCE = 100  # only a failing test waits so long


@define
class Program:
    """A started `reminderd`."""

    process: trio.Process
    lines: list[str] = field(factory=list)
    """What it has written to stderr so far."""
    _news: trio.Event = field(factory=trio.Event)
    _silent: trio.Event = field(factory=trio.Event)

    async def line(self, pattern: str, *, since: int = 0) -> re.Match[str]:
        """Return the first log line that matches, as soon as it is written; skip the first `since` lines."""
        with trio.fail_after(_PATIENCE):
            while True:
                for line in self.lines[since:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                if self._silent.is_set():
                    raise AssertionError(f"ended without {pattern!r}: {self.lines}")
                await self._news.wait()

    async def url(self) -> str:
        """Return the base URL of its webhooks."""
        return (await self.line(r"listening for webhooks at (http://[^\s\"]+)"))[1]

    async def ended(self) -> int:
        """Return its exit code, after the whole log was read."""
        with trio.fail_after(_PATIENCE):
            await self._silent.wait()
            return await self.process.wait()

    async def reload(self, said: str) -> re.Match[str]:
        """Reload its configuration; return the log line about it that matches `said`."""
        seen = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        return await self.line(said, since=seen)

    async def terminate(self) -> int:
        self.process.terminate()
        return await self.ended()

    async def kill(self) -> None:
        self.process.kill()
        await self.ended()

    def suspend(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def state(self) -> str:
        """Return the kernel's letter for its state: `R` running, `S` asleep, `T` suspended …"""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    @contextmanager
    def unable_to_write(self) -> Iterator[None]:
        """Let all its writes to files fail, which SQLite reports as I/O errors."""
        _, most = before = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, most))
        try:
            yield
        finally:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, before)

    async def read_log(self) -> None:
        unread = b""
        assert self.process.stderr is not None
        async for some in self.process.stderr:
            *whole, unread = (unread + some).split(b"\n")
            self.lines += [line.decode() for line in whole]
            self._news.set()
            self._news = trio.Event()
        self.lines += [unread.decode()] if unread else []
        self._silent.set()
        self._news.set()


@asynccontextmanager
async def running(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    entrance: Sequence[str | Path] = ("-m", "reminderd"),
) -> AsyncIterator[Program]:
    """Run `reminderd` with these arguments in `cwd`, started by Python's `entrance`; kill it at the end."""
    command = [sys.executable, *entrance, *arguments]
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            command,
            cwd=cwd,
            env=clean_environment(env),
            stdin=b"",
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            check=False,
            deliver_cancel=_kill,
        )
        program = Program(await nursery.start(start))
        nursery.start_soon(program.read_log)
        yield program
        nursery.cancel_scope.cancel()


async def _kill(process: trio.Process) -> None:
    process.kill()


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without the program's variables, and with the sources on the path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REMINDERD", "WORKER", "VOICE", "TWILIO"))
    }
    return kept | {"PYTHONPATH": str(Path(__file__).parents[2])} | dict(extra or {})
