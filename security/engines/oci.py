"""Speaks to an OCI registry as one user: the challenge, the token, and nothing sent where it was not asked to go.

Every request goes without credentials first: what nobody is refused, nobody needs credentials for, and a reply says as
whom it was given. Whoever is refused without being asked who he is tries again, as whom the registry asked for before,
or by Basic where it never asked: else a refusal would say nothing of the user. Credentials go to the registry, or to
the one host that may ask for them in its place, and nowhere else. No redirect is followed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from security.engines.line import ALL, NONE, By, Line, Reply, told
from security.engines.login import Challenge, Login, Place
from security.errors import CannotTell

if TYPE_CHECKING:
    import httpx

UNASKED = (401, 403, 404, 405, 409, 412)
"""What a request without credentials may be refused with by a registry that does not ask for them."""


class Client:
    """One user at one registry; `login` None for nobody. `transport` is there for registries that are doubles;
    `seconds`: of everything that is asked; `patience`: as of a line. `known`: whoever was once asked who he is says so
    from then on, whatever he does; where it is to be shown what others may, only what is read goes that way."""

    def __init__(
        self,
        place: Place,
        login: Login | None,
        transport: "httpx.BaseTransport | None" = None,
        *,
        seconds: float = ALL,
        patience: float | None = None,
        known: bool = False,
    ) -> None:
        self._line = Line(place.scheme == "https", transport, seconds, patience)
        self.place, self.login = place, login
        self._reads: tuple[str, By] | None = None
        self._known = known
        self._asked, self._tokens = "", set[str]()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def at(self, path: str) -> str:
        """The URL of something in the repository."""
        return f"{self.place.base}{self.place.repository}/{path}"

    def ask(
        self, method: str, url: str, content: bytes = b"", kind: str = "", more: Mapping[str, str] = NONE
    ) -> Reply:
        """The answer to a request that is sent without credentials, and with them where they are asked for."""
        if urlsplit(url)[:2] != urlsplit(self.place.base)[:2]:
            raise CannotTell("the registry sends elsewhere; allowed: its own host alone")
        reads = (self._known or method in ("GET", "HEAD")) and url.startswith(self.at(""))
        if reads and self._reads:  # of what is only read it is shown already that it is asked for
            again = self._line.send(method, url, content, kind, *self._reads, more)
            if again.status not in (401, 403):
                return again
        first = self._line.send(method, url, content, kind, "", "nobody", more)
        asked = first.headers.get("www-authenticate", "") if first.status == 401 else ""
        self._asked = asked or self._asked
        if not asked and first.status in UNASKED:
            asked = self._asked or ("Basic" if first.status != 404 else "")  # to the registry itself, which asks nobody
        if not asked or self.login is None:
            return first
        challenge = Challenge.of(asked)
        if challenge.scheme not in ("basic", "bearer"):
            raise CannotTell("the registry asks for credentials in another way; allowed: Basic, Bearer")
        if challenge.scheme == "bearer":
            reply, sent = self._borne(method, url, content, kind, challenge, more)
        else:
            sent = (self.login.basic(), "basic")
            reply = self._line.send(method, url, content, kind, *sent, more)
        if reads and reply.status < 300:
            self._reads = sent
        return reply

    def tells(self, text: str) -> bool:
        """Whether a text has the login, or a token that was given for it."""
        return bool(self.login and self.login.within(text)) or any(
            len(each) >= 6 and each in text for each in self._tokens
        )

    def follow(self, url: str, location: str) -> str:
        """Where an answer says that something goes on."""
        if not location:
            raise CannotTell("the registry does not say where an upload goes on")
        return urljoin(url, location)

    def _borne(
        self, method: str, url: str, content: bytes, kind: str, asked: Challenge, more: Mapping[str, str]
    ) -> tuple[Reply, tuple[str, By]]:
        """The answer to whoever bears a token, and what was sent. The token is asked for with all that may be tried:
        by one that is too narrow nobody is refused anything. What the answer says that it lacks is asked for, once; who
        lacks what was asked for was refused it by who gives tokens."""
        wanted = [*asked.scopes, f"repository:{self.place.repository}:pull,push,delete"]
        token = self._token(asked, wanted)
        narrow = isinstance(token, Reply)
        if narrow:
            wanted, token = asked.scopes, self._token(asked, asked.scopes)
        reply, sent = self._bearing(method, url, content, kind, token, more)
        said = Challenge.of(reply.headers.get("www-authenticate", ""))
        if reply.status in (401, 403) and said.lacks and said.scopes and not isinstance(token, Reply):
            wanted, token = said.scopes, self._token(Challenge("bearer", {**asked.said, **said.said}), said.scopes)
            reply, sent = self._bearing(method, url, content, kind, token, more)
            said, narrow = Challenge.of(reply.headers.get("www-authenticate", "")), False
        denied = said.lacks == "insufficient_scope" and said.named(wanted)
        lacks = "" if denied else said.lacks or ("insufficient_scope" if narrow and not asked.covers(method) else "")
        if reply.status in (401, 403) and lacks and not isinstance(token, Reply):
            reply = replace(reply, code=lacks)
        return reply, sent

    def _bearing(
        self, method: str, url: str, content: bytes, kind: str, token: str | Reply, more: Mapping[str, str]
    ) -> tuple[Reply, tuple[str, By]]:
        if not isinstance(token, Reply):
            sent: tuple[str, By] = (f"Bearer {token}", "bearer")
            return self._line.send(method, url, content, kind, *sent, more), sent
        if token.status not in (401, 403):
            raise CannotTell(f"the token server was asked, and answered {token.status} without a token")
        return token, ("", "bearer")

    def _token(self, challenge: Challenge, scopes: Sequence[str]) -> str | Reply:
        """A token with these scopes; the token server's own answer where it rejects that."""
        import httpx

        said = challenge.said
        service = [("service", said["service"])] if "service" in said else []
        query = httpx.QueryParams([*service, *(("scope", each) for each in dict.fromkeys(scopes))])
        login = self.login.basic() if self.login else ""
        url = str(httpx.URL(challenge.realm(self.place)).copy_merge_params(query))
        reply = self._line.send("GET", url, b"", "", login, "bearer")
        if 400 <= reply.status < 500:
            return reply
        given = told(reply, "the token server")
        token = given.get("token") or given.get("access_token")
        if reply.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise CannotTell(f"the token server was asked, and answered {reply.status} without a token")
        self._tokens.add(token)
        return token


def tags(client: Client, most: int) -> list[str]:
    """Every tag of the repository; none where there is no such repository. `CannotTell` for more than so many."""
    url, found = client.at("tags/list?n=1000"), set[str]()
    for _ in range(100):
        reply = client.ask("GET", url)
        if reply.status == 404 and reply.code == "NAME_UNKNOWN":
            return []
        listed = told(reply).get("tags", ()) if reply.status == 200 else False
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
