"""The chaos provider in Twilio's dialect: no keys, look-ups that lag, rarely repeated webhooks, and patients.

A webhook is sent a second time only if no connection could be made. A webhook that is answered with 503, or cut off by
a kill, is lost for good.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree as ET

import httpx
import trio
from attrs import define, field

from reminderd.core.model import TERMINAL, Response
from reminderd.providers.twilio.webhooks import signature
from tests.chaos.provider import ChaosProvider, answer
from tests.chaos.record import Order, Ring
from tests.support.generic_server import Body
from tests.support.hostile_provider import Line, ReceivedRequest

ACCOUNT: Final = "AC" + "0" * 32
TOKEN: Final = "a-token"
SENDER: Final = "+12025550190"
PUBLIC: Final = "http://clinic.example"
FIRST_CANCELLED: Final = 3
"""Staff cancel this many calls while they ring, whatever is drawn for the others: every round must have some."""
OUTCOME_TIMEOUT: Final = 2.0
"""The configured timeout, in seconds."""
LAG: Final = 0.4
"""Seconds for which a look-up does not show a new call; of four look-ups, at least one comes later."""

ENDS: Final = ("completed",) * 14 + ("busy",) * 2 + ("no-answer", "failed")
PATIENTS: Final = (("machine_end_beep", ()),) * 3 + tuple(
    ("human", keys) for keys in ((), ("1",), ("1",), ("2", "2"), ("9",), ("3", "1"), ("7", "2", "1"))
)
"""Who answers, and which keys they press."""

_MEANINGS: Final = {"1": Response.CONFIRMED, "9": Response.OPTED_OUT}


@define
class Conversation:
    """A call as Twilio plays it."""

    ring: Ring
    order: dict[str, list[str]]
    """The form of the request."""
    began: float
    created: str
    status: str = "queued"


@define(kw_only=True)
class TwilioChaos(ChaosProvider):
    """Speaks Twilio's dialect."""

    _calls: dict[str, Conversation] = field(factory=dict)
    _forms: dict[str, dict[str, list[str]]] = field(factory=dict)

    async def asked(self, line: Line, request: ReceivedRequest) -> None:
        target = urlsplit(request.target)
        sid = target.path.rpartition("/")[2].removesuffix(".json")
        if request.method == "POST" and sid == "Calls":
            await self.place(line, self._order(request))
        elif self.draw("look-up", request.target).random() < self.temper.fails_look_ups and not self.well:
            await answer(line, 500, {"code": 20500})
        elif request.method == "POST":
            await self._asked_to_drop(line, sid)
        elif sid == "Calls":
            await self._asked_for_list(line, dict(parse_qsl(target.query))["To"])
        else:
            known = self._calls.get(sid)
            await answer(line, *((404, {"code": 20404}) if known is None else (200, self._shown(known))))

    async def refuse(self, line: Line) -> None:
        await answer(line, 400, {"code": 21211, "message": "not a valid phone number", "status": 400})

    async def fail(self, line: Line, draw: Random) -> None:
        await answer(line, *draw.choice(((500, {"code": 20500}), (503, {"code": 20503}), (429, {"code": 20429}))))

    async def accept(self, line: Line, ring: Ring) -> None:
        await answer(line, 201, self._shown(self._calls[ring.call_id]))

    def _order(self, request: ReceivedRequest) -> Order:
        form = parse_qs(request.body.decode(), strict_parsing=True)
        key = form["StatusCallback"][0].rpartition("/")[2]
        self._forms[key] = form
        reminder_id = self.clinic.reminder_of(key)
        if any(personal in form["Url"][0] for personal in (reminder_id or "?", form["To"][0])):
            self.record.complaints.append(f"{key}: an address says who the patient is")
        return Order(
            key=key,
            reminder_id=reminder_id or "",
            phone_number=form["To"][0],
            message=None,
            committed=reminder_id is not None,
        )

    def rings(self, order: Order, draw: Random) -> Ring:
        """Ring the phone; a separate task plays the call."""
        ring = Ring(
            key=order.key,
            reminder_id=order.reminder_id,
            call_id=f"CA{draw.getrandbits(128):032x}",
            at=self.record.moment(),
            heard=False,
        )
        self.record.rings.append(ring)
        created = format_datetime(datetime.now(UTC))  # noqa: TID251 - the real program compares it with the real time
        call = Conversation(ring, self._forms[order.key], trio.current_time(), created)
        self._calls[ring.call_id] = call
        self.undelivered += 1
        self.nursery.start_soon(self._play, call, Random(draw.random()))
        return ring

    def is_on_the_phone(self, ring: Ring) -> bool:
        """Return whether the call keeps its number busy: after the timeout without a sign of life, it does not."""
        return ring.end is None and trio.current_time() < self._calls[ring.call_id].began + OUTCOME_TIMEOUT

    # How a call goes

    async def _play(self, call: Conversation, draw: Random) -> None:
        ring, silent = call.ring, draw.random() < self.temper.silent
        for word in ("initiated", "ringing"):
            await trio.sleep(draw.uniform(0, 0.15))
            if ring.end is not None:
                break
            call.status = "ringing" if word == "ringing" else "queued"
            self._tell(call, {"CallStatus": word}, draw, silent=silent)
            is_given_up = draw.random() < 0.1 or len(self.cancelled) < FIRST_CANCELLED
            if word == "ringing" and not self.well and is_given_up:
                self.cancelled.add(ring.reminder_id)
                await trio.to_thread.run_sync(self.clinic.cancel, ring.reminder_id)
        await trio.sleep(draw.uniform(0, 0.3))
        end = draw.choice(ENDS)
        if ring.end is None and end == "completed":
            ring.picked_up, call.status = True, "in-progress"
            ring.answered_by, keys = draw.choice(PATIENTS)
            self._tell(call, {"CallStatus": "in-progress", "AnsweredBy": ring.answered_by}, draw, silent=silent)
            await self._talk(call, keys, draw)
        if ring.end is None:
            ring.end = call.status = end
        by = {"AnsweredBy": ring.answered_by} if ring.answered_by is not None else {}
        last = {"CallStatus": ring.end, "CallDuration": "7", "SipResponseCode": "200", **by}
        self._tell(call, last, draw, silent=silent)
        self.undelivered -= 1

    async def _talk(self, call: Conversation, keys: tuple[str, ...], draw: Random) -> None:
        """Ask what to say, and press keys, or none, as long as keys are expected."""
        call.ring.heard = None  # it may be recorded as spoken, although nobody hears the text
        verbs = await self._fetch(call, call.order["Url"][0], {"AnsweredBy": call.ring.answered_by or ""}, draw)
        is_spoken = verbs is not None and any("Reminder " in (say.text or "") for say in verbs.iter("Say"))
        call.ring.heard = None if verbs is None or is_spoken else False
        for position, key in enumerate(keys or ("",)):
            gather = None if verbs is None else verbs.find("Gather")
            if gather is None:
                return
            address = gather.get("action", "")
            meaning = Response.CANCEL_REQUESTED if keys[: position + 1] == ("2", "2") else _MEANINGS.get(key)
            if meaning is not None:
                self.pressed.add(call.ring.reminder_id)
            call.ring.has_listened = True
            for _ in range(2 if draw.random() < 0.2 else 1):  # the network may deliver it twice
                verbs = await self._fetch(call, address, {"Digits": key}, draw)
                call.ring.heard = True if verbs is not None and is_spoken else call.ring.heard
            if verbs is not None and meaning is not None and verbs.find("Gather") is None:
                self._check_stored(call.ring, meaning)

    def _check_stored(self, ring: Ring, meaning: Response) -> None:
        """Check that a key's meaning is stored, as the patient has just heard so."""
        self.answered.setdefault(ring.reminder_id, self.record.moment())
        on_record = self.clinic.response_to(ring.reminder_id)
        if on_record != meaning:
            self.record.complaints.append(f"{ring.key}: the patient was told {meaning}, on record is {on_record}")

    async def _fetch(self, call: Conversation, address: str, news: dict[str, str], draw: Random) -> ET.Element | None:
        """Return the TwiML at an address; None if there was none, as the fallback's content does not matter."""
        answered = await self._post(call, address, {"CallStatus": "in-progress", **news}, draw)
        if answered is None or answered.status_code != 200:
            return None
        return ET.fromstring(answered.content)  # noqa: S314 - our own

    def _tell(self, call: Conversation, news: dict[str, str], draw: Random, *, silent: bool) -> None:
        """Start sending a status callback, or lose it for good."""
        if silent or draw.random() < 0.1:
            return
        self.undelivered += 1
        self.nursery.start_soon(self._deliver, call, news, Random(draw.random()))

    async def _deliver(self, call: Conversation, news: dict[str, str], draw: Random) -> None:
        await trio.sleep(draw.uniform(0, 0.3))
        ring, ends = call.ring, news["CallStatus"] in TERMINAL
        if ends:
            ring.note_disclosure(self.record.moment())
        answered = await self._post(call, call.order["StatusCallback"][0], news, draw, ends=ends)
        if answered is not None and answered.status_code not in {204, 503}:
            self.record.complaints.append(f"{ring.key}: a callback was answered with {answered.status_code}")
        if ends and answered is not None and answered.status_code == 204:
            ring.note_acknowledgment(self.record.moment())
        self.undelivered -= 1

    async def _post(
        self, call: Conversation, address: str, news: dict[str, str], draw: Random, *, ends: bool = False
    ) -> httpx.Response | None:
        """Send a signed form; send it once more if no connection could be made."""
        to, sender = call.order["To"][0], call.order["From"][0]
        form = {"CallSid": call.ring.call_id, "AccountSid": ACCOUNT, "To": to, "From": sender, **news}
        content = urlencode(form).encode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": signature(TOKEN, address, form.items()),
        }

        async def send(web_url: str) -> httpx.Response:
            request = self.client.build_request(
                "POST", address.replace(PUBLIC, web_url, 1), content=content, headers=headers
            )
            request.stream = Body(content)
            return await self.client.send(request)

        answered = await self.reach(draw, send, ends=ends)
        return answered if answered is not None or draw.random() < 0.5 else await self.reach(draw, send, ends=ends)

    # What it answers to look-ups

    async def _asked_for_list(self, line: Line, phone_number: str) -> None:
        listed = [
            self._shown(call)
            for call in self._calls.values()
            if call.order["To"][0] == phone_number and trio.current_time() > call.began + LAG
        ]
        self.found += len(listed)
        await answer(line, 200, {"calls": listed[::-1], "next_page_uri": None})

    async def _asked_to_drop(self, line: Line, sid: str) -> None:
        call = self._calls[sid]
        if call.ring.end is None and not call.ring.picked_up:
            call.ring.end = call.status = "canceled"
        elif call.ring.end is not None or call.ring.picked_up:
            await answer(line, 400, {"code": 21220, "message": "not in a state to be cancelled", "status": 400})
            return
        await answer(line, 200, self._shown(call))

    def _shown(self, call: Conversation) -> dict[str, Any]:
        """Return a call as a look-up shows it at this moment."""
        if call.ring.end is not None:
            call.ring.note_disclosure(self.record.moment())
        return {
            "sid": call.ring.call_id,
            "status": call.ring.end or call.status,
            "to": call.order["To"][0],
            "from": call.order["From"][0],
            "direction": "outbound-api",
            "date_created": call.created,
            "duration": "7" if call.ring.end is not None else None,
            "answered_by": call.ring.answered_by,
        }
