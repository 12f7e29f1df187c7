"""Run the real program in its own process, and read its log line by line."""

import atexit
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TypeAlias

import trio
from attrs import define, field

from tests.support import loaded_program
from tests.support.waiting import PATIENCE

LISTING = """
import sys
from reminderd.__main__ import main
try:
    main()
finally:
    sys.__stderr__.write("loaded: " + " ".join(sys.modules))
"""
"""A script that runs the program and then lists on stderr which modules were loaded."""

FRESH = ("-m", "reminderd")
"""The entry point of a program that has loaded nothing."""

_ROOT = Path(__file__).parents[2]


@define
class Program:
    """A started `reminderd`."""

    process: "Process"
    lines: list[str] = field(factory=list)
    """What it has written to stderr so far."""
    _news: trio.Event = field(factory=trio.Event)
    _silent: trio.Event = field(factory=trio.Event)

    async def line(self, pattern: str, *, since: int = 0) -> re.Match[str]:
        """Return the first log line that matches, as soon as it is written; skip the first `since` lines."""
        with trio.fail_after(PATIENCE):
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
        with trio.fail_after(PATIENCE):
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


@define(eq=False)
class LoadedProcess:
    """A process that another one has started, which had loaded the program; used like a `trio.Process`."""

    pid: int
    stderr: trio.lowlevel.FdStream
    _handle: int
    """Readable as soon as it has ended."""
    returncode: int | None = None
    _one_waits: trio.Lock = field(factory=trio.Lock)

    @classmethod
    def start(cls, arguments: tuple[str, ...], cwd: Path, env: dict[str, str]) -> "LoadedProcess":
        reader, writer = os.pipe()
        try:
            with Path(os.devnull).open("wb") as nothing:
                pid = loaded_program.start(_loaded(), arguments, str(cwd), env, (nothing.fileno(), writer))
        finally:
            os.close(writer)
        return cls(pid, trio.lowlevel.FdStream(reader), os.pidfd_open(pid))

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._handle], [], [], 0)[0]:
            self.returncode = loaded_program.exit_code(_loaded(), self.pid)
        return self.returncode

    async def wait(self) -> int:
        async with self._one_waits:
            while (code := self.poll()) is None:
                await trio.lowlevel.wait_readable(self._handle)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def aclose(self) -> None:
        self.kill()
        with trio.CancelScope(shield=True):
            await self.wait()
            await self.stderr.aclose()
        os.close(self._handle)


Process: TypeAlias = trio.Process | LoadedProcess


@cache
def _loaded() -> socket.socket:
    """Return the socket of a process that has loaded the program, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", loaded_program.__name__, str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=_ROOT, env=clean_environment(), pass_fds=[theirs.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


@asynccontextmanager
async def running(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    entrance: Sequence[str | Path] = (),
) -> AsyncIterator[Program]:
    """Run `reminderd` with these arguments in `cwd`; kill it at the end.

    Args:
        arguments: what is typed after its name.
        cwd: its folder.
        env: variables to add to this process's.
        entrance: how Python starts it, as with `FRESH`; empty: it is loaded already, which saves half a second, unless
            a variable is for Python.
    """
    if not entrance and not any(name.startswith("PYTHON") for name in env or ()):
        loaded = LoadedProcess.start(arguments, cwd, clean_environment(env))
        try:
            async with trio.open_nursery() as nursery:
                program = Program(loaded)
                nursery.start_soon(program.read_log)
                yield program
                nursery.cancel_scope.cancel()
        finally:
            await loaded.aclose()
        return
    async with trio.open_nursery() as nursery:
        command = [sys.executable, *(entrance or FRESH), *arguments]
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


def run_loaded(*arguments: str, cwd: Path, stdout: int) -> tuple[int, str]:
    """Run a command from a process that has loaded the program; return its exit code, and what it wrote to stderr.

    Args:
        arguments: what is typed after its name.
        cwd: its folder.
        stdout: the descriptor of its standard output, which is closed here.
    """
    reader, writer = os.pipe()
    pid = loaded_program.start(_loaded(), arguments, str(cwd), clean_environment(), (stdout, writer))
    os.close(stdout)
    os.close(writer)
    with open(reader, encoding="utf-8") as stderr:  # noqa: PTH123 - a descriptor
        said = stderr.read()
    return loaded_program.exit_code(_loaded(), pid), said


async def _kill(process: trio.Process) -> None:
    process.kill()


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without the program's variables, and with the sources on the path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REMINDERD", "WORKER", "VOICE", "TWILIO"))
    }
    return kept | {"PYTHONPATH": str(_ROOT)} | dict(extra or {})
