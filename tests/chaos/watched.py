"""Run `reminderd`, and print on stderr every watched file that Python itself opens, renames or removes.

`python watched.py NAME COMMAND…` watches files whose path ends in NAME, NAME-wal or NAME-shm. SQLite's own accesses are
not Python's, so they are not reported.
"""

import os
import sys
from typing import Any

from reminderd.__main__ import main


def watch(name: str) -> None:
    names = (name, f"{name}-wal", f"{name}-shm", f"{name}-journal")

    def tell(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("sqlite3."):
            return
        for argument in arguments:
            if isinstance(argument, str | bytes | os.PathLike) and os.fsdecode(argument).endswith(names):
                os.write(2, f"BEHIND SQLITE: {event} {arguments!r}\n".encode())

    sys.addaudithook(tell)


if __name__ == "__main__":
    watch(sys.argv.pop(1))
    main()
