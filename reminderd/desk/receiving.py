"""Receive a form with a file in it: the file goes to the disk as it arrives, and is never in memory as a whole."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field
from quart import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout
from werkzeug.sansio.multipart import NEED_DATA, Data, Epilogue, Event, Field, File, MultipartDecoder

from reminderd.web.bodies import Body, IncompleteError, body_of

if TYPE_CHECKING:
    from typing import BinaryIO

    from trio._file_io import AsyncIOWrapper

_MOST_OF_FIELDS: Final = 64 * 1024
_MOST_PARTS: Final = 32
_DROPPED_BYTES: Final = 512 * 1024 * 1024
"""So much of a file that is too large is read and dropped: a browser shows the answer only when it has sent all."""
_SECONDS_OF_SILENCE: Final = 30.0
_PIECE: Final = 1024 * 1024

Begin = Callable[[Mapping[str, str], str], Awaitable[Path]]
"""Takes the fields before the file, and the file's own name; returns where the file goes, or raises."""


async def receive_file(most_bytes: int, begin: Begin) -> dict[str, str]:
    """Receive a form whose last field is a file, and return its other fields.

    Args:
        most_bytes: the largest file.
        begin: called when the file is about to arrive; not if none was chosen.

    Raises:
        HTTPException: the form is too large, is not such a form, or did not arrive.
        OSError: the file can't be written.
    """
    body = body_of(request.scope)
    body.read_limit = _DROPPED_BYTES
    if (request.content_length or 0) > most_bytes + _MOST_OF_FIELDS:
        raise RequestEntityTooLarge
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise BadRequest
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), _MOST_OF_FIELDS, max_parts=_MOST_PARTS)
    form = _Form(most_bytes, begin)
    try:
        while not isinstance(event := await _next_event(decoder, body), Epilogue):
            await form.take(event)
    finally:
        await form.close()
    return form.fields


async def _next_event(decoder: MultipartDecoder, body: Body) -> Event:
    """Return the next part of the form, or of a part, once it is there."""
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
class _Form:
    """What has arrived of a form."""

    most_bytes: int
    begin: Begin
    fields: dict[str, str] = field(factory=dict, init=False)
    _name: str = field(default="", init=False)
    _text: bytearray = field(factory=bytearray, init=False)
    _file: "AsyncIOWrapper[BinaryIO] | None" = field(default=None, init=False)
    _size: int = field(default=0, init=False)

    async def take(self, event: Event) -> None:
        """Keep what has arrived: the content of a file on the disk."""
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
                if len(self._text) > _MOST_OF_FIELDS:
                    raise RequestEntityTooLarge
                if not more and self._name:
                    self.fields[self._name] = self._text.decode(errors="replace").strip()
            case _:
                pass

    async def close(self) -> None:
        """Have all that has arrived on the file."""
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
