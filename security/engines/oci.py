"""Speaks to an OCI registry as one user: the challenge, the token, and nothing sent where it was not asked to go.

Every request goes without credentials first: what nobody is refused, nobody needs credentials for, and a reply says as
whom it was given. Whoever is refused without being asked who he is tries again, as whom the registry asked for before:
else a refusal would say nothing of the user. Credentials go to the registry, or to the one host that may ask for them
in its place, and nowhere else. No redirect is followed. What is not a registry's answer (a page, a redirect, half of
one) is `CannotTell`; of codes of errors only known words are kept, so that nothing of what a server says can carry a
secret.
"""

import base64
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin, urlsplit

from security.errors import CannotTell

if TYPE_CHECKING:
    import httpx

ADDRESS = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
Scheme = Literal["https", "UnsafeHttp"]
By = Literal["nobody", "basic", "bearer"]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TAKES = f"{MANIFEST}, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json"
TAKES += ", application/vnd.docker.distribution.manifest.list.v2+json"
MOST = 4 << 20
"""Bytes of an answer."""
SECONDS = 10.0
ALL = 600.0
"""Seconds of everything that one client asks."""
CODES = frozenset({
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DENIED", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "MANIFEST_UNVERIFIED", "NAME_INVALID", "NAME_UNKNOWN", "PRECONDITION",
    "SIZE_INVALID", "TAG_INVALID", "TOOMANYREQUESTS", "UNAUTHORIZED", "UNKNOWN", "UNSUPPORTED",
    "ImageTagAlreadyExistsException",
})  # fmt: skip
"""What registries call their errors (OCI distribution 1.1, Harbor, ECR)."""
UNASKED = (401, 403, 404, 405)
"""What a request without credentials may be refused with by a registry that does not ask for them."""
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Place:
    """A repository of a registry: HOST[:PORT][/PATH], the repository's name under it, how it is spoken to, and which
    other host may ask for the credentials (HOST[:PORT]; empty for none)."""

    address: str
    name: str
    scheme: Scheme = "https"
    tokens: str = ""

    @property
    def host(self) -> str:
        """HOST[:PORT]."""
        return self.address.partition("/")[0]

    @property
    def base(self) -> str:
        """Where the registry's API begins."""
        return f"{'http' if self.scheme == 'UnsafeHttp' else 'https'}://{self.host}/v2/"

    @property
    def repository(self) -> str:
        """The repository's whole name."""
        return "/".join(filter(None, (self.address.partition("/")[2], self.name)))


@dataclass(frozen=True)
class Login:
    """A user's name and password. Neither is ever shown."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    def basic(self) -> str:
        """What HTTP's Basic scheme sends."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def within(self, text: str) -> bool:
        """Whether a text has any of it, as it is or as it is sent."""
        sent = (self.password, self.basic().partition(" ")[2])
        return any(len(each) >= 6 and each in text for each in sent)


@dataclass(frozen=True)
class Reply:
    """One answer: status, the known code of its error (`other`: an unknown one), and as whom it was asked for."""

    status: int
    code: str
    by: By
    body: bytes = field(repr=False, default=b"")
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)

    def said(self) -> dict[str, Any]:
        """What is kept of it."""
        return {"status": self.status, "code": self.code, "by": self.by}


class Client:
    """One user at one registry; `login` None for nobody. `transport` is there for registries that are doubles."""

    def __init__(self, place: Place, login: Login | None, transport: "httpx.BaseTransport | None" = None) -> None:
        import httpx

        self.place, self.login, self._ends = place, login, time.monotonic() + ALL
        self._reads: tuple[str, By] | None = None
        self._asked = ""
        verify: ssl.SSLContext | bool = True
        if transport is None and place.scheme == "https":
            verify = ssl.create_default_context()
        self._web = httpx.Client(
            verify=verify, trust_env=False, follow_redirects=False, timeout=SECONDS, transport=transport
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._web.close()

    def at(self, path: str) -> str:
        """The URL of something in the repository."""
        return f"{self.place.base}{self.place.repository}/{path}"

    def ask(self, method: str, url: str, content: bytes = b"", kind: str = "") -> Reply:
        """The answer to a request that is sent without credentials, and with them where they are asked for."""
        if urlsplit(url)[:2] != urlsplit(self.place.base)[:2]:
            raise CannotTell("the registry sends elsewhere; allowed: its own host alone")
        reads = method in ("GET", "HEAD") and url.startswith(self.at(""))
        if reads and self._reads:  # of what is only read it is shown already that it is asked for
            again = self._send(method, url, content, kind, *self._reads)
            if again.status not in (401, 403):
                return again
        first = self._send(method, url, content, kind, "", "nobody")
        asked = first.headers.get("www-authenticate", "") if first.status == 401 else ""
        if not asked and first.status in UNASKED:
            asked = self._asked
        if not asked or self.login is None:
            return first
        self._asked, scheme = asked, asked.split(" ")[0].lower()
        by: tuple[str, By] = (self.login.basic(), "basic")
        if scheme == "bearer":
            every = f"repository:{self.place.repository}:pull,push,delete"
            said = dict(_CHALLENGE.findall(asked))
            token = self._token(said if first.headers.get("www-authenticate") else said | {"scope": every})
            if isinstance(token, Reply):
                return token
            by = (f"Bearer {token}", "bearer")
        elif scheme != "basic":
            raise CannotTell("the registry asks for credentials in another way; allowed: Basic, Bearer")
        reply = self._send(method, url, content, kind, *by)
        if reads and reply.status == 200:
            self._reads = by
        return reply

    def follow(self, url: str, location: str) -> str:
        """Where an answer says that something goes on."""
        if not location:
            raise CannotTell("the registry does not say where an upload goes on")
        return urljoin(url, location)

    def _token(self, said: Mapping[str, str]) -> str | Reply:
        """The token that a challenge asks for; the token server's own refusal where it gives none."""
        import httpx

        realm = urlsplit(said.get("realm", ""))
        wanted = urlsplit(self.place.base).scheme
        if realm.scheme not in {"https", wanted} or realm.netloc not in {self.place.host, self.place.tokens} - {""}:
            found = f"{realm.scheme or 'nothing'} on another host" if realm.netloc else "no address"
            raise CannotTell(
                f"the registry asks to have the credentials sent to {found}; allowed: itself, or `tokens`, by {wanted}"
            )
        service = [("service", said["service"])] if "service" in said else []
        query = httpx.QueryParams([*service, *(("scope", each) for each in said.get("scope", "").split())])
        login = self.login.basic() if self.login else ""
        url = str(self._web.build_request("GET", said["realm"], params=query).url)
        reply = self._send("GET", url, b"", "", login, "bearer")
        if reply.status in (401, 403):
            return reply
        told = _json(reply, "the token server")
        token = told.get("token") or told.get("access_token")
        if reply.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise CannotTell(f"the token server was asked, and answered {reply.status} without a token")
        return token

    def _send(self, method: str, url: str, content: bytes, kind: str, login: str, by: By) -> Reply:
        import httpx

        headers = {"Accept": TAKES, "Accept-Encoding": "identity"}
        headers |= {"Authorization": login} if login else {}
        headers |= {"Content-Type": kind} if kind else {}
        until, body = min(time.monotonic() + 2 * SECONDS, self._ends), b""
        if time.monotonic() > self._ends:
            raise CannotTell(f"the registry takes its time; allowed: {ALL:g} s for all that is asked")
        try:
            with self._web.stream(method, url, headers=headers, content=content) as response:
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise CannotTell("the registry answers in a coding that was not asked for; allowed: none")
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > MOST or time.monotonic() > until:
                        raise CannotTell(f"the registry's answer has no end; allowed: {MOST:,} bytes in {SECONDS:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as why:
            half = isinstance(why, httpx.RemoteProtocolError | httpx.ReadError | httpx.ReadTimeout)
            word = "answers half, or nothing" if half else "cannot be reached"
            raise CannotTell(f"the registry {word} ({type(why).__name__})") from None
        if 300 <= response.status_code < 400:
            raise CannotTell(f"the registry sends onward ({response.status_code}); no redirect is followed")
        if "html" in response.headers.get("content-type", "").lower() or body[:512].lstrip()[:1] == b"<":
            raise CannotTell(f"a page was answered ({response.status_code}): something else than the registry spoke")
        return Reply(response.status_code, _code(body, response.status_code), by, body, response.headers)


def _code(body: bytes, status: int) -> str:
    """The first known code of an error; empty where there is none, `other` for what nobody knows."""
    if status < 400 or not body:
        return ""
    try:
        code = json.loads(body)["errors"][0]["code"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return "other"
    return code if isinstance(code, str) and code in CODES else "other"


def _json(reply: Reply, who: str = "the registry") -> dict[str, Any]:
    try:
        told = json.loads(reply.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise CannotTell(f"{who} answered {reply.status} with something else than JSON")
    return told


def tags(client: Client, most: int) -> list[str]:
    """Every tag of the repository; none where there is no such repository. `CannotTell` for more than so many."""
    url, found = client.at("tags/list?n=1000"), set[str]()
    for _ in range(100):
        reply = client.ask("GET", url)
        if reply.status == 404 and reply.code == "NAME_UNKNOWN":
            return []
        listed = _json(reply).get("tags", ()) if reply.status == 200 else False
        if listed is False or not isinstance(listed, list | tuple | type(None)):
            raise CannotTell(f"the tags cannot be listed: the registry answered {reply.status}")
        for tag in listed or ():
            if not isinstance(tag, str) or not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", tag):
                raise CannotTell("the registry lists a tag that is none")
            found.add(tag)
        if len(found) > most:
            raise CannotTell(f"the repository has more than {most:,} tags: they cannot be held against each other")
        onward = re.search(r'<([^>]+)>;\s*rel="?next"?', reply.headers.get("link", ""))
        if not onward:
            return sorted(found)
        url = client.follow(url, onward[1])
    raise CannotTell("the listing of the tags has no end")
