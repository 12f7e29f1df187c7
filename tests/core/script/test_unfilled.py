import pytest

from reminderd.core.script.templates import message_warnings, unfilled


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Dear ***NAME***, on ***DATE***.", ["***NAME***", "***DATE***"]),
        ("[NameF], on [apptDate] at [appt time].", ["[NameF]", "[apptDate]", "[appt time]"]),
        (
            "Hi {{first_name}}, see you &amp; your child on {date}.<br>Bye",
            ["{{first_name}}", "&amp;", "{date}", "<br>"],
        ),
        ("Hello <<Name>> and «Vorname»", ["<<Name>>", "«Vorname»"]),
        ("%NAME% ${name} #DATE# %%TIME%%", ["%NAME%", "${name}", "#DATE#", "%%TIME%%"]),
        ("On #N/A at #WERT! &#39; &#x27;", ["#N/A", "#WERT!", "&#39;", "&#x27;"]),
        ("<b>Now</b> and <b>now</b>", ["<b>", "</b>"]),
    ],
)
def test_unfilled_placeholders_are_found(text: str, found: list[str]) -> None:
    assert unfilled(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "Your appointment is tomorrow at 9:00.",
        "Müller & Söhne; 50 % off, 5 < 6 > 4, press * or #.",
        "Bring [1] your card, ** please, « votre carte ».",
        "Ask for A&B; or room #12.",
    ],
)
def test_ordinary_words_are_not_placeholders(text: str) -> None:
    assert unfilled(text) == []
    assert list(message_warnings(text)) == []


def test_a_warning_names_at_most_three_short_placeholders() -> None:
    [warning] = message_warnings(f"[{'a' * 50}] {{b}} {{c}} {{d}}")
    assert (
        warning
        == f"message: [{'a' * 29}, {{b}}, {{c}} would be read aloud as it stands; expected the patient's own text"
    )
