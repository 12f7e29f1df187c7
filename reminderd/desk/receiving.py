"""Receive what browsers send: a form, or a form with a file, which is written to the disk as it arrives."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import trio
from attrs import define, field, frozen
from quart import g, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout, ServiceUnavailable
from werkzeug.sansio.multipart import NEED_DATA, Data, Epilogue, Event, Field, File, MultipartDecoder

from reminderd.web.bodies import Body, IncompleteError, NoMemoryLeftError, TooLargeError, body_of

if TYPE_CHECKING:
    from typing import BinaryIO

    from trio._file_io import AsyncIOWrapper

_MOST_BYTES_OF_FIELDS: Final = 64 * 1024
_MOST_FIELDS: Final = 2_000
_SECONDS_OF_A_BODY: Final = 60.0
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_PARTS: Final = 32
_DROPPED_BYTES: Final = 512 * 1024 * 1024
"""How much of a file that is too large is read and dropped: a browser shows the answer only after sending all."""
_SECONDS_OF_SILENCE: Final = 30.0
_PIECE: Final = 1024 * 1024

Begin = Callable[[Mapping[str, str], str], Awaitable[Path]]
"""Takes the fields before the file, and the file's own name; returns the path for the file, or raises an error."""


@frozen
class SentForm:
    """The fields of a form."""

    fields: MultiDict[str, str]

    def text(self, name: str) -> str:
        """Return what was written in a field, without the blanks around it; empty if nothing was."""
        return self.fields.get(name, "").strip()


async def read_form(most_bytes: int) -> SentForm:
    """Return the fields of the request's form; a body that is not a form has none.

    Raises:
        HTTPException: the form is too large, or did not arrive.
    """
    body = body_of(request.scope)
    body.limit = most_bytes
    try:
        content = await body.read(_SECONDS_OF_A_BODY)
    except TooLargeError:
        raise RequestEntityTooLarge from None
    except (trio.TooSlowError, IncompleteError):
        raise RequestTimeout from None
    except NoMemoryLeftError:
        raise ServiceUnavailable from None
    try:
        text = content.decode() if request.mimetype == _FORM else ""
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:  # not UTF-8, or too many fields
        raise BadRequest from None
    if any("\0" in value for _, value in fields):  # nobody types NUL, and not every engine can store it
        raise BadRequest
    return SentForm(MultiDict(fields))


def form() -> SentForm:
    """Return the fields of this request's form, whose token is already checked."""
    found: SentForm = g.form
    return found


async def receive_file(most_bytes: int, begin: Begin) -> dict[str, str]:
    """Receive a form whose last field is a file, which is never in memory as a whole; return its other fields.

    Args:
        most_bytes: the largest file.
        begin: called when the file is about to arrive; not called if no file was chosen.

    Raises:
        HTTPException: the form is too large, has no file as its last field, or did not arrive.
        OSError: the file can't be written.
    """
    body = body_of(request.scope)
    body.read_limit = _DROPPED_BYTES
    if (request.content_length or 0) > most_bytes + _MOST_BYTES_OF_FIELDS:
        raise RequestEntityTooLarge
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise BadRequest
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), _MOST_BYTES_OF_FIELDS, max_parts=_MOST_PARTS)
    received = _Received(most_bytes, begin)
    try:
        while not isinstance(event := await _next_event(decoder, body), Epilogue):
            await received.take(event)
    finally:
        await received.close()
    return received.fields


async def _next_event(decoder: MultipartDecoder, body: Body) -> Event:
    """Return the next event of the form, once it has arrived."""
    try:
        while (event := decoder.next_event()) is NEED_DATA:
            with trio.fail_after(_SECONDS_OF_SILENCE):
                decoder.receive_data(await body.receive_some() or None)
    except ValueError:
        raise BadRequest from None
    except (trio.TooSlowError, IncompleteError):
        raise RequestTimeout from None
    return event


@define
class _Received:
    """The part of a form that has arrived."""

    most_bytes: int
    begin: Begin
    fields: dict[str, str] = field(factory=dict, init=False)
    _name: str = field(default="", init=False)
    _text: bytearray = field(factory=bytearray, init=False)
    _file: "AsyncIOWrapper[BinaryIO] | None" = field(default=None, init=False)
    _size: int = field(default=0, init=False)

    async def take(self, event: Event) -> None:
        """Keep what has arrived; write the content of a file to the disk."""
        match event:
            case File(filename=name) if name and not self._size:
                self._file = await trio.open_file(await self.begin(self.fields, name), "wb", buffering=_PIECE)
            case File():
                self._name = ""
            case Field(name=name):
                self._name, self._text = name, bytearray()
            case Data(data=data, more_data=more) if self._file is not None:
                await self._write(data, more=more)
            case Data(data=data, more_data=more):
                self._text += data
                if len(self._text) > _MOST_BYTES_OF_FIELDS:
                    raise RequestEntityTooLarge
                if not more and self._name:
                    self.fields[self._name] = self._text.decode(errors="replace").strip()
            case _:
                pass

    async def close(self) -> None:
        """Write everything that has arrived to the file."""
        if self._file is not None:
            file, self._file = self._file, None
            await file.aclose()

    async def _write(self, data: bytes, *, more: bool) -> None:
        self._size += len(data)
        if self._size > self.most_bytes:
            raise RequestEntityTooLarge
        if self._file is not None:
            await self._file.write(data)
        if not more:
            await self.close()
