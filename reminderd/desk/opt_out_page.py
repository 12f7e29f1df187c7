"""Show opt-outs, the numbers that are never called, newest first; add, find and take back an opt-out."""

from datetime import datetime
from functools import partial
from typing import Final

from quart import Response, request
from werkzeug.exceptions import NotFound

from reminderd.core.lifecycle.transition import Transition
from reminderd.core.logins import Role
from reminderd.core.phone import existing_number
from reminderd.core.requests import normal_name, source_mistake
from reminderd.core.sentences import TextValue
from reminderd.desk.catalog import N_
from reminderd.desk.mistakes import mistake_of
from reminderd.desk.page import PageRoute, redirect_with_notice, render, see_other
from reminderd.desk.receiving import form
from reminderd.desk.search import NOT_DIGITS, number_endings
from reminderd.desk.state import Desk
from reminderd.engine.context import log_transition
from reminderd.store.connection import Connection
from reminderd.store.opt_outs import has_opted_out, opt_in, opt_out, page_of_opt_outs
from reminderd.store.users import Session

PATH: Final = "/opt-outs"

_A_PAGE: Final = 50
_STAFF: Final = "staff"

_ADDED: Final = N_("Opted out: this number is never called again.")
_IS_LISTED: Final = N_("This number had opted out already.")
_TAKEN_BACK: Final = N_(
    "This number may be called again. Cancelled reminders stay cancelled: choose “Call again” for each that you need."
)
_NOT_LISTED: Final = N_("This number is not among the opt-outs.")
_WRONG_SOURCE: Final = N_("expected at most 200 printable characters")


async def show(desk: Desk, visitor: Session, *, status: int = 200, **written: TextValue) -> Response:
    """Show the numbers, all or only those that match a search, under the forms.

    Args:
        desk: the pages' context.
        visitor: who has asked.
        status: of the answer.
        written: what was written into the forms, and what is wrong with it.
    """
    ending = str(desk.addresses.decrypted(request.args["ending"])) if "ending" in request.args else None
    after = desk.addresses.place_asked()
    rows, place = await desk.read(partial(page_of_opt_outs, limit=_A_PAGE, after=after, ending=ending))
    following = None
    if place is not None:
        looked_for = f"&ending={desk.addresses.encrypted(ending)}" if ending else ""
        following = f"{PATH}?after={desk.addresses.encrypted_place(place)}{looked_for}"
    usual = {"number": "", "source": _STAFF, "digits": ending or "", "wrong_number": "", "wrong_source": ""}
    return await render(
        desk,
        visitor,
        "opt_outs.html",
        status=status,
        rows=rows,
        ending=ending,
        following=following,
        address_of=desk.addresses.address_of,
        **(usual | {"wrong_digits": ""} | written),
    )


async def add(desk: Desk, visitor: Session) -> Response:
    """Opt a number out, with the checks of `reminderd opt-out add`."""
    typed = form()
    written, source = typed.text("number"), normal_name(typed.text("source")) or _STAFF
    wrong: dict[str, str] = {}
    number = ""
    try:
        number = existing_number(normal_name(written), desk.config.clinic.country)
    except ValueError as error:
        wrong["wrong_number"] = mistake_of(desk.catalog, str(error))
    if source_mistake(source) is not None:
        wrong["wrong_source"] = _WRONG_SOURCE
    if wrong:
        return await show(desk, visitor, status=400, number=written, source=source, **wrong)

    def write(connection: Connection, now: datetime) -> tuple[bool, tuple[Transition, ...]]:
        was_listed = has_opted_out(connection, number)
        rules, actor = desk.rules, visitor.user_name
        return was_listed, opt_out(connection, now, phone_number=number, source=source, actor=actor, rules=rules)

    was_listed, cancelled = await desk.database.write(write)
    for transition in cancelled:
        log_transition(transition)
    words = desk.catalog.gettext(_IS_LISTED if was_listed else _ADDED)
    if cancelled:
        words += " " + desk.catalog.ngettext(
            "%(num)s waiting reminder was cancelled.", "%(num)s waiting reminders were cancelled.", len(cancelled)
        )
    return await redirect_with_notice(desk, visitor, PATH, words)


async def find(desk: Desk, visitor: Session) -> Response:
    """Look for the numbers that end in some digits, which are in no URL unencrypted."""
    written = form().text("digits")
    if not written:
        return see_other(PATH)
    endings = number_endings(written, desk.config.clinic.country)
    if not endings:
        return await show(desk, visitor, status=400, digits=written, wrong_digits=NOT_DIGITS)
    found = [one for one in endings if (await desk.read(partial(page_of_opt_outs, limit=1, ending=one)))[0]]
    return see_other(f"{PATH}?ending={desk.addresses.encrypted([*found, *endings][0])}")


async def ask(desk: Desk, visitor: Session, address: str) -> Response:
    """Ask whether a number may really be called again."""
    number = _number_at(desk, address)
    if not await desk.read(partial(has_opted_out, phone_number=number)):
        return await redirect_with_notice(desk, visitor, PATH, _NOT_LISTED, kind="info")
    return await render(desk, visitor, "opt_out_back.html", number=number, address=address)


async def take_back(desk: Desk, visitor: Session, address: str) -> Response:
    """Allow calls to a number again."""
    number = _number_at(desk, address)
    if not await desk.database.write(partial(opt_in, phone_number=number, actor=visitor.user_name)):
        return await redirect_with_notice(desk, visitor, PATH, _NOT_LISTED, kind="info")
    return await redirect_with_notice(desk, visitor, PATH, _TAKEN_BACK)


def _number_at(desk: Desk, address: str) -> str:
    found = desk.addresses.id_at(address)
    if not found.startswith("+"):
        raise NotFound
    return found


ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=show, nav=N_("Opt-outs")),
    PageRoute(method="POST", path=f"{PATH}/add", view=add),
    PageRoute(method="POST", path=f"{PATH}/find", view=find),
    PageRoute(method="GET", path=f"{PATH}/back/<address>", view=ask, role=Role.ADMIN),
    PageRoute(method="POST", path=f"{PATH}/back/<address>", view=take_back, role=Role.ADMIN),
)
