"""Start the program: `reminderd`, and `python -m reminderd`."""

import sys

from reminderd.startup import guarded_streams, keep_signals, load_module


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:2] == ["run"]:
        keep_signals()  # before all else is loaded, which is the slowest part
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # httpx's command line, which loads pygments and rich
    with guarded_streams():
        load_module("reminderd.cli.main").reminderd(prog_name="reminderd")


if __name__ == "__main__":
    main()
