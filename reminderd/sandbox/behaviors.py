"""List what the sandbox can do with a call: pure data, chosen by the last four digits of the phone number.

The numbers are those reserved for fiction, 555-0100 to 555-0199, so that an example belongs to nobody.
"""

from typing import Final, Literal

from attrs import frozen


@frozen
class Behavior:
    """How one number behaves. Times are in steps; the sandbox's `pace` is the length of a step."""

    ending: str
    """The last four digits."""
    name: str
    description: str
    """What happens, in a sentence for docs/sandbox.md."""
    rejections: tuple[int, ...] = ()
    """HTTP statuses that answer a call's first requests, without placing a call; 429 and 503 have a Retry-After."""
    answer: Literal["accepted", "refused", "error", "cut"] = "accepted"
    """The answer to the request that places the call; "refused" places none. Repeated requests are accepted."""
    answer_after: int = 0
    """Steps from placing the call to the answer."""
    ends: tuple[str, ...] = ("completed",)
    """How a reminder's first, second, … call ends; later calls end like the last one."""
    extra_status: str | None = None
    """A status that is reported before the usual ones."""
    webhooks: Literal["prompt", "late", "repeated", "early", "none"] = "prompt"
    """"early" holds the answer back until the last webhook was sent; "repeated" sends the last webhook three times."""
    answered_by: Literal["human", "machine", "fax"] = "human"
    """Who answers, if the call is answered."""
    sip_code: int | None = None
    """How the network ended the call; None for the code that its status implies."""
    fetches_message: bool = True
    """Whether the provider fetches the text to speak; otherwise nothing is spoken."""
    hangs_up_after: int | None = None
    """How many texts the patient hears before hanging up: with a greeting, a message and a menu, 1 is too few."""
    keys: tuple[str, ...] = ()
    """The keys that are pressed, one each time the call waits for a key; then none."""


LATE_STEPS: Final = 30
"""How many steps later the webhooks of a "late" call come."""

COPIES: Final = 3
"""How often the last webhook of a "repeated" call is sent."""

RETRY_AFTER_STEPS: Final = 2
"""The time in Retry-After, in steps."""

PROGRESS_BEFORE: Final = {
    "completed": ("initiated", "ringing", "in-progress"),
    "no-answer": ("initiated", "ringing"),
    "busy": ("initiated",),
    "failed": ("initiated",),
}
"""The statuses before each end, a step apart."""

ANSWERED: Final = Behavior(
    "0100", "answered", "The patient answers. Any number that is not in this table does the same."
)

BEHAVIORS: Final = (
    ANSWERED,
    Behavior("0101", "busy", "The line is busy, each time.", ends=("busy",)),
    Behavior(
        "0102",
        "busy then answered",
        "The reminder's first call finds the line busy, the next one is answered.",
        ends=("busy", "completed"),
    ),
    Behavior("0103", "no answer", "It rings and nobody answers, each time.", ends=("no-answer",)),
    Behavior("0104", "failed", "The call is accepted and then fails.", ends=("failed",)),
    Behavior("0105", "refused", "The request is refused for good: 422.", answer="refused"),
    Behavior("0106", "slow", "The call is placed, the answer comes 5 steps later.", answer_after=5),
    Behavior(
        "0107",
        "error, not placed",
        "The first request is answered 500 and nothing is placed; the next one is accepted.",
        rejections=(500,),
    ),
    Behavior(
        "0108",
        "error, placed",
        "The first request is answered 500, but the phone rings and the webhooks come.",
        answer="error",
    ),
    Behavior(
        "0109",
        "lost answer",
        "The call is placed, and the connection is cut before the provider has said so.",
        answer="cut",
    ),
    Behavior(
        "0110",
        "down then up",
        "The first two requests are answered 503 with Retry-After, the next one is accepted.",
        rejections=(503, 503),
    ),
    Behavior("0111", "late webhook", "The webhooks come 30 steps late; a look-up shows the status.", webhooks="late"),
    Behavior("0112", "repeated webhook", "The last webhook is sent three times.", webhooks="repeated"),
    Behavior("0113", "early webhook", "All webhooks are sent before the request is answered.", webhooks="early"),
    Behavior("0114", "no webhook", "No webhook is sent; a look-up shows the status.", webhooks="none"),
    Behavior(
        "0115",
        "unknown status",
        'The first webhook says "dispatched", which is in no contract.',
        extra_status="dispatched",
    ),
    Behavior(
        "0116",
        "too many requests",
        "The first request is answered 429 with Retry-After, the next one is accepted.",
        rejections=(429,),
    ),
    Behavior("0117", "confirms", "The patient answers and presses 1.", keys=("1",)),
    Behavior("0118", "asks to cancel", "The patient answers, presses 2, and 2 again.", keys=("2", "2")),
    Behavior("0119", "opts out", "The patient answers and presses 9.", keys=("9",)),
    Behavior("0120", "has it repeated", "The patient answers, presses 3 twice, then 1.", keys=("3", "3", "1")),
    Behavior("0121", "voicemail", "A machine answers.", answered_by="machine"),
    Behavior("0122", "wrong key", "The patient answers and presses 7, which means nothing, then 1.", keys=("7", "1")),
    Behavior("0123", "silent", "The patient answers and presses nothing."),
    Behavior("0124", "hangs up", "The patient hangs up before the message begins.", hangs_up_after=1),
    Behavior("0125", "hears it out", "The patient hangs up after the message.", hangs_up_after=2),
    Behavior(
        "0126",
        "mistaken for a machine",
        "A machine is reported, but it is a patient, who presses 1 each time.",
        answered_by="machine",
        keys=("1", "1"),
    ),
    Behavior("0127", "fax", "A fax answers.", answered_by="fax"),
    Behavior("0128", "hears nothing", "The patient answers, and nothing is spoken.", fetches_message=False),
    Behavior("0129", "phone off", "The phone is off, each time: SIP 480.", ends=("failed",), sip_code=480),
    Behavior("0130", "declines", "The patient declines the call: SIP 603.", ends=("busy",), sip_code=603),
)

_BY_ENDING: Final = {behavior.ending: behavior for behavior in BEHAVIORS}
_BY_NAME: Final = {behavior.name: behavior for behavior in BEHAVIORS}


def behavior_of(phone_number: str) -> Behavior:
    """Return what a call to this number will do."""
    return _BY_ENDING.get(phone_number[-4:], ANSWERED)


def example_number(name: str, *, area: int = 202) -> str:
    """Return a fictitious number in E.164 with the named behavior; each area code gives another number.

    Raises:
        KeyError: no behavior has this name.
    """
    return f"+1{area}555{_BY_NAME[name].ending}"
