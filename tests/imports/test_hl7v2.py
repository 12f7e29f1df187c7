from pathlib import Path

import pytest

from reminderd.core.imports import FileRefusedError
from tests.imports.readings import Read, read

HEADER = r"MSH|^~\&|PMS|CLINIC|REMIND|CLINIC|20270226080000||{kind}|1|{processing}|2.5.1||||||{charset}"


def message(
    *,
    kind: str = "SIU^S12",
    processing: str = "P",
    charset: str = "",
    sch: str = "SCH||4711^PMS|||||||||^^^202703011430||||||||||||||Booked",
    pid: str = "PID|1||77||Lovelace^Ada||||||||(202)555-0101",
    more: tuple[str, ...] = (),
) -> str:
    header = HEADER.format(kind=kind, processing=processing, charset=charset)
    return "".join(f"{segment}\r" for segment in (header, sch, pid, *more) if segment)


def sch(**fields: str) -> str:
    """A segment SCH with these fields, like `f11`; the others are as above."""
    values = {"f2": "4711^PMS", "f11": "^^^202703011430"} | fields
    return "|".join(["SCH", *(values.get(f"f{number}", "") for number in range(1, 26))])


def pid(phones: str, work: str = "", **fields: str) -> str:
    values = {"f3": "77", "f5": "Lovelace^Ada", "f13": phones, "f14": work} | fields
    return "|".join(["PID", *(values.get(f"f{number}", "") for number in range(1, 41))])


def read_text(folder: Path, text: str | bytes, encoding: str | None = None) -> list[Read]:
    path = folder / "messages.hl7"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, encoding=encoding)


def only(folder: Path, text: str | bytes, encoding: str | None = None) -> Read:
    [found] = read_text(folder, text, encoding)
    return found


@pytest.mark.parametrize(
    ("kind", "said", "status"),
    [
        ("SIU^S12", "", None),
        ("SIU^S13^SIU_S12", "Booked", "Booked"),
        ("SIU^S14", "ARRIVED", "ARRIVED"),
        ("SIU^S14", "2^Checked In", "Checked In"),
        ("SIU^S14", "Rebooked^^L", "Rebooked"),
        ("SIU^S15", "Booked", "cancelled"),
        ("SIU^S17", "", "deleted"),
        ("SIU^S26", "Booked", "no show"),
    ],
)
def test_the_trigger_or_the_status_says_whether_an_appointment_is_booked(
    tmp_path: Path, kind: str, said: str, status: str | None
) -> None:
    found = only(tmp_path, message(kind=kind, sch=sch(f25=said)))
    assert (found.cells.get("appointment_status"), found.mistake) == (status, None)


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("202703011430", "2027-03-01T14:30:00"),
        ("20270301143005", "2027-03-01T14:30:05"),
        ("20270301143005.1234-0500", "2027-03-01T14:30:05-05:00"),
        ("202703011430+0100", "2027-03-01T14:30:00+01:00"),
    ],
)
def test_a_time_without_an_offset_is_the_clinics(tmp_path: Path, time: str, moment: str) -> None:
    found = only(tmp_path, message(sch=sch(f11=f"^^^{time}^")))
    assert (found.cells["appointment_at"], found.mistake) == (moment, None)
    found = only(tmp_path, message(sch=sch(f11=""), more=(f"TQ1|1||||||{time}",)))
    assert (found.cells["appointment_at"], found.mistake) == (moment, None)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (message(kind="SIU^S16"), 'MSH-9: "SIU^S16" is not read'),
        (message(kind="ADT^A08"), 'MSH-9: "ADT^A08" is not read'),
        (message(kind=""), 'MSH-9: "^" is not read'),
        (message(processing="T"), "MSH-11: not a message of production"),
        (message(charset="ISO IR87"), 'MSH-18: the character set "ISO IR87" is not read'),
        (message(sch=""), "SCH: no segments; expected one"),
        (message(sch=sch() + "\r" + sch()), "SCH: 2 segments; expected one"),
        (message(sch=sch(f2="")), "ref: none"),
        (message(sch=sch(f11="")), "appointment_at: no times in SCH-11.4 or TQ1-7"),
        (message(sch=sch(f11="^^^202703011430~^^^202703021430")), "appointment_at: 2 times in SCH-11.4"),
        (message(sch=sch(f11="^^^20270301")), "appointment_at: a day without a time of day"),
        (message(sch=sch(f11="^^^2027030114")), "appointment_at: SCH-11.4 is not a time"),
        (message(sch=sch(f11="^^^tomorrow")), "appointment_at: SCH-11.4 is not a time"),
        (message(sch=sch(f25="Booked^Cancelled")), "status: SCH-25: its code and its text contradict each other"),
        (message(pid=""), "PID: no patients; expected one"),
        (message(more=(pid("202-555-0102"),)), "PID: 2 patients; expected one"),
        (message(pid=pid("")), "phone_number: none in PID-13 and PID-14; expected"),
        (message(pid=pid("(202)555-0101^PRN^FX")), "phone_number: none in PID-13 and PID-14; expected"),
        (message(pid=pid("(202)555-0101^EMR^PH")), "phone_number: none in PID-13 and PID-14; expected"),
        (message(pid=pid("(202)555-0101^XYZ^PH")), "phone_number: none in PID-13 and PID-14, as their use is unknown"),
        (message(pid=pid("(202)555-0101^PRN^PH^^^202^5550199")), "PID-13: two different numbers"),
        (message(pid=pid("(202)555-0101&(202)555-0102")), "PID-13: subcomponents in a phone number; expected one"),
        (message(pid=pid("5550101^PRN^PH^^US^202^5550101")), 'PID-13: "US" is no country code'),
        (message(pid=pid("202-555-0101", f5=r"Lovelace^Ada\Z01\ ")), "PID-5: an escape in it can't be read"),
        (message(pid=pid("202-555-0101", f5="Lovelace^Ada\\")), "PID-5: an escape in it can't be read"),
        (message(more=("continued from above",)), "message: a line of it is no segment"),
        (message(more=("AIL|1||" + "x" * 70_000,)), "message: longer than 64 KiB"),
        ("MSH|^^^^|A\r", "MSH: its separators can't be read"),
        ("MSH\r", "MSH: its separators can't be read"),
    ],
)
def test_an_ambiguous_message_is_rejected(tmp_path: Path, text: str, mistake: str) -> None:
    assert (only(tmp_path, text).mistake or "").startswith(mistake)


@pytest.mark.parametrize(
    ("phones", "work", "cells"),
    [
        ("(202)555-0101", "(202)555-0102", {"home_phone": "(202)555-0101", "work_phone": "(202)555-0102"}),
        ("1^PRN^PH~2^PRN^CP", "", {"home_phone": "1", "mobile": "2"}),
        ("1^WPN^PH~2^ORN^PH", "", {"work_phone": "1", "phone": "2"}),
        ("1^PRS^PH~2^PRS^PH", "", {"mobile": "1"}),
        ("^NET^Internet^ada@example.org~1^PRN^PH", "", {"home_phone": "1"}),
        ("^PRN^PH^^^202^5550101", "", {"home_phone": "(202) 5550101"}),
        ("^PRN^PH^^1^202^5550101", "", {"home_phone": "+1 (202) 5550101"}),
        ("12025550101^PRN^PH^^1^202^5550101", "", {"home_phone": "+12025550101"}),
        ("555-0101^PRN^PH^^^202^5550101", "", {"home_phone": "(202) 5550101"}),
        ("^PRN^PH^^^^^^^^^+12025550101", "", {"home_phone": "+12025550101"}),
        ("2025550101^PRN^PH^^^^^5", "", {"home_phone": "2025550101 x5"}),
        ('""~2025550101', "", {"home_phone": "2025550101"}),
    ],
)
def test_a_patients_numbers_are_distinguished_by_use_and_equipment(
    tmp_path: Path, phones: str, work: str, cells: dict[str, str]
) -> None:
    found = only(tmp_path, message(pid=pid(phones, work)))
    roles = ("mobile", "phone", "home_phone", "work_phone")
    assert ({role: found.cells[role] for role in roles if role in found.cells}, found.mistake) == (cells, None)


def test_nobody_is_called_for_a_patient_who_has_died(tmp_path: Path) -> None:
    found = only(tmp_path, message(pid=pid("2025550101", f30="Y")))
    assert (found.cells["appointment_status"], found.mistake) == ("deceased", None)


@pytest.mark.parametrize(("said", "language"), [("ENG^English", "ENG"), ("7^Spanish", "Spanish"), ("U^Unknown", None)])
def test_the_language_is_the_code_or_the_name_that_is_understood(
    tmp_path: Path, said: str, language: str | None
) -> None:
    assert only(tmp_path, message(pid=pid("2025550101", f15=said))).cells.get("language") == language


def test_escapes_stand_for_the_separators(tmp_path: Path) -> None:
    found = only(tmp_path, message(sch=sch(f8=r"1^A \T\ B\F\C \X41\ \H\x\N\ "), pid=pid("2025550101")))
    assert (found.cells["appointment_type"], found.mistake) == ("A & B|C A x", None)


def test_the_message_may_define_other_separators(tmp_path: Path) -> None:
    text = message().replace("^", "*").replace("|", "!").replace(r"*~\&", r"*~\&")
    found = only(tmp_path, text)
    assert (found.cells["ref"], found.cells["name"], found.mistake) == ("4711", "Ada Lovelace", None)


def test_the_last_message_about_an_appointment_counts(tmp_path: Path) -> None:
    moved = message(kind="SIU^S13", sch=sch(f11="^^^202703021000"))
    found = only(tmp_path, message() + moved)
    assert (found.number, found.cells["appointment_at"]) == (2, "2027-03-02T10:00:00")
    found = only(tmp_path, message() + moved + message(kind="SIU^S15"))
    assert found.cells["appointment_status"] == "cancelled"
    found = only(tmp_path, message() + message(kind="SIU^S16"))  # that it is unclear counts, too
    assert found.mistake is not None
    assert found.cells["ref"] == "4711"


def test_each_occurrence_of_an_appointment_has_its_own_name(tmp_path: Path) -> None:
    found = read_text(tmp_path, message(sch=sch(f3="1")) + message(sch=sch(f3="2")))
    assert [each.cells["ref"] for each in found] == ["4711/1", "4711/2"]
    assert only(tmp_path, message(sch=sch(f1="88", f2=""))).cells["ref"] == "88"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_framing_and_batch_headers_may_be_around_messages(tmp_path: Path, end: str) -> None:
    one, other = message(), message(sch=sch(f2="4712"))
    batch = f"FHS|^~\\&|A\rBHS|^~\\&|A\r{one}{other}BTS|2\rFTS|1\r"
    for text in (one + other, f"\x0b{one}\x1c\r\x0b{other}\x1c\r", batch, f"\ufeff{one}\r\r{other}"):
        assert [each.mistake for each in read_text(tmp_path, text.replace("\r", end))] == [None, None]


def test_a_message_with_an_unfinished_frame_is_rejected(tmp_path: Path) -> None:
    for text in (f"\x0b{message()}", f"\x0b{message()}\x0b{message(sch=sch(f2='4712'))}\x1c\r"):
        first, *_ = read_text(tmp_path, text)
        assert (first.mistake or "").startswith("message: it has no end")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "it is empty"),
        ("PID|1\r", "it has something at its beginning that is no HL7 message"),
        (message() + "BTS|1\rPID|1\r", "BTS ends what did not begin"),
        ("BHS|x\r" + message(), "it ends before BTS"),
        ("FHS|x\rBHS|x\r" + message() + "BTS|1\r", "it ends before FTS"),
        ("BHS|x\r" + message() + "BTS|2\r", "BTS counts 2 messages, and its batch has 1"),
        ("\x0b" + message() + "\x1c\rPID|1\r", "it has something after message 1"),
        ("MSH|^~\\&|\r" * 200_001, "it has more than 200,000 records"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(FileRefusedError, match=mistake):
        read_text(tmp_path, text)


def test_messages_of_a_folder_have_no_order(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_text(message())
    with pytest.raises(FileRefusedError, match="it is a folder; expected one file"):
        read(tmp_path)


def test_the_message_names_its_character_set(tmp_path: Path) -> None:
    def name(text: bytes, encoding: str | None = None) -> str | None:
        found = only(tmp_path, text, encoding)
        return found.mistake or found.cells["name"]

    said = message(charset="8859/1", pid=pid("2025550101", f5="Müller^Ada"))
    unsaid = message(pid=pid("2025550101", f5="Müller^Ada"))
    assert name(said.encode("cp1252")) == "Ada Müller"
    assert name(unsaid.encode()) == "Ada Müller"
    assert name(unsaid.encode("cp1252"), "cp1252") == "Ada Müller"
    assert (name(unsaid.encode("cp1252")) or "").startswith("MSH-18: no character set, and letters that are not UTF-8")
    ascii_only = said.replace("8859/1", "ASCII").encode()
    assert (name(ascii_only) or "").startswith("encoding: a letter can't be read")


@pytest.mark.parametrize(
    "text",
    [
        message(pid="PID|1||77||Lovelace^Ada||||||||(202)555-01011"),
        message(kind="SIU^S15", sch="SCH||47111", pid=""),
    ],
)
def test_a_message_that_is_cut_off_in_a_number_or_a_name_is_not_another_patients(tmp_path: Path, text: str) -> None:
    whole, cut = only(tmp_path, text), only(tmp_path, text[:-2])
    assert whole.mistake is None
    assert (cut.mistake or "").startswith("message: it has no end, so a part may be missing")


def test_a_name_that_may_be_cut_off_is_not_spoken(tmp_path: Path) -> None:
    text = message(more=("RGS|1", "AIL|1||Ward 1", "AIP|1||9^Miller^Anna"))
    whole, cut = only(tmp_path, text), only(tmp_path, text.rstrip())
    assert (whole.mistake, cut.mistake) == (None, None)
    assert (whole.cells["provider"], whole.cells["place"]) == ("Anna Miller", "Ward 1")
    assert ("provider" in cut.cells, cut.cells["place"]) == (False, "Ward 1")
    assert only(tmp_path, f"{text.rstrip()}|ATTENDING").cells["provider"] == "Anna Miller"
    assert "provider" not in only(tmp_path, f"{text}AIP|2||9^Mill").cells


def test_a_time_that_may_be_cut_off_is_no_time(tmp_path: Path) -> None:
    found = only(tmp_path, message(more=("TQ1|1||||||202703011600",)).rstrip())
    assert (found.mistake or "").startswith("message: it has no end")


def test_the_last_line_end_may_be_missing_after_what_comes_last(tmp_path: Path) -> None:
    assert only(tmp_path, message(more=("RGS|1",)).rstrip()).mistake is None
