"""Start the program from a process that has loaded it, as Python's start and the imports are most of its work.

Each start is a separate process with its own folder, environment and log; it ends like any program.
`python -m tests.support.loaded_program DESCRIPTOR` is the process that has loaded the program: it reads one request
after another from the socket with this number, and ends when the process at the other end does.
"""

import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_MOST = 2**17  # bytes of a request


def start(
    server: socket.socket, arguments: tuple[str, ...], cwd: str, env: dict[str, str], outputs: tuple[int, int]
) -> int:
    """Ask for a process that runs `reminderd` with these arguments, and return its id.

    Args:
        server: the socket of the process that has loaded it.
        arguments: what is typed after its name.
        cwd: its folder.
        env: its whole environment; what is for Python has no effect.
        outputs: the descriptors of its standard output and error.
    """
    request = json.dumps({"arguments": arguments, "cwd": cwd, "env": env}).encode()
    socket.send_fds(server, [request], outputs)
    return int(server.recv(_MOST))


def exit_code(server: socket.socket, pid: int) -> int:
    """Return how a process has ended: its exit code, or the negative number of a signal."""
    server.send(json.dumps({"ended": pid}).encode())
    return int(server.recv(_MOST))


def _load() -> None:
    from reminderd import startup  # noqa: PLC0415 - before all else

    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # as the program does before it loads the rest
    startup.load_module("reminderd.cli.main")
    import reminderd  # noqa: PLC0415 - see above

    for module in pkgutil.walk_packages(reminderd.__path__, "reminderd."):
        if not module.name.endswith("__main__") and (".postgres" not in module.name or find_spec("psycopg")):
            import_module(module.name)
    startup.collect_what_loading_left()
    startup.collect_what_loading_left = lambda: None  # it would copy all that the processes share


def _serve(client: socket.socket) -> list[str]:
    """Answer requests until the client ends; return, in each process that is asked for, its arguments."""
    while True:
        message, descriptors, *_ = socket.recv_fds(client, _MOST, 2)
        if not message:
            os._exit(0)
        request: dict[str, Any] = json.loads(message)
        if "ended" in request:
            _, status = os.waitpid(request["ended"], 0)
            client.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if pid == 0:
            client.close()
            return _begin(request, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        client.send(str(pid).encode())


def _begin(request: dict[str, Any], *outputs: int) -> list[str]:
    for target, source in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
        os.dup2(source, target)
        os.close(source)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return list(request["arguments"])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    _load()
    sys.argv = ["reminderd", *_serve(socket.socket(fileno=int(sys.argv[1])))]
    runpy.run_module("reminderd", run_name="__main__", alter_sys=True)
