"""The pages' stylesheet and scripts: a few files, read once, that browsers keep."""

from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Final

from attrs import frozen
from quart import Response, request

_TYPES: Final = {
    "desk.css": "text/css; charset=utf-8",
    "desk.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "htmx.LICENSE": "text/plain; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Every file that there is: nothing else is ever looked for on the disk."""

_A_YEAR: Final = "public, max-age=31536000, immutable"


@frozen
class _File:
    content: bytes
    digest: str


def url_of_file(name: str) -> str:
    """Return where browsers find a file; another content has another URL."""
    return f"/static/{name}?v={_file(name).digest}"


def file_response(name: str) -> Response | None:
    """Return the answer to a request for a file; None: there is no such file."""
    if name not in _TYPES:
        return None
    file = _file(name)
    kept = _A_YEAR if request.args.get("v") == file.digest else "no-cache"
    return Response(file.content, content_type=_TYPES[name], headers={"Cache-Control": kept})


@cache
def _file(name: str) -> _File:
    content = (resources.files("reminderd.desk") / "static" / name).read_bytes()
    return _File(content, sha256(content).hexdigest()[:12])
