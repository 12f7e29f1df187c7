"""Whatever is in a file, it is read, or refused with a place and a reason; it never ends in an error of the program.

`REMINDERD_FUZZED_FILES=100000` plays it for longer.
"""

import os
import resource
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from attrs import evolve

from reminderd.config import load_config
from reminderd.core.imports import FileRefusedError
from reminderd.core.tables.columns import ColumnsError
from reminderd.core.tables.csv_rows import safe_cell
from reminderd.imports.formats import Profile, open_table, profile_of
from tests.imports.mutations import mutated
from tests.imports.readings import CHOSEN, SAMPLES

FILES = int(os.environ.get("REMINDERD_FUZZED_FILES", "1000"))

MOST_SECONDS = 5.0
"""Of the processor, for a file of at most some hundred KiB; ordinary ones take milliseconds."""

MOST_MEMORY = 400 << 20
"""Bytes by which the process may grow in all."""

SHEETS = Path(__file__).parents[1] / "cli" / "files"

CONFIG = """
[clinic]
country = "US"
[calling]
timezone = "America/New_York"
[messages.templates]
visit = "Your appointment is on {date} at {time}."
[reminders]
before = ["1 day at 10:00"]
template = "visit"
"""

ENDINGS = {"csv": (".csv",), "ics": (".ics",), "fhir": (".json", ".ndjson"), "hl7": (".hl7",)}


def samples_of(form: str) -> list[Path]:
    folder = SHEETS if form == "csv" else SAMPLES
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS[form])


def outcome_of(path: Path, form: str, profile: Profile) -> str:
    """Read a file as the import does, and check what every outcome must hold."""
    try:
        outcomes = rows_of(path, form, profile)
    except FileRefusedError as error:
        refused = f"{error}"
    except ColumnsError as error:
        refused = "; ".join((*error.mistakes, ""))
    else:
        return "read" if outcomes["read"] else "rejected"
    assert "; " in refused
    return "refused"


def rows_of(path: Path, form: str, profile: Profile) -> Counter[str]:
    """Read each row of a file; return how many are read, and how many rejected."""
    outcomes = Counter[str]()
    with open_table(path, profile.headers, form=form) as table:
        read = profile.reader_of(table, profile.columns_of(table))
        for row in table.rows():
            asked = read(row)
            assert form == "csv" or len(row.cells) == len(table.header)
            if isinstance(asked, list):
                assert asked
                assert all("; " in mistake and len(mistake) < 2_000 for mistake in asked), asked
            outcomes["rejected" if isinstance(asked, list) else "read"] += 1
            ",".join(safe_cell(cell) for cell in row.cells).encode()  # as it is written down
    return outcomes


@pytest.mark.parametrize("form", ENDINGS)
def test_any_file_is_read_or_refused_with_a_place_and_a_reason(form: str, tmp_path: Path) -> None:
    samples = samples_of(form)
    contents = [path.read_bytes() for path in samples]
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    any_file = profile_of(load_config(config, {}, tmp_path), None)
    profiles = [evolve(any_file, headers=CHOSEN.get(path.name, {})) for path in samples]
    memory, outcomes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, Counter[str]()
    path = tmp_path / "file"
    for number in range(FILES):
        random = Random(f"{form} {number}")
        path.write_bytes(mutated(random, contents))
        began = time.process_time()
        try:
            outcomes[outcome_of(path, form, random.choice(profiles))] += 1
        except Exception as error:
            raise AssertionError(f"{form} {number}") from error
        seconds = time.process_time() - began
        assert seconds < MOST_SECONDS, f"{form} {number}: {seconds:.1f} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) << 10
    assert grown < MOST_MEMORY, f"{grown >> 20} MiB"
    # What is broken is still a file of that format often enough for this to be a test of its reader.
    assert min(outcomes[each] for each in ("read", "refused")) > FILES / 50, outcomes
