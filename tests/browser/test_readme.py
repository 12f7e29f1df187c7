"""What the first page of the README promises: a minute from nothing to a patient who is called again."""

import re
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, expect

from tests.support.desk_program import demo_desk

README: Final = (Path(__file__).parents[2] / "README.md").read_text()


def test_a_failed_reminder_s_reason_is_found_and_its_patient_called_again_in_a_minute(
    chromium: Browser, tmp_path: Path
) -> None:
    assert ".venv/bin/reminderd demo --desk" in README
    [patient] = re.findall(r"\*\*Call again\*\* next to (\w+ \w+)", README)
    began = time.monotonic()
    with demo_desk(tmp_path) as (_, printed):
        page = chromium.new_page()
        page.goto(printed["address"])
        page.get_by_label("Name").fill(printed["user name"])
        page.get_by_label("Password").fill(printed["password"])
        page.get_by_role("button", name="Log in").click()
        row = page.locator("tr", has_text=patient)
        expect(row).to_contain_text("answered by voicemail")
        row.get_by_role("button", name="Call again").click()
        expect(page.locator("section", has=page.locator("h2#done")).locator("tr", has_text=patient)).to_contain_text(
            "confirmed"
        )
        assert time.monotonic() - began < 60
        page.close()
