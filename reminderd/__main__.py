"""The program's entrance: `reminderd`, and `python -m reminderd`."""

from reminderd.cli.main import reminderd


def main() -> None:
    """Run the command line and end the process with its exit code."""
    reminderd(prog_name="reminderd")


if __name__ == "__main__":
    main()
