"""What the sandbox does with a call: pure data, chosen by the last four digits of the phone number.

The digits are those of the numbers kept for fiction, 555-0100 to 555-0199, so that no real phone is behind an example.
"""

from typing import Final, Literal

from attrs import frozen


@frozen(kw_only=True)
class Behaviour:
    """How one kind of number behaves. Times are in steps; how long a step is, the sandbox's `pace` says."""

    ending: str
    """The last four digits."""
    name: str
    story: str
    """What happens, in a sentence for docs/sandbox.md."""
    turned_away: tuple[int, ...] = ()
    """HTTP statuses for the first requests of a call; nothing is placed. 429 and 503 come with Retry-After."""
    answer: Literal["accepted", "refused", "error", "cut"] = "accepted"
    """The answer to the request that places the call; "refused" places none. Repeats of it are simply accepted."""
    answer_after: int = 0
    """Steps from placing the call to the answer."""
    ends: tuple[str, ...] = ("completed",)
    """How a reminder's first, second, … call ends; the last one also holds for those that follow."""
    first_word: str | None = None
    """A status before the usual ones."""
    webhooks: Literal["prompt", "late", "repeated", "early", "none"] = "prompt"
    """"early" holds the answer back until the last webhook was sent; "repeated" sends the last one three times."""
    answered_by: Literal["human", "machine", "fax"] = "human"
    """Who answers, where the call is answered."""
    sip_code: int | None = None
    """How the network ended the call; None: as its status says."""
    fetches: bool = True
    """Whether what to speak is asked for, or else nothing is spoken."""
    listens_to: int | None = None
    """How many texts are heard before the patient hangs up: of a greeting, a message and a menu, 1 is too few."""
    keys: tuple[str, ...] = ()
    """What is pressed, one key each time the caller waits for one; then nothing."""


LATE_STEPS: Final = 30
"""How much later the webhooks of a "late" call come."""

COPIES: Final = 3
"""Of the last webhook of a call whose webhook is "repeated"."""

RETRY_AFTER_STEPS: Final = 2
"""What Retry-After asks for."""

PROGRESS_BEFORE: Final = {
    "completed": ("initiated", "ringing", "in-progress"),
    "no-answer": ("initiated", "ringing"),
    "busy": ("initiated",),
    "failed": ("initiated",),
}
"""The statuses on the way to each end, a step apart."""

ANSWERED: Final = Behaviour(
    ending="0100", name="answered", story="The patient answers. Any number that is not in this table does the same."
)

BEHAVIOURS: Final = (
    ANSWERED,
    Behaviour(ending="0101", name="busy", story="The line is busy, each time.", ends=("busy",)),
    Behaviour(
        ending="0102",
        name="busy then answered",
        story="The reminder's first call finds the line busy, the next one is answered.",
        ends=("busy", "completed"),
    ),
    Behaviour(ending="0103", name="no answer", story="It rings and nobody answers, each time.", ends=("no-answer",)),
    Behaviour(ending="0104", name="failed", story="The call is accepted and then fails.", ends=("failed",)),
    Behaviour(ending="0105", name="refused", story="The request is refused for good: 422.", answer="refused"),
    Behaviour(ending="0106", name="slow", story="The call is placed, the answer comes 5 steps later.", answer_after=5),
    Behaviour(
        ending="0107",
        name="error, not placed",
        story="The first request is answered 500 and nothing is placed; the next one is accepted.",
        turned_away=(500,),
    ),
    Behaviour(
        ending="0108",
        name="error, placed",
        story="The first request is answered 500, but the phone rings and the webhooks come.",
        answer="error",
    ),
    Behaviour(
        ending="0109",
        name="lost answer",
        story="The call is placed, and the connection is cut before the provider has said so.",
        answer="cut",
    ),
    Behaviour(
        ending="0110",
        name="down then up",
        story="The first two requests are answered 503 with Retry-After, the next one is accepted.",
        turned_away=(503, 503),
    ),
    Behaviour(
        ending="0111", name="late webhook", story="The webhooks come 30 steps late; a look-up knows.", webhooks="late"
    ),
    Behaviour(
        ending="0112", name="repeated webhook", story="The last webhook is sent three times.", webhooks="repeated"
    ),
    Behaviour(
        ending="0113",
        name="early webhook",
        story="All webhooks are sent before the request is answered.",
        webhooks="early",
    ),
    Behaviour(ending="0114", name="no webhook", story="No webhook is sent; a look-up knows.", webhooks="none"),
    Behaviour(
        ending="0115",
        name="unknown status",
        story='The first webhook says "dispatched", a word that is in no contract.',
        first_word="dispatched",
    ),
    Behaviour(
        ending="0116",
        name="too many requests",
        story="The first request is answered 429 with Retry-After, the next one is accepted.",
        turned_away=(429,),
    ),
    Behaviour(ending="0117", name="confirms", story="The patient answers and presses 1.", keys=("1",)),
    Behaviour(
        ending="0118",
        name="asks to cancel",
        story="The patient answers, presses 2, and 2 again.",
        keys=("2", "2"),
    ),
    Behaviour(ending="0119", name="opts out", story="The patient answers and presses 9.", keys=("9",)),
    Behaviour(
        ending="0120",
        name="has it repeated",
        story="The patient answers, presses 3 twice, then 1.",
        keys=("3", "3", "1"),
    ),
    Behaviour(ending="0121", name="voicemail", story="A machine answers.", answered_by="machine"),
    Behaviour(
        ending="0122",
        name="wrong key",
        story="The patient answers and presses 7, which means nothing, then 1.",
        keys=("7", "1"),
    ),
    Behaviour(ending="0123", name="silent", story="The patient answers and presses nothing."),
    Behaviour(ending="0124", name="hangs up", story="The patient hangs up before the message begins.", listens_to=1),
    Behaviour(ending="0125", name="hears it out", story="The patient hangs up after the message.", listens_to=2),
    Behaviour(
        ending="0126",
        name="taken for a machine",
        story="A machine is reported, but it is a patient, who presses 1 each time.",
        answered_by="machine",
        keys=("1", "1"),
    ),
    Behaviour(ending="0127", name="fax", story="A fax answers.", answered_by="fax"),
    Behaviour(ending="0128", name="hears nothing", story="The patient answers, and nothing is spoken.", fetches=False),
    Behaviour(
        ending="0129", name="phone off", story="The phone is off, each time: SIP 480.", ends=("failed",), sip_code=480
    ),
    Behaviour(
        ending="0130", name="declines", story="The patient declines the call: SIP 603.", ends=("busy",), sip_code=603
    ),
)

_BY_ENDING: Final = {behaviour.ending: behaviour for behaviour in BEHAVIOURS}
_BY_NAME: Final = {behaviour.name: behaviour for behaviour in BEHAVIOURS}


def behaviour_of(phone_number: str) -> Behaviour:
    """What a call to this number will do."""
    return _BY_ENDING.get(phone_number[-4:], ANSWERED)


def example_number(name: str, *, area: int = 202) -> str:
    """A fictitious number in E.164 that behaves as named; another area code gives another number.

    Raises:
        KeyError: no behaviour has this name.
    """
    return f"+1{area}555{_BY_NAME[name].ending}"
