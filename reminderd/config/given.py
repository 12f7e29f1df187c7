"""What was given and where, and the mistakes found in it so far."""

from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

from reminderd.config.keys import shown_name
from reminderd.config.schema import KeyPath

PREFIX: Final = "REMINDERD__"


class ConfigError(Exception):
    """The configuration can't be used; `mistakes` has a line for each: "place: what is wrong; what was expected"."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@frozen
class Text:
    """A value from the environment, where everything is text."""

    value: str


@define
class Given:
    """The values as they were written, the environment's laid over the file's."""

    folder: Path
    """What relative paths in it are relative to."""
    credentials: str = ""
    """The folder in which the supervisor lays secrets for this process alone; "" if it does not."""
    file: Path | None = None
    is_by_variable: bool = False
    """Whether an environment variable names the file."""
    readable: bool = True
    """False: there should be a file, and nobody knows what it would have given."""
    tree: dict[str, Any] = field(factory=dict)
    variables: dict[KeyPath, str] = field(factory=dict)
    """The environment variables that gave a value."""
    wrong: set[KeyPath] = field(factory=set)
    """Keys about which there is a mistake already."""
    mistakes: list[str] = field(factory=list)

    def get(self, path: KeyPath) -> Any:  # noqa: ANN401 - nothing is known yet of what was written
        """The value as it was written, a section as a dict; None if it is not given."""
        found: Any = self.tree
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def put(self, path: KeyPath, text: str, variable: str) -> None:
        """Lay a variable's value over what was given before."""
        section = self.tree
        for name in path[:-1]:
            section = section.setdefault(name, {})
        section[path[-1]] = Text(text)
        self.variables[path] = variable

    def drop(self, path: KeyPath) -> None:
        """Forget a value."""
        section = self.get(path[:-1])
        if isinstance(section, dict):
            section.pop(path[-1], None)
        self.variables.pop(path, None)

    def blame(self, path: KeyPath, words: str, *, section: bool = False) -> None:
        """Note a mistake about a key, or about a section, and forget what was given there."""
        self.mistakes.append(f"{self.place(path, section=section)}: {words}")
        self.wrong.add(path)
        self.drop(path)

    def place(self, path: KeyPath, *, section: bool = False) -> str:
        """Where a value was given, or else where it should be given."""
        variable = self.variables.get(path)
        if variable is not None or self.file is None:
            return f"environment {variable or variable_of(path)}"
        names = [shown_name(name) for name in path]
        if section:
            return f"{self.file.name}: [{'.'.join(names)}]"
        heading = f"[{'.'.join(names[:-1])}]." if names[:-1] else ""
        return f"{self.file.name}: {heading}{names[-1]}"


def variable_of(path: KeyPath) -> str:
    """The name of a key in the environment."""
    return PREFIX + "__".join(path).upper()
