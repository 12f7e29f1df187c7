"""A scanner for the pages: follows every link and form as somebody who is logged in, and judges each answer by rules.

Like the well-known scanners, it knows nothing of the program that it looks at: only what a browser must be sent so that
a page with patients on it is safe. A rule is a function from an answer to what is wrong with it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from html import escape
from itertools import cycle
from typing import Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx
from attrs import define, field, frozen

from tests.support.desk import Browser, Element, parsed

MARK: Final = "zqx9"
HOSTILE: Final = f"""{MARK}'"><script>{MARK}()</script><img src=x onerror={MARK}()>`${{7*7}}{{{{7*7}}}}"""
"""What, written into any field or record, must come back as text and nothing else."""

_ODD_VALUES: Final = (
    HOSTILE,
    "' OR '1'='1' --",
    "../../../../etc/passwd",
    "\0",
    "9" * 400,
    "-1",
    "2026-99-99",
    "%",
    "\u202e\ufeffabc",
    "//evil.example/",
    "/\\evil.example/",
    "https://evil.example/",
)
_ODD_BYTES: Final = ("%ff%fe", "%00", "%0d%0aSet-Cookie:%20a=b", "%c0%ae%c0%ae/")
_STATIC: Final = "/static/"
_MOST_REQUESTS: Final = 5_000


@frozen(kw_only=True)
class Answer:
    """One answer, with what was asked."""

    method: str
    url: str
    response: httpx.Response
    root: Element | None
    """The page in it, if it is one."""
    elements: list[Element] = field(init=False)
    """All that is in the page."""
    private: tuple[str, ...] = ()
    """What may stand in a page, and nowhere else."""

    @elements.default
    def _all_elements(self) -> list[Element]:
        return [] if self.root is None else self.root.all()

    @property
    def place(self) -> str:
        return f"{self.method} {self.url[:200]} -> {self.response.status_code}"

    @property
    def headers(self) -> httpx.Headers:
        return self.response.headers

    @property
    def is_static(self) -> bool:
        return urlsplit(self.url).path.startswith(_STATIC) and self.response.status_code == 200

    def all(self, tag: str = "") -> list[Element]:
        return [one for one in self.elements if not tag or one.tag == tag]


File = tuple[str, bytes]
"""A name and a content."""

Rule = Callable[[Answer], Iterable[str]]


# The rules


def _works(answer: Answer) -> Iterator[str]:
    if answer.response.status_code >= 500:
        yield f"status {answer.response.status_code}"


def _policy(answer: Answer) -> Iterator[str]:
    directives = dict.fromkeys(("default-src", "frame-ancestors", "base-uri", "form-action"), "missing")
    for part in answer.headers.get("content-security-policy", "").split(";"):
        name, _, sources = part.strip().partition(" ")
        if name:
            directives[name] = sources.strip()
    expected = {"default-src": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'self'"}
    for name, sources in directives.items():
        if expected.get(name, sources) != sources or any(one not in {"'self'", "'none'"} for one in sources.split()):
            yield f"{name} {sources}"


def _fixed_headers(answer: Answer) -> Iterator[str]:
    for name, allowed in {
        "x-frame-options": {"DENY"},
        "x-content-type-options": {"nosniff"},
        "referrer-policy": {"no-referrer", "same-origin"},
        "cross-origin-opener-policy": {"same-origin"},
        "cross-origin-resource-policy": {"same-origin"},
    }.items():
        if answer.headers.get(name) not in allowed:
            yield f"{name}: {answer.headers.get(name)}"
    if "geolocation=()" not in answer.headers.get("permissions-policy", ""):
        yield f"permissions-policy: {answer.headers.get('permissions-policy')}"


def _no_cache(answer: Answer) -> Iterator[str]:
    kept = answer.headers.get("cache-control", "")
    if answer.is_static and "html" not in answer.headers.get("content-type", ""):
        return
    if kept != "no-store":
        yield f"cache-control: {kept}"
    for name in ("etag", "last-modified", "expires"):
        if name in answer.headers:
            yield f"{name} lets a browser keep it"


def _content_type(answer: Answer) -> Iterator[str]:
    kind = answer.headers.get("content-type", "")
    if answer.response.content and not (kind.endswith("; charset=utf-8") or kind == "image/svg+xml"):
        yield f"content-type: {kind}"


def _cookies(answer: Answer) -> Iterator[str]:
    for line in answer.headers.get_list("set-cookie"):
        name, *attributes = (part.strip() for part in line.split(";"))
        have = {attribute.lower() for attribute in attributes}
        if not {"secure", "httponly", "samesite=strict", "path=/"} <= have or any("domain" in one for one in have):
            yield f"{name.partition('=')[0]}: {attributes}"
        if not name.startswith("__Host-"):
            yield f"{name.partition('=')[0]}: another host may set it"


def _no_version(answer: Answer) -> Iterator[str]:
    for name in ("server", "x-powered-by", "via", "x-aspnet-version"):
        if name in answer.headers:
            yield f"{name}: {answer.headers[name]}"


_INSIDE: Final = re.compile(
    r"Traceback|File \"/|\.py\b|site-packages|werkzeug|hypercorn|sqlite|OperationalError|syntax error|StrictUndefined"
    r"|/(?:work|home|root|usr)/|jinja2|<Element|object at 0x",
    re.IGNORECASE,
)


def _no_insides(answer: Answer) -> Iterator[str]:
    if not answer.is_static and (found := _INSIDE.search(answer.response.text)):
        yield f"shows {found[0]!r}"


def _no_foreign_origin(answer: Answer) -> Iterator[str]:
    for name in answer.headers:
        if name.startswith("access-control-"):
            yield f"{name}: {answer.headers[name]}"


def _redirects(answer: Answer) -> Iterator[str]:
    for name in ("location", "hx-redirect", "hx-location", "refresh", "hx-push-url"):
        target = answer.headers.get(name)
        if target is not None and not _is_ours(answer, target):
            yield f"{name}: {target}"


def _is_ours(answer: Answer, target: str) -> bool:
    if re.match(r"/[a-z]|#", target):  # nearly all of them: asking is slow
        return "\\" not in target
    whole, own = urlsplit(urljoin(answer.url, target)), urlsplit(answer.url)
    return (whole.scheme, whole.netloc) == (own.scheme, own.netloc) and "\\" not in target


def _no_inline_code(answer: Answer) -> Iterator[str]:
    for element in answer.all():
        if element.tag in {"style", "object", "embed", "iframe", "applet", "base", "frame"}:
            yield f"<{element.tag}>"
        if element.tag == "script" and ("src" not in element.attributes or element.text):
            yield "a script inside the page"
        for name, value in element.attributes.items():
            if name.startswith(("on", "hx-on", "hx-vals", "hx-vars")) or name in {"style", "srcdoc", "formaction"}:
                yield f"<{element.tag} {name}>"
            if ":" in value and re.match(r"\s*(javascript|data|vbscript):", value, re.IGNORECASE):
                yield f"<{element.tag} {name}={value[:30]}>"


_LINKS: Final = ("href", "src", "action", "hx-get", "hx-post", "poster", "data")


def _no_other_site(answer: Answer) -> Iterator[str]:
    for element in answer.all():
        for name in _LINKS:
            target = element.attributes.get(name)
            if target is not None and not target.startswith("tel:") and not _is_ours(answer, target):
                yield f"<{element.tag} {name}={target[:60]}>"


def _forms(answer: Answer) -> Iterator[str]:
    for form in answer.all("form"):
        action = form.attributes.get("action", "")
        names = {one.attributes.get("name") for one in (*form.all("input"), *form.all("textarea"), *form.all("select"))}
        if form.attributes.get("method", "get").lower() == "post":
            if not names & {"csrf", "form"}:
                yield f"the form to {action} has no token"
        elif names & {"csrf", "form", "password", "code", "phone_number", "phone", "name", "digits", "ref", "q"}:
            yield f"the form to {action} puts {sorted(filter(None, names))} into its URL"
        for one in form.all("input"):
            if one.attributes.get("type") == "password" and one.attributes.get("value"):
                yield f"the form to {action} sends a password back"


def _page(answer: Answer) -> Iterator[str]:
    if answer.root is None or "<html" not in answer.response.text[:200]:
        return
    (html,) = answer.root.all("html")
    if not html.attributes.get("lang"):
        yield "no language"
    titles = [title for head in answer.all("head") for title in head.all("title")]  # drawings have titles, too
    if len(titles) != 1 or not titles[0].text:
        yield "no title"
    if not answer.response.text.lstrip().lower().startswith("<!doctype html>"):
        yield "no doctype: browsers guess"


def _nothing_private_outside(answer: Answer) -> Iterator[str]:
    """Find what browsers and proxies keep of a page: its URL, its title, its headers, and the URLs of its links."""
    kept = [answer.url, *(value for name, value in answer.headers.items() if name != "set-cookie")]
    kept += [title.text for head in answer.all("head") for title in head.all("title")]
    for element in answer.all():
        kept += [element.attributes[name] for name in _LINKS if name in element.attributes]
    for text in kept:
        if text.startswith("tel:"):
            continue
        plain = text + httpx.URL(text).path if text.startswith("/") else text
        for private in answer.private:
            if private.lower() in plain.lower():
                yield f"{private!r} in {text[:120]!r}"


def _nothing_injected(answer: Answer) -> Iterator[str]:
    text = answer.response.text
    if answer.root is None and "html" not in answer.headers.get("content-type", ""):
        return
    for part in (f"<script>{MARK}", f"<img src=x onerror={MARK}"):
        if part in text:
            yield "a text of a record is read as HTML"
    if f"{MARK}'\"" in text or f'{MARK}&#39;"' in text:
        yield "a text of a record can end an attribute"
    if "`$49" in text or "}49" in text or f"{MARK}49" in text:
        yield "a text of a record is evaluated"
    for element in answer.all():
        if any(MARK in name or MARK in element.tag for name in (*element.attributes, "")):
            yield f"<{element.tag} {sorted(element.attributes)}>"


def _no_header_injected(answer: Answer) -> Iterator[str]:
    if any(line.startswith("a=b") for line in answer.headers.get_list("set-cookie")):
        yield "a text of a request is read as a header"


RULES: Final[dict[str, Rule]] = {
    "works": _works,
    "a policy that allows no code but our own": _policy,
    "headers against framing, sniffing and other sites": _fixed_headers,
    "no cache": _no_cache,
    "a content type with its charset": _content_type,
    "cookies that only this host gets": _cookies,
    "no name of the server": _no_version,
    "nothing of the program's insides": _no_insides,
    "no other site may read it": _no_foreign_origin,
    "redirects to ourselves alone": _redirects,
    "no code inside a page": _no_inline_code,
    "nothing from another site": _no_other_site,
    "forms that no other site can send": _forms,
    "a whole page": _page,
    "nothing private outside the page": _nothing_private_outside,
    "texts of records stay texts": _nothing_injected,
    "texts of requests stay texts": _no_header_injected,
}


# The crawl


@define
class Scan:
    """What was asked so far, and what is wrong with the answers."""

    browser: Browser
    private: tuple[str, ...]
    """What may stand in a page, and nowhere else."""
    complaints: list[str] = field(factory=list)
    asked: set[str] = field(factory=set)
    """Each page, form and file, by method and path; a record's path counts once."""
    texts: set[str] = field(factory=set)
    """Everything that was answered to requests without hostile texts."""
    requests: int = 0
    _waiting: list[str] = field(factory=list)
    _forms: dict[str, tuple[str, Element]] = field(factory=dict)

    async def run(self, *starts: str) -> None:
        """Follow all links, then send all forms as they are and with hostile texts, then ask for odd things."""
        for start in starts:
            self.asked.add(f"GET {_shape(start)}")
            await self.ask("GET", start)
        await self._follow()
        done: set[str] = set()
        while left := [key for key in self._forms if key not in done]:
            for key in left:
                done.add(key)
                await self._send(*self._forms[key])
            await self._follow()
        for path in sorted(self.asked):
            if path.startswith("GET "):
                await self._ask_oddly(path.removeprefix("GET "))

    async def _follow(self) -> None:
        while self._waiting:
            url = self._waiting.pop()
            key = f"GET {_shape(url)}"
            if key not in self.asked:
                self.asked.add(key)
                await self.ask("GET", url)

    async def _send(self, action: str, form: Element) -> None:
        if action == "/logout":
            return  # the others are sent by somebody who is logged in
        method = form.attributes.get("method", "get").upper()
        self.asked.add(f"{method} {_shape(action)}")
        fields, files = form.fields, _files(form)
        for filled in (fields, fields | _plausible(form)):
            for button in form.all("button"):
                name, value = button.attributes.get("name"), button.attributes.get("value", "")
                await self._submit(method, action, filled if name is None else filled | {name: value}, files)
        writable = [name for name in fields if name not in {"csrf", "form"}]
        for odd in _ODD_VALUES:
            await self._submit(method, action, fields | dict.fromkeys(writable, odd))
        for name, odd in zip(writable, cycle(_ODD_VALUES), strict=False):  # what is wrong elsewhere may hide it
            await self._submit(method, action, fields | _plausible(form) | {name: odd})
        if method == "POST":
            for stolen in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
                without = {name: value for name, value in fields.items() if name not in {"csrf", "form"}} | stolen
                answer = await self.ask("POST", action, data=without)
                if answer.response.status_code not in {303, 401, 403} or _leads_inside(answer):
                    self.complaints.append(f"forms need their token: {answer.place}")

    async def _submit(
        self, method: str, action: str, fields: dict[str, str], files: dict[str, File] | None = None
    ) -> None:
        if method == "GET":
            await self.ask("GET", f"{action}?{urlencode(fields)}", follows=False)
        else:
            answer = await self.ask("POST", action, data=fields, files=files)
            if answer.response.status_code == 303:
                await self.ask("GET", answer.headers["location"])

    async def _ask_oddly(self, path: str) -> None:
        """Ask for a page with odd values in its query, by odd methods, and for what is near it."""
        names = {name for name, _ in parse_qsl(urlsplit(path).query)} | {"day", "after", "next"}
        bare = urlsplit(path).path
        for odd in _ODD_VALUES:
            await self.ask("GET", f"{bare}?{urlencode(dict.fromkeys(sorted(names), odd))}", follows=False)
        for name, odd in zip(sorted(names), cycle(_ODD_VALUES), strict=False):
            await self.ask("GET", f"{bare}?{urlencode({name: odd})}", follows=False)
        for odd in _ODD_BYTES:
            await self.ask("GET", f"{bare}?{'&'.join(f'{name}={odd}' for name in sorted(names))}", follows=False)
        for near in (f"{bare}/", f"{bare}%00", f"{bare}/..%2f..%2fetc%2fpasswd", f"{bare}/%2e%2e/%2e%2e", f"/{bare}"):
            await self.ask("GET", near, follows=False)
        for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "X"):
            answer = await self.ask(method, bare, follows=False)
            if answer.response.status_code in {200, 204} and method != "HEAD":
                self.complaints.append(f"only GET and POST: {answer.place}")

    async def ask(
        self,
        method: str,
        url: str,
        *,
        data: dict[str, str] | None = None,
        files: dict[str, File] | None = None,
        follows: bool = True,
    ) -> Answer:
        """Send one request, judge its answer, and remember where its page leads."""
        self.requests += 1
        assert self.requests < _MOST_REQUESTS, "the pages have no end"
        headers = {"Origin": self.browser.url} if method == "POST" else {}
        response = await self.browser.raw(method, url, data=data, files=files, headers=headers)
        answer = Answer(
            method=method,
            url=str(response.request.url),
            response=response,
            root=_page_in(response),
            private=self.private if MARK not in url else (),
        )
        self.complaints += judge(answer)
        if answer.private and method == "GET":
            self.texts.add(response.text)
        if follows:
            self._waiting += _targets(answer)
            for form in answer.all("form"):
                action = form.attributes.get("action") or urlsplit(url).path
                names = " ".join(sorted(form.fields))
                self._forms.setdefault(f"{_shape(action)} {names}", (action, form))
        return answer


def _plausible(form: Element) -> dict[str, str]:
    """Return what somebody may write into the fields that are empty: so that forms are taken, with hostile texts."""
    usual = {"tel": "+1 202 555 0123", "date": "2026-03-05", "time": "10:30", "number": "3"}
    found = {
        one.attributes["name"]: usual.get(one.attributes.get("type", "text"), f"Zebulon {HOSTILE}")
        for one in (*form.all("input"), *form.all("textarea"))
        if one.attributes.get("type") not in {"hidden", "file", "checkbox", "radio", "submit"}
        and not one.attributes.get("value")
    }
    without_places = {name: "" for name in found if name in {"timezone", "code"}}
    return found | without_places


def _files(form: Element) -> dict[str, File] | None:
    """Return a file for each field that wants one."""
    table = f"phone,time,message\n+12025550123,2026-03-05 10:30,Zebulon {HOSTILE}\n12,{HOSTILE},\n".encode()
    found = {
        one.attributes["name"]: (f"Zebulon {MARK}'><b>.csv", table)
        for one in form.all("input")
        if one.attributes.get("type") == "file"
    }
    return found or None


def judge(answer: Answer) -> list[str]:
    """Return what is wrong with an answer, by all rules."""
    return [f"{name}: {wrong}: {answer.place}" for name, rule in RULES.items() for wrong in rule(answer)]


def _page_in(response: httpx.Response) -> Element | None:
    is_page = response.headers.get("content-type", "").startswith("text/html") and response.content
    return _parsed(response.text) if is_page else None


_parsed = lru_cache(parsed)  # odd questions have the same answers


def _targets(answer: Answer) -> Iterator[str]:
    location = answer.headers.get("location")
    if location is not None and _is_ours(answer, location):
        yield location
    for element in answer.all():
        for name in ("href", "src", "hx-get"):
            target = element.attributes.get(name)
            if target is None or target.startswith(("tel:", "#")) or not _is_ours(answer, target):
                continue
            yield re.sub(r"after=[^&]*", "after=old", target)  # a part that is up to date would wait


def _shape(url: str) -> str:
    """Return a path with its names of parameters: one record, day or page of a list is like the next."""
    parts = urlsplit(url)
    path = re.sub(r"/[A-Za-z0-9_-]{20,}", "/*", parts.path)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - {"v"})
    return f"{path}?{'&'.join(f'{name}=' for name in names)}" if names else path


def _leads_inside(answer: Answer) -> bool:
    """Return whether a form was taken: it leads to a page other than that for logging in."""
    location = answer.headers.get("location")
    return location is not None and not location.startswith("/login")


def shown(text: str) -> str:
    """Return how a text must stand in a page."""
    return escape(text, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
